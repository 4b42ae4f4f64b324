"""Annotating without a page: what is changed, taken back, saved, and found again."""

import json
import threading
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from tests.annotate.conftest import opened
from tests.data.recording.recording_files import edit, simple_label
from warpgrasp.annotate.drafts import DRAFTS_FILE as DRAFTS
from warpgrasp.annotate.edited_frame import PointPair
from warpgrasp.annotate.state import AnnotationState, ReadOnlyError
from warpgrasp.data.recording.annotations import HandJoints, Label, read_annotations, write_annotations
from warpgrasp.data.recording.dataset import Recordings
from warpgrasp.data.recording.files import Recording
from warpgrasp.errors import DataError, UserError
from warpgrasp.frame import FrameName
from warpgrasp.hand.model import JOINTS, HandModel
from warpgrasp.hand.templates import left_hand

CENTRE = np.array([0.05, 0.025, 0.01])  # of the wedge's box, in its file's coordinates


def moved(state: AnnotationState, by: float) -> np.ndarray:
    """Move the object to the right."""
    centre = state.current.object_centre + np.array([by, 0, 0])
    state.change(state.current.moved(object_centre=centre))
    return centre


def test_a_label_is_shown_where_it_puts_hand_and_object(state: AnnotationState, folder: Path, hand: HandModel) -> None:
    assert (state.frame, state.labelled, state.drafted) == (0, [0, 3], [])
    # simple_label: a quarter turn about z, then the translation.
    np.testing.assert_allclose(state.current.object_centre, [0.06 - CENTRE[1], 0.04 + CENTRE[0], 0.5 + CENTRE[2]])
    truth = Recordings(folder, hand).truth(FrameName("small", 0)).annotation
    np.testing.assert_allclose(state.current.wrist, truth.hand_joints[0].numpy(), atol=1e-7)
    shown = state.annotation(0)
    torch.testing.assert_close(shown.hand_vertices, truth.hand_vertices)
    torch.testing.assert_close(shown.object_translation, truth.object_translation)


def test_what_is_saved_is_read_again(state: AnnotationState, folder: Path, hand: HandModel) -> None:
    random = np.random.default_rng(0)
    state.go_to(1)
    turned = Rotation.from_rotvec(random.normal(size=3)).as_matrix()
    changed = state.current.moved(object_rotation=turned, object_centre=np.array([0.01, -0.02, 0.4]))
    changed = changed.moved(
        hand_rotation=Rotation.from_rotvec([0.3, -2.0, 1.1]).as_matrix(),
        joint_angles=random.normal(0, 0.3, 45),
        shape=random.normal(size=10),
    )
    state.change(replace(changed, done=True, use="evaluation"))
    assert state.unsaved == {1}
    state.save()
    assert state.unsaved == frozenset()
    again = opened(folder, hand)
    assert again.labelled == [0, 1, 3]
    again.go_to(1)
    for name, values in again.current.pose.arrays.items():
        np.testing.assert_allclose(values, changed.pose.arrays[name], atol=1e-12)
    truth = Recordings(folder, hand).truth(FrameName("small", 1)).annotation
    np.testing.assert_allclose(truth.object_translation.numpy(), [0.01, -0.02, 0.4], atol=1e-7)
    np.testing.assert_allclose(truth.hand_joints[0].numpy(), changed.wrist, atol=1e-6)
    assert Recordings(folder, hand).sequences["evaluation"] == {"small": [1]}


def test_a_left_hand(folder: Path, hand: HandModel) -> None:
    (folder / "annotations.json").unlink()
    recording = Recording.read(folder)
    for side, thumb_side in (("right", -1), ("left", 1)):
        shown = recording.of_side(side)
        state = AnnotationState(shown, shown.hand(hand))
        # Its back to the camera, fingers up: the thumb is to the left of a right hand.
        joints = state.annotation(0).hand_joints
        tips = {finger: joints[JOINTS.index(f"{finger}_tip")] for finger in ("thumb", "middle", "little")}
        assert (tips["thumb"] - tips["little"])[0] * thumb_side > 0.03
        assert tips["middle"][1] < joints[0, 1] - 0.1
    state.change(replace(state.current, done=True))
    state.save()
    written = read_annotations(folder)
    assert (written.side, written.hand_model) == ("left", "open-hand left")
    again = AnnotationState(Recording.read(folder), left_hand(hand))
    assert again.labelled == [0]
    np.testing.assert_allclose(again.annotation(0).hand_joints.numpy(), joints.numpy(), atol=1e-7)
    right = Recording.read(folder)
    with pytest.raises(DataError, match=r"expected labels of a right hand in .*annotations.json, found left"):
        AnnotationState(replace(right, annotations=replace(right.annotations, labels=(), side="right")), hand)


