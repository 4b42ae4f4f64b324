"""`.npz` files without pickled objects: of fixed order and dates, written whole or row by row, and opened by parts.

Written row by row, the numbers lie in the archive uncompressed: a reader maps them from the file and takes any rows
without reading the others (decision 0006).
"""

import io
import os
import shutil
import struct
import zipfile
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import BinaryIO

import numpy as np

OLDEST_DATE = (1980, 1, 1, 0, 0, 0)  # the same for every member: equal arrays make equal bytes
LOCAL_HEADER = 30  # bytes of a zip member's own header before its name and extra field
LARGEST_WITHOUT_ZIP64 = 1 << 31


def write_npz(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write an `.npz`, compressed, to a temporary name, then rename it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for name, array in arrays.items():
                _write_small(archive, name, array)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


class RowsWriter:
    """Writes an `.npz` whose arrays grow by rows; on the way they lie in a folder of their own, not in memory."""

    def __init__(self, path: Path, folder: Path):
        """`path` is the file, `folder` where it grows: made anew, and removed at the end."""
        self._path, self._folder = path, folder
        self._numbers: dict[str, _Numbers] = {}
        self._texts: dict[str, _Texts] = {}
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)

    def append(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Add rows to every array."""
        for name, array in arrays.items():
            if array.dtype.kind == "U":
                self._texts.setdefault(name, _Texts()).append(array)
            else:
                if name not in self._numbers:
                    self._numbers[name] = _Numbers(self._folder / name, array)
                self._numbers[name].append(array)

    def finish(self, whole: Mapping[str, np.ndarray]) -> None:
        """Write the file: the arrays of `whole` before those that have grown. It appears when it is complete."""
        temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            with zipfile.ZipFile(temporary, "w") as archive:
                for name, array in whole.items():
                    _write_small(archive, name, array)
                for name, texts in self._texts.items():
                    _write_small(archive, name, texts.array())
                for name, numbers in self._numbers.items():
                    numbers.write(archive, name)
            temporary.replace(self._path)
        finally:
            temporary.unlink(missing_ok=True)
            self.close()

    def close(self) -> None:
        """Remove what has grown."""
        for numbers in self._numbers.values():
            numbers.file.close()
        shutil.rmtree(self._folder, ignore_errors=True)


class _Numbers:
    """Rows of numbers in a file of their own."""

    def __init__(self, path: Path, first: np.ndarray):
        self.dtype, self.shape, self.rows = first.dtype, first.shape[1:], 0
        self.file = path.open("w+b")

    def append(self, array: np.ndarray) -> None:
        assert (array.dtype, array.shape[1:]) == (self.dtype, self.shape)
        self.file.write(np.ascontiguousarray(array).tobytes())
        self.rows += len(array)

    def write(self, archive: zipfile.ZipFile, name: str) -> None:
        size = self.file.tell()
        header = {
            "descr": np.lib.format.dtype_to_descr(self.dtype),
            "fortran_order": False,
            "shape": (self.rows, *self.shape),
        }
        info = zipfile.ZipInfo(f"{name}.npy", date_time=OLDEST_DATE)
        self.file.seek(0)
        with archive.open(info, "w", force_zip64=size > LARGEST_WITHOUT_ZIP64) as member:
            np.lib.format.write_array_header_1_0(member, header)
            shutil.copyfileobj(self.file, member, 1 << 20)


class _Texts:
    """Rows of short texts that seldom change, kept as runs."""

    def __init__(self) -> None:
        self._runs: list[tuple[str, int]] = []

    def append(self, array: np.ndarray) -> None:
        for value, group in groupby(array.tolist()):
            count = sum(1 for _ in group)
            if self._runs and self._runs[-1][0] == value:
                count += self._runs.pop()[1]
            self._runs.append((value, count))

    def array(self) -> np.ndarray:
        return np.repeat([value for value, _ in self._runs], [count for _, count in self._runs])


def _write_small(archive: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.asanyarray(array), allow_pickle=False)
    info = zipfile.ZipInfo(f"{name}.npy", date_time=OLDEST_DATE)
    archive.writestr(info, buffer.getvalue(), zipfile.ZIP_DEFLATED, compresslevel=1)


def open_npz(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an `.npz`: mapped from the file where they are stored uncompressed, else read.

    Raises `ValueError`, `OSError` or `zipfile.BadZipFile` when it is none, or holds pickled objects.
    """
    with path.open("rb") as file, zipfile.ZipFile(file) as archive:
        return {info.filename.removesuffix(".npy"): _opened(file, archive, info) for info in archive.infolist()}


def _opened(file: BinaryIO, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(info) as member:
        if info.compress_type != zipfile.ZIP_STORED:
            return np.lib.format.read_array(member, allow_pickle=False)
        if np.lib.format.read_magic(member) != (1, 0):
            raise ValueError(f"{info.filename} is of a version of the format that is not known")
        shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(member)
        start = member.tell()
    if dtype.hasobject or fortran_order:
        raise ValueError(f"{info.filename} holds objects, or columns instead of rows")
    if 0 in shape:
        return np.zeros(shape, dtype)
    file.seek(info.header_offset)
    name_length, extra_length = struct.unpack("<26x2H", file.read(LOCAL_HEADER))
    offset = info.header_offset + LOCAL_HEADER + name_length + extra_length + start
    return np.memmap(file, dtype, "r", offset, shape)
