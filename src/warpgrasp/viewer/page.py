"""A page that shows a sequence of predictions without a network or a server: one file with all that it needs.

The camera's view with the meshes over its picture, a free view, a timeline; drawn by WebGL (assets/view.js).
"""

import base64
import io
import json
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

import numpy as np
import torch
from jaxtyping import Int, Shaped
from PIL import Image
from rich.progress import track

from warpgrasp.data import Dataset
from warpgrasp.evaluation.overlay import HAND_COLOUR, OBJECT_COLOUR
from warpgrasp.frame import FrameName
from warpgrasp.geometry import Camera
from warpgrasp.inference.quality import Flag
from warpgrasp.viewer.layers import MM_PER_M, Errors, Layer, Truth, heat_limit_mm, predicted_layer, round_up
from warpgrasp.viewer.predicted import TakeError
from warpgrasp.viewer.take import Take

JPEG_QUALITY = 82
STEPS = 65535  # of the numbers by which a frame's vertices are stored: some thousandths of a millimetre
PREDICTION, CONTROL, TRUTH = "prediction", "control", "truth"
COLOURS = {
    PREDICTION: (HAND_COLOUR, OBJECT_COLOUR),
    CONTROL: ((0.76, 0.45, 0.92), (0.24, 0.74, 0.62)),
    TRUTH: ((0.97, 0.97, 0.97), (0.80, 0.82, 0.86)),
}
OVERVIEW = 0.98  # of the values that the curves' axis shows


