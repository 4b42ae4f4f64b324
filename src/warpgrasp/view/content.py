"""What a page shows of a sequence of predictions: meshes, what lies behind them, and curves over the frames.

The meshes of a frame are layers: the prediction, that of another network (the control), and the truth. Behind them lies
the picture, or what the photometric term sees of the frame and its nearest labelled frame: the residual or the flow.
Both are in the frame's own pixels: its predicted surface, moved to where the label has it, is seen there in the label's
picture.
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
from warpgrasp.export import PredictedSequence, SequenceError
from warpgrasp.frame import Annotation, FrameName, FramePair, colours
from warpgrasp.geometry import Camera
from warpgrasp.photometric import photometric_consistency
from warpgrasp.predictions import check_places
from warpgrasp.report import FADED, residual_colours
from warpgrasp.scene import Scene

MM_PER_M = 1000.0
PREDICTION, OTHER_HAND, CONTROL, TRUTH = "prediction", "other hand", "control", "truth"
Background = Literal["picture", "residual", "flow"]
FLOW_LIMIT_SHARE = 0.1  # of the picture's width: longer flows are drawn like this one
REMEMBERED = 8  # pictures
LIMIT_SHARE = 0.9  # of the vertices lie within the end of the scale of distances


@dataclass(frozen=True)
class PoseLayer:
    """Hand and object in some of the shown frames, in camera space (metres)."""

    key: str
    is_present: Bool[np.ndarray, " n"]
    """In which frames there are such; elsewhere the numbers mean nothing."""
    hand_vertices: Float[np.ndarray, "n v 3"]
    object_rotation: Float[np.ndarray, "n 3 3"]
    object_translation: Float[np.ndarray, "n 3"]


@dataclass(frozen=True)
class Curve:
    """One number for each frame of a sequence, NaN where there is none."""

    label: str
    ink: str
    """The variable of the style sheet that holds its colour."""
    values: Float[np.ndarray, " n"]
    dashed: bool = False


@dataclass(frozen=True)
class Chart:
    """The curves of a sequence over its frames."""

    title: str
    unit: str
    curves: Sequence[Curve]


@dataclass(frozen=True)
class ViewContent:
    """A sequence, another network's predictions of it, and the data set that has its annotations, where there are such.

    Raises `SequenceError` when the control is of another hand model or object.
    """

    sequence: PredictedSequence
    control: PredictedSequence | None = None
    dataset: Dataset | None = None

    def __post_init__(self) -> None:
        sequence, control = self.sequence, self.control
        if control is None:
            return
        if control.model.name != sequence.model.name or len(control.hand.faces) != len(sequence.hand.faces):
            raise SequenceError(
                f"expected the control's predictions of the same hand model and of {sequence.model.name}, found "
                f"{control.hand.template.name} and {control.model.name}"
            )

    @cached_property
    def indices(self) -> Int[np.ndarray, " n"]:
        """The numbers of the frames."""
        return np.array(self.sequence.predictions.index[self.sequence.rows])

    @cached_property
    def annotated(self) -> list[int]:
        """The numbers of the annotated frames."""
        if self.dataset is None:
            return []
        names = [FrameName(self.sequence.name, int(index)) for index in self.indices]
        return [name.index for name in names if self.dataset.is_annotated(name)]

    def annotation(self, index: int) -> Annotation | None:
        """The annotation of a frame, where there is one."""
        name = FrameName(self.sequence.name, index)
        if self.dataset is None or not self.dataset.is_annotated(name):
            return None
        return self.dataset.truth(name).annotation

    # --- the meshes

    @property
    def keys(self) -> list[str]:
        """The keys of the layers."""
        return [PREDICTION, *self._beside, *([TRUTH] if self.annotated else [])]

    def layers(self, indices: Int[np.ndarray, " n"]) -> list[PoseLayer]:
        """The layers of the frames of these numbers, in the order of `keys`.

        Raises `SequenceError` when the annotated hands are not of the predictions' model.
        """
        predicted = {PREDICTION: self.sequence, **self._beside}
        layers = [_predicted_layer(key, sequence, indices) for key, sequence in predicted.items()]
        if self.annotated:
            layers.append(self._true_layer(indices))
        return layers

    @property
    def _beside(self) -> dict[str, PredictedSequence]:
        beside = {OTHER_HAND: self.sequence.other_hand, CONTROL: self.control}
        return {key: one for key, one in beside.items() if one is not None}

    def _true_layer(self, indices: Int[np.ndarray, " n"]) -> PoseLayer:
        annotations = [self.annotation(int(index)) for index in indices]
        vertex_count = len(self.sequence.hand.template_vertices)
        hand = np.zeros((len(indices), vertex_count, 3), np.float32)
        rotation, translation = np.zeros((len(indices), 3, 3)), np.zeros((len(indices), 3))
        for row, annotation in enumerate(annotations):
            if annotation is None:
                continue
            if annotation.hand_vertices.shape != (vertex_count, 3):
                raise SequenceError(
                    f"expected true hands of {vertex_count} vertices, as predicted, found "
                    f"{len(annotation.hand_vertices)}; choose the hand model by --hand open|mano"
                )
            hand[row] = annotation.hand_vertices.numpy()
            rotation[row] = annotation.object_rotation.numpy()
            translation[row] = annotation.object_translation.numpy()
        is_present = np.array([annotation is not None for annotation in annotations])
        return PoseLayer(TRUTH, is_present, hand, rotation, translation)

    # --- behind the meshes

    @cached_property
    def labels(self) -> list[int]:
        """The labelled frames that others are compared with: those that the file notes, or all that are annotated."""
        annotated, noted = set(self.annotated), self.sequence.labels
        return sorted(annotated if noted is None else annotated & set(noted))

    @property
    def backgrounds(self) -> list[Background]:
        """The kinds of background that there are."""
        if self.sequence.pictures is None:
            return []
        comparable = bool(self.labels) and self.indices.tolist() != self.labels[:1]
        return ["picture", "residual", "flow"] if comparable else ["picture"]

    def background(self, kind: Background, index: int) -> UInt8[np.ndarray, "h w 3"]:
        """The picture of a frame, or its comparison with the nearest other label."""
        picture, camera = self.picture(index)
        others = [label for label in self.labels if label != index]
        if kind == "picture" or not others:
            return picture
        nearest = min(others, key=lambda label: abs(self._time_s(label) - self._time_s(index)))
        annotation = self.annotation(nearest)
        assert annotation is not None
        labelled = Scene.annotated(self.sequence.hand, annotation, self.sequence.model)
        frame = PictureOfScene(picture, camera, self.sequence.scene(index))
        return comparison(kind, frame, PictureOfScene(*self.picture(nearest), labelled))

    def _time_s(self, index: int) -> float:
        return float(self.sequence.times_s[np.flatnonzero(self.indices == index)[0]])

    def picture(self, index: int) -> tuple[UInt8[np.ndarray, "h w 3"], Camera]:
        """A frame's picture and its camera; the last few are remembered."""
        assert self.sequence.pictures is not None
        if index not in self._pictures:
            self._pictures[index] = self.sequence.pictures(FrameName(self.sequence.name, index))
            if len(self._pictures) > REMEMBERED:
                del self._pictures[next(iter(self._pictures))]
        return self._pictures[index]

    @cached_property
    def _pictures(self) -> dict[int, tuple[UInt8[np.ndarray, "h w 3"], Camera]]:
        return {}

    def camera(self, index: int) -> Camera:
        """A frame's camera. Raises `SequenceError` when neither pictures nor a camera are given."""
        if self.sequence.camera is not None:
            return self.sequence.camera
        if self.sequence.pictures is None:
            raise SequenceError("expected the pictures that were predicted, or their camera; give them by --data")
        return self.picture(index)[1]

    # --- over the frames

    @property
    def chart(self) -> Chart:
        """The errors where most frames are annotated, or some and `densify` measured no difference of colours.

        Else the difference of colours to the nearest label, or where it was not measured the jumps.
        """
        sequence = self.sequence
        most = 2 * len(self.annotated) > len(self.indices)
        if self.annotated and (most or sequence.difference is None):
            curves = self._error_curves(sequence)
            if self.control is not None:
                curves += self._error_curves(self.control, is_control=True)
            return Chart("error", "mm", curves)
        if sequence.difference is not None:
            curves = [
                Curve(f"{name.replace('_', ' ')} and object", "--hand", one.difference, one is not sequence)
                for name, one in sequence.hands.items()
                if one.difference is not None
            ]
            return Chart("difference of colours to the nearest label", "", curves)
        predictions, nothing = sequence.predictions, np.full(len(sequence), np.nan)
        jumps_mm = [
            nothing if jumps is None else MM_PER_M * jumps[sequence.rows]
            for jumps in (predictions.hand_jump, predictions.object_jump)
        ]
        return Chart("jump against the neighbouring frames", "mm", _hand_and_object(*jumps_mm))

    def _error_curves(self, sequence: PredictedSequence, *, is_control: bool = False) -> list[Curve]:
        """Mean errors of the hand's joints and the object's vertices (mm, camera space, no alignment)."""
        object_vertices, predicted = sequence.model.vertices.double().numpy(), sequence.predictions
        hand_mm, object_mm = np.full(len(self.indices), np.nan), np.full(len(self.indices), np.nan)
        for position, index in enumerate(self.indices.tolist()):
            annotation, row = self.annotation(index), sequence.row_of.get(index)
            if annotation is None or row is None:
                continue
            joints = annotation.hand_joints.numpy() - predicted.hand_joints[row]
            rotation = annotation.object_rotation.double().numpy() - predicted.object_rotation[row]
            translation = annotation.object_translation.numpy() - predicted.object_translation[row]
            vertices = object_vertices @ rotation.T + translation
            hand_mm[position] = MM_PER_M * np.linalg.norm(joints, axis=-1).mean()
            object_mm[position] = MM_PER_M * np.linalg.norm(vertices, axis=-1).mean()
        return _hand_and_object(hand_mm, object_mm, is_control=is_control)


