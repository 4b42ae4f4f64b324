"""Archives of arrays (`.npz`) of which nothing is believed: what they declare is checked before anything is unpacked.

An archive is a zip file of NumPy's `.npy` files. Its members are stored or deflated; the size that each declares is
that of the array of its header, and all of them together are in proportion to the file. Arrays of texts and numbers are
read, no objects.
"""

import math
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, runtime_checkable

import numpy as np

from warpgrasp.bounded import check_texts, open_regular, shown
from warpgrasp.errors import DataError

__all__ = ["Archive", "Declared", "Member", "array_in_file", "read_members"]

LARGEST_DIRECTORY = 1 << 16  # bytes of the list of members: some hundred
LARGEST_HEADER = 10_000  # bytes, as NumPy has it
# Numbers do not become much smaller; names that are the same in each of a million frames do.
UNPACKED_BYTES, UNPACKED_SHARE = 256 << 20, 16
MOST_AXES = 8
LOCAL_HEADER = 30  # bytes of a zip member's own header before its name and extra field
END, END_64, LOCATOR_64 = 22, 56, 20  # bytes of the records at the end of a zip file
ENCRYPTED = 0x1 | 0x20 | 0x40  # or patched, which nobody reads
METHODS = {zipfile.ZIP_STORED: "stored", zipfile.ZIP_DEFLATED: "deflated"}
_HEADER = re.compile(
    rb"\{'descr': ?'([<>|=](?:b1|[iu][1248]|f[248]|c8|c16|[US][1-9][0-9]{0,5}))', ?'fortran_order': ?(True|False), ?"
    rb"'shape': ?\(((?:[0-9]{1,18}L?, ?)*(?:[0-9]{1,18}L?)?)\),? ?\}\s*"
)
# What zip files that lie about themselves make Python's zipfile raise.
BROKEN = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, LookupError, RuntimeError, OSError)


@runtime_checkable
class Readable(Protocol):
    """A file, or a member of an archive."""

    def read(self, size: int, /) -> bytes:
        """The next bytes, at most so many."""
        ...


@dataclass(frozen=True)
class Declared:
    """An array as the header before it declares it."""

    shape: tuple[int, ...]
    dtype: np.dtype
    fortran_order: bool
    offset: int  # of its content, in bytes after the beginning of the header

    @property
    def size(self) -> int:
        """The bytes of its content."""
        return math.prod(self.shape) * self.dtype.itemsize

    @staticmethod
    def read(file: Readable) -> "Declared":
        """Read the header of a `.npy` file. Raises `ValueError` when it is none, or of another kind of array."""
        magic, fields = file.read(8), {b"\x01\x00": "<H", b"\x02\x00": "<I"}
        if magic[:6] != b"\x93NUMPY" or magic[6:] not in fields:
            raise ValueError("no array of NumPy's format 1 or 2")
        field = struct.Struct(fields[magic[6:]])
        (length,) = field.unpack(file.read(field.size))
        text = file.read(min(length, LARGEST_HEADER))
        found = _HEADER.fullmatch(text)
        if found is None or len(text) != length:
            raise ValueError(f"an array of objects, or of another kind: {text[:80].decode('latin1')!r}")
        shape = tuple(int(length.strip(" L")) for length in found[3].decode().split(",") if length.strip())
        if len(shape) > MOST_AXES:
            raise ValueError(f"an array of {len(shape)} axes")
        return Declared(shape, np.dtype(found[1].decode()), found[2] == b"True", 8 + field.size + length)

    def read_content(self, file: Readable) -> np.ndarray:
        """The array that follows its header, in this machine's byte order. Raises `ValueError` when it is cut off."""
        flat = np.empty(math.prod(self.shape), self.dtype)
        content, filled = memoryview(flat.view(np.uint8).data), 0
        while filled < self.size:
            part = file.read(min(self.size - filled, 1 << 20))
            if not part:
                raise ValueError(f"{filled} bytes of an array of {self.size}")
            content[filled : filled + len(part)] = part
            filled += len(part)
        flat = flat.astype(self.dtype.newbyteorder("="), copy=False)
        if self.dtype.kind == "U":
            check_texts(flat)
        return flat.reshape(self.shape, order="F" if self.fortran_order else "C")


