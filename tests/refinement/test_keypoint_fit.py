"""Poses moved to keypoints: towards them, with the object, and not where nothing is seen."""

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from tests.predictions.test_poses import three_frames
from warpgrasp.frame import Detections, Pose
from warpgrasp.geometry.camera import Camera
from warpgrasp.geometry.rotation import matrix_from_axis_angle
from warpgrasp.hand import Side, left_hand
from warpgrasp.hand.model import HandModel
from warpgrasp.keypoints import usual_offsets
from warpgrasp.refinement.keypoint_fit import to_keypoints
from warpgrasp.scene import posed_hand

CAMERA = Camera(torch.tensor([[330.0, 0, 159.5], [0, 330.0, 119.5], [0, 0, 1]]).repeat(3, 1, 1), 320, 240)


def seen(pose: Pose, hand: HandModel, side: Side) -> Detections:
    """What a perfect detector sees of all frames but the last."""
    joints = usual_offsets(side).apply(posed_hand(pose, hand)[1], pose.hand_rotation)
    return Detections(CAMERA.project(joints), torch.tensor([1.0, 1.0, 0.0])[:, None].expand(3, 21))


def errors_px(pose: Pose, hand: HandModel, detections: Detections, side: Side) -> torch.Tensor:
    joints = usual_offsets(side).apply(posed_hand(pose, hand)[1], pose.hand_rotation)
    return (CAMERA.project(joints) - detections.joints_px).norm(dim=-1).mean(dim=1)


def object_in_hand(pose: Pose) -> torch.Tensor:
    """Where the object is as the hand sees it."""
    return (pose.hand_rotation.mT @ (pose.object_centre - pose.wrist)[..., None])[..., 0]


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_hand_that_is_beside_goes_there_with_its_object(hand: HandModel, side: Side) -> None:
    model = hand if side == "right" else left_hand(hand)
    truth = three_frames(hand) if side == "right" else three_frames(hand).mirrored
    truth = replace(truth, object_centre=truth.wrist + torch.tensor([0.05, 0.0, 0.0]))
    detections = seen(truth, model, side)
    turn = matrix_from_axis_angle(torch.tensor([0.0, 0.0, 0.15]))
    shift = torch.tensor([0.02, -0.015, 0.0])
    begun = replace(
        truth,
        object_rotation=turn @ truth.object_rotation,
        hand_rotation=turn @ truth.hand_rotation,
        wrist=truth.wrist @ turn.T + shift,
        object_centre=truth.object_centre @ turn.T + shift,
    )
    found = to_keypoints(begun, model, CAMERA, detections, usual_offsets(side))
    before, after = (errors_px(pose, model, detections, side) for pose in (begun, found))
    assert (before[:2] > 8).all()
    assert (after[:2] < 2).all()
    for name, values in found.arrays.items():
        assert torch.equal(values[2], begun.arrays[name][2]), name  # nothing is seen in the last frame
    errors_m = [(pose.object_centre - truth.object_centre).norm(dim=1)[:2] for pose in (begun, found)]
    assert (errors_m[1] < 0.5 * errors_m[0]).all()
    assert_close(object_in_hand(found), object_in_hand(begun), rtol=0, atol=0.01)
    assert torch.equal(found.shape, begun.shape)
    assert (found.joint_angles - begun.joint_angles).abs().max() < 0.3


def test_what_is_seen_where_it_was_predicted_hardly_moves(hand: HandModel) -> None:
    pose = three_frames(hand)
    found = to_keypoints(pose, hand, CAMERA, seen(pose, hand, "right"), usual_offsets())
    for name in ("object_centre", "wrist"):
        assert_close(found.arrays[name], pose.arrays[name], rtol=0, atol=3e-3)
    for name in ("object_rotation", "hand_rotation", "joint_angles"):
        assert_close(found.arrays[name], pose.arrays[name], rtol=0, atol=0.04)


def test_a_frame_that_is_no_number_spoils_no_other(hand: HandModel) -> None:
    pose = three_frames(hand)
    detections = seen(pose, hand, "right")
    wrist = pose.wrist.clone()
    wrist[1] = torch.nan
    found = to_keypoints(replace(pose, wrist=wrist), hand, CAMERA, detections, usual_offsets())
    assert torch.isfinite(found.wrist[[0, 2]]).all()