def test_labels_that_nobody_touched_stay_as_they_were(folder: Path, hand: HandModel) -> None:
    """Bit by bit, joints among them."""
    with torch.no_grad():
        joints = hand(torch.zeros(1, 3), hand.mean_pose[None], torch.zeros(1, 10)).joints[0].double().numpy()
    stated = HandJoints(joints + np.array([0, 0, 0.5]))
    labels = [simple_label(0), Label(3, stated, np.array([0.1, 0.2, 0.3]), np.array([0.0, 0.0, 0.5]), "evaluation")]
    write_annotations(folder, labels, hand_model="open-hand right")
    before = json.loads((folder / "annotations.json").read_text())["frames"]
    state = opened(folder, hand)
    state.go_to(3)
    np.testing.assert_allclose(state.current.wrist, stated.joints[0], atol=0.003)  # the fit's
    moved(state, 0.01)
    state.go_to(1)
    state.set_done(True)
    state.save()
    after = json.loads((folder / "annotations.json").read_text())["frames"]
    assert [one["frame"] for one in after] == [0, 1, 3]
    assert after[0] == before[0]
    assert after[2]["hand"] == before[1]["hand"]  # only the object moved
    assert after[2]["use"] == "evaluation"
    state.go_to(3)
    state.change(state.current.moved(joint_angles=state.current.joint_angles + 0.01))
    state.save()
    assert "pose" in json.loads((folder / "annotations.json").read_text())["frames"][2]["hand"]


def test_only_the_part_that_is_moved_is_stated_anew(folder: Path, hand: HandModel) -> None:
    """The other part of a label is written bit by bit as it was, whatever digits its turn would lose as a matrix."""
    label = replace(simple_label(0), object_rotation=np.array([0.1, -2.7, 3.3]))  # of more than π
    write_annotations(folder, [label], hand_model="open-hand right")
    before = json.loads((folder / "annotations.json").read_text())["frames"][0]
    state = opened(folder, hand)
    state.change(replace(state.current, use="evaluation"))
    state.save()
    held_out = json.loads((folder / "annotations.json").read_text())["frames"][0]
    assert held_out == {**before, "use": "evaluation"}
    state.change(state.current.moved(wrist=state.current.wrist + 0.01))
    state.save()
    moved_hand = json.loads((folder / "annotations.json").read_text())["frames"][0]
    assert moved_hand["object"] == before["object"]
    np.testing.assert_allclose(
        moved_hand["hand"]["translation"], np.array(before["hand"]["translation"]) + 0.01, atol=1e-12
    )
    moved(state, 0.02)
    state.save()
    both = json.loads((folder / "annotations.json").read_text())["frames"][0]
    np.testing.assert_allclose(
        Rotation.from_rotvec(both["object"]["rotation"]).as_matrix(),
        Rotation.from_rotvec(before["object"]["rotation"]).as_matrix(),
        atol=1e-12,
    )
    np.testing.assert_allclose(
        both["object"]["translation"], np.add(before["object"]["translation"], [0.02, 0, 0]), atol=1e-12
    )


def test_drafts_that_nobody_touched_stay_as_they_were(state: AnnotationState, folder: Path, hand: HandModel) -> None:
    state.go_to(2)
    moved(state, 0.02)
    state.save()
    edit(folder / DRAFTS, lambda content: content["frames"][0]["object"].update(rotation=[0.1, -2.7, 3.3]))
    before = json.loads((folder / DRAFTS).read_text())["frames"][0]
    again = opened(folder, hand)
    again.go_to(4)
    moved(again, 0.01)
    again.save()
    after = json.loads((folder / DRAFTS).read_text())["frames"]
    assert [entry["frame"] for entry in after] == [2, 4]
    assert after[0] == before


