"""`transforms.json` of programs that learn radiance fields: instant-ngp, nerfstudio, Blender's synthetic scenes.

The centre of the top-left pixel is (0.5, 0.5), as in COLMAP, from which most of them come (nerfstudio, "Data
conventions"; instant-ngp's colmap2nerf.py copies COLMAP's numbers). Intrinsics stand at the top or in each frame.
"""

import math

from warpgrasp.data.recording.calibrations.calibrated import CalibratedCamera, pinhole, size_px
from warpgrasp.data.recording.calibrations.content import Content
from warpgrasp.data.recording.distortion import DistortionModel
from warpgrasp.data.recording.document import Entry
from warpgrasp.errors import DataError

FORMAT = "transforms.json"
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
)
ANGLES = ("camera_angle_x", "camera_angle_y", "is_fisheye")
READ = (
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
LARGEST_ANGLE_RAD = math.radians(170)


def recognised(content: Content) -> bool:
    """Whether there are frames beside a focal length or an angle of view, here or in the frames."""
    if content.entry is None:
        return False
    frames = content.entry.values.get("frames")
    first = frames[0] if isinstance(frames, list) and frames and isinstance(frames[0], dict) else {}
    return any(key in place for place in (content.entry.values, first) for key in ("fl_x", "fl_y", "camera_angle_x"))


def cameras(content: Content) -> list[CalibratedCamera]:
    """The cameras of a file, alike ones once. Raises `DataError` for a model that there is none of here."""
    assert content.entry is not None
    top = content.entry
    stated = {key: top.values[key] for key in (*INTRINSICS, *ANGLES) if key in top.values}
    frames = top.entries("frames") if isinstance(top.values.get("frames"), list) else []
    distinct: dict[str, Entry] = {}
    for number, frame in enumerate(frames or [top]):
        own = {key: frame.values[key] for key in (*INTRINSICS, *ANGLES) if key in frame.values}
        merged = {**stated, **own}
        name = str(frame.values.get("file_path", number))[:100] if frames else "camera"
        distinct.setdefault(repr(sorted(merged.items(), key=str)), Entry(merged, top.path, name if own else ""))
    return [_camera(entry) for entry in distinct.values()]


def _camera(entry: Entry) -> CalibratedCamera:
    size = size_px(entry, "w", "h")
    if entry.has("fl_x") or entry.has("fl_y"):
        focal_px = [
            entry.number(key if entry.has(key) else other) for key, other in (("fl_x", "fl_y"), ("fl_y", "fl_x"))
        ]
    else:
        focal_px = _from_angles(entry, size)
    if entry.has("cx") or entry.has("cy"):
        centre_px, notes = (entry.number("cx"), entry.number("cy")), ()
    else:
        width, height = _required(size, entry)
        centre_px, notes = (
            (width / 2, height / 2),
            ("it states no principal point: taken in the middle of the picture",),
        )
    model, distortion = _distortion(entry)
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


def _distortion(entry: Entry) -> tuple[DistortionModel, tuple[float, ...]]:
    name = str(entry.values.get("camera_model", "OPENCV")).upper()
    if name not in READ and name not in FISHEYES:
        raise DataError(
            f"expected one of {', '.join((*READ, *FISHEYES))} for {entry.where('camera_model')}, found {name[:40]}"
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
