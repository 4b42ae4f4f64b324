"""Rows of a predictions file and poses: one from the other and back, and where the rows put hand and object."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from warpgrasp.export.sequence import PredictedSequence
from warpgrasp.frame import ObjectModel, Pose
from warpgrasp.geometry.camera import Camera
from warpgrasp.geometry.rotation import matrix_from_axis_angle
from warpgrasp.hand.model import JOINTS, PLACEMENT_JOINT, HandModel
from warpgrasp.predictions.file import Predictions, PredictionsError
from warpgrasp.predictions.poses import (
    check_frames,
    check_hand_sizes,
    check_places,
    pose_of_predictions,
    predictions_of_pose,
)
from warpgrasp.reconstruction.network import HandObjectNetwork, NetworkConfig
from warpgrasp.scene import posed_hand

CAMERA = Camera(torch.tensor([[60.0, 0, 31.5], [0, 60.0, 23.5], [0, 0, 1]]), 64, 48)
MODEL = ObjectModel.centred(
    "wedge", torch.tensor([[0.0, 0, 0], [0.1, 0, 0], [0.1, 0.04, 0.02]]), torch.tensor([[0, 1, 2]])
)


def three_frames(hand: HandModel) -> Pose:
    """Before the camera, but for the object of the last frame, which lies behind it; joints within the pose space."""
    random = torch.Generator().manual_seed(5)

    def normal(*size: int, scale: float) -> torch.Tensor:
        return scale * torch.randn(*size, generator=random)

    ahead = torch.tensor([0.0, 0.0, 0.6])
    centre = torch.stack([ahead, ahead, -ahead])
    angles = hand.pose_from_coefficients(normal(3, len(hand.pose_components), scale=0.5))
    turns = [matrix_from_axis_angle(normal(3, 3, scale=0.7)) for _ in range(2)]
    return Pose(turns[0], centre, turns[1], ahead + normal(3, 3, scale=0.01), angles, normal(3, 10, scale=0.5))


def rows(pose: Pose, hand: HandModel) -> Predictions:
    return predictions_of_pose(
        pose,
        sequence="S1",
        indices=[4, 5, 9],
        times_s=np.array([0.0, 0.1, 0.5]),
        hand=hand,
        model=MODEL,
        camera=CAMERA,
    )


def test_there_and_back(hand: HandModel) -> None:
    pose = three_frames(hand)
    again = pose_of_predictions(rows(pose, hand), hand)
    for name in ("object_rotation", "object_centre", "hand_rotation", "shape"):
        assert torch.equal(again.arrays[name], pose.arrays[name]), name
    assert_close(again.wrist, pose.wrist, rtol=0, atol=1e-6)
    assert_close(again.joint_angles, pose.joint_angles, rtol=0, atol=1e-5)


@pytest.mark.parametrize("learned", ["middle_1", "wrist"])
def test_the_wrist_of_another_skeleton_poses_the_hand_where_it_was_predicted(hand: HandModel, learned: str) -> None:
    """As of an imported adaptor whose rows do not sum to one: joints and placement lie beside the model's."""
    pose = three_frames(hand)
    stored = rows(pose, hand)
    joints = stored.hand_joints.copy()
    joints[:, JOINTS.index(learned)] += [0.01, -0.02, 0.03]
    adapted = replace(stored, hand_joints=joints, hand_translation=joints[:, PLACEMENT_JOINT])
    again = pose_of_predictions(adapted, hand)
    assert_close(again.wrist, pose.wrist, rtol=0, atol=1e-6)
    assert_close(posed_hand(again, hand)[0], torch.from_numpy(stored.hand_vertices), rtol=0, atol=2e-6)


