"""Signs of bad frames without the truth: no hand is seen, it or the object is out of the picture, or one jumps.

None of them says that a frame is good. A flag says that a frame is probably bad.
"""

from dataclasses import dataclass, replace
from enum import IntFlag

import numpy as np
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from warpgrasp.geometry import Camera
from warpgrasp.predictions.file import Predictions

LEAST_IN_VIEW = 0.5  # where less is seen, the network guesses
JUMP_M = 0.02  # a network's usual unsteadiness from frame to frame
ACCELERATION = 20.0  # m/s², twice that of gravity: hands that handle things stay below it


class Flag(IntFlag):
    """A sign that a frame is bad."""

    HAND_JUMPS = 1
    OBJECT_JUMPS = 2
    HAND_OUT_OF_VIEW = 4
    OBJECT_OUT_OF_VIEW = 8
    NOT_FINITE = 16
    NO_HAND_SEEN = 32

    @property
    def words(self) -> str:
        """The flags as words."""
        return ", ".join(str(flag.name).lower().replace("_", " ") for flag in Flag if flag in self)


def share_in_view(
    points: Float[Tensor, "b n 3"], camera: Camera, real: Bool[Tensor, "b n"] | None = None
) -> Float[Tensor, " b"]:
    """The share of points, those that are real, that lie before the camera and inside its picture."""
    pixels = camera.project(points)
    last = pixels.new_tensor([camera.width - 0.5, camera.height - 0.5])
    seen = ((pixels >= -0.5) & (pixels <= last)).all(dim=-1) & camera.sees(points)
    if real is None:
        return seen.float().mean(dim=1)
    return (seen & real).float().sum(dim=1) / real.sum(dim=1)


@dataclass(frozen=True)
class Neighbours:
    """The frames before and after each frame in its sequence, by position."""

    sequence: np.ndarray
    time_s: Float[np.ndarray, " n"]

    @property
    def on_both_sides(self) -> Bool[np.ndarray, " n"]:
        """Whether a frame has a neighbour on both sides."""
        same = (self.sequence[1:] == self.sequence[:-1]) & (np.diff(self.time_s) > 0)
        return np.concatenate([[False], same]) & np.concatenate([same, [False]])

    def departure(self, points: Float[np.ndarray, "n k 3"]) -> Float[np.ndarray, " n"]:
        """The mean distance of a frame's points from the straight line between its neighbours' (metres); NaN at ends.

        The line is taken at the frame's own time.
        """
        departure = np.full(len(points), np.nan)
        if len(points) > 2:
            elapsed, gap = self._elapsed
            share = (elapsed / gap)[:, None, None]
            expected = (1 - share) * points[:-2] + share * points[2:]
            departure[1:-1] = np.linalg.norm(points[1:-1] - expected, axis=-1).mean(axis=-1)
        departure[~self.on_both_sides] = np.nan
        return departure

    @property
    def allowed(self) -> Float[np.ndarray, " n"]:
        """The largest departure (metres) that unsteadiness and a hand's acceleration explain; inf at ends."""
        limit = np.full(len(self.time_s), np.inf)
        if len(limit) > 2:
            elapsed, gap = self._elapsed
            limit[1:-1] = JUMP_M + ACCELERATION * elapsed * (gap - elapsed) / 2
        return limit

    @property
    def _elapsed(self) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"]]:
        """Seconds from the frame before to each inner frame, and to the frame after it."""
        gap = self.time_s[2:] - self.time_s[:-2]
        return self.time_s[1:-1] - self.time_s[:-2], np.where(gap == 0, 1.0, gap)


def times_of(predictions: Predictions, interval_s: Float[np.ndarray, " n"] | float) -> Float[np.ndarray, " n"]:
    """When each frame is shown; where that is not known, its number times an interval."""
    by_number = predictions.index * interval_s
    if predictions.time_s is None:
        return by_number
    return np.where(np.isnan(predictions.time_s), by_number, predictions.time_s)


def with_quality(
    predictions: Predictions, corners: Float[np.ndarray, "n 8 3"], times_s: Float[np.ndarray, " n"]
) -> Predictions:
    """The predictions with their jumps and flags. `corners` are those of each frame's object, in camera space.

    The frames are in order, with a neighbour before and after them where there is one.
    """
    count, neighbours = len(predictions), Neighbours(predictions.sequence, times_s)
    hand_jump, object_jump = neighbours.departure(predictions.hand_joints), neighbours.departure(corners)
    with np.errstate(invalid="ignore"):
        signs = {
            Flag.HAND_JUMPS: hand_jump > neighbours.allowed,
            Flag.OBJECT_JUMPS: object_jump > neighbours.allowed,
            Flag.HAND_OUT_OF_VIEW: _out_of_view(predictions.hand_in_view, count),
            Flag.OBJECT_OUT_OF_VIEW: _out_of_view(predictions.object_in_view, count),
            Flag.NOT_FINITE: ~finite(predictions),
            Flag.NO_HAND_SEEN: _without_hand(predictions.hand_presence, count),
        }
    flags = np.zeros(count, np.uint8)
    for flag, flagged in signs.items():
        flags[flagged] |= int(flag)
    jumps = {"hand_jump": hand_jump.astype(np.float32), "object_jump": object_jump.astype(np.float32)}
    return replace(predictions, **jumps, flags=flags)


def _out_of_view(share: Float[np.ndarray, " n"] | None, count: int) -> Bool[np.ndarray, " n"]:
    """Where a share in view is too small; nowhere where it was not measured."""
    return np.zeros(count, bool) if share is None else share < LEAST_IN_VIEW


def _without_hand(presence: Float[np.ndarray, " n"] | None, count: int) -> Bool[np.ndarray, " n"]:
    """Where the detector sees no hand; a frame that it did not look at is like the last one that it did."""
    if presence is None or not count:
        return np.zeros(count, bool)
    looked = np.where(np.isnan(presence), 0, np.arange(count))
    return presence[np.maximum.accumulate(looked)] == 0


def finite(predictions: Predictions) -> Bool[np.ndarray, " n"]:
    """Whether all numbers of a frame's hand and object are finite."""
    parts = (
        predictions.hand_joints,
        predictions.object_rotation,
        predictions.object_translation,
    )
    return np.all([np.isfinite(part).reshape(len(part), -1).all(axis=1) for part in parts], axis=0)


def summary(flags: UInt8[np.ndarray, " n"]) -> str:
    """How many frames are flagged, and for what, in words."""
    flagged = int((flags != 0).sum())
    if not flagged:
        return f"none of {len(flags)} frames is flagged"
    kinds = ", ".join(f"{Flag(flag).words}: {count}" for flag in Flag if (count := int(((flags & flag) != 0).sum())))
    return f"{flagged} of {len(flags)} frames are flagged as doubtful ({kinds})"


def refined_summary(predictions: Predictions) -> str:
    """How many frames were refined, and what the keypoints gained by it, in words."""
    before, after = predictions.keypoint_distance_px, predictions.refined_distance_px
    assert before is not None
    assert after is not None
    refined = np.isfinite(after)
    count = f"{int(refined.sum())} of {len(predictions)} frames are refined"
    if not refined.any():
        return f"{count}: no hand is seen"
    means = [float(np.mean(distance_px[refined])) for distance_px in (before, after)]
    return f"{count}: joints lie {means[1]:.1f} px from the keypoints on average, before {means[0]:.1f} px"
