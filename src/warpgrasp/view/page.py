"""A page that shows a sequence of predictions: the camera's view with the meshes over it, a free view, a timeline.

Saved, it is one file with all that it needs, and opens without a network; served, it asks for each frame when that is
shown, so that a sequence may be of any length. It is drawn by WebGL (assets/view.js).
"""

import base64
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped, UInt8
from matplotlib import colormaps
from PIL import Image
from rich.progress import track

from warpgrasp.data import Dataset
from warpgrasp.export import Take, TakeError
from warpgrasp.geometry import Camera
from warpgrasp.predictions import Flag
from warpgrasp.report import HAND_COLOUR, OBJECT_COLOUR, RESIDUAL_COLOURS, RESIDUAL_LIMIT
from warpgrasp.view.content import (
    CONTROL,
    MM_PER_M,
    PREDICTION,
    TRUTH,
    Background,
    Errors,
    Layer,
    Shown,
    flow_limit_px,
    heat_limit_mm,
    round_up,
)

JPEG_QUALITY = 82
STEPS = 65535  # of the numbers by which a frame's vertices are stored: some thousandths of a millimetre
COLOURS = {
    PREDICTION: (HAND_COLOUR, OBJECT_COLOUR),
    CONTROL: ((0.76, 0.45, 0.92), (0.24, 0.74, 0.62)),
    TRUTH: ((0.97, 0.97, 0.97), (0.80, 0.82, 0.86)),
}
OVERVIEW = 0.98  # of the values that the curves' axis shows
SURVEYED = 100  # frames that say where to look, and how large errors are, where frames are served one by one
ASSETS = files("warpgrasp.view") / "assets"
SCRIPT = (ASSETS / "view.js").read_text(encoding="utf-8")
# No other script than the page's own runs in it, by its hash, and nothing is loaded but a served page's frames.
SCRIPT_HASH = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
SAVED_POLICY = f"default-src 'none'; img-src data:; script-src 'sha256-{SCRIPT_HASH}'; style-src 'unsafe-inline'"
SERVED_POLICY = SAVED_POLICY.replace("img-src data:", "img-src 'self' blob: data:; connect-src 'self'")


@dataclass(frozen=True)
class PageOptions:
    """How much a page holds."""

    frames: int = 300
    """Of longer sequences every so many is shown; the curves have all."""
    width: int = 960
    """The largest width of the pictures in the page, in pixels."""
    compare: bool = False
    """Hold the photometric residual and the flow of each frame, too."""

    def __post_init__(self) -> None:
        if self.frames < 1 or self.width < 1:
            least, found = ("frame", self.frames) if self.frames < 1 else ("pixel of width", self.width)
            raise TakeError(f"expected at least 1 {least} in the page, got {found}")


@dataclass
class _Blob:
    """Numbers one after the other, and where each array of them lies."""

    data: bytearray = field(default_factory=bytearray)

    def add(self, array: Shaped[np.ndarray, "*n"], dtype: str) -> dict[str, Any]:
        self.data.extend(b"\0" * (-len(self.data) % 4))
        entry = {"dtype": dtype, "offset": len(self.data), "count": int(array.size)}
        self.data.extend(np.ascontiguousarray(array, np.dtype(dtype).newbyteorder("<")).tobytes())
        return entry


