"""A few frames in detail: each arm's reconstruction beside the truth, and what the photometric term compares.

The report shows a frame's comparison as a grid whose columns are the arms and the truth.
"""

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

import numpy as np
import torch
from jaxtyping import Float
from matplotlib import colormaps
from PIL import Image
from torch import Tensor

from warpgrasp.data import Dataset, Labels
from warpgrasp.evaluation import Scores
from warpgrasp.frame import Frame, FrameName, FramePair
from warpgrasp.photometric import PhotometricConsistency, photometric_consistency, sample
from warpgrasp.predictions import Predictions
from warpgrasp.report.overlay import Window, labels_of, overlay, predicted_scene, turned_view
from warpgrasp.scene import Scene

TRUTH = "ground truth"
RESIDUAL_COLOURS = "inferno"
RESIDUAL_LIMIT = 0.3  # of the colours' range [0, 1]; larger residuals look like this one
FADED = 0.35  # of the brightness of pixels that are not compared
RULE = (
    "Training sequences are taken evenly from their list; of the k-th of n, the never-annotated frame whose distance "
    "to its nearest annotated frame comes closest to k/n of that sequence’s greatest distance (of several, the "
    "earliest). "
    "Evaluation sequences are taken evenly too, and of each its middle frame."
)

JPEG_QUALITY = 86
TURNED_NOTE = (
    '<div class="side"><b>Turned by 90°</b> about the vertical line through the true object’s centre: nearer to the '
    "camera is left, farther is right. The thin line is the true silhouette.</div>"
)
RESIDUAL_NOTE = (
    '<div class="side"><b>Photometric residual</b>: absolute colour difference between the warped frame and the '
    "reference, mean over channels. Grey, dimmed: not compared.SCALE</div>"
)