@dataclass(frozen=True)
class PageOptions:
    """How much a page holds."""

    frames: int = 300
    """Of longer sequences every so many is shown; the curves have all."""
    width: int = 960
    """The largest width of the pictures in the page, in pixels."""

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
    """The page of a take. `dataset` gives the truth, where it has some of the sequence."""
    every = take.predictions.index[take.rows]
    step = -(-len(take) // options.frames)
    shown = np.arange(0, len(take), step)
    indices = every[shown]
    truth = None if dataset is None else Truth(dataset, take.sequence)
    layers = _layers(take, control, truth, indices)
    pictures, cameras, size = _pictures(take, indices, options.width)
    blob = _Blob()
    content = {
        "title": f"{take.sequence} · {take.model.name}",
        "about": _about(take, step),
        "width": size[0],
        "height": size[1],
        "cameras": blob.add(cameras, "float32"),
        "pictures": pictures,
        "shown": shown.tolist(),
        "indices": every.tolist(),
        "times": blob.add(take.times_s, "float32"),
        "flags": [Flag(int(flags)).words for flags in take.flags],
        "flagged": np.flatnonzero(take.flags).tolist(),
        "hand_vertices": len(take.hand.template_vertices),
        "hand_faces": blob.add(torch.cat([take.hand.faces, take.hand.closing_faces]).numpy(), "uint32"),
        "object": {
            "vertices": blob.add(take.model.vertices.numpy(), "float32"),
            "faces": blob.add(take.model.faces.numpy(), "uint32"),
        },
        "layers": [_stored(layer, blob) for layer in layers],
        **_place(layers[0]),
        **_curves(take, control, truth, blob),
    }
    if layers[-1].key == TRUTH:
        content["heat_mm"] = heat_limit_mm(layers[0], layers[-1], take.model.vertices)
    content["binary"] = base64.b64encode(blob.data).decode()
    return _filled(content)


def _filled(content: dict[str, Any]) -> str:
    assets = files("warpgrasp.viewer") / "assets"
    parts = {
        "title": escape(content["title"]),
        "style": (assets / "view.css").read_text(),
        "script": (assets / "view.js").read_text(),
        "data": json.dumps(content, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"),
    }
    return Template((assets / "view.html").read_text()).substitute(parts)


def _about(take: Take, step: int) -> str:
    thinned = "" if step == 1 else f", every {_ordinal(step)} shown"
    return f"{len(take)} frames{thinned} · {take.times_s[-1]:.1f} s · {take.hand.template.name}"


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _layers(take: Take, control: Take | None, truth: Truth | None, indices: Int[np.ndarray, " n"]) -> list[Layer]:
    layers = [predicted_layer(PREDICTION, PREDICTION, take, indices)]
    if control is not None:
        if control.model.name != take.model.name or len(control.hand.faces) != len(take.hand.faces):
            raise TakeError(
                f"expected the control's predictions of the same hand model and of {take.model.name}, found "
                f"{control.hand.template.name} and {control.model.name}"
            )
        layers.append(predicted_layer(CONTROL, CONTROL, control, indices))
    known = None if truth is None else truth.layer(indices, len(take.hand.template_vertices))
    return layers if known is None else [*layers, known]


def _pictures(take: Take, indices: Int[np.ndarray, " n"], width: int) -> tuple[list[str], np.ndarray, tuple[int, int]]:
    """The JPEG files as text, each frame's camera (fx fy cx cy skew), and the size that cameras are for.

    Raises `TakeError` when neither pictures nor a camera are given.
    """
    if take.pictures is None:
        if take.camera is None:
            raise TakeError("expected the pictures that were predicted, or at least their camera; give them by --data")
        camera = take.camera
        return [], np.tile(_numbers(camera), (len(indices), 1)), (camera.width, camera.height)
    texts, cameras, sizes = [], [], set()
    for index in track(indices.tolist(), description="pictures", transient=True):
        picture, camera = take.pictures(FrameName(take.sequence, index))
        texts.append(_jpeg(picture, width))
        cameras.append(_numbers(camera))
        sizes.add((camera.width, camera.height))
    if len(sizes) != 1:
        raise TakeError(f"expected pictures of one size in {take.sequence}, found {sorted(sizes)}")
    return texts, np.stack(cameras), sizes.pop()


def _numbers(camera: Camera) -> np.ndarray:
    k = camera.intrinsics.double().numpy()
    return np.array([k[0, 0], k[1, 1], k[0, 2], k[1, 2], k[0, 1]])


def _jpeg(picture: np.ndarray, width: int) -> str:
    image = Image.fromarray(picture)
    if image.width > width:
        image = image.resize((width, round(image.height * width / image.width)), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return base64.b64encode(buffer.getvalue()).decode()


def _stored(layer: Layer, blob: _Blob) -> dict[str, Any]:
    low, high = layer.hand_vertices.min(axis=1), layer.hand_vertices.max(axis=1)
    extent = np.maximum(high - low, 1e-9)[:, None]
    steps = np.rint((layer.hand_vertices - low[:, None]) / extent * STEPS)
    poses = np.concatenate([layer.object_rotation.reshape(-1, 9), layer.object_translation], axis=1)
    hand, thing = ([round(255 * value) for value in colour] for colour in COLOURS[layer.key])
    return {
        "key": layer.key,
        "label": layer.label,
        "colours": {"hand": hand, "object": thing},
        "there": blob.add(layer.there, "uint16"),
        "hand": blob.add(steps, "uint16"),
        "bounds": blob.add(np.concatenate([low, low + extent[:, 0]], axis=1), "float32"),
        "poses": blob.add(poses, "float32"),
    }


def _place(layer: Layer) -> dict[str, Any]:
    """The middle of what is shown, and a depth beyond it (metres)."""
    middle = (layer.hand_vertices.mean(axis=(0, 1)) + layer.object_translation.mean(axis=0)) / 2
    return {"middle": middle.tolist(), "far": 1.3 * float(np.quantile(layer.hand_vertices[..., 2], 0.98))}


def _curves(take: Take, control: Take | None, truth: Truth | None, blob: _Blob) -> dict[str, Any]:
    """Errors where the truth is known, else jumps against the neighbouring frames."""
    every = take.predictions.index[take.rows].tolist()
    found = [] if truth is None else [(one, truth.errors(one, every)) for one in (take, control) if one is not None]
    if found and np.isfinite(found[0][1].hand_joints_mm).any():
        title, lines = "error", [line for number, (_, one) in enumerate(found) for line in _lines(one, number > 0)]
    else:
        title, lines = "jump against the neighbouring frames", _lines(_jumps(take), False)
    known = np.concatenate([values[np.isfinite(values)] for _, _, values, _ in lines] + [np.zeros(1)])
    return {
        "curve_title": title,
        "curve_limit": round_up(float(np.quantile(known, OVERVIEW))),
        "curves": [
            {"label": label, "ink": ink, "values": blob.add(values, "float32"), "dashed": dashed}
            for label, ink, values, dashed in lines
        ],
    }


def _lines(errors: Errors, control: bool) -> list[tuple[str, str, np.ndarray, bool]]:
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
