"""The files of FPHAB: its splits, and the annotations of a sequence.

The splits are those of its list for action recognition, and those by subject. The annotations are `skeleton.txt`,
`object_pose.txt` and the MANO fits in `pkls.pkl`. Skeletons and object poses are in the frame of the depth camera
("world"), in millimetres; here they are carried to the colour camera, which took the pictures: OpenCV axes, metres.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial import KDTree
from torch import Tensor

from warpgrasp.bounded import read_text
from warpgrasp.checked import Entry
from warpgrasp.data.dataset import Split
from warpgrasp.errors import DataError
from warpgrasp.geometry import Camera
from warpgrasp.hand import FINGERS, JOINTS, permutation
from warpgrasp.pickled import PickleError, load_pickle

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
FULL_SIZE = (1920, 1080)  # width, height, at which the intrinsics are given
REDUCED_SIZE = (480, 270)  # of the copies in Video_files_480
M_PER_MM = 1e-3
COLOUR_INTRINSICS = ((1395.749023, 0.0, 935.732544), (0.0, 1395.749268, 540.681030), (0.0, 0.0, 1.0))  # px
COLOUR_FROM_WORLD_MM = (
    (0.999988496304, -0.00468848412856, 0.000982563360594, 25.7),
    (0.00469115935266, 0.999985218048, -0.00273845880292, 1.22),
    (-0.000969709653873, 0.00274303671904, 0.99999576807, 3.902),
    (0.0, 0.0, 0.0, 1.0),
)


@dataclass(frozen=True)
class ActionSplit:
    """The sequences (`Subject_1/put_salt/2`) of the list, of all actions, in its order."""

    train: tuple[str, ...]
    evaluation: tuple[str, ...]

    @property
    def size(self) -> str:
        """How many sequences there are, beside what is expected."""
        return (
            f"{LIST}: {len(self.train)} + {len(self.evaluation)} sequences of all actions "
            f"(expected: {EXPECTED_TRAIN[0]} or {EXPECTED_TRAIN[1]} + {EXPECTED_EVALUATION})"
        )


def read_action_split(path: Path) -> ActionSplit:
    """Read `data_split_action_recognition.txt`: `Training N`, sequences with their class, `Test N`, sequences.

    Raises `DataError` naming the line that is not as documented.
    """
    try:
        lines = read_text(path).splitlines()
    except FileNotFoundError as error:
        raise DataError(
            f"expected FPHAB's list {path.name} in {path.parent}, found none; is this its folder?"
        ) from error
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


def colour_camera() -> Camera:
    """The camera of a full-size picture."""
    return Camera(torch.tensor(COLOUR_INTRINSICS), *FULL_SIZE)


def colour_from_world(pose_mm: Float[Tensor, "*n 4 4"]) -> Float[Tensor, "*n 4 4"]:
    """Rigid transforms into the world (translation in mm) carried on to the colour camera (translation in m)."""
    pose = torch.tensor(COLOUR_FROM_WORLD_MM, dtype=torch.float64).to(pose_mm) @ pose_mm
    metres = torch.tensor([1.0, 1.0, 1.0, M_PER_MM], dtype=torch.float64).to(pose_mm)
    return torch.cat([pose[..., :3, :] * metres, pose[..., 3:, :]], dim=-2)


def colour_points_m(world_mm: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
    """Points of the world, in mm, as points of the colour camera, in m."""
    extrinsic = torch.tensor(COLOUR_FROM_WORLD_MM, dtype=torch.float64).to(world_mm)
    return M_PER_MM * (world_mm @ extrinsic[:3, :3].T + extrinsic[:3, 3])


# A row's joints: the wrist, the five knuckles, then the rest of each finger (MCP, PIP, DIP, TIP are our 1, 2, 3, tip).
FPHAB_JOINTS = (
    "wrist",
    *(f"{finger}_1" for finger in FINGERS),
    *(f"{finger}_{part}" for finger in FINGERS for part in ("2", "3", "tip")),
)
ROTATION_TOLERANCE = 1e-2  # poses are written with few digits
LARGEST_MM = 10_000.0  # nothing that is held in a hand lies farther away
LARGEST_FRAME = 9999  # a picture's name has four digits
NEAR_M = 0.010  # from a vertex of the object to one of the 21 joints, as obman_train measures it
LARGEST_PARAMETER = 100.0  # radians, metres, standard deviations: all are of the order of one


T = TypeVar("T")


@dataclass(frozen=True)
class PerFrame(Generic[T]):
    """A file's values of each frame, and the errors of frames whose part of the file is broken."""

    values: dict[int, T]
    broken: dict[int, DataError]

    def __contains__(self, frame: int) -> bool:
        """Whether the file has a part for a frame, broken or not."""
        return frame in self.values or frame in self.broken

    def of(self, frame: int) -> T:
        """The value of a frame that the file has. Raises the frame's `DataError` where its part is broken."""
        if frame in self.broken:
            raise self.broken[frame]
        return self.values[frame]


