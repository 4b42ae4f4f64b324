"""Cameras as other programs write them, read into our conventions.

The program that wrote a file is told from the file's content.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from warpgrasp.data.recording.calibrations.calibrated import CalibratedCamera, Content, FileFormat, read_content
from warpgrasp.data.recording.calibrations.calibration_tools import KALIBR, OPENCV, ROS, opencv_cameras
from warpgrasp.data.recording.calibrations.devices import PHONE, REALSENSE
from warpgrasp.data.recording.calibrations.structure_from_motion import COLMAP, TRANSFORMS
from warpgrasp.data.recording.camera import stated_lens
from warpgrasp.data.recording.lens import CAMERA_FORMAT, COUNTS, ORDERS, DistortionModel
from warpgrasp.errors import DataError

__all__ = ["FORMATS", "CalibratedCamera", "chosen_camera", "read_cameras"]

SHOWN_NAMES = 8


def _is_ours(content: Content) -> bool:
    return content.entry is not None and content.entry.values.get("format") == CAMERA_FORMAT


def _ours(content: Content) -> list[CalibratedCamera]:
    assert content.entry is not None
    lens = stated_lens(content.entry)
    size = (lens.width, lens.height)
    return [CalibratedCamera("camera", lens.intrinsics, size, lens.model, lens.distortion)]


# The first that recognises a file reads it: the kinds with more telling names come first.
FORMATS = (
    FileFormat("warpgrasp", _is_ours, _ours),
    KALIBR,
    ROS,
    TRANSFORMS,
    REALSENSE,
    OPENCV,
    PHONE,
    COLMAP,
)


def read_cameras(path: Path, *, model: DistortionModel | None = None) -> tuple[str, list[CalibratedCamera]]:
    """The kind of a file, and its cameras. `model` overrides the distortion model that the file states.

    Raises `DataError` when the file is broken, of a kind that is not read, or of a camera model that is not known here.
    """
    content = read_content(path)
    for kind in FORMATS:
        if not kind.recognised(content):
            continue
        if kind is OPENCV:
            cameras = opencv_cameras(content, model=model)
        else:
            cameras = [_of_model(camera, model, path) for camera in kind.cameras(content)]
        if cameras:
            return kind.name, cameras
    raise DataError(
        f"expected a camera as OpenCV, ROS, COLMAP (cameras.txt, cameras.bin), Kalibr, ARKit, Polycam, Record3D, "
        f"RealSense or a transforms.json writes it in {path}, found none of these in this {content.kind} file"
    )


def chosen_camera(cameras: Sequence[CalibratedCamera], name: str | None, path: Path) -> CalibratedCamera:
    """The camera of that name, or the only one. Raises `DataError` with the names of the file's cameras."""
    names = [camera.name for camera in cameras]
    shown = ", ".join(names[:SHOWN_NAMES]) + (f", … ({len(names)} in all)" if len(names) > SHOWN_NAMES else "")
    if name is None:
        if len(cameras) == 1:
            return cameras[0]
        raise DataError(f"expected one camera in {path}, found {len(cameras)}; say which by --camera-id: {shown}")
    meant = [camera for camera in cameras if camera.name == name]
    meant = meant or [camera for camera in cameras if camera.name.lower().endswith(name.lower())]
    if len(meant) != 1:
        raise DataError(f"expected one of the cameras of {path} for --camera-id ({shown}), got {name[:60]!r}")
    return meant[0]


def _of_model(camera: CalibratedCamera, model: DistortionModel | None, path: Path) -> CalibratedCamera:
    if model is None or model == camera.model:
        return camera
    if len(camera.distortion) not in COUNTS[model]:
        raise DataError(
            f"expected {', '.join(map(str, COUNTS[model]))} coefficients in {ORDERS[model]} for "
            f"--distortion-model {model}, found {len(camera.distortion)} in {path}"
        )
    return replace(camera, model=model, notes=())
