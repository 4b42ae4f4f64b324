"""The reprojection loss against its formula worked by hand, and which detections it is made of."""

import math
from dataclasses import replace

import pytest
import torch

from tests.keypoints.hands_at import hand_at
from warpgrasp.frame import Detections
from warpgrasp.geometry import Camera
from warpgrasp.keypoints import JointOffsets, detections_of, reprojection_loss

CAMERA = Camera(torch.tensor([[[400.0, 0, 160], [0, 500, 120], [0, 0, 1]]]), 320, 240)
# 5 mm sideways and 4 mm upright: 4 px and 4 px at half a metre.
OFFSETS = JointOffsets(torch.zeros(21, 3), torch.diag(torch.tensor([0.005**2, 0.004**2])).expand(21, 2, 2))


def joints_at(depth_m: float) -> torch.Tensor:
    return torch.tensor([0.0, 0.0, depth_m]).expand(1, 21, 3).clone()


@pytest.mark.parametrize(("off_px", "deviations"), [((4.0, 0.0), 1.0), ((0.0, 8.0), 2.0), ((4.0, 4.0), math.sqrt(2))])
def test_an_error_costs_what_the_scatter_says(off_px: tuple[float, float], deviations: float) -> None:
    detections = Detections((torch.tensor([160.0, 120]) + torch.tensor(off_px)).expand(1, 21, 2), torch.ones(1, 21))
    loss = reprojection_loss(joints_at(0.5), torch.eye(3)[None], CAMERA, detections, OFFSETS)
    assert float(loss) == pytest.approx(3 * math.log(1 + deviations**2 / 4), rel=1e-5)


def test_offsets_turn_with_the_hand() -> None:
    quarter = torch.tensor([[[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]])  # about the line of sight: x becomes y
    offsets = replace(OFFSETS, offsets_m=torch.tensor([0.01, 0, 0]).expand(21, 3))
    detections = Detections(torch.tensor([160.0, 130]).expand(1, 21, 2), torch.ones(1, 21))
    assert float(reprojection_loss(joints_at(0.5), quarter, CAMERA, detections, offsets)) == pytest.approx(0, abs=1e-9)


def test_going_away_does_not_pay_by_itself() -> None:
    """On the optical axis the picture does not change with depth, and neither may the loss."""
    joints = joints_at(0.5).requires_grad_()
    detections = Detections(torch.tensor([164.0, 120]).expand(1, 21, 2), torch.ones(1, 21))
    reprojection_loss(joints, torch.eye(3)[None], CAMERA, detections, OFFSETS).sum().backward()
    assert joints.grad is not None
    assert float(joints.grad[..., 2].abs().max()) == 0
    assert float(joints.grad[..., 0].max()) < 0


def test_pictures_without_the_hand_count_nothing() -> None:
    left = hand_at(50, 60, presence=0.95, right=0.05)
    right = hand_at(100, 120, presence=0.9, right=0.8)
    detections = detections_of([[left, right], [], [left]], "right", least_probability=0.2)
    assert torch.equal(detections.joints_px[0], right.joints_px)
    assert torch.equal(detections.confidence[0], 0.9 * right.confidence)
    assert not detections.confidence[1:].any()
    loss = reprojection_loss(joints_at(0.5).expand(3, 21, 3), torch.eye(3).expand(3, 3, 3), CAMERA, detections, OFFSETS)
    assert loss[1:].tolist() == [0, 0]


def test_they_move_with_the_picture_as_the_camera_does() -> None:
    small = CAMERA.resized(96, 72)
    points = torch.tensor([[[0.03, -0.02, 0.4]]]).expand(1, 21, 3)
    detections = Detections(CAMERA.project(points), torch.ones(1, 21)).resized((320, 240), (96, 72))
    torch.testing.assert_close(detections.joints_px, small.project(points))
