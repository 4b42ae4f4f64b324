"""DexYCB's `labels_*.npz`: object poses, hand pose and joints of one picture.

DexYCB's small YAML files, read with suspicion: what a sequence shows, a camera's intrinsics, a hand's shape.
"""

import io
import re
import tokenize
import warnings
import zipfile
import zlib
from dataclasses import dataclass
from lzma import LZMAError
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from jaxtyping import Float
from torch import Tensor

from warpgrasp.data.dexycb.splits import OBJECTS, SERIALS
from warpgrasp.data.fields import value_of
from warpgrasp.errors import DataError
from warpgrasp.geometry import Camera
from warpgrasp.hand import Side

LARGEST_ARRAY_BYTES = 65_536  # the poses of 21 objects have 1,136
LARGEST_VALUE = 1e4
NO_HAND_JOINT = -1.0

# What zip files and arrays raise when they are broken.
BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    LZMAError,
    tokenize.TokenError,
    OSError,
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    SyntaxError,
    ArithmeticError,
    MemoryError,
    RuntimeError,  # encrypted, unknown compression, too deep
)


@dataclass(frozen=True)
class Labels:
    """What is known of one picture: OpenCV camera axes, metres."""

    object_poses: Float[Tensor, "n 3 4"]  # camera_from_object; all 0 where an object has none
    hand: Float[Tensor, " 51"]  # root rotation (axis-angle), 45 coefficients of the pose space, translation
    joints: Float[Tensor, "21 3"]  # in the order of JOINTS

    @property
    def has_hand(self) -> bool:
        """Whether the hand is given: joints of -1 and a pose of 0 mean that it is not."""
        return not bool((self.joints == NO_HAND_JOINT).all() or (self.hand == 0).all())

    @property
    def has_object(self) -> list[bool]:
        """Whether the pose of each object is given."""
        return (self.object_poses != 0).any(dim=2).any(dim=1).tolist()

    @property
    def given(self) -> str:
        """What is given, as a word of 1 and 0: the hand, then each object."""
        return "".join("1" if one else "0" for one in (self.has_hand, *self.has_object))


def read_labels(path: Path) -> Labels:
    """Read a labels file, all but its segmentation.

    Raises `DataError` naming the file and the fact.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return Labels(
                _array(archive, "pose_y", (None, 3, 4), path),
                _array(archive, "pose_m", (1, 51), path)[0],
                _array(archive, "joint_3d", (1, 21, 3), path)[0],
            )
    except FileNotFoundError as error:
        raise DataError(f"expected the labels {path}, found no such file") from error
    except BROKEN as error:
        if isinstance(error, DataError):
            raise
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise DataError(f"expected the arrays of a labels file in {path}, but it cannot be read: {reason}") from error


def _array(archive: zipfile.ZipFile, key: str, shape: tuple[int | None, ...], path: Path) -> Tensor:
    """One array of that shape, any where it says None. Its size is looked at first: no zip bomb is unpacked."""
    if f"{key}.npy" not in archive.namelist():
        found = ", ".join(sorted(name.removesuffix(".npy") for name in archive.namelist()))[:200] or "nothing"
        raise DataError(f"expected the array {key} in {path}, found {found}")
    if archive.getinfo(f"{key}.npy").file_size > LARGEST_ARRAY_BYTES:
        raise DataError(f"expected the small array {key} in {path}, found one above {LARGEST_ARRAY_BYTES} bytes")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd headers, which are judged by what comes out
        array = np.lib.format.read_array(io.BytesIO(archive.read(f"{key}.npy")), allow_pickle=False)
    if array.ndim != len(shape) or any(n not in (None, m) for n, m in zip(shape, array.shape, strict=True)):
        raise DataError(f"expected {key} of shape {str(shape).replace('None', 'n')} in {path}, found {array.shape}")
    if array.dtype.kind != "f":
        raise DataError(f"expected floating-point numbers in {key} of {path}, found {array.dtype}")
    if not np.isfinite(array).all():
        raise DataError(f"expected finite numbers in {key} of {path}, found NaN or infinity")
    if not (abs(array) < LARGEST_VALUE).all():
        raise DataError(f"expected metres and radians in {key} of {path}, found {abs(array).max():g}")
    return torch.from_numpy(array.astype(np.float32))


WIDTH_PX, HEIGHT_PX = 640, 480  # of every picture; the intrinsics are of this size
LARGEST_FILE_BYTES = 65_536  # the real ones have some hundred
LARGEST_ALIASES = 16  # the real ones have none; a few cannot make a short file build something huge
MOST_FRAMES = 10_000


# Either refuses tags that would call anything; the compiled one, where it is there, is six times as fast.
SAFE_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Recording:
    """One sequence of a subject, filmed by several cameras at once (its `meta.yml`)."""

    folder: Path
    frames: int
    serials: tuple[str, ...]
    objects: tuple[str, ...]  # in view, in the order of the labels' poses
    grasped: int  # which of them
    side: Side
    shape_calibration: str

    @property
    def grasped_object(self) -> str:
        """The name of the object in the hand."""
        return self.objects[self.grasped]


def read_recording(folder: Path) -> Recording:
    """Read a sequence's `meta.yml`. Raises `DataError` naming the file and the fact."""
    path = folder / "meta.yml"
    meta = read_yaml(path)
    serials = tuple(str(value) for value in _values(meta, "serials", (str, int), path))
    unknown = [serial for serial in serials if serial not in SERIALS]
    if unknown:
        raise DataError(f"expected serials of DexYCB's cameras in {path}, found {unknown[0][:40]!r}")
    classes = _values(meta, "ycb_ids", (int,), path)
    if not classes or not all(1 <= number <= len(OBJECTS) for number in classes):
        raise DataError(f"expected object classes 1 to {len(OBJECTS)} in ycb_ids of {path}, found others or none")
    sides = _values(meta, "mano_sides", (str,), path)
    if len(sides) != 1 or sides[0] not in ("right", "left"):
        raise DataError(f"expected one hand, right or left, in mano_sides of {path}, found {str(sides)[:40]}")
    calibrations = _values(meta, "mano_calib", (str,), path)
    if len(calibrations) != 1 or not re.fullmatch(r"\w[\w.-]{0,99}", calibrations[0]):
        raise DataError(f"expected one name of a calibration in mano_calib of {path}, found {str(calibrations)[:40]}")
    return Recording(
        folder=folder,
        frames=_count(meta, "num_frames", MOST_FRAMES + 1, path),
        serials=tuple(serial for serial in SERIALS if serial in serials),
        objects=tuple(OBJECTS[number - 1] for number in classes),
        grasped=_count(meta, "ycb_grasp_ind", len(classes), path),
        side="right" if sides[0] == "right" else "left",
        shape_calibration=calibrations[0],
    )


