"""Where that comes from which a predictions file does not hold: the hand model, the object's mesh and the pictures."""

from dataclasses import dataclass, replace
from pathlib import Path

from warpgrasp.data import Dataset, Recordings
from warpgrasp.data.recording import Clip, open_pictures
from warpgrasp.export.sequence import (
    Pictures,
    PredictedFile,
    PredictedSequence,
    SequenceError,
    pictures_of_clip,
    pictures_of_dataset,
)
from warpgrasp.frame import ObjectModel
from warpgrasp.hand import HandModel
from warpgrasp.predictions import check_hand_sizes


@dataclass(frozen=True)
class SequenceSources:
    """Where that comes from which a predictions file does not hold: hand model, mesh and pictures."""

    hand: HandModel
    """The right hand's model."""
    object: Path | None = None
    """The mesh file, where the mesh does not come from a data set."""
    dataset: Dataset | None = None
    footage: Path | None = None
    """The video or the folder of pictures that was predicted."""

    def sequence(self, path: Path, name: str | None) -> PredictedSequence:
        """Open a sequence of a predictions file, by its name or as the only one.

        Raises `PredictionsError` when `path` is no predictions file, or of a hand of other sizes, or of frames that
        cannot be shown; `SequenceError` when the sequence, the mesh or the
        camera is missing or the hand model is another one, and `ObjectError` when the mesh is another one.
        """
        file = PredictedFile.opened(path)
        name = file.sequence(name)
        lens, rows, hand = file.lens(name), file.rows(name), file.hand(self.hand)
        check_hand_sizes(file.predictions, hand)
        return PredictedSequence(
            name,
            file.predictions,
            rows,
            hand,
            self._model(file, name),
            self._pictures(file, name),
            None if lens is None else lens.camera,
            file.side,
            file.labels,
            file.difference(file.predictions.index[rows]),
        )

    def _model(self, file: PredictedFile, sequence: str) -> ObjectModel:
        name = file.object_name(sequence)
        if self.object is not None:
            return file.object_of_file(self.object, name)
        if self.dataset is not None:
            return file.object_of_dataset(self.dataset, name)
        raise SequenceError(
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
            raise SequenceError(
                f"expected the camera of {sequence} in {file.path}, found none; give its data set instead"
            )
        return pictures_of_clip(Clip(lens, open_pictures(self.footage), file.path))


def _check_camera(file: PredictedFile, dataset: Dataset, sequence: str) -> None:
    """Raise `SequenceError` when a recording's camera is not the one that was predicted with."""
    stated = file.lens(sequence)
    if stated is None or not isinstance(dataset, Recordings) or sequence not in dataset.recordings:
        return
    recording = dataset.recordings[sequence]
    if replace(recording.lens, source=None).content != replace(stated, source=None).content:
        raise SequenceError(
            f"expected the camera that {file.path} was predicted with in {recording.folder}, found another; predict "
            f"again, or restore camera.json"
        )