def choose_frames(
    labels: Labels, evaluation: Mapping[str, list[int]], *, training_count: int = 5, evaluation_count: int = 3
) -> list[FrameName]:
    """Choose the frames of the report by a rule (`RULE`) that looks at no prediction."""
    chosen: list[FrameName] = []
    unannotated = {sequence: rest for sequence, rest in labels.unannotated.items() if rest}
    for k, sequence in enumerate(_evenly(list(unannotated), training_count), start=1):
        names = [FrameName(sequence, index) for index in unannotated[sequence]]
        wanted = k / training_count * max(label_distance(labels, name) for name in names)
        chosen.append(min(names, key=lambda name: (abs(label_distance(labels, name) - wanted), name.index)))
    for sequence in _evenly(list(evaluation), min(evaluation_count, len(evaluation))):
        chosen.append(FrameName(sequence, evaluation[sequence][len(evaluation[sequence]) // 2]))
    return list(dict.fromkeys(chosen))


def label_distance(labels: Labels, name: FrameName) -> int:
    """How many frames a training frame lies from the nearest annotated one."""
    return abs(labels.reference(name).index - name.index)


def _evenly(items: list[str], count: int) -> list[str]:
    return [items[k * len(items) // count] for k in range(count)] if items else []


@dataclass(frozen=True)
class WarpedFrame:
    """The photometric term of a frame and its annotated reference, as pictures."""

    warped: Float[Tensor, "3 ch cw"]  # the frame, sampled where the reference's surface lands in it
    residual: Float[Tensor, "3 ch cw"]  # by the colour map
    mean_residual: float
    share: float  # of the reference's surface


@dataclass(frozen=True)
class Comparison:
    """The pictures of one frame; the keys of the mappings are the arms and `TRUTH`."""

    name: FrameName
    picture: Float[Tensor, "3 h w"]
    overlays: dict[str, Float[Tensor, "3 sh sw"]]
    turned: dict[str, Float[Tensor, "3 th tw"]]
    reference: FrameName | None  # none in evaluation sequences
    reference_picture: Float[Tensor, "3 ch cw"] | None
    compared: dict[str, WarpedFrame]


def compare(dataset: Dataset, labels: Labels, name: FrameName, predictions: Mapping[str, Predictions]) -> Comparison:
    """Draw a frame's predictions and its truth. `dataset` reads pictures at their size on disk."""
    frame = dataset.frame(name, annotated=True)
    truth = _truth(dataset, frame)
    scenes = {arm: predicted_scene(dataset, predicted, name) for arm, predicted in predictions.items()} | {TRUTH: truth}
    overlays, turned = {}, {}
    for arm, scene in scenes.items():
        traced = None if arm == TRUTH else truth
        overlays[arm] = overlay(frame.image, scene, frame.camera, truth=traced)
        turned[arm] = turned_view(scene, frame.camera, about=truth.object_centre, truth=traced)
    drawn = labels_of(truth.turned(truth.object_centre), frame.camera)
    window = Window.around(drawn > 0, margin=0.6)
    turned = {arm: window.of(image) for arm, image in turned.items()}
    if name.sequence not in labels.annotated:
        return Comparison(name, frame.image, overlays, turned, None, None, {})
    reference = dataset.frame(labels.reference(name), annotated=True)
    source = _truth(dataset, reference)
    window = Window.around(labels_of(source, reference.camera) > 0, margin=0.15)
    compared = {arm: compare_pair(frame, scene, reference, source, window) for arm, scene in scenes.items()}
    return Comparison(name, frame.image, overlays, turned, reference.name, window.of(reference.image), compared)


def compare_pair(
    target: Frame, target_scene: Scene, reference: Frame, reference_scene: Scene, window: Window
) -> WarpedFrame:
    """The photometric term at the pictures' own size, drawn over the faded reference and cropped to a window."""
    pair = FramePair(
        target.image[None],
        target.camera.batched,
        reference.image[None],
        reference.camera.batched,
        reference_scene.mesh,
    )
    with torch.no_grad():
        term = photometric_consistency(pair, target_scene.mesh)
    faded = FADED * reference.image.mean(dim=0, keepdim=True).expand(3, -1, -1)
    pixels = term.flow.landing_px[term.compared][None]
    warped = _painted(faded, term, sample(target.image[None], pixels)[0].T)
    colours = residual_colours(term.residual[term.compared])
    residual = _painted(faded, term, torch.from_numpy(colours.astype(np.float32)))
    mean = float(term.residual[term.compared].mean()) if bool(term.compared.any()) else 0.0
    return WarpedFrame(window.of(warped), window.of(residual), mean, float(term.compared_share[0]))


def _painted(
    canvas: Float[Tensor, "3 h w"], term: PhotometricConsistency, colours: Float[Tensor, "n 3"]
) -> Float[Tensor, "3 h w"]:
    u, v = term.flow.fragments.pixels[term.compared].unbind(-1)
    painted = canvas.clone()
    painted[:, v, u] = colours.T
    return painted


def _truth(dataset: Dataset, frame: Frame) -> Scene:
    if frame.annotation is None:
        raise ValueError("expected an annotated frame")
    return Scene.annotated(dataset.hand, frame.annotation, frame.object)


def residual_colours(residual: Float[Tensor, " n"]) -> Float[np.ndarray, "n 3"]:
    """Residuals by the colour map."""
    return colormaps[RESIDUAL_COLOURS]((residual / RESIDUAL_LIMIT).clamp(0, 1).numpy())[:, :3]


def pixels_of(image: Float[Tensor, "3 h w"]) -> np.ndarray:
    """Colours in [0, 1] as bytes, (h, w, 3)."""
    return (image.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)


def picture(image: Float[Tensor, "3 h w"], description: str) -> str:
    """An `img` element with the JPEG inside."""
    buffer = io.BytesIO()
    Image.fromarray(pixels_of(image)).save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0, optimize=True)
    data = base64.b64encode(buffer.getvalue()).decode()
    height, width = image.shape[1:]
    return f'<img src="data:image/jpeg;base64,{data}" width="{width}" height="{height}" alt="{escape(description)}">'


def comparison_section(comparison: Comparison, scores: Mapping[str, Mapping[str, Scores]]) -> str:
    """One frame: the arms and the truth in columns; overlay, turned view, warped frame and residual in rows.

    `scores` is by arm and group of frames.
    """
    cells = [_cell(picture(comparison.picture, f"input {comparison.name}"), head="input")]
    for arm, image in comparison.overlays.items():
        note = "" if arm == TRUTH else frame_errors(scores[arm], comparison.name)
        cells.append(_cell(picture(image, f"{arm}, overlaid"), head=arm, note=note))
    cells.append(TURNED_NOTE)
    cells += [_cell(picture(image, f"{arm}, turned by 90°")) for arm, image in comparison.turned.items()]
    if comparison.reference is not None and comparison.reference_picture is not None:
        reference = f"annotated reference {comparison.reference}"
        cells.append(_cell(picture(comparison.reference_picture, reference), note=reference))
        for arm, warped in comparison.compared.items():
            note = f"input, warped: {100 * warped.share:.0f} % of the surface"
            cells.append(_cell(picture(warped.warped, f"{arm}: warped"), note=note))
        cells.append(RESIDUAL_NOTE.replace("SCALE", _scale()))
        for arm, warped in comparison.compared.items():
            note = f"mean residual {warped.mean_residual:.3f}"
            cells.append(_cell(picture(warped.residual, f"{arm}: residual"), note=note))
    return f'<section class="frame"><h3>{_heading(comparison)}</h3><div class="grid">{"".join(cells)}</div></section>'


def frame_errors(scores: Mapping[str, Scores], name: FrameName) -> str:
    """A frame's errors, if it was scored."""
    for group in scores.values():
        if name in group.names:
            row = group.names.index(name)
            parts = [
                f"{part} {group.per_frame[f'{part}_{points}_error_px'][row]:.1f} px, "
                f"{group.per_frame[f'{part}_{points}_error_mm'][row]:.0f} mm"
                for part, points in (("hand", "joint"), ("object", "vertex"))
            ]
            return "<br>".join(parts)
    return ""


def _heading(comparison: Comparison) -> str:
    name = f"<code>{escape(str(comparison.name))}</code>"
    if comparison.reference is None:
        return f"{name} <span>evaluation sequence, without any annotated frame</span>"
    distance = abs(comparison.reference.index - comparison.name.index)
    frames = "frame" if distance == 1 else "frames"
    return f"{name} <span>training sequence, {distance} {frames} from its nearest label</span>"


def _cell(image: str, *, head: str = "", note: str = "") -> str:
    head = f'<b class="arm {head}">{head}</b>' if head else ""
    note = f'<span class="note">{note}</span>' if note else ""
    return f"<figure>{image}{f'<figcaption>{head}{note}</figcaption>' if head or note else ''}</figure>"


def _scale() -> str:
    """The residual's colours, with their values."""
    stops = ", ".join(
        f"rgb({', '.join(str(round(255 * float(channel))) for channel in colormaps[RESIDUAL_COLOURS](k / 12)[:3])})"
        for k in range(13)
    )
    ticks = "".join(f"<span>{RESIDUAL_LIMIT * k / 3:.1f}</span>" for k in range(3)) + f"<span>≥ {RESIDUAL_LIMIT}</span>"
    return f'<div class="scale"><div style="background:linear-gradient(90deg, {stops})"></div><p>{ticks}</p></div>'