def test_a_frame_that_nobody_changed_is_not_kept(state: AnnotationState, folder: Path) -> None:
    before = (folder / "annotations.json").stat().st_mtime_ns
    for frame in (1, 2, 4):
        state.go_to(frame)
        assert not state.current.done
    state.save()
    assert (state.labelled, state.drafted) == ([0, 3], [])
    assert (folder / "annotations.json").stat().st_mtime_ns == before
    assert not (folder / DRAFTS).exists()


def test_an_unfinished_frame_is_a_draft_and_no_label(state: AnnotationState, folder: Path, hand: HandModel) -> None:
    state.go_to(2)
    centre = moved(state, 0.02)
    pair = PointPair(np.array([0.01, 0.02, 0.0]), np.array([12.5, 30.25]))
    state.change(replace(state.current.with_joint("index_tip", np.array([3.5, 4.0])), pairs=(pair,)))
    state.save()
    assert [label.frame for label in read_annotations(folder).labels] == [0, 3]
    again = opened(folder, hand)
    assert (again.labelled, again.drafted) == ([0, 3], [2])
    again.go_to(2)
    np.testing.assert_array_equal(again.current.object_centre, centre)
    np.testing.assert_array_equal(again.current.pairs[0].point, pair.point)
    np.testing.assert_array_equal(again.current.pairs[0].pixel, pair.pixel)
    assert [(name, px.tolist()) for name, px in again.current.joints_px] == [("index_tip", [3.5, 4.0])]
    # Finished, it leaves the drafts but for its points; taken back, it comes home whole.
    again.set_done(True)
    again.save()
    assert [label.frame for label in read_annotations(folder).labels] == [0, 2, 3]
    third = opened(folder, hand)
    third.go_to(2)
    assert (third.labelled, third.drafted, len(third.current.pairs)) == ([0, 2, 3], [], 1)
    third.set_done(False)
    third.save()
    assert [label.frame for label in read_annotations(folder).labels] == [0, 3]
    assert opened(folder, hand).drafted == [2]


def test_undo_and_redo(state: AnnotationState) -> None:
    first = state.current
    places = [moved(state, 0.01) for _ in range(3)]
    assert state.undo()
    assert state.undo()
    np.testing.assert_array_equal(state.current.object_centre, places[0])
    assert state.redo()
    np.testing.assert_array_equal(state.current.object_centre, places[1])
    moved(state, -0.5)  # another way: what was taken back is gone
    assert not state.redo()
    for _ in range(3):
        state.undo()
    assert state.current is first
    assert not state.undo()
    state.go_to(3)
    assert not state.undo()  # each frame has its own past
    state.go_to(0)
    assert state.redo()


def test_a_gesture_is_one_change(state: AnnotationState) -> None:
    first = state.current
    for _ in range(5):
        state.change(state.current.moved(object_centre=state.current.object_centre + 0.001), gesture="object")
    state.end_gesture()
    state.change(state.current.moved(object_centre=state.current.object_centre + 0.001), gesture="object")
    last = state.current
    state.undo()
    state.undo()
    assert state.current is first
    state.redo()
    state.redo()
    assert state.current is last


def test_copying_from_the_frame_before(state: AnnotationState) -> None:
    state.go_to(3)
    pose = state.current.pose
    state.change(state.current.moved(object_centre=np.array([0.1, 0.1, 0.7])))
    state.go_to(4)
    np.testing.assert_array_equal(state.current.object_centre, [0.1, 0.1, 0.7])  # proposed
    moved(state, 0.3)
    assert state.copy_from_previous() == 3
    np.testing.assert_array_equal(state.current.object_centre, [0.1, 0.1, 0.7])
    for name in ("hand_rotation", "wrist", "joint_angles", "shape"):
        assert state.current.pose.arrays[name] is pose.arrays[name]
    state.go_to(0)
    assert state.copy_from_previous() == 3  # none before: the first after


