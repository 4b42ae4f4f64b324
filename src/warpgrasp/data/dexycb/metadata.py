"""DexYCB's small YAML files, read with suspicion: what a sequence shows, a camera's intrinsics, a hand's shape."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from jaxtyping import Float
from torch import Tensor

from warpgrasp.data.dexycb.setups import OBJECTS, SERIALS
from warpgrasp.data.errors import DataError
from warpgrasp.data.fields import value_of
from warpgrasp.geometry import Camera
from warpgrasp.hand.open_hand import Side

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
