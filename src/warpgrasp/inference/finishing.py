"""What is made of a network's outputs when all of them are there: a left hand, steadiness, and signs of trouble."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from warpgrasp.frame import ObjectModel
from warpgrasp.inference.predictions import Predictions
from warpgrasp.inference.quality import finite, times_of, with_quality
from warpgrasp.inference.shards import Window
from warpgrasp.inference.smoothing import Timeline, mean_numbers, mean_rotations

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
    posed_hand: PosedHand
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
