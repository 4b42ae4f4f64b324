"""One sequence of a predictions file, with the hand model, object, camera and pictures that it takes to show it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from warpgrasp.checked import Entry
from warpgrasp.data import Dataset
from warpgrasp.data.recording import PICTURES_INTERVAL_S, Clip, Lens, lens_of
from warpgrasp.errors import UserError
from warpgrasp.files import fingerprint_of_files
from warpgrasp.frame import FrameName, ObjectModel, Pose
from warpgrasp.geometry import Camera
from warpgrasp.hand import HandModel, Side, left_hand, with_fingertips_of
from warpgrasp.predictions import (
    Flag,
    Predictions,
    check_frames,
    check_places,
    finite,
    identified_object,
    open_predictions,
    pose_of_predictions,
)
from warpgrasp.reconstruction import KnownObject
from warpgrasp.refinement import QUALITY, read_quality
from warpgrasp.scene import Scene, posed_hand

LISTED = 8  # sequences that an error names
FITS_M = 1e-4  # as near as predicted vertices lie to those of their parameters, by the same hand model
FRAMES_PER_CHUNK = 256  # that are read from the file together

# Gives the predicted picture of a frame, at its own size and undistorted, and its camera.
Pictures = Callable[[FrameName], tuple[UInt8[np.ndarray, "h w 3"], Camera]]


class SequenceError(UserError):
    """Predictions cannot be shown or written with what is given."""


@dataclass(frozen=True)
class PredictedSequence:
    """The predictions of one sequence, its frames in the order in which they are shown."""

    name: str
    predictions: Predictions
    """Those of the whole file."""
    rows: Int[np.ndarray, " n"]
    """The rows of the file that hold the frames of this sequence."""
    hand: HandModel
    model: ObjectModel
    pictures: Pictures | None = None
    camera: Camera | None = None
    """The camera of the pictures at their own size, where the file notes it."""
    side: str = "right"
    """Which hand was predicted, `right` or `left`."""
    labels: tuple[int, ...] | None = None
    """The numbers of the labelled frames, where the file notes them."""
    difference: Float[np.ndarray, " n"] | None = None
    """Each frame's difference of colours to the nearest label, where `densify` measured it."""
    other_hand: "PredictedSequence | None" = None
    """The other hand with the same object in the same frames (`with_other_hand`)."""

    def __len__(self) -> int:
        """How many frames there are."""
        return len(self.rows)

    @cached_property
    def times_s(self) -> Float[np.ndarray, " n"]:
        """When each frame is shown, after the first; numbered pictures as if 30 were shown per second."""
        predictions = self.predictions
        stated = None if predictions.time_s is None else predictions.time_s[self.rows]
        by_number = predictions.index[self.rows] * PICTURES_INTERVAL_S
        times_s = by_number if stated is None or np.isnan(stated).any() else np.asarray(stated, np.float64)
        return times_s - times_s[0]

    @cached_property
    def row_of(self) -> dict[int, int]:
        """The row in the file of each frame, by its number."""
        return {int(index): int(row) for row, index in zip(self.rows, self.predictions.index[self.rows], strict=True)}

    @cached_property
    def flags(self) -> UInt8[np.ndarray, " n"]:
        """The `Flag`s of each frame, 0 for none."""
        flags = self.predictions.flags
        return np.zeros(len(self), np.uint8) if flags is None else np.array(flags[self.rows])

    @property
    def hands(self) -> "dict[str, PredictedSequence]":
        """Each hand with the object, by its name: `hand` where it is alone, else `right_hand` and `left_hand`."""
        if self.other_hand is None:
            return {"hand": self}
        return {f"{one.side}_hand": one for one in (self, self.other_hand)}

    @cached_property
    def flagged(self) -> Bool[np.ndarray, " n"]:
        """In which frames there is a flag, of either hand."""
        return np.any([one.flags > 0 for one in self.hands.values()], axis=0)

    def flag_words(self, position: int) -> str:
        """What is flagged of a frame, in words, with the name of the hand where there are both; empty without any."""
        words = {name: Flag(int(one.flags[position])).words for name, one in self.hands.items()}
        if self.other_hand is None:
            return words["hand"]
        return "; ".join(f"{name.replace('_', ' ')}: {said}" for name, said in words.items() if said)

    def chunks(self) -> Iterator[Predictions]:
        """The frames in parts, in order, each read from the file when its turn comes."""
        for start in range(0, len(self), FRAMES_PER_CHUNK):
            yield self.predictions.rows(self.rows[start : start + FRAMES_PER_CHUNK])

    @torch.no_grad()
    def posed(self, part: Predictions) -> tuple[Pose, Float[Tensor, "n 21 3"]]:
        """The parameters of some rows, and the joints as the hand model has them (an adapted skeleton has others).

        In double precision, camera space. Raises `SequenceError` when the predicted vertices are not those that the
        parameters give the hand model.
        """
        pose = pose_of_predictions(part, self.hand)
        vertices, joints = posed_hand(pose, self.hand)
        check_vertices(vertices, torch.from_numpy(np.array(part.hand_vertices)).float(), self.hand)
        return pose.to(torch.float64), joints.double()

    def scenes(self) -> Iterator[tuple[FrameName, Scene]]:
        """Hand, or both hands, and object of each frame as one mesh, in camera space."""
        others = repeat(None) if self.other_hand is None else self.other_hand.chunks()
        for part, other in zip(self.chunks(), others, strict=False):
            for row, name in enumerate(part.names):
                scene = self._scene(part, row)
                yield name, scene if other is None else self._with_other(scene, other.hand_vertices[row])

    def scene(self, index: int) -> Scene:
        """Hand and object of the frame of this number as one mesh, in camera space."""
        return self._scene(self.predictions, self.row_of[index])

    def _with_other(self, scene: Scene, vertices: Float[np.ndarray, "v 3"]) -> Scene:
        assert self.other_hand is not None
        placed = torch.from_numpy(np.array(vertices)).float()
        check_places(placed)
        return scene.with_other_hand(self.other_hand.hand, placed)

    def _scene(self, part: Predictions, row: int) -> Scene:
        vertices, rotation, translation = (
            torch.from_numpy(np.array(array[row])).float()
            for array in (part.hand_vertices, part.object_rotation, part.object_translation)
        )
        check_places(vertices)
        return Scene.of(self.hand, vertices, rotation, translation, self.model)


