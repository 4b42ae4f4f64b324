"""Camera files of programs that reconstruct from many pictures: COLMAP, and `transforms.json`.

Both call the centre of the top-left pixel (0.5, 0.5).

* COLMAP: `cameras.txt` and `cameras.bin` (doc/format.rst and src/colmap/sensor/models.h of COLMAP). Its distorted
  models are OpenCV's with the same order.
* `transforms.json` of programs that learn radiance fields: instant-ngp, nerfstudio, Blender's synthetic scenes. Most of
  these files come from COLMAP (nerfstudio, "Data conventions"; instant-ngp's colmap2nerf.py copies COLMAP's numbers).
  Intrinsics stand at the top or in each frame.
"""

import math
import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from warpgrasp.checked import Entry
from warpgrasp.data.recording.calibrations.calibrated import (
    CalibratedCamera,
    Content,
    FileFormat,
    check_skew,
    pinhole,
    size_px,
    whole_side,
)
from warpgrasp.data.recording.lens import DistortionModel
from warpgrasp.errors import DataError

COLMAP_LINE = re.compile(r"^\s*\d+\s+[A-Z][A-Z_]+\s+\d+\s+\d+(\s+\S+)+\s*$")
LARGEST_COUNT = 100_000  # of cameras in a binary file, and of frames


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


