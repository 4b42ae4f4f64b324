"""Predictions when all frames are there: signs of bad frames, the temporal filter, and left hands.

The temporal filter averages parameters over neighbouring frames by a Gaussian of time: translations, pose coefficients
and shape as numbers, rotations by the chordal mean (Hartley et al. 2013, Sec. 5.3). A frame's weight is
exp(-(Δt)²/(2 σ²)) up to 3 σ. Towards the ends of a sequence the window shrinks, so that it reaches equally far to both
sides and a steady motion stays as it is. Nothing is averaged across sequences.

Left hands are predicted by a network of right ones from mirrored pictures, and the predictions mirrored back.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from warpgrasp.frame import ObjectModel
from warpgrasp.geometry import MIRROR, mirrored_points, mirrored_rotation
from warpgrasp.predictions.file import Predictions
from warpgrasp.predictions.quality import finite, times_of, with_quality
from warpgrasp.predictions.shards import ShardContext

REACH = 3.0  # standard deviations
LONGEST_FRAMES = 50.0  # of the standard deviation: the window must lie within the neighbouring shards
HANDS_AT_ONCE = 32  # that are posed together

# From a hand's rotation, translation, pose coefficients and shape to its vertices and joints.
HandPosing = Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


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
    u, _, vt = np.linalg.svd(mean_numbers(shares, values.astype(np.float64)))
    u[..., -1] *= np.linalg.det(u @ vt)[..., None]
    return (u @ vt).astype(values.dtype)


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
