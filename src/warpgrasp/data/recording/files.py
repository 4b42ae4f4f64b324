"""One recording: its pictures, camera, object and labels, read together and checked against each other."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from warpgrasp.data.recording import annotations as annotation_file
from warpgrasp.data.recording import camera as camera_file
from warpgrasp.data.recording import object as object_file
from warpgrasp.data.recording.annotations import AnnotationFile, Label, read_annotations
from warpgrasp.data.recording.camera import Lens, read_lens
from warpgrasp.data.recording.clip import Clip
from warpgrasp.data.recording.footage import VIDEO_STEM, Footage, open_footage
from warpgrasp.data.recording.object import DeclaredObject, read_object
from warpgrasp.data.recording.video import FORMAT_OF
from warpgrasp.errors import DataError
from warpgrasp.hand import HandModel, Side, left_hand


def is_recording(folder: Path) -> bool:
    """Whether a folder has a file that only recordings have."""
    names = (camera_file.FILE, object_file.OBJECT_FILE, *(f"{VIDEO_STEM}{ending}" for ending in FORMAT_OF))
    return any((folder / name).is_file() for name in names)


@dataclass(frozen=True)
class Recording:
    """A folder with pictures, `camera.json`, `object.json` and, where frames are labelled, `annotations.json`."""

    folder: Path
    lens: Lens
    object: DeclaredObject
    annotations: AnnotationFile
    footage: Footage

    @staticmethod
    def read(folder: Path) -> "Recording":
        """Read a recording's files, pictures but for the first of a video excepted.

        Raises `DataError` when one is missing or broken, or when labels are of frames that are not there.
        """
        lens, declared, annotations = read_lens(folder), read_object(folder), read_annotations(folder)
        footage = open_footage(folder)
        numbers = footage.numbers
        known = numbers if isinstance(numbers, range) else set(numbers)
        for label in annotations.labels:
            if label.frame not in known:
                raise DataError(
                    f"expected labels of the frames {numbers[0]} to {numbers[-1]} of "
                    f"{footage.file_of(numbers[0])} in {folder / annotation_file.ANNOTATIONS_FILE}, "
                    f"found one of frame {label.frame}"
                )
        return Recording(folder, lens, declared, annotations, footage)

    @property
    def side(self) -> Side:
        """Which hand the labels are of."""
        return self.annotations.side

    def of_side(self, side: Side | None) -> "Recording":
        """The recording as one of that hand, where it has no labels; None: as its labels say.

        Raises `DataError` when they are of the other hand.
        """
        if side in (None, self.side):
            return self
        if self.annotations.labels:
            raise DataError(
                f"expected --side {self.side}, as {self.folder / annotation_file.ANNOTATIONS_FILE} says of its labels, "
                f"got {side}"
            )
        return replace(self, annotations=replace(self.annotations, side=side))

    def hand(self, right: HandModel) -> HandModel:
        """The model of the hand that it shows: the right one's, or its mirror image."""
        return left_hand(right) if self.side == "left" else right

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that decide what a label means: labels, camera, object and mesh."""
        names = (annotation_file.ANNOTATIONS_FILE, camera_file.FILE, object_file.OBJECT_FILE)
        return (*(self.folder / name for name in names), self.object.mesh_file)

    @cached_property
    def labels(self) -> dict[int, Label]:
        """The labels by their frames."""
        return {label.frame: label for label in self.annotations.labels}

    def picture(self, number: int) -> UInt8[np.ndarray, "h w 3"]:
        """A frame's picture as the pinhole camera would have taken it, from 0 to 255.

        Raises `DataError` when its size is not the camera's.
        """
        return self.clip.picture(number)

    @cached_property
    def clip(self) -> Clip:
        """The pictures with their camera."""
        return Clip(self.lens, self.footage, self.folder / camera_file.FILE)
