"""Errors of the hand's joints: alignments of the prediction to the truth, and percentages of correct keypoints (PCK).

A metric's name says which alignment it uses. The share of correct keypoints and the share of correct frames are
different metrics (paper Sec. 4.2, Fig. 5).
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, assert_never

import numpy as np
from jaxtyping import Float, Int

from warpgrasp.evaluation.metrics import EvaluationError
from warpgrasp.hand import JOINTS, PLACEMENT_JOINT

Alignment = Literal["camera", "wrist_relative", "middle_base_relative", "procrustes"]
WRIST = JOINTS.index("wrist")
NORM_FLOOR = 1e-8  # HO-3D's and DexYCB's scripts add it to both norms: a prediction that is one point stays finite


def aligned_joints(
    predicted: Float[np.ndarray, "b 21 3"], expected: Float[np.ndarray, "b 21 3"], alignment: Alignment
) -> Float[np.ndarray, "b 21 3"]:
    """The predicted joints (order: `JOINTS`) after an alignment to the expected ones; `camera` leaves them alone."""
    match alignment:
        case "camera":
            return predicted
        case "wrist_relative":
            return shifted(predicted, expected, WRIST)
        case "middle_base_relative":
            return shifted(predicted, expected, PLACEMENT_JOINT)
        case "procrustes":
            return procrustes_aligned(predicted, expected)
        case _:
            assert_never(alignment)


def shifted(
    predicted: Float[np.ndarray, "b n 3"], expected: Float[np.ndarray, "b n 3"], point: int
) -> Float[np.ndarray, "b n 3"]:
    """The prediction moved so that one of its points lies where it is expected."""
    return predicted - predicted[:, point : point + 1] + expected[:, point : point + 1]


def scale_translation_aligned(
    predicted: Float[np.ndarray, "b n 3"], expected: Float[np.ndarray, "b n 3"], *, root: int, tip: int
) -> Float[np.ndarray, "b n 3"]:
    """The prediction scaled to the expected length from point `root` to point `tip`, then moved to its root.

    A prediction of length zero is multiplied by the expected length all the same, as in HO-3D's script.
    """
    length = np.linalg.norm(predicted[:, tip] - predicted[:, root], axis=-1)
    expected_length = np.linalg.norm(expected[:, tip] - expected[:, root], axis=-1)
    unit = predicted / np.where(length > 0, length, 1.0)[:, None, None]
    return shifted(unit * expected_length[:, None, None], expected, root)


def procrustes_aligned(
    predicted: Float[np.ndarray, "b n 3"], expected: Float[np.ndarray, "b n 3"]
) -> Float[np.ndarray, "b n 3"]:
    """The prediction after the similarity that brings it nearest to what is expected, *reflections included*.

    As HO-3D's and DexYCB's scripts have it: both are centred and divided by their Frobenius norms; the orthogonal
    matrix R nearest to expectedᵀ·predicted and the sum of its singular values s turn and scale the prediction.
    """
    centre = expected.mean(axis=1, keepdims=True)
    target, source = expected - centre, predicted - predicted.mean(axis=1, keepdims=True)
    target_norm = np.linalg.norm(target, axis=(1, 2), keepdims=True) + NORM_FLOOR
    source_norm = np.linalg.norm(source, axis=(1, 2), keepdims=True) + NORM_FLOOR
    target, source = target / target_norm, source / source_norm
    u, singular, v_transposed = np.linalg.svd(target.transpose(0, 2, 1) @ source)
    turned = source @ (u @ v_transposed).transpose(0, 2, 1)
    return turned * singular.sum(axis=-1)[:, None, None] * target_norm + centre


@dataclass(frozen=True)
class Thresholds:
    """Evenly spaced thresholds from 0 to `limit`, both included, in the unit of the distances."""

    limit: float
    count: int

    @cached_property
    def values(self) -> Float[np.ndarray, " t"]:
        """The thresholds."""
        return np.linspace(0, self.limit, self.count)

    def area(self, shares: Float[np.ndarray, "*k t"]) -> Float[np.ndarray, "*k"]:
        """The normalised area under curves of shares, by the trapezoid rule: 1 when everything is correct."""
        return np.asarray(np.trapezoid(shares, self.values, axis=-1) / self.limit)


@dataclass
class KeypointError:
    """Mean distance and PCK with its area, over frames for each keypoint, then over keypoints.

    A keypoint is correct up to a threshold that it does not exceed (<=). Nothing is kept of single frames, so that
    any number of them can be scored.
    """

    thresholds: Thresholds
    frames: int = 0
    _sums: Float[np.ndarray, " k"] | None = field(default=None, repr=False)
    _first_correct: Int[np.ndarray, "k t"] | None = field(default=None, repr=False)

    def update(self, distances: Float[np.ndarray, "b k"]) -> None:
        """Add the distances of the keypoints of a batch of frames. Raises `EvaluationError` when one is not finite."""
        if not np.isfinite(distances).all():
            raise EvaluationError("expected finite predictions and annotations, found NaN or infinity")
        keypoints, bins = distances.shape[1], self.thresholds.count + 1
        first = np.searchsorted(self.thresholds.values, distances, side="left")  # the first threshold >= distance
        counts = np.bincount((first + bins * np.arange(keypoints)).ravel(), minlength=bins * keypoints)
        if self._sums is None or self._first_correct is None:
            self._sums, self._first_correct = np.zeros(keypoints), np.zeros((keypoints, bins), dtype=np.int64)
        self._sums += distances.sum(axis=0)
        self._first_correct += counts.reshape(keypoints, bins)
        self.frames += len(distances)

    def mean(self) -> float:
        """The mean over keypoints of each keypoint's mean distance over frames."""
        self._check()
        assert self._sums is not None
        return float((self._sums / self.frames).mean())

    def curve(self) -> Float[np.ndarray, " t"]:
        """The PCK at each threshold: the mean over keypoints."""
        return self._shares().mean(axis=0)

    def compute(self) -> float:
        """The area under the PCK of each keypoint, averaged over keypoints."""
        return float(self.thresholds.area(self._shares()).mean())

    def _shares(self) -> Float[np.ndarray, "k t"]:
        self._check()
        assert self._first_correct is not None
        return self._first_correct.cumsum(axis=1)[:, :-1] / self.frames

    def _check(self) -> None:
        if not self.frames:
            raise EvaluationError("expected at least one frame to score, got none")


@dataclass
class FramePck:
    """Share of the *frames* whose mean error lies below a threshold (<): the curves of Fig. 5, and their area."""

    thresholds: Thresholds
    frame_errors: list[float] = field(default_factory=list)

    def update(self, frame_errors: Float[np.ndarray, " b"]) -> None:
        """Add the mean errors of a batch of frames."""
        self.frame_errors += frame_errors.tolist()

    def curve(self) -> Float[np.ndarray, " t"]:
        """The share at each threshold."""
        if not self.frame_errors:
            raise EvaluationError("expected at least one frame to score, got none")
        below = np.searchsorted(np.sort(self.frame_errors), self.thresholds.values, side="left")
        return below / len(self.frame_errors)

    def compute(self) -> float:
        """The area under the curve."""
        return float(self.thresholds.area(self.curve()))
