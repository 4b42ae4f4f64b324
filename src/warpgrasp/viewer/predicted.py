"""A predictions file, and what it says of hand, object and camera."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from warpgrasp.data import Dataset
from warpgrasp.data.recording.camera_file import Lens, lens_of
from warpgrasp.data.recording.document import Entry
from warpgrasp.errors import UserError
from warpgrasp.frame import ObjectModel
from warpgrasp.hand import HandModel, left_hand
from warpgrasp.inference import Predictions, open_predictions
from warpgrasp.inference.densify import QUALITY
from warpgrasp.inference.objects import identified_object
from warpgrasp.inference.quality import Flag, finite
from warpgrasp.reconstruction import KnownObject

LISTED = 8  # sequences that an error names
DIFFERENCE = "difference_after"  # the column of `densify`


class TakeError(UserError):
    """Predictions cannot be shown with what is given."""


@dataclass(frozen=True)
class PredictedFile:
    """A predictions file, opened but not read."""

    path: Path
    predictions: Predictions
    header: Mapping[str, Any]

    @staticmethod
    def opened(path: Path) -> "PredictedFile":
        """Open a file. Raises `PredictionsError` when it is none."""
        return PredictedFile(path, *open_predictions(path))

    @cached_property
    def sequences(self) -> list[str]:
        """The names of its sequences, in their order."""
        return list(dict.fromkeys(self.predictions.sequence.tolist()))

    def sequence(self, wanted: str | None) -> str:
        """The sequence of that name, or the only one. Raises `TakeError` when there is none, or which is not told."""
        more = ", …" if len(self.sequences) > LISTED else ""
        known = ", ".join(self.sequences[:LISTED]) + more
        if wanted is None and len(self.sequences) != 1:
            raise TakeError(
                f"expected one sequence in {self.path}, found {len(self.sequences)} ({known}); choose one by --sequence"
            )
        if wanted is not None and wanted not in self.sequences:
            raise TakeError(f"expected a sequence of {self.path} ({known}), got {wanted!r}")
        return wanted or self.sequences[0]

    def rows(self, sequence: str) -> Int[np.ndarray, " n"]:
        """Where the frames of a sequence stand, by their numbers; those that hold no numbers are left out.

        Raises `TakeError` when none is left.
        """
        part = self.predictions
        rows = np.flatnonzero(part.sequence == sequence)
        rows = rows[np.argsort(part.index[rows], kind="stable")]
        usable = finite(part)[rows] if part.flags is None else (part.flags[rows] & Flag.NOT_FINITE) == 0
        if not usable.any():
            raise TakeError(f"expected numbers for {sequence} in {self.path}, found none that are finite")
        return rows[usable]

    def object_name(self, sequence: str) -> str:
        """The object of a sequence. Raises `TakeError` when it shows more than one."""
        names = np.unique(self.predictions.object_name[self.predictions.sequence == sequence]).tolist()
        if len(names) != 1:
            raise TakeError(f"expected one object in {sequence} of {self.path}, found {', '.join(names)}")
        return names[0]

    def hand(self, right: HandModel) -> HandModel:
        """The hand model of the predictions; its mirror image where they are of a left hand.

        Raises `TakeError` when they were made with another model.
        """
        stated = self.header.get("hand")
        if stated != right.template.name:
            raise TakeError(
                f"expected the hand model of {self.path} ({stated}), got {right.template.name}; choose it by --hand "
                f"open|mano"
            )
        return left_hand(right) if self.side == "left" else right

    @property
    def side(self) -> str:
        """Which hand was predicted."""
        return self.header.get("side", "right")

    @property
    def labels(self) -> tuple[int, ...] | None:
        """The labelled frames that the predictions were carried on from, where they were (`densify`)."""
        labels = self.header.get("labels")
        return None if labels is None else tuple(int(label) for label in labels)

    def difference(self, indices: Int[np.ndarray, " n"]) -> Float[np.ndarray, " n"] | None:
        """The difference of colours to the nearest label of these frames; None where `densify` measured none."""
        path = self.path.with_name(QUALITY)
        if "labels" not in self.header or not path.is_file():
            return None
        try:
            with path.open(newline="", encoding="utf-8") as file:
                found = {int(row["frame"]): float(row[DIFFERENCE] or "nan") for row in csv.DictReader(file)}
        except (KeyError, TypeError, ValueError, OSError, csv.Error) as error:
            raise TakeError(
                f"expected what `densify` wrote in {path}, but it cannot be read: {error!r}; run it again, or remove it"
            ) from error
        return np.array([found.get(int(index), np.nan) for index in indices])

    def object_of_file(self, mesh: Path, name: str) -> ObjectModel:
        """The object of a mesh file. Raises `ObjectError` when it is not the mesh that was predicted with."""
        if name not in self._hashes:
            raise TakeError(f"expected the hash of {name} in {self.path}, found none; give its data set by --data")
        return identified_object(mesh, [KnownObject(name, self._hashes[name])])

    def object_of_dataset(self, dataset: Dataset, name: str) -> ObjectModel:
        """The object of a data set. Raises `TakeError` when its mesh is not the one that was predicted with."""
        model = dataset.object_model(name)
        if name in self._hashes and not KnownObject(name, self._hashes[name]).has_mesh_of(model):
            raise TakeError(
                f"expected the mesh of {name} that {self.path} was predicted with, found another in {dataset.root}"
            )
        return model

    @property
    def _hashes(self) -> dict[str, str]:
        return self.header.get("objects", {})

    def lens(self, sequence: str) -> Lens | None:
        """The camera of a sequence, where the file notes it. Raises `DataError` when that note is broken."""
        content = self.header.get("cameras", {}).get(sequence)
        return None if content is None else lens_of(Entry(content, self.path, f"cameras.{sequence}"))
