"""A recording of both hands: the store and the state keep the other hand's labels, and the object is shared."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.annotate.conftest import opened
from tests.data.recording.recording_files import edit, simple_label
from warpgrasp.annotate.drafts import DRAFTS_FILE
from warpgrasp.annotate.state import AnnotationState
from warpgrasp.data.recording import Label, Recording, read_annotations, write_annotations
from warpgrasp.errors import DataError
from warpgrasp.hand import HandModel, Side, left_hand, open_hand, other_hand, side_of_hand

OWN_DRAFTS = "annotation_drafts_left.json"


def opened_both(folder: Path, right: HandModel, side: Side) -> AnnotationState:
    """The recording as `annotate --hands both --side SIDE` opens it."""
    recording = Recording.read(folder).of_both(side)
    return AnnotationState(recording, recording.hand(right))


def labelled_left(folder: Path, hand: HandModel, *frames: int) -> AnnotationState:
    """The recording with labels of the left hand, saved, in these frames besides."""
    state = opened_both(folder, hand, "left")
    for frame in frames:
        state.go_to(frame)
        state.set_done(True)
    state.save()
    return state


def moved(state: AnnotationState, by: float) -> None:
    """Move the object to the right."""
    state.change(state.current.moved(object_centre=state.current.object_centre + np.array([by, 0, 0])))


def of_sides(folder: Path) -> dict[str, dict[int, Label]]:
    """The labels on the disk, by hand and frame."""
    file = read_annotations(folder)
    return {side: {label.frame: label for label in file.of_side(side).labels} for side in file.sides}


def written_frames(folder: Path) -> dict[int, Any]:
    return {one["frame"]: one for one in json.loads((folder / "annotations.json").read_text())["frames"]}


def test_the_models_of_both_hands_are_each_others(hand: HandModel) -> None:
    left = left_hand(hand)
    assert other_hand(hand).template.name == left.template.name == "open-hand left"
    assert other_hand(left).template.name == hand.template.name
    own = HandModel(replace(open_hand(), name="somebody's"))
    mirrored = other_hand(own)
    assert [side_of_hand(one.template.name) for one in (own, mirrored)] == ["right", "left"]
    again = other_hand(mirrored).template
    assert again.name == "somebody's"
    np.testing.assert_array_equal(again.vertices, own.template.vertices)


def test_labels_of_one_hand_become_those_of_both(folder: Path, hand: HandModel) -> None:
    before = written_frames(folder)
    state = opened_both(folder, hand, "left")
    assert (state.labelled, state.labelled_other, state.frame) == ([], [0, 3], 0)
    assert not state.current.done
    assert state.current.stated_object is not None  # where the right hand's label has it
    state.change(state.current.moved(wrist=state.current.wrist + 0.01))
    state.set_done(True)
    state.go_to(1)
    state.set_done(True)
    state.save()
    after = written_frames(folder)
    assert after.keys() == {0, 1, 3}
    assert [list(after[frame]["hands"]) for frame in after] == [["right", "left"], ["left"], ["right"]]
    for frame, label in before.items():
        assert after[frame]["hands"]["right"] == label["hand"]
        assert after[frame]["object"] == label["object"]
    content = json.loads((folder / "annotations.json").read_text())
    assert content["hand_models"] == {"right": "open-hand right", "left": "open-hand left"}
    right = AnnotationState(Recording.read(folder), hand)  # no more needs to be said of both
    assert (right.labelled, right.labelled_other) == ([0, 3], [0, 1])
    left = AnnotationState(Recording.read(folder).of_side("left"), left_hand(hand))
    assert (left.labelled, left.labelled_other) == ([0, 1], [0, 3])


def test_one_hand_needs_its_own_side_or_both(folder: Path, hand: HandModel) -> None:
    with pytest.raises(DataError, match=r"the left hand too by `warpgrasp annotate .*small --hands both --side left`"):
        Recording.read(folder).of_side("left")
    (folder / "annotations.json").unlink()
    state = opened_both(folder, hand, "left")
    moved(state, 0.01)
    state.save()
    assert not (folder / "annotations.json").exists()
    assert opened(folder, hand).drafted == []  # of the right hand
    assert opened_both(folder, hand, "left").drafted == [0]


def test_the_object_is_moved_for_both_and_comes_back_with_undo(folder: Path, hand: HandModel) -> None:
    labelled_left(folder, hand, 0, 3)
    before = of_sides(folder)
    right = opened_both(folder, hand, "right")
    moved(right, 0.02)
    right.change(replace(right.current, use="evaluation"))
    right.save()
    after = of_sides(folder)
    shift = after["right"][0].object_translation - before["right"][0].object_translation
    np.testing.assert_allclose(shift, [0.02, 0, 0], atol=1e-12)
    for side in ("right", "left"):
        assert after[side][0].use == "evaluation"
        np.testing.assert_array_equal(after[side][0].object_translation, after["right"][0].object_translation)
        np.testing.assert_array_equal(after[side][0].hand.pose, before[side][0].hand.pose)
        np.testing.assert_array_equal(after[side][3].object_translation, before[side][3].object_translation)
    assert right.undo()
    assert right.undo()
    right.save()
    again = of_sides(folder)
    for side in ("right", "left"):
        np.testing.assert_array_equal(again[side][0].object_translation, before[side][0].object_translation)
        assert again[side][0].use == "train"


def test_an_unfinished_label_leaves_the_other_hands(folder: Path, hand: HandModel) -> None:
    state = labelled_left(folder, hand, 0, 3)
    before = of_sides(folder)["right"]
    state.go_to(0)
    state.set_done(False)
    moved(state, 0.1)  # of a draft: the right hand's label has the object where it was
    state.save()
    after = of_sides(folder)
    assert (sorted(after["right"]), sorted(after["left"])) == ([0, 3], [3])
    np.testing.assert_array_equal(after["right"][0].object_translation, before[0].object_translation)
    assert written_frames(folder)[0]["hands"].keys() == {"right"}
    again = opened_both(folder, hand, "left")
    assert (again.labelled, again.drafted) == ([3], [0])
    again.go_to(0)
    assert again.current.object_centre[0] == pytest.approx(state.current.object_centre[0], abs=1e-12)
    again.set_done(True)
    again.save()
    finished = of_sides(folder)
    for side in ("right", "left"):
        shift = finished[side][0].object_translation - before[0].object_translation
        np.testing.assert_allclose(shift, [0.1, 0, 0], atol=1e-12)


def test_what_somebody_else_says_of_the_other_hand_is_kept(folder: Path, hand: HandModel) -> None:
    state = labelled_left(folder, hand, 0)
    state.go_to(3)
    state.change(state.current.moved(wrist=state.current.wrist + 0.01))  # a draft, beside a label of the right hand

    def change(content: Any) -> None:
        for frame in content["frames"]:
            frame["object"]["translation"][0] += 0.05
            frame["hands"]["right"]["translation"][1] += 0.03

    edit(folder / "annotations.json", change)
    wanted = of_sides(folder)["right"]
    state.set_done(True)
    state.save()
    found = of_sides(folder)
    for frame in (0, 3):
        np.testing.assert_array_equal(found["right"][frame].hand.translation, wanted[frame].hand.translation)
        for side in ("right", "left"):
            np.testing.assert_array_equal(found[side][frame].object_translation, wanted[frame].object_translation)
    np.testing.assert_allclose(state.current.stated_object[1], wanted[3].object_translation)


def test_a_draft_goes_where_the_other_hands_label_has_the_object(folder: Path, hand: HandModel) -> None:
    left = labelled_left(folder, hand)
    for frame in (0, 3):
        left.go_to(frame)
        left.change(left.current.moved(wrist=left.current.wrist + 0.01))
    moved(left, 0.2)  # in frame 3 alone
    left.save()
    right = opened_both(folder, hand, "right")
    for frame in (0, 3):
        right.go_to(frame)
        moved(right, 0.03)
    right.save()
    again = opened_both(folder, hand, "left")
    centres = [again.edited(frame).object_centre[0] - left.edited(frame).object_centre[0] for frame in (0, 3)]
    assert centres == pytest.approx([0.03, 0.0], abs=1e-12)
    np.testing.assert_allclose(again.edited(0).wrist, left.edited(0).wrist, atol=1e-12)


def test_drafts_of_both_hands_are_kept(folder: Path, hand: HandModel) -> None:
    right = opened(folder, hand)
    right.go_to(1)
    moved(right, 0.02)
    right.save()
    of_right = (folder / DRAFTS_FILE).read_bytes()
    left = opened_both(folder, hand, "left")
    left.go_to(2)
    moved(left, 0.01)
    left.save()
    assert (folder / DRAFTS_FILE).read_bytes() == of_right
    assert json.loads((folder / OWN_DRAFTS).read_text())["hand_model"] == "open-hand left"
    left.set_done(True)
    left.save()
    for side, drafted in (("right", [1]), ("left", [])):
        assert opened_both(folder, hand, side).drafted == drafted
    assert (folder / DRAFTS_FILE).read_bytes() == of_right


def test_a_left_hands_recording_keeps_its_drafts_when_the_right_one_comes(folder: Path, hand: HandModel) -> None:
    (folder / "annotations.json").unlink()
    alone = Recording.read(folder).of_side("left")
    left = AnnotationState(alone, left_hand(hand))
    moved(left, 0.02)
    left.save()
    with pytest.raises(DataError, match=r"open-hand right in .*, found open-hand left; .* by --hands both"):
        opened(folder, hand)
    right = opened_both(folder, hand, "right")
    right.go_to(2)
    moved(right, 0.02)
    right.save()
    assert (folder / "annotation_drafts_right.json").exists()
    for side, drafted in (("right", [2]), ("left", [0])):
        assert opened_both(folder, hand, side).drafted == drafted


def test_a_copy_leaves_the_object_where_the_other_hand_has_it(folder: Path, hand: HandModel) -> None:
    elsewhere = replace(simple_label(3), object_translation=np.array([0.1, 0.0, 0.6]))
    write_annotations(folder, [simple_label(0), elsewhere], hand_model="open-hand right")
    state = labelled_left(folder, hand, 0)
    state.go_to(3)
    known = state.current.object_centre
    wrist = state.edited(0).wrist
    np.testing.assert_array_equal(state.current.wrist, wrist)
    state.change(state.current.moved(wrist=wrist + 0.05))
    assert state.copy_from_previous() == 0
    np.testing.assert_array_equal(state.current.wrist, wrist)
    np.testing.assert_array_equal(state.current.object_centre, known)
    assert state.current.stated_object is not None


def test_the_other_hand_is_shown_and_is_not_compared(folder: Path, hand: HandModel) -> None:
    state = labelled_left(folder, hand, 0)
    annotation = state.other_annotation(0)
    assert annotation is not None
    expected = opened(folder, hand).annotation(0)
    np.testing.assert_array_equal(annotation.hand_vertices.numpy(), expected.hand_vertices.numpy())
    assert state.other_annotation(1) is None
    assert state.seen(1) is None
    seen = state.seen(0)
    assert seen is not None
    assert not seen.tells
    covered = seen.occluded
    assert covered is not None
    pixels = state.camera.project(expected.hand_vertices).numpy().round().astype(int)
    width, height = state.camera.width, state.camera.height
    inside = (pixels >= 0).all(axis=1) & (pixels[:, 0] < width) & (pixels[:, 1] < height)
    assert covered[pixels[inside, 1], pixels[inside, 0]].mean() > 0.6  # some lie behind the object, some on the outline


def test_labels_of_the_other_hand_by_another_model_are_not_shown(folder: Path, hand: HandModel) -> None:
    edit(folder / "annotations.json", lambda content: content.update(hand_model="another"))
    state = opened_both(folder, hand, "left")
    assert state.other_annotation(0) is None
    assert "names (another), got open-hand right" in state.other_hand.trouble
    state.set_done(True)
    state.save()
    assert json.loads((folder / "annotations.json").read_text())["hand_models"]["right"] == "another"
