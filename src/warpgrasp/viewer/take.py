"""One sequence of predictions with what it takes to show it: hand model, object, times, camera and pictures."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8

from warpgrasp.data import Dataset
from warpgrasp.data.recording.clip import PICTURES_INTERVAL_S, Clip, open_pictures
from warpgrasp.evaluation.scene import Scene
from warpgrasp.frame import FrameName, ObjectModel
from warpgrasp.geometry import Camera
from warpgrasp.hand import HandModel
from warpgrasp.inference import Predictions
from warpgrasp.viewer.predicted import PredictedFile, TakeError

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
            return pictures_of_dataset(self.dataset)
        if self.footage is None:
            return None
        lens = file.lens(sequence)
        if lens is None:
            raise TakeError(f"expected the camera of {sequence} in {file.path}, found none; give its data set instead")
        return pictures_of_clip(Clip(lens, open_pictures(self.footage), file.path))
