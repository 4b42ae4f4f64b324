"""The keypoints' term against its formula worked by hand, and the start that they give a hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from warpgrasp.frame import Detections, Pose
from warpgrasp.geometry import Camera, matrix_from_axis_angle
from warpgrasp.hand import JOINTS, HandModel
from warpgrasp.keypoints import JointOffsets
from warpgrasp.refinement.keypoint_fit import moved_to_seen_hand
from warpgrasp.refinement.seen_hand import SeenHand, Sightings
from warpgrasp.scene import posed_hand

CAMERA = Camera(torch.tensor([[400.0, 0, 159.5], [0, 400, 119.5], [0, 0, 1]]), 320, 240)
SURE = JointOffsets(torch.zeros(21, 3), (0.005**2 * torch.eye(2)).expand(21, 2, 2))


def hands(turns: torch.Tensor, moves: torch.Tensor, hand: HandModel) -> Pose:
    """The mean hand, half a metre away, turned and moved."""
    count = len(turns)
    return Pose(
        torch.eye(3).expand(count, 3, 3).clone(),
        torch.tensor([0.1, 0.0, 0.5]).expand(count, 3).clone(),
        matrix_from_axis_angle(turns),
        torch.tensor([0.0, 0.0, 0.5]) + moves,
        hand.mean_pose.expand(count, -1).clone(),
        torch.zeros(count, hand.shape_count),
    )


def still(count: int, hand: HandModel) -> Pose:
    return hands(torch.zeros(count, 3), torch.zeros(count, 3), hand)


def swinging(count: int, hand: HandModel) -> Pose:
    """By 0.7 rad and 50 mm from the first frame to the last, and as far down and back."""
    share = torch.linspace(0, 1, count)[:, None]
    moves = torch.cat([0.05 * share, 0.05 * torch.sin(math.pi * share), 0.02 * share], dim=1)
    return hands(share * torch.tensor([0.2, 0.6, -0.3]), moves, hand)


def seen_at(joints_px: torch.Tensor, hand: HandModel, confidence: torch.Tensor | None = None) -> SeenHand:
    sure = torch.ones(joints_px.shape[:2]) if confidence is None else confidence
    return SeenHand.of(Detections(joints_px, sure), SURE, camera=CAMERA, hand=hand, source="test")


def joint_error_px(pose: Pose, truth: Pose, hand: HandModel) -> torch.Tensor:
    found, expected = (CAMERA.project(posed_hand(one, hand)[1]) for one in (pose, truth))
    return (found - expected).norm(dim=-1).mean(dim=1)


def test_what_a_distance_costs(hand: HandModel) -> None:
    """One standard deviation (5 mm) off in every joint, one joint alone, all by a metre, and nothing seen."""
    poses = still(4, hand)
    joints = posed_hand(poses, hand)[1]
    joints_px = CAMERA.project(joints)
    one_px = 0.005 * 400 / joints[..., 2]
    joints_px[0, :, 0] += one_px[0]
    joints_px[1, 4, 1] -= one_px[1, 4]
    joints_px[2, :, 0] += 200 * one_px[2]
    confidence = torch.ones(4, 21)
    confidence[3] = 0
    seen = seen_at(joints_px, hand, confidence)
    losses = [3 * math.log(1 + 1 / 4), 3 * math.log(1 + 1 / 4) / 21, 3 * math.log(1 + 200**2 / 4), 0]
    expected = torch.tensor([math.log(1 + loss) for loss in losses])
    assert_close(seen.cost(poses), expected, rtol=1e-3, atol=1e-5)
    error_px = seen.error_px(poses)
    assert_close(
        error_px[:3], torch.stack([one_px[0].mean(), one_px[1, 4] / 21, 200 * one_px[2].mean()]), rtol=1e-3, atol=1e-3
    )
    assert torch.isnan(error_px[3])


def test_a_mistaken_frame_pulls_less_than_a_true_one(hand: HandModel) -> None:
    poses = still(2, hand)
    poses.wrist.requires_grad_()
    joints_px = CAMERA.project(posed_hand(poses, hand)[1]).detach() + torch.tensor([[[4.0, 0]], [[80.0, 0]]])
    seen_at(joints_px, hand).cost(poses).sum().backward()
    assert poses.wrist.grad is not None
    near, far = poses.wrist.grad[:, 0].tolist()
    assert near < 10 * far < 0


def test_labels_say_how_far_off_the_detector_is(hand: HandModel) -> None:
    poses = still(3, hand)
    offsets = torch.zeros(21, 3)
    offsets[:, 0] = 0.01  # 8 px at half a metre
    joints_px = CAMERA.project(posed_hand(poses, hand)[1] + offsets)
    joints_px[2] += 5
    seen = replace(seen_at(joints_px, hand), offsets=JointOffsets(offsets, SURE.scatter_m2))
    sightings = Sightings.of(seen, poses, [0], used=True)
    assert sightings.frames == 3
    assert sightings.unadapted_px == pytest.approx(8, abs=0.5)
    assert sightings.adapted_px == pytest.approx(0, abs=1e-3)
    assert sightings.error_px.tolist() == pytest.approx([0, 0, 5 * math.sqrt(2)], abs=1e-3)


@pytest.mark.slow
def test_a_hand_starts_where_it_is_seen(hand: HandModel) -> None:
    """From one label; in three frames in a row the detector sees another hand, in four it sees none."""
    truth = swinging(30, hand)
    labelled = torch.arange(30) == 4
    joints_px = CAMERA.project(posed_hand(truth, hand)[1])
    joints_px[12:15] = torch.tensor([60.0, 200]) + joints_px[12:15].flip(1) / 3
    confidence = torch.ones(30, 21)
    confidence[26:] = 0
    start = Pose(**{name: values[4:5].expand_as(values).clone() for name, values in truth.arrays.items()})
    assert joint_error_px(start, truth, hand).mean() > 25
    found = moved_to_seen_hand(start, seen_at(joints_px, hand, confidence), labelled, torch.arange(30.0).double())
    error_px = joint_error_px(found, truth, hand)
    assert error_px.mean() < 2.5
    assert error_px.max() < 10
    for name, values in found.arrays.items():
        assert torch.equal(values[4], start.arrays[name][4]), name
    assert torch.equal(found.object_centre, start.object_centre)


def test_nothing_is_seen_nothing_is_moved(hand: HandModel) -> None:
    start = swinging(5, hand)
    labelled = torch.arange(5) == 2
    seen = seen_at(torch.zeros(5, 21, 2), hand, torch.zeros(5, 21))
    assert moved_to_seen_hand(start, seen, labelled, torch.arange(5.0).double()) is start
    assert len(JOINTS) == seen.detections.joints_px.shape[1]
    assert np.isnan(Sightings.of(seen, start, [2], used=True).adapted_px)


def test_joints_far_from_several_labels_contradict_them(hand: HandModel) -> None:
    """3 px off on average is within what detectors do; 5 px, of 320, is not; a single label cannot tell."""
    poses = swinging(5, hand)
    joints_px = CAMERA.project(posed_hand(poses, hand)[1])
    labels = {position: poses.rows(slice(position, position + 1)) for position in (3, 1)}
    near, far = (seen_at(joints_px + torch.tensor([off_px, 0.0]), hand) for off_px in (3.0, 5.0))
    assert not near.contradicts(labels)
    assert far.contradicts(labels)
    assert not far.contradicts({1: labels[1]})