def array_in_file(path: Path, largest_bytes: int) -> np.ndarray:
    """The array of a `.npy` file of at most `largest_bytes`.

    Raises `DataError` naming the file when it is none, and `FileNotFoundError` when there is no such file.
    """
    with _refusing(path), open_regular(path) as file:
        size, declared = os.fstat(file.fileno()).st_size, Declared.read(file)
        if declared.offset + declared.size != size or size > largest_bytes:
            raise ValueError(
                f"an array of {declared.size} bytes in a file of {size}, of which {largest_bytes} are read"
            )
        return declared.read_content(file)


@contextmanager
def _refusing(path: Path, name: str = "") -> Iterator[None]:
    """Say of which file and member an error of the readers underneath is."""
    try:
        yield
    except (DataError, FileNotFoundError):
        raise
    except BROKEN as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        place = f"the array {shown([name])} of {path}" if name else f"arrays in {path}"
        raise DataError(f"expected {place}, but it cannot be read: {reason}") from error


class Archive:
    """An open archive. Every error is a `DataError` that names the file and the member."""

    def __init__(self, path: Path, file: BinaryIO):
        """The archive in a file that was opened from `path`."""
        self.path, self._file = path, file
        with _refusing(path):
            self._bytes = os.fstat(file.fileno()).st_size
            _check_directory(file, self._bytes)
            self._zip = zipfile.ZipFile(file)
            listed = self._zip.infolist()
            self._infos = {info.filename.removesuffix(".npy"): info for info in listed}
            if len(self._infos) != len(listed) or sum(info.compress_size for info in listed) > self._bytes:
                raise ValueError("it lists members twice, or more bytes than there are")
        self._left = UNPACKED_BYTES + UNPACKED_SHARE * self._bytes

    @staticmethod
    @contextmanager
    def opened(path: Path) -> Iterator["Archive"]:
        """Open an archive. Raises `FileNotFoundError` when there is none, and `DataError` when it is broken."""
        with _refusing(path):
            file = open_regular(path)
        with file:
            yield Archive(path, file)

    @property
    def names(self) -> list[str]:
        """The names of the members."""
        return list(self._infos)

    def bytes_of(self, name: str) -> int:
        """The size that a member declares, its header included."""
        return self._infos[name].file_size

    def declared(self, name: str) -> Declared:
        """A member's shape and type; of its content nothing is read."""
        info = self._infos[name]
        with _refusing(self.path, name):
            if info.flag_bits & ENCRYPTED or info.compress_type not in METHODS:
                raise ValueError(f"it is encrypted, or neither {' nor '.join(METHODS.values())}")
            if info.compress_type == zipfile.ZIP_STORED and info.compress_size != info.file_size:
                raise ValueError("it is stored, yet as another number of bytes")
            with self._zip.open(info) as member:
                declared = Declared.read(member)
            if declared.offset + declared.size != info.file_size:
                raise ValueError(f"{info.file_size} bytes for an array of {declared.size} and its header")
        return declared

    def read(self, name: str) -> np.ndarray:
        """A member's array."""
        declared, info = self.declared(name), self._infos[name]
        self._left -= info.file_size
        if self._left < 0:
            raise DataError(
                f"expected arrays in {self.path} in proportion to its {self._bytes} bytes, found {name} of "
                f"{info.file_size} bytes"
            )
        with _refusing(self.path, name), self._zip.open(info) as member:
            member.read(declared.offset)
            return declared.read_content(member)

    def mapped(self, name: str) -> np.ndarray:
        """A member's array, which stays in the file where that is possible: stored as it lies in memory."""
        declared, info = self.declared(name), self._infos[name]
        plain = info.compress_type == zipfile.ZIP_STORED and not declared.fortran_order and declared.dtype.isnative
        if not plain or declared.dtype.kind == "U" or declared.size == 0:
            return self.read(name)
        with _refusing(self.path, name):
            self._file.seek(info.header_offset)
            name_length, extra_length = struct.unpack("<26x2H", self._file.read(LOCAL_HEADER))
            offset = info.header_offset + LOCAL_HEADER + name_length + extra_length + declared.offset
            return np.memmap(self._file, declared.dtype, "r", offset, declared.shape)