def _hand_and_object(
    hand_values: Float[np.ndarray, " n"], object_values: Float[np.ndarray, " n"], *, is_control: bool = False
) -> list[Curve]:
    ending = f" ({CONTROL})" if is_control else ""
    return [
        Curve(f"hand{ending}", "--hand", hand_values, is_control),
        Curve(f"object{ending}", "--object", object_values, is_control),
    ]


def _predicted_layer(key: str, sequence: PredictedSequence, indices: Int[np.ndarray, " n"]) -> PoseLayer:
    """The predictions of the frames of these numbers, as far as there are such."""
    row_of = sequence.row_of
    is_present = np.array([int(index) in row_of for index in indices])
    rows = np.array([row_of.get(int(index), sequence.rows[0]) for index in indices])
    part = sequence.predictions.rows(rows)
    check_places(part.hand_vertices)
    return PoseLayer(key, is_present, part.hand_vertices, part.object_rotation, part.object_translation)


def distance_limit_mm(layer: PoseLayer, truth: PoseLayer, object_vertices: Float[Tensor, "w 3"]) -> float:
    """A round distance that most vertices of hand and object lie within: the end of the colour scale."""
    both = layer.is_present & truth.is_present
    if not both.any():
        return 0.0
    hand = np.linalg.norm(layer.hand_vertices[both] - truth.hand_vertices[both], axis=-1)
    rotation = layer.object_rotation[both] - truth.object_rotation[both]
    translation = layer.object_translation[both] - truth.object_translation[both]
    moved = object_vertices.double().numpy() @ rotation.swapaxes(1, 2) + translation[:, None]
    distances = np.concatenate([hand.ravel(), np.linalg.norm(moved, axis=-1).ravel()])
    return rounded_up(MM_PER_M * float(np.quantile(distances, LIMIT_SHARE)))


