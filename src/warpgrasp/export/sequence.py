"""A predictions file, and what it says of hand, object and camera.

One sequence of predictions with what it takes to show it: hand model, object, times, camera and pictures.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8

from warpgrasp.data import Dataset, Recordings
from warpgrasp.data.recording import PICTURES_INTERVAL_S, Clip, Entry, Lens, lens_of, open_pictures
from warpgrasp.errors import UserError
from warpgrasp.files import fingerprint_of_files
from warpgrasp.frame import FrameName, ObjectModel
from warpgrasp.geometry import Camera
from warpgrasp.hand import HandModel, left_hand
from warpgrasp.predictions import Flag, Predictions, finite, identified_object, open_predictions
from warpgrasp.reconstruction import KnownObject
from warpgrasp.refinement import QUALITY, read_quality
from warpgrasp.scene import Scene

LISTED = 8  # sequences that an error names


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
        noted = self.header.get("companions", {}).get(QUALITY)
        if noted is not None and noted != fingerprint_of_files([path]):
            raise TakeError(
                f"expected the {QUALITY} that was written with {self.path}, found another beside it, perhaps of a "
                f"`densify` that was interrupted; run it again, or remove {path}"
            )
        differences = read_quality(path, "difference_after")
        return np.array([differences.get(int(index), np.nan) for index in indices])

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


CHUNK = 256  # frames that are read from the file together


# The pictures that were predicted, at their own size and undistorted: a frame's colours and its camera.
Pictures = Callable[[FrameName], tuple[UInt8[np.ndarray, "h w 3"], Camera]]


def pictures_of_dataset(dataset: Dataset) -> Pictures:
    """Those of a data set or of recordings."""
    at_own_size = dataset.at_size(None)

    def picture(name: FrameName) -> tuple[UInt8[np.ndarray, "h w 3"], Camera]:
        frame = at_own_size.frame(name, annotated=False)
        return frame.picture.permute(1, 2, 0).contiguous().numpy(), frame.camera

    return picture


def pictures_of_clip(clip: Clip) -> Pictures:
    """Those of a video or a folder of pictures."""
    return lambda name: (clip.picture(name.index), clip.lens.camera)


@dataclass(frozen=True)
class Take:
    """A sequence of predictions, its frames in the order of showing."""

    sequence: str
    predictions: Predictions
    rows: Int[np.ndarray, " n"]
    """Where its frames stand in the file."""
    hand: HandModel
    model: ObjectModel
    pictures: Pictures | None = None
    camera: Camera | None = None
    """Of the pictures at their own size, where the file notes it."""
    side: str = "right"
    """Which hand it is."""
    labels: tuple[int, ...] | None = None
    """The numbers of the labelled frames, where the file notes them."""
    difference: Float[np.ndarray, " n"] | None = None
    """Each frame's difference of colours to the nearest label, where `densify` measured it."""

    def __len__(self) -> int:
        """How many frames there are."""
        return len(self.rows)

    @cached_property
    def times_s(self) -> Float[np.ndarray, " n"]:
        """When each frame is shown, after the first; numbered pictures as if 30 were shown per second."""
        part = self.predictions
        stated = None if part.time_s is None else part.time_s[self.rows]
        by_number = part.index[self.rows] * PICTURES_INTERVAL_S
        times_s = by_number if stated is None or np.isnan(stated).any() else np.asarray(stated, np.float64)
        return times_s - times_s[0]

    @cached_property
    def row_of(self) -> dict[int, int]:
        """The row in the file of each frame, by its number."""
        return {int(index): int(row) for row, index in zip(self.rows, self.predictions.index[self.rows], strict=True)}

    @cached_property
    def flags(self) -> UInt8[np.ndarray, " n"]:
        """What is wrong with each frame, 0 for nothing."""
        flags = self.predictions.flags
        return np.zeros(len(self), np.uint8) if flags is None else np.array(flags[self.rows])

    def chunks(self) -> Iterator[Predictions]:
        """The frames in parts, in order, each read when its turn comes."""
        for start in range(0, len(self), CHUNK):
            yield self.predictions.rows(self.rows[start : start + CHUNK])

    def scenes(self) -> Iterator[tuple[FrameName, Scene]]:
        """Each frame's hand and object as one mesh."""
        for part in self.chunks():
            for row, name in enumerate(part.names):
                vertices, rotation, translation = (
                    torch.from_numpy(array[row]).float()
                    for array in (part.hand_vertices, part.object_rotation, part.object_translation)
                )
                yield name, Scene.of(self.hand, vertices, rotation, translation, self.model)


@dataclass(frozen=True)
class Given:
    """What a user gives besides the predictions."""

    hand: HandModel
    """The right hand's model."""
    object: Path | None = None
    """The mesh, where it does not come from a data set."""
    dataset: Dataset | None = None
    footage: Path | None = None
    """The video or the pictures that were predicted."""

    def take(self, path: Path, sequence: str | None) -> Take:
        """A sequence of a predictions file. Raises `TakeError` and others where something is missing or another."""
        file = PredictedFile.opened(path)
        name = file.sequence(sequence)
        lens = file.lens(name)
        camera = None if lens is None else lens.camera
        rows, hand = file.rows(name), file.hand(self.hand)
        model, pictures = self._model(file, name), self._pictures(file, name)
        difference = file.difference(file.predictions.index[rows])
        return Take(name, file.predictions, rows, hand, model, pictures, camera, file.side, file.labels, difference)

    def _model(self, file: PredictedFile, sequence: str) -> ObjectModel:
        name = file.object_name(sequence)
        if self.object is not None:
            return file.object_of_file(self.object, name)
        if self.dataset is not None:
            return file.object_of_dataset(self.dataset, name)
        raise TakeError(
            f"expected the mesh of {name} by --object MESH, or the data set that has it by --data DIR, for {file.path}"
        )

    def _pictures(self, file: PredictedFile, sequence: str) -> Pictures | None:
        if self.dataset is not None:
            _check_camera(file, self.dataset, sequence)
            return pictures_of_dataset(self.dataset)
        if self.footage is None:
            return None
        lens = file.lens(sequence)
        if lens is None:
            raise TakeError(f"expected the camera of {sequence} in {file.path}, found none; give its data set instead")
        return pictures_of_clip(Clip(lens, open_pictures(self.footage), file.path))


def _check_camera(file: PredictedFile, dataset: Dataset, sequence: str) -> None:
    """Raise `TakeError` when a recording's camera is not the one that was predicted with."""
    stated = file.lens(sequence)
    if stated is None or not isinstance(dataset, Recordings) or sequence not in dataset.recordings:
        return
    recording = dataset.recordings[sequence]
    if replace(recording.lens, source=None).content != replace(stated, source=None).content:
        raise TakeError(
            f"expected the camera that {file.path} was predicted with in {recording.folder}, found another; predict "
            f"again, or restore camera.json"
        )
