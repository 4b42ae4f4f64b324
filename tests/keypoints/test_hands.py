import math

import numpy as np
import pytest
import torch

from tests.keypoints.hands_at import hand_at
from warpgrasp.keypoints import HandBox, hand_of_side


def test_the_corners_of_a_turned_box() -> None:
    box = HandBox((100.0, 50.0), 20.0, math.pi / 2)  # its upper side faces right
    corners = np.array([[0, 0, 1], [1, 0, 1], [0.5, 0, 1]]) @ box.picture_from_box.T
    np.testing.assert_allclose(corners, [[110, 40], [110, 60], [110, 50]], atol=1e-12)


def test_the_box_around_a_hand_that_points_upward() -> None:
    # Of the joints that count, x spans -40 to 40 and y, with the thumb's third and the fingers' second, -80 to 0.
    box = HandBox.around(hand_at(200, 300).joints_px)
    assert box.centre_px == pytest.approx((200, 300 - 40 - 0.1 * 80))
    assert box.side_px == pytest.approx(160)
    assert box.turn == pytest.approx(0)


@pytest.mark.parametrize("degrees", [30, 90, -135, 179])
def test_the_box_turns_with_the_hand(degrees: float) -> None:
    angle = math.radians(degrees)
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    joints = hand_at(0, 0).joints_px
    straight, turned = (HandBox.around(points) for points in (joints, joints @ turn.T))
    assert turned.turn == pytest.approx(angle)
    assert turned.side_px == pytest.approx(straight.side_px, rel=1e-6)
    assert turned.centre_px == pytest.approx((turn @ torch.tensor(straight.centre_px)).tolist(), abs=1e-4)


def test_the_hand_of_a_side() -> None:
    right, left, faint = hand_at(0, 0, right=0.7), hand_at(9, 9, right=0.2), hand_at(5, 5, presence=0.5, right=0.9)
    assert hand_of_side([left, faint, right], "right") is right
    assert hand_of_side([left, faint, right], "left") is left
    assert hand_of_side([left], "right") is left
    assert hand_of_side([], "right") is None
    assert (left.side, left.side_score, right.side, right.side_score) == ("left", 0.8, "right", 0.7)
