"""Predictions of the other hand with the same object, in the same frames, shown and written as one with a hand's."""

from dataclasses import replace

import numpy as np
import torch

from warpgrasp.export.sequence import PredictedSequence, SequenceError
from warpgrasp.geometry import Camera

APART_M = 1e-6  # as far as the object's places, and the numbers of its rotations, may lie apart: digits of float32
ANOTHER = "give the two files that one `densify` of both hands wrote"


def with_other_hand(sequence: PredictedSequence, other: PredictedSequence) -> PredictedSequence:
    """A sequence with the other hand beside it.

    Raises `SequenceError` unless that is the other hand, around the same object on the same path, in the same frames of
    the same camera.
    """
    if other.side == sequence.side:
        raise SequenceError(f"expected predictions of two hands, found two of a {sequence.side} one; {ANOTHER}")
    if other.model.name != sequence.model.name or not _same_meshes(sequence, other):
        raise SequenceError(
            f"expected both hands with the object {sequence.model.name}, found {other.model.name}; {ANOTHER}"
        )
    frames, others = (one.predictions.index[one.rows] for one in (sequence, other))
    if not np.array_equal(frames, others):
        raise SequenceError(
            f"expected both hands in the same frames, found {len(frames)} of the {sequence.side} and {len(others)} of "
            f"the {other.side} one; {ANOTHER}"
        )
    if not _same_cameras(sequence.camera, other.camera):
        raise SequenceError(f"expected both hands before one camera, found two; {ANOTHER}")
    apart_m = _path_apart_m(sequence, other)
    if not apart_m <= APART_M:
        raise SequenceError(
            f"expected both hands around one object, found its places up to {1000 * apart_m:.3g} mm apart; {ANOTHER}"
        )
    return replace(sequence, other_hand=other)


def _same_meshes(sequence: PredictedSequence, other: PredictedSequence) -> bool:
    one, two = sequence.model, other.model
    return torch.equal(one.vertices, two.vertices) and torch.equal(one.faces, two.faces)


def _same_cameras(one: Camera | None, two: Camera | None) -> bool:
    if one is None or two is None:
        return one is two
    return torch.equal(one.intrinsics, two.intrinsics) and (one.width, one.height) == (two.width, two.height)


def _path_apart_m(sequence: PredictedSequence, other: PredictedSequence) -> float:
    """The largest difference of the object's places, and of its rotations' numbers."""
    paths = [
        [np.asarray(one.predictions.arrays[name][one.rows], np.float64) for one in (sequence, other)]
        for name in ("object_translation", "object_rotation")
    ]
    return max(float(np.abs(one - two).max()) for one, two in paths)
