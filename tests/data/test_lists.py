"""Lists and tables of data sets that are no files, or larger than any list."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from warpgrasp.data import open_dataset
from warpgrasp.data.fphab.files import _rows, read_action_split
from warpgrasp.errors import DataError
from warpgrasp.hand.model import HandModel


def large(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(10**11)


def not_text(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\xff")


INSTEAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "a pipe": (os.mkfifo, "found a pipe"),
    "a device": (lambda path: path.symlink_to("/dev/zero"), "found a device"),
    "a large file": (large, "at most 16 MB in .*, found one of 1e[+]05 MB"),
    "no text": (not_text, "expected a text in"),
}


@pytest.mark.parametrize("name", INSTEAD)
def test_lists_are_files_of_a_size(copied_root: Path, hand: HandModel, tmp_path: Path, name: str) -> None:
    make, message = INSTEAD[name]
    listed = copied_root / "train.txt"
    listed.unlink()
    for path in (listed, tmp_path / "split.txt"):
        make(path)
    with pytest.raises(DataError, match=message):
        open_dataset(copied_root, hand).names("train")
    with pytest.raises(DataError, match=message):
        read_action_split(tmp_path / "split.txt")
    with pytest.raises(DataError, match=message):
        _rows(tmp_path / "split.txt", columns=64)