def read_intrinsics(path: Path) -> Camera:
    """Read the colour camera of an intrinsics file (pixels). Raises `DataError` naming the file and the fact."""
    colour = value_of(read_yaml(path), "color", path)
    if not isinstance(colour, dict):
        raise DataError(f"expected fx, fy, ppx and ppy under color in {path}, found a {type(colour).__name__}")
    fx, fy, ppx, ppy = (
        _number(value_of(_named(colour, path), key, path), key, path) for key in ("fx", "fy", "ppx", "ppy")
    )
    if not (0 < fx < 1e5 and 0 < fy < 1e5 and abs(ppx) < 1e5 and abs(ppy) < 1e5):
        raise DataError(f"expected a camera in pixels in {path}, found fx {fx:g}, fy {fy:g}, ppx {ppx:g}, ppy {ppy:g}")
    return Camera(torch.tensor([[fx, 0, ppx], [0, fy, ppy], [0, 0, 1]]), WIDTH_PX, HEIGHT_PX)


def read_betas(path: Path, count: int) -> Float[Tensor, " s"]:
    """Read the shape parameters of a subject's hand. Raises `DataError` naming the file and the fact."""
    betas = [_number(value, "betas", path) for value in _values(read_yaml(path), "betas", (int, float), path)]
    if len(betas) != count:
        raise DataError(f"expected {count} betas, one for each shape of the hand model, in {path}, found {len(betas)}")
    return torch.tensor(betas)


def read_yaml(path: Path) -> dict[str, Any]:
    """The named values of a YAML file. Raises `DataError` naming the file when it is missing or something else."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE_BYTES + 1)
        if len(content) > LARGEST_FILE_BYTES:
            raise DataError(f"expected a file of at most {LARGEST_FILE_BYTES} bytes in {path}, found a larger one")
        if content.count(b"*") > LARGEST_ALIASES:
            raise DataError(f"expected plain YAML in {path}, found more than {LARGEST_ALIASES} aliases")
        values = yaml.load(content, Loader=SAFE_LOADER)
    except FileNotFoundError as error:
        raise DataError(f"expected {path}, found no such file") from error
    # What SafeLoader lets through from its own constructors: impossible dates, unhashable keys, long digits, depth.
    except (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, RecursionError, OSError) as error:
        if isinstance(error, DataError):
            raise
        reason = " ".join(str(error).split())[:300]
        raise DataError(f"expected plain YAML in {path}: {reason}") from error
    return _named(values, path)


def _named(values: Any, path: Path) -> dict[str, Any]:
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise DataError(f"expected named values in {path}, found a {type(values).__name__}")
    return values


def _values(fields: dict[str, Any], key: str, kinds: tuple[type, ...], path: Path) -> list[Any]:
    """A list of plain values; a deeper one is refused before anything looks into it."""
    values = value_of(fields, key, path)
    names = " or ".join(kind.__name__ for kind in kinds)
    if not isinstance(values, list) or not all(type(value) in kinds for value in values):
        raise DataError(f"expected a list of {names} as {key} in {path}, found something else")
    return values


def _count(fields: dict[str, Any], key: str, end: int, path: Path) -> int:
    value = value_of(fields, key, path)
    if type(value) is not int or not 0 <= value < end:
        raise DataError(f"expected a whole number from 0 to {end - 1} as {key} in {path}, found something else")
    return value


def _number(value: Any, key: str, path: Path) -> float:
    if type(value) not in (int, float) or not abs(value) < 1e9:  # which NaN is not
        raise DataError(f"expected a finite number as {key} in {path}, found something else")
    return float(value)
