"""The splits of FPHAB: those of its list for action recognition, and those by subject."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from warpgrasp.data.dataset import Split
from warpgrasp.errors import DataError

PROTOCOLS = ("fphab/actions", "fphab/subjects", "fphab/subjects-near-10mm")
LIST = "data_split_action_recognition.txt"
OBJECTS = ("juice_bottle", "liquid_soap", "milk", "salt")  # the only ones with 6D poses
DISCARDED = "Subject_5/use_flash/6"  # a sequence without frames, left out by all who use the list
TRAIN_SUBJECTS = ("Subject_1", "Subject_3", "Subject_4")
# Sequences of the list, over all 45 actions: 600 in training as published, 599 without the discarded one.
EXPECTED_TRAIN, EXPECTED_EVALUATION = (600, 599), 575
# Frames with a 6D pose of one of the four objects; from memory of the published work, so shown and never enforced.
EXPECTED_FRAMES = {"train": 10503, "evaluation": 10998}
SEQUENCE = re.compile(r"(Subject_[1-6])/([a-z]+(?:_[a-z]+)*)/([0-9]{1,3})")


@dataclass(frozen=True)
class ActionSplit:
    """The sequences (`Subject_1/put_salt/2`) of the list, of all actions, in its order."""

    train: tuple[str, ...]
    evaluation: tuple[str, ...]


def read_action_split(path: Path) -> ActionSplit:
    """Read `data_split_action_recognition.txt`: `Training N`, sequences with their class, `Test N`, sequences.

    Raises `DataError` naming the line that is not as documented.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as error:
        raise DataError(
            f"expected FPHAB's list {path.name} in {path.parent}, found none; is this its folder?"
        ) from error
    except (UnicodeDecodeError, OSError) as error:
        raise DataError(f"expected FPHAB's list of sequences in {path}: {error}") from error
    if not lines or not lines[0].startswith("Training"):
        raise DataError(f"expected FPHAB's list of sequences, beginning with `Training`, in {path}")
    sections: list[list[str]] = [[]]
    seen: set[str] = set()
    for number, line in enumerate(lines[1:], start=2):
        if line.startswith("Test"):
            sections.append([])
        elif line.strip():
            sequence = line.split()[0]
            if SEQUENCE.fullmatch(sequence) is None or sequence in seen:
                raise DataError(
                    f"expected a new Subject_K/ACTION/NUMBER in line {number} of {path}, found {line[:60]!r}"
                )
            seen.add(sequence)
            sections[-1].append(sequence)
    if len(sections) != 2:
        raise DataError(f"expected one line `Test` in {path}, found {len(sections) - 1}")
    train, evaluation = (tuple(sequence for sequence in section if sequence != DISCARDED) for section in sections)
    return ActionSplit(train, evaluation)


def object_of(sequence: str) -> str:
    """The object that a sequence's action names: `Subject_1/open_juice_bottle/2` shows the juice bottle."""
    action = sequence.split("/")[1]
    return action.partition("_")[2]


def split_sequences(listed: ActionSplit, protocol: str) -> Iterator[tuple[Split, str]]:
    """Every sequence of the four objects with its split, in the order of the list."""
    parts: tuple[tuple[Split, tuple[str, ...]], ...] = (("train", listed.train), ("evaluation", listed.evaluation))
    for split, sequences in parts:
        for sequence in sequences:
            if object_of(sequence) not in OBJECTS:
                continue
            if protocol == "fphab/actions":
                yield split, sequence
            else:
                yield ("train" if sequence.startswith(TRAIN_SUBJECTS) else "evaluation"), sequence