def read_skeleton(path: Path) -> PerFrame[Float[Tensor, "21 3"]]:
    """The joints of each frame in the order of `JOINTS`, in metres, in the frame of the colour camera.

    An empty file is a sequence without frames. Raises `DataError` naming the file and the row when it cannot be told
    which frames there are; a row that is broken otherwise concerns its frame alone.
    """
    rows = _rows(path, columns=1 + 3 * len(FPHAB_JOINTS))
    wrong = next((number for number, frame in enumerate(rows.frames) if frame != number), None)
    if wrong is not None:
        raise DataError(
            f"expected frame {wrong} in row {wrong + 1} of {path}, found frame {rows.frames[wrong]}; the frames of a "
            f"skeleton file are counted from 0 without gaps"
        )
    world_mm = torch.from_numpy(rows.numbers).reshape(-1, len(FPHAB_JOINTS), 3)
    return rows.of_whole(colour_points_m(world_mm)[:, permutation(JOINTS, from_=FPHAB_JOINTS)].float())


def read_object_poses(path: Path) -> PerFrame[Float[Tensor, "4 4"]]:
    """The rigid transform from the mesh file's coordinates to the colour camera, in metres, of each frame that has one.

    Raises `DataError` as `read_skeleton` does.
    """
    rows = _rows(path, columns=1 + 16)
    world_from_object = rows.numbers.reshape(-1, 4, 4).transpose(0, 2, 1)  # the file runs down the columns
    for number, (frame, pose) in enumerate(zip(rows.frames, world_from_object, strict=True), start=1):
        rotation = pose[:3, :3]
        rigid = np.abs(rotation @ rotation.T - np.eye(3)).max() < ROTATION_TOLERANCE and np.linalg.det(rotation) > 0
        if frame not in rows.broken and not (rigid and np.abs(pose[3] - [0, 0, 0, 1]).max() < ROTATION_TOLERANCE):
            rows.broken[frame] = DataError(
                f"expected a rigid transform, written column by column, in row {number} of {path}, found another matrix"
            )
    repeated = len(rows.frames) - len(set(rows.frames))
    if repeated:
        raise DataError(f"expected each frame once in {path}, found {repeated} of them repeated")
    return rows.of_whole(colour_from_world(torch.from_numpy(world_from_object.copy())).float())


@dataclass(frozen=True)
class SequenceAnnotation:
    """The annotation files of a sequence: joints of every frame, and the object's pose in some."""

    joints: PerFrame[Float[Tensor, "21 3"]]  # m, colour camera, order JOINTS
    poses: PerFrame[Float[Tensor, "4 4"]]  # from the mesh file's coordinates to the colour camera, m

    @property
    def frames(self) -> list[int]:
        """The frames that have both, in order, with those of which one is broken."""
        return sorted(frame for frame in (*self.poses.values, *self.poses.broken) if frame in self.joints)

    @property
    def without_joints(self) -> list[int]:
        """The frames that have a pose alone, in order."""
        return sorted(frame for frame in (*self.poses.values, *self.poses.broken) if frame not in self.joints)

    @property
    def whole_frames(self) -> list[int]:
        """The frames that have both whole, in order."""
        return sorted(frame for frame in self.poses.values if frame in self.joints.values)

    def far_frames(self, surface: KDTree) -> set[int]:
        """The whole frames without a joint near the object, whose vertices are given in the mesh file's coordinates."""
        far = set()
        for frame in self.whole_frames:
            joints, pose = self.of(frame)
            in_object = ((joints - pose[:3, 3]) @ pose[:3, :3]).double().numpy()
            if surface.query(in_object)[0].min() > NEAR_M:
                far.add(frame)
        return far

    def of(self, frame: int) -> tuple[Float[Tensor, "21 3"], Float[Tensor, "4 4"]]:
        """Joints and pose of one of the `frames`. Raises `DataError` where one of them is broken."""
        return self.joints.of(frame), self.poses.of(frame)


