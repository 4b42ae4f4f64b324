"""HO-3D's folder: the frames that its lists name, in the splits of each protocol, their files, and what these hold."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from warpgrasp.bounded import read_text
from warpgrasp.data.dataset import SPLITS, Split
from warpgrasp.data.ho3d.annotations import NO_FACTS, MetaFacts, read_facts
from warpgrasp.data.index import Manifest
from warpgrasp.errors import DataError
from warpgrasp.frame import FrameName

TRAINVAL_TRAINING_LINES = 60_000  # of train.txt; the rest is for validation (Hasson)

Lists = Literal["official", "trainval"]  # splits that the lists of the data set give, instead of names of sequences
Place = Literal["train", "evaluation"]  # the folder that a sequence lies in, whatever split a protocol puts it in
PLACES: tuple[Place, ...] = ("train", "evaluation")
PICTURE_ENDINGS = ("jpg", "png")  # version 3, version 2
LIST_LINE = re.compile(r"(\w[\w.-]*)/([0-9]{1,8})", re.ASCII)
FACTS_KIND = "ho3d-1"


@dataclass(frozen=True)
class SplitPlan:
    """The splits of a protocol: the sequences of each, or the lists that name its frames."""

    protocol: str  # as it is stored with results
    source: str
    splits: Lists | Mapping[Split, tuple[str, ...]]


def _numbered(prefix: str, *numbers: int) -> tuple[str, ...]:
    return tuple(f"{prefix}{number}" for number in numbers)


OBJECTS_VALIDATION = ("ABF11", "BB12", "GPMF13", "GSF14")
OBJECTS_EVALUATION = (
    *("ABF10", "MC1", "MDF14", "BB11", "GPMF12", "GSF13"),
    *("SB14", "ShSu10", "SM3", "SMu1", "SiBF11", "SS2"),
)
OBJECTS_TRAIN = (
    *_numbered("ABF", 11, 12, 13, 14),
    *_numbered("BB", 10, 12, 13, 14),
    *_numbered("GPMF", 10, 11, 13, 14),
    *_numbered("GSF", 10, 11, 12, 14),
    *_numbered("MC", 2, 4, 5, 6),
    *_numbered("MDF", 10, 11, 12, 13),
    *_numbered("SB", 10, 12),
    *_numbered("ShSu", 12, 13, 14),
    *_numbered("SiBF", 10, 12, 13, 14),
    *_numbered("SM", 2, 4, 5),
    *_numbered("SMu", 40, 41, 42),
    *_numbered("SS", 1, 3),
)
# Appendix B lists twelve names, SM2 and MC5 twice; three are of the sugar box, although the text says mustard and
# cracker only (docs/paper.md).
APPENDIX_B_TRAIN = ("SM2", "SM3", "SM4", "SM5", "MC5", "MC6", "SS1", "SS2", "SS3", "MC1")
LIKE_V1_TRAIN = ("SM5", "MC6", "MC4", "SM3", "SM4", "SS3", "SS2", "SM2", "SS1", "MC5", "MC1")

_PLANS = (
    SplitPlan("ho3d/official", "train.txt and evaluation.txt as released", "official"),
    SplitPlan(
        "ho3d/trainval",
        f"the first {TRAINVAL_TRAINING_LINES:,} lines of train.txt, the rest for validation; evaluation.txt",
        "trainval",
    ),
    SplitPlan(
        "ho3d/objects",
        "handobjectconsist's split by objects; its training sequences hold those for validation, by design",
        {"train": OBJECTS_TRAIN, "validation": OBJECTS_VALIDATION, "evaluation": OBJECTS_EVALUATION},
    ),
    SplitPlan(
        "ho3d/objects-trainval",
        "the same without the sequences for validation among those for training",
        {
            "train": tuple(sequence for sequence in OBJECTS_TRAIN if sequence not in OBJECTS_VALIDATION),
            "validation": OBJECTS_VALIDATION,
            "evaluation": OBJECTS_EVALUATION,
        },
    ),
    SplitPlan(
        "ho3d/paper-appendix-b",
        "the paper's Appendix B: 10 distinct sequences, tests SM1 and MC2",
        {"train": APPENDIX_B_TRAIN, "validation": (), "evaluation": ("SM1", "MC2")},
    ),
    SplitPlan(
        "ho3d/paper-appendix-b-mc2",
        "the same, test MC2 alone (the paper's comparison with HO-3D's authors)",
        {"train": APPENDIX_B_TRAIN, "validation": (), "evaluation": ("MC2",)},
    ),
    SplitPlan(
        "ho3d/like-v1",
        "handobjectconsist's `--version 1`: 11 sequences, test MC2",
        {"train": LIKE_V1_TRAIN, "validation": (), "evaluation": ("MC2",)},
    ),
)
PLANS = {plan.protocol: plan for plan in _PLANS}
PROTOCOLS = tuple(PLANS)

# Frames of train.txt and evaluation.txt, by the ending of the pictures (v2: png, v3: jpg); HO-3D's evaluation script.
RELEASED_FRAMES: dict[str, dict[Split, int]] = {
    "v2": {"train": 66_034, "evaluation": 11_524},
    "v3": {"train": 78_297, "evaluation": 20_137},
}


def expected_frames(protocol: str, split: Split, version: str) -> int | None:
    """How many frames a split of a complete HO-3D has; None where that is not published."""
    released = RELEASED_FRAMES[version]
    match protocol, split:
        case "ho3d/trainval", "train":
            return TRAINVAL_TRAINING_LINES
        case "ho3d/trainval", "validation":
            return released["train"] - TRAINVAL_TRAINING_LINES
        case (("ho3d/trainval" | "ho3d/official"), _):
            return released.get(split)
    return None


@dataclass(frozen=True)
class Ho3dFolder:
    """The files of a folder in HO-3D's layout, under one protocol."""

    root: Path
    plan: SplitPlan

    @cached_property
    def lists(self) -> dict[Place, list[FrameName]]:
        """The frames of `train.txt` and of `evaluation.txt`, in their order."""
        if not self.root.is_dir():
            raise DataError(f"expected a data set in HO-3D's layout, found no folder {self.root}")
        return {place: _read_list(self.root / f"{place}.txt") for place in PLACES}

    @cached_property
    def sequences(self) -> dict[Split, dict[str, list[int]]]:
        """The frames of each sequence of each split."""
        sequences: dict[Split, dict[str, list[int]]] = {split: {} for split in SPLITS}
        for split, names in self.names.items():
            for name in names:
                sequences[split].setdefault(name.sequence, []).append(name.index)
        return sequences

    @cached_property
    def names(self) -> dict[Split, list[FrameName]]:
        """Every frame of each split, in the order of its list.

        Raises `DataError` naming every sequence that the protocol has and the folder lacks.
        """
        train, evaluation = self.lists["train"], self.lists["evaluation"]
        match self.plan.splits:
            case "official":
                return {"train": train, "validation": [], "evaluation": evaluation}
            case "trainval":
                cut = TRAINVAL_TRAINING_LINES
                if len(train) <= cut:
                    raise DataError(
                        f"expected more than {cut} lines in {self.root / 'train.txt'} for the protocol "
                        f"{self.plan.protocol}, found {len(train)}; it needs the whole of HO-3D"
                    )
                return {"train": train[:cut], "validation": train[cut:], "evaluation": evaluation}
            case named:
                return self._named(named)

    def _named(self, splits: Mapping[Split, tuple[str, ...]]) -> dict[Split, list[FrameName]]:
        missing = self.missing_sequences()
        if missing:
            raise DataError(
                f"expected the sequences of the protocol {self.plan.protocol} under train/ or evaluation/ in "
                f"{self.root}, missing {len(missing)}: {', '.join(missing)}"
            )
        listed: dict[str, list[FrameName]] = {}
        for name in (*self.lists["train"], *self.lists["evaluation"]):
            listed.setdefault(name.sequence, []).append(name)
        return {
            split: [name for sequence in splits[split] for name in listed.get(sequence) or self._pictured(sequence)]
            for split in SPLITS
        }

    def missing_sequences(self) -> list[str]:
        """The sequences that the protocol names (or else the lists), and that the folder lacks."""
        if isinstance(self.plan.splits, str):
            wanted = {name.sequence for place in PLACES for name in self.lists[place]}
        else:
            wanted = {sequence for split in SPLITS for sequence in self.plan.splits[split]}
        return sorted(sequence for sequence in wanted if self._place_on_disk(sequence) is None)

    def _pictured(self, sequence: str) -> list[FrameName]:
        """The frames of a sequence that have a picture."""
        stems = {os.path.splitext(name)[0] for name in self._picture_names(sequence)}
        return [FrameName(sequence, int(stem)) for stem in sorted(stems) if re.fullmatch("[0-9]{4,8}", stem)]

    def unlisted(self, place: Place) -> list[FrameName]:
        """The frames that have a picture under `train/` or `evaluation/`, but are in neither list, by name."""
        listed = {name for names in self.lists.values() for name in names}
        try:
            sequences = sorted(entry.name for entry in os.scandir(self.root / place) if entry.is_dir())
        except OSError:
            return []
        return [name for sequence in sequences for name in self._pictured(sequence) if name not in listed]

    @cached_property
    def _places(self) -> dict[str, Place | None]:
        return {}

    def _place_on_disk(self, sequence: str) -> Place | None:
        if sequence not in self._places:
            places: list[Place] = [place for place in PLACES if os.path.isdir(self.root / place / sequence)]
            if len(places) > 1:
                raise DataError(
                    f"expected the sequence {sequence} under train/ or under evaluation/ in {self.root}, found both"
                )
            self._places[sequence] = places[0] if places else None
        return self._places[sequence]

    def place(self, sequence: str) -> Place:
        """The folder that a sequence lies in; where it lies in none, that of the list which names it."""
        return self._place_on_disk(sequence) or ("evaluation" if sequence in self._evaluated else "train")

    @cached_property
    def _evaluated(self) -> set[str]:
        return {name.sequence for name in self.lists["evaluation"]}

    @cached_property
    def _pictures(self) -> dict[str, frozenset[str]]:
        return {}

    def _picture_names(self, sequence: str) -> frozenset[str]:
        if sequence not in self._pictures:
            try:
                names = os.listdir(self._picture_folder(sequence))
            except (FileNotFoundError, NotADirectoryError):
                names = []
            self._pictures[sequence] = frozenset(names)
        return self._pictures[sequence]

    def picture_ending(self, name: FrameName) -> str | None:
        """`jpg`, `png`, or None where a frame has no picture."""
        names, stem = self._picture_names(name.sequence), f"{name.index:04d}."
        for ending in PICTURE_ENDINGS:
            if stem + ending in names:
                return ending
        return None

    def picture(self, name: FrameName) -> Path:
        """Where a frame's picture lies, or would lie."""
        ending = self.picture_ending(name) or PICTURE_ENDINGS[0]
        return self._picture_folder(name.sequence) / f"{name.index:04d}.{ending}"

    def _picture_folder(self, sequence: str) -> Path:
        if sequence not in self._picture_folders:  # a path from five parts for every frame would take seconds
            self._picture_folders[sequence] = self.root / self.place(sequence) / sequence / "rgb"
        return self._picture_folders[sequence]

    @cached_property
    def _picture_folders(self) -> dict[str, Path]:
        return {}

    def meta(self, name: FrameName) -> Path:
        """Where a frame's annotation lies, or would lie."""
        return self.root / self._meta_file(name)

    def _meta_file(self, name: FrameName) -> str:
        return f"{self.place(name.sequence)}/{name.sequence}/meta/{name.index:04d}.pkl"

    @cached_property
    def _facts(self) -> dict[Split, dict[str, dict[int, MetaFacts]]]:
        return {}

    @cached_property
    def _manifest(self) -> Manifest:
        return Manifest.open(self.root, FACTS_KIND)

    def facts(self, split: Split) -> dict[str, dict[int, MetaFacts]]:
        """The facts of the annotation files of a split, by sequence and frame; broken files are left out.

        All are read the first time.
        """
        if split not in self._facts:
            files = {self._meta_file(name): name for name in self.names[split]}
            known: dict[str, dict[int, MetaFacts]] = {sequence: {} for sequence in self.sequences[split]}
            for file, values in self._manifest.facts(files, read_facts).items():
                name = files[file]
                known[name.sequence][name.index] = MetaFacts._make(values)
            self._facts[split] = known
        return self._facts[split]

    @cached_property
    def _splits_of(self) -> dict[str, list[Split]]:
        splits: dict[str, list[Split]] = {}
        for split in SPLITS:
            for sequence in self.sequences[split]:
                splits.setdefault(sequence, []).append(split)
        return splits

    def facts_of(self, name: FrameName) -> MetaFacts:
        """The facts of a frame's annotation file. Raises `DataError` when it is broken."""
        for split in self._splits_of.get(name.sequence, ()):
            facts = self.facts(split)[name.sequence].get(name.index)
            if facts is not None:
                return facts
            broken = self._manifest.broken.get(self._meta_file(name))
            if broken is not None:
                raise broken
        return NO_FACTS

    def nearest(self, name: FrameName, has: Literal["camera", "object_name"]) -> FrameName | None:
        """The nearest frame of the same sequence (of two the earlier) that has a camera or an object's name."""
        indices = [
            index
            for split in self._splits_of.get(name.sequence, ())
            for index, facts in self.facts(split)[name.sequence].items()
            if (facts.has_camera if has == "camera" else facts.object_name is not None)
        ]
        if not indices:
            return None
        return FrameName(name.sequence, min(indices, key=lambda index: (abs(index - name.index), index)))


def _read_list(path: Path) -> list[FrameName]:
    """The lines SEQUENCE/NUMBER of a list."""
    try:
        lines = read_text(path).split()
    except FileNotFoundError as error:
        raise DataError(
            f"expected HO-3D's list {path.name} in {path.parent}, found none; is this the folder of HO-3D?"
        ) from error
    names: dict[FrameName, None] = {}
    for number, line in enumerate(lines, start=1):
        match = LIST_LINE.fullmatch(line)
        if match is None:
            raise DataError(f"expected SEQUENCE/NUMBER in line {number} of {path}, found {line[:40]!r}")
        name = FrameName(match[1], int(match[2]))
        if name in names:
            raise DataError(f"expected each frame once in {path}, found {line} again in line {number}")
        names[name] = None
    return list(names)
