"""train, predict and evaluate on recordings, by the command line."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.data.recording.recording_files import edit, train_toy
from warpgrasp.cli import main
from warpgrasp.predictions.file import read_predictions


@pytest.fixture(scope="module")
def run(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_toy(exported, tmp_path_factory.mktemp("runs") / "toy")


def test_every_label_is_used_and_the_rest_are_pairs(run: Path) -> None:
    labels = json.loads((run / "run.json").read_text())["labels"]
    assert labels["annotated"] == {"A1": [0, 3, 7], "B1": [0, 3, 7]}
    assert labels["effective_fraction"] == pytest.approx(6 / 14)


def test_predict_and_evaluate(run: Path, exported: Path, tmp_path: Path, capsys) -> None:
    file, scores = tmp_path / "p.npz", tmp_path / "s.json"
    assert main(["predict", str(exported), "--weights", str(run), "--out", str(file)]) == 0
    assert "wrote 2 frames (evaluation)" in " ".join(capsys.readouterr().out.split())
    assert [(name.sequence, name.index) for name in read_predictions(file)[0].names] == [("A1", 5), ("B1", 5)]
    assert main(["evaluate", str(file), "--data", str(exported), "--out", str(scores)]) == 0
    assert json.loads(scores.read_text())["frames"] == 2
    assert all(np.isfinite(value) for value in json.loads(scores.read_text())["scores"].values())
    words = ["predict", str(exported), "--weights", str(run), "--split", "train", "--out", str(tmp_path / "t.npz")]
    assert main(words) == 0
    assert main(["evaluate", str(tmp_path / "t.npz"), "--data", str(exported), "--out", str(scores)]) == 0
    stored = json.loads(scores.read_text())
    assert (stored["frames"], stored["frames_without_truth"]) == (6, 8)


@pytest.mark.slow
def test_a_bad_frame_is_refused_by_name_or_left_out_and_listed(exported: Path, tmp_path: Path, capsys) -> None:
    root = Path(shutil.copytree(exported, tmp_path / "copied"))
    (picture,) = root.glob("A1/frames/*2.png")
    picture.write_bytes(picture.read_bytes()[:300])
    words = ["train", "toy", "--data", str(root), "--fraction", "1", "--stage1.steps", "2", "--stage2.steps", "6"]
    words += ["--photometric.pairs", "16", "--tracker", "none", "--out"]
    assert main([*words, str(tmp_path / "refused")]) == 1
    assert re.search(r"A1/frames/\d*2\.png", capsys.readouterr().err)
    assert main([*words, str(tmp_path / "skipped"), "--bad-frames", "skip"]) == 0
    listed = json.loads((tmp_path / "skipped/run.json").read_text())["bad_frames"]
    assert (listed["when_found"], listed["count"]) == ("skip", 1)
    assert (listed["frames"][0]["sequence"], listed["frames"][0]["index"]) == ("A1", 2)


def test_a_bare_recording(run: Path, exported: Path, tmp_path: Path, capsys) -> None:
    bare = Path(shutil.copytree(exported / "B1", tmp_path / "bare"))
    (bare / "annotations.json").unlink()
    file = tmp_path / "p.npz"
    assert main(["predict", str(bare), "--weights", str(run), "--out", str(file)]) == 0
    predictions, header = read_predictions(file)
    assert header["split"] == "train"
    assert [(name.sequence, name.index) for name in predictions.names] == [("bare", index) for index in range(8)]
    assert main(["evaluate", str(file), "--data", str(bare)]) == 1
    assert re.search(
        r"expected frames with annotation among the predicted ones in .*bare, found none to score",
        capsys.readouterr().err,
    )
    assert main(["train", "toy", "--data", str(bare), "--out", str(tmp_path / "run")]) == 1
    assert "expected annotated training frames in" in capsys.readouterr().err
    words = ["predict", str(bare), "--weights", str(run), "--split", "validation", "--out", str(tmp_path / "v.npz")]
    assert main(words) == 1
    assert "expected frames in the split validation" in capsys.readouterr().err


def test_every_frame_of_recordings(run: Path, exported: Path, tmp_path: Path) -> None:
    file = tmp_path / "p.npz"
    assert main(["predict", str(exported), "--weights", str(run), "--split", "all", "--out", str(file)]) == 0
    predictions, header = read_predictions(file)
    assert [(name.sequence, name.index) for name in predictions.names] == [
        (sequence, number) for sequence in ("A1", "B1") for number in range(8)
    ]
    assert predictions.time_s is not None
    assert np.isnan(predictions.time_s[:8]).all()  # pictures
    np.testing.assert_allclose(predictions.time_s[8:], np.arange(8) / 30, atol=1e-4)
    assert set(header["cameras"]) == {"A1", "B1"}
    assert set(header["objects"]) == {"003_cracker_box", "006_mustard_bottle"}
    words = ["evaluate", str(file), "--data", str(exported), "--out", str(tmp_path / "s.json")]
    assert main(words) == 0
    assert json.loads((tmp_path / "s.json").read_text())["frames"] == 8


def test_objects_that_the_network_does_not_know(run: Path, exported: Path, tmp_path: Path, capsys) -> None:
    changed = Path(shutil.copytree(exported / "B1", tmp_path / "changed"))
    words = ["predict", str(changed), "--weights", str(run), "--out", str(tmp_path / "p.npz")]
    edit(changed / "object.json", lambda content: content.update(name="teapot"))
    assert main(words) == 1
    assert "expected an object that the network was trained on" in capsys.readouterr().err
    edit(changed / "object.json", lambda content: content.update(name="003_cracker_box", axes="opengl"))
    assert main(words) == 1
    assert "expected the mesh of 003_cracker_box" in capsys.readouterr().err


def test_a_wrong_protocol(exported: Path, tmp_path: Path, capsys) -> None:
    assert main(["doctor", "--data", str(exported), "--protocol", "official"]) == 1
    assert re.search(r"a protocol of recordings \(recording\), got 'official'", capsys.readouterr().err)
