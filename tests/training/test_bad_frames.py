"""Frames that cannot be read: refused by name, or left out, counted and listed; never replaced."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.training.runs import prepare, short_recipe, train_both
from warpgrasp.cli import main
from warpgrasp.data import open_dataset
from warpgrasp.data.frames import FrameSource
from warpgrasp.errors import DataError
from warpgrasp.frame import FrameName
from warpgrasp.hand.model import HandModel
from warpgrasp.hand.templates import open_hand
from warpgrasp.reconstruction.checkpoint import load_checkpoint
from warpgrasp.training import loop, objective
from warpgrasp.training.loop import train_stage
from warpgrasp.training.run import Training, open_run

A1, A3, A4, B0 = FrameName("A1", 1), FrameName("A1", 3), FrameName("A1", 4), FrameName("B1", 0)  # A4, B0: annotated


def picture(root: Path, name: FrameName) -> Path:
    return root / "train" / name.sequence / "rgb" / f"{name.index:04d}.jpg"


def halve(root: Path, name: FrameName) -> None:
    path = picture(root, name)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def scribble(root: Path, name: FrameName) -> None:
    picture(root, name).write_bytes(b"not a picture")


def spoil_meta(root: Path, name: FrameName) -> None:
    (root / "train" / name.sequence / "meta" / f"{name.index:04d}.pkl").write_bytes(b"not a pickle")


def train(root: Path, out: Path, *options: str) -> int:
    steps = ("--stage1.steps", "6", "--stage2.steps", "6")
    return main(["train", "toy", "--data", str(root), "--out", str(out), "--tracker", "none", *steps, *options])


def sha256(run: Path) -> str:
    return load_checkpoint(run / "weights.safetensors").sha256


def bad_frames(run: Path) -> dict:
    return json.loads((run / "run.json").read_text())["bad_frames"]


def skipping(root: Path) -> Training:
    return Training.prepare(short_recipe(), open_dataset(root, HandModel(open_hand())), on_bad="skip")


@pytest.mark.parametrize("name", [A3, A4])
def test_a_bad_frame_is_refused_by_name_unless_told(copied_root: Path, tmp_path: Path, capsys, name: FrameName) -> None:
    halve(copied_root, name)
    assert train(copied_root, tmp_path / "run") == 1
    assert f"A1/rgb/000{name.index}.jpg" in capsys.readouterr().err


@pytest.mark.slow
def test_what_is_in_a_bad_file_does_not_matter_and_it_is_listed_once(
    copied_root: Path, tmp_path: Path, undisturbed: str, capsys
) -> None:
    for name in (A3, B0):
        halve(copied_root, name)
    assert train(copied_root, tmp_path / "halved", "--bad-frames", "skip") == 0
    assert "left out 2 bad frames" in capsys.readouterr().out
    scribble(copied_root, A3)
    spoil_meta(copied_root, A3)
    picture(copied_root, B0).unlink()
    assert train(copied_root, tmp_path / "scribbled", "--bad-frames", "skip") == 0
    assert sha256(tmp_path / "halved") == sha256(tmp_path / "scribbled") != undisturbed

    listed = bad_frames(tmp_path / "halved")
    assert (listed["when_found"], listed["count"]) == ("skip", 2)
    assert [(one["sequence"], one["index"]) for one in listed["frames"]] == [("A1", 3), ("B1", 0)]
    for one, name in zip(listed["frames"], (A3, B0), strict=True):
        assert one["error"].startswith(f"expected a whole picture in {picture(copied_root, name)}: ")
    assert "found no such file" in bad_frames(tmp_path / "scribbled")["frames"][1]["error"]


@pytest.mark.slow
def test_without_bad_frames_skipping_changes_nothing(sample_root: Path, tmp_path: Path, undisturbed: str) -> None:
    assert train_both(skipping(sample_root), tmp_path).sha256 == undisturbed


def test_a_bad_frame_is_left_out_of_its_batch_and_a_pair_with_it(copied_root: Path) -> None:
    halve(copied_root, A3)
    halve(copied_root, A4)
    dataset = open_dataset(copied_root, HandModel(open_hand()), size=(64, 48))
    source = FrameSource(dataset, annotated=[A4, B0], on_bad="skip")
    assert source.frames([A1, A3, B0, A3]).names == (A1, B0)
    b1, b2 = FrameName("B1", 1), FrameName("B1", 2)
    targets, references = source.pairs([A3, A1, b1, b2], [B0, A4, B0, B0])
    assert targets.names == (b1, b2)
    assert references.names == (B0, B0)
    assert references.annotation is not None
    assert set(source.bad) == {A3, A4}
    with pytest.raises(DataError, match=r"readable frame or pair in a batch of 2, found only bad ones.*0003\.jpg"):
        source.frames([A3, A4])
    with pytest.raises(DataError, match=r"readable frame or pair in a batch of 1.*0004\.jpg"):
        source.pairs([A1], [A4])


def test_each_is_found_and_told_once(copied_root: Path, monkeypatch) -> None:
    halve(copied_root, A3)
    dataset, told = open_dataset(copied_root, HandModel(open_hand()), size=(64, 48)), []
    source = FrameSource(dataset, annotated=[], on_bad="skip")
    source.when_bad = lambda: told.append(dict(source.bad))
    for _ in range(3):
        source.frames([A1, A3])
    assert [list(one) for one in told] == [[A3]]
    refusing = FrameSource(dataset, annotated=[])
    for _ in range(2):
        with pytest.raises(DataError, match=r"0003\.jpg"):
            refusing.frames([A1, A3])


def test_a_broken_annotation_moves_no_other_choice(copied_root: Path) -> None:
    before = skipping(copied_root).labels
    spoil_meta(copied_root, A4)
    assert skipping(copied_root).labels == before
    with pytest.raises(DataError, match=r"A1/meta/0004\.pkl"):
        prepare(copied_root, short_recipe())


def test_an_empty_batch_ends_the_training(copied_root: Path, tmp_path: Path, capsys) -> None:
    for sequence in ("A1", "B1"):
        for index in (0, 4):
            halve(copied_root, FrameName(sequence, index))
    assert train(copied_root, tmp_path / "run", "--bad-frames", "skip") == 1
    assert "expected a readable frame or pair in a batch of 4, found only bad ones" in capsys.readouterr().err


@pytest.mark.slow
def test_an_interrupted_run_keeps_its_list_and_its_weights(copied_root: Path, tmp_path: Path, monkeypatch) -> None:
    for name in (A3, A4):
        halve(copied_root, name)
    expected = train_both(skipping(copied_root), tmp_path / "undisturbed").sha256
    monkeypatch.setattr(loop, "SAVE_EVERY_S", 0.0)
    supervised, calls = objective.supervised, []

    def interrupted(*arguments, **options):
        calls.append(1)
        if len(calls) == 9:  # in stage 2
            raise KeyboardInterrupt
        return supervised(*arguments, **options)

    monkeypatch.setattr(objective, "supervised", interrupted)
    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        with_notes(skipping(copied_root), out)
    before = bad_frames(out)
    assert ("A1", 4) in [(one["sequence"], one["index"]) for one in before["frames"]]  # written at once
    assert with_notes(skipping(copied_root), out) == expected
    assert [(one["sequence"], one["index"]) for one in bad_frames(out)["frames"]] == [("A1", 3), ("A1", 4)]


def with_notes(training: Training, out: Path) -> str:
    with open_run(training, out, command=[]):
        first = train_stage(training, training.recipe.stage1, out / "stage1.safetensors")
        train_stage(training, training.recipe.stage2, out / "weights.safetensors", initial=first)
    return sha256(out)


def test_what_is_done_with_bad_frames_is_no_part_of_the_recipe(sample_root: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    training = prepare(sample_root, short_recipe())
    with open_run(training, out, command=[]):
        (out / "stage1.safetensors").touch()
    with open_run(replace(training, source=skipping(sample_root).source), out, command=[]):
        assert bad_frames(out)["when_found"] == "skip"
