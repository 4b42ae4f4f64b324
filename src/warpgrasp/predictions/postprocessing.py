"""Predictions when all frames are there: signs of bad frames, the temporal filter, and left hands.

Signs of bad frames need no truth: no hand is seen, it or the object is out of the picture, or one jumps. None of them
says that a frame is good. A flag says that a frame is probably bad.

The temporal filter averages parameters over neighbouring frames by a Gaussian of time: translations, pose coefficients
and shape as numbers, rotations by the chordal mean (Hartley et al. 2013, Sec. 5.3). A frame's weight is
exp(-(Δt)²/(2 σ²)) up to 3 σ. Towards the ends of a sequence the window shrinks, so that it reaches equally far to both
sides and a steady motion stays as it is. Nothing is averaged across sequences.

Left hands are predicted by a network of right ones from mirrored pictures, and the predictions mirrored back.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import IntFlag
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from warpgrasp.frame import ObjectModel
from warpgrasp.geometry import MIRROR, Camera, mirrored_points, mirrored_rotation, nearest_rotation
from warpgrasp.predictions.file import Predictions
from warpgrasp.predictions.shards import ShardContext

LEAST_IN_VIEW = 0.5  # where less is seen, the network guesses
JUMP_M = 0.02  # a network's usual unsteadiness from frame to frame
ACCELERATION = 20.0  # m/s², twice that of gravity: hands that handle things stay below it
DOUBTFUL_MM = 15.0  # of expected error, beyond which a frame is flagged
REACH = 3.0  # of the filter, in its standard deviations
LONGEST_FRAMES = 50.0  # of the standard deviation: the window must lie within the neighbouring shards
HANDS_AT_ONCE = 32  # that are posed together

# From a hand's rotation, translation, pose coefficients and shape to its vertices and joints.
HandPosing = Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


class Flag(IntFlag):
    """A sign that a frame is bad."""

    HAND_JUMPS = 1
    OBJECT_JUMPS = 2
    HAND_OUT_OF_VIEW = 4
    OBJECT_OUT_OF_VIEW = 8
    NOT_FINITE = 16
    NO_HAND_SEEN = 32
    DOUBTFUL = 64

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
            Flag.DOUBTFUL: doubtful(predictions),
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


def doubtful(predictions: Predictions) -> Bool[np.ndarray, " n"]:
    """Where hand or object are expected to be off by more than `DOUBTFUL_MM`; nowhere where nothing is expected."""
    expected = predictions.expected_error_mm
    return np.zeros(len(predictions), bool) if expected is None else expected > DOUBTFUL_MM


def finite(predictions: Predictions) -> Bool[np.ndarray, " n"]:
    """Whether all numbers of a frame's hand and object are finite, but for the vertices, which are the most."""
    names = ("hand_joints", "hand_rotation", "hand_translation", "hand_pose", "hand_shape")
    parts = [getattr(predictions, name) for name in (*names, "object_rotation", "object_translation")]
    return np.all([np.isfinite(part).reshape(len(part), -1).all(axis=1) for part in parts], axis=0)


def summary(flags: UInt8[np.ndarray, " n"]) -> str:
    """How many frames are flagged, and for what, in words."""
    flagged = int((flags != 0).sum())
    if not flagged:
        return f"none of {len(flags)} frames is flagged"
    kinds = ", ".join(f"{Flag(flag).words}: {count}" for flag in Flag if (count := int(((flags & flag) != 0).sum())))
    return f"{flagged} of {len(flags)} frames are flagged as doubtful ({kinds})"


def keypoints_summary(predictions: Predictions) -> str | None:
    """How far hands lie from where a detector sees them, and what refining gained, in words; None if nobody looked."""
    before, after = predictions.keypoint_distance_px, predictions.refined_distance_px
    if before is None:
        return None
    if after is None:
        return _distance_summary(predictions, before)
    refined = np.isfinite(after)
    count = f"{int(refined.sum())} of {len(predictions)} frames are refined"
    if not refined.any():
        return f"{count}: no hand is seen"
    means = [float(np.mean(distance_px[refined])) for distance_px in (before, after)]
    return f"{count}: joints lie {means[1]:.1f} px from the keypoints on average, before {means[0]:.1f} px"


def _distance_summary(predictions: Predictions, distance_px: Float[np.ndarray, " n"]) -> str | None:
    measured = np.isfinite(distance_px)
    if not measured.any():
        return None
    worst = int(np.nanargmax(distance_px))
    return (
        f"in the {int(measured.sum())} frames that were looked at and show a hand, its joints lie "
        f"{float(distance_px[measured].mean()):.1f} px from where they are seen on average, at most "
        f"{float(distance_px[worst]):.1f} px ({predictions.names[worst]}); --refine moves hands there"
    )


@dataclass(frozen=True)
class Smoothing:
    """The temporal filter of the parameters, and how a hand is posed by the averaged ones."""

    frames: float
    """The Gaussian's standard deviation, in frames of a sequence's usual interval."""
    pose_hand: HandPosing


@dataclass(frozen=True)
class Postprocessing:
    """Measure jumps and flags, then filter the parameters over time where `smoothing` is given.

    Jumps and flags are those of the network's own outputs: filtered ones look steadier than they are certain.
    """

    object_model: Callable[[str], ObjectModel]
    """The object of a name."""
    interval_s: Callable[[str], float]
    """The usual time from one frame number to the next, in a sequence."""
    smoothing: Smoothing | None = None

    def __call__(self, context: ShardContext) -> Predictions:
        """The middle shard as it is stored."""
        frames = context.joined
        interval_s = _by_name(self.interval_s, frames.sequence)
        times_s = times_of(frames, interval_s)
        judged = with_quality(frames, self._corners(frames), times_s)
        measured = ("hand_jump", "object_jump", "flags")
        own = replace(context.shard, **{name: getattr(judged, name)[context.own] for name in measured})
        if self.smoothing is None:
            return own
        timeline = Timeline(frames.sequence, times_s, finite(frames))
        shares = timeline.shares(context.own, self.smoothing.frames * interval_s)
        return _smoothed(own, frames, shares, self.smoothing.pose_hand)

    def _corners(self, predictions: Predictions) -> Float[np.ndarray, "n 8 3"]:
        local = _by_name(lambda name: self.object_model(name).corners.numpy(), predictions.object_name)
        return local @ predictions.object_rotation.swapaxes(1, 2) + predictions.object_translation[:, None]


