"""The registry of data sets: layouts told apart, another package's too; tests/test_extending.py trains on that one."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.extensions import example, install, write_shelf
from warpgrasp.cli import main
from warpgrasp.data import DATASETS, layout_of, open_dataset
from warpgrasp.data.dataset import Dataset, Layout
from warpgrasp.data.ho3d.dataset import Ho3d
from warpgrasp.errors import DataError
from warpgrasp.registry import RegistryError


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The worked example of docs/extending.md, installed where Python looks for packages."""
    shelf, packages = example("A data set"), tmp_path / "packages"
    install(packages, shelf)
    monkeypatch.syspath_prepend(packages)
    yield packages
    sys.modules.pop(shelf.module, None)
    DATASETS._loaded.clear()


def test_a_package_s_data_set_is_told_from_ours(installed: Path, copied_root: Path, hand, tmp_path: Path) -> None:
    root = tmp_path / "shelf"
    write_shelf(root, Ho3d(copied_root, hand))
    assert list(DATASETS) == ["ho3d", "fphab", "dexycb", "recording", "shelf"]
    assert all(isinstance(layout, Layout) for layout in DATASETS.values())
    assert (layout_of(root), layout_of(copied_root)) == ("shelf", "ho3d")
    assert isinstance(open_dataset(root, hand), Dataset)
    (copied_root / "truth.npz").touch()
    with pytest.raises(DataError, match=r"one layout in .*copied, found files of ho3d and shelf; name one by --layout"):
        layout_of(copied_root)
    assert open_dataset(copied_root, hand, layout="ho3d").protocol == "ho3d/official"


def test_unknown_layouts_and_broken_packages_are_named(installed: Path, tmp_path: Path, hand, capsys) -> None:
    with pytest.raises(DataError, match=r"known layout \(ho3d, fphab, dexycb, recording, shelf\) in"):
        layout_of(tmp_path)
    with pytest.raises(RegistryError, match=r"expected one of ho3d, .*, shelf as the data set, got 'kitchen'"):
        open_dataset(tmp_path, hand, layout="kitchen")
    assert main(["doctor", "--data", str(tmp_path), "--layout", "kitchen"]) == 2
    assert (
        "expected one of ho3d, fphab, dexycb, recording, shelf for --layout, got 'kitchen'" in capsys.readouterr().err
    )
    entries = installed / "shelf_dataset-0.dist-info" / "entry_points.txt"
    entries.write_text("[warpgrasp.datasets]\nbroken = no_such_module:Layout\n")
    with pytest.raises(RegistryError, match=r"data set 'broken' at no_such_module:Layout of warpgrasp\.datasets, but"):
        open_dataset(tmp_path, hand, layout="broken")
