"""From two labels of a tiny recording to all of its frames."""

import csv
import importlib
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from tests.data.recording.recording_files import hand_parameters
from tests.sample_set import TRAIN_FRAMES, Sample
from warpgrasp.cli import main
from warpgrasp.data import open_dataset
from warpgrasp.data.recording.annotations import read_annotations, write_annotations
from warpgrasp.data.recording.files import Recording
from warpgrasp.data.recording.labels import label_of_pose, pose_of_label
from warpgrasp.evaluation.metrics import score
from warpgrasp.export.datasets import RecordingOptions, export_recording
from warpgrasp.hand.model import HandModel
from warpgrasp.hand.templates import Side, left_hand
from warpgrasp.predictions.file import read_predictions, write_predictions
from warpgrasp.predictions.poses import pose_of_predictions
from warpgrasp.predictions.postprocessing import Flag
from warpgrasp.refinement.densify import PREDICTIONS, Contradiction, densify
from warpgrasp.refinement.doubt import CONTRADICTION_MM
from warpgrasp.refinement.labels import DensifyError, between_labels
from warpgrasp.refinement.quality import QUALITY
from warpgrasp.refinement.refine import ALL_FRAMES, Stage
from warpgrasp.refinement.stretch import RefinedStretch, StretchRefinement
from warpgrasp.scene import posed_hand

module = importlib.import_module("warpgrasp.refinement.densify")  # the package has a function of this name
LABELS = (1, 6)
COLOURS = ("--keypoints", "none")  # what is tested here is what colours do
SHORT = replace(ALL_FRAMES, stages=(Stage(160, 6, 0.2),), end_stages=(Stage(80, 16, 0.4),))


def exported(sample: Sample, hand: HandModel, folder: Path, side: Side) -> Path:
    """The first tiny sequence with parameters in two of eight frames, and one label more that is held out."""
    sequence = sample.sequences["train"]["A1"]
    hands = {number: hand_parameters(sequence, number) for number in (*LABELS, 3)}
    dataset = open_dataset(sample.root, hand)
    export_recording(dataset, "train", "A1", folder, RecordingOptions(LABELS, (3,), hands, "frames", side=side))
    return folder


