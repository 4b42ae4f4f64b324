"""A page that shows a sequence of predictions: the camera's view with the meshes over it, a free view, a timeline.

Saved, it is one file with all that it needs, and opens without a network; served, it asks for each frame when that is
shown, so that a sequence may be of any length. It is drawn by WebGL (assets/view.js).
"""

import base64
import hashlib
import io
import json
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

from warpgrasp.export import PredictedSequence, SequenceError
from warpgrasp.geometry import Camera
from warpgrasp.plain_text import line
from warpgrasp.progress import track
from warpgrasp.report import HAND_COLOUR, OBJECT_COLOUR, OTHER_HAND_COLOUR, RESIDUAL_COLOURS, RESIDUAL_LIMIT
from warpgrasp.view.content import (
    CONTROL,
    OTHER_HAND,
    PREDICTION,
    TRUTH,
    Background,
    PoseLayer,
    ViewContent,
    distance_limit_mm,
    flow_limit_px,
    rounded_up,
)

JPEG_QUALITY = 82
STEPS = 65535  # between a frame's bounds, in which its vertices are stored: some thousandths of a millimetre each
COLOURS = {
    PREDICTION: (HAND_COLOUR, OBJECT_COLOUR),
    OTHER_HAND: (OTHER_HAND_COLOUR, OBJECT_COLOUR),
    CONTROL: ((0.76, 0.45, 0.92), (0.24, 0.74, 0.62)),
    TRUTH: ((0.97, 0.97, 0.97), (0.80, 0.82, 0.86)),
}
AXIS_SHARE = 0.98  # of the values that the axis of the curves shows
SURVEYED = 100  # frames of a served page from which the view and the scale of errors are chosen
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
            unit, value = ("frame", self.frames) if self.frames < 1 else ("pixel of width", self.width)
            raise SequenceError(f"expected at least 1 {unit} in the page, got {value}")


@dataclass
class _Blob:
    """Arrays one after the other in one block of bytes."""

    data: bytearray = field(default_factory=bytearray)

    def add(self, array: Shaped[np.ndarray, "*n"], dtype: str) -> dict[str, Any]:
        self.data.extend(b"\0" * (-len(self.data) % 4))
        entry = {"dtype": dtype, "offset": len(self.data), "count": int(array.size)}
        self.data.extend(np.ascontiguousarray(array, np.dtype(dtype).newbyteorder("<")).tobytes())
        return entry


