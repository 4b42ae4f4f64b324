"""Fitting the hand to joints in one picture: known hands are found again, as far as one view tells them."""

import pytest
import torch

from warpgrasp.geometry import matrix_from_axis_angle
from warpgrasp.geometry.camera import Camera
from warpgrasp.hand.fit import FitError
from warpgrasp.hand.model import JOINTS, MANO_JOINTS, HandModel
from warpgrasp.hand.seen_fit import ExpectedHand, HandPlace, SeenJoints, angles_not_said, fit_hand_to_pixels

CAMERA = Camera(torch.tensor([[900.0, 0, 660.0], [0, 910.0, 350.0], [0, 0, 1]]), 1280, 720)
ALL = torch.ones(21, dtype=torch.bool)


def hands(hand: HandModel, *, mean_size: bool) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Joints, pixels and shape of four hands."""
    found = []
    for seed in range(4):
        generator = torch.Generator().manual_seed(seed)
        pose = hand.pose_from_coefficients(0.7 * torch.randn(1, 45, generator=generator))
        shape = (0.0 if mean_size else 1.0) * torch.randn(hand.shape_count, generator=generator)
        rotation = 1.2 * torch.randn(1, 3, generator=generator)
        place = torch.tensor([0.0, 0.0, 0.5]) + 0.05 * torch.randn(3, generator=generator)
        joints = hand(rotation, pose, shape[None]).joints[0] + place
        found.append((joints, CAMERA.project(joints), shape))
    return found


@pytest.mark.slow
def test_known_hands_are_found_again(hand: HandModel) -> None:
    """In the picture to two pixels; in space, at the known shape, to a centimetre."""
    for joints, pixels, shape in hands(hand, mean_size=False):
        fit = fit_hand_to_pixels(hand, SeenJoints(pixels, ALL), camera=CAMERA, expected=ExpectedHand(shape))
        assert (CAMERA.project(fit.joints[0]) - pixels).norm(dim=-1).mean() < 2
        torch.testing.assert_close(fit.shape, shape, rtol=0, atol=0.02)
        assert (fit.joints[0] - joints).norm(dim=-1).mean() < 0.01


def test_a_hand_of_the_mean_shape_needs_no_shape(hand: HandModel) -> None:
    for joints, pixels, _ in hands(hand, mean_size=True):
        fit = fit_hand_to_pixels(hand, SeenJoints(pixels, ALL), camera=CAMERA)
        assert (CAMERA.project(fit.joints[0]) - pixels).norm(dim=-1).mean() < 2
        assert abs(fit.joints[0, 0, 2] / joints[0, 2] - 1) < 0.03


def test_a_few_joints_are_enough_for_a_start(hand: HandModel) -> None:
    """Wrist, the tip of the thumb, and the fingers' bases: the palm is where it was, to three centimetres."""
    few = torch.tensor([name in ("wrist", "thumb_tip") or name.endswith("_1") for name in JOINTS])
    joints, pixels, shape = hands(hand, mean_size=True)[0]
    broken = torch.where(few[:, None], pixels, torch.nan)
    fit = fit_hand_to_pixels(hand, SeenJoints(broken, few), camera=CAMERA, expected=ExpectedHand(shape))
    assert (CAMERA.project(fit.joints[0]) - pixels)[few].norm(dim=-1).mean() < 3
    assert (fit.joints[0] - joints)[few].norm(dim=-1).mean() < 0.03


def test_a_hand_stays_in_what_its_joints_do_not_say(hand: HandModel) -> None:
    """Thumb and index finger alone are seen, two pixels off: wrist and other fingers stay, these two follow."""
    thumb_and_index = torch.tensor([name.startswith(("thumb", "index")) for name in JOINTS])
    random, strays = torch.Generator().manual_seed(3), torch.zeros(2)
    for _, _, shape in hands(hand, mean_size=False):
        pose, turn = 0.7 * torch.randn(1, 45, generator=random), torch.tensor([[0.4, -0.9, 0.3]])
        pose = hand.pose_from_coefficients(pose)
        joints = hand(turn, pose, shape[None]).joints[0]
        joints = joints - joints[0] + torch.tensor([0.0, 0.0, 0.5])
        pixels = CAMERA.project(joints) + 2 * torch.randn(21, 2, generator=random)
        bent = pose[0].clone()
        bent[MANO_JOINTS.index("index_1") * 3 - 3 : MANO_JOINTS.index("index_1") * 3] += 0.4
        held = angles_not_said(thumb_and_index)
        place = HandPlace(matrix_from_axis_angle(turn)[0], joints[0])
        expected = ExpectedHand(shape, bent, held, place)
        seen = SeenJoints(pixels, thumb_and_index)
        near = fit_hand_to_pixels(hand, seen, camera=CAMERA, expected=expected)
        anywhere = fit_hand_to_pixels(hand, seen, camera=CAMERA, expected=ExpectedHand(shape, bent))
        strayed, before = ((fit.joints[0, 0] - joints[0]).norm() for fit in (near, anywhere))
        strays += torch.stack([strayed, before])
        assert strayed < 0.03
        torch.testing.assert_close(near.pose[0][held], bent[held], rtol=0, atol=1e-4)
        assert (CAMERA.project(near.joints[0]) - pixels)[thumb_and_index].norm(dim=-1).mean() < 5
    assert strays[0] < 0.7 * strays[1]  # than without knowing where it was


