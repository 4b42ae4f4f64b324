"""Grasps that are copied and moved as one body: how hand and object lie to each other stays."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

pytest.importorskip("viser", reason="needs the extra `viewer`")

from tests.annotate.conftest import opened, said_by, shown
from warpgrasp.annotate.actions import AnnotateActions
from warpgrasp.annotate.edited_frame import EditedFrame
from warpgrasp.annotate.grasps import GraspActions
from warpgrasp.annotate.page import AnnotatePage
from warpgrasp.annotate.predicted import PredictedPoses
from warpgrasp.annotate.state import AnnotationState
from warpgrasp.errors import UserError
from warpgrasp.frame import Pose
from warpgrasp.hand.model import HandModel
from warpgrasp.predictions import Predictions, predictions_of_pose

TURN = Rotation.from_rotvec([0.3, -0.5, 1.2])


def in_object(frame: EditedFrame) -> tuple[np.ndarray, np.ndarray]:
    """The hand's rotation and wrist in the object's axes."""
    turned = frame.object_rotation.T
    return turned @ frame.hand_rotation, turned @ (frame.wrist - frame.object_centre)


def assert_same_grasp(first: EditedFrame, second: EditedFrame) -> None:
    for one, other in zip(in_object(first), in_object(second), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-9)


def test_coupled_they_move_as_one_body(page: AnnotatePage) -> None:
    actions, start = AnnotateActions(page), page.state.current
    actions.couple(True)
    assert "hand and object move together" in said_by(page)
    place = start.object_centre + np.array([0.02, -0.01, 0.1])
    turned = TURN * Rotation.from_matrix(start.object_rotation)
    actions.drag("object", turned.as_quat(scalar_first=True), place)
    dragged = page.state.current
    assert_same_grasp(dragged, start)
    np.testing.assert_allclose(dragged.object_centre, place)
    assert np.linalg.norm(dragged.wrist - start.wrist) > 0.05
    np.testing.assert_allclose(page.scene.hand_handle.position, dragged.wrist, atol=1e-6)  # goes along on the screen
    actions.set_depth("hand", 0.9)
    assert page.state.current.wrist[2] == pytest.approx(0.9)
    assert_same_grasp(page.state.current, start)
    actions.couple(False)
    actions.set_depth("object", 0.4)
    assert page.state.current.wrist[2] == pytest.approx(0.9)


def test_a_label_is_copied_as_one_grasp(page: AnnotatePage) -> None:
    state, actions, grasps = page.state, AnnotateActions(page), GraspActions(page)
    state.go_to(3)
    label = state.current.moved(object_rotation=TURN.as_matrix(), joint_angles=state.current.joint_angles + 0.2)
    page.change(label)
    page.show_frame(1)
    assert page.panel.grasp_of.options == ("label 0", "label 3")
    page.panel.grasp_of.value = "label 3"
    grasps.copy("both")
    for name, values in label.pose.arrays.items():
        np.testing.assert_array_equal(values, page.state.current.pose.arrays[name])
    assert page.coupled
    assert "the grasp of label 3 is copied" in said_by(page)
    # About the object where it is placed here; one undo takes it back.
    actions.couple(False)
    actions.drag("object", np.array([0.0, 1.0, 0.0, 0.0]), np.array([0.05, 0.02, 0.6]))
    placed = state.current
    grasps.copy("hand to this object")
    assert_same_grasp(state.current, label)
    np.testing.assert_array_equal(state.current.object_centre, [0.05, 0.02, 0.6])
    np.testing.assert_allclose(state.current.object_rotation, placed.object_rotation)
    np.testing.assert_array_equal(state.current.joint_angles, label.joint_angles)
    state.undo()
    assert state.current is placed
    # Into the hand as it is here, whose fingers stay.
    page.change(state.current.moved(joint_angles=label.joint_angles - 0.1))
    grasps.copy("object to this hand")
    assert_same_grasp(state.current, label)
    np.testing.assert_array_equal(state.current.wrist, placed.wrist)
    np.testing.assert_array_equal(state.current.joint_angles, label.joint_angles - 0.1)


def predictions_of_frame(number: int, pose: Pose, state: AnnotationState) -> Predictions:
    return predictions_of_pose(
        pose.to(torch.float32),
        sequence="small",
        indices=[number],
        times_s=np.array([0.1]),
        hand=state.hand,
        model=state.recording.object.model,
        camera=state.camera,
    )


def test_a_prediction_is_copied(state: AnnotationState, hand: HandModel) -> None:
    """With the shape of the nearest label; of a frame that was predicted."""
    poses = state.current.moved(wrist=np.array([0.01, 0.02, 0.7]), shape=np.full(10, 0.5)).pose
    predicted = PredictedPoses(predictions_of_frame(4, poses, state), hand)
    with shown(state, predicted=predicted) as page:
        grasps = GraspActions(page)
        page.show_frame(2)
        page.panel.grasp_of.value = "prediction"
        page.show()
        assert page.panel.predicted_frame.visible
        assert page.panel.predicted_frame.value == 2
        with pytest.raises(UserError, match="expected a prediction of frame 2, there is none"):
            grasps.copy("both")
        page.panel.predicted_frame.value = 4
        grasps.copy("both")
        np.testing.assert_allclose(state.current.wrist, [0.01, 0.02, 0.7], atol=1e-6)
        np.testing.assert_array_equal(state.current.shape, np.zeros(10))
        assert "the grasp of the prediction of frame 4 is copied" in said_by(page)


def test_without_another_label_there_is_nothing_to_copy(folder: Path, hand: HandModel) -> None:
    (folder / "annotations.json").unlink()
    with (
        shown(opened(folder, hand)) as page,
        pytest.raises(UserError, match="expected a label in another frame, or predictions"),
    ):
        GraspActions(page).copy("both")