def test_a_new_recording_begins_in_view(folder: Path, hand: HandModel) -> None:
    (folder / "annotations.json").unlink()
    state = opened(folder, hand)
    assert (state.frame, state.labelled) == (0, [])
    assert state.copy_from_previous() is None
    state.set_done(True)
    state.save()
    annotation = state.annotation(0)
    pixels = state.camera.project(torch.cat([annotation.hand_joints, annotation.object_translation[None]]))
    assert ((pixels > 0) & (pixels < torch.tensor([64.0, 48.0]))).all()
    tips = annotation.hand_joints[JOINTS.index("middle_tip")] - annotation.hand_joints[0]
    assert tips[1] < -0.08  # fingers up
    assert read_annotations(folder).hand_model == "open-hand right"


def test_poses_behind_the_camera_are_refused(state: AnnotationState) -> None:
    with pytest.raises(UserError, match=r"the object's centre in front of the camera, .*got a depth of -0\.10 m"):
        state.change(state.current.moved(object_centre=np.array([0, 0, -0.1])))
    with pytest.raises(UserError, match=r"the wrist in front of the camera"):
        state.change(state.current.moved(wrist=np.array([0, 0, 0.01])))
    with pytest.raises(UserError, match=r"shape parameters within"):
        state.change(state.current.moved(shape=np.full(10, 30.0)))
    with pytest.raises(UserError, match=r"a frame from 0 to 4, got 7"):
        state.go_to(7)
    assert state.unsaved == frozenset()


def test_reading_only(folder: Path, hand: HandModel) -> None:
    state = opened(folder, hand, read_only="somebody else is annotating it")
    with pytest.raises(ReadOnlyError, match=r"for reading only: somebody else is annotating it"):
        moved(state, 0.1)
    with pytest.raises(ReadOnlyError):
        state.undo()
    state.save()
    assert state.unsaved == frozenset()


def test_what_others_wrote_meanwhile_stays(state: AnnotationState, folder: Path) -> None:
    moved(state, 0.01)
    state.save()
    edit(folder / "annotations.json", lambda content: content["frames"][1]["object"].update(translation=[0, 0, 0.9]))
    edit(folder / "annotations.json", lambda content: content["frames"][0]["object"].update(translation=[0, 0, 0.9]))
    state.go_to(1)
    state.set_done(True)
    state.save()
    labels = {label.frame: label for label in read_annotations(folder).labels}
    assert sorted(labels) == [0, 1, 3]
    assert labels[3].object_translation.tolist() == [0, 0, 0.9]
    assert labels[0].object_translation[0] == pytest.approx(0.07)  # changed here too: here wins
    state.go_to(3)
    assert state.current.object_centre[2] == pytest.approx(0.9 + CENTRE[2])


def test_a_save_that_fails_loses_nothing(state: AnnotationState, folder: Path, hand: HandModel, monkeypatch) -> None:
    """At any of the writes: what was saved before is there whole, and what is new is on disk or still unsaved."""
    state.go_to(1)
    moved(state, 0.02)
    state.save()
    state.set_done(True)
    state.go_to(3)
    state.set_done(False)
    wanted = {1: True, 3: False}
    real, failing = Path.replace, 0
    for failing in range(4):
        calls = iter(range(10))

        def broken(self: Path, target: Path, calls=calls, failing=failing) -> Path:
            if next(calls) == failing:
                raise OSError("the disk is full")
            return real(self, target)

        monkeypatch.setattr(Path, "replace", broken)
        try:
            state.save()
            complete = True
        except OSError:
            complete = False
        monkeypatch.setattr(Path, "replace", real)
        again = opened(folder, hand)
        assert {*again.labelled, *again.drafted} == {0, 1, 3}  # every pose is somewhere
        assert complete == (state.unsaved == frozenset())
        if complete:
            break
    assert failing > 0
    assert {frame: frame in opened(folder, hand).labelled for frame in wanted} == wanted


