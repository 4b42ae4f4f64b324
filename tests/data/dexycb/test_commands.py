"""DexYCB by the command line: train, predict, evaluate, doctor; and its own result file."""

import json
import re
import shutil
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.data.dexycb.dexycb_files import (
    EVALUATION_LEFT,
    EVALUATION_RIGHT,
    TRAIN_LEFT,
    TRAIN_RIGHT,
    DexYcbFiles,
    edit_labels,
)
from warpgrasp.cli import main
from warpgrasp.data.dexycb import DexYcb, Sides
from warpgrasp.evaluation.metrics import EvaluationError
from warpgrasp.export.datasets import write_dexycb_result
from warpgrasp.frame import FrameName
from warpgrasp.hand.model import HandModel
from warpgrasp.hand.templates import open_hand
from warpgrasp.predictions.file import Predictions, read_predictions


def command(*words: object) -> int:
    return main([str(word) for word in words])


@pytest.fixture(scope="module")
def run(files: DexYcbFiles, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training of a few steps on both hands."""
    out = tmp_path_factory.mktemp("runs") / "toy"
    steps = ("--stage1.steps", 2, "--stage2.steps", 2)
    assert command("train", "toy", "--data", files.root, "--out", out, "--side", "both", *steps) == 0
    return out


@pytest.fixture(scope="module")
def predicted(files: DexYcbFiles, run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("predictions") / "both.npz"
    assert command("predict", files.root, "--weights", run, "--out", out, "--side", "both") == 0
    return out


def test_train_predict_and_evaluate(files: DexYcbFiles, run: Path, predicted: Path, tmp_path: Path) -> None:
    notes = json.loads((run / "run.json").read_text())
    assert notes["data"]["protocol"] == "dexycb/s0 both as-labelled"
    assert set(notes["labels"]["annotated"]) == {TRAIN_RIGHT.name, TRAIN_LEFT.name}
    assert all(min(frames) >= 2 for frames in notes["labels"]["annotated"].values())  # 0 and 1 have no annotation
    predictions, header = read_predictions(predicted)
    assert header["protocol"] == "dexycb/s0 both as-labelled"
    assert set(predictions.object_name) == {"006_mustard_bottle", "003_cracker_box (mirrored)"}
    assert len(predictions.names) == EVALUATION_RIGHT.frames + EVALUATION_LEFT.frames
    scores = tmp_path / "scores.json"
    assert command("evaluate", predicted, "--data", files.root, "--out", scores, "--side", "both") == 0
    written = json.loads(scores.read_text())
    assert written["frames"] == 4
    assert written["scores"]["hand_joint_error_mm"] > 0


def test_a_bad_frame_is_refused_by_name_or_left_out_and_listed(files: DexYcbFiles, tmp_path: Path, capsys) -> None:
    root = Path(shutil.copytree(files.root, tmp_path / "copied"))
    (root / TRAIN_RIGHT.name / "color_000003.jpg").write_bytes(b"no picture")
    (root / TRAIN_LEFT.name / "labels_000002.npz").write_bytes(b"no labels")
    steps = ("--stage1.steps", 2, "--stage2.steps", 6, "--photometric.pairs", 16, "--tracker", "none")
    words = ("train", "toy", "--data", root, "--side", "both", *steps)
    assert command(*words, "--out", tmp_path / "refused") == 1
    assert f"{TRAIN_LEFT.name}/labels_000002.npz" in capsys.readouterr().err
    assert command(*words, "--out", tmp_path / "skipped", "--bad-frames", "skip") == 0
    listed = json.loads((tmp_path / "skipped/run.json").read_text())["bad_frames"]
    assert (listed["when_found"], listed["count"]) == ("skip", 2)
    found = {(one["sequence"], one["index"]): one["error"] for one in listed["frames"]}
    assert "color_000003.jpg" in found[TRAIN_RIGHT.name, 3]
    assert "labels_000002.npz" in found[TRAIN_LEFT.name, 2]


def test_a_left_hand_is_read_in_the_mirror(files: DexYcbFiles, hand: HandModel) -> None:
    """Its wrist lies on the other side of the camera's axis."""
    written = files.views[EVALUATION_LEFT.name]
    dataset = DexYcb.open(files.root, hand, sides=Sides("left", HandModel(open_hand("left"))))
    seen = dataset.truth(FrameName(EVALUATION_LEFT.name, 0)).annotation.hand_joints[0, 0]
    assert float(seen) == pytest.approx(-written.joints[0, 0, 0], abs=1e-6)
    assert abs(float(seen)) > 0.005


def test_scoring_the_truth_gives_no_error(files: DexYcbFiles, predicted: Path, hand: HandModel, tmp_path: Path) -> None:
    """A perfect prediction is perfect in the official file too: true joints of the labels, in mm, left ones as left."""
    dataset = DexYcb.open(files.root, hand, sides=Sides("both", HandModel(open_hand("left"))))
    predictions, _ = read_predictions(predicted)
    truths = [dataset.truth(name).annotation.hand_joints for name in predictions.names]
    values = {one.name: getattr(predictions, one.name) for one in fields(Predictions)}
    perfect = Predictions(**values | {"hand_joints": torch.stack(truths).numpy()})
    assert write_dexycb_result(tmp_path / "result.txt", perfect, dataset, "evaluation") == 4
    rows = np.loadtxt(tmp_path / "result.txt", delimiter=",")
    assert rows.shape == (4, 64)
    expected = []
    for plan in (EVALUATION_RIGHT, EVALUATION_LEFT):
        for index in range(plan.frames):
            with np.load(files.root / plan.name / f"labels_{index:06d}.npz") as labels:
                expected.append(1000 * labels["joint_3d"].ravel())
    assert rows[:, 0].tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(rows[:, 1:], np.stack(expected), rtol=0, atol=2e-3)


def test_an_incomplete_result_is_refused(files: DexYcbFiles, predicted: Path, hand: HandModel, tmp_path: Path) -> None:
    predictions, _ = read_predictions(predicted)
    out = tmp_path / "result.txt"
    with pytest.raises(EvaluationError, match="predict with --side both"):
        write_dexycb_result(out, predictions, DexYcb.open(files.root, hand), "evaluation")
    dataset = DexYcb.open(files.root, hand, sides=Sides("both", HandModel(open_hand("left"))))
    with pytest.raises(EvaluationError, match="each of 9 frames of train, missing 9"):
        write_dexycb_result(out, predictions, dataset, "train")
    assert list(tmp_path.iterdir()) == []


def test_doctor_says_what_is_missing(files: DexYcbFiles, tmp_path: Path, capsys) -> None:
    """Only one subject of ten is there; with files taken away, each kind is named once, with its count."""
    assert command("doctor", "--data", files.root, "--side", "both") == 1
    said = capsys.readouterr()
    out = " ".join(said.out.split())
    assert "1 of 10 subjects, 100 recordings" in out
    assert "CC BY-NC 4.0" in out
    assert (
        "train: 9 frames in 2 views (both hands: 9 of 465,504 frames, 4 of them of left hands, in 2 of 6,400 views)"
    ) in out
    assert "evaluation: 4 frames in 2 views (both hands: 4 frames, 2 of them of left hands, in 2 of 1,280 views)" in out
    assert "objects 003_cracker_box, 006_mustard_bottle" in out
    assert re.search(r"missing 9 subjects \(20200709-subject-01, [^;]*\)$", said.err.strip())

    root = Path(shutil.copytree(files.root, tmp_path / "copied"))
    (root / TRAIN_RIGHT.name / "color_000003.jpg").unlink()
    (root / TRAIN_LEFT.name / "labels_000001.npz").unlink()
    (root / TRAIN_LEFT.name / "labels_000002.npz").unlink()
    shutil.rmtree(root / "models")
    shutil.rmtree(root / "calibration")
    assert command("doctor", "--data", root, "--side", "both") == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    for what in (
        r"9 subjects \(",
        r"2 intrinsics files, the first \S+_640x480\.yml",
        r"2 mano\.yml files, the first \S+mano\.yml",
        r"2 object meshes, the first \S+003_cracker_box/textured_simple\.obj",
        r"1 pictures, the first \S+color_000003\.jpg",
        r"2 labels files, the first \S+labels_000001\.npz",
    ):
        assert len(re.findall(what, error)) == 1, (what, error)


def test_doctor_reads_a_frame_of_each_hand(files: DexYcbFiles, tmp_path: Path, capsys) -> None:
    root = Path(shutil.copytree(files.root, tmp_path / "copied"))
    edit_labels(root / TRAIN_LEFT.name / "labels_000002.npz", pose_m=np.full((1, 51), 0.1, np.float32))
    assert command("doctor", "--data", root, "--side", "both") == 1
    assert re.search(r"labels_000002\.npz .* mm away", capsys.readouterr().err)


def test_options_are_refused_for_other_layouts(sample_root: Path, capsys) -> None:
    assert command("doctor", "--data", sample_root, "--side", "left") == 1
    assert re.search(r"expected --side and --left-shapedirs with DexYCB", capsys.readouterr().err)


def test_options_that_are_none_are_bad_usage(files: DexYcbFiles, capsys) -> None:
    assert command("doctor", "--data", files.root, "--side", "middle") == 2
    assert command("doctor", "--data", files.root, "--left-shapedirs", "maybe") == 2
    assert command("doctor", "--data", files.root, "--protocol", "s4") == 1
    assert "expected a protocol of DexYCB" in capsys.readouterr().err
