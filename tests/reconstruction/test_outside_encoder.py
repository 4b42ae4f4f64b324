"""An encoder of another package, which joins by an entry point alone: trained, stored and predicted with."""

import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from warpgrasp.cli import main
from warpgrasp.data.ho3d.dataset import Ho3d
from warpgrasp.hand.model import HandModel
from warpgrasp.reconstruction.checkpoint import load_checkpoint
from warpgrasp.reconstruction.encoders.encoder import ENCODERS, EncoderError, new_encoder
from warpgrasp.reconstruction.encoders.resnet18 import EncoderWeightsError
from warpgrasp.registry import RegistryError

MODULE = '''
"""Mean colours of the four quarters of a picture, mixed by one layer."""

import torch
from torch import nn

from warpgrasp.reconstruction import EncoderWeightsError


class Quarters(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.feature_count = 8 * width
        self.mix = nn.Linear(12, self.feature_count)

    def forward(self, image):
        return self.mix(nn.functional.adaptive_avg_pool2d(image, 2).flatten(1))

    def load_initial_weights(self, source):
        raise EncoderWeightsError(f"expected --encoder-weights none for quarters, got {source}")


def no_module(width):
    return object()
'''
TOY = ["--network.encoder", "quarters", "--network.width", "2", "--stage1.steps", "2", "--stage2.steps", "2"]


@pytest.fixture
def package(tmp_path_factory: pytest.TempPathFactory, monkeypatch) -> Path:
    """The folder of an installed package with two entry points."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "quarters.py").write_text(MODULE)
    notes = folder / "quarters-1.0.dist-info"
    notes.mkdir()
    (notes / "METADATA").write_text("Metadata-Version: 2.1\nName: quarters\nVersion: 1.0\n")
    (notes / "entry_points.txt").write_text(
        "[warpgrasp.encoders]\nquarters = quarters:Quarters\nno-module = quarters:no_module\n"
    )
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(ENCODERS, "_loaded", {})
    yield folder
    sys.modules.pop("quarters", None)


def trained(sample_root: Path, out: Path, *words: str) -> int:
    common = ["--tracker", "none", "--encoder-weights", "none"]
    return main(["train", "toy", "--data", str(sample_root), "--out", str(out), *common, *TOY, *words])


def test_it_is_trained_stored_and_predicted_with(
    package: Path, sample_root: Path, hand: HandModel, tmp_path: Path
) -> None:
    out, file = tmp_path / "run", tmp_path / "p.npz"
    assert trained(sample_root, out) == 0
    checkpoint = load_checkpoint(out / "weights.safetensors")
    assert (checkpoint.config.encoder, checkpoint.config.width) == ("quarters", 2)
    assert main(["predict", str(sample_root), "--weights", str(out), "--out", str(file)]) == 0
    # The regressed shape, by NumPy from the stored tensors and the pictures.
    tensors = {name.removeprefix("network."): array for name, array in load_file(out / "weights.safetensors").items()}
    dataset = Ho3d(sample_root, hand, size=(64, 48))
    images = np.stack([dataset.frame(name, annotated=False).image.numpy() for name in dataset.names("evaluation")])
    values = (images - 0.5).reshape(-1, 3, 2, 24, 2, 32).mean(axis=(3, 5)).reshape(len(images), 12)
    for layer in ("encoder.mix", "heads.hand_pose_shape.0", "heads.hand_pose_shape.2", "heads.hand_pose_shape.4"):
        values = values @ tensors[f"{layer}.weight"].T + tensors[f"{layer}.bias"]
        if layer in ("heads.hand_pose_shape.0", "heads.hand_pose_shape.2"):
            values = np.maximum(values, 0)
    with np.load(file) as stored:
        np.testing.assert_allclose(stored["hand_shape"], values[:, -10:], rtol=0, atol=2e-7)
        assert np.ptp(stored["hand_shape"], axis=0).max() > 2e-5  # it depends on the picture


def test_without_its_package_the_run_is_refused_in_one_sentence(
    package: Path, sample_root: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    assert trained(sample_root, tmp_path / "run") == 0
    capsys.readouterr()
    monkeypatch.setattr(ENCODERS, "_loaded", {})  # as in a new process
    monkeypatch.setattr(sys, "path", [folder for folder in sys.path if folder != str(package)])
    words = ["predict", str(sample_root), "--weights", str(tmp_path / "run"), "--out", str(tmp_path / "p.npz")]
    assert main(words) == 1
    error = capsys.readouterr().err
    assert error == "warpgrasp: expected one of resnet18 as the encoder, got 'quarters'\n"
    assert not (tmp_path / "p.npz").exists()


def test_another_encoder_is_another_run(package: Path, sample_root: Path, tmp_path: Path, capsys) -> None:
    assert trained(sample_root, tmp_path / "run") == 0
    assert trained(sample_root, tmp_path / "run", "--network.encoder", "resnet18") == 1
    assert "choose another folder or remove it" in capsys.readouterr().err


def test_its_own_initial_weights_are_asked_for(package: Path, sample_root: Path, tmp_path: Path, capsys) -> None:
    assert trained(sample_root, tmp_path / "run", "--encoder-weights", "imagenet") == 1
    assert "expected --encoder-weights none for quarters, got imagenet" in capsys.readouterr().err


def test_what_is_no_encoder_is_refused(package: Path) -> None:
    with pytest.raises(EncoderError, match=r"expected the encoder no-module to be a torch\.nn\.Module .*, got object"):
        new_encoder("no-module", 2)
    with pytest.raises(RegistryError, match="expected one of resnet18, no-module, quarters as the encoder, got 'vit'"):
        new_encoder("vit", 2)
    with pytest.raises(EncoderWeightsError, match="got imagenet"):
        new_encoder("quarters", 2).load_initial_weights("imagenet")