@pytest.fixture(scope="module")
def recording_folder(sample: Sample, hand: HandModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the right hand."""
    return exported(sample, hand, tmp_path_factory.mktemp("recordings") / "A1", "right")


@pytest.fixture(scope="module", autouse=True)
def _short() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "ALL_FRAMES", SHORT)
        yield


@pytest.fixture(scope="module")
def densified(recording_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("densified") / "A1"
    assert main(["densify", str(recording_folder), "--out", str(out), *COLOURS]) == 0
    return out


def test_the_other_frames_come_nearer_to_the_truth(
    sample_root: Path, recording_folder: Path, densified: Path, hand
) -> None:
    predictions, header = read_predictions(densified / PREDICTIONS)
    assert header["labels"] == list(LABELS)
    assert predictions.index.tolist() == list(range(TRAIN_FRAMES))
    dataset = open_dataset(sample_root, hand)
    names = [name for name in predictions.names if name.index not in LABELS]
    found = score(predictions, dataset, names).means
    recording = Recording.read(recording_folder)
    known = {place: pose_of_label(recording.labels[place], hand, recording.object.model) for place in LABELS}
    begun = between_labels(known, np.arange(float(TRAIN_FRAMES)))
    surface, joints = posed_hand(begun, hand)
    start = replace(
        predictions,
        hand_vertices=surface.numpy(),
        hand_joints=joints.numpy(),
        object_rotation=begun.object_rotation.numpy(),
        object_translation=begun.object_centre.numpy(),
    )
    before = score(start, dataset, names).means
    for metric in ("hand_joint_error_px", "object_vertex_error_px"):
        assert found[metric] < 0.5 * before[metric], metric
    assert found["object_vertex_error_px"] < 1


def test_labels_stay_and_every_frame_gets_one(recording_folder: Path, densified: Path, hand) -> None:
    before, after = read_annotations(recording_folder), read_annotations(densified)
    assert after.hand_model == hand.template.name
    assert [label.frame for label in after.labels] == list(range(TRAIN_FRAMES))
    stated = {label.frame: label for label in before.labels}
    predictions, _ = read_predictions(densified / PREDICTIONS)
    model = Recording.read(recording_folder).object.model
    for label in after.labels:
        if label.frame in LABELS:
            assert np.array_equal(label.hand.pose, stated[label.frame].hand.pose)
        pose = pose_of_label(label, hand, model)
        surface, joints = posed_hand(pose, hand)
        assert_close(surface[0], torch.from_numpy(predictions.hand_vertices[label.frame]), rtol=0, atol=1e-5)
        assert_close(joints[0], torch.from_numpy(predictions.hand_joints[label.frame]), rtol=0, atol=1e-5)
        assert_close(
            pose.object_centre[0], torch.from_numpy(predictions.object_translation[label.frame]), rtol=0, atol=1e-5
        )
    # The label that was held out was not looked at: its frame is refined as any other.
    held_out = pose_of_label(stated[3], hand, model)
    assert not torch.equal(pose_of_label(after.labels[3], hand, model).wrist, held_out.wrist)


def test_quality_is_measured_in_every_frame(densified: Path) -> None:
    with (densified / QUALITY).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["frame"]) for row in rows] == list(range(TRAIN_FRAMES))
    assert [row["frame"] for row in rows if row["labelled"] == "1"] == [str(label) for label in LABELS]
    assert [int(row["frames_to_label"]) for row in rows] == [1, 0, 1, 2, 2, 1, 0, 1]
    others = [row for row in rows if row["labelled"] == "0"]
    before, after = (sum(float(row[f"difference_{when}"]) for row in others) for when in ("before", "after"))
    assert after < 0.7 * before
    assert all(0.5 < float(row["compared_share"]) <= 1.05 for row in rows)
    assert rows[0]["acceleration_mm_per_frame2"] == ""
    assert all(float(row["acceleration_mm_per_frame2"]) >= 0 for row in rows[1:-1])


def test_poses_survive_labels_and_predictions(recording_folder: Path, densified: Path, hand) -> None:
    model = Recording.read(recording_folder).object.model
    stored, _ = read_predictions(densified / PREDICTIONS)
    poses = pose_of_predictions(stored, hand)
    for place in range(len(poses)):
        pose = poses.rows(slice(place, place + 1))
        again = pose_of_label(label_of_pose(place, pose, hand, model), hand, model)
        for name, values in again.arrays.items():
            assert_close(values, getattr(pose, name), rtol=0, atol=2e-5, msg=name)


@pytest.mark.slow
def test_an_interrupted_one_goes_on(
    recording_folder: Path, densified: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    whole, calls, out = StretchRefinement.refined, [], tmp_path / "out"

    def interrupted(self: StretchRefinement) -> RefinedStretch:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return whole(self)

    monkeypatch.setattr(StretchRefinement, "refined", interrupted)
    assert main(["densify", str(recording_folder), "--out", str(out), *COLOURS]) == 130
    assert not (out / PREDICTIONS).exists()
    monkeypatch.setattr(StretchRefinement, "refined", whole)
    assert main(["densify", str(recording_folder), "--out", str(out), *COLOURS]) == 0
    for name in (PREDICTIONS, QUALITY, "annotations.json"):
        expected, found = ((folder / name).read_bytes() for folder in (densified, out))
        assert found == expected, name
    capsys.readouterr()
    assert main(["densify", str(recording_folder), "--out", str(out), *COLOURS]) == 1
    assert "overwrite it by --force" in capsys.readouterr().err


@pytest.mark.slow
def test_it_starts_from_predictions_too(recording_folder: Path, densified: Path, tmp_path: Path) -> None:
    out = tmp_path / "again"
    start = str(densified / PREDICTIONS)
    assert main(["densify", str(recording_folder), "--out", str(out), "--start", start, *COLOURS]) == 0
    first, again = (read_predictions(folder / PREDICTIONS)[0] for folder in (densified, out))
    # The two ends begin 20 mm apart, which so few steps do not quite make up for.
    assert np.abs(first.object_translation - again.object_translation).max() < 0.008
    assert read_predictions(out / PREDICTIONS)[1]["start"] == "predictions"


@pytest.mark.slow
def test_a_left_hand(sample: Sample, densified: Path, hand: HandModel, tmp_path: Path, capsys) -> None:
    """The mirror image of the recording gives the mirror image of what the recording gives."""
    folder, out = exported(sample, hand, tmp_path / "A1", "left"), tmp_path / "out"
    assert main(["densify", str(folder), "--out", str(out), *COLOURS]) == 0
    (right, _), (left, header) = (read_predictions(one / PREDICTIONS) for one in (densified, out))
    assert (header["side"], header["hand"]) == ("left", "open-hand right")
    mirror = np.array([-1, 1, 1])
    assert np.linalg.norm(left.hand_joints - right.hand_joints * mirror, axis=-1).mean() < 1e-3
    assert np.linalg.norm(left.object_translation - right.object_translation * mirror, axis=-1).mean() < 1e-3
    written = read_annotations(out)
    assert (written.side, written.hand_model) == ("left", "open-hand left")
    for label in written.labels[:3]:
        pose = pose_of_label(label, left_hand(hand), Recording.read(folder).object.model)
        _, joints = posed_hand(pose, left_hand(hand))
        assert_close(joints[0], torch.from_numpy(left.hand_joints[label.frame]), rtol=0, atol=1e-5)
    capsys.readouterr()
    assert main(["evaluate", str(out / PREDICTIONS), "--data", str(folder), "--out", str(tmp_path / "s.json")]) == 0
    assert json.loads((tmp_path / "s.json").read_text())["scores"]["hand_joint_error_mm"] < 5
    assert main(["view", str(out / PREDICTIONS), "--data", str(folder), "--save", str(tmp_path / "page.html")]) == 0
    capsys.readouterr()
    words = ["densify", str(folder), "--out", str(tmp_path / "again"), "--start", str(densified / PREDICTIONS)]
    assert main(words) == 1
    assert "expected predictions of a left hand to start from" in " ".join(capsys.readouterr().err.split())


def test_what_cannot_be_done(
    recording_folder: Path, densified: Path, tmp_path: Path, hand, capsys, monkeypatch
) -> None:
    def refused(sentence: str, *arguments: str) -> None:
        assert main(["densify", *arguments, "--out", str(tmp_path / "out")]) == 1
        assert sentence in " ".join(capsys.readouterr().err.split())

    refused("expected the folder of one recording", str(tmp_path))
    assert main(["densify", str(recording_folder), "--out", str(recording_folder)]) == 1
    assert "expected another folder than the recording's own" in " ".join(capsys.readouterr().err.split())
    few, header = read_predictions(densified / PREDICTIONS)
    write_predictions(tmp_path / "few.npz", few.rows(slice(0, 5)), header)
    refused("missing 3, the first frame 5", str(recording_folder), "--start", str(tmp_path / "few.npz"))
    monkeypatch.setattr("warpgrasp.refinement.task.LONGEST_STRETCH", 4)
    refused("expected at most 4 frames between two labels, found 5", str(recording_folder))
    bare = Path(shutil.copytree(recording_folder, tmp_path / "bare"))
    held_out = [replace(label, use="evaluation") for label in read_annotations(bare).labels]
    write_annotations(bare, held_out, hand_model=hand.template.name)
    with pytest.raises(DensifyError, match="expected labels to start from"):
        densify(Recording.read(bare), hand, tmp_path / "nothing", program="test")


def test_frames_are_suggested_far_from_labels(recording_folder: Path, tmp_path: Path, capsys) -> None:
    assert main(["suggest", str(recording_folder), "--count", "2"]) == 0
    frames = [int(word) for word in capsys.readouterr().out.split()]
    assert len(set(frames)) == 2
    assert not set(frames) & {*LABELS, 3}
    assert main(["suggest", str(recording_folder), "--count", "99"]) == 0
    assert len(capsys.readouterr().out.split()) == TRAIN_FRAMES - 3
    assert main(["suggest", str(recording_folder), "--count", "0"]) == 2
    assert main(["suggest", str(tmp_path)]) == 1


def test_labels_that_contradict_each_other_are_named(
    recording_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A label's object was put 69 mm beside where it is: the command says so, and the frames are doubtful."""
    folder = tmp_path / "A1"
    shutil.copytree(recording_folder, folder)
    stated = read_annotations(folder)
    labels = [
        replace(label, object_translation=label.object_translation + 0.04 * (label.frame == LABELS[1]))
        for label in stated.labels
    ]
    write_annotations(folder, labels, hand_model=stated.hand_model)
    assert main(["densify", str(folder), "--out", str(tmp_path / "out"), *COLOURS]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert re.search(r"labels that lie elsewhere than either is carried to from the other: 1 and 6 \(\d\d mm\)", said)
    with (tmp_path / "out" / QUALITY).open(newline="") as file:
        closures = [row["closure_mm"] for row in csv.DictReader(file)]
    assert closures[0] == closures[-1] == ""  # before the first label and after the last
    assert len(set(closures[1:6])) == 1
    assert float(closures[1]) > CONTRADICTION_MM
    assert (read_predictions(tmp_path / "out" / PREDICTIONS)[0].flags[1:6] & Flag.DOUBTFUL).all()


def test_labels_that_agree_are_not(densified: Path) -> None:
    closures = read_predictions(densified / PREDICTIONS)[0].closure_mm
    assert np.isnan(closures[[0, 7]]).all()
    assert (closures[1:6] < CONTRADICTION_MM).all()


@pytest.mark.parametrize(
    ("pairs", "lines"),
    [
        ([], []),
        ([(3, 9, 40.4)], ["either is carried to from the other: 3 and 9 (40 mm); one of the two is wrong"]),
        ([(3, 9, 40.4), (9, 20, 30.0)], ["the labels on both sides are carried to: 9 (40 and 30 mm); look at them"]),
        (
            [(3, 9, 40.4), (9, 20, 30.0), (20, 28, 50.0), (40, 50, 60.0)],
            ["carried to: 9 (40 and 30 mm), 20 (30 and 50 mm);", "from the other: 40 and 50 (60 mm);"],
        ),
    ],
)
def test_what_is_said_of_labels_that_contradict_each_other(pairs: list, lines: list[str]) -> None:
    found = SimpleNamespace(contradictions=[Contradiction(*pair) for pair in pairs])
    said = importlib.import_module("warpgrasp.cli.densify")._contradictions(found)
    assert len(said) == len(lines)
    for line, part in zip(said, lines, strict=True):
        assert part in line
