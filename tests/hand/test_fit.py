"""Fitting the hand to 21 joints: recovery of known hands, derivatives against autograd, and what a bad fit shows."""

import math
import time

import pytest
import torch
from scipy.spatial.transform import Rotation
from torch.testing import assert_close

from tests.hand.templates import small_template
from warpgrasp.geometry.rotation import axis_angle_from_matrix, matrix_from_axis_angle
from warpgrasp.hand.fit import LARGEST_RESIDUAL_M, FitError, fit_hand, refusal
from warpgrasp.hand.least_squares import OWN_COLUMNS, JointChain, PlacedHand, joints_alone, left_jacobian
from warpgrasp.hand.model import HO3D_JOINTS, JOINTS, HandModel, PosedHand, permutation
from warpgrasp.hand.templates import open_hand


def posed_hands(hand: HandModel, count: int, *, seed: int = 0, size: float = 1.0) -> PosedHand:
    """One person's hand in `count` poses drawn from the model's own pose space, turned and moved at random."""
    generator = torch.Generator().manual_seed(seed)
    pose = hand.pose_from_coefficients(torch.randn(count, 45, generator=generator))
    shape = torch.randn(hand.shape_count, generator=generator)
    rotation = 1.2 * torch.randn(count, 3, generator=generator)
    place = torch.tensor([0.0, 0.0, 0.5]) + 0.1 * torch.randn(count, 3, generator=generator)
    posed = hand(rotation, pose, shape.expand(count, -1))
    return PosedHand(size * (posed.vertices + place[:, None]), size * (posed.joints + place[:, None]))


def test_a_known_hand_is_found_again(hand: HandModel) -> None:
    true = posed_hands(hand, 12)
    fit = fit_hand(hand, true.joints)
    assert fit.residual_m.max() < 0.001  # the prior keeps it from zero
    assert (fit.joints - true.joints).norm(dim=-1).max() < 0.002
    assert (fit.vertices - true.vertices).norm(dim=-1).mean() < 0.001
    assert (fit.vertices - true.vertices).norm(dim=-1).max() < 0.006
    assert fit.shape.shape == (hand.shape_count,)
    assert all(refusal(residual, fit.shape) is None for residual in fit.residual_m)


def test_parameters_give_the_vertices_joints_and_residuals(hand: HandModel) -> None:
    true = posed_hands(hand, 3)
    fit = fit_hand(hand, true.joints)
    again = hand(fit.rotation, fit.pose, fit.shape.expand(3, -1))
    assert_close(again.vertices + fit.translation[:, None], fit.vertices, rtol=0, atol=1e-6)
    assert_close(again.joints + fit.translation[:, None], fit.joints, rtol=0, atol=1e-6)
    assert_close((fit.joints - true.joints).norm(dim=-1).mean(dim=-1), fit.residual_m)
    assert fit.rotation.norm(dim=-1).max() <= math.pi + 1e-6


def test_turning_and_moving_the_joints_turns_and_moves_the_fit(hand: HandModel) -> None:
    joints = posed_hands(hand, 2).joints
    turn = torch.from_numpy(Rotation.from_rotvec([0.3, -2.0, 1.1]).as_matrix()).float()
    place = torch.tensor([0.1, -0.3, 0.7])
    before, after = fit_hand(hand, joints), fit_hand(hand, joints @ turn.T + place)
    assert_close(after.vertices, before.vertices @ turn.T + place, rtol=0, atol=2e-5)
    assert_close(after.shape, before.shape, rtol=0, atol=1e-3)
    rotations = matrix_from_axis_angle(before.rotation)
    assert_close(matrix_from_axis_angle(after.rotation), turn @ rotations, rtol=0, atol=1e-3)


def test_it_is_the_same_every_time_and_quick(hand: HandModel) -> None:
    joints = posed_hands(hand, 200).joints
    joints = joints + 0.002 * torch.randn(joints.shape, generator=torch.Generator().manual_seed(1))
    started = time.process_time()
    fit = fit_hand(hand, joints)
    assert time.process_time() - started < 20  # about one second alone on one core
    assert torch.equal(fit_hand(hand, joints[:50]).vertices, fit_hand(hand, joints[:50]).vertices)
    assert fit.residual_m.mean() < 0.004