def _by_name(value: Callable[[str], Any], names: np.ndarray) -> np.ndarray:
    """The value of each name, computed once."""
    by_name = {name: value(name) for name in np.unique(names).tolist()}
    return np.stack([by_name[name] for name in names.tolist()])


def _smoothed(
    own: Predictions, frames: Predictions, shares: Float[np.ndarray, "m n"], pose_hand: HandPosing
) -> Predictions:
    """The predictions `own` by averages over `frames`; a frame that is not finite stays as it is."""
    numbers = ("hand_translation", "hand_pose", "hand_shape", "object_translation")
    filtered = {name: mean_numbers(shares, getattr(frames, name)) for name in numbers}
    rotations = ("hand_rotation", "object_rotation")
    filtered |= {name: mean_rotations(shares, getattr(frames, name)) for name in rotations}
    parameters = [torch.from_numpy(filtered[f"hand_{name}"]) for name in ("rotation", "translation", "pose", "shape")]
    with torch.inference_mode():
        batches = zip(*(parameter.split(HANDS_AT_ONCE) for parameter in parameters), strict=True)
        posed = [pose_hand(*batch) for batch in batches]
    filtered["hand_vertices"] = torch.cat([vertices for vertices, _ in posed]).numpy()
    filtered["hand_joints"] = torch.cat([joints for _, joints in posed]).numpy()
    broken = ~finite(own)
    for name, array in filtered.items():
        array[broken] = getattr(own, name)[broken]
    return replace(own, **filtered)


@dataclass(frozen=True)
class Timeline:
    """Frames in order: their sequence, when they are shown, and whether they may count in averages."""

    sequence: np.ndarray
    times_s: Float[np.ndarray, " n"]
    usable: Bool[np.ndarray, " n"]

    def shares(self, rows: slice, sigma_s: Float[np.ndarray, " n"]) -> Float[np.ndarray, "m n"]:
        """The share that each frame (column) has in the average of each of the `rows`; the shares of a row sum to 1.

        `sigma_s` is the Gaussian's standard deviation for each frame, in seconds. A frame with no usable frame in its
        window stays as it is.
        """
        apart = self.times_s[None] - self.times_s[rows, None]
        same = self.sequence[None] == self.sequence[rows, None]
        before = np.where(same, -apart, -np.inf).max(axis=1)  # seconds back to the sequence's first frame
        after = np.where(same, apart, -np.inf).max(axis=1)
        reach = np.minimum(np.minimum(before, after), REACH * sigma_s[rows])[:, None]
        inside = same & (np.abs(apart) <= reach * (1 + 1e-9)) & self.usable[None]
        shares = np.where(inside, np.exp(-0.5 * (apart / sigma_s[rows, None]) ** 2), 0.0)
        alone = np.flatnonzero(~inside.any(axis=1))
        shares[alone, alone + (rows.start or 0)] = 1.0
        return shares / shares.sum(axis=1, keepdims=True)


def mean_numbers(shares: Float[np.ndarray, "m n"], values: Float[np.ndarray, "n *k"]) -> Float[np.ndarray, "m *k"]:
    """Averages of numbers, by the shares of each frame; what is not finite counts as 0."""
    numbers = np.where(np.isfinite(values), values, 0).reshape(len(values), -1)
    return (shares @ numbers).reshape(len(shares), *values.shape[1:]).astype(values.dtype)


def mean_rotations(shares: Float[np.ndarray, "m n"], values: Float[np.ndarray, "n 3 3"]) -> Float[np.ndarray, "m 3 3"]:
    """Chordal means of rotations: the rotations nearest to their averages."""
    averages = mean_numbers(shares, values.astype(np.float64))
    return nearest_rotation(torch.from_numpy(averages)).numpy().astype(values.dtype)


def as_left_hands(predictions: Predictions, reflections: Float[np.ndarray, "n 3"]) -> Predictions:
    """The predictions of pictures, from the predictions of their mirror images.

    `reflections` are the signs S of each frame's object: the predicted rotation R becomes M R S, that of the object
    itself (see `MirrorCounterpart`). Pose coefficients and shape stay: they are those of the mirrored hand model.
    """
    mirror = np.array(MIRROR, np.float32)
    return replace(
        predictions,
        hand_vertices=predictions.hand_vertices * mirror,
        hand_joints=predictions.hand_joints * mirror,
        hand_rotation=mirror[:, None] * predictions.hand_rotation * mirror,
        hand_translation=predictions.hand_translation * mirror,
        object_rotation=mirror[:, None] * predictions.object_rotation * reflections[:, None].astype(np.float32),
        object_translation=predictions.object_translation * mirror,
    )


def posing_left_hands(pose_right_hand: HandPosing) -> HandPosing:
    """How a left hand is posed, by the right hand's model."""

    def pose_hand(rotation: Tensor, translation: Tensor, pose: Tensor, shape: Tensor) -> tuple[Tensor, Tensor]:
        vertices, joints = pose_right_hand(mirrored_rotation(rotation), mirrored_points(translation), pose, shape)
        return mirrored_points(vertices), mirrored_points(joints)

    return pose_hand
