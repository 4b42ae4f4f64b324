"""How large a hand of some shape is, what each shape parameter changes, and the shape of a hand that was measured.

Lengths run along the bones of the stretched hand, from joint to joint; a parameter's effects are of one standard
deviation about the mean hand.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from warpgrasp.errors import UserError
from warpgrasp.hand.least_squares import joints_alone
from warpgrasp.hand.model import JOINTS, HandModel

LONG_FINGERS = ("index", "middle", "ring", "little")
WHOLE = ("wrist", "middle_1", "middle_2", "middle_3", "middle_tip")
NAMED_PERCENT = 0.5  # what a parameter changes by less is not named
MOST_NAMED = 2
STEPS, EXACT_M = 20, 1e-6


@dataclass(frozen=True)
class ShapeEffect:
    """What one standard deviation of a shape parameter changes, in percent."""

    percent: Mapping[str, float]

    @property
    def name(self) -> str:
        """The largest changes, the largest first."""
        named = sorted(self.percent, key=lambda size: -abs(self.percent[size]))
        told = [size for size in named if abs(self.percent[size]) >= NAMED_PERCENT][:MOST_NAMED]
        return ", ".join(f"{size} {self.percent[size]:+.0f} %" for size in told) or "hardly anything"

    @property
    def details(self) -> str:
        """Every change."""
        return "one standard deviation: " + ", ".join(f"{size} {by:+.1f} %" for size, by in self.percent.items())


class HandSizes:
    """The sizes of one hand model."""

    def __init__(self, hand: HandModel):
        self._hand = hand
        self._joints = joints_alone(hand).double()

    def length_m(self, shape: Float[np.ndarray, " s"]) -> float:
        """From the wrist to the tip of the middle finger, along its bones."""
        with torch.no_grad():
            return float(self._length(torch.from_numpy(np.array(shape, dtype=np.float64))))

    def shape_of_length(self, shape: Float[np.ndarray, " s"], length_m: float) -> Float[np.ndarray, " s"]:
        """The shape nearest to a given one whose hand is that long. Raises `UserError` where none is found."""
        if not 0 < length_m < np.inf:
            raise UserError(f"expected a positive length of the hand, got {1000 * length_m:g} mm")
        at = torch.from_numpy(np.array(shape, dtype=np.float64))
        for _ in range(STEPS):
            at.requires_grad_(True)
            length = self._length(at)
            missing = length_m - float(length.detach())
            if abs(missing) < EXACT_M:
                return at.detach().numpy()
            (slope,) = torch.autograd.grad(length, at)
            at = at.detach() + slope * missing / slope.square().sum()
        raise UserError(f"expected a length that a hand can have, got {1000 * length_m:.0f} mm; no shape has it")

    def effects(self) -> tuple[ShapeEffect, ...]:
        """What each shape parameter changes."""
        effects = []
        for number in range(self._hand.shape_count):
            step = np.zeros(self._hand.shape_count)
            step[number] = 1.0
            more, less, mean = (self._sizes(shape) for shape in (step, -step, 0 * step))
            effects.append(ShapeEffect({size: 50 * (more[size] - less[size]) / mean[size] for size in mean}))
        return tuple(effects)

    @torch.no_grad()
    def _sizes(self, shape: Float[np.ndarray, " s"]) -> dict[str, float]:
        values = torch.from_numpy(shape)
        joints = self._stretched(values)
        fingers = [_along(joints, *(f"{finger}_{part}" for part in (1, 2, 3, "tip"))) for finger in LONG_FINGERS]
        return {
            "length": float(_along(joints, *WHOLE)),
            "fingers": float(torch.stack(fingers).mean()),
            "palm": float(_along(joints, *WHOLE[:2])),
            "width": float(_along(joints, "index_1", "little_1")),
            "volume": self._volume(values),
        }

    def _length(self, shape: Float[Tensor, " s"]) -> Float[Tensor, ""]:
        return _along(self._stretched(shape), *WHOLE)

    def _stretched(self, shape: Float[Tensor, " s"]) -> Float[Tensor, "21 3"]:
        return self._joints(shape.new_zeros(1, 3), shape.new_zeros(1, 45), shape[None]).joints[0]

    def _volume(self, shape: Float[Tensor, " s"]) -> float:
        like = self._hand.mean_pose
        posed = self._hand(like.new_zeros(1, 3), like.new_zeros(1, 45), shape[None].to(like))
        closed = self._hand.closed_mesh(posed.vertices)
        a, b, c = closed.vertices[0].double()[closed.faces[0]].unbind(dim=1)
        return float((a * torch.linalg.cross(b, c)).sum() / 6)


def _along(joints: Float[Tensor, "21 3"], *names: str) -> Float[Tensor, ""]:
    """The length of the way from joint to joint."""
    return joints[[JOINTS.index(name) for name in names]].diff(dim=0).norm(dim=-1).sum()
