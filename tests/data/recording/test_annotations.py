"""`annotations.json`: what is written is read again to the last bit, and nothing else is read."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data.recording.recording_files import edit, simple_label
from warpgrasp.data.recording.annotations import (
    AnnotationFile,
    HandJoints,
    HandParameters,
    Label,
    read_annotations,
    write_annotations,
)
from warpgrasp.errors import DataError


def assert_same(first: Label, second: Label) -> None:
    assert (first.frame, first.use, type(first.hand)) == (second.frame, second.use, type(second.hand))
    np.testing.assert_array_equal(first.object_rotation, second.object_rotation)
    np.testing.assert_array_equal(first.object_translation, second.object_translation)
    for one in fields(first.hand):
        np.testing.assert_array_equal(getattr(first.hand, one.name), getattr(second.hand, one.name))


def random_labels() -> list[Label]:
    random = np.random.default_rng(0)
    parameters = HandParameters(random.normal(size=48), random.normal(size=10), random.normal(size=3))
    joints = HandJoints(random.uniform(0.3, 0.5, size=(21, 3)))
    pose = random.normal(size=3), random.normal(size=3)
    return [Label(7, joints, *pose, use="evaluation"), Label(2, parameters, *pose)]


def test_labels_come_back_exactly(tmp_path: Path) -> None:
    labels = random_labels()
    write_annotations(tmp_path, labels, hand_model="open-hand right")
    found = read_annotations(tmp_path)
    assert found.hand_model == "open-hand right"
    for first, second in zip(found.labels, labels[::-1], strict=True):
        assert_same(first, second)
    assert [path.name for path in tmp_path.iterdir()] == ["annotations.json"]


def both_hands() -> tuple[list[Label], AnnotationFile]:
    """Labels of the right hand in frames 2 and 7, and of the left one in 7 and 9."""
    right, random = random_labels(), np.random.default_rng(1)
    left = HandParameters(random.normal(size=48), random.normal(size=10), random.normal(size=3))
    there = replace(right[0], hand=left), Label(9, left, random.normal(size=3), random.normal(size=3))
    return right, AnnotationFile("open-hand left", there, "left")


def test_labels_of_both_hands_come_back_exactly(tmp_path: Path) -> None:
    labels, other = both_hands()
    write_annotations(tmp_path, labels, hand_model="open-hand right", other=other)
    found = read_annotations(tmp_path)
    assert found.other is not None
    assert found.sides == ("right", "left")
    assert (found.side, found.hand_model, found.other.side, found.other.hand_model) == (
        *("right", "open-hand right"),
        *("left", "open-hand left"),
    )
    pairs = [*zip(found.labels, labels[::-1], strict=True), *zip(found.other.labels, other.labels, strict=True)]
    for first, second in pairs:
        assert_same(first, second)
    left = found.of_side("left")
    assert left.labels == found.other.labels
    assert left.other is not None
    assert left.of_side("right") == found == found.of_side("right")
    before = (tmp_path / "annotations.json").read_bytes()
    write_annotations(tmp_path, left.labels, hand_model=left.hand_model, side="left", other=left.other)
    assert (tmp_path / "annotations.json").read_bytes() == before


def test_the_object_has_one_pose_in_a_frame_of_both_hands(tmp_path: Path) -> None:
    labels, other = both_hands()
    for changed in ({"object_translation": np.ones(3)}, {"use": "train"}):
        moved = replace(other, labels=(replace(other.labels[0], **changed),))
        with pytest.raises(DataError, match=r"one pose of the object, and one use, of frame 7 for both hands"):
            write_annotations(tmp_path, labels, hand_model="open-hand right", other=moved)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("keys", "value", "sentence"),
    [
        (("hands",), "two", r"expected one of both for hands in .*annotations\.json, found 'two'"),
        (("side",), "left", r"only the keys format, hands, hand_models, frames .*'side'"),
        (("hand_models",), {"right": "open-hand right"}, r"the key left of hand_models"),
        (("hand_models",), {"middle": "open-hand"}, r"only the keys right, left .*'middle'"),
        (("frames", 0, "hands"), {}, r"right, left or both for frames\[0\]\.hands in .*, found neither"),
        (("frames", 0, "hands"), {"third": {}}, r"only the keys right, left .*'third'"),
        (("frames", 0, "hand"), {}, r"only the keys frame, hands, object, use .*'hand'"),
        (("frames", 2, "frame"), 2, r"each frame once in .*, found frame 2 twice"),
    ],
)
def test_files_of_both_hands_that_are_refused(tmp_path: Path, keys: tuple, value: object, sentence: str) -> None:
    labels, other = both_hands()
    write_annotations(tmp_path, labels, hand_model="open-hand right", other=other)

    def change(content: Any) -> None:
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = value

    edit(tmp_path / "annotations.json", change)
    with pytest.raises(DataError, match=sentence):
        read_annotations(tmp_path)


def test_no_file_is_no_labels(tmp_path: Path) -> None:
    assert read_annotations(tmp_path).labels == ()


def test_a_failed_write_leaves_the_file_before(tmp_path: Path, monkeypatch) -> None:
    write_annotations(tmp_path, random_labels(), hand_model="open-hand right")
    before = (tmp_path / "annotations.json").read_bytes()
    bad = Label(1, HandJoints(np.full((21, 3), np.nan)), np.zeros(3), np.zeros(3))
    with pytest.raises(DataError, match=r"finite numbers to write to .*annotations\.json"):
        write_annotations(tmp_path, [bad], hand_model=None)

    def full(*arguments: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_annotations(tmp_path, [], hand_model=None)
    assert [path.name for path in tmp_path.iterdir()] == ["annotations.json"]
    assert (tmp_path / "annotations.json").read_bytes() == before


def first_label(key: str, value: object):
    return lambda content: content["frames"][0].update({key: value})


def hand(key: str, value: object):
    return lambda content: content["frames"][0]["hand"].update({key: value})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.update(version=2), "unknown key 'version'"),
        (lambda content: content.pop("frames"), "expected the key frames in"),
        (lambda content: content.pop("hand_model"), "expected the key hand_model in"),
        (lambda content: content.update(frames={}), "a list of objects for frames"),
        (lambda content: content.update(frames=[3]), r"an object \{…\} for frames\[0\]"),
        (lambda content: content["frames"].append(content["frames"][0]), "each frame once in .*found frame 0 twice"),
        (first_label("frame", 1.5), r"whole number from 0 to \d+ for frames\[0\]\.frame"),
        (first_label("frame", -1), "whole number"),
        (first_label("frame", True), "whole number"),
        (first_label("frame", 10**30), "found a number too large"),
        (first_label("use", "test"), r"one of train, evaluation for frames\[0\]\.use"),
        (first_label("hands", {}), r"of frames\[0\] in .*unknown key 'hands'"),
        (first_label("hand", None), r"an object \{…\} for frames\[0\]\.hand in"),
        (first_label("object", {"rotation": [0, 0, 0]}), r"expected the key translation of frames\[0\]\.object"),
        (first_label("object", {"rotation": [0, 0, 90], "translation": [0, 0, 1]}), r"radians for .*rotation"),
        (first_label("object", {"rotation": [0, 0, 0], "translation": [0, 0, 500]}), r"metres for .*translation"),
        (first_label("object", {"rotation": [[0], [0], [0]], "translation": [0, 0, 1]}), "a list of 3 for"),
        (hand("pose", [0.0] * 45), r"numbers in a list of 48 for frames\[0\]\.hand\.pose"),
        (hand("pose", [None] * 48), "numbers in a list of 48"),
        (hand("shape", [1e30] * 10), "shape parameters within ±20"),
        (hand("translation", [0, 0, 480]), r"metres for frames\[0\]\.hand\.translation"),
        (hand("joints", {}), r"of frames\[0\]\.hand in .*unknown key 'pose'"),
        (
            first_label("hand", {"joints": {"wrist": [0, 0, 1]}}),
            r"expected the key thumb_1 of frames\[0\]\.hand\.joints",
        ),
        (first_label("hand", {"joints": {"elbow": [0, 0, 1]}}), "unknown key 'elbow'"),
    ],
)
def test_what_is_no_label(tmp_path: Path, change, message: str) -> None:
    write_annotations(tmp_path, [simple_label(0), simple_label(3)], hand_model="open-hand right")
    edit(tmp_path / "annotations.json", change)
    with pytest.raises(DataError, match=message) as caught:
        read_annotations(tmp_path)
    assert "annotations.json" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected JSON in"),
        ("[]", "a JSON object"),
        ('{"format": 1}', "warpgrasp-annotations-1"),
        ('{"format": "warpgrasp-annotations-1", "frames": [], "frames": []}', "'frames' is given twice"),
        ("[" * 100_000, "expected JSON in|a JSON object"),
        ('{"format": "warpgrasp-annotations-1", "frames": [' + "9" * 5000 + "]}", "expected JSON in"),
        ("\xff\xfe", "expected JSON in"),
    ],
)
def test_what_is_no_json(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "annotations.json").write_bytes(text.encode("latin1"))
    with pytest.raises(DataError, match=rf"{message}") as caught:
        read_annotations(tmp_path)
    assert "annotations.json" in str(caught.value)
