"""Data sets and the layouts they come in: named frames, in splits, read from raw folders."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from warpgrasp.errors import DataError
from warpgrasp.files import fingerprint_of_files, fingerprint_of_values
from warpgrasp.frame import Annotation, Frame, FrameName, ObjectModel
from warpgrasp.hand import JOINTS, HandModel

Split = Literal["train", "validation", "evaluation"]
SPLITS: tuple[Split, ...] = ("train", "validation", "evaluation")
LARGEST_DISTANCE_M = 10.0  # of hands and objects from the camera
JOINT_AGREEMENT_M = 0.005
INNER_JOINTS = [number for number, joint in enumerate(JOINTS) if not joint.endswith("tip")]


@dataclass(frozen=True)
class Truth:
    """A frame's annotation, for evaluation, with the camera in whose pixels errors are given.

    It is the camera of the picture as it is on disk; of FPHAB, that of the reduced picture.
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


@runtime_checkable
class Opener(Protocol):
    """Opens a folder of a layout."""

    def __call__(
        self, root: Path, hand: HandModel, *, size: tuple[int, int] | None = None, protocol: str | None = None
    ) -> Dataset:
        """The data set in a folder, in the splits of `protocol` or of the layout's usual one.

        A layout whose `open` takes `sides` too (a `Sides`) has left hands that can be asked for. Raises `DataError`
        when the layout has no such protocol.
        """
        ...


@runtime_checkable
class Layout(Protocol):
    """A layout in which data sets come: a member of `DATASETS`.

    A class of data sets is one when `recognises` is a static method, `open` a class method, and `examine` a method.
    The protocols of its data sets are named `NAME/…`, where `NAME` is that of the layout in the registry, or just
    `NAME` where there is one only: so a run or a predictions file knows which splits to read again.
    """

    @property
    def recognises(self) -> Callable[[Path], bool]:
        """Whether a folder looks like one of this layout, told from the names of its files alone."""
        ...

    @property
    def open(self) -> Opener:
        """Opens a folder."""
        ...

    @property
    def examine(self) -> Callable[[Any], Iterator[str]]:
        """Gives lines about a data set that `open` returned; raises `DataError` with a count of all that is missing."""
        ...


def chosen_protocol(layout: str, protocols: Sequence[str], wanted: str | None) -> str:
    """The full name (`ho3d/official`) of a protocol that is named with or without its layout; the first for None.

    Raises `DataError` when the layout has no such protocol.
    """
    if wanted is None:
        return protocols[0]
    for protocol in protocols:
        if wanted in (protocol, protocol.partition("/")[2]):
            return protocol
    raise DataError(f"expected a protocol of {layout} ({', '.join(protocols)}), got {wanted!r}")


def check_agreement(joints: Float[Tensor, "21 3"], stated: Float[Tensor, "21 3"], hand: HandModel, path: Path) -> None:
    """Compare the joints of a posed hand model with those that a file states; fingertips are a matter of definition.

    Raises `DataError` when one is too far away (or NaN): the annotation was made with another hand model.
    """
    worst = (joints - stated)[INNER_JOINTS].norm(dim=-1).max()
    if not worst <= JOINT_AGREEMENT_M:
        raise DataError(
            f"expected the joints of {path} where the hand model {hand.template.name} puts them, found one "
            f"{1000 * worst:.0f} mm away: the annotations were made with another hand (--hand open|mano)"
        )


Cached = TypeVar("Cached")


def with_caches(copy: Cached, *, of: Cached, names: Sequence[str]) -> Cached:
    """A frozen data set's copy that shares some of the cached properties of the original."""
    vars(copy).update({name: vars(of)[name] for name in names if name in vars(of)})
    return copy
