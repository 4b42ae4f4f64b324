"""Trackers see what the log sees, are not needed, and change no weight."""

import io
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.training.runs import prepare, short_recipe, train_both
from warpgrasp.cli import main
from warpgrasp.reconstruction import freeze_batch_norm
from warpgrasp.reconstruction.checkpoint import load_checkpoint
from warpgrasp.training import log, loop, objective
from warpgrasp.training.log import LogOptions, Monitor, TrackerError, choose_tracker
from warpgrasp.training.loop import initial_network, train_stage
from warpgrasp.training.run import Training

Curves = dict[str, dict[int, float]]


def train_tracked(training: Training, out: Path) -> str:
    options = LogOptions(tracker="tensorboard")
    first = train_stage(training, training.recipe.stage1, out / "stage1.safetensors", log=options)
    last = train_stage(training, training.recipe.stage2, out / "weights.safetensors", initial=first, log=options)
    return load_checkpoint(last).sha256


def shown(folder: Path) -> Curves:
    """What TensorBoard shows: each value's steps, in the order of their making."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    curves = {}
    for tag in events.Tags()["scalars"]:
        scalars = events.Scalars(tag)
        assert len({one.step for one in scalars}) == len(scalars), tag  # no step twice
        curves[tag] = {one.step: one.value for one in scalars}
    return curves


def logged(path: Path) -> Curves:
    curves: Curves = {}
    for row in map(json.loads, path.read_text().splitlines()):
        for name, value in row.items():
            if name != "step":
                curves.setdefault(name, {})[row["step"]] = value
    return curves


def same(shown_curves: Curves, logged_curves: Curves) -> bool:
    """Float32 is kept of each value."""
    return shown_curves == {name: pytest.approx(curve, rel=1e-6, abs=1e-30) for name, curve in logged_curves.items()}


def test_the_events_are_the_log_and_change_no_weight(
    sample_root: Path, tmp_path: Path, undisturbed: str, monkeypatch
) -> None:
    monkeypatch.setattr(log, "LOG_EVERY_STEPS", 1)
    assert train_tracked(prepare(sample_root, short_recipe()), tmp_path) == undisturbed
    for stage in ("stage1", "weights"):
        assert same(shown(tmp_path / "tracking" / stage), logged(tmp_path / f"{stage}.jsonl")), stage
    stage2 = shown(tmp_path / "tracking" / "weights")
    assert {
        "loss",
        "learning_rate",
        "lambda_c",
        "compared_share",
        "cycle_rejected_share",
        "photometric",
        "hand_joints",
    } <= stage2.keys()
    assert list(stage2["lambda_c"]) == list(range(6))
    assert stage2["lambda_c"][1] == pytest.approx(1e-3)  # a third of the ramp to 3e-3


@pytest.mark.slow
@pytest.mark.parametrize("tracker", ["tensorboard", "wandb", "mlflow"])
def test_pictures_of_the_warp_reach_every_tracker(tracker: str, sample_root: Path, tmp_path: Path, monkeypatch) -> None:
    pytest.importorskip(tracker)
    monkeypatch.chdir(tmp_path)  # where MLflow writes
    monkeypatch.setenv("WANDB_MODE", "offline")
    out = tmp_path / "run"
    words = ["train", "toy", "--data", str(sample_root), "--out", str(out), "--tracker", tracker]
    command = [sys.executable, "-m", "warpgrasp.cli", *words, "--measure-every", "10"]
    subprocess.run(command, check=True, timeout=300, capture_output=True)
    if tracker == "tensorboard":
        accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
        events = accumulator.EventAccumulator(str(out / "tracking" / "weights"))
        events.Reload()
        pictures = [io.BytesIO(events.Images(tag)[-1].encoded_image_string) for tag in events.Tags()["images"]]
    else:
        pictures = list(tmp_path.rglob("*.png"))
    assert len(pictures) >= 2
    for picture in pictures:
        with Image.open(picture) as image:
            strip = np.asarray(image.convert("RGB"))
        reference, warped, _ = np.split(strip[:, : strip.shape[1] // 3 * 3], 3, axis=1)
        assert reference.std() > 10
        assert (reference != warped).any()


def test_measuring_leaves_the_network_as_it_was(sample_root: Path) -> None:
    training = prepare(sample_root, short_recipe())
    network = initial_network(training).train()
    freeze_batch_norm(network)
    before = {name: module.training for name, module in network.named_modules()}
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    measurement = Monitor.of(training)(network)
    assert {name: module.training for name, module in network.named_modules()} == before
    assert set(before.values()) == {True, False}
    assert all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())
    groups = {name.partition("/")[0] for name in measurement.values}
    assert groups == {"annotated", "unannotated", "evaluation"}
    assert len(measurement.pictures) == 2


@pytest.mark.slow
def test_errors_are_measured_beside_the_training_and_change_no_weight(sample_root: Path, tmp_path: Path) -> None:
    words = ["train", "toy", "--data", str(sample_root), "--tracker", "none"]
    assert main([*words, "--out", str(tmp_path / "plain")]) == 0
    assert main([*words, "--out", str(tmp_path / "run"), "--measure-every", "10"]) == 0
    found, expected = (load_checkpoint(tmp_path / run / "weights.safetensors") for run in ("run", "plain"))
    assert found.sha256 == expected.sha256
    assert not (tmp_path / "plain" / "tracking").exists()
    for name in ("stage1", "weights"):
        rows = [json.loads(line) for line in (tmp_path / "run" / f"{name}.jsonl").read_text().splitlines()]
        assert [row["step"] for row in rows] == [0, 9]
        for row in rows:
            for group in ("annotated", "unannotated", "evaluation"):
                assert row[f"{group}/hand_joint_error_px"] > 0
    assert rows[-1]["annotated/hand_joint_error_mm"] != rows[0]["annotated/hand_joint_error_mm"]
    assert main([*words, "--out", str(tmp_path / "none"), "--measure-every", "-1"]) == 2


@pytest.mark.slow
def test_an_interrupted_stage_shows_each_step_once(
    sample_root: Path, tmp_path: Path, undisturbed: str, monkeypatch
) -> None:
    monkeypatch.setattr(log, "LOG_EVERY_STEPS", 1)
    training, supervised, calls = prepare(sample_root, short_recipe()), objective.supervised, []

    def until_step_4(*arguments, **options):
        calls.append(1)
        monkeypatch.setattr(loop, "SAVE_EVERY_S", 0.0 if len(calls) < 3 else 1e9)  # the state after step 1 is saved
        if len(calls) == 5:
            raise KeyboardInterrupt
        return supervised(*arguments, **options)

    monkeypatch.setattr(objective, "supervised", until_step_4)
    with pytest.raises(KeyboardInterrupt):
        train_tracked(training, tmp_path)
    assert list(shown(tmp_path / "tracking" / "stage1")["loss"]) == [0, 1, 2, 3]
    monkeypatch.setattr(objective, "supervised", supervised)
    # TensorBoard reads its files by name: by the second, then by a count in the process, of which 10 stands before 9.
    time.sleep(1)
    assert train_tracked(training, tmp_path) == undisturbed
    assert same(shown(tmp_path / "tracking" / "stage1"), logged(tmp_path / "stage1.jsonl"))


def test_no_tracker_writes_nothing(sample_root: Path, tmp_path: Path) -> None:
    train_both(prepare(sample_root, short_recipe()), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "stage1.jsonl",
        "stage1.safetensors",
        "weights.jsonl",
        "weights.safetensors",
    ]


def test_train_tracks_by_itself_where_it_can(trained_run: Path) -> None:
    expected = choose_tracker(None) == "tensorboard"
    assert [path.name for path in trained_run.glob("tracking")] == ["tracking"] * expected
    assert len(list(trained_run.glob("tracking/*/events.*"))) == 2 * expected


def test_nothing_is_needed(monkeypatch) -> None:
    monkeypatch.setattr(log, "find_spec", lambda name: None)
    assert choose_tracker(None) == "none"
    assert choose_tracker("none") == "none"
    with pytest.raises(TrackerError, match=r"expected tensorboard .*tracker tensorboard.*warpgrasp\[tracking\].*none"):
        choose_tracker("tensorboard")


def test_a_tracker_that_is_not_installed_is_refused_before_anything_is_written(
    sample_root: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.setattr(log, "find_spec", lambda name: None)
    words = ["train", "toy", "--data", str(sample_root), "--out", str(tmp_path / "run"), "--tracker", "wandb"]
    assert main(words) == 1
    assert "expected wandb to be installed for --tracker wandb" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
