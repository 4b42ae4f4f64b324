"""The predictions file: what a network saw in each frame, one `.npz` without pickled objects.

It is written in shards under `FILE.partial/`, each renamed into place, so that an interrupted prediction goes on; at
the end they become one file of fixed member order and dates: equal predictions make equal bytes.
"""

import io
import json
import os
import shutil
import zipfile
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped

from warpgrasp.errors import UserError
from warpgrasp.frame import FrameName

FORMAT = "warpgrasp-predictions-1"


class PredictionsError(UserError):
    """A predictions file is missing, broken, or stands in the way."""


@dataclass(frozen=True)
class Predictions:
    """Predictions of N frames, in camera space (metres)."""

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

    @property
    def names(self) -> list[FrameName]:
        """Which frames these are."""
        return [FrameName(str(seq), int(i)) for seq, i in zip(self.sequence, self.index, strict=True)]

    @staticmethod
    def joined(parts: list["Predictions"]) -> "Predictions":
        """One after the other."""
        return Predictions(
            **{one.name: np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(Predictions)}
        )


def write_npz(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write an `.npz` of fixed order and dates to a temporary name, then rename it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for name, array in arrays.items():
                buffer = io.BytesIO()
                np.lib.format.write_array(buffer, np.asanyarray(array), allow_pickle=False)
                entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
                archive.writestr(entry, buffer.getvalue(), zipfile.ZIP_DEFLATED, compresslevel=1)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_predictions(path: Path, predictions: Predictions, header: dict[str, Any]) -> None:
    """Write predictions with a header saying where they come from."""
    arrays = {one.name: getattr(predictions, one.name) for one in fields(Predictions)}
    stated = json.dumps({"format": FORMAT, **header}, sort_keys=True)
    write_npz(path, {"header": np.array(stated), **arrays})


def read_predictions(path: Path) -> tuple[Predictions, dict[str, Any]]:
    """Read predictions and their header. Raises `PredictionsError` naming the file when it is not one."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            header = json.loads(str(stored["header"]))
            if header.get("format") != FORMAT:
                raise PredictionsError(
                    f"expected a predictions file ({FORMAT}) in {path}, found {header.get('format')}"
                )
            return Predictions(**{one.name: stored[one.name] for one in fields(Predictions)}), header
    except FileNotFoundError as error:
        raise PredictionsError(
            f"expected a predictions file, found no file {path}; run `warpgrasp predict` first"
        ) from error
    except (ValueError, KeyError, OSError, zipfile.BadZipFile, AttributeError) as error:
        if isinstance(error, PredictionsError):
            raise
        raise PredictionsError(f"expected a predictions file in {path}, but it cannot be read: {error}") from error


class ShardWriter:
    """Collects shards of one predictions file. The header decides whether old shards may be gone on with."""

    def __init__(self, path: Path, header: dict[str, Any]):
        self.path, self._header = path, header
        self.folder = path.with_name(f"{path.name}.partial")
        written = next(self.folder.glob("[0-9]*.npz"), None)
        if written is not None and read_predictions(written)[1] != {"format": FORMAT, **header}:
            raise PredictionsError(
                f"expected unfinished predictions of the same weights and data in {self.folder}, found others; "
                f"delete that folder"
            )

    def has(self, shard: int) -> bool:
        """Whether a shard is already written."""
        return self._shard(shard).is_file()

    def write(self, shard: int, predictions: Predictions) -> None:
        """Write one shard."""
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            write_predictions(self._shard(shard), predictions, self._header)
        finally:
            with suppress(OSError):  # what holds shards stays
                self.folder.rmdir()

    def finish(self, shards: int) -> None:
        """Join the shards into the file, and remove them."""
        parts = [read_predictions(self._shard(shard))[0] for shard in range(shards)]
        write_predictions(self.path, Predictions.joined(parts), self._header)
        shutil.rmtree(self.folder)

    def _shard(self, shard: int) -> Path:
        return self.folder / f"{shard:06d}.npz"
