"""The predictions file: hand and object in each frame, in one `.npz` without pickled objects.

Members have a fixed order and fixed dates, so that equal arrays make equal bytes. A file is written whole, compressed,
or grows by rows. The numbers of one that grew lie in the archive uncompressed: a reader maps them from the file and
takes any rows without reading the others (decision 0006).
"""

import io
import json
import shutil
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Float, Int, Shaped, UInt8

from warpgrasp.errors import UserError
from warpgrasp.files import replacing
from warpgrasp.frame import FrameName

FORMAT = "warpgrasp-predictions-1"
OLDEST_DATE = (1980, 1, 1, 0, 0, 0)  # of every member
LOCAL_HEADER = 30  # bytes of a zip member's own header before its name and extra field
LARGEST_WITHOUT_ZIP64 = 1 << 31


class PredictionsError(UserError):
    """A predictions file is missing, broken, or stands in the way."""


@dataclass(frozen=True)
class Predictions:
    """Predictions of n frames, in camera space (metres). The fields that may be None are those that were measured."""

    sequence: Shaped[np.ndarray, " n"]
    index: Int[np.ndarray, " n"]
    object_name: Shaped[np.ndarray, " n"]
    hand_vertices: Float[np.ndarray, "n v 3"]
    hand_joints: Float[np.ndarray, "n 21 3"]
    hand_rotation: Float[np.ndarray, "n 3 3"]
    hand_translation: Float[np.ndarray, "n 3"]
    hand_pose: Float[np.ndarray, "n p"]
    hand_shape: Float[np.ndarray, "n s"]
    object_rotation: Float[np.ndarray, "n 3 3"]
    object_translation: Float[np.ndarray, "n 3"]
    time_s: Float[np.ndarray, " n"] | None = None
    """When each frame is shown, after its sequence's first; NaN where the pictures do not say."""
    hand_in_view: Float[np.ndarray, " n"] | None = None
    """The share of the hand's vertices that lie inside the picture."""
    object_in_view: Float[np.ndarray, " n"] | None = None
    """The same of the object's."""
    hand_jump: Float[np.ndarray, " n"] | None = None
    """How far joints lie from where the neighbouring frames put them, on average (metres); NaN without neighbours."""
    object_jump: Float[np.ndarray, " n"] | None = None
    """The same of the corners of the object's bounding box."""
    flags: UInt8[np.ndarray, " n"] | None = None
    """The sum of a frame's `quality.Flag`s, the signs that it is bad; 0 for none."""
    hand_presence: Float[np.ndarray, " n"] | None = None
    """How surely a detector sees a hand, 0 to 1; 0 where it sees none, NaN in frames that it did not look at."""
    keypoint_distance_px: Float[np.ndarray, " n"] | None = None
    """How far the network's joints lie from those that the detector sees; NaN where it sees none or did not look."""
    refined_distance_px: Float[np.ndarray, " n"] | None = None
    """The same of joints that were moved towards them; NaN in frames that were not refined."""

    def __len__(self) -> int:
        """How many frames these are."""
        return len(self.index)

    @property
    def names(self) -> list[FrameName]:
        """Which frames these are."""
        return [FrameName(str(seq), int(i)) for seq, i in zip(self.sequence, self.index, strict=True)]

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """Every field that was measured, by its name."""
        values = {field.name: getattr(self, field.name) for field in fields(Predictions)}
        return {name: array for name, array in values.items() if array is not None}

    def rows(self, rows: slice | np.ndarray) -> "Predictions":
        """Some of the frames, copied: what was mapped from a file is read."""
        return Predictions(**{name: np.array(array[rows]) for name, array in self.arrays.items()})

    @staticmethod
    def joined(parts: list["Predictions"]) -> "Predictions":
        """The frames of several predictions, in order."""
        columns = [part.arrays for part in parts]
        return Predictions(**{name: np.concatenate([column[name] for column in columns]) for name in columns[0]})


def read_predictions(path: Path) -> tuple[Predictions, dict[str, Any]]:
    """Read predictions and their header. Raises `PredictionsError` naming the file when it is not one."""
    predictions, header = open_predictions(path)
    mapped = {name: np.array(array) for name, array in predictions.arrays.items() if isinstance(array, np.memmap)}
    return replace(predictions, **mapped), header


def open_predictions(path: Path) -> tuple[Predictions, dict[str, Any]]:
    """Open predictions: arrays that grew by rows stay in the file, and only the rows that are taken are read.

    Raises `PredictionsError` naming the file when it is not one.
    """
    try:
        stored = open_npz(path)
        header = json.loads(str(stored["header"]))
        if header.get("format") != FORMAT:
            raise PredictionsError(f"expected a predictions file ({FORMAT}) in {path}, found {header.get('format')}")
        names = {field.name for field in fields(Predictions)}
        return Predictions(**{name: array for name, array in stored.items() if name in names}), header
    except FileNotFoundError as error:
        raise PredictionsError(
            f"expected a predictions file, found no file {path}; run `warpgrasp predict` first"
        ) from error
    except (ValueError, KeyError, OSError, zipfile.BadZipFile, AttributeError, TypeError) as error:
        if isinstance(error, PredictionsError):
            raise
        raise PredictionsError(f"expected a predictions file in {path}, but it cannot be read: {error}") from error


def write_predictions(path: Path, predictions: Predictions, header: Mapping[str, Any]) -> None:
    """Write predictions with a header saying where they come from."""
    write_npz(path, {"header": header_array(header), **predictions.arrays})


def header_array(header: Mapping[str, Any]) -> np.ndarray:
    """The header, which says where predictions come from, as it is stored."""
    return np.array(json.dumps({"format": FORMAT, **header}, sort_keys=True))


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


def write_npz(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Replace the file `path` by an `.npz`, compressed."""
    with (
        replacing(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        for name, array in arrays.items():
            _write_small(archive, name, array)


class RowsWriter:
    """Writes an `.npz` whose arrays grow by rows; on the way they lie in a folder, not in memory."""

    def __init__(self, path: Path, folder: Path):
        """`path` is the file; in `folder`, which is made anew and removed at the end, its arrays grow."""
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

    def finish(self, constants: Mapping[str, np.ndarray]) -> None:
        """Replace the file: the arrays that have not grown, then those that have."""
        try:
            with replacing(self._path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
                for name, array in constants.items():
                    _write_small(archive, name, array)
                for name, texts in self._texts.items():
                    _write_small(archive, name, texts.array())
                for name, numbers in self._numbers.items():
                    numbers.write(archive, name)
        finally:
            self.close()

    def close(self) -> None:
        """Remove the rows that were appended."""
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
