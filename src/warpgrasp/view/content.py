"""What the page can show of each frame: the prediction, that of another network, and the truth.

What the page can show behind the meshes besides the picture: the photometric residual and the flow.

Both compare a frame with the labelled frame nearest to it, and lie in the frame's own pixels: its predicted surface,
moved to where the label has it, is seen there in the label's picture.

What a page shows of a take: the layers of any of its frames, and what lies behind them.
"""

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from warpgrasp.data import Dataset
from warpgrasp.export import Take, TakeError
from warpgrasp.frame import Annotation, FrameName, FramePair, colours
from warpgrasp.geometry import Camera
from warpgrasp.photometric import photometric_consistency
from warpgrasp.report import FADED, residual_colours
from warpgrasp.scene import Scene

MM_PER_M = 1000.0


@dataclass(frozen=True)
class Layer:
    """Hand and object in some of the shown frames, in camera space (metres)."""

    key: str
    label: str
    there: Bool[np.ndarray, " n"]
    """In which frames; elsewhere the numbers are zeros."""
    hand_vertices: Float[np.ndarray, "n v 3"]
    object_rotation: Float[np.ndarray, "n 3 3"]
    object_translation: Float[np.ndarray, "n 3"]


@dataclass(frozen=True)
class Errors:
    """Mean errors of every frame of a sequence, NaN where there is no truth (mm, camera space, no alignment)."""

    hand_joints_mm: Float[np.ndarray, " n"]
    object_vertices_mm: Float[np.ndarray, " n"]


def predicted_layer(key: str, label: str, take: Take, indices: Int[np.ndarray, " n"]) -> Layer:
    """The predictions of the frames of these numbers, as far as there are such."""
    row_of = take.row_of
    there = np.array([int(index) in row_of for index in indices])
    rows = np.array([row_of.get(int(index), take.rows[0]) for index in indices])
    part = take.predictions.rows(rows)
    return Layer(key, label, there, part.hand_vertices, part.object_rotation, part.object_translation)


class Truth:
    """The annotations of a sequence, by the numbers of its frames."""

    def __init__(self, dataset: Dataset, sequence: str):
        self._dataset, self._sequence = dataset, sequence

    def annotation(self, index: int) -> Annotation | None:
        """What is known of a frame, if anything."""
        name = FrameName(self._sequence, index)
        return self._dataset.truth(name).annotation if self._dataset.is_annotated(name) else None

    def layer(self, indices: Int[np.ndarray, " n"], vertex_count: int) -> Layer:
        """The annotated ones of these frames.

        Raises `TakeError` when the hands are not those of the predictions' model.
        """
        known = [self.annotation(int(index)) for index in indices]
        hand, rotation, translation = (np.zeros((len(indices), *shape)) for shape in ((vertex_count, 3), (3, 3), (3,)))
        for row, one in enumerate(known):
            if one is None:
                continue
            if one.hand_vertices.shape != hand.shape[1:]:
                raise TakeError(
                    f"expected true hands of {vertex_count} vertices, as predicted, found {len(one.hand_vertices)}; "
                    f"choose the hand model by --hand open|mano"
                )
            hand[row], rotation[row], translation[row] = (
                one.hand_vertices.numpy(),
                one.object_rotation.numpy(),
                one.object_translation.numpy(),
            )
        there = np.array([one is not None for one in known])
        return Layer("truth", "truth", there, hand.astype(np.float32), rotation, translation)

    def errors(self, take: Take, every: Sequence[int]) -> Errors:
        """The errors of a take in the frames of these numbers."""
        local, predicted = take.model.vertices.double().numpy(), take.predictions
        hand, thing = np.full(len(every), np.nan), np.full(len(every), np.nan)
        for place, index in enumerate(every):
            annotation, row = self.annotation(index), take.row_of.get(index)
            if annotation is None or row is None:
                continue
            joints = annotation.hand_joints.numpy() - predicted.hand_joints[row]
            turn = annotation.object_rotation.double().numpy() - predicted.object_rotation[row]
            apart = local @ turn.T + annotation.object_translation.numpy() - predicted.object_translation[row]
            hand[place] = MM_PER_M * np.linalg.norm(joints, axis=-1).mean()
            thing[place] = MM_PER_M * np.linalg.norm(apart, axis=-1).mean()
        return Errors(hand, thing)


