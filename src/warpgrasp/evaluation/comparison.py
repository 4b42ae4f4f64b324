"""A few frames, looked at: each arm's reconstruction beside the truth, and what the photometric term compares."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from matplotlib import colormaps
from torch import Tensor

from warpgrasp.data import Dataset, Labels
from warpgrasp.evaluation.overlay import Window, labels_of, overlay, turned_view
from warpgrasp.evaluation.scene import Scene
from warpgrasp.frame import Frame, FrameName, FramePair
from warpgrasp.geometry import Camera
from warpgrasp.inference import Predictions
from warpgrasp.photometric import PhotometricConsistency, photometric_consistency, sample

TRUTH = "ground truth"
RESIDUAL_COLOURS = "inferno"
RESIDUAL_LIMIT = 0.3  # of the colours' range [0, 1]; larger residuals look like this one
FADED = 0.35  # of the brightness of what is not compared
RULE = (
    "Training sequences are taken evenly from their list; of the k-th of n, the never-annotated frame whose distance "
    "to its nearest annotated frame comes closest to k/n of that sequence’s greatest distance (of several, the "
    "earliest). "
    "Evaluation sequences are taken evenly too, and of each its middle frame."
)


def choose_frames(
    labels: Labels, evaluation: Mapping[str, list[int]], *, training_count: int = 5, evaluation_count: int = 3
) -> list[FrameName]:
    """The frames that are shown, by a rule (`RULE`) that looks at no prediction."""
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
class Compared:
    """The photometric term of a frame and its annotated reference, as pictures."""

    warped: Float[Tensor, "3 ch cw"]  # the frame, sampled where the reference's surface lands in it
    residual: Float[Tensor, "3 ch cw"]  # by the colour map
    mean_residual: float
    share: float  # of the reference's surface


@dataclass(frozen=True)
class Comparison:
    """Everything that is shown of one frame; the mappings are by arm, and `TRUTH`."""

    name: FrameName
    picture: Float[Tensor, "3 h w"]
    overlays: dict[str, Float[Tensor, "3 sh sw"]]
    turned: dict[str, Float[Tensor, "3 th tw"]]
    reference: FrameName | None  # none in evaluation sequences
    reference_picture: Float[Tensor, "3 ch cw"] | None
    compared: dict[str, Compared]


def compare(dataset: Dataset, labels: Labels, name: FrameName, predictions: Mapping[str, Predictions]) -> Comparison:
    """Draw a frame's predictions and its truth. `dataset` reads pictures at their size on disk."""
    frame = dataset.frame(name, annotated=True)
    truth = _truth(dataset, frame)
    scenes = {arm: Scene.predicted(dataset, one, name) for arm, one in predictions.items()} | {TRUTH: truth}
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
) -> Compared:
    """The photometric term at the pictures' own size, drawn over the faded reference; of the pictures a window."""
    pair = FramePair(
        target.image[None],
        batched(target.camera),
        reference.image[None],
        batched(reference.camera),
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
    return Compared(window.of(warped), window.of(residual), mean, float(term.compared_share[0]))


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
    return Scene.true(dataset.hand, frame.annotation, frame.object)


def residual_colours(residual: Float[Tensor, " n"]) -> Float[np.ndarray, "n 3"]:
    """Residuals by the colour map."""
    return colormaps[RESIDUAL_COLOURS]((residual / RESIDUAL_LIMIT).clamp(0, 1).numpy())[:, :3]


def batched(camera: Camera) -> Camera:
    """A camera as a batch of one."""
    return Camera(camera.intrinsics[None], camera.width, camera.height)
