"""The temporal filter: parameters averaged over neighbouring frames by a Gaussian of time.

Translations, pose coefficients and shape are averaged as numbers, rotations by the chordal mean (Hartley et al. 2013,
Sec. 5.3). A frame's weight is exp(-(Δt)²/(2 σ²)) up to 3 σ. Towards the ends of a sequence the window shrinks, so that
it reaches equally far to both sides and a steady motion stays what it is. Nothing is averaged across sequences.

What is made of a network's outputs when all of them are there: a left hand, steadiness, and signs of trouble.

Left hands from a network of right ones: the picture is mirrored, and what is predicted of it is mirrored back.
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
from warpgrasp.predictions.shards import Window

REACH = 3.0  # standard deviations
LONGEST_FRAMES = 50.0  # of the standard deviation: the window must lie within the neighbouring shards


@dataclass(frozen=True)
class Timeline:
    """Frames in order: their sequence, when they are shown, and whether they may have a part in others."""

    sequence: np.ndarray
    times_s: Float[np.ndarray, " n"]
    usable: Bool[np.ndarray, " n"]

    def shares(self, rows: slice, sigma_s: Float[np.ndarray, " n"]) -> Float[np.ndarray, "m n"]:
        """The share that each frame (column) has in each of the filtered `rows`; they sum to 1.

        `sigma_s` is the standard deviation for each frame, in seconds. A frame with nothing usable in its window stays
        what it is.
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
    """Averages of numbers."""
    known = np.where(np.isfinite(values), values, 0).reshape(len(values), -1)
    return (shares @ known).reshape(len(shares), *values.shape[1:]).astype(values.dtype)


def mean_rotations(shares: Float[np.ndarray, "m n"], values: Float[np.ndarray, "n 3 3"]) -> Float[np.ndarray, "m 3 3"]:
    """Chordal means of rotations: the rotations nearest to their averages."""
    u, _, vt = np.linalg.svd(mean_numbers(shares, values.astype(np.float64)))
    u[..., -1] *= np.linalg.det(u @ vt)[..., None]
    return (u @ vt).astype(values.dtype)


# From a hand's rotation, translation, pose coefficients and shape to its vertices and joints.
PosedHand = Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]

AT_ONCE = 32  # hands that are posed together


@dataclass(frozen=True)
class Finish:
    """Measures jumps and, where `smooth_frames` is not 0, filters the parameters over time.

    Jumps and flags are those of the network's own outputs: what is filtered looks steadier than it is known.
    """

    object_model: Callable[[str], ObjectModel]
    interval_s: Callable[[str], float]
    """The usual time from one frame number to the next, in a sequence."""
    posed_hand: PosedHand | None = None
    """Poses the filtered hands: needed where `smooth_frames` is not 0."""
    smooth_frames: float = 0.0
    """The filter's standard deviation, in frames of the usual interval."""

    def __call__(self, window: Window) -> Predictions:
        """The middle shard as it is stored."""
        context = window.context
        interval_s = _looked_up(self.interval_s, context.sequence)
        times_s = times_of(context, interval_s)
        judged = with_quality(context, self._corners(context), times_s)
        signs = ("hand_jump", "object_jump", "flags")
        own = replace(window.part, **{name: getattr(judged, name)[window.own] for name in signs})
        if not self.smooth_frames:
            return own
        timeline = Timeline(context.sequence, times_s, finite(context))
        return self._smoothed(own, context, timeline.shares(window.own, self.smooth_frames * interval_s))

    def _corners(self, predictions: Predictions) -> Float[np.ndarray, "n 8 3"]:
        local = _looked_up(lambda name: self.object_model(name).corners.numpy(), predictions.object_name)
        return local @ predictions.object_rotation.swapaxes(1, 2) + predictions.object_translation[:, None]

    def _smoothed(self, own: Predictions, context: Predictions, shares: Float[np.ndarray, "m n"]) -> Predictions:
        filtered = {
            name: mean_numbers(shares, getattr(context, name))
            for name in ("hand_translation", "hand_pose", "hand_shape", "object_translation")
        }
        filtered |= {
            name: mean_rotations(shares, getattr(context, name)) for name in ("hand_rotation", "object_rotation")
        }
        parameters = [torch.from_numpy(filtered[f"hand_{one}"]) for one in ("rotation", "translation", "pose", "shape")]
        assert self.posed_hand is not None
        with torch.inference_mode():
            posed = [self.posed_hand(*few) for few in zip(*(one.split(AT_ONCE) for one in parameters), strict=True)]
        filtered["hand_vertices"] = torch.cat([vertices for vertices, _ in posed]).numpy()
        filtered["hand_joints"] = torch.cat([joints for _, joints in posed]).numpy()
        broken = ~finite(own)
        for name, array in filtered.items():
            array[broken] = getattr(own, name)[broken]
        return replace(own, **filtered)


def _looked_up(value: Callable[[str], Any], names: np.ndarray) -> np.ndarray:
    """The value of each name, asked for once."""
    known = {name: value(name) for name in np.unique(names).tolist()}
    return np.stack([known[name] for name in names.tolist()])


def as_left_hands(predictions: Predictions, reflections: Float[np.ndarray, "n 3"]) -> Predictions:
    """What the pictures show of which these are the predictions of the mirror images.

    `reflections` are the signs S of each frame's object: the rotation R of what the network was shown becomes M R S,
    that of the object itself (see `objects.SeenObject`). Pose coefficients and shape stay: they are those of the
    mirrored hand model.
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


def left_posed_hand(right: PosedHand) -> PosedHand:
    """The left hand of parameters, by the right hand's model."""

    def posed(rotation: Tensor, translation: Tensor, pose: Tensor, shape: Tensor) -> tuple[Tensor, Tensor]:
        vertices, joints = right(mirrored_rotation(rotation), mirrored_points(translation), pose, shape)
        return mirrored_points(vertices), mirrored_points(joints)

    return posed