def saved_page(content: ViewContent, options: PageOptions) -> str:
    """The page as one file. Raises `SequenceError` when neither pictures nor a camera are given."""
    step = -(-len(content.sequence) // options.frames)
    rows = np.arange(0, len(content.sequence), step)
    indices = content.indices[rows]
    pictures, cameras, size = _pictures(content, indices, options.width)
    compared: list[Background] = [kind for kind in content.backgrounds if kind != "picture" and options.compare]
    layers = content.layers(indices)
    blob = _Blob()
    stated = {
        **_common(content, blob, step=step, size=size),
        "served": False,
        "shown": rows.tolist(),
        "backgrounds": [*(["picture"] if pictures else []), *compared],
        "pictures": {
            "picture": pictures,
            **{kind: _comparisons(content, kind, indices, options.width) for kind in compared},
        },
        "cameras": blob.add(cameras, "float32"),
        "layers": [{**_about_layer(content, layer.key), **_stored(layer, blob)} for layer in layers],
        **_scales(content, layers),
    }
    return _filled(stated, blob, SAVED_POLICY)


def served_page(content: ViewContent) -> str:
    """The page that asks for its frames (`frame_bytes`, `frame_picture`) one by one."""
    surveyed = content.layers(content.indices[:: -(-len(content.indices) // SURVEYED)])
    camera = content.camera(int(content.indices[0]))
    blob = _Blob()
    stated = {
        **_common(content, blob, step=1, size=(camera.width, camera.height)),
        "served": True,
        "shown": list(range(len(content.indices))),
        "backgrounds": content.backgrounds,
        "layers": [_about_layer(content, key) for key in content.keys],
        **_scales(content, surveyed),
    }
    return _filled(stated, blob, SERVED_POLICY)


def frame_bytes(content: ViewContent, position: int) -> bytes:
    """The numbers of a frame, little-endian float32 then uint16.

    The camera (fx fy cx cy skew); of each layer whether it is there, the hand's bounds (low, high) and the object's
    pose (rotation, translation); then of each layer the hand's vertices in steps between the bounds.
    """
    index = int(content.indices[position])
    numbers, hands = [_numbers(content.camera(index))], []
    for layer in content.layers(np.array([index])):
        steps, bounds, poses = _quantised(layer)
        numbers += [layer.is_present.astype(np.float64), bounds[0], poses[0]]
        hands.append(steps[0].ravel())
    return np.concatenate(numbers).astype("<f4").tobytes() + np.concatenate(hands).astype("<u2").tobytes()


def frame_picture(content: ViewContent, position: int, kind: Background, width: int) -> bytes:
    """A frame's picture, or its residual or flow, as a JPEG file of at most this width in pixels."""
    return _jpeg(content.background(kind, int(content.indices[position])), width)


def _common(content: ViewContent, blob: _Blob, *, step: int, size: tuple[int, int]) -> dict[str, Any]:
    """The entries that saved and served pages both have."""
    sequence = content.sequence
    return {
        "title": line(f"{sequence.name} · {sequence.model.name}"),
        "about": _about(sequence, step),
        "width": size[0],
        "height": size[1],
        "indices": content.indices.tolist(),
        "times": blob.add(sequence.times_s, "float32"),
        "flags": [sequence.flag_words(position) for position in range(len(sequence))],
        "flagged": np.flatnonzero(sequence.flagged).tolist(),
        "hand_vertices": len(sequence.hand.template_vertices),
        "hand_faces": blob.add(torch.cat([sequence.hand.faces, sequence.hand.closing_faces]).numpy(), "uint32"),
        "object": {
            "vertices": blob.add(sequence.model.vertices.numpy(), "float32"),
            "faces": blob.add(sequence.model.faces.numpy(), "uint32"),
        },
        "residual_limit": RESIDUAL_LIMIT,
        "residual_stops": [[round(255 * value) for value in colormaps[RESIDUAL_COLOURS](k / 8)[:3]] for k in range(9)],
        "flow_limit": flow_limit_px(size[0]),
        **_curves(content, blob),
    }


def _filled(stated: dict[str, Any], blob: _Blob, policy: str) -> str:
    """The page with its numbers. `stated` names arrays of `blob`."""
    stated = {**stated, "binary": base64.b64encode(blob.data).decode()}
    parts = {
        "title": escape(stated["title"]),
        "policy": policy,
        "style": (ASSETS / "view.css").read_text(encoding="utf-8"),
        "script": SCRIPT,
        "data": json.dumps(stated, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"),
    }
    return Template((ASSETS / "view.html").read_text(encoding="utf-8")).substitute(parts)


def _about(sequence: PredictedSequence, step: int) -> str:
    thinned = "" if step == 1 else f", every {_ordinal(step)} shown"
    hands = " and ".join(one.hand.template.name for one in sequence.hands.values())
    return f"{len(sequence)} frames{thinned} · {sequence.times_s[-1]:.1f} s · {hands}"


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _pictures(
    content: ViewContent, indices: Int[np.ndarray, " n"], width: int
) -> tuple[list[str], Float[np.ndarray, "n 5"], tuple[int, int]]:
    """The JPEG files as text, each frame's camera (fx fy cx cy skew), and the size that cameras are for.

    Raises `SequenceError` when neither pictures nor a camera are given, or the pictures are of several sizes.
    """
    if content.sequence.pictures is None:
        camera = content.camera(int(indices[0]))
        return [], np.tile(_numbers(camera), (len(indices), 1)), (camera.width, camera.height)
    texts, cameras, sizes = [], [], set()
    for index in track(indices.tolist(), description="pictures", transient=True):
        picture, camera = content.picture(index)
        texts.append(base64.b64encode(_jpeg(picture, width)).decode())
        cameras.append(_numbers(camera))
        sizes.add((camera.width, camera.height))
    if len(sizes) != 1:
        raise SequenceError(f"expected pictures of one size in {content.sequence.name}, found {sorted(sizes)}")
    return texts, np.stack(cameras), sizes.pop()


def _comparisons(content: ViewContent, kind: Background, indices: Int[np.ndarray, " n"], width: int) -> list[str]:
    """The residuals or flows of frames, as JPEG files as text."""
    tracked = track(indices.tolist(), description=kind, transient=True)
    return [base64.b64encode(_jpeg(content.background(kind, index), width)).decode() for index in tracked]


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


def _about_layer(content: ViewContent, key: str) -> dict[str, Any]:
    """What a layer is called, of which parts it is, and in which layer it is drawn, as one with its surfaces."""
    colours = [[round(255 * value) for value in colour] for colour in COLOURS[key]]
    side, other = content.sequence.side, content.sequence.other_hand
    names = {} if other is None else {PREDICTION: f"{side} hand and object", OTHER_HAND: f"{other.side} hand"}
    return {
        "key": key,
        "label": names.get(key, key),
        "parts": ["hand"] if key == OTHER_HAND else ["object", "hand"],
        "within": PREDICTION if key == OTHER_HAND else key,
        "colours": dict(zip(("hand", "object"), colours, strict=True)),
    }


def _stored(layer: PoseLayer, blob: _Blob) -> dict[str, Any]:
    steps, bounds, poses = _quantised(layer)
    return {
        "there": blob.add(layer.is_present, "uint16"),
        "hand": blob.add(steps, "uint16"),
        "bounds": blob.add(bounds, "float32"),
        "poses": blob.add(poses, "float32"),
    }


def _quantised(
    layer: PoseLayer,
) -> tuple[Float[np.ndarray, "n v 3"], Float[np.ndarray, "n 6"], Float[np.ndarray, "n 12"]]:
    """The hand's vertices in steps between each frame's bounds, those bounds (low, high), and the object's poses."""
    low, high = layer.hand_vertices.min(axis=1), layer.hand_vertices.max(axis=1)
    extent = np.maximum(high - low, 1e-9)
    steps = np.rint((layer.hand_vertices - low[:, None]) / extent[:, None] * STEPS)
    poses = np.concatenate([layer.object_rotation.reshape(-1, 9), layer.object_translation], axis=1)
    return steps, np.concatenate([low, low + extent], axis=1), poses


def _scales(content: ViewContent, layers: list[PoseLayer]) -> dict[str, Any]:
    """The middle of what is shown, a depth beyond it (metres), and the end of the scale of distances to the truth."""
    first, last = layers[0], layers[-1]
    middle = (first.hand_vertices.mean(axis=(0, 1)) + first.object_translation.mean(axis=0)) / 2
    scales = {"middle": middle.tolist(), "far": 1.3 * float(np.quantile(first.hand_vertices[..., 2], 0.98))}
    if last.key == TRUTH:
        scales["heat_mm"] = distance_limit_mm(first, last, content.sequence.model.vertices)
    return scales


def _curves(content: ViewContent, blob: _Blob) -> dict[str, Any]:
    chart = content.chart
    finite = [curve.values[np.isfinite(curve.values)] for curve in chart.curves]
    return {
        "curve_title": chart.title,
        "curve_unit": chart.unit,
        "curve_limit": rounded_up(float(np.quantile(np.concatenate([*finite, np.zeros(1)]), AXIS_SHARE))),
        "curves": [
            {
                "label": curve.label,
                "ink": curve.ink,
                "values": blob.add(curve.values, "float32"),
                "dashed": curve.dashed,
            }
            for curve in chart.curves
        ],
    }
