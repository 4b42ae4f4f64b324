"""The command line from end to end."""

import json
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from warpgrasp.cli import COMMANDS, main
from warpgrasp.cli.options import print_shares
from warpgrasp.data.frames import choose_labels
from warpgrasp.predictions.file import read_predictions
from warpgrasp.training.recipes import RECIPES


def option_texts(page: str) -> dict[str, str]:
    """The text that a page of help has for each option."""
    entries: dict[str, str] = {}
    name = None
    for raw in page.splitlines():
        line = raw.strip("│| ")
        started = re.match(r"(-h, )?(--[a-z][\w.-]*)", line)
        if started:
            name = started[2]
            entries[name] = line[started.end() :]
        elif not line or line.endswith("options"):  # the end of a box, the title of the next
            name = None
        elif name is not None:
            entries[name] += " " + line
    return entries


def words(text: str) -> list[str]:
    """The words of a sentence: without values, choices and defaults."""
    plain = re.sub(r"\(default:.*|\(required\)|\{.*?\}|\[.*?\]", " ", text)
    return re.findall(r"\b[A-Z]?[a-zé'-]+\b", plain)


@pytest.mark.parametrize("arguments", [["--help"], ["-h"]])
def test_help_names_every_command(arguments: list[str], capsys) -> None:
    assert main(arguments) == 0
    page = capsys.readouterr().out
    assert all(re.search(rf"^  {command} +\w.*\.$", page, re.MULTILINE) for command in COMMANDS)


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "train"])
def test_every_option_has_a_sentence(command: str, capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert main([command, "--help"]) == 0
    entries = option_texts(capsys.readouterr().out)
    assert len(entries) >= 2
    without = [name for name, text in entries.items() if len(words(text)) < 2 and name != "--help"]
    assert without == []


def test_every_field_of_a_recipe_has_a_sentence(capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert main(["train", "demo", "--help"]) == 0
    entries = option_texts(capsys.readouterr().out)
    assert {"--data", "--out", "--seed", "--fraction", "--stage1.steps", "--photometric.weight"} <= entries.keys()
    assert [name for name, text in entries.items() if len(words(text)) < 2 and name != "--help"] == []


def test_train_help_lists_the_recipes(capsys) -> None:
    assert main(["train", "--help"]) == 0
    page = capsys.readouterr().out
    assert all(name in page for name in RECIPES)


@pytest.mark.parametrize("arguments", [["--version"], ["-V"]])
def test_the_version(arguments: list[str], capsys) -> None:
    assert main(arguments) == 0
    assert capsys.readouterr().out == f"warpgrasp {version('warpgrasp')}\n"


def test_a_misspelt_command_is_known(capsys) -> None:
    assert main(["denisfy", "mug"]) == 2
    assert capsys.readouterr().err.endswith("got 'denisfy'; densify is one\n")


def test_no_command_is_bad_usage(capsys) -> None:
    assert main([]) == 2
    assert "usage: warpgrasp COMMAND" in capsys.readouterr().out


def test_train_predict_evaluate(trained_run: Path, sample_root: Path, tmp_path: Path, capsys) -> None:
    file, scores = tmp_path / "p.npz", tmp_path / "scores.json"
    assert main(["predict", str(sample_root), "--weights", str(trained_run), "--out", str(file)]) == 0
    predictions, header = read_predictions(file)
    assert [name.index for name in predictions.names] == [0, 1, 2, 3]
    assert header["recipe"] == "toy"
    assert header["split"] == "evaluation"
    assert header["hand"] == "open-hand right"
    assert len(header["weights_sha256"]) == 64
    assert main(["evaluate", str(file), "--data", str(sample_root), "--out", str(scores)]) == 0
    assert "4 frames · camera space" in capsys.readouterr().out
    stored = json.loads(scores.read_text())
    assert stored["frames"] == 4
    assert all(np.isfinite(value) and value > 0 for value in stored["scores"].values())
    assert {"hand_joint_error_mm", "object_vertex_error_px"} <= stored["scores"].keys()


def test_predicting_the_training_split_and_a_checkpoint_by_its_file(
    trained_run: Path, sample_root: Path, tmp_path: Path
) -> None:
    file = tmp_path / "p.npz"
    weights = str(trained_run / "weights.safetensors")
    assert main(["predict", str(sample_root), "--weights", weights, "--split", "train", "--out", str(file)]) == 0
    assert len(read_predictions(file)[0].names) == 16
    assert main(["evaluate", str(file), "--data", str(sample_root)]) == 0


def test_a_run_says_which_frames_are_annotated(trained_run: Path, sample_root: Path, capsys) -> None:
    assert main(["train", "toy", "--data", str(sample_root), "--out", str(trained_run)]) == 0  # finished already
    page = capsys.readouterr().out
    assert "4 of 16 frames annotated (25.00 %), 2 objects, seed 0" in page
    for sequence in ("A1", "B1"):
        assert re.search(rf"{sequence}\W+8\W+2\W+25\.00 %\W+0, 4\W", page)


def test_many_sequences_are_summed_up(capsys) -> None:
    sequences = {f"s{number}": range(10 + number) for number in range(21)}
    print_shares(choose_labels(sequences, fraction=1 / 10, sampling="paper"))
    page = " ".join(capsys.readouterr().out.split())
    # One frame in ten: 1 of 10, 2 of 11, … 3 of 30.
    assert page.startswith("in 21 sequences, 1 to 3 annotated frames in each (10.00 to 18.18 %)")
    print_shares(choose_labels({"s0": range(10)}, fraction=1 / 10, sampling="paper"))
    assert "10.00 %" in capsys.readouterr().out


def test_nothing_is_overwritten_without_force(trained_run: Path, sample_root: Path, tmp_path: Path, capsys) -> None:
    file = tmp_path / "p.npz"
    file.write_text("precious")
    command = ["predict", str(sample_root), "--weights", str(trained_run), "--out", str(file)]
    assert main(command) == 1
    assert re.fullmatch(r"warpgrasp: .*p\.npz exists already; overwrite it by --force\n", capsys.readouterr().err)
    assert file.read_text() == "precious"
    assert main([*command, "--force"]) == 0
    assert len(read_predictions(file)[0].names) == 4


def test_doctor(sample_root: Path, capsys) -> None:
    assert main(["doctor", "--data", str(sample_root)]) == 0
    page = capsys.readouterr().out
    assert "hand: open-hand right, 778 vertices" in page
    assert "train: 2 sequences, 16 frames" in page
    assert "nothing is missing" in page


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="found no folder"):
        main(["doctor", "--data", str(tmp_path / "none"), "--debug"])


def test_the_console_entry() -> None:
    program = Path(sys.executable).with_name("warpgrasp")
    refused = subprocess.run([program, "fly"], capture_output=True, text=True, timeout=300, check=False)
    assert refused.returncode == 2
    assert refused.stderr.startswith("warpgrasp: expected a command (sample, demo, train,")