def rounded_up(value: float) -> float:
    """The next of 1, 2, 5, 10, 20, 50 …"""
    power = 10.0 ** np.floor(np.log10(max(value, 1e-3)))
    return float(next(step * power for step in (1, 2, 5, 10) if step * power >= value * (1 - 1e-9)))


@dataclass(frozen=True)
class PictureOfScene:
    """A picture, its camera, and the surfaces that it shows."""

    picture: UInt8[np.ndarray, "h w 3"]
    camera: Camera
    scene: Scene

    @property
    def image(self) -> Float[Tensor, "1 3 h w"]:
        """The colours in [0, 1]."""
        return colours(torch.from_numpy(np.ascontiguousarray(self.picture.transpose(2, 0, 1))))[None]


def comparison(
    kind: Literal["residual", "flow"], frame: PictureOfScene, label: PictureOfScene
) -> UInt8[np.ndarray, "h w 3"]:
    """The residual or the flow from a frame to a label, over the faded picture."""
    pair = FramePair(label.image, label.camera.batched, frame.image, frame.camera.batched, frame.scene.mesh)
    with torch.no_grad():
        term = photometric_consistency(pair, label.scene.mesh)
    faded = FADED * frame.picture.mean(axis=2, keepdims=True)
    drawn = np.repeat(faded, 3, axis=2).round().astype(np.uint8)
    if kind == "residual":
        painted = term.compared[0]
        ink = residual_colours(term.residual[0, painted])
    else:
        painted = term.flow.visible[0]
        ink = flow_colours(term.flow.flow_px[0, painted].numpy(), float(flow_limit_px(frame.camera.width)))
    u, v = term.flow.fragments.pixels[0, painted].unbind(-1)
    drawn[v.numpy(), u.numpy()] = (255 * ink).round().astype(np.uint8)
    return drawn


def flow_limit_px(width: int) -> int:
    """The length of a flow in full colour, in a picture of this width."""
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