def page_of(take: Take, *, control: Take | None, dataset: Dataset | None, options: PageOptions) -> str:
    """The page of a take as one file. `dataset` gives the truth, where it has some of the sequence."""
    shown = Shown(take, control, dataset)
    step = -(-len(take) // options.frames)
    rows = np.arange(0, len(take), step)
    indices = shown.every[rows]
    layers = shown.layers(indices)
    pictures, cameras, size = _pictures(shown, indices, options.width)
    others: list[Background] = [kind for kind in shown.backgrounds if kind != "picture" and options.compare]
    blob = _Blob()
    content = {
        **_common(shown, blob, step=step, size=size),
        "served": False,
        "shown": rows.tolist(),
        "backgrounds": [*(["picture"] if pictures else []), *others],
        "pictures": {"picture": pictures, **{kind: _drawn(shown, kind, indices, options.width) for kind in others}},
        "cameras": blob.add(cameras, "float32"),
        "layers": [{**_about_layer(layer.key), **_stored(layer, blob)} for layer in layers],
        **_place(layers[0]),
    }
    if layers[-1].key == TRUTH:
        content["heat_mm"] = heat_limit_mm(layers[0], layers[-1], take.model.vertices)
    content["binary"] = base64.b64encode(blob.data).decode()
    return _filled(content, SAVED_POLICY)


def served_page(shown: Shown) -> str:
    """The page that asks for its frames (`frame_bytes`, `frame_picture`) one by one."""
    surveyed = shown.layers(shown.every[:: -(-len(shown.every) // SURVEYED)])
    camera = _camera(shown, int(shown.every[0]))
    blob = _Blob()
    content = {
        **_common(shown, blob, step=1, size=(camera.width, camera.height)),
        "served": True,
        "shown": list(range(len(shown.every))),
        "backgrounds": shown.backgrounds,
        "layers": [_about_layer(key) for key in shown.keys],
        **_place(surveyed[0]),
    }
    if surveyed[-1].key == TRUTH:
        content["heat_mm"] = heat_limit_mm(surveyed[0], surveyed[-1], shown.take.model.vertices)
    content["binary"] = base64.b64encode(blob.data).decode()
    return _filled(content, SERVED_POLICY)


def frame_bytes(shown: Shown, place: int) -> bytes:
    """What the page draws of a frame, little-endian float32 then uint16.

    The camera (fx fy cx cy skew); of each layer whether it is there, the hand's bounds (low, high) and the object's
    pose (rotation, translation); then of each layer the hand's vertices in steps between the bounds.
    """
    index = int(shown.every[place])
    numbers, hands = [_numbers(_camera(shown, index))], []
    for layer in shown.layers(np.array([index])):
        steps, bounds, poses = _quantised(layer)
        numbers += [layer.there.astype(np.float64), bounds[0], poses[0]]
        hands.append(steps[0].ravel())
    return np.concatenate(numbers).astype("<f4").tobytes() + np.concatenate(hands).astype("<u2").tobytes()


def frame_picture(shown: Shown, place: int, kind: Background, width: int) -> bytes:
    """A frame's picture, or its residual or flow, as a JPEG file at most so wide."""
    return _jpeg(shown.background(kind, int(shown.every[place])), width)


def _common(shown: Shown, blob: _Blob, *, step: int, size: tuple[int, int]) -> dict[str, Any]:
    """What saved and served pages both hold."""
    take = shown.take
    return {
        "title": f"{take.sequence} · {take.model.name}",
        "about": _about(take, step),
        "width": size[0],
        "height": size[1],
        "indices": shown.every.tolist(),
        "times": blob.add(take.times_s, "float32"),
        "flags": [Flag(int(flags)).words for flags in take.flags],
        "flagged": np.flatnonzero(take.flags).tolist(),
        "hand_vertices": len(take.hand.template_vertices),
        "hand_faces": blob.add(torch.cat([take.hand.faces, take.hand.closing_faces]).numpy(), "uint32"),
        "object": {
            "vertices": blob.add(take.model.vertices.numpy(), "float32"),
            "faces": blob.add(take.model.faces.numpy(), "uint32"),
        },
        "residual_limit": RESIDUAL_LIMIT,
        "residual_stops": [[round(255 * one) for one in colormaps[RESIDUAL_COLOURS](k / 8)[:3]] for k in range(9)],
        "flow_limit": flow_limit_px(size[0]),
        **_curves(shown, blob),
    }


def _filled(content: dict[str, Any], policy: str) -> str:
    parts = {
        "title": escape(content["title"]),
        "policy": policy,
        "style": (ASSETS / "view.css").read_text(encoding="utf-8"),
        "script": SCRIPT,
        "data": json.dumps(content, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"),
    }
    return Template((ASSETS / "view.html").read_text(encoding="utf-8")).substitute(parts)


def _about(take: Take, step: int) -> str:
    thinned = "" if step == 1 else f", every {_ordinal(step)} shown"
    return f"{len(take)} frames{thinned} · {take.times_s[-1]:.1f} s · {take.hand.template.name}"


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _camera(shown: Shown, index: int) -> Camera:
    """A frame's camera. Raises `TakeError` when neither pictures nor a camera are given."""
    if shown.take.camera is not None:
        return shown.take.camera
    if shown.take.pictures is None:
        raise TakeError("expected the pictures that were predicted, or at least their camera; give them by --data")
    return shown.picture(index)[1]


def _pictures(
    shown: Shown, indices: Int[np.ndarray, " n"], width: int
) -> tuple[list[str], Float[np.ndarray, "n 5"], tuple[int, int]]:
    """The JPEG files as text, each frame's camera (fx fy cx cy skew), and the size that cameras are for.

    Raises `TakeError` when neither pictures nor a camera are given.
    """
    if shown.take.pictures is None:
        camera = _camera(shown, int(indices[0]))
        return [], np.tile(_numbers(camera), (len(indices), 1)), (camera.width, camera.height)
    texts, cameras, sizes = [], [], set()
    for index in track(indices.tolist(), description="pictures", transient=True):
        picture, camera = shown.picture(index)
        texts.append(base64.b64encode(_jpeg(picture, width)).decode())
        cameras.append(_numbers(camera))
        sizes.add((camera.width, camera.height))
    if len(sizes) != 1:
        raise TakeError(f"expected pictures of one size in {shown.take.sequence}, found {sorted(sizes)}")
    return texts, np.stack(cameras), sizes.pop()


def _drawn(shown: Shown, kind: Background, indices: Int[np.ndarray, " n"], width: int) -> list[str]:
    found = track(indices.tolist(), description=kind, transient=True)
    return [base64.b64encode(_jpeg(shown.background(kind, index), width)).decode() for index in found]


def _numbers(camera: Camera) -> np.ndarray:
    k = camera.intrinsics.double().numpy()
    return np.array([k[0, 0], k[1, 1], k[0, 2], k[1, 2], k[0, 1]])


def _jpeg(picture: UInt8[np.ndarray, "h w 3"], width: int) -> bytes:
    image = Image.fromarray(picture)
    if image.width > width:
        image = image.resize((width, round(image.height * width / image.width)), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def _about_layer(key: str) -> dict[str, Any]:
    hand, thing = ([round(255 * value) for value in colour] for colour in COLOURS[key])
    return {"key": key, "label": key, "colours": {"hand": hand, "object": thing}}


def _stored(layer: Layer, blob: _Blob) -> dict[str, Any]:
    steps, bounds, poses = _quantised(layer)
    return {
        "there": blob.add(layer.there, "uint16"),
        "hand": blob.add(steps, "uint16"),
        "bounds": blob.add(bounds, "float32"),
        "poses": blob.add(poses, "float32"),
    }


def _quantised(
    layer: Layer,
) -> tuple[Float[np.ndarray, "n v 3"], Float[np.ndarray, "n 6"], Float[np.ndarray, "n 12"]]:
    """The hand's vertices in steps between each frame's bounds, those bounds (low, high), and the object's poses."""
    low, high = layer.hand_vertices.min(axis=1), layer.hand_vertices.max(axis=1)
    extent = np.maximum(high - low, 1e-9)
    steps = np.rint((layer.hand_vertices - low[:, None]) / extent[:, None] * STEPS)
    poses = np.concatenate([layer.object_rotation.reshape(-1, 9), layer.object_translation], axis=1)
    return steps, np.concatenate([low, low + extent], axis=1), poses


def _place(layer: Layer) -> dict[str, Any]:
    """The middle of what is shown, and a depth beyond it (metres)."""
    middle = (layer.hand_vertices.mean(axis=(0, 1)) + layer.object_translation.mean(axis=0)) / 2
    return {"middle": middle.tolist(), "far": 1.3 * float(np.quantile(layer.hand_vertices[..., 2], 0.98))}


def _curves(shown: Shown, blob: _Blob) -> dict[str, Any]:
    """Errors where the truth of most frames is known; else the difference of colours to the nearest label, where
    `densify` measured it; else jumps against the neighbouring frames.
    """
    take, every = shown.take, shown.every.tolist()
    most = 2 * len(shown.annotated) > len(every)
    unit = "mm"
    if shown.truth is not None and (most or (shown.annotated and take.difference is None)):
        title, lines = "error", []
        for number, one in enumerate(one for one in (take, shown.control) if one is not None):
            lines += _lines(shown.truth.errors(one, every), number > 0)
    elif take.difference is not None:
        title, unit = "difference of colours to the nearest label", ""
        lines = [("hand and object", "--hand", take.difference, False)]
    else:
        title, lines = "jump against the neighbouring frames", _lines(_jumps(take), False)
    known = np.concatenate([values[np.isfinite(values)] for _, _, values, _ in lines] + [np.zeros(1)])
    return {
        "curve_title": title,
        "curve_unit": unit,
        "curve_limit": round_up(float(np.quantile(known, OVERVIEW))),
        "curves": [
            {"label": label, "ink": ink, "values": blob.add(values, "float32"), "dashed": dashed}
            for label, ink, values, dashed in lines
        ],
    }


def _lines(errors: Errors, control: bool) -> Sequence[tuple[str, str, np.ndarray, bool]]:
    of = f" ({CONTROL})" if control else ""
    return [
        (f"hand{of}", "--hand", errors.hand_joints_mm, control),
        (f"object{of}", "--object", errors.object_vertices_mm, control),
    ]


def _jumps(take: Take) -> Errors:
    predictions, nothing = take.predictions, np.full(len(take), np.nan)
    return Errors(
        nothing if predictions.hand_jump is None else MM_PER_M * predictions.hand_jump[take.rows],
        nothing if predictions.object_jump is None else MM_PER_M * predictions.object_jump[take.rows],
    )
