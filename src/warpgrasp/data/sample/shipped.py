"""The sample data: generates sequences, and unpacks the shipped ones. Both are in HO-3D version 3's layout."""

import shutil
import zipfile
from importlib.resources import as_file, files
from pathlib import Path

from warpgrasp.errors import DataError
from warpgrasp.files import cache_folder

SHIPPED = files("warpgrasp.data.sample") / "shipped.zip"


SAMPLE = Path("sample")  # as data sets are named: the shipped one, where there is no such folder


def shipped_if_named(root: Path) -> Path:
    """`root`, or the shipped sequences, unpacked in the user's cache, where `root` is `sample` and no folder."""
    return unpack_shipped(cache_folder() / "sample") if root == SAMPLE and not root.exists() else root


def unpack_shipped(root: Path) -> Path:
    """Unpack the shipped sequences to `root`, unless they are there already.

    Raises `DataError` when something else is there.
    """
    stamp = root / "shipped.sha"
    with as_file(SHIPPED) as path, zipfile.ZipFile(path) as archive:
        checksum = f"{sum(entry.CRC for entry in archive.infolist()):x}"
        if stamp.is_file() and stamp.read_text() == checksum:
            return root
        if root.exists():
            raise DataError(f"expected the shipped sample data in {root}, found something else; remove it")
        partial = root.with_name(f".{root.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        archive.extractall(partial)
        (partial / "shipped.sha").write_text(checksum)
        partial.rename(root)
    return root
