"""The predictions file: what a network saw in each frame, one `.npz` without pickled objects."""

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped, UInt8

from warpgrasp.errors import UserError
from warpgrasp.frame import FrameName
from warpgrasp.inference.npz import open_npz, write_npz

FORMAT = "warpgrasp-predictions-1"


class PredictionsError(UserError):
    """A predictions file is missing, broken, or stands in the way."""


@dataclass(frozen=True)
class Predictions:
    """Predictions of N frames, in camera space (metres); the last fields where they were measured."""

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
    """What is wrong with a frame: the sum of `quality.Flag`s, 0 for nothing."""

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
        found = {one.name: getattr(self, one.name) for one in fields(Predictions)}
        return {name: array for name, array in found.items() if array is not None}

    def rows(self, rows: slice | np.ndarray) -> "Predictions":
        """Some of the frames, copied: what was mapped from a file is read."""
        return Predictions(**{name: np.array(array[rows]) for name, array in self.arrays.items()})

    @staticmethod
    def joined(parts: list["Predictions"]) -> "Predictions":
        """One after the other."""
        arrays = [part.arrays for part in parts]
        return Predictions(**{name: np.concatenate([one[name] for one in arrays]) for name in arrays[0]})


def header_array(header: Mapping[str, Any]) -> np.ndarray:
    """What says where predictions come from, as it is stored."""
    return np.array(json.dumps({"format": FORMAT, **header}, sort_keys=True))


def write_predictions(path: Path, predictions: Predictions, header: Mapping[str, Any]) -> None:
    """Write predictions with a header saying where they come from."""
    write_npz(path, {"header": header_array(header), **predictions.arrays})


def read_predictions(path: Path) -> tuple[Predictions, dict[str, Any]]:
    """Read predictions and their header. Raises `PredictionsError` naming the file when it is not one."""
    predictions, header = open_predictions(path)
    mapped = {name: np.array(array) for name, array in predictions.arrays.items() if isinstance(array, np.memmap)}
    return replace(predictions, **mapped), header


def open_predictions(path: Path) -> tuple[Predictions, dict[str, Any]]:
    """The same with arrays that `predict` wrote left in the file: only the rows that are taken are read.

    Raises `PredictionsError` naming the file when it is not one.
    """
    try:
        stored = open_npz(path)
        header = json.loads(str(stored["header"]))
        if header.get("format") != FORMAT:
            raise PredictionsError(f"expected a predictions file ({FORMAT}) in {path}, found {header.get('format')}")
        known = {one.name for one in fields(Predictions)}
        return Predictions(**{name: array for name, array in stored.items() if name in known}), header
    except FileNotFoundError as error:
        raise PredictionsError(
            f"expected a predictions file, found no file {path}; run `warpgrasp predict` first"
        ) from error
    except (ValueError, KeyError, OSError, zipfile.BadZipFile, AttributeError, TypeError) as error:
        if isinstance(error, PredictionsError):
            raise
        raise PredictionsError(f"expected a predictions file in {path}, but it cannot be read: {error}") from error
