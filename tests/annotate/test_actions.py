"""The actions of the annotation page, without a browser: where they move hand and object, and what the page says."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

pytest.importorskip("viser", reason="needs the extra `viewer`")

from tests.annotate.conftest import opened
from tests.data.recording.recording_files import frame_seen
from warpgrasp.annotate import actions as module
from warpgrasp.annotate.actions import AnnotateActions
from warpgrasp.annotate.page import AnnotatePage
from warpgrasp.annotate.session import GuardedServer
from warpgrasp.errors import UserError
from warpgrasp.frame import Pose
from warpgrasp.hand.model import HandModel
from warpgrasp.refinement.refine import RefinedFrame


@pytest.fixture
def actions(folder: Path, hand: HandModel) -> Iterator[AnnotateActions]:
    server = GuardedServer(port=0)
    page = AnnotatePage(server, opened(folder, hand))
    yield AnnotateActions(page)
    page.close()
    server.stop()


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
    actions.refine()
    ((given, label, pictures),) = taken
    assert given is start
    assert label is page.state.pose(3)
    assert [frame_seen(picture.permute(1, 2, 0).numpy()) for picture in pictures] == [2, 3]
    np.testing.assert_allclose(page.state.current.wrist, start.wrist[0].numpy() + 0.01)
    assert "refined by frame 3: colour difference 0.125 → 0.062, over 75 % of its surface" in page.panel.status.content

    def refuses(*_, **__) -> RefinedFrame:
        raise UserError("expected poses nearby")

    monkeypatch.setattr(module, "refine_frame", refuses)
    before = page.state.current
    actions.refine()
    assert "⚠️ expected poses nearby" in page.panel.status.content
    assert page.state.current is before


def test_poses_that_were_changed_meanwhile_are_not_refined(
    actions: AnnotateActions, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = actions.page

    def slow(start: Pose, *_, **__) -> RefinedFrame:
        actions.set_depth("object", 0.7)
        return RefinedFrame(start, 0.125, 0.0625, 0.75)

    monkeypatch.setattr(module, "refine_frame", slow)
    actions.refine()
    assert "the refined poses were dropped" in page.panel.status.content
    assert page.state.current.object_centre[2] == pytest.approx(0.7)
