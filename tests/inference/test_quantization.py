"""The encoder in int8."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from tests.inference.networks import small_network, some_frames
from warpgrasp.cli import main
from warpgrasp.hand.model import HandModel
from warpgrasp.inference import backends as quantization
from warpgrasp.inference.backends import vertex_change_mm
from warpgrasp.predictions.file import read_predictions


def test_the_change_of_a_moved_hand(hand: HandModel) -> None:
    network, moved = small_network(hand), small_network(hand)
    with torch.no_grad():
        # One unit of depth is 62.5 mm, so this moves every vertex of the hand by 5 mm; the object stays.
        moved.heads.hand_translation[-1].bias[0] += 0.08
    frames = some_frames(3)
    hand_mm, object_mm = vertex_change_mm(network, moved, [frames])
    with torch.no_grad():
        before, after = (one(frames.image, frames.camera, frames.objects).hand.translation for one in (network, moved))
    assert_close((after - before)[:, 2], torch.full((3,), 0.005))
    assert hand_mm == pytest.approx(1e3 * float((after - before).norm(dim=-1).mean()), rel=1e-4)
    assert object_mm == 0


@pytest.mark.parametrize(
    ("more", "what"),
    [
        (["--pictures", "0"], "expected at least 1 picture to calibrate by, got 0; choose more by --pictures"),
        (["--out", "{file}"], "encoder.onnx exists already; overwrite it by --force"),
        ([], "expected the package onnxruntime to quantise, found none; install it by pip install 'warpgrasp[onnx]'"),
    ],
)
def test_what_cannot_be_done(
    more: list[str], what: str, trained_run: Path, sample_root: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.setattr(quantization, "find_spec", lambda name: None)
    file = tmp_path / "encoder.onnx"
    file.write_text("precious")
    command = ["quantize", str(trained_run), "--data", str(sample_root), "--out", str(tmp_path / "other.onnx")]
    assert main([*command, *(word.format(file=file) for word in more)]) == 1
    assert what in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["encoder.onnx"]
    assert file.read_text() == "precious"


@pytest.mark.slow
def test_predictions_in_int8(trained_run: Path, sample_root: Path, tmp_path: Path) -> None:
    """In processes of their own: what these packages warn of is not ours."""
    for package in ("onnx", "onnxscript", "onnxruntime"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    encoder = tmp_path / "encoder.onnx"

    def run(*words: str | Path, status: int = 0) -> str:
        command = [sys.executable, "-m", "warpgrasp.cli", *map(str, words)]
        done = subprocess.run(command, check=False, timeout=300, capture_output=True, text=True)
        assert done.returncode == status, done.stderr
        return done.stdout + done.stderr

    said = run("quantize", trained_run, "--data", sample_root, "--out", encoder, "--pictures", 8)
    assert "in these 8 pictures vertices move by 0." in said
    predict = ["predict", sample_root, "--weights", trained_run, "--out"]
    run(*predict, tmp_path / "torch.npz")
    run(*predict, tmp_path / "int8.npz", "--backend", "onnx", "--quantized", encoder)
    wanted, _ = read_predictions(tmp_path / "torch.npz")
    found, header = read_predictions(tmp_path / "int8.npz")
    assert (header["backend"], header["precision"]) == ("onnx", "int8")
    changes_mm = 1e3 * np.linalg.norm(found.hand_vertices - wanted.hand_vertices, axis=-1)
    assert 0 < changes_mm.mean() < 1  # other pictures than those of the calibration

    other = shutil.copytree(trained_run, tmp_path / "other")
    shutil.copy(other / "stage1.safetensors", other / "weights.safetensors")
    command = ["predict", sample_root, "--weights", other, "--out", tmp_path / "p.npz", "--backend", "onnx"]
    said = run(*command, "--quantized", encoder, status=1)
    assert "expected the encoder of these very weights in" in said
    said = run(*command, "--quantized", sample_root / "no.onnx", status=1)
    assert "expected an encoder of `warpgrasp quantize` in" in said
