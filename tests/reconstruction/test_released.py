"""Checkpoints of the paper's released code: the same vertices as its forward pass, on random parameters."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from tests.oracles import released as oracle
from warpgrasp.cli import main
from warpgrasp.data import open_dataset
from warpgrasp.frame import Objects
from warpgrasp.geometry.camera import Camera
from warpgrasp.hand.model import HandModel
from warpgrasp.reconstruction.checkpoint import CheckpointError, load_checkpoint
from warpgrasp.reconstruction.released import read_released

WIDTH, HEIGHT = 64, 48
INTRINSICS = torch.tensor([[61.0, 0, 30.7], [0, 61.0, 25.2], [0, 0, 1]])


def stored(path: Path, state: dict[str, torch.Tensor], **more) -> Path:
    torch.save({"epoch": 200, "arch": "resnet18", "state_dict": state, "optimizer": {"state": {}}, **more}, path)
    return path


@pytest.mark.parametrize("adapted", [False, True])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_the_same_vertices(tmp_path: Path, sample_root: Path, hand: HandModel, adapted: bool, prefix: str) -> None:
    objects = open_dataset(sample_root, hand).objects("train")
    state = oracle.random_state(hand.template, adapted=adapted)
    path = stored(tmp_path / "checkpoint_200.pth.tar", {f"{prefix}{name}": value for name, value in state.items()})
    found = read_released(path, hand, objects, width=WIDTH, height=HEIGHT)
    assert found.adaptation_error_m < 1e-6
    network = found.checkpoint.network(hand).double().eval()
    image = torch.rand(3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1))
    expected = oracle.forward(state, hand.template, image, INTRINSICS, objects[0].vertices)
    with torch.no_grad():
        camera = Camera(INTRINSICS.double()[None], WIDTH, HEIGHT)
        thing = Objects.of([objects[0]])
        thing = replace(thing, vertices=thing.vertices.double(), corners=thing.corners.double())
        ours = network(image.double()[None], camera, thing)
    # The parameters went through float32, half a pixel was added to a bias there.
    assert_close(ours.hand.vertices[0], expected["hand_vertices"], rtol=0, atol=2e-6)
    assert_close(ours.hand.joints[0], expected["hand_joints"], rtol=0, atol=2e-6)
    assert_close(ours.object.vertices[0], expected["object_vertices"], rtol=0, atol=2e-6)
    assert ours.hand.joints[0, 4].sub(ours.hand.joints[0, 0]).norm() > 0.01


@pytest.mark.slow
def test_from_the_command_line_to_predictions(tmp_path: Path, sample_root: Path, hand: HandModel, capsys) -> None:
    path = stored(tmp_path / "released.pth", oracle.random_state(hand.template, adapted=True))
    out, predictions = tmp_path / "weights.safetensors", tmp_path / "p.npz"
    assert main(["import-released", str(path), "--data", str(sample_root), "--out", str(out)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "which knows" in said
    assert "adapted joints within" in said
    notes = load_checkpoint(out).training
    assert (notes["width"], notes["height"]) == ("640", "480")
    assert not [name for name in load_checkpoint(out).tensors if "template" in name]  # no array of a licensed hand
    assert main(["predict", str(sample_root), "--weights", str(out), "--out", str(predictions)]) == 0
    assert main(["import-released", str(path), "--data", str(sample_root), "--out", str(out)]) == 1
    assert "overwrite it by --force" in capsys.readouterr().err


def test_what_is_none(tmp_path: Path, sample_root: Path, hand: HandModel) -> None:
    objects = open_dataset(sample_root, hand).objects("train")

    def refused(path: Path, match: str, model: HandModel = hand) -> None:
        with pytest.raises(CheckpointError, match=match):
            read_released(path, model, objects, width=WIDTH, height=HEIGHT)

    state = oracle.random_state(hand.template, adapted=False)
    refused(tmp_path / "none.pth", "found no file")
    (tmp_path / "text.pth").write_text("no checkpoint")
    refused(tmp_path / "text.pth", "expected a checkpoint of the paper's code in")
    torch.save(state, tmp_path / "bare.pth")
    refused(tmp_path / "bare.pth", "found no `state_dict`")
    refused(stored(tmp_path / "code.pth", state, best_score=print), "expected a checkpoint of the paper's code in")
    short = {name: value for name, value in state.items() if not name.startswith("mano_branch.pose_reg")}
    refused(stored(tmp_path / "short.pth", short), "found none of its mano_branch.pose_reg.weight")
    wide = {**state, "scaletrans_branch.final_layer.weight": torch.zeros(4, 256)}
    refused(stored(tmp_path / "wide.pth", wide), "expected a ResNet-18 with the paper's branches")
    other = replace(hand.template, vertices=hand.template.vertices + 0.001)
    refused(
        stored(tmp_path / "whole.pth", state),
        "whose template_vertices are others; give the same MANO",
        HandModel(other),
    )
