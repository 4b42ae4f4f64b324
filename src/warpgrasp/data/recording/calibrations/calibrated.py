"""A camera of another program's file, and the matrices and numbers such files hold."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float

from warpgrasp.data.recording.camera import LARGEST_SIDE_PX, Lens
from warpgrasp.data.recording.distortion import COUNTS, ORDERS, DistortionModel
from warpgrasp.data.recording.document import Entry
from warpgrasp.errors import DataError

CORNER_CONVENTION_PX = 0.5  # what the centre of the top-left pixel is called where (0, 0) is that pixel's corner
LARGEST_SKEW = 1e-6  # of the focal length


@dataclass(frozen=True)
class CalibratedCamera:
    """One camera of a file, in our conventions: pixel (0, 0) is the centre of the top-left pixel."""

    name: str  # as the file calls it
    intrinsics: Float[np.ndarray, "3 3"]  # pixels
    size: tuple[int, int] | None  # (width, height) of the pictures that it is for; None where the file does not say
    model: DistortionModel = "opencv"
    distortion: tuple[float, ...] = ()
    notes: tuple[str, ...] = field(default=())  # what a user should know

    def lens(self, size: tuple[int, int], source: str) -> Lens:
        """The lens for pictures of a size (width, height)."""
        return Lens(self.intrinsics, *size, self.distortion, self.model, source)


def pinhole(
    focal_px: Sequence[float], centre_px: Sequence[float], *, corner_convention: bool = False
) -> Float[np.ndarray, "3 3"]:
    """The matrix of (fx, fy) and (cx, cy), where the file counts pixels from their centres or from the corner."""
    offset = CORNER_CONVENTION_PX if corner_convention else 0.0
    (fx, fy), (cx, cy) = focal_px, centre_px
    return np.array([[fx, 0, cx - offset], [0, fy, cy - offset], [0, 0, 1]], dtype=np.float64)


def intrinsic_matrix(entry: Entry, key: str) -> Float[np.ndarray, "3 3"]:
    """A camera matrix, row by row or column by column, nested, flat or as OpenCV's {rows, cols, data}.

    Which of both is told by where the principal point stands. Raises `DataError` when it stands in neither place.
    """
    flat = flat_numbers(entry, key)
    if len(flat) != 9:
        raise DataError(f"expected the 9 numbers of a camera matrix for {entry.where(key)}, found {len(flat)}")
    rows = np.array(flat).reshape(3, 3)
    for matrix in (rows, rows.T):
        if (matrix[2] == [0, 0, 1]).all() and abs(matrix[1, 0]) <= LARGEST_SKEW * abs(matrix[0, 0]):
            break
    else:
        raise DataError(
            f"expected a camera matrix [fx 0 cx, 0 fy cy, 0 0 1] for {entry.where(key)}, found {flat}"[:400]
        )
    if abs(matrix[0, 1]) > LARGEST_SKEW * abs(matrix[0, 0]):
        raise DataError(
            f"expected a camera matrix without skew for {entry.where(key)}, found a skew of {matrix[0, 1]:g}"
        )
    return pinhole(matrix[[0, 1], [0, 1]].tolist(), matrix[:2, 2].tolist())


def flat_numbers(entry: Entry, key: str) -> tuple[float, ...]:
    """All numbers of a list, of nested lists or of OpenCV's {rows, cols, data}, in the order in which they stand."""
    value = entry.value(key)
    if isinstance(value, dict) and "data" in value:
        value = value["data"]
    if isinstance(value, list) and value and all(isinstance(row, list) for row in value):
        value = [number for row in value[:100] for number in row[:100]]
    return tuple(Entry({key: value}, entry.path, entry.place).numbers(key, (-1,)).tolist())


def coefficients(entry: Entry, key: str, model: DistortionModel) -> tuple[float, ...]:
    """Distortion coefficients of a model; none at all where they are none. Raises `DataError` for another count."""
    numbers = flat_numbers(entry, key)
    if model == "opencv" and not any(numbers):
        return ()
    if len(numbers) not in COUNTS[model]:
        counts = ", ".join(map(str, COUNTS[model]))
        raise DataError(
            f"expected {counts} coefficients in {ORDERS[model]} for {entry.where(key)}, found {len(numbers)}"
        )
    return numbers


def side_px(entry: Entry, key: str) -> int:
    """A width or height. Raises `DataError` when it is no whole number of pixels."""
    return whole_side(entry.number(key), entry.where(key))


def whole_side(value: Any, where: str) -> int:
    """A width or height that some files write as a fraction. Raises `DataError` when it is no whole number."""
    if not isinstance(value, int | float) or not math.isfinite(value) or value != int(value):
        raise DataError(f"expected a whole number of pixels for {where}, found {str(value)[:60]}")
    if not 1 <= value <= LARGEST_SIDE_PX:
        raise DataError(f"expected a number of pixels from 1 to {LARGEST_SIDE_PX} for {where}, found {value:g}")
    return int(value)


def size_px(entry: Entry, width: str, height: str) -> tuple[int, int] | None:
    """The (width, height) under two keys; None where neither is given."""
    if not (entry.has(width) or entry.has(height)):
        return None
    return side_px(entry, width), side_px(entry, height)


def stated_size(entry: Entry) -> tuple[int, int] | None:
    """The (width, height) under the usual names; None where there is none of them."""
    keys = without_case(entry)
    for width, height in (("imagewidth", "imageheight"), ("width", "height"), ("w", "h")):
        if width in keys and height in keys:
            return size_px(entry, keys[width], keys[height])
    for name in ("imagesize", "imgsize", "size", "resolution", "imageresolution", "videoresolution"):
        if name not in keys:
            continue
        value = entry.values[keys[name]]
        if isinstance(value, dict) and "width" in value:
            return size_px(Entry(value, entry.path, keys[name]), "width", "height")
        sides = flat_numbers(entry, keys[name])
        if len(sides) != 2:
            raise DataError(f"expected width and height for {entry.where(keys[name])}, found {len(sides)} numbers")
        return whole_side(sides[0], entry.where(keys[name])), whole_side(sides[1], entry.where(keys[name]))
    return None


def without_case(entry: Entry) -> dict[str, str]:
    """The keys of an object by what they are called without capitals, blanks, hyphens and underscores."""
    return {"".join(sign for sign in str(key).lower() if sign not in " _-"): key for key in entry.values}
