"""The registry of data sets: layouts told apart, and a package's own data set used like ours."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.sample_set import Sample
from warpgrasp.cli import main
from warpgrasp.data.dataset import Layout
from warpgrasp.data.ho3d.dataset import Ho3d
from warpgrasp.data.registry import DATASETS, layout_of, open_dataset
from warpgrasp.errors import DataError
from warpgrasp.frame import FrameName
from warpgrasp.hand.model import HandModel
from warpgrasp.predictions import read_predictions
from warpgrasp.registry import RegistryError

FRAMES = 3


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package that registers the toy data set, installed where Python looks for packages."""
    packages = tmp_path / "packages"
    (packages / "toy-0.dist-info").mkdir(parents=True)
    (packages / "toy-0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 0\n")
    entries = "[warpgrasp.datasets]\ntoy = toy_dataset_of_others:ToyDataset\n"
    (packages / "toy-0.dist-info" / "entry_points.txt").write_text(entries)
    shutil.copy(Path(__file__).parent / "toy_dataset.py", packages / "toy_dataset_of_others.py")
    monkeypatch.syspath_prepend(packages)
    yield packages
    DATASETS._loaded.clear()


@pytest.fixture
def toy_root(sample: Sample, hand: HandModel, tmp_path: Path) -> Path:
    """The first frames of the tiny sample's evaluation sequence, in the toy's own layout."""
    root, dataset = tmp_path / "toy", Ho3d(sample.root, hand)
    root.mkdir()
    model = dataset.objects("evaluation")[0]
    shutil.copy(sample.root / "models" / model.name / "textured_simple.obj", root / "object.obj")
    (root / "toy.json").write_text(json.dumps({"object": model.name, "frames": FRAMES}))
    for index in range(FRAMES):
        name = FrameName("E1", index)
        shutil.copy(dataset.picture_file(name), root / f"{index}.jpg")
        truth = dataset.truth(name)
        fields = ("hand_vertices", "hand_joints", "object_rotation", "object_translation")
        arrays = {field: getattr(truth.annotation, field).numpy() for field in fields}
        np.savez(root / f"{index}.npz", intrinsics=truth.intrinsics.numpy(), **arrays)
    return root


def test_a_package_s_data_set_is_predicted_and_scored(
    installed: Path, toy_root: Path, sample_root: Path, trained_run: Path, tmp_path: Path, capsys
) -> None:
    """The same pictures in the sample's own layout give the same predictions; the scores are of these frames."""
    assert main(["doctor", "--data", str(toy_root)]) == 0
    assert "toy: 3 frames of 006_mustard_bottle" in capsys.readouterr().out
    ours, theirs, scores = tmp_path / "ours.npz", tmp_path / "theirs.npz", tmp_path / "scores.json"
    for root, file in ((sample_root, ours), (toy_root, theirs)):
        assert main(["predict", str(root), "--weights", str(trained_run), "--out", str(file)]) == 0
    expected, predicted = read_predictions(ours)[0], read_predictions(theirs)[0]
    assert [name.sequence for name in predicted.names] == ["T"] * FRAMES
    np.testing.assert_allclose(predicted.hand_vertices, expected.hand_vertices[:FRAMES], atol=1e-6)
    np.testing.assert_allclose(predicted.object_translation, expected.object_translation[:FRAMES], atol=1e-6)
    assert main(["evaluate", str(theirs), "--data", str(toy_root), "--layout", "toy", "--out", str(scores)]) == 0
    assert json.loads(scores.read_text())["frames"] == FRAMES
    assert read_predictions(theirs)[1]["protocol"] == "toy/all"


def test_a_package_s_data_set_is_told_from_ours(installed: Path, toy_root: Path, copied_root: Path, hand) -> None:
    assert list(DATASETS) == ["ho3d", "fphab", "dexycb", "recording", "toy"]
    assert all(isinstance(layout, Layout) for layout in DATASETS.values())
    assert (layout_of(toy_root), layout_of(copied_root)) == ("toy", "ho3d")
    (copied_root / "toy.json").write_text("{}")
    with pytest.raises(DataError, match=r"one layout in .*copied, found files of ho3d and toy; name one by --layout"):
        layout_of(copied_root)
    assert open_dataset(copied_root, hand, layout="ho3d").protocol == "ho3d/official"


def test_unknown_layouts_and_broken_packages_are_named(installed: Path, tmp_path: Path, hand, capsys) -> None:
    with pytest.raises(DataError, match=r"known layout \(ho3d, fphab, dexycb, recording, toy\) in"):
        layout_of(tmp_path)
    with pytest.raises(RegistryError, match=r"expected one of ho3d, .*, toy as the data set, got 'kitchen'"):
        open_dataset(tmp_path, hand, layout="kitchen")
    assert main(["doctor", "--data", str(tmp_path), "--layout", "kitchen"]) == 2
    assert "expected one of ho3d, fphab, dexycb, recording, toy for --layout, got 'kitchen'" in capsys.readouterr().err
    entries = installed / "toy-0.dist-info" / "entry_points.txt"
    entries.write_text("[warpgrasp.datasets]\nbroken = no_such_module:Layout\n")
    with pytest.raises(RegistryError, match=r"data set 'broken' at no_such_module:Layout of warpgrasp\.datasets, but"):
        open_dataset(tmp_path, hand, layout="broken")