def heat_limit_mm(layer: Layer, truth: Layer, local: torch.Tensor) -> float:
    """A round distance that most vertices of hand and object lie within: the end of the colour scale."""
    both = layer.there & truth.there
    if not both.any():
        return 0.0
    hand = np.linalg.norm(layer.hand_vertices[both] - truth.hand_vertices[both], axis=-1)
    turn = layer.object_rotation[both] - truth.object_rotation[both]
    move = layer.object_translation[both] - truth.object_translation[both]
    thing = np.linalg.norm(local.double().numpy() @ turn.swapaxes(1, 2) + move[:, None], axis=-1)
    return round_up(MM_PER_M * float(np.quantile(np.concatenate([hand.ravel(), thing.ravel()]), 0.9)))


def round_up(value: float) -> float:
    """The next of 1, 2, 5, 10, 20, 50 …"""
    power = 10.0 ** np.floor(np.log10(max(value, 1e-3)))
    return float(next(step * power for step in (1, 2, 5, 10) if step * power >= value * (1 - 1e-9)))


Background = Literal["picture", "residual", "flow"]
FLOW_LIMIT_SHARE = 0.1  # of the picture's width: longer flows look like this one


@dataclass(frozen=True)
class Sight:
    """A picture, its camera, and the surfaces in it."""

    picture: UInt8[np.ndarray, "h w 3"]
    camera: Camera
    scene: Scene

    @property
    def image(self) -> Float[Tensor, "1 3 h w"]:
        """The colours in [0, 1]."""
        return colours(torch.from_numpy(np.ascontiguousarray(self.picture.transpose(2, 0, 1))))[None]


def background(kind: Literal["residual", "flow"], frame: Sight, label: Sight) -> UInt8[np.ndarray, "h w 3"]:
    """The residual or the flow from a frame to a label, over the faded picture."""
    cameras = [one.camera.batched for one in (label, frame)]
    pair = FramePair(label.image, cameras[0], frame.image, cameras[1], frame.scene.mesh)
    with torch.no_grad():
        term = photometric_consistency(pair, label.scene.mesh)
    faded = FADED * frame.picture.mean(axis=2, keepdims=True)
    drawn = np.repeat(faded, 3, axis=2).round().astype(np.uint8)
    if kind == "residual":
        shown = term.compared[0]
        painted = residual_colours(term.residual[0, shown])
    else:
        shown = term.flow.visible[0]
        painted = flow_colours(term.flow.flow_px[0, shown].numpy(), float(flow_limit_px(frame.camera.width)))
    u, v = term.flow.fragments.pixels[0, shown].unbind(-1)
    drawn[v.numpy(), u.numpy()] = (255 * painted).round().astype(np.uint8)
    return drawn


def flow_limit_px(width: int) -> int:
    """The length of a flow in full colour."""
    return max(1, round(FLOW_LIMIT_SHARE * width))


def flow_colours(flow_px: Float[np.ndarray, "n 2"], limit_px: float) -> Float[np.ndarray, "n 3"]:
    """The colour wheel: hue is the direction (red to the right, then clockwise), saturation the length."""
    turns = (np.arctan2(flow_px[:, 1], flow_px[:, 0]) / (2 * np.pi)) % 1
    full = _wheel()[np.rint(turns * 360).astype(int) % 360]
    length = np.minimum(np.linalg.norm(flow_px, axis=1) / limit_px, 1)[:, None]
    return 1 - length * (1 - full)


@cache
def _wheel() -> Float[np.ndarray, "360 3"]:
    return np.array([colorsys.hsv_to_rgb(degree / 360, 1.0, 1.0) for degree in range(360)])


REMEMBERED = 8  # pictures
PREDICTION, CONTROL, TRUTH = "prediction", "control", "truth"


