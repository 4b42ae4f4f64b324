"""FPHAB by the command line: train, predict, evaluate, doctor."""

import json
import re
import shutil
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from tests.data.fphab.fphab_files import EVALUATION, LIST, FphabSample
from warpgrasp.cli import main
from warpgrasp.hand.model import HandModel
from warpgrasp.predictions.file import read_predictions

A = "Subject_1/open_juice_bottle/1"
STEPS = ("--stage1.steps", 2, "--stage2.steps", 2, "--tracker", "none")


@pytest.fixture(scope="module")
def sample(fphab_sample: FphabSample) -> FphabSample:
    """Read only: copy before changing."""
    return fphab_sample


@pytest.fixture
def copied(sample: FphabSample, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sample.root, tmp_path / "fphab"))


def command(*words: object) -> int:
    return main([str(word) for word in words])


@pytest.fixture(scope="module")
def run(sample: FphabSample, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training of a few steps."""
    out = tmp_path_factory.mktemp("runs") / "toy"
    assert command("train", "toy", "--data", sample.root, "--out", out, *STEPS) == 0
    return out


def test_train_predict_and_evaluate(sample: FphabSample, run: Path, tmp_path: Path, capsys) -> None:
    notes = json.loads((run / "run.json").read_text())
    assert notes["data"]["protocol"] == "fphab/actions"
    assert notes["labels"]["annotated"] == {
        A: [0, 4],
        "Subject_3/pour_milk/2": [2],
        "Subject_5/open_juice_bottle/2": [0],
    }
    file, scores = tmp_path / "p.npz", tmp_path / "s.json"
    assert command("predict", sample.root, "--weights", run, "--out", file) == 0
    predictions, header = read_predictions(file)
    assert (header["protocol"], header["split"]) == ("fphab/actions", "evaluation")
    assert [(name.sequence, name.index) for name in predictions.names] == [
        (name, index) for name, frames, first, _ in EVALUATION for index in range(first, frames)
    ]
    assert set(predictions.object_name) == {"juice_bottle", "milk"}
    assert command("evaluate", file, "--data", sample.root, "--out", scores) == 0
    written = json.loads(scores.read_text())
    assert (written["frames"], written["frames_without_truth"]) == (9, 0)
    assert all(np.isfinite(value) and value > 0 for value in written["scores"].values())
    # By hand: FPHAB's pixels are those of 480x270, as the paper's are, whatever lies on the disk.
    distances = []
    for row, name in enumerate(predictions.names):
        truth = sample.sequences[name.sequence].joints[name.index]
        here, there = (348.94 * points[:, :2] / points[:, 2:] for points in (truth, predictions.hand_joints[row]))
        distances.append(np.linalg.norm(here - there, axis=1).mean())
    assert written["scores"]["hand_joint_error_px"] == pytest.approx(np.mean(distances), rel=1e-4)


@pytest.mark.slow
def test_other_protocols_are_named_in_results_and_kept(sample: FphabSample, tmp_path: Path, capsys) -> None:
    for protocol in ("subjects", "fphab/subjects-near-10mm"):
        out = tmp_path / protocol.rpartition("/")[2]
        words = ("--protocol", protocol, *STEPS)
        assert command("train", "toy", "--data", sample.root, "--out", out, *words) == 0
        full_name = f"fphab/{protocol.removeprefix('fphab/')}"
        assert json.loads((out / "run.json").read_text())["data"]["protocol"] == full_name
        file, scores = out / "p.npz", out / "s.json"  # in the same splits without being told
        assert command("predict", sample.root, "--weights", out, "--out", file) == 0
        predictions, header = read_predictions(file)
        assert header["protocol"] == full_name
        assert {name.sequence.split("/")[0] for name in predictions.names} <= {"Subject_2", "Subject_5", "Subject_6"}
        assert command("evaluate", file, "--data", sample.root, "--out", scores) == 0
        assert json.loads(scores.read_text())["frames"] == len(predictions.names)
        capsys.readouterr()
        assert command("evaluate", file, "--data", sample.root, "--protocol", "actions") == 1
        assert "expected a prediction of each of 9 frames, missing" in capsys.readouterr().err


def test_a_bad_frame_is_refused_by_name_or_left_out_and_listed(copied: Path, tmp_path: Path, capsys) -> None:
    pictures = copied.glob(f"Video_files*/{A}/color/color_0005.jpeg")
    for path in pictures:
        path.write_bytes(path.read_bytes()[:500])
    poses = copied / "Object_6D_pose_annotation_v1_1/Subject_3/pour_milk/2/object_pose.txt"
    rows = poses.read_text().splitlines()
    poses.write_text("\n".join([rows[0], rows[1].replace(" ", " nan ", 1), *rows[2:]]) + "\n")
    words = ("train", "toy", "--data", copied, *STEPS, "--stage2.steps", 6, "--photometric.pairs", 16)
    assert command(*words, "--out", tmp_path / "refused") == 1
    assert re.search(r"in a list of 16 for row 2, .*object_pose\.txt, found a list of 17", capsys.readouterr().err)
    assert command(*words, "--out", tmp_path / "skipped", "--bad-frames", "skip") == 0
    listed = json.loads((tmp_path / "skipped/run.json").read_text())["bad_frames"]
    assert (listed["when_found"], listed["count"]) == ("skip", 2)
    assert [(one["sequence"], one["index"]) for one in listed["frames"]] == [(A, 5), ("Subject_3/pour_milk/2", 3)]
    assert "color_0005.jpeg" in listed["frames"][0]["error"]
    assert "object_pose.txt" in listed["frames"][1]["error"]


def doctor(root: Path, capsys, *words: str, status: int = 0) -> tuple[str, str]:
    """What is said, and on the error line."""
    capsys.readouterr()
    assert command("doctor", "--data", root, *words) == status
    said = capsys.readouterr()
    return " ".join(said.out.split()), said.err


def test_doctor_counts_and_compares(sample: FphabSample, capsys) -> None:
    out, _ = doctor(sample.root, capsys)
    for what in (
        "https://github.com/guiggh/hand_pose_action",
        "academic research, no redistribution",
        "Video_files (or the 480x270 copies in Video_files_480), Hand_pose_annotation_v1,",
        f"{LIST}: 5 + 5 sequences of all actions (expected: 600 or 599 + 575)",  # Subject_5/use_flash/6 is none
        "left out: 2 frames with a pose but without joints, in 1 of 7 sequences, the first is frame 0 of Subject_4/",
        "fphab/actions train: 3 sequences, 14 frames (expected: 10503 frames)",
        "fphab/actions evaluation: 3 sequences, 9 frames (expected: 10998 frames)",
        "train: objects juice_bottle, milk",
        "3 hands fitted to the joints here: their joints are",
        "mm in the worst frame (limit: 12 mm)",
        "(limit: 15 mm in a sequence's median frame, 100 in any)",
        "nothing is missing",
    ):
        assert what in out, what
    assert "20 hands taken from MANO fits" in out
    assert "warning" not in out
    out, _ = doctor(sample.root, capsys, "--protocol", "subjects")
    assert "fphab/subjects train: 3 sequences, 14 frames fphab/subjects evaluation: 3 sequences, 9 frames" in out


def test_doctor_says_once_what_is_missing(copied: Path, capsys) -> None:
    for path in (f"Video_files/{A}/color/color_0003.jpeg", f"Video_files_480/{A}/color/color_0003.jpeg"):
        (copied / path).unlink()
    shutil.rmtree(copied / "Object_models/salt_model")
    shutil.rmtree(copied / "Object_models/milk_model")
    path = copied / "Hand_pose_annotation_v1" / A / "skeleton.txt"
    rows = path.read_text().splitlines()
    path.write_text("\n".join([rows[0], "0001 nan " + rows[1].split(maxsplit=2)[2], *rows[2:]]) + "\n")
    _, error = doctor(copied, capsys, status=1)
    assert error.count("\n") == 1
    for what in (
        r"1 of 23 pictures, the first \S+color_0003\.jpeg",
        r"2 of 4 object meshes, the first \S+milk_model\.ply",
        r"whole annotations of 1 frames, the first: expected finite numbers for row 2, after .* in \S+n\.txt",
    ):
        assert len(re.findall(what, error)) == 1, (what, error)
    path.unlink()
    assert re.search(r"1 of 7 skeleton files, the first \S+skeleton\.txt; 2 of 4", doctor(copied, capsys, status=1)[1])
    for part in (LIST, "Hand_pose_annotation_v1", "Object_6D_pose_annotation_v1_1", "Video_files", "Video_files_480"):
        file = copied / part
        file.unlink() if file.is_file() else shutil.rmtree(file)
    out, error = doctor(copied, capsys, "--layout", "fphab", status=1)
    assert "academic research" in out
    for what in ("the list of the splits", "all joints", "all object poses", "all pictures", "2 of 4 object meshes"):
        assert error.count(what) == 1, (what, error)


def test_doctor_warns_of_joints_that_are_no_hand(copied: Path, capsys) -> None:
    (copied / "fhbhands_fits" / A / "pkls.pkl").unlink()
    path = copied / "Hand_pose_annotation_v1" / A / "skeleton.txt"
    rows = [line.split() for line in path.read_text().splitlines()]
    rows[5][1:] = rows[5][4:] + rows[5][1:4]  # every joint takes the place of the one before
    path.write_text("\n".join(map(" ".join, rows)) + "\n")
    out, _ = doctor(copied, capsys)
    assert re.search(rf"1 hands \(4\.35 %\) cannot be fitted .* unannotated frames, the first is frame 5 of {A}", out)
    assert "nothing is missing" in out


@pytest.mark.slow
def test_doctor_says_when_fits_are_of_another_hand(copied: Path, hand: HandModel, capsys, monkeypatch) -> None:
    mirrored = HandModel(hand.template.mirrored("mano right (tips: manopth)"))
    monkeypatch.setattr(import_module("warpgrasp.cli.data"), "hand_model", lambda *_, **__: mirrored)
    out, error = doctor(copied, capsys, status=1)
    assert "warning: 20 of these hands are beyond the limits" in out
    assert re.search(r"pkls\.pkl, found it \d+ mm away in most; the fits were made with MANO \(--hand mano", error)
    other = HandModel(replace(mirrored.template, name="of another package"))
    monkeypatch.setattr(import_module("warpgrasp.cli.data"), "hand_model", lambda *_, **__: other)
    out, _ = doctor(copied, capsys)
    assert "warning: the fits of 5 sequences are of another hand than of another package" in out
    assert "23 hands fitted to the joints here" in out
