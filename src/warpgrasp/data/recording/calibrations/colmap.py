"""COLMAP's cameras, `cameras.txt` and `cameras.bin` (doc/format.rst and src/colmap/sensor/models.h of COLMAP).

COLMAP calls the centre of the top-left pixel (0.5, 0.5). Its distorted models are OpenCV's with the same order.
"""

import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from warpgrasp.data.recording.calibrations.calibrated import CalibratedCamera, pinhole, whole_side
from warpgrasp.data.recording.calibrations.content import Content
from warpgrasp.data.recording.distortion import DistortionModel
from warpgrasp.errors import DataError

FORMAT = "COLMAP"
LINE = re.compile(r"^\s*\d+\s+[A-Z][A-Z_]+\s+\d+\s+\d+(\s+\S+)+\s*$")
LARGEST_COUNT = 1_000_000


@dataclass(frozen=True)
class ColmapModel:
    """A camera model: how many parameters, one focal length or two, and what the others are."""

    number: int
    parameters: int
    focal_lengths: int = 2
    model: DistortionModel | None = "opencv"  # None: there is no such model here
    distortion: Callable[[Sequence[float]], tuple[float, ...]] = tuple


def _radial(values: Sequence[float]) -> tuple[float, ...]:
    return (values[0], values[1] if len(values) > 1 else 0.0, 0.0, 0.0)


def _fisheye(values: Sequence[float]) -> tuple[float, ...]:
    return (*values, *[0.0] * (4 - len(values)))


MODELS = {
    "SIMPLE_PINHOLE": ColmapModel(0, 3, 1),
    "PINHOLE": ColmapModel(1, 4),
    "SIMPLE_RADIAL": ColmapModel(2, 4, 1, distortion=_radial),
    "RADIAL": ColmapModel(3, 5, 1, distortion=_radial),
    "OPENCV": ColmapModel(4, 8),
    "OPENCV_FISHEYE": ColmapModel(5, 8, model="fisheye", distortion=_fisheye),
    "FULL_OPENCV": ColmapModel(6, 12),
    "FOV": ColmapModel(7, 5, model=None),
    "SIMPLE_RADIAL_FISHEYE": ColmapModel(8, 4, 1, "fisheye", _fisheye),
    "RADIAL_FISHEYE": ColmapModel(9, 5, 1, "fisheye", _fisheye),
    "THIN_PRISM_FISHEYE": ColmapModel(10, 12, model=None),
    "RAD_TAN_THIN_PRISM_FISHEYE": ColmapModel(11, 16, model=None),
}
READ = tuple(name for name, model in MODELS.items() if model.model is not None)


def recognised(content: Content) -> bool:
    """Whether a text has COLMAP's lines, or bytes the layout of its binary file."""
    if content.text is not None:
        return content.entry is None and any(LINE.match(line) for line in content.text.splitlines()[:200])
    return _looks_binary(content.raw)


def cameras(content: Content) -> list[CalibratedCamera]:
    """The cameras of a file. Raises `DataError` for a model that there is none of here, and for what is cut off."""
    if content.text is None:
        return _binary(content.raw, content.path)
    lines = [line.split() for line in content.text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    found = []
    for words in lines:
        if len(words) < 5 or not words[0].isdecimal():
            raise DataError(
                f"expected `CAMERA_ID MODEL WIDTH HEIGHT PARAMS…` in {content.path}, found {' '.join(words)[:80]}"
            )
        try:
            numbers = [float(word) for word in words[2:]]
        except ValueError as error:
            raise DataError(f"expected numbers for camera {words[0][:20]} in {content.path}: {error}") from error
        found.append(_camera(words[0][:20], words[1], numbers[:2], numbers[2:], content.path))
    return found


def camera_of_model(
    model_name: str, parameters: Sequence[float], where: str
) -> tuple[Sequence[float], Sequence[float], DistortionModel, tuple[float, ...]]:
    """(fx, fy), (cx, cy), the model and its coefficients. Raises `DataError` for what is not read, by its name."""
    model = MODELS.get(model_name)
    if model is None or model.model is None:
        raise DataError(
            f"expected a camera model that is read ({', '.join(READ)}) for {where}, found {model_name[:40]}; let "
            f"COLMAP undistort the pictures (colmap image_undistorter), or estimate OPENCV or OPENCV_FISHEYE instead"
        )
    if len(parameters) != model.parameters:
        raise DataError(f"expected {model.parameters} parameters of {model_name} for {where}, found {len(parameters)}")
    focal_px = [parameters[0], parameters[model.focal_lengths - 1]]
    centre_px = parameters[model.focal_lengths : model.focal_lengths + 2]
    rest = parameters[model.focal_lengths + 2 :]
    distortion = model.distortion(rest) if rest else ()
    return focal_px, centre_px, model.model, distortion if model.model == "fisheye" or any(distortion) else ()


def _camera(
    name: str, model_name: str, size: Sequence[float], parameters: Sequence[float], path: Path
) -> CalibratedCamera:
    where = f"camera {name} in {path}"
    focal_px, centre_px, model, distortion = camera_of_model(model_name, parameters, where)
    width, height = (whole_side(side, where) for side in size)
    return CalibratedCamera(
        name, pinhole(focal_px, centre_px, corner_convention=True), (width, height), model, distortion
    )


def _looks_binary(raw: bytes) -> bool:
    if len(raw) < 8 + 24 + 24:
        return False
    count, number, model, width, height = struct.unpack_from("<QiiQQ", raw)
    sizes = 0 < width <= 1_000_000 and 0 < height <= 1_000_000
    return 0 < count <= LARGEST_COUNT and number >= 0 and 0 <= model < 100 and sizes


def _binary(raw: bytes, path: Path) -> list[CalibratedCamera]:
    names = {model.number: name for name, model in MODELS.items()}
    found, place = [], 8
    try:
        for _ in range(struct.unpack_from("<Q", raw)[0]):
            number, model, width, height = struct.unpack_from("<iiQQ", raw, place)
            if model not in names:
                raise DataError(f"expected COLMAP's camera models 0 to {max(names)} in {path}, found number {model}")
            count = MODELS[names[model]].parameters
            parameters = struct.unpack_from(f"<{count}d", raw, place + 24)
            found.append(_camera(str(number), names[model], (float(width), float(height)), parameters, path))
            place += 24 + 8 * count
    except struct.error as error:
        raise DataError(f"expected a whole cameras.bin of COLMAP in {path}, found one cut off") from error
    if place != len(raw):
        raise DataError(f"expected the end of cameras.bin after {len(found)} cameras in {path}, found more bytes")
    return found
