"""The actions of the annotation page, without a browser: where they move hand and object, and what the page says."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

pytest.importorskip("viser", reason="needs the extra `viewer`")

from tests.annotate.conftest import said_by
from tests.data.recording.recording_files import frame_seen
from warpgrasp.annotate import refining as module
from warpgrasp.annotate.actions import AnnotateActions
from warpgrasp.annotate.page import AnnotatePage
from warpgrasp.annotate.refining import RefineActions
from warpgrasp.errors import UserError
from warpgrasp.frame import Pose
from warpgrasp.refinement.one_frame import RefinedFrame


@pytest.fixture
def actions(page: AnnotatePage) -> AnnotateActions:
    return AnnotateActions(page)


def test_hand_and_object_are_moved(actions: AnnotateActions) -> None:
    page, start = actions.page, actions.page.state.current
    actions.set_depth("object", 2 * start.object_centre[2])  # along the line of sight
    np.testing.assert_allclose(page.state.current.object_centre, 2 * start.object_centre)
    actions.move("hand")
    actions.nudge(1.01)
    np.testing.assert_allclose(page.state.current.wrist, 1.01 * start.wrist)
    quarter = Rotation.from_rotvec([0, 0, np.pi / 2])
    actions.drag("hand", quarter.as_quat(scalar_first=True), np.array([0.01, 0.02, 0.4]))
    np.testing.assert_allclose(page.state.current.hand_rotation, [[0, -1, 0], [1, 0, 0], [0, 0, 1]], atol=1e-12)
    np.testing.assert_array_equal(page.state.current.wrist, [0.01, 0.02, 0.4])
    actions.bend("curl", 1, 30.0)
    assert np.degrees(page.axes.angles(page.state.current.joint_angles).curl[1]) == pytest.approx(30)
    actions.set_shape(2, 1.5)
    assert page.state.current.shape.tolist() == [0, 0, 1.5, *[0] * 7]
    assert page.panel.shape[2].value == 1.5
    assert page.panel.shape[0].label == "1: volume +13 %, fingers +9 %"
    actions.set_length(200.0)
    assert page.sizes.length_m(page.state.current.shape) == pytest.approx(0.2, abs=1e-5)
    assert page.panel.hand_length.value == 200.0
    actions.undo()
    assert page.scene.hand_handle.position == pytest.approx([0.01, 0.02, 0.4])
    np.testing.assert_allclose(page.state.current.object_rotation, start.object_rotation)


def test_a_frame_is_refined_by_its_nearest_label(actions: AnnotateActions, monkeypatch: pytest.MonkeyPatch) -> None:
    page, taken = actions.page, []

    def refined(start: Pose, label: Pose, pictures, **_) -> RefinedFrame:
        taken.append((start, label, pictures))
        moved = page.state.current.moved(wrist=start.wrist[0].numpy() + 0.01)
        return RefinedFrame(moved.pose, 0.125, 0.0625, 0.75)

    monkeypatch.setattr(module, "refine_frame", refined)
    page.show_frame(2)  # nobody has begun it; labels are at 0 and 3
    start = page.state.current.pose
    RefineActions(actions.page).refine()
    ((given, label, pictures),) = taken
    assert given is start
    assert label is page.state.pose(3)
    assert [frame_seen(picture.permute(1, 2, 0).numpy()) for picture in pictures] == [2, 3]
    np.testing.assert_allclose(page.state.current.wrist, start.wrist[0].numpy() + 0.01)
    assert "refined by frame 3: colour difference 0.125 → 0.062, over 75 % of its surface" in said_by(page)
    assert "the hand's joints moved by 17.3 mm on average, the object by 0.0 mm and 0.0°" in said_by(page)
    page.state.undo()  # once
    assert page.state.current.pose is start

    def refuses(*_, **__) -> RefinedFrame:
        raise UserError("expected poses nearby")

    monkeypatch.setattr(module, "refine_frame", refuses)
    before = page.state.current
    RefineActions(actions.page).refine()
    assert "⚠️ expected poses nearby" in said_by(page)
    assert page.state.current is before


def test_one_part_is_refined_alone(actions: AnnotateActions, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the key the part that has handles; the other one stays to the last digit, and one undo brings both back."""
    page, still = actions.page, []

    def refined(start: Pose, *_, descent, **__) -> RefinedFrame:
        still.append(descent.still)
        frame = page.state.current
        turned = Rotation.from_rotvec([0, 0, 0.1]).as_matrix() @ frame.object_rotation
        moved = frame.moved(wrist=frame.wrist + 0.01, object_rotation=turned)
        return RefinedFrame(moved.pose, 0.125, 0.0625, 0.75)

    monkeypatch.setattr(module, "refine_frame", refined)
    refining, start = RefineActions(page), page.state.current
    actions.move("object")
    refining.refine_moved()
    assert page.state.current.pose.wrist is start.pose.wrist
    assert page.state.current.stated_hand is start.stated_hand is not None
    assert "refined by frame 3, the object alone" in said_by(page)
    assert "by 0.0 mm on average, the object by 0.0 mm and 5.7°" in said_by(page)
    actions.undo()
    assert page.state.current is start
    refining.refine("hand")
    assert page.state.current.pose.object_rotation is start.pose.object_rotation
    np.testing.assert_allclose(page.state.current.wrist, start.wrist + 0.01)
    assert still == [("hand_turn", "hand_move", "bend"), ("turn", "move")]
    actions.move("nothing")
    refining.refine_moved()
    assert "choose what to refine alone" in said_by(page)
    assert len(still) == 2


def test_poses_that_were_changed_meanwhile_are_not_refined(
    actions: AnnotateActions, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = actions.page

    def slow(start: Pose, *_, **__) -> RefinedFrame:
        actions.set_depth("object", 0.7)
        return RefinedFrame(start, 0.125, 0.0625, 0.75)

    monkeypatch.setattr(module, "refine_frame", slow)
    RefineActions(actions.page).refine()
    assert "the refined poses were dropped" in said_by(page)
    assert page.state.current.object_centre[2] == pytest.approx(0.7)
