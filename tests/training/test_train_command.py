"""`warpgrasp train`: the control, recipes without stage 2, snapshots, and data that a recipe is not about."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.training.runs import prepare, short_recipe
from warpgrasp.cli import main
from warpgrasp.data.ho3d.dataset import Ho3d
from warpgrasp.frame import Frame, FrameName
from warpgrasp.reconstruction.checkpoint import load_checkpoint
from warpgrasp.training.loop import train_stage
from warpgrasp.training.recipes import toy

SHORT = ("--stage1.steps", "6", "--stage2.steps", "6")


def test_the_control_differs_in_lambda_alone(sample_root: Path, tmp_path: Path) -> None:
    command = ["train", "toy", "--data", str(sample_root), "--out", str(tmp_path / "run"), "--tracker", "none"]
    assert main([*command, "--stage1.steps", "2", "--stage2.steps", "3", "--control"]) == 0
    recipe = json.loads((tmp_path / "run" / "run.json").read_text())["recipe"]
    assert recipe["photometric"]["weight"] == 0.0
    short = replace(short_recipe(), stage1=replace(toy().stage1, steps=2), stage2=replace(toy().stage2, steps=3))
    training = prepare(sample_root, short.as_control())
    first, out = tmp_path / "run" / "stage1.safetensors", tmp_path / "expected.safetensors"
    expected = load_checkpoint(train_stage(training, training.recipe.stage2, out, initial=first))
    assert load_checkpoint(tmp_path / "run" / "weights.safetensors").sha256 == expected.sha256


@pytest.mark.slow
def test_without_stage_2_the_weights_are_stage_1s(sample_root: Path, tmp_path: Path) -> None:
    command = ["train", "toy", "--data", str(sample_root), "--tracker", "none", "--stage1.steps", "6"]
    assert main([*command, "--out", str(tmp_path / "one"), "--stage2.steps", "0"]) == 0
    assert main([*command, "--out", str(tmp_path / "both"), "--stage2.steps", "1"]) == 0
    one, both = (load_checkpoint(tmp_path / file) for file in ("one/weights.safetensors", "both/stage1.safetensors"))
    assert one.sha256 == both.sha256
    assert not (tmp_path / "one" / "stage1.safetensors").exists()


def test_snapshots_are_the_weights_of_their_steps(sample_root: Path, tmp_path: Path) -> None:
    command = ["train", "toy", "--data", str(sample_root), "--out", str(tmp_path), "--tracker", "none", *SHORT]
    assert main([*command, "--snapshots", "2", "6"]) == 0
    files = sorted(path.name for path in tmp_path.glob("*.step*"))
    assert files == ["weights.step0000002.safetensors", "weights.step0000006.safetensors"]
    early, last, final = (load_checkpoint(tmp_path / name) for name in (*files, "weights.safetensors"))
    assert last.sha256 == final.sha256 != early.sha256
    assert (early.step, last.step) == (2, 6)


def test_a_recipe_about_other_splits_is_refused(sample_root: Path, tmp_path: Path, capsys) -> None:
    command = ["train", "fphab-full", "--data", str(sample_root), "--out", str(tmp_path / "run")]
    assert main(command) == 1
    assert "expected data in the layout fphab for the recipe fphab-full" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_mean_rotations_of_annotations_without_rotation_are_refused(
    sample_root: Path, tmp_path: Path, capsys, monkeypatch
) -> None:
    """As of a data set that gives the hand's surface alone; from the identity it is trained."""
    read = Ho3d.frame

    def without_rotation(self: Ho3d, name: FrameName, *, annotated: bool) -> Frame:
        frame = read(self, name, annotated=annotated)
        annotation = frame.annotation and replace(frame.annotation, hand_rotation=None)
        return replace(frame, annotation=annotation)

    monkeypatch.setattr(Ho3d, "frame", without_rotation)
    command = ["train", "toy", "--data", str(sample_root), "--stage1.steps", "1", "--stage2.steps", "0"]
    assert main([*command, "--out", str(tmp_path / "run"), "--tracker", "none"]) == 1
    message = capsys.readouterr().err
    assert re.fullmatch(r".*expected the rotation of the whole hand .* by --no-base-rotations\n", message), message
    assert main([*command, "--out", str(tmp_path / "other"), "--tracker", "none", "--no-base-rotations"]) == 0


@pytest.mark.parametrize(
    ("words", "steps"),
    [
        (["fphab-sparse"], ("33000", "6600")),
        (["fphab-sparse", "--fraction", "0.2"], ("57400", "57400")),
        (["fphab-sparse", "--fraction=0.2"], ("57400", "57400")),
        (["toy", "--fraction", "0.2"], ("10", "10")),
    ],
)
def test_the_fraction_decides_the_usual_steps(words: list[str], steps: tuple[str, str], capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert main(["train", *words, "--help"]) == 0
    page = capsys.readouterr().out
    for stage, count in zip(("stage1", "stage2"), steps, strict=True):
        assert f"(default: {count})" in page.split(f"--{stage}.steps INT")[1].split("--")[0]
