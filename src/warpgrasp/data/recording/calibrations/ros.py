"""ROS's cameras: `camera_calibration`'s YAML, and printed `sensor_msgs/CameraInfo` messages.

K and D describe the raw pictures (`image_raw`) at the calibration's size; `roi` cuts out, in pixels of that size, and
then `binning` makes smaller (sensor_msgs/CameraInfo.msg). OpenCV's conventions throughout.
"""

import re

from warpgrasp.data.recording.calibrations.calibrated import (
    CalibratedCamera,
    coefficients,
    flat_numbers,
    intrinsic_matrix,
    side_px,
    size_px,
    without_case,
)
from warpgrasp.data.recording.calibrations.content import Content
from warpgrasp.data.recording.camera import Lens
from warpgrasp.data.recording.distortion import DistortionModel
from warpgrasp.data.recording.document import Entry
from warpgrasp.errors import DataError

FORMAT = "ROS"
MODELS: dict[str, DistortionModel] = {
    "plumb_bob": "opencv",
    "rational_polynomial": "opencv",
    "equidistant": "fisheye",
    "fisheye": "fisheye",
}
RECTIFIED = "this is the camera of the raw pictures (image_raw); rectified ones (image_rect) have that of P"


def recognised(content: Content) -> bool:
    """Whether there is a camera matrix beside `distortion_model`, in a document of one level."""
    if content.entry is None or content.kind == "XML":
        return False
    keys = without_case(content.entry)
    return "distortionmodel" in keys and ("cameramatrix" in keys or "k" in keys)


def cameras(content: Content) -> list[CalibratedCamera]:
    """The camera of a file. Raises `DataError` for a distortion model that there is none of here."""
    entry = content.entry
    assert entry is not None
    keys = without_case(entry)
    matrix_key = keys.get("cameramatrix", keys.get("k", "K"))
    if not any(flat_numbers(entry, matrix_key)):
        raise DataError(
            f"expected a calibrated camera in {entry.path}, found {matrix_key} of zeros: it was never calibrated"
        )
    size = size_px(entry, *(("image_width", "image_height") if entry.has("image_width") else ("width", "height")))
    model, distortion = _distortion(entry, keys)
    camera = CalibratedCamera(
        str(entry.values.get("camera_name", "camera"))[:60],
        intrinsic_matrix(entry, matrix_key),
        size,
        model,
        distortion,
        (RECTIFIED,) if _rectified(entry, keys, matrix_key) else (),
    )
    return [_part(entry, camera)]


def _distortion(entry: Entry, keys: dict[str, str]) -> tuple[DistortionModel, tuple[float, ...]]:
    key = keys.get("distortioncoefficients", keys.get("d", "D"))
    stated = entry.value(keys["distortionmodel"])
    if not entry.has(key) or (not any(flat_numbers(entry, key)) and stated in ("", "none", None)):
        return "opencv", ()
    name = re.sub(r"[\s-]", "_", str(stated).strip().lower())
    if name not in MODELS:
        raise DataError(
            f"expected one of {', '.join(MODELS)} for {entry.where(keys['distortionmodel'])}, found {str(stated)[:40]}"
        )
    return MODELS[name], coefficients(entry, key, MODELS[name])


def _rectified(entry: Entry, keys: dict[str, str], matrix_key: str) -> bool:
    projection = keys.get("projectionmatrix", keys.get("p", "P"))
    if not entry.has(projection):
        return False
    stated, matrix = flat_numbers(entry, projection), flat_numbers(entry, matrix_key)
    return len(stated) == 12 and any(stated) and (*stated[0:3], *stated[4:7]) != matrix[:6]


def _part(entry: Entry, camera: CalibratedCamera) -> CalibratedCamera:
    """The camera of the pictures that are sent: the region of interest, binned."""
    if camera.size is None:
        return camera
    lens, notes = camera.lens(camera.size, ""), list(camera.notes)
    roi = entry.entry("roi") if isinstance(entry.values.get("roi"), dict) else None
    if roi is not None and (roi.values.get("width") or roi.values.get("height")):
        left, top = (int(roi.number(key)) for key in ("x_offset", "y_offset"))
        lens = lens.cropped(left, top, side_px(roi, "width"), side_px(roi, "height"))
        notes.append(f"its region of interest is {lens.width}×{lens.height} at ({left}, {top})")
    steps = [max(1, int(entry.number(key))) if entry.has(key) else 1 for key in ("binning_x", "binning_y")]
    if steps != [1, 1]:
        lens = _binned(lens, steps)
        notes.append(f"its pictures are binned {steps[0]}×{steps[1]} to {lens.width}×{lens.height}")
    return CalibratedCamera(
        camera.name, lens.intrinsics, (lens.width, lens.height), camera.model, camera.distortion, tuple(notes)
    )


def _binned(lens: Lens, steps: list[int]) -> Lens:
    across, down = steps
    kept = lens.cropped(0, 0, max(1, lens.width // across) * across, max(1, lens.height // down) * down)
    return kept.resized(kept.width // across, kept.height // down)