def test_noise_is_smoothed_and_the_shape_is_shared(hand: HandModel) -> None:
    """What is fitted to noisy joints lies nearer to the true ones than the noisy joints do."""
    true = posed_hands(hand, 30)
    noisy = true.joints + 0.004 * torch.randn(true.joints.shape, generator=torch.Generator().manual_seed(1))
    fit = fit_hand(hand, noisy)
    assert (fit.joints - true.joints).norm(dim=-1).mean() < 0.75 * (noisy - true.joints).norm(dim=-1).mean()
    # One shape for all frames: a frame alone, as noisy, tells it far less well.
    true_shape = fit_hand(hand, true.joints).shape
    alone = [fit_hand(hand, noisy[row : row + 1]).shape for row in range(6)]
    assert (fit.shape - true_shape)[:3].norm() < 0.5 * torch.stack(alone).sub(true_shape)[:, :3].norm(dim=-1).mean()


def test_it_ends_at_a_minimum(hand: HandModel) -> None:
    """Moving any unknown a little to either side makes the fit less probable (the cost is written out here)."""
    joints = posed_hands(hand, 1, seed=3).joints.double()
    joints = joints + 0.002 * torch.randn(joints.shape, generator=torch.Generator().manual_seed(1))
    fit, model = fit_hand(hand, joints), HandModel(hand.template).double()
    components = model.pose_components
    precision = torch.linalg.inv(components.T @ components + 0.1**2 * torch.eye(45))

    def cost(values: torch.Tensor) -> float:
        rotation, wrist, pose, shape = values.split([3, 3, 45, 10])
        rest = model(rotation[None], pose[None], shape[None]).joints[0]
        bent = pose - model.mean_pose
        misses = (rest - rest[0] + wrist - joints[0]).square().sum() / 0.003**2
        return float(misses + bent @ precision @ bent + shape @ shape) / 2

    best = torch.cat([fit.rotation[0], fit.joints[0, 0], fit.pose[0], fit.shape]).double()
    least = cost(best)
    for unknown in range(len(best)):
        size = 2e-4 if 3 <= unknown < 6 else 1e-2
        for side in (-size, size):
            moved = best.clone()
            moved[unknown] += side
            assert cost(moved) > least, unknown


@pytest.mark.parametrize("template", [open_hand(), small_template()], ids=["open", "small, with pose directions"])
def test_the_derivatives_are_those_of_autograd(template) -> None:
    hand = HandModel(template).double()
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    at = PlacedHand(matrix_from_axis_angle(normal(2, 3)), normal(2, 3), normal(2, 45), normal(hand.shape_count))
    at.pose[0, 3:9] = 0  # at rest, where the left Jacobian's fractions are 0 / 0
    chain = JointChain(hand, like=at.wrist)

    def joints(own: torch.Tensor, shape: torch.Tensor) -> torch.Tensor:
        return chain.joints(at.moved(own, shape)).flatten(1)

    origin = (at.wrist.new_zeros(2, OWN_COLUMNS), torch.zeros_like(at.shape))
    by_own, by_shape = torch.autograd.functional.jacobian(joints, origin)
    by_own = torch.stack([by_own[row, :, row] for row in range(2)])
    assert_close(chain.jacobian(at), torch.cat([by_own, by_shape], dim=2), rtol=0, atol=1e-7)


@pytest.mark.parametrize("template", [open_hand(), small_template()], ids=["open", "small, with pose directions"])
def test_the_joints_alone_are_those_of_the_whole_hand(template) -> None:
    hand, few = HandModel(template), joints_alone(HandModel(template))
    generator = torch.Generator().manual_seed(0)
    rotation, pose, shape = (torch.randn(2, count, generator=generator) for count in (3, 45, hand.shape_count))
    assert len(few.template_vertices) == 21
    assert_close(few(rotation, pose, shape).joints, hand(rotation, pose, shape).joints, rtol=0, atol=1e-6)
    at = PlacedHand(matrix_from_axis_angle(rotation), torch.zeros(2, 3), pose, shape[0])
    whole = hand(axis_angle_from_matrix(at.rotation), pose, shape[:1].expand(2, -1)).joints
    assert_close(JointChain(hand, like=pose).joints(at), whole - whole[:, :1], rtol=0, atol=2e-6)