def test_a_hand_that_is_not_where_it_was_thought_is_found(hand: HandModel) -> None:
    joints, pixels, shape = hands(hand, mean_size=True)[0]
    place = HandPlace(torch.eye(3), torch.tensor([-0.3, 0.2, 1.2]))
    fit = fit_hand_to_pixels(hand, SeenJoints(pixels, ALL), camera=CAMERA, expected=ExpectedHand(shape, place=place))
    assert (fit.joints[0] - joints).norm(dim=-1).mean() < 0.02


def test_joints_say_nothing_of_what_lies_beyond_them() -> None:
    """A clicked base says nothing of its finger's bends; a clicked tip says something of all three."""
    seen = torch.tensor([name in ("wrist", "index_1", "middle_3", "ring_tip") for name in JOINTS])
    said = {name for name, angle in zip(MANO_JOINTS[1:], angles_not_said(seen)[::3].tolist(), strict=True) if not angle}
    assert said == {"middle_1", "middle_2", "ring_1", "ring_2", "ring_3"}


def test_joints_that_are_seen_elsewhere(hand: HandModel) -> None:
    """Points beside the joints, turned with the hand: found with the offsets known, and not without them."""
    generator = torch.Generator().manual_seed(5)
    offsets = 0.01 * torch.randn(21, 3, generator=generator)
    rotation = torch.tensor([[0.4, -0.9, 0.3]])
    joints = hand(rotation, hand.mean_pose[None], torch.zeros(1, hand.shape_count)).joints[0] + torch.tensor(
        [0, 0, 0.5]
    )
    pixels = CAMERA.project(joints + offsets @ matrix_from_axis_angle(rotation)[0].T)
    known = fit_hand_to_pixels(hand, SeenJoints(pixels, ALL, offsets), camera=CAMERA)
    assert (known.joints[0] - joints).norm(dim=-1).mean() < 1e-4
    unknown = fit_hand_to_pixels(hand, SeenJoints(pixels, ALL), camera=CAMERA)
    assert (CAMERA.project(unknown.joints[0]) - CAMERA.project(joints)).norm(dim=-1).mean() > 5


def test_joints_count_by_their_errors(hand: HandModel) -> None:
    """A fingertip 40 px off pulls its finger along, unless it is said to be uncertain."""
    _, pixels, _ = hands(hand, mean_size=True)[0]
    tip = JOINTS.index("index_tip")
    moved = pixels.clone()
    moved[tip, 0] += 40
    errors = torch.full((21,), 0.003)
    errors[tip] = 0.3
    missed = [
        (CAMERA.project(fit_hand_to_pixels(hand, SeenJoints(moved, ALL, None, one), camera=CAMERA).joints[0]) - pixels)
        .norm(dim=-1)
        .mean()
        for one in (None, errors)
    ]
    assert missed[0] > 2 * missed[1]
    assert missed[1] < 2


def test_an_expected_pose_helps_where_joints_are_hidden(hand: HandModel) -> None:
    """The fingers of a bent hand, hidden but for their bases: as in the picture in which they were seen."""
    few = torch.tensor([name == "wrist" or name.endswith("_1") for name in JOINTS])
    pose = hand.pose_from_coefficients(1.5 * torch.randn(1, 45, generator=torch.Generator().manual_seed(3)))
    shape, place = torch.zeros(hand.shape_count), torch.tensor([0.0, 0.0, 0.5])
    joints = hand(torch.tensor([[0.5, 0.2, 0.1]]), pose, shape[None]).joints[0] + place
    seen = SeenJoints(CAMERA.project(joints), few)
    errors_m = [
        float((fit_hand_to_pixels(hand, seen, camera=CAMERA, expected=one).joints[0] - joints).norm(dim=-1).mean())
        for one in (ExpectedHand(shape), ExpectedHand(shape, pose[0]))
    ]
    assert errors_m[1] < 0.001
    assert errors_m[0] > 0.01


@pytest.mark.parametrize(
    ("count", "value", "message"),
    [(5, 100.0, r"at least 6 joints of the hand in the picture, got 5"), (21, float("nan"), r"expected finite pixels")],
)
def test_what_is_refused(hand: HandModel, count: int, value: float, message: str) -> None:
    with pytest.raises(FitError, match=message):
        fit_hand_to_pixels(hand, SeenJoints(torch.full((21, 2), value), torch.arange(21) < count), camera=CAMERA)