@dataclass(frozen=True)
class _Rows:
    """Rows of numbers, each after the number of its frame; zeros where a row is broken."""

    frames: list[int]
    numbers: Float[np.ndarray, "n c"]
    broken: dict[int, DataError]

    def of_whole(self, values: Float[Tensor, "n ..."]) -> PerFrame[Tensor]:
        """Values of all rows as those of the frames whose rows are whole."""
        whole = {frame: value for frame, value in zip(self.frames, values, strict=True) if frame not in self.broken}
        return PerFrame(whole, self.broken)


def _rows(path: Path, *, columns: int) -> _Rows:
    try:
        lines = read_text(path, "ascii").splitlines()
    except FileNotFoundError as error:
        raise DataError(f"expected the annotation {path}, found no such file") from error
    rows = [row for row in map(str.split, lines) if row]
    if len(rows) > LARGEST_FRAME + 1:
        raise DataError(f"expected a row for each of at most {LARGEST_FRAME + 1} frames in {path}, found {len(rows)}")
    frames, numbers, broken = [], np.zeros((len(rows), columns - 1)), {}
    for number, words in enumerate(rows, start=1):
        frames.append(_frame_number(words[0], f"row {number} of {path}"))
        key = f"row {number}, after the frame's number,"
        row = Entry({key: [_number(word) for word in words[1:]]}, path)
        try:
            numbers[number - 1] = row.numbers(key, (columns - 1,), most=LARGEST_MM)
        except DataError as error:
            broken[frames[-1]] = error
    return _Rows(frames, numbers, broken)


def _frame_number(word: str, where: str) -> int:
    frame = _number(word)
    if not (isinstance(frame, float) and 0 <= frame <= LARGEST_FRAME and frame == int(frame)):
        raise DataError(f"expected a frame's number first in {where}, found {word[:40]!r}")
    return int(frame)


def _number(word: str) -> float | str:
    """The number that a word is; a word that is none stays. (Python would read over an underscore.)"""
    try:
        return word if "_" in word else float(word)
    except ValueError:
        return word


@dataclass(frozen=True)
class ManoFit:
    """The hand model's parameters in a frame, in metres, in the frame of the colour camera."""

    rotation: Float[Tensor, " 3"]
    pose: Float[Tensor, " 45"]
    shape: Float[Tensor, " s"]
    translation: Float[Tensor, " 3"]


def read_mano_fits(path: Path, *, shape_count: int) -> PerFrame[ManoFit]:
    """The fits of a sequence's frames; none when the file does not exist.

    Poses are axis-angle vectors from the flat hand, without pose components or mean. Raises `DataError` naming the file
    when it is none; a fit that is broken concerns its frame alone.
    """
    try:
        content = load_pickle(path)
    except (FileNotFoundError, NotADirectoryError):
        return PerFrame({}, {})
    except PickleError as error:
        raise DataError(str(error)) from error
    except OSError as error:
        raise DataError(f"expected the fits of a sequence in {path}: {error}") from error
    frames = Entry.of(content, path, unit_axes=True)
    fits, broken = {}, {}
    for key in frames.values:
        frame = _frame_of(key, path)
        try:
            fits[frame] = _fit_of(frames.entry(key), shape_count)
        except DataError as error:
            broken[frame] = error
    return PerFrame(fits, broken)


def _frame_of(key: str, path: Path) -> int:
    if re.fullmatch(r"[0-9]{6}\.pkl", key) is None:
        raise DataError(f"expected frames like 000012.pkl in {path}, found {key[:40]!r}")
    return int(key[:6])


def _fit_of(fit: Entry, shape_count: int) -> ManoFit:
    pose, shape, translation = (
        fit.tensor(key, (count,), most=LARGEST_PARAMETER)
        for key, count in (("fullpose", 48), ("shape", shape_count), ("trans", 3))
    )
    return ManoFit(pose[:3], pose[3:], shape, translation)