def check_vertices(posed: Float[Tensor, "n v 3"], predicted: Float[Tensor, "n v 3"], hand: HandModel) -> None:
    """Raise `SequenceError` when predicted vertices are not those that their parameters give the hand model."""
    distance_m = (posed - predicted).abs().max().item()
    if not distance_m <= FITS_M:
        raise SequenceError(
            f"expected vertices of the hand {hand.template.name} in these predictions, found some "
            f"{1000 * distance_m:.2g} mm beside those of their parameters; were they made with another hand model?"
        )


def pictures_of_dataset(dataset: Dataset) -> Pictures:
    """The pictures of a data set or of recordings."""
    at_own_size = dataset.at_size(None)

    def picture(name: FrameName) -> tuple[UInt8[np.ndarray, "h w 3"], Camera]:
        frame = at_own_size.frame(name, annotated=False)
        return frame.picture.permute(1, 2, 0).contiguous().numpy(), frame.camera

    return picture


def pictures_of_clip(clip: Clip) -> Pictures:
    """The pictures of a video or of a folder of pictures."""
    return lambda name: (clip.picture(name.index), clip.lens.camera)


@dataclass(frozen=True)
class PredictedFile:
    """A predictions file, opened but not read."""

    path: Path
    predictions: Predictions
    header: Mapping[str, Any]

    @staticmethod
    def opened(path: Path) -> "PredictedFile":
        """Open a file. Raises `PredictionsError` when it is no predictions file."""
        return PredictedFile(path, *open_predictions(path))

    @cached_property
    def sequences(self) -> list[str]:
        """The names of its sequences, in their order."""
        return list(dict.fromkeys(self.predictions.sequence.tolist()))

    def sequence(self, wanted: str | None) -> str:
        """The sequence of that name, or the only one. Raises `SequenceError` when there is none, or more than one."""
        more = ", …" if len(self.sequences) > LISTED else ""
        listed = ", ".join(self.sequences[:LISTED]) + more
        if wanted is None and len(self.sequences) != 1:
            raise SequenceError(
                f"expected one sequence in {self.path}, found {len(self.sequences)} ({listed}); choose one by "
                f"--sequence"
            )
        if wanted is not None and wanted not in self.sequences:
            raise SequenceError(f"expected a sequence of {self.path} ({listed}), got {wanted!r}")
        return wanted or self.sequences[0]

    def rows(self, sequence: str) -> Int[np.ndarray, " n"]:
        """The rows of a sequence's frames, by ascending number, without those whose numbers are not finite.

        Raises `SequenceError` when no row is left, and `PredictionsError` when the others are none that can be shown.
        """
        predictions = self.predictions
        rows = np.flatnonzero(predictions.sequence == sequence)
        rows = rows[np.argsort(predictions.index[rows], kind="stable")]
        flags = predictions.flags
        usable = finite(predictions)[rows] if flags is None else (flags[rows] & Flag.NOT_FINITE) == 0
        rows = rows[usable]
        if not usable.any():
            raise SequenceError(f"expected numbers for {sequence} in {self.path}, found none that are finite")
        check_frames(predictions, rows, self.path)
        return rows

    def object_name(self, sequence: str) -> str:
        """The object of a sequence. Raises `SequenceError` when it shows more than one."""
        names = np.unique(self.predictions.object_name[self.predictions.sequence == sequence]).tolist()
        if len(names) != 1:
            raise SequenceError(f"expected one object in {sequence} of {self.path}, found {', '.join(names)}")
        return names[0]

    def hand(self, right: HandModel) -> HandModel:
        """The hand model of the predictions: `right`, or its mirror image where they are of a left hand.

        Raises `SequenceError` when they were made with another model.
        """
        stated = str(self.header.get("hand"))
        right = with_fingertips_of(stated, right)
        if stated != right.template.name:
            raise SequenceError(
                f"expected the hand model of {self.path} ({stated}), got {right.template.name}; choose it by --hand "
                f"open|mano"
            )
        return left_hand(right) if self.side == "left" else right

    @property
    def side(self) -> Side:
        """Which hand was predicted, `right` or `left`."""
        return "left" if self.header.get("side") == "left" else "right"

    @property
    def labels(self) -> tuple[int, ...] | None:
        """The numbers of the labelled frames that `densify` started from; None for other predictions."""
        labels = self.header.get("labels")
        return None if labels is None else tuple(int(label) for label in labels)

    def difference(self, indices: Int[np.ndarray, " n"]) -> Float[np.ndarray, " n"] | None:
        """The difference of colours to the nearest label of the frames of these numbers.

        None where `densify` measured none. Raises `DataError` when its quality.csv cannot be read, `SequenceError` when
        that is not the one that was written with the file.
        """
        path = self.path.with_name(QUALITY)
        if "labels" not in self.header or not path.is_file():
            return None
        noted = self.header.get("companions", {}).get(QUALITY)
        if noted is not None and noted != fingerprint_of_files([path]):
            raise SequenceError(
                f"expected the {QUALITY} that was written with {self.path}, found another beside it, perhaps of a "
                f"`densify` that was interrupted; run it again, or remove {path}"
            )
        differences = read_quality(path, "difference_after")
        return np.array([differences.get(int(index), np.nan) for index in indices])

    def object_of_file(self, mesh: Path, name: str) -> ObjectModel:
        """The object of a mesh file. Raises `ObjectError` when the mesh is not the one that was predicted with."""
        if name not in self._mesh_hashes:
            raise SequenceError(f"expected the hash of {name} in {self.path}, found none; give its data set by --data")
        return identified_object(mesh, [KnownObject(name, self._mesh_hashes[name])])

    def object_of_dataset(self, dataset: Dataset, name: str) -> ObjectModel:
        """The object of a data set. Raises `SequenceError` when its mesh is not the one that was predicted with."""
        model = dataset.object_model(name)
        if name in self._mesh_hashes and not KnownObject(name, self._mesh_hashes[name]).has_mesh_of(model):
            raise SequenceError(
                f"expected the mesh of {name} that {self.path} was predicted with, found another in {dataset.root}"
            )
        return model

    @property
    def _mesh_hashes(self) -> dict[str, str]:
        return self.header.get("objects", {})

    def lens(self, sequence: str) -> Lens | None:
        """The camera of a sequence, where the file notes it. Raises `DataError` when that note is broken."""
        content = self.header.get("cameras", {}).get(sequence)
        return None if content is None else lens_of(Entry(content, self.path, f"cameras.{sequence}"))
