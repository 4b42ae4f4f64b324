"""Recordings with labels of both hands, as commands and data sets read them."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from tests.data.recording.label_texts import cvat_text, scene_gt_text
from tests.data.recording.recording_files import simple_label, train_toy, write_recording
from warpgrasp.cli import main
from warpgrasp.cli.options import DataOptions
from warpgrasp.data import open_dataset
from warpgrasp.data.recording import AnnotationFile, Label, Recording, Recordings, annotation_of, read_annotations
from warpgrasp.data.recording import write_annotations as write
from warpgrasp.errors import DataError
from warpgrasp.frame import FrameName
from warpgrasp.geometry import mirrored_points
from warpgrasp.hand import HandModel, left_hand
from warpgrasp.predictions import read_predictions

LEFT_AT = np.array([0.0, -0.03, 0.55])


def left_label(frame: int) -> Label:
    """The left hand elsewhere than the right one of `simple_label`, beside the same object."""
    label = simple_label(frame)
    return replace(label, hand=replace(label.hand, translation=LEFT_AT))


@pytest.fixture
def both(tmp_path: Path) -> Path:
    """A recording of five frames; the right hand is labelled in 0 and 3, the left one in 3 and 4."""
    folder = write_recording(tmp_path / "both")
    write_both(folder)
    return folder


def write_both(folder: Path, *, held_out: bool = False) -> None:
    last = replace(left_label(4), use="evaluation") if held_out else left_label(4)
    other = AnnotationFile("open-hand left", (left_label(3), last), "left")
    write(folder, [simple_label(0), simple_label(3)], hand_model="open-hand right", other=other)


def said(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    """What was printed, and what was noticed."""
    out, err = capsys.readouterr()
    return " ".join(out.split()), " ".join(err.split())


def test_doctor_counts_and_checks_the_labels_of_each_hand(both: Path, capsys) -> None:
    write_both(both, held_out=True)
    assert main(["doctor", "--data", str(both)]) == 0
    out, err = said(capsys)
    assert "both: 2 labels of the right hand, 0 of them for evaluation: frames 0, 3" in out
    assert "both: 2 labels of the left hand, 1 of them for evaluation: frames 3, 4" in out
    assert "surfaces move by 0 px (median), 0 px at most (frames 0 to 3)" in out
    assert "of the right one are read" not in err
    bent = replace(left_label(3), hand=replace(left_label(3).hand, pose=np.array([0.0] * 3 + [2.5] * 45)))
    other = AnnotationFile("open-hand left", (bent,), "left")
    write(both, [simple_label(3)], hand_model="open-hand right", other=other)
    assert main(["doctor", "--data", str(both)]) == 0
    out, _ = said(capsys)
    assert re.search(r"warning: left hand: 1 of 1 labels look wrong, the first frame 3: no hand bends its", out)
    assert "right hand: 1 of 1" not in out
    write(both, [], hand_model=None, other=AnnotationFile("open-hand left", (left_label(0), left_label(3)), "left"))
    assert main(["doctor", "--data", str(both)]) == 0
    out, _ = said(capsys)
    assert "0 labels of the right hand" in out
    assert "at most (frames 0 to 3)" in out  # the motion between the left hand's
    assert out.endswith("nothing is missing")


def test_the_other_hand_may_rest_far_from_the_object(both: Path, capsys) -> None:
    """Of a hand alone that lies so far off, something is likely to be wrong; it is warned of."""
    away = replace(left_label(3), hand=replace(left_label(3).hand, translation=LEFT_AT + np.array([0.5, 0, 0])))
    other = AnnotationFile("open-hand left", (away,), "left")
    write(both, [simple_label(0)], hand_model="open-hand right", other=other)
    for alone in (False, True):
        assert main(["doctor", "--data", str(both)]) == 0
        assert ("are both in metres, in the same camera" in " ".join(said(capsys))) == alone
        write(both, [away], hand_model="open-hand left", side="left")


def test_a_data_set_reads_one_hand_and_says_so(both: Path, hand: HandModel, capsys) -> None:
    write_both(both, held_out=True)
    right = DataOptions().open(both)
    assert isinstance(right, Recordings)
    notice = rf"warpgrasp: labels of both hands in {both} \(both\): those of the right one are read; see --side"
    assert re.fullmatch(notice, said(capsys)[1])
    assert [name.index for name in right.names("train") if right.is_annotated(name)] == [0, 3]
    left = DataOptions(side="left").open(both)
    assert isinstance(left, Recordings)
    assert "those of the left one are read" in said(capsys)[1]
    assert (right.protocol, left.protocol) == ("recording", "recording left")
    assert [name.index for name in left.names("train") if left.is_annotated(name)] == [3]
    assert [name.index for name in left.names("evaluation")] == [4]
    name = FrameName("both", 3)
    recording = Recording.read(both).of_side("left")
    label = recording.labels[3]
    expected = annotation_of(recording, label, left_hand(hand))
    torch.testing.assert_close(left.as_shown().truth(name).annotation.hand_vertices, expected.hand_vertices)
    torch.testing.assert_close(left.truth(name).annotation.hand_vertices, mirrored_points(expected.hand_vertices))
    assert open_dataset(both, hand).is_annotated(FrameName("both", 0))
    assert said(capsys) == ("", "")


def test_labels_of_right_hands_alone_are_not_read_as_left_ones(both: Path, capsys) -> None:
    write_recording(both.parent / "right")
    with pytest.raises(DataError, match=r"expected --side right, as the labels in .* say, got left"):
        DataOptions(side="left").open(both.parent)
    assert main(["doctor", "--data", str(both.parent)]) == 0
    out, _ = said(capsys)
    assert "right: 2 labels, 0 of them for evaluation" in out
    assert "both: 2 labels of the left hand" in out


@pytest.mark.slow
def test_either_hand_is_trained_on_and_predicted(both: Path, tmp_path: Path, capsys) -> None:
    run = train_toy(both, tmp_path / "run", steps=2)
    assert said(capsys)[1].count("those of the right one are read") == 1
    for side in ("right", "left"):
        file = tmp_path / f"{side}.npz"
        words = ["predict", str(both), "--weights", str(run), "--out", str(file), "--side", side]
        status = main(words)
        assert status == (side == "left")  # such a network knows no mirror image of the object
    assert "mirrored" in said(capsys)[1]
    assert read_predictions(tmp_path / "right.npz")[1]["side"] == "right"
    assert train_left(both, tmp_path / "left").is_dir()


def train_left(root: Path, out: Path) -> Path:
    words = ["train", "toy", "--data", str(root), "--out", str(out), "--fraction", "1", "--side", "left"]
    assert main([*words, "--stage1.steps", "2", "--stage2.steps", "2"]) == 0
    return out


def test_suggested_frames_are_of_the_shown_hand(both: Path, capsys) -> None:
    suggested = []
    for side in ("right", "left"):
        assert main(["suggest", str(both), "--count", "5", "--side", side]) == 0
        suggested.append(sorted(map(int, said(capsys)[0].split())))
    assert suggested == [[1, 2, 4], [0, 1, 2]]


def test_labels_of_other_programs_are_kept_beside_the_other_hands(both: Path, hand: HandModel, capsys) -> None:
    recording = Recording.read(both)
    pixels = recording.lens.camera.project(annotation_of(recording, simple_label(0), hand).hand_joints).numpy()
    pixels = np.stack([recording.lens.width - 1 - pixels[:, 0], pixels[:, 1]], axis=1)  # of a left hand
    file, before = both.parent / "hands.xml", read_annotations(both)
    file.write_text(cvat_text({0: pixels, 1: pixels}).replace("right", "left"))
    words = ["labels", str(both), "--from", str(file), "--side", "left"]
    assert main(words) == 0
    out, _ = said(capsys)
    assert "wrote 1 labels" in out  # in frame 0 the right hand's label knows the object
    assert "nothing is known of the object in frame 1" in out
    found = read_annotations(both)
    assert found.other is not None
    assert [label.frame for label in found.other.labels] == [0, 3, 4]
    np.testing.assert_array_equal(found.other.labels[0].object_translation, before.labels[0].object_translation)
    for label, known in zip(found.labels, before.labels, strict=True):
        np.testing.assert_array_equal(label.hand.pose, known.hand.pose)
        np.testing.assert_array_equal(label.object_translation, known.object_translation)
    for side, frames in (("right", {0, 3}), ("left", {0, 3, 4})):
        written = both.parent / f"{side}.json"
        assert main(["labels", str(both), "--to", str(written), "--side", side]) == 0
        pictures = {picture["id"]: picture for picture in json.loads(written.read_text())["images"]}
        assert len(pictures) == len(frames)


def test_labels_of_one_hand_become_those_of_both_by_another_program(tmp_path: Path, hand: HandModel, capsys) -> None:
    folder = write_recording(tmp_path / "one")
    recording = Recording.read(folder)
    pixels = recording.lens.camera.project(annotation_of(recording, simple_label(0), hand).hand_joints).numpy()
    file = tmp_path / "hands.xml"
    pixels = np.stack([recording.lens.width - 1 - pixels[:, 0], pixels[:, 1]], axis=1)  # of a left hand
    file.write_text(cvat_text({3: pixels}).replace("right", "left"))
    words = ["labels", str(folder), "--from", str(file), "--side", "left"]
    assert main(words) == 1
    assert "--hands both --side left" in said(capsys)[1]
    assert main([*words, "--hands", "both"]) == 0
    assert [read_annotations(folder).of_side(side).labels[-1].frame for side in ("right", "left")] == [3, 3]


def test_a_stated_object_is_not_laid_over_the_other_hands(both: Path, capsys) -> None:
    poses = {0: (Rotation.identity().as_matrix(), np.array([0.0, 0.0, 0.7]))}
    file = both.parent / "scene_gt.json"
    file.write_text(scene_gt_text(poses, object_id=5))
    assert main(["labels", str(both), "--from", str(file), "--object-id", "5", "--side", "left"]) == 1
    assert "frame 0 of " in said(capsys)[1]
