"""The sample data: generates sequences, and unpacks the shipped ones. Both are in HO-3D version 3's layout."""

import shutil
import zipfile
from importlib.resources import as_file, files
from pathlib import Path

from warpgrasp.data.errors import DataError

SHIPPED = files("warpgrasp.data.sample") / "shipped.zip"


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
