"""Checkpoints: bit-exact round trips, atomic writes, and what they refuse."""

import errno
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from warpgrasp.frame import ObjectModel
from warpgrasp.hand.model import HandModel
from warpgrasp.hand.templates import open_hand
from warpgrasp.reconstruction import checkpoint as module
from warpgrasp.reconstruction.checkpoint import (
    Checkpoint,
    CheckpointError,
    KnownObject,
    checkpoint_of,
    load_checkpoint,
    save_checkpoint,
)
from warpgrasp.reconstruction.network import HandObjectNetwork, NetworkConfig, OutputScales

BOX = ObjectModel.centred("box", torch.tensor([[0.0, 0, 0], [0.1, 0, 0], [0, 0.1, 0]]), torch.tensor([[0, 1, 2]]))


@pytest.fixture(scope="module")
def stored() -> Checkpoint:
    torch.manual_seed(1)
    config = NetworkConfig(width=8, pose_coefficients=9, scales=OutputScales(kind="paper", unit_m=0.1), image_std=0.3)
    network = HandObjectNetwork(config, HandModel(open_hand()), ("box",))
    network.set_base_rotations(torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]), {})
    return checkpoint_of(network, [BOX], step=17, training={"recipe": "toy", "seed": "3"})


def test_round_trip_is_bit_exact(stored: Checkpoint, hand: HandModel, tmp_path: Path) -> None:
    path = tmp_path / "new" / "weights.safetensors"
    save_checkpoint(path, stored)
    loaded = load_checkpoint(path)
    assert replace(loaded, tensors={}) == replace(stored, tensors={})
    assert loaded.sha256 == stored.sha256
    assert loaded.tensors.keys() == stored.tensors.keys()
    assert all(torch.equal(value, stored.tensors[name]) for name, value in loaded.tensors.items())
    rebuilt = loaded.network(hand)
    assert rebuilt.config == stored.config
    assert all(torch.equal(value, stored.tensors[f"network.{name}"]) for name, value in rebuilt.state_dict().items())
    assert list(path.parent.iterdir()) == [path]


def test_the_optimisers_state_does_not_change_the_hash(stored: Checkpoint) -> None:
    more = replace(stored, tensors={**stored.tensors, "optimiser.step.x": torch.ones(1)})
    assert more.sha256 == stored.sha256
    name = next(name for name in stored.tensors if name.endswith("conv1.weight"))
    assert replace(stored, tensors={**stored.tensors, name: stored.tensors[name] + 1}).sha256 != stored.sha256


def test_objects_are_known_by_name_and_mesh(stored: Checkpoint) -> None:
    stored.check_objects([BOX])
    with pytest.raises(CheckpointError, match=r"trained on \(box\), got cup; train on sequences that show it"):
        stored.check_objects([replace(BOX, name="cup")])
    with pytest.raises(CheckpointError, match=r"expected the mesh of box .*; use the same mesh file, in metres"):
        stored.check_objects([replace(BOX, vertices=BOX.vertices * 1.01)])
    with pytest.raises(CheckpointError, match="expected the mesh of box"):
        stored.check_objects([replace(BOX, faces=BOX.faces.flip(-1))])


def test_rounding_does_not_change_a_mesh() -> None:
    assert KnownObject.of(replace(BOX, vertices=BOX.vertices + 1e-8)) == KnownObject.of(BOX)


def test_another_hand_is_refused(stored: Checkpoint) -> None:
    with pytest.raises(
        CheckpointError, match=r"trained with \(open-hand right\), got open-hand left; choose it by --hand"
    ):
        stored.network(HandModel(open_hand("left")))


def test_files_that_are_no_checkpoints(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"found no file .*none\.safetensors; train first"):
        load_checkpoint(tmp_path / "none.safetensors")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_checkpoint(tmp_path / "text")
    save_file({"x": torch.zeros(1)}, tmp_path / "other")
    with pytest.raises(CheckpointError, match=r"expected a checkpoint of this program \(warpgrasp-checkpoint-1\)"):
        load_checkpoint(tmp_path / "other")
    with pytest.raises(CheckpointError, match="found a folder"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), SafetensorError("I/O error")])
def test_a_failing_write_leaves_the_file_before(stored: Checkpoint, tmp_path: Path, monkeypatch, error) -> None:
    path = tmp_path / "weights.safetensors"
    save_checkpoint(path, stored)
    before = path.read_bytes()

    def full(tensors, target, metadata) -> None:
        Path(target).write_bytes(b"half of it")
        raise error

    monkeypatch.setattr(module, "save_file", full)
    with pytest.raises((OSError, CheckpointError)):
        save_checkpoint(path, replace(stored, step=18))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("notes", "match"),
    [
        ({"width": "-3", "height": "24"}, "a width and a height of at most 4096 px for training in"),
        ({"width": "3\u0663", "height": "24"}, "a width and a height of at most 4096 px for training in"),
        ({"width": "99999", "height": "24"}, "a width and a height of at most 4096 px for training in"),
        ({"width": "4096", "height": "4096"}, "pictures of at most 4194304 pixels for training in"),
        ({"width": "32"}, "the width and the height of the pictures in the checkpoint's notes"),
        ({}, "the width and the height of the pictures in the checkpoint's notes"),
    ],
)
def test_the_size_of_the_pictures_is_checked(stored: Checkpoint, tmp_path: Path, notes: dict, match: str) -> None:
    save_checkpoint(tmp_path / "w.safetensors", replace(stored, training=notes))
    with pytest.raises(CheckpointError, match=match):
        _ = load_checkpoint(tmp_path / "w.safetensors").picture_size
    save_checkpoint(tmp_path / "w.safetensors", replace(stored, training={"width": "32", "height": "24"}))
    assert load_checkpoint(tmp_path / "w.safetensors").picture_size == (32, 24)


def test_equal_checkpoints_make_equal_bytes(stored: Checkpoint, tmp_path: Path) -> None:
    """Whatever the order in which the library writes the notes; also of texts that JSON escapes."""
    notes = {"recipe": 'a "toy"', "command": "\x01\b\t\\ \x7f é 手 \U0001f600 \udcff".replace("\udcff", "?")}
    contents = set()
    for number in range(12):
        save_checkpoint(tmp_path / f"{number}.safetensors", replace(stored, training=notes))
        contents.add((tmp_path / f"{number}.safetensors").read_bytes())
    assert len(contents) == 1
    assert load_checkpoint(tmp_path / "0.safetensors").training == notes
