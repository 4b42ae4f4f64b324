"""The predictions file: hand and object in each frame, in one `.npz` without pickled objects.

Members have a fixed order and fixed dates, so that equal arrays make equal bytes. A file is written whole, compressed,
or grows by rows. The numbers of one that grew lie in the archive uncompressed: a reader maps them from the file and
takes any rows without reading the others (decision 0006).
"""

import io
import json
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from itertools import groupby
from pathlib import Path
from typing import Any, get_args

import numpy as np
from jaxtyping import Float, Int, Shaped, UInt8

from warpgrasp.archive import Member, read_members
from warpgrasp.bounded import parse_json
from warpgrasp.checked import Entry
from warpgrasp.errors import DataError, UserError
from warpgrasp.files import replacing
from warpgrasp.frame import FrameName
from warpgrasp.hand import Side

FORMAT = "warpgrasp-predictions-1"
OLDEST_DATE = (1980, 1, 1, 0, 0, 0)  # of every member
LARGEST_WITHOUT_ZIP64 = 1 << 31
LONGEST_S = 1e9  # thirty years


SIDES: tuple[Side, ...] = get_args(Side)
NO_ROTATION = 1e-2  # of R Rᵀ beside the unit matrix: beyond any rounding


def _column(*shape: int | str, required: bool = True, **bounds: float) -> Member:
    return Member(("f4", "f8"), ("frames", *shape), required, **bounds)


MEMBERS = {
    "header": Member(("U",), ()),
    "sequence": Member(("U",), ("frames",)),
    "index": Member(("i",), ("frames",), least=0.0),
    "object_name": Member(("U",), ("frames",)),
    "hand_vertices": _column("vertices", 3),
    "hand_joints": _column(21, 3),
    "hand_rotation": _column(3, 3),
    "hand_translation": _column(3),
    "hand_pose": _column("coefficients"),
    "hand_shape": _column("shape parameters"),
    "object_rotation": _column(3, 3),
    "object_translation": _column(3),
    "time_s": _column(required=False, least=-LONGEST_S, most=LONGEST_S),
    **{f"{part}_in_view": _column(required=False, least=0.0, most=1.0) for part in ("hand", "object")},
    **{f"{part}_jump": _column(required=False, least=0.0) for part in ("hand", "object")},
    "flags": Member(("u1",), ("frames",), required=False),
    "hand_presence": _column(required=False, least=0.0, most=1.0),
    **{f"{kind}_distance_px": _column(required=False, least=0.0) for kind in ("keypoint", "refined")},
    **{
        f"{sign}_mm": _column(required=False, least=0.0)
        for sign in ("disagreement", "depth_pull", "closure", "expected_error")
    },
}


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
    disagreement_mm: Float[np.ndarray, " n"] | None = None
    """How far what two labels say of hand or object lies apart, where `densify` carried both to the frame."""
    depth_pull_mm: Float[np.ndarray, " n"] | None = None
    """How much nearer or farther the colours alone would have hand and object."""
    closure_mm: Float[np.ndarray, " n"] | None = None
    """How far from a label its pose lies as it is carried there from the label at the other end; NaN with one label."""
    expected_error_mm: Float[np.ndarray, " n"] | None = None
    """How far off hand or object are expected to be, by all signs that `densify` has of it."""

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
        arrays = read_members(path, MEMBERS, mapped=True)
        header = _header(path, str(arrays.pop("header")))
        predictions = Predictions(**arrays)
        _check_rows(path, predictions)
    except FileNotFoundError as error:
        raise PredictionsError(
            f"expected a predictions file, found no file {path}; run `warpgrasp predict` first"
        ) from error
    except (DataError, OSError) as error:
        raise PredictionsError(f"expected a predictions file ({FORMAT}), but: {error}") from error
    return predictions, header


def _header(path: Path, text: str) -> dict[str, Any]:
    """The header, of which the entries that are read anywhere are of their kinds. Raises `DataError`."""
    try:
        entry = Entry.of(parse_json(text), path)
    except ValueError as error:
        raise DataError(f"expected a header in JSON in {path}: {str(error)[:200]}") from error
    entry.choice("format", (FORMAT,))
    for name in ("hand", "split"):
        if entry.has(name):
            entry.text(name)
    if entry.has("side"):
        entry.choice("side", SIDES)
    if entry.has("labels"):
        entry.items("labels", int)
    for name, ask in (("objects", Entry.text), ("companions", Entry.text), ("cameras", Entry.entry)):
        inner = entry.entry(name) if entry.has(name) else Entry({}, path)
        for key in inner.values:
            Entry({f"a name in {name}": key}, path).text(f"a name in {name}")
            ask(inner, key)
            if name == "companions" and Path(key).name != key:
                raise DataError(f"expected names of files beside it for {entry.where(name)}, found {key[:60]!r}")
    return dict(entry.values)


def _check_rows(path: Path, predictions: Predictions) -> None:
    """Raise `DataError` for names that are none, a frame that is there twice, and rotations that are none."""
    for column in ("sequence", "object_name"):
        for name in set(getattr(predictions, column).tolist()):
            Entry({column: name}, path).text(column)
    names = list(zip(predictions.sequence.tolist(), predictions.index.tolist(), strict=True))
    if len(set(names)) < len(names):
        raise DataError(f"expected each frame once in {path}, found two of one sequence and index")
    for column in ("hand_rotation", "object_rotation"):
        rotations = np.array(getattr(predictions, column), np.float64)
        rotations = rotations[np.isfinite(rotations).all(axis=(1, 2))].clip(-2, 2)  # others are flagged
        beside = np.abs(rotations @ rotations.transpose(0, 2, 1) - np.eye(3)).max(initial=0)
        if beside > NO_ROTATION or (np.linalg.det(rotations) < 0).any():
            raise DataError(f"expected rotation matrices in {column} of {path}, found others")


def write_predictions(path: Path, predictions: Predictions, header: Mapping[str, Any]) -> None:
    """Write predictions with a header saying where they come from."""
    write_npz(path, {"header": header_array(header), **predictions.arrays})


def header_array(header: Mapping[str, Any]) -> np.ndarray:
    """The header, which says where predictions come from, as it is stored."""
    return np.array(json.dumps({"format": FORMAT, **header}, sort_keys=True))


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