@pytest.mark.parametrize("angle", [0.0, 1e-5, 1e-3, 2.0, 3.1])
def test_the_left_jacobian_against_scipy(angle: float) -> None:
    """exp(J dθ) exp(θ) = exp(θ + dθ), to first order."""
    axis = torch.tensor([0.6, -0.48, 0.64], dtype=torch.float64)
    change = 1e-5 * torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    after = Rotation.from_rotvec((angle * axis + change).numpy())
    turned = after * Rotation.from_rotvec((angle * axis).numpy()).inv()
    assert_close(left_jacobian(angle * axis) @ change, torch.from_numpy(turned.as_rotvec()), rtol=0, atol=2e-9)


def test_joints_of_another_definition_are_still_a_hand(hand: HandModel) -> None:
    true = posed_hands(hand, 10)
    generator = torch.Generator().manual_seed(2)
    beside = torch.nn.functional.normalize(torch.randn(21, 3, generator=generator), dim=1)
    palms = matrix_from_axis_angle(fit_hand(hand, true.joints).rotation)
    fit = fit_hand(hand, true.joints + 0.010 * beside @ palms.transpose(1, 2))
    assert 0.003 < fit.residual_m.mean() < fit.residual_m.max() < LARGEST_RESIDUAL_M
    assert refusal(fit.residual_m.max(), fit.shape) is None


def test_a_skeleton_of_other_bones_does_not_drive_the_shape_away(hand: HandModel) -> None:
    """A sensor's skeleton, each bone as long as its own person's times a factor: 84 frames want no other shape than 1.

    Weighed against the sum of the frames, the prior let go: 1.5 standard deviations with 1 frame, 10 with 84.
    """
    true, generator = posed_hands(hand, 84).joints, torch.Generator().manual_seed(100)
    parents = [0 if joint.endswith("_1") else number - 1 for number, joint in enumerate(JOINTS)]
    joints, factors = true.clone(), 1 + 0.1 * torch.randn(21, generator=generator)
    for child in range(1, 21):
        parent = parents[child]
        joints[:, child] = joints[:, parent] + factors[child] * (true[:, child] - true[:, parent])
    joints += 0.002 * torch.randn(joints.shape, generator=generator)
    shapes = [fit_hand(hand, joints[:count]).shape.abs().max() for count in (1, 17, 84)]
    assert max(shapes) < 2.5
    fit = fit_hand(hand, joints)
    believed = [refusal(residual, fit.shape) is None for residual in fit.residual_m]
    assert sum(believed) >= 0.99 * 84
    # The minimum is that of the mean: the shape's own gradient is n times the prior's.
    shared = HandModel(hand.template).double()

    def cost(shape: torch.Tensor) -> torch.Tensor:
        posed = shared(fit.rotation.double(), fit.pose.double(), shape.expand(84, -1)).joints
        misses = (posed - posed[:, :1] + fit.joints[:, :1].double() - joints.double()).square().sum() / 0.003**2
        return misses / 84 + shape @ shape

    shape = fit.shape.double().requires_grad_()
    (slope,) = torch.autograd.grad(cost(shape), shape)
    assert slope.abs().max() < 0.02 * shape.abs().max()


def test_what_is_no_hand_is_told_by_the_residual_or_the_shape(hand: HandModel) -> None:
    joints = posed_hands(hand, 4, seed=1).joints
    from_tip_to_base = [0, *(1 + 4 * finger + 3 - part for finger in range(5) for part in range(4))]
    for wrong in (joints[:, permutation(HO3D_JOINTS, from_=JOINTS)], joints[:, from_tip_to_base], 1000 * joints):
        fit = fit_hand(hand, wrong)
        assert fit.residual_m.min() > LARGEST_RESIDUAL_M
        assert "mm on average" in str(refusal(fit.residual_m[0], fit.shape))
    for wrong in (0.1 * joints, 2.0 * joints, torch.zeros(2, 21, 3)):
        fit = fit_hand(hand, wrong)
        assert refusal(fit.residual_m[0], fit.shape) is not None
    assert refusal(torch.tensor(math.nan), torch.zeros(10)) is not None


def test_what_cannot_be_fitted_is_refused(hand: HandModel) -> None:
    with pytest.raises(FitError, match="at least one frame"):
        fit_hand(hand, torch.zeros(0, 21, 3))
    joints = posed_hands(hand, 3).joints
    joints[1, 4, 2] = math.nan
    with pytest.raises(FitError, match="NaN or infinity in frame 1 of 3"):
        fit_hand(hand, joints)
