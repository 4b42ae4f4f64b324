"""Data sets and the layouts they come in: named frames, in splits, read from raw folders; and several as one.

Joined, real frames are trained on together with synthetic ones (paper Sec. 4.1).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from warpgrasp.errors import DataError
from warpgrasp.frame import Annotation, Frame, FrameName, ObjectModel
from warpgrasp.geometry import is_mesh_of, mesh_identity
from warpgrasp.hand import JOINTS, HandModel, same_hand

Split = Literal["train", "validation", "evaluation"]
SPLITS: tuple[Split, ...] = ("train", "validation", "evaluation")
LARGEST_DISTANCE_M = 10.0  # of hands and objects from the camera
JOINT_AGREEMENT_M = 0.005
INNER_JOINTS = [number for number, joint in enumerate(JOINTS) if not joint.endswith("tip")]
SAME_M = 1e-6  # of the places of one object in the mesh files of two data sets


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


@dataclass(frozen=True)
class Added:
    """A data set that is added to another, and what its sequences' names begin with."""

    label: str
    dataset: Dataset

    def joined_name(self, name: FrameName) -> FrameName:
        """The name of one of its frames among those of the whole."""
        return FrameName(f"{self.label}:{name.sequence}", name.index)


@dataclass(frozen=True)
class Joined:
    """A data set with others added to its training split; their sequences are called `LABEL:SEQUENCE`.

    Validation and evaluation are the first's alone, and so is everything that a result is about: folder, hand,
    protocol.
    """

    first: Dataset
    added: tuple[Added, ...]

    def __post_init__(self) -> None:
        for member in self.added:
            if not same_hand(member.dataset.hand.template.name, self.first.hand.template.name):
                raise DataError(
                    f"expected {member.dataset.root} with the hand {self.first.hand.template.name}, "
                    f"found {member.dataset.hand.template.name}"
                )

    @property
    def root(self) -> Path:
        """The first's folder."""
        return self.first.root

    @property
    def hand(self) -> HandModel:
        """The hand model of all."""
        return self.first.hand

    @property
    def size(self) -> tuple[int, int] | None:
        """The (width, height) at which frames are read."""
        return self.first.size

    @property
    def protocol(self) -> str:
        """The first's, and those of the added."""
        return "+".join([self.first.protocol, *(f"{member.label}:{member.dataset.protocol}" for member in self.added)])

    @property
    def sequences(self) -> Mapping[Split, Mapping[str, list[int]]]:
        """The frames of each sequence of each split."""
        return self._sequences

    @cached_property
    def _sequences(self) -> dict[Split, dict[str, list[int]]]:
        sequences: dict[Split, dict[str, list[int]]] = {split: dict(self.first.sequences[split]) for split in SPLITS}
        for member in self.added:
            for sequence, frames in member.dataset.sequences["train"].items():
                sequences["train"][f"{member.label}:{sequence}"] = frames
        return sequences

    def names(self, split: Split) -> list[FrameName]:
        """Every frame of a split: the first's, in their official order, then the added ones."""
        names = self.first.names(split)
        return [*names, *self.added_names] if split == "train" else names

    @cached_property
    def added_names(self) -> list[FrameName]:
        """The training frames of the added data sets."""
        return [member.joined_name(name) for member in self.added for name in member.dataset.names("train")]

    def objects(self, split: Split) -> list[ObjectModel]:
        """The objects that a split's frames show: the first's, then those that only the added ones show.

        Raises `DataError` when two data sets have different meshes under one name: a network could not tell them apart.
        """
        models = {model.name: model for model in self.first.objects(split)}
        for member in self.added if split == "train" else ():
            for model in member.dataset.objects(split):
                if not _is_same(models.setdefault(model.name, model), model):
                    raise DataError(
                        f"expected the same mesh of {model.name} in {self.first.root} and {member.dataset.root}, found "
                        f"another; copy it from one to the other"
                    )
        return list(models.values())

    def object_model(self, name: str) -> ObjectModel:
        """The object of that name, from the first data set that shows it."""
        for split in SPLITS:
            for model in self.objects(split):
                if model.name == name:
                    return model
        return self.first.object_model(name)

    def is_annotated(self, name: FrameName) -> bool:
        """Whether hand and object of a frame are given at all."""
        dataset, own = self._owner(name)
        return dataset.is_annotated(own)

    def frame(self, name: FrameName, *, annotated: bool) -> Frame:
        """Read a frame; of its annotation only the camera and the object's name unless `annotated`."""
        dataset, own = self._owner(name)
        frame = dataset.frame(own, annotated=annotated)
        return Frame(name, frame.picture, frame.camera, frame.object, frame.annotation)

    def truth(self, name: FrameName) -> Truth:
        """A frame's annotation, without reading the picture."""
        dataset, own = self._owner(name)
        return dataset.truth(own)

    def picture_file(self, name: FrameName) -> Path:
        """The file that holds a frame's picture."""
        dataset, own = self._owner(name)
        return dataset.picture_file(own)

    def annotation_files(self, name: FrameName) -> tuple[Path, ...]:
        """The files that hold a frame's annotation."""
        dataset, own = self._owner(name)
        return dataset.annotation_files(own)

    def at_size(self, size: tuple[int, int] | None) -> "Joined":
        """The same data sets, read at another size."""
        added = tuple(Added(member.label, member.dataset.at_size(size)) for member in self.added)
        return Joined(self.first.at_size(size), added)

    def _owner(self, name: FrameName) -> tuple[Dataset, FrameName]:
        """Whose frame it is, and what it is called there."""
        for member in self.added:
            if name.sequence.startswith(f"{member.label}:"):
                return member.dataset, FrameName(name.sequence.removeprefix(f"{member.label}:"), name.index)
        return self.first, name


def join_datasets(first: Dataset, added: Sequence[Dataset]) -> Joined:
    """Add data sets to a first one, each labelled with its folder's name.

    Raises `DataError` when a folder is added twice, or one of the first's sequences is named like an added one.
    """
    labelled: list[Added] = []
    roots = {first.root.resolve()}
    for dataset in added:
        if dataset.root.resolve() in roots:
            raise DataError(f"expected each data set once, found {dataset.root} again")
        roots.add(dataset.root.resolve())
        label = dataset.root.resolve().name.replace(":", "-") or "added"
        taken = {member.label for member in labelled}
        numbers = (number for number in range(2, len(added) + 2) if f"{label}-{number}" not in taken)
        labelled.append(Added(label if label not in taken else f"{label}-{next(numbers)}", dataset))
    for split in SPLITS:
        for sequence in first.sequences[split]:
            if any(sequence.startswith(f"{member.label}:") for member in labelled):
                raise DataError(f"expected no sequence of {first.root} named like one of an added data set: {sequence}")
    return Joined(first, tuple(labelled))


def _is_same(model: ObjectModel, other: ObjectModel) -> bool:
    if model is other:
        return True
    alike = is_mesh_of(mesh_identity(model.vertices, model.faces), other.vertices, other.faces)
    return alike and bool((model.centre_m - other.centre_m).abs().max() <= SAME_M)