COLMAP_MODELS = {
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
READ = tuple(name for name, model in COLMAP_MODELS.items() if model.model is not None)


def _is_colmap(content: Content) -> bool:
    """Whether a text has COLMAP's lines, or bytes the layout of its binary file."""
    if content.text is not None:
        return content.entry is None and any(COLMAP_LINE.match(line) for line in content.text.splitlines()[:200])
    return _looks_binary(content.raw)


def _colmap_cameras(content: Content) -> list[CalibratedCamera]:
    """The cameras of a file. Raises `DataError` for a camera model that is not known here, and for a file cut off."""
    if content.text is None:
        return _binary(content.raw, content.path)
    lines = [line.split() for line in content.text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    cameras = []
    for words in lines:
        if len(words) < 5 or not words[0].isdecimal():
            raise DataError(
                f"expected `CAMERA_ID MODEL WIDTH HEIGHT PARAMS…` in {content.path}, found {' '.join(words)[:80]}"
            )
        try:
            numbers = [float(word) for word in words[2:]]
        except ValueError as error:
            raise DataError(f"expected numbers for camera {words[0][:20]} in {content.path}: {error}") from error
        cameras.append(_colmap_camera(words[0][:20], words[1], numbers[:2], numbers[2:], content.path))
    return cameras


def camera_of_model(
    model_name: str, parameters: Sequence[float], where: str
) -> tuple[Sequence[float], Sequence[float], DistortionModel, tuple[float, ...]]:
    """(fx, fy), (cx, cy), the model and its coefficients. Raises `DataError` naming a model that is not read."""
    model = COLMAP_MODELS.get(model_name)
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


def _colmap_camera(
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
    names = {model.number: name for name, model in COLMAP_MODELS.items()}
    cameras, place = [], 8
    try:
        for _ in range(struct.unpack_from("<Q", raw)[0]):
            number, model, width, height = struct.unpack_from("<iiQQ", raw, place)
            if model not in names:
                raise DataError(f"expected COLMAP's camera models 0 to {max(names)} in {path}, found number {model}")
            count = COLMAP_MODELS[names[model]].parameters
            parameters = struct.unpack_from(f"<{count}d", raw, place + 24)
            cameras.append(_colmap_camera(str(number), names[model], (float(width), float(height)), parameters, path))
            place += 24 + 8 * count
    except struct.error as error:
        raise DataError(f"expected a whole cameras.bin of COLMAP in {path}, found one cut off") from error
    if place != len(raw):
        raise DataError(f"expected the end of cameras.bin after {len(cameras)} cameras in {path}, found more bytes")
    return cameras


INTRINSICS = (
    "fl_x",
    "fl_y",
    "cx",
    "cy",
    "w",
    "h",
    "k1",
    "k2",
    "k3",
    "k4",
    "k5",
    "k6",
    "p1",
    "p2",
    "camera_model",
    "distortion_params",
    "sk_x",
    "sk_y",
    "skew",
)
ANGLES = ("camera_angle_x", "camera_angle_y", "is_fisheye")
NAMES = (
    "OPENCV",
    "FULL_OPENCV",
    "PINHOLE",
    "SIMPLE_PINHOLE",
    "SIMPLE_RADIAL",
    "RADIAL",
    "OPENCV_FISHEYE",
    "PERSPECTIVE",
)
FISHEYES = ("OPENCV_FISHEYE", "RADIAL_FISHEYE", "SIMPLE_RADIAL_FISHEYE")
CONTRADICTION = 0.05  # between two statements of a focal length
LARGEST_ANGLE_RAD = math.radians(170)


def _is_transforms(content: Content) -> bool:
    """Whether there are frames beside a focal length or an angle of view, here or in the frames."""
    if content.entry is None:
        return False
    frames = content.entry.values.get("frames")
    first = frames[0] if isinstance(frames, list) and frames and isinstance(frames[0], dict) else {}
    return any(key in place for place in (content.entry.values, first) for key in ("fl_x", "fl_y", "camera_angle_x"))


def _transforms_cameras(content: Content) -> list[CalibratedCamera]:
    """The distinct cameras of a file. Raises `DataError` for a camera model that is not known here."""
    assert content.entry is not None
    top = content.entry
    stated = {key: top.values[key] for key in (*INTRINSICS, *ANGLES) if key in top.values}
    frames = top.entries("frames") if isinstance(top.values.get("frames"), list) else []
    if len(frames) > LARGEST_COUNT:
        raise DataError(f"expected at most {LARGEST_COUNT} frames in {top.path}, found {len(frames)}")
    distinct: dict[str, Entry] = {}
    for number, frame in enumerate(frames or [top]):
        own = {key: frame.values[key] for key in (*INTRINSICS, *ANGLES) if key in frame.values}
        merged = {**stated, **own}
        name = str(frame.values.get("file_path", number))[:100] if frames else "camera"
        distinct.setdefault(repr(sorted(merged.items(), key=str)), Entry(merged, top.path, name if own else ""))
    return [_transforms_camera(entry) for entry in distinct.values()]


def _transforms_camera(entry: Entry) -> CalibratedCamera:
    size = size_px(entry, "w", "h")
    if entry.has("fl_x") or entry.has("fl_y"):
        focal_px = [
            entry.number(key if entry.has(key) else other) for key, other in (("fl_x", "fl_y"), ("fl_y", "fl_x"))
        ]
        _check_angle(entry, size, focal_px[0])
    else:
        focal_px = _from_angles(entry, size)
    check_skew(entry, focal_px[0])
    if entry.has("cx") or entry.has("cy"):
        centre_px, notes = (entry.number("cx"), entry.number("cy")), ()
    else:
        width, height = _required(size, entry)
        centre_px, notes = (
            (width / 2, height / 2),
            ("it states no principal point: taken in the middle of the picture",),
        )
    model, distortion = _transforms_distortion(entry)
    intrinsics = pinhole(focal_px, centre_px, corner_convention=True)
    return CalibratedCamera(entry.place or "camera", intrinsics, size, model, distortion, notes)


def _required(size: tuple[int, int] | None, entry: Entry) -> tuple[int, int]:
    if size is None:
        raise DataError(
            f"expected w and h, the size of the pictures, in {entry.path}, found neither: an angle of view alone tells "
            f"no focal length in pixels; add them, or use --field-of-view-deg"
        )
    return size


def _from_angles(entry: Entry, size: tuple[int, int] | None) -> list[float]:
    width, height = _required(size, entry)
    focal_px = []
    for key, side in (("camera_angle_x", width), ("camera_angle_y", height)):
        if not entry.has(key):
            continue
        angle = entry.number(key)
        if not 0 < angle < LARGEST_ANGLE_RAD:
            raise DataError(
                f"expected an angle of view in radians, up to 170°, for {entry.where(key)}, found {angle:g}"
            )
        focal_px.append(side / (2 * math.tan(angle / 2)))
    if not focal_px:
        raise DataError(f"expected fl_x or camera_angle_x in {entry.path}, found neither")
    return [focal_px[0], focal_px[-1]]


def _check_angle(entry: Entry, size: tuple[int, int] | None, focal_px: float) -> None:
    """Raise `DataError` where an angle of view beside the focal length is that of pictures of another size."""
    if size is None or not entry.has("camera_angle_x") or entry.values.get("is_fisheye") is True:
        return
    by_angle = _from_angles(entry, size)[0]
    if abs(by_angle / focal_px - 1) > CONTRADICTION:
        raise DataError(
            f"expected one focal length in {entry.path}, found fl_x = {focal_px:g} and, by camera_angle_x and w = "
            f"{size[0]}, {by_angle:g}: of which size are the pictures? Correct w and h, or leave one of the two out"
        )


def _transforms_distortion(entry: Entry) -> tuple[DistortionModel, tuple[float, ...]]:
    name = str(entry.values.get("camera_model", "OPENCV")).upper()
    if name not in NAMES and name not in FISHEYES:
        raise DataError(
            f"expected one of {', '.join((*NAMES, *FISHEYES))} for {entry.where('camera_model')}, found {name[:40]}"
        )
    if entry.has("distortion_params"):  # nerfstudio's list
        listed = dict(zip(("k1", "k2", "k3", "k4", "p1", "p2"), entry.numbers("distortion_params", (6,)), strict=True))
        entry = Entry({**entry.values, **{key: float(value) for key, value in listed.items()}}, entry.path, entry.place)
    k1, k2, k3, k4, k5, k6, p1, p2 = (
        entry.number(key) if entry.has(key) else 0.0 for key in ("k1", "k2", "k3", "k4", "k5", "k6", "p1", "p2")
    )
    if name in FISHEYES or entry.values.get("is_fisheye") is True:
        return "fisheye", (k1, k2, k3, k4)
    if "PINHOLE" in name and not any((k1, k2, k3, k4, k5, k6, p1, p2)):
        return "opencv", ()
    if entry.has("k5") or entry.has("k6") or name == "FULL_OPENCV":
        return "opencv", (k1, k2, p1, p2, k3, k4, k5, k6)
    if k4:
        raise DataError(
            f"expected k5 and k6 beside k4, or the camera_model OPENCV_FISHEYE, in {entry.path}, found k4 = {k4:g} "
            f"alone: programs differ in what it means"
        )
    values = (k1, k2, p1, p2, k3) if k3 else (k1, k2, p1, p2)
    return "opencv", values if any(values) else ()


COLMAP = FileFormat("COLMAP", _is_colmap, _colmap_cameras)
TRANSFORMS = FileFormat("transforms.json", _is_transforms, _transforms_cameras)
