"""Offsets from the poses of frames, by which these are moved: in units that Adam moves alike, and what they cost."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor
from torch.optim.adam import adam

from warpgrasp.frame import Pose
from warpgrasp.geometry import matrix_from_axis_angle
from warpgrasp.refinement.quality import second_differences

# What one unit of an offset is: Adam moves all of them alike.
TURN_RAD, MOVE_M, BEND_RAD = 0.02, 0.004, 0.03
BENT_RAD = 0.15  # a bend by this in every joint costs 1

Offsets = Mapping[str, Float[Tensor, "n k"]]
OFFSET_SIZES = {"turn": 3, "move": 3, "hand_turn": 3, "hand_move": 3, "bend": 45}


def no_offsets(count: int) -> dict[str, Float[Tensor, "n k"]]:
    """Offsets of so many frames that move nothing yet, and gather gradients."""
    return {name: torch.zeros(count, size, requires_grad=True) for name, size in OFFSET_SIZES.items()}


def moved(start: Pose, offsets: Offsets) -> Pose:
    """The poses at these offsets."""
    return Pose(
        matrix_from_axis_angle(TURN_RAD * offsets["turn"]) @ start.object_rotation,
        start.object_centre + MOVE_M * offsets["move"],
        matrix_from_axis_angle(TURN_RAD * offsets["hand_turn"]) @ start.hand_rotation,
        start.wrist + MOVE_M * offsets["hand_move"],
        start.joint_angles + BEND_RAD * offsets["bend"],
        start.shape,
    )


def accelerations(poses: Pose, times: Float[Tensor, " n"]) -> Float[Tensor, ""]:
    """The integral over time of squared accelerations, each part in units of its offsets."""
    span = ((times[2:] - times[:-2]) / 2).to(poses.wrist)[:, None]

    def changes(values: Tensor, unit: float, share: float = 1.0) -> Tensor:
        return share * (span * (second_differences(values.flatten(1), times) / unit).square()).sum()

    return (
        changes(poses.object_centre, MOVE_M)
        + changes(poses.wrist, MOVE_M)
        # A small turn shows twice in the nine numbers of its matrix.
        + changes(poses.object_rotation, TURN_RAD, 1 / 2)
        + changes(poses.hand_rotation, TURN_RAD, 1 / 2)
        + changes(poses.joint_angles, BEND_RAD, 1 / 15)
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
