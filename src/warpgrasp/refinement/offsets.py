"""Offsets of poses from where they start, in units that Adam moves alike, and what unsteady or far ones cost."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.optim.adam import adam

from warpgrasp.frame import Pose
from warpgrasp.geometry import matrix_from_axis_angle
from warpgrasp.refinement.quality import second_differences

# What one unit of an offset is: Adam moves all of them alike. Moves are along x and y, and by a share of the distance:
# pictures show a move along the line of sight as a few hundredths of it, so that its steps are longer.
TURN_RAD, MOVE_M, AWAY_SHARE, BEND_RAD = 0.02, 0.004, 0.025, 0.03
BENT_RAD = 0.15  # a bend by this in every joint costs 1

Offsets = Mapping[str, Float[Tensor, "n k"]]
OFFSET_SIZES = {"turn": 3, "move": 3, "hand_turn": 3, "hand_move": 3, "bend": 45}
OFFSETS_OF = {"object": ("turn", "move"), "hand": ("hand_turn", "hand_move", "bend")}


def no_offsets(count: int) -> dict[str, Float[Tensor, "n k"]]:
    """Offsets of so many frames that move nothing yet, and gather gradients."""
    return {name: torch.zeros(count, size, requires_grad=True) for name, size in OFFSET_SIZES.items()}


def moved_places(places: Float[Tensor, "n 3"], moves: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
    """Places in camera space after moves, in their units: across, then along the line of sight."""
    across = F.pad(MOVE_M * moves[:, :2], (0, 1))
    return (places + across) * (1 + AWAY_SHARE * moves[:, 2:])


def moved(start: Pose, offsets: Offsets) -> Pose:
    """The poses at these offsets, in the precision of `start`."""
    turn, move, hand_turn, hand_move, bend = (offsets[name].to(start.wrist) for name in OFFSET_SIZES)
    return Pose(
        matrix_from_axis_angle(TURN_RAD * turn) @ start.object_rotation,
        moved_places(start.object_centre, move),
        matrix_from_axis_angle(TURN_RAD * hand_turn) @ start.hand_rotation,
        moved_places(start.wrist, hand_move),
        start.joint_angles + BEND_RAD * bend,
        start.shape,
    )


def squares_along_and_across(
    vectors: Float[Tensor, "*n 3"], sight: Float[Tensor, "*n 3"]
) -> tuple[Float[Tensor, "*n"], Float[Tensor, "*n"]]:
    """The squared lengths of vectors along lines of sight, given as unit vectors, and across them."""
    along = (vectors * sight).sum(dim=-1)
    return along.square(), (vectors - along[..., None] * sight).square().sum(dim=-1)


def accelerations(
    poses: Pose, times: Float[Tensor, " n"], *, tail: float | None = None, fingers: float = 1.0
) -> Float[Tensor, ""]:
    """The integral over time of what accelerations cost, each part in units of its offsets.

    Without a `tail` that is their square. With one a square x costs `tail`² log(1 + x / `tail`²) (Student's): as much
    where it is small, but a motion that brakes is left to the pictures. Along the line of sight, of which pictures
    say least, and across it centres cost each for itself. `fingers` is how many times as much the joints' angles cost.
    """
    span = ((times[2:] - times[:-2]) / 2).to(poses.wrist)

    def cost(square: Float[Tensor, " m"]) -> Float[Tensor, ""]:
        return (span * (square if tail is None else tail**2 * torch.log1p(square / tail**2))).sum()

    def changes(values: Tensor, unit: float, share: float = 1.0) -> Float[Tensor, " m"]:
        return share * (second_differences(values.flatten(1), times) / unit).square().sum(dim=1)

    def of_centre(centre: Float[Tensor, "n 3"]) -> Float[Tensor, ""]:
        sight = F.normalize(centre[1:-1].detach(), dim=1)
        change = second_differences(centre, times) / MOVE_M
        along, across = squares_along_and_across(change, sight)
        return cost(along) + cost(across)

    return (
        of_centre(poses.object_centre)
        + of_centre(poses.wrist)
        # A small turn shows twice in the nine numbers of its matrix.
        + cost(changes(poses.object_rotation, TURN_RAD, 1 / 2))
        + cost(changes(poses.hand_rotation, TURN_RAD, 1 / 2))
        + fingers * cost(changes(poses.joint_angles, BEND_RAD, 1 / 15))
    )


def bends(offsets: Offsets) -> Float[Tensor, " n"]:
    """The squares of the fingers' bends away from the start, by `BENT_RAD`."""
    return (BEND_RAD * offsets["bend"] / BENT_RAD).square().mean(dim=1)


class Adam:
    """Adam as `torch.optim.Adam` takes its steps, whose class would load a compiler: 70 MB, and seconds of waiting."""

    def __init__(self, offsets: Offsets):
        self._parameters = list(offsets.values())
        self._means, self._squares = ([torch.zeros_like(one) for one in self._parameters] for _ in range(2))
        self._steps = [torch.tensor(0.0) for _ in self._parameters]

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Move all offsets along their gradients."""
        gradients = [values.grad for values in self._parameters if values.grad is not None]
        assert len(gradients) == len(self._parameters)
        adam(
            self._parameters,
            gradients,
            self._means,
            self._squares,
            [],
            self._steps,
            foreach=False,
            fused=False,
            amsgrad=False,
            maximize=False,
            lr=rate,
            beta1=0.9,
            beta2=0.999,
            eps=1e-8,
            weight_decay=0.0,
        )
