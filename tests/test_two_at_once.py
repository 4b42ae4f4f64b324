"""Two commands into one `--out`: the second is told who is at work, or both files are whole and the last one stays."""

from pathlib import Path

import pytest

from tests.data.recording.recording_files import write_recording
from tests.test_bad_input import tree
from warpgrasp.cli import main
from warpgrasp.files import replacing
from warpgrasp.locks import alone_in


def words_of(name: str, out: Path, root: Path, run: Path, recording: Path) -> list[str]:
    data, words = ["--data", str(root)], {}
    words["predict"] = ["predict", str(root), "--weights", str(run), "--out", str(out / "p.npz")]
    words["densify"] = ["densify", str(recording), "--out", str(out), "--keypoints", "none"]
    words["train"] = ["train", "toy", *data, "--out", str(out), "--tracker", "none"]
    words["demo"] = ["demo", *data, "--out", str(out), "--recipe", "toy"]
    words["reproduce"] = ["reproduce", "table3", "--data", "sample", "--out", str(out), "--quick", "--seeds", "0"]
    return words[name]


@pytest.mark.attack("environment", "two commands at once on one --out")
@pytest.mark.parametrize(
    ("name", "held"),
    [
        ("predict", "p.npz.partial"),
        ("densify", "predictions.npz.partial"),
        ("train", ""),
        ("demo", ""),
        ("reproduce", ""),
    ],
)
def test_the_second_is_told(
    name: str, held: str, sample_root: Path, trained_run: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.setattr("warpgrasp.data.sample.unpack_shipped", lambda root: sample_root)
    out, recording = tmp_path / "out", write_recording(tmp_path / "recording")
    with alone_in(out / held):
        before = tree(tmp_path)
        assert main(words_of(name, out, sample_root, trained_run, recording)) == 1
        error = capsys.readouterr().err
        assert "expected no other command at work in" in " ".join(error.split()), error
        assert "found one: process" in " ".join(error.split())
        assert error.count("warpgrasp: ") == 1
        assert tree(tmp_path) == before


@pytest.mark.attack("environment", "two commands at once on one --out")
def test_the_last_one_stays(tmp_path: Path, capsys) -> None:
    """Of commands that write one file at their end."""
    recording = write_recording(tmp_path / "recording")
    target = recording / "camera.json"
    with replacing(target) as other:
        other.write_text("the other's")
        assert main(["camera", str(recording), "--focal-px", "61", "--force"]) == 0
        assert '"fx": 61' in target.read_text()
    assert target.read_text() == "the other's"
    assert [path.name for path in recording.iterdir() if path.name.startswith(".")] == []
