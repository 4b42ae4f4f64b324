"""The sample data: generates sequences, and unpacks the shipped ones. Both are in HO-3D version 3's layout."""

import zipfile
import zlib
from importlib.resources import as_file, files
from pathlib import Path

from warpgrasp.errors import DataError
from warpgrasp.files import cache_folder, replacing_folder

SHIPPED = files("warpgrasp.data.sample") / "shipped.zip"
STAMP = "shipped.sha"


SAMPLE = Path("sample")  # as data sets are named: the shipped one, where there is no such folder


def shipped_if_named(root: Path) -> Path:
    """`root`, or the shipped sequences, unpacked in the user's cache, where `root` is `sample` and no folder."""
    return unpack_shipped(cache_folder() / "sample") if root == SAMPLE and not root.exists() else root


def unpack_shipped(root: Path) -> Path:
    """Unpack the shipped sequences to `root`, unless they are there already: each file with its content.

    Raises `DataError` when something else is there, or a file was changed or removed.
    """
    with as_file(SHIPPED) as path, zipfile.ZipFile(path) as archive:
        checksum = f"{sum(entry.CRC for entry in archive.infolist()):x}"
        if root.exists():
            _check_unpacked(root, archive, checksum)
            return root
        with replacing_folder(root) as folder:
            archive.extractall(folder)
            (folder / STAMP).write_text(checksum)
    return root


def _check_unpacked(root: Path, archive: zipfile.ZipFile, checksum: str) -> None:
    stamp = root / STAMP
    if not stamp.is_file() or stamp.read_text() != checksum:
        raise DataError(f"expected the shipped sample data in {root}, found something else; remove it")
    for entry in archive.infolist():
        file = root / entry.filename
        if not entry.is_dir() and not (file.is_file() and zlib.crc32(file.read_bytes()) == entry.CRC):
            raise DataError(f"expected {file} as it was shipped, found it changed or removed; remove {root}")
