"""What runs the encoder, against PyTorch."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.inference.networks import HEIGHT, WIDTH, small_network
from warpgrasp.cli import main
from warpgrasp.hand.model import HandModel
from warpgrasp.hand.templates import open_hand
from warpgrasp.inference import backends
from warpgrasp.inference.backends import BackendError, run_encoder_by
from warpgrasp.predictions.file import read_predictions


@pytest.mark.parametrize(("backend", "package"), [("onnx", "onnxruntime"), ("openvino", "openvino")])
def test_a_missing_package_is_named(
    backend: str, package: str, trained_run: Path, sample_root: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.setattr(backends, "find_spec", lambda name: None)
    file = tmp_path / "p.npz"
    command = ["predict", str(sample_root), "--weights", str(trained_run), "--out", str(file), "--backend", backend]
    assert main(command) == 1
    assert capsys.readouterr().err == (
        f"warpgrasp: expected the package {package} for --backend {backend}, found none; install it by pip install "
        f"'warpgrasp[{backend}]', or leave the encoder to PyTorch by --backend torch\n"
    )
    assert not file.exists()


def test_another_device_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(backends, "find_spec", lambda name: object())
    network = small_network(HandModel(open_hand())).to("meta")
    with pytest.raises(BackendError, match="expected the network on the CPU for --backend openvino"):
        run_encoder_by("openvino", network, width=WIDTH, height=HEIGHT)


def test_pytorch_is_left_alone(hand: HandModel) -> None:
    network = small_network(hand)
    encoder = network.encoder
    run_encoder_by("torch", network, width=WIDTH, height=HEIGHT)
    assert network.encoder is encoder


def test_pytorch_does_not_run_int8(hand: HandModel) -> None:
    with pytest.raises(BackendError, match="expected --backend onnx or openvino with --quantized, got torch"):
        run_encoder_by("torch", small_network(hand), width=WIDTH, height=HEIGHT, quantized=b"")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "precision", "tolerance_mm"),
    [("onnx", "fp32", 1e-2), ("openvino", "fp32", 1e-2), ("openvino", "bf16", 2.0)],
)
def test_predictions_are_those_of_pytorch(
    backend: str, precision: str, tolerance_mm: float, trained_run: Path, sample_root: Path, tmp_path: Path
) -> None:
    """In processes of their own: what these packages warn of is not ours."""
    for package in {"onnx": ("onnx", "onnxscript", "onnxruntime"), "openvino": ("openvino",)}[backend]:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    command = [sys.executable, "-m", "warpgrasp.cli", "predict", str(sample_root), "--weights", str(trained_run)]
    files = {}
    for name, options in {"torch": [], backend: ["--backend", backend, "--precision", precision]}.items():
        files[name] = tmp_path / f"{name}.npz"
        subprocess.run([*command, "--out", str(files[name]), *options], check=True, timeout=300, capture_output=True)
    wanted, _ = read_predictions(files["torch"])
    found, header = read_predictions(files[backend])
    assert (header["backend"], header["precision"]) == (backend, precision)
    for one in ("hand_vertices", "hand_joints", "object_translation"):
        assert 1e3 * np.abs(getattr(found, one) - getattr(wanted, one)).max() < tolerance_mm
    assert found.names == wanted.names
