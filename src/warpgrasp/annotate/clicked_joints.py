"""Joints of the hand that were clicked on: what they say of it, and what stays as it is shown."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from warpgrasp.frame import Pose
from warpgrasp.hand import FINGERS, JOINTS, MANO_JOINTS, ExpectedHand, HandPlace, SeenJoints, angles_not_said


@dataclass(frozen=True)
class FittedHand:
    """How a hand was fitted to joints."""

    missed_px: float  # mean distance of the joints from their pixels
    kept_fingers: tuple[str, ...]  # that are bent as before
    kept_shape: bool


def seen_joints(joints_px: Sequence[tuple[str, Float[np.ndarray, " 2"]]]) -> SeenJoints:
    """The joints that were clicked on in a frame, by their names."""
    pixels, seen = torch.full((21, 2), torch.nan), torch.zeros(21, dtype=torch.bool)
    for name, pixel in joints_px:
        pixels[JOINTS.index(name)], seen[JOINTS.index(name)] = torch.from_numpy(pixel).float(), True
    return SeenJoints(pixels, seen)


def expected_hand(shown: Pose, first: Pose, seen: Bool[Tensor, " 21"], *, shape_known: bool) -> ExpectedHand:
    """What the hand on the screen says of the one that is looked for; nothing while it is where it was at `first`."""
    placed = not (torch.equal(shown.wrist, first.wrist) and torch.equal(shown.hand_rotation, first.hand_rotation))
    bent = not torch.equal(shown.joint_angles, first.joint_angles)
    return ExpectedHand(
        shape=shown.shape[0] if shape_known else None,
        pose=shown.joint_angles[0],
        held=angles_not_said(seen) if placed or bent else None,
        place=HandPlace(shown.hand_rotation[0], shown.wrist[0]) if placed else None,
    )


def kept_fingers(expected: ExpectedHand) -> tuple[str, ...]:
    """The fingers that stay bent as they are."""
    if expected.held is None:
        return ()
    held = expected.held.unflatten(0, (-1, 3)).all(dim=1).tolist()
    free = {name.split("_")[0] for name, stays in zip(MANO_JOINTS[1:], held, strict=True) if not stays}
    return tuple(finger for finger in FINGERS if finger not in free)
