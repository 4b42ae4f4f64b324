"""The annotation files of a sequence: `skeleton.txt`, `object_pose.txt`, and the MANO fits in `pkls.pkl`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from warpgrasp.data.errors import DataError
from warpgrasp.data.fields import tensor
from warpgrasp.data.fphab.calibration import colour_from_world, colour_points_m
from warpgrasp.hand import JOINTS, permutation
from warpgrasp.hand.skeleton import FINGERS
from warpgrasp.pickled import PickleError, load_pickle

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


def read_skeleton(path: Path) -> Float[Tensor, "n 21 3"]:
    """The joints of each frame in the order of `JOINTS`, in metres, in the frame of the colour camera.

    An empty file is a sequence without frames. Raises `DataError` naming the file and the row.
    """
    rows = _rows(path, columns=1 + 3 * len(FPHAB_JOINTS))
    wrong = np.flatnonzero(rows[:, 0] != np.arange(len(rows)))
    if len(wrong):
        raise DataError(
            f"expected frame {wrong[0]} in row {wrong[0] + 1} of {path}, found frame {rows[wrong[0], 0]:g}; the frames "
            f"of a skeleton file are counted from 0 without gaps"
        )
    world_mm = torch.from_numpy(rows[:, 1:]).reshape(len(rows), len(FPHAB_JOINTS), 3)
    return colour_points_m(world_mm)[:, permutation(JOINTS, from_=FPHAB_JOINTS)].float()


def read_object_poses(path: Path) -> dict[int, Float[Tensor, "4 4"]]:
    """The rigid transform from the mesh file's coordinates to the colour camera, in metres, of each frame that has one.

    Raises `DataError` naming the file and the row.
    """
    rows = _rows(path, columns=17)
    world_from_object = rows[:, 1:].reshape(-1, 4, 4).transpose(0, 2, 1)  # the file runs down the columns
    for number, (frame, pose) in enumerate(zip(rows[:, 0], world_from_object, strict=True), start=1):
        if not (frame == int(frame) and 0 <= frame <= LARGEST_FRAME):
            raise DataError(f"expected a frame's number first in row {number} of {path}, found {frame:g}")
        rotation = pose[:3, :3]
        rigid = np.abs(rotation @ rotation.T - np.eye(3)).max() < ROTATION_TOLERANCE and np.linalg.det(rotation) > 0
        if not (rigid and np.abs(pose[3] - [0, 0, 0, 1]).max() < ROTATION_TOLERANCE):
            raise DataError(
                f"expected a rigid transform, written column by column, in row {number} of {path}, found another matrix"
            )
    frames = [int(frame) for frame in rows[:, 0]]
    if len(set(frames)) < len(frames):
        raise DataError(f"expected each frame once in {path}, found {len(frames) - len(set(frames))} of them repeated")
    return dict(zip(frames, colour_from_world(torch.from_numpy(world_from_object.copy())).float(), strict=True))


def _rows(path: Path, *, columns: int) -> np.ndarray:
    """Rows of finite numbers, float64 (n, columns)."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except FileNotFoundError as error:
        raise DataError(f"expected the annotation {path}, found no such file") from error
    except (UnicodeDecodeError, OSError) as error:
        raise DataError(f"expected rows of numbers in {path}: {error}") from error
    words = [line.split() for line in lines]
    rows = [row for row in words if row]
    wrong = next((number for number, row in enumerate(words, start=1) if row and len(row) != columns), None)
    if wrong is not None:
        raise DataError(f"expected {columns} numbers in row {wrong} of {path}, found {len(words[wrong - 1])}")
    try:
        numbers = np.array([[float(word) for word in row] for row in rows], dtype=np.float64).reshape(-1, columns)
    except ValueError as error:
        raise DataError(f"expected rows of numbers in {path}: {error}") from error
    if not (np.abs(numbers) <= LARGEST_MM).all():  # also NaN
        raise DataError(f"expected numbers of at most {LARGEST_MM:g} (mm) in {path}, found larger ones or NaN")
    return numbers


@dataclass(frozen=True)
class ManoFit:
    """The hand model's parameters in a frame, in metres, in the frame of the colour camera."""

    rotation: Float[Tensor, " 3"]
    pose: Float[Tensor, " 45"]
    shape: Float[Tensor, " s"]
    translation: Float[Tensor, " 3"]


def read_mano_fits(path: Path, *, shape_count: int) -> dict[int, ManoFit]:
    """The fits of a sequence's frames; none when the file does not exist.

    Poses are axis-angle vectors from the flat hand, without pose components or mean. Raises `DataError` naming the file
    and the frame.
    """
    try:
        content = load_pickle(path)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except PickleError as error:
        raise DataError(str(error)) from error
    except OSError as error:
        raise DataError(f"expected the fits of a sequence in {path}: {error}") from error
    if not isinstance(content, dict):
        raise DataError(f"expected a dictionary of frames in {path}, found a {type(content).__name__}")
    return {_frame_of(key, path): _fit_of(value, key, path, shape_count) for key, value in content.items()}


def _frame_of(key: Any, path: Path) -> int:
    stem, dot, ending = key.partition(".") if isinstance(key, str) else ("", "", "")
    if not (stem.isascii() and stem.isdigit() and len(stem) == 6 and f"{dot}{ending}" == ".pkl"):
        raise DataError(f"expected frames like 000012.pkl in {path}, found {str(key)[:40]!r}")
    return int(stem)


def _fit_of(value: Any, key: str, path: Path, shape_count: int) -> ManoFit:
    if not isinstance(value, Mapping):
        raise DataError(f"expected a dictionary for frame {key} in {path}, found a {type(value).__name__}")
    pose = tensor(value, "fullpose", (48,), path)
    shape = tensor(value, "shape", (shape_count,), path)
    fit = ManoFit(pose[:3], pose[3:], shape, tensor(value, "trans", (3,), path))
    largest = max(float(part.abs().max()) for part in (fit.rotation, fit.pose, fit.shape, fit.translation))
    if not largest < LARGEST_PARAMETER:
        raise DataError(f"expected radians, metres and shape units for frame {key} in {path}, found {largest:g}")
    return fit
