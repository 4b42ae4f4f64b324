"""What the page can show of each frame: the prediction, that of another network, and the truth."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from warpgrasp.data import Dataset
from warpgrasp.frame import Annotation, FrameName
from warpgrasp.viewer.predicted import TakeError
from warpgrasp.viewer.take import Take

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