def test_the_wrist_of_a_network_with_skeleton_adaptation(hand: HandModel) -> None:
    network = HandObjectNetwork(NetworkConfig(width=8, skeleton_adaptation=True), hand, ("wedge",))
    assert network.adaptation is not None
    with torch.no_grad():
        network.adaptation.regressor.mul_(1.04)
        pose = three_frames(hand)
        coefficients = torch.full((3, network.config.pose_coefficients), 0.3)
        posed = network.posed_hand(pose.hand_rotation, pose.wrist, pose=coefficients, shape=pose.shape)
    arrays = {
        "hand_vertices": posed.vertices,
        "hand_joints": posed.joints,
        "hand_translation": posed.translation,
        "hand_pose": posed.pose_coefficients,
    }
    stored = replace(rows(pose, hand), **{name: array.numpy() for name, array in arrays.items()})
    again = pose_of_predictions(stored, hand)
    assert_close(posed_hand(again, hand)[0], posed.vertices, rtol=0, atol=2e-6)
    sequence = PredictedSequence("S1", stored, np.arange(3), hand, MODEL)
    exported, joints = sequence.posed(stored)
    assert_close(exported.wrist.float(), again.wrist)
    assert_close(joints[:, JOINTS.index("wrist")], exported.wrist)


def test_the_rows_say_which_frames_they_are_and_what_is_seen(hand: HandModel) -> None:
    pose = three_frames(hand)
    predictions = rows(pose, hand)
    assert predictions.sequence.tolist() == ["S1"] * 3
    assert predictions.object_name.tolist() == ["wedge"] * 3
    assert predictions.index.tolist() == [4, 5, 9]
    np.testing.assert_array_equal(predictions.time_s, [0.0, 0.1, 0.5])
    np.testing.assert_allclose(predictions.hand_joints[:, JOINTS.index("wrist")], pose.wrist, atol=1e-6)
    np.testing.assert_array_equal(predictions.hand_translation, predictions.hand_joints[:, JOINTS.index("middle_1")])
    assert predictions.object_in_view.tolist() == [1, 1, 0]
    assert (predictions.hand_in_view == 1).all()
    assert {array.dtype for array in (predictions.hand_vertices, predictions.hand_pose)} == {np.dtype(np.float32)}


@pytest.mark.parametrize(
    ("name", "value", "match"),
    [
        ("object_rotation", np.nan, "finite numbers in the frames of p.npz that are not flagged"),
        ("hand_shape", np.inf, "finite numbers in the frames of p.npz that are not flagged"),
        ("hand_joints", 1e7, "predictions within 1000 km of the camera"),
        ("object_translation", -1e7, "predictions within 1000 km of the camera"),
        ("time_s", 5.0, "times that do not ascend"),
        ("time_s", np.nan, None),
        ("index", 7, None),
    ],
)
def test_frames_that_cannot_be_shown(hand: HandModel, name: str, value: float, match: str | None) -> None:
    whole = replace(rows(three_frames(hand), hand), time_s=np.array([0.0, 1.0, 2.0]))
    array = np.array(getattr(whole, name))
    array[1] = value
    spoilt = replace(whole, **{name: array})
    check_frames(whole, np.arange(3), Path("p.npz"))
    check_frames(spoilt, np.array([0, 2]), Path("p.npz"))
    if match is None:
        check_frames(spoilt, np.arange(3), Path("p.npz"))
    else:
        with pytest.raises(PredictionsError, match=match):
            check_frames(spoilt, np.arange(3), Path("p.npz"))


def test_vertices_that_cannot_be_shown(hand: HandModel) -> None:
    whole = rows(three_frames(hand), hand)
    check_hand_sizes(whole, hand)
    check_places(whole.hand_vertices)
    for name in ("hand_vertices", "hand_shape"):
        with pytest.raises(PredictionsError, match=r"predictions of the hand open-hand right \(778 vertices"):
            check_hand_sizes(replace(whole, **{name: getattr(whole, name)[:, :5]}), hand)
    for value in (np.nan, -np.inf, 1e30):
        with pytest.raises(PredictionsError, match="not finite"):
            check_places(np.full((1, 778, 3), value, np.float32))
