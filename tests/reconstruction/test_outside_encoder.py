"""An encoder of another package: what is refused, and which runs it belongs to; tests/test_extending.py predicts."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.extensions import example, install
from warpgrasp.cli import main
from warpgrasp.reconstruction.encoders import ENCODERS, EncoderError, EncoderWeightsError, new_encoder
from warpgrasp.registry import RegistryError

TOY = ["--network.encoder", "quarters", "--network.width", "2", "--stage1.steps", "2", "--stage2.steps", "2"]


@pytest.fixture
def package(tmp_path_factory: pytest.TempPathFactory, monkeypatch) -> Iterator[Path]:
    """The folder of the installed example of docs/extending.md, with another entry point that is no encoder."""
    folder, quarters = tmp_path_factory.mktemp("site"), example("An encoder")
    no_module = "\n\ndef no_module(width):\n    return object()\n"
    install(folder, quarters, more_code=no_module, more_entries=(f"no-module = {quarters.module}:no_module",))
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(ENCODERS, "_loaded", {})
    yield folder
    sys.modules.pop(quarters.module, None)


def trained(sample_root: Path, out: Path, *words: str) -> int:
    common = ["--tracker", "none", "--encoder-weights", "none"]
    return main(["train", "toy", "--data", str(sample_root), "--out", str(out), *common, *TOY, *words])


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
    assert error == "warpgrasp: expected one of resnet18, efficientnet-lite0 as the encoder, got 'quarters'\n"
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
    with pytest.raises(
        RegistryError,
        match="expected one of resnet18, efficientnet-lite0, no-module, quarters as the encoder, got 'vit'",
    ):
        new_encoder("vit", 2)
    with pytest.raises(EncoderWeightsError, match="got imagenet"):
        new_encoder("quarters", 2).load_initial_weights("imagenet")