@dataclass(frozen=True)
class Shown:
    """A take, another network's of the same frames, and the data set that knows the truth, if there are such."""

    take: Take
    control: Take | None = None
    dataset: Dataset | None = None

    def __post_init__(self) -> None:
        take, control = self.take, self.control
        if control is None:
            return
        if control.model.name != take.model.name or len(control.hand.faces) != len(take.hand.faces):
            raise TakeError(
                f"expected the control's predictions of the same hand model and of {take.model.name}, found "
                f"{control.hand.template.name} and {control.model.name}"
            )

    @cached_property
    def every(self) -> Int[np.ndarray, " n"]:
        """The numbers of the frames."""
        return np.array(self.take.predictions.index[self.take.rows])

    @cached_property
    def truth(self) -> Truth | None:
        """The annotations of the sequence."""
        return None if self.dataset is None else Truth(self.dataset, self.take.sequence)

    @cached_property
    def annotated(self) -> list[int]:
        """The numbers of the frames whose truth is known."""
        if self.dataset is None:
            return []
        names = [FrameName(self.take.sequence, int(index)) for index in self.every]
        return [name.index for name in names if self.dataset.is_annotated(name)]

    @property
    def keys(self) -> list[str]:
        """The layers that there are."""
        control = [] if self.control is None else [CONTROL]
        return [PREDICTION, *control, *([TRUTH] if self.annotated else [])]

    def layers(self, indices: Int[np.ndarray, " n"]) -> list[Layer]:
        """The layers of the frames of these numbers, in the order of `keys`."""
        layers = [predicted_layer(PREDICTION, PREDICTION, self.take, indices)]
        if self.control is not None:
            layers.append(predicted_layer(CONTROL, CONTROL, self.control, indices))
        if self.annotated:
            assert self.truth is not None
            layers.append(self.truth.layer(indices, len(self.take.hand.template_vertices)))
        return layers

    # --- behind the meshes

    @cached_property
    def labels(self) -> list[int]:
        """The labelled frames that others are compared with: those that the file notes, or all that are annotated."""
        stated = self.take.labels
        known = set(self.annotated)
        return sorted(known if stated is None else known & set(stated))

    @property
    def backgrounds(self) -> list[Background]:
        """What can be shown behind the meshes."""
        if self.take.pictures is None:
            return []
        comparable = bool(self.labels) and self.every.tolist() != self.labels[:1]
        return ["picture", "residual", "flow"] if comparable else ["picture"]

    def background(self, kind: Background, index: int) -> UInt8[np.ndarray, "h w 3"]:
        """The picture of a frame, or what its comparison with the nearest other label shows."""
        picture, camera = self.picture(index)
        others = [label for label in self.labels if label != index]
        if kind == "picture" or not others:
            return picture
        label = min(others, key=lambda label: abs(self._time_s(label) - self._time_s(index)))
        assert self.truth is not None
        annotation = self.truth.annotation(label)
        assert annotation is not None
        known = Scene.annotated(self.take.hand, annotation, self.take.model)
        scene = self._scene(index)
        return background(kind, Sight(picture, camera, scene), Sight(*self.picture(label), known))

    def _time_s(self, index: int) -> float:
        return float(self.take.times_s[np.flatnonzero(self.every == index)[0]])

    def picture(self, index: int) -> tuple[UInt8[np.ndarray, "h w 3"], Camera]:
        """A frame's picture and its camera; the last few are remembered."""
        assert self.take.pictures is not None
        if index not in self._pictures:
            self._pictures[index] = self.take.pictures(FrameName(self.take.sequence, index))
            if len(self._pictures) > REMEMBERED:
                del self._pictures[next(iter(self._pictures))]
        return self._pictures[index]

    @cached_property
    def _pictures(self) -> dict[int, tuple[UInt8[np.ndarray, "h w 3"], Camera]]:
        return {}

    def _scene(self, index: int) -> Scene:
        layer = predicted_layer(PREDICTION, PREDICTION, self.take, np.array([index]))
        arrays = layer.hand_vertices[0], layer.object_rotation[0], layer.object_translation[0]
        vertices, rotation, translation = (torch.from_numpy(np.array(array)).float() for array in arrays)
        return Scene.of(self.take.hand, vertices, rotation, translation, self.take.model)
