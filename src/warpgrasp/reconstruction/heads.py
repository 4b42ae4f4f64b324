"""The three regression branches (paper Table 4)."""

from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn


@dataclass(frozen=True)
class RawOutputs:
    """The regressed numbers, 37 in the paper: 3 + 3, 3, and 3 + 15 + 10."""

    object_placement: Float[Tensor, "b 3"]  # depth, u, v
    object_rotation: Float[Tensor, "b 3"]  # axis-angle
    hand_placement: Float[Tensor, "b 3"]
    hand_rotation: Float[Tensor, "b 3"]
    hand_pose: Float[Tensor, "b p"]
    hand_shape: Float[Tensor, "b s"]


class Heads(nn.Module):
    """Features to numbers: object pose, hand translation, hand pose and shape, each by its own dense layers."""

    def __init__(self, features: int, pose_coefficients: int, shape_parameters: int):
        super().__init__()
        self.object_pose = _dense(features, features // 2, 6)
        self.hand_translation = _dense(features, features // 2, 3)
        self.hand_pose_shape = _dense(features, features, features, 3 + pose_coefficients + shape_parameters)
        self._hand_split = [3, pose_coefficients, shape_parameters]

    def forward(self, features: Float[Tensor, "b f"]) -> RawOutputs:
        """Regress all numbers."""
        object_placement, object_rotation = self.object_pose(features).split(3, dim=-1)
        rotation, pose, shape = self.hand_pose_shape(features).split(self._hand_split, dim=-1)
        return RawOutputs(object_placement, object_rotation, self.hand_translation(features), rotation, pose, shape)


def _dense(*sizes: int) -> nn.Sequential:
    """Linear layers with ReLU between; the last starts near zero: training starts at the middle of the space."""
    linear = [nn.Linear(size_in, size_out) for size_in, size_out in pairwise(sizes)]
    with torch.no_grad():
        linear[-1].weight.mul_(0.1)
        linear[-1].bias.zero_()
    between = [layer for one in linear[:-1] for layer in (one, nn.ReLU())]
    return nn.Sequential(*between, linear[-1])
