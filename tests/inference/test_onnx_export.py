"""The network as one ONNX file, against PyTorch."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from tests.inference.networks import HEIGHT, WIDTH, models, small_network, some_frames
from warpgrasp.cli import main
from warpgrasp.frame import Frames, Reconstruction
from warpgrasp.hand.model import HandModel
from warpgrasp.inference import onnx_export
from warpgrasp.inference.onnx_export import INPUTS, OUTPUTS, DeployedNetwork
from warpgrasp.inference.prediction import reconstruct_frames
from warpgrasp.reconstruction.checkpoint import checkpoint_of, save_checkpoint
from warpgrasp.reconstruction.network import HandObjectNetwork, NetworkConfig


def arguments(network: HandObjectNetwork, frames: Frames) -> tuple[torch.Tensor, ...]:
    rows = torch.tensor([network.object_names.index(name) for name in frames.objects.names])
    return frames.image, frames.camera.intrinsics, frames.objects.vertices, rows


def expected(found: Reconstruction) -> dict[str, torch.Tensor]:
    hand, thing = found.hand, found.object
    return {
        "hand_vertices": hand.vertices,
        "hand_joints": hand.joints,
        "hand_rotation": hand.rotation,
        "hand_translation": hand.translation,
        "hand_pose": hand.pose_coefficients,
        "hand_shape": hand.shape,
        "posed_object_vertices": thing.vertices,
        "object_rotation": thing.rotation,
        "object_translation": thing.translation,
    }


def test_what_is_exported_is_the_network(hand: HandModel) -> None:
    network, frames = small_network(hand), some_frames(4)
    with torch.no_grad():
        outputs = DeployedNetwork(network, width=WIDTH, height=HEIGHT)(*arguments(network, frames))
    wanted = expected(reconstruct_frames(network, frames))
    assert tuple(wanted) == OUTPUTS
    for name, output in zip(OUTPUTS, outputs, strict=True):
        assert_close(output, wanted[name], rtol=0, atol=1e-6)
    moved = wanted["hand_translation"]
    assert (moved - moved.mean(dim=0)).abs().max() > 1e-3  # the frames do differ


def test_a_network_that_is_told_takes_joints(hand: HandModel) -> None:
    torch.manual_seed(0)
    told = HandObjectNetwork(NetworkConfig(width=8, joint_input=True), hand, small_network(hand).object_names).eval()
    inputs = onnx_export.example_inputs(told, width=WIDTH, height=HEIGHT)
    assert len(inputs) == len(INPUTS) + len(onnx_export.JOINT_INPUTS)
    with torch.no_grad():
        one, other = (
            DeployedNetwork(told, width=WIDTH, height=HEIGHT)(*inputs[:4], joints, inputs[5])
            for joints in (inputs[4], inputs[4] + 1)
        )
    assert not torch.equal(one[OUTPUTS.index("hand_translation")], other[OUTPUTS.index("hand_translation")])


@pytest.mark.parametrize(
    ("absent", "what"),
    [
        ({"onnx"}, "expected the package onnx to export"),
        ({"onnx", "onnxscript"}, "the packages onnx and onnxscript"),
    ],
)
def test_a_missing_package_is_named(
    absent: set[str], what: str, trained_run: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.setattr(onnx_export, "find_spec", lambda name: None if name in absent else object())
    assert main(["export-onnx", str(trained_run), "--out", str(tmp_path / "network.onnx")]) == 1
    error = capsys.readouterr().err
    assert what in error
    assert error.endswith("install by pip install 'warpgrasp[onnx]'\n")
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten_without_force(trained_run: Path, tmp_path: Path, capsys) -> None:
    file = tmp_path / "network.onnx"
    file.write_text("precious")
    assert main(["export-onnx", str(trained_run), "--out", str(file)]) == 1
    assert "network.onnx exists already; overwrite it by --force" in capsys.readouterr().err
    assert file.read_text() == "precious"


@pytest.mark.slow
def test_the_file_computes_what_pytorch_does(hand: HandModel, tmp_path: Path) -> None:
    """In a process of its own: the checks of shapes under pytest would make constants of them."""
    for package in ("onnx", "onnxscript"):
        pytest.importorskip(package)
    onnxruntime = pytest.importorskip("onnxruntime")
    network = small_network(hand)
    weights, file = tmp_path / "weights.safetensors", tmp_path / "network.onnx"
    notes = {"width": str(WIDTH), "height": str(HEIGHT)}
    save_checkpoint(weights, checkpoint_of(network, models(2), step=1, training=notes))
    command = [sys.executable, "-m", "warpgrasp.cli", "export-onnx", str(weights), "--out", str(file)]
    said = subprocess.run(command, check=True, timeout=300, capture_output=True, text=True)
    assert "for pictures of 64×48; object_row is 0: box, 1: bottle" in said.stdout
    assert said.stderr == ""
    session = onnxruntime.InferenceSession(str(file))
    stated = session.get_modelmeta().custom_metadata_map
    assert stated["format"] == "warpgrasp-onnx-1"
    assert json.loads(stated["objects"]) == ["box", "bottle"]
    for count, vertices in ((1, 40), (5, 7)):
        frames = some_frames(count, vertices=vertices)
        given = {name: value.numpy() for name, value in zip(INPUTS, arguments(network, frames), strict=True)}
        wanted = expected(reconstruct_frames(network, frames))
        for name, found in zip(OUTPUTS, session.run(None, given), strict=True):
            tolerance = 1e-4 if "vertices" in name or "joints" in name else 1e-3  # metres; angles, coefficients
            assert_close(torch.from_numpy(found), wanted[name], rtol=0, atol=tolerance)
