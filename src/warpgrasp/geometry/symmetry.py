"""Objects that look the same turned about an axis: the turns, and the nearest of the poses that look alike."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from warpgrasp.geometry.rotation import matrix_from_axis_angle

Axis = Literal["x", "y", "z"]
AXIS_NAMES: tuple[Axis, ...] = get_args(Axis)


@dataclass(frozen=True)
class Symmetry:
    """The turns about an axis of an object's own coordinates, through its centre, that leave its look as it is."""

    axis: Axis
    fold: int | None  # how many turns make a full one; None for any angle

    @property
    def keeps_the_centre(self) -> bool:
        """Whether the turns leave the centre of the bounding box where it is: those of an odd fold need not."""
        return self.fold is None or self.fold % 2 == 0

    def nearest(self, rotation: Float[Tensor, "*b 3 3"], reference: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b 3 3"]:
        """The rotations R S that look like R = `rotation`, with the turn S that brings them nearest to a reference.

        Nearest means by the smallest angle: tr(referenceᵀ R S) = c + a cos θ + b sin θ is largest at θ = atan2(b, a),
        and among the turns of a fold at the nearest one. No gradient flows through the choice of the turn.
        """
        relative = (reference.transpose(-1, -2) @ rotation).detach()
        one, other = (AXIS_NAMES.index(self.axis) + step for step in (1, 2))
        one, other = one % 3, other % 3
        cosine = relative[..., one, one] + relative[..., other, other]
        sine = relative[..., one, other] - relative[..., other, one]
        angle = torch.atan2(sine, cosine)
        if self.fold is not None:
            step = math.tau / self.fold
            angle = step * (angle / step).round()
        axis = torch.eye(3).to(rotation)[AXIS_NAMES.index(self.axis)]
        return rotation @ matrix_from_axis_angle(angle[..., None] * axis)

    def apart_deg(self, rotation: Float[Tensor, "*b 3 3"], reference: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b"]:
        """The smallest angle between a reference and the rotations that look like `rotation`, in degrees."""
        # From the chord, which keeps its digits at small angles: |R - Q| = 2 √2 sin(θ / 2) in the Frobenius norm.
        chord = (self.nearest(rotation, reference) - reference).flatten(-2).norm(dim=-1)
        return torch.rad2deg(2 * torch.asin((chord / (2 * math.sqrt(2))).clamp_max(1)))

    def continuous(self, rotations: Float[Tensor, "n 3 3"]) -> Float[Tensor, "n 3 3"]:
        """Rotations in their order, each the one of those that look alike that is nearest to the one before it."""
        followed: list[Tensor] = []
        for rotation in rotations:
            followed.append(self.nearest(rotation, followed[-1]) if followed else rotation)
        return torch.stack(followed) if followed else rotations


def nearest_of_each(
    symmetries: Sequence[Symmetry | None], rotation: Float[Tensor, "b 3 3"], reference: Float[Tensor, "b 3 3"]
) -> Float[Tensor, "b 3 3"]:
    """`Symmetry.nearest` of a batch of objects, of which those without a symmetry stay as they are."""
    if not any(symmetries):
        return rotation
    rows = zip(symmetries, rotation, reference, strict=True)
    return torch.stack([one if symmetry is None else symmetry.nearest(one, other) for symmetry, one, other in rows])
