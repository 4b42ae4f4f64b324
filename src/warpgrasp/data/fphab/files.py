"""The annotation files of a sequence of FPHAB: `skeleton.txt`, `object_pose.txt`, and the MANO fits in `pkls.pkl`.

Skeletons and object poses are in the frame of the depth camera ("world"), in millimetres; here they are carried to the
colour camera, which took the pictures: OpenCV axes, metres.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from warpgrasp.checked import Entry
from warpgrasp.errors import DataError
from warpgrasp.geometry import Camera
from warpgrasp.hand import FINGERS, JOINTS, permutation
from warpgrasp.pickled import PickleError, load_pickle

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
        lines = path.read_text(encoding="ascii").splitlines()
    except FileNotFoundError as error:
        raise DataError(f"expected the annotation {path}, found no such file") from error
    except (UnicodeDecodeError, OSError) as error:
        raise DataError(f"expected rows of numbers in {path}: {error}") from error
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