def _check_directory(file: BinaryIO, size: int) -> None:
    """Refuse a long list of members before `zipfile` makes objects of it; leave the file at its beginning."""
    file.seek(max(0, size - END - LOCATOR_64 - END_64))
    tail = file.read(END + LOCATOR_64 + END_64)
    end, locator, end_64 = tail[-END:], tail[-END - LOCATOR_64 : -END], tail[: -END - LOCATOR_64]
    if len(end) != END or end[:4] != b"PK\5\6" or end[-2:] != b"\0\0":
        raise ValueError("it is no zip file, or does not end as one")
    (length,) = struct.unpack("<12xL6x", end)
    if locator[:4] == b"PK\6\7":  # sizes and places of large files
        place = struct.unpack("<8xQ4x", locator)[0]
        if len(end_64) != END_64 or end_64[:4] != b"PK\6\6" or place != size - len(tail):
            raise ValueError("it does not end as a large zip file")
        length = struct.unpack("<40xQ8x", end_64)[0]
    if length > LARGEST_DIRECTORY:
        raise ValueError(f"a list of members of {length} bytes")
    file.seek(0)


@dataclass(frozen=True)
class Member:
    """What a member must be: its types, as `dtype.str` has them after the byte order, and its shape by named lengths.

    Members of one archive that name a length agree about it. Numbers lie from `least` to `most`; NaN is let through.
    """

    types: tuple[str, ...]
    shape: tuple[int | str, ...]
    required: bool = True
    least: float | None = None
    most: float | None = None

    def check(self, name: str, declared: Declared, lengths: dict[str, int], path: Path) -> None:
        """Check a header, and note the lengths that it is the first to name. Raises `DataError`."""
        known = [lengths.get(length, length) if isinstance(length, str) else length for length in self.shape]
        fits = len(known) == len(declared.shape) and all(
            isinstance(length, str) or length == found for length, found in zip(known, declared.shape, strict=True)
        )
        if not fits or not (declared.dtype.str[1:].startswith(self.types) or 0 in declared.shape):
            raise DataError(
                f"expected an array of {' or '.join(self.types)} and shape ({', '.join(map(str, known))}) in {name} "
                f"of {path}, found {declared.dtype.str[1:]} and {declared.shape}"
            )
        lengths.update(
            {key: found for key, found in zip(self.shape, declared.shape, strict=True) if isinstance(key, str)}
        )

    def check_range(self, name: str, array: np.ndarray, path: Path) -> None:
        """Check the numbers. Raises `DataError`."""
        low, high = (-math.inf if self.least is None else self.least), (math.inf if self.most is None else self.most)
        if (self.least, self.most) == (None, None):
            return
        numbers = array.astype(np.float64)  # half precision has no such bounds
        if ((numbers < low) | (numbers > high)).any():
            raise DataError(f"expected numbers from {low:g} to {high:g} in {name} of {path}, found others")


def read_members(path: Path, members: Mapping[str, Member], *, mapped: bool = False) -> dict[str, np.ndarray]:
    """The arrays of an archive that a table names; its other members are not looked at.

    All headers are checked against the table and each other before the first array is read. With `mapped`, arrays
    stay in the file where that is possible. Raises `FileNotFoundError` when there is no such file, and `DataError`
    naming file, member and fact.
    """
    with Archive.opened(path) as archive:
        lengths: dict[str, int] = {}
        found = [name for name in members if name in archive.names]
        for name, member in members.items():
            if name in found:
                member.check(name, archive.declared(name), lengths, path)
            elif member.required:
                raise DataError(f"expected the array {name} in {path}, found {shown(archive.names) or 'none'}")
        arrays = {name: archive.mapped(name) if mapped else archive.read(name) for name in found}
    for name, array in arrays.items():
        members[name].check_range(name, array, path)
    return arrays
