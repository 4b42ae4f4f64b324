"""The change of a grasp against values worked by hand."""

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from warpgrasp.frame import Annotation, HandReconstruction, ObjectReconstruction, Reconstruction
from warpgrasp.geometry.rotation import matrix_from_axis_angle
from warpgrasp.hand.model import JOINTS
from warpgrasp.reconstruction.terms import grasp_change

TURN = matrix_from_axis_angle(torch.tensor([[0.3, -1.0, 0.4], [0.0, 0.2, 2.0]]))
PLACE = torch.tensor([[0.05, 0.0, 0.5], [-0.1, 0.02, 0.7]])


def joints() -> torch.Tensor:
    return torch.rand(2, 21, 3, generator=torch.Generator().manual_seed(0)) / 10 + torch.tensor([0, 0, 0.5])


def known() -> Annotation:
    return Annotation(torch.zeros(2, 7, 3), joints(), TURN, PLACE, None)


def found(hand_joints: torch.Tensor, rotation: torch.Tensor, translation: torch.Tensor) -> Reconstruction:
    hand = HandReconstruction(
        rotation, translation, torch.zeros(2, 4), torch.zeros(2, 3), torch.zeros(2, 7, 3), hand_joints
    )
    return Reconstruction(hand, ObjectReconstruction(rotation, translation, torch.zeros(2, 5, 3), torch.zeros(2, 8, 3)))


def moved_together() -> Reconstruction:
    """Hand and object, moved as one body and seen by a turned camera."""
    turn, step = matrix_from_axis_angle(torch.tensor([1.0, -0.5, 0.2])), torch.tensor([0.3, -0.1, 0.2])
    return found(joints() @ turn.T + step, turn @ TURN, PLACE @ turn.T + step)


def with_joints(one: Reconstruction, hand_joints: torch.Tensor) -> Reconstruction:
    return replace(one, hand=replace(one.hand, joints=hand_joints))


def test_a_hold_that_stays_costs_nothing() -> None:
    assert_close(grasp_change(moved_together(), known()), torch.zeros(2), rtol=0, atol=1e-12)


def test_fingers_may_move() -> None:
    one = moved_together()
    bent = one.hand.joints.clone()
    bent[:, [JOINTS.index(f"{finger}_tip") for finger in ("thumb", "middle")]] += 0.05
    assert_close(grasp_change(with_joints(one, bent), known()), torch.zeros(2), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("apart_m", "expected_m2"), [(0.004, 16e-6), (0.01, 1e-4), (0.03, 2 * 0.01 * 0.03 - 1e-4)])
def test_squared_near_by_and_linear_beyond(apart_m: float, expected_m2: float) -> None:
    one = moved_together()
    shifted = one.hand.joints + apart_m * torch.tensor([0.6, 0.0, 0.8])
    assert_close(grasp_change(with_joints(one, shifted), known()), torch.full((2,), expected_m2), rtol=1e-3, atol=0)


def test_one_joint_counts_a_sixth() -> None:
    one = moved_together()
    shifted = one.hand.joints.clone()
    shifted[:, JOINTS.index("little_1"), 1] += 0.006
    assert_close(grasp_change(with_joints(one, shifted), known()), torch.full((2,), 36e-6 / 6), rtol=1e-3, atol=0)


def test_hand_and_object_draw_each_other_alike() -> None:
    one = moved_together()
    hand = (one.hand.joints + torch.tensor([0.02, 0.0, 0.01])).requires_grad_()
    translation = one.object.translation.clone().requires_grad_()
    grasp_change(found(hand, one.object.rotation, translation), known()).sum().backward()
    assert hand.grad is not None
    assert translation.grad is not None
    assert hand.grad.abs().sum() > 0
    assert_close(hand.grad.sum(dim=1), -translation.grad)


def test_gradients_are_finite_where_nothing_changes() -> None:
    one = moved_together()
    exact = one.hand.joints.clone().requires_grad_()
    grasp_change(with_joints(one, exact), known()).sum().backward()
    assert exact.grad is not None
    assert torch.isfinite(exact.grad).all()


def test_gradient() -> None:
    one, truth = moved_together(), known()
    doubled = Annotation(*(value.double() for value in (truth.hand_vertices, truth.hand_joints, TURN, PLACE)), None)

    def loss(*leaves: torch.Tensor) -> torch.Tensor:
        return grasp_change(found(*leaves), doubled)

    start = one.hand.joints.double() + torch.tensor([0.003, 0.02, 0.0])
    leaves = [value.double().requires_grad_() for value in (start, one.object.rotation, one.object.translation)]
    assert torch.autograd.gradcheck(loss, leaves)
