"""What every data set is to the rest of the house: named frames, in splits, read from raw folders."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from warpgrasp.files import fingerprint_of_files, fingerprint_of_values
from warpgrasp.frame import Annotation, Frame, FrameName, ObjectModel
from warpgrasp.hand import HandModel

Split = Literal["train", "validation", "evaluation"]
SPLITS: tuple[Split, ...] = ("train", "validation", "evaluation")


@dataclass(frozen=True)
class Truth:
    """What is known of a frame, for evaluation, in the camera in whose pixels its errors are given.

    It is that of the picture as it is on disk; of FPHAB, that of the reduced picture.
    """

    intrinsics: Float[Tensor, "3 3"]
    object: ObjectModel
    annotation: Annotation


@runtime_checkable
class Dataset(Protocol):
    """A folder of frames. A loader turns raw files into `Frame`s, and does nothing else.

    Frames are read at `size` (width, height), or at their own size where it is None. Every error that the files can
    cause is a `DataError` naming the file and the fact.
    """

    @property
    def root(self) -> Path:
        """The folder."""
        ...

    @property
    def hand(self) -> HandModel:
        """The hand model that the annotations were made with."""
        ...

    @property
    def size(self) -> tuple[int, int] | None:
        """The (width, height) at which frames are read."""
        ...

    @property
    def protocol(self) -> str:
        """Which of the layout's splits these are, for example `fphab/actions`; stored with every result."""
        ...

    @property
    def sequences(self) -> Mapping[Split, Mapping[str, list[int]]]:
        """The frames of each sequence of each split."""
        ...

    def names(self, split: Split) -> list[FrameName]:
        """Every frame of a split, in its official order."""
        ...

    def objects(self, split: Split) -> list[ObjectModel]:
        """The objects that a split's frames show."""
        ...

    def object_model(self, name: str) -> ObjectModel:
        """The object of that name."""
        ...

    def is_annotated(self, name: FrameName) -> bool:
        """Whether hand and object of a frame are given at all."""
        ...

    def frame(self, name: FrameName, *, annotated: bool) -> Frame:
        """Read a frame; of its annotation only the camera and the object's name unless `annotated`."""
        ...

    def truth(self, name: FrameName) -> Truth:
        """A frame's annotation, without reading the picture."""
        ...

    def picture_file(self, name: FrameName) -> Path:
        """The file that holds a frame's picture."""
        ...

    def annotation_files(self, name: FrameName) -> tuple[Path, ...]:
        """The files that hold a frame's annotation."""
        ...

    def at_size(self, size: tuple[int, int] | None) -> "Dataset":
        """The same data set, read at another size."""
        ...


def fingerprint_of_frames(dataset: Dataset, names: Sequence[FrameName]) -> str:
    """A short hash of what frames are read from: their names, the files of their pictures and of their annotations.

    A camera may stand beside an annotation; therefore the files count whether the annotation is used or not.
    """
    pictures = fingerprint_of_files(dataset.picture_file(name) for name in names)
    annotations = fingerprint_of_files(path for name in names for path in dataset.annotation_files(name))
    return fingerprint_of_values((dataset.protocol, [str(name) for name in names], pictures, annotations))
