"""`quality.csv`: a line for every frame of a densified recording, with the signs by which a bad one is told."""

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from jaxtyping import Float

from warpgrasp.errors import DataError
from warpgrasp.files import replacing
from warpgrasp.predictions import Predictions

QUALITY = "quality.csv"


@dataclass(frozen=True)
class FrameQuality:
    """One line; its fields are the columns. What was not measured is NaN, and an empty cell."""

    frame: int
    labelled: int  # 1 or 0
    frames_to_label: int
    difference_before: float  # mean absolute difference to the nearest label where the refinement started
    difference_after: float
    compared_share: float  # of the surface that the label shows, after
    acceleration_mm_per_frame2: float


def write_quality(path: Path, frames: Sequence[FrameQuality]) -> None:
    """Write the file, whole or not at all."""
    lines = [
        {name: "" if isinstance(cell, float) and np.isnan(cell) else cell for name, cell in asdict(frame).items()}
        for frame in frames
    ]
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, [field.name for field in fields(FrameQuality)])
        table.writeheader()
        table.writerows(lines)


def read_quality(path: Path, column: str) -> dict[int, float]:
    """One column, by the frames' numbers. Raises `DataError` naming the file when it has no such column of numbers."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return {int(line["frame"]): float(line[column] or "nan") for line in csv.DictReader(file)}
    except (KeyError, TypeError, ValueError, OSError, csv.Error) as error:
        raise DataError(
            f"expected what `densify` wrote in {path}, but it cannot be read: {error!r}; run it again, or remove it"
        ) from error


def acceleration_mm(predictions: Predictions) -> Float[np.ndarray, " n"]:
    """The mean second difference of hand joints and object centre from frame to frame; NaN at the ends."""
    points = np.concatenate([predictions.hand_joints, predictions.object_translation[:, None]], axis=1)
    points = points.astype(np.float64)
    accelerations = np.full(len(points), np.nan)
    second_differences = points[2:] - 2 * points[1:-1] + points[:-2]
    accelerations[1:-1] = 1000 * np.linalg.norm(second_differences, axis=-1).mean(axis=1)
    return accelerations