def test_another_hand_model_is_refused(folder: Path, hand: HandModel) -> None:
    edit(folder / "annotations.json", lambda content: content.update(hand_model="MANO right"))
    with pytest.raises(DataError, match=r"the hand model that .*names \(MANO right\), got open-hand right; .*--hand"):
        opened(folder, hand)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.update(hand_model="MANO right"), r"drafts made with open-hand right in .*MANO right"),
        (lambda content: content.update(more=1), r"unknown key 'more'"),
        (
            lambda content: content["frames"][0]["hand"].update(shape=[0]),
            r"numbers in a list of 10 for frames\[0\]\.ha",
        ),
        (lambda content: content["frames"][0].pop("object"), r"the key object of frames\[0\]"),
        (lambda content: content["frames"][0]["hand_joints"].update(nose=[1, 2]), r"unknown key 'nose'"),
    ],
)
def test_broken_drafts_are_named(state: AnnotationState, folder: Path, hand: HandModel, change, message: str) -> None:
    state.go_to(2)
    moved(state, 0.02)
    state.save()
    edit(folder / DRAFTS, change)
    with pytest.raises(DataError, match=message) as caught:
        opened(folder, hand)
    assert DRAFTS in str(caught.value)


def test_the_object_is_placed_by_its_points(state: AnnotationState) -> None:
    """Six points of a pose, seen with OpenCV's own projection, give it back."""
    rotation, place = np.array([0.4, -0.9, 0.3]), np.array([0.02, -0.01, 0.45])
    points = np.random.default_rng(1).uniform(-0.05, 0.05, (6, 3))
    pixels, _ = cv2.projectPoints(points, rotation, place, state.recording.lens.intrinsics, None)
    pairs = tuple(PointPair(point, pixel) for point, pixel in zip(points, pixels.reshape(-1, 2), strict=True))
    state.change(replace(state.current, pairs=pairs[:3]))
    with pytest.raises(UserError, match=r"at least 4 points of the object with their pixels, got 3"):
        state.place_object_by_pairs()
    state.change(replace(state.current, pairs=pairs))
    state.place_object_by_pairs()
    np.testing.assert_allclose(Rotation.from_matrix(state.current.object_rotation).as_rotvec(), rotation, atol=1e-6)
    np.testing.assert_allclose(state.current.object_centre, place, atol=1e-6)
    state.undo()
    assert state.current.pairs == pairs
    scattered = tuple(replace(pair, pixel=pixel) for pair, pixel in zip(pairs, 60 * np.eye(6)[:, :2] + 5, strict=True))
    state.change(replace(state.current, pairs=scattered))
    with pytest.raises(UserError, match=r"points of one pose in front of the camera, found none that fits"):
        state.place_object_by_pairs()


def test_the_hand_is_placed_by_its_joints(state: AnnotationState) -> None:
    truth = state.annotation(0).hand_joints
    pixels = state.camera.project(truth).double().numpy()
    state.go_to(1)
    state.change(state.current.moved(wrist=np.array([0.1, 0.0, 0.9])))
    with pytest.raises(UserError, match=r"at least 6 joints"):
        state.fit_hand_to_joints()
    shape = state.current.pose.shape
    for name, pixel in zip(JOINTS, pixels, strict=True):
        state.change(state.current.with_joint(name, pixel))
    assert state.fit_hand_to_joints().missed_px < 0.5
    assert state.current.pose.shape is shape  # another frame has a label
    assert np.linalg.norm(state.current.wrist - truth[0].numpy()) < 0.02


def test_saving_while_it_is_changed(state: AnnotationState, folder: Path, hand: HandModel) -> None:
    """A thread saves as fast as it can; in the end nothing is unsaved and the last change is on disk."""
    stop = threading.Event()

    def saving() -> None:
        while not stop.is_set():
            state.save()

    thread = threading.Thread(target=saving)
    thread.start()
    for number in range(60):
        state.go_to(number % 5)
        state.change(replace(state.current.moved(object_centre=np.array([0, number / 1000, 0.5])), done=True))
    stop.set()
    thread.join()
    state.save()
    assert state.unsaved == frozenset()
    again = opened(folder, hand)
    for frame in range(5):
        again.go_to(frame)
        assert again.current.object_centre[1] == pytest.approx((55 + frame) / 1000, abs=1e-12)
