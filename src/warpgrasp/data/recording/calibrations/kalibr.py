"""Kalibr's camera chains (github.com/ethz-asl/kalibr, wiki "Yaml formats"): pinhole cameras; OpenCV's conventions.

`radtan` is k1 k2 p1 p2 as in OpenCV (r1 r2 there), `equi` is cv2.fisheye's k1 k2 k3 k4.
"""

from warpgrasp.data.recording.calibrations.calibrated import CalibratedCamera, coefficients, pinhole, whole_side
from warpgrasp.data.recording.calibrations.content import Content
from warpgrasp.data.recording.distortion import DistortionModel
from warpgrasp.data.recording.document import Entry
from warpgrasp.errors import DataError

FORMAT = "Kalibr"
MODELS: dict[str, DistortionModel] = {"radtan": "opencv", "equi": "fisheye", "equidistant": "fisheye", "none": "opencv"}


def recognised(content: Content) -> bool:
    """Whether some part has a camera model and intrinsics."""
    return content.entry is not None and bool(_parts(content.entry))


def _parts(entry: Entry) -> list[tuple[str, Entry]]:
    candidates = [("cam0", entry.values), *entry.values.items()]
    return [
        (str(name)[:60], Entry(part, entry.path, "" if part is entry.values else str(name)[:60]))
        for name, part in candidates
        if isinstance(part, dict) and "camera_model" in part and "intrinsics" in part
    ]


def cameras(content: Content) -> list[CalibratedCamera]:
    """The cameras of a chain. Raises `DataError` for a model that there is none of here, by its name."""
    assert content.entry is not None
    return [_camera(name, part) for name, part in _parts(content.entry)]


def _camera(name: str, entry: Entry) -> CalibratedCamera:
    if entry.value("camera_model") != "pinhole":
        raise DataError(
            f"expected the camera model pinhole for {entry.where('camera_model')}, found "
            f"{str(entry.value('camera_model'))[:40]}; calibrate it as pinhole-radtan or pinhole-equi"
        )
    stated = str(entry.values.get("distortion_model", "none"))
    if stated not in MODELS:
        raise DataError(
            f"expected one of {', '.join(MODELS)} for {entry.where('distortion_model')}, found {stated[:40]}; "
            f"calibrate it as pinhole-radtan or pinhole-equi"
        )
    fu, fv, pu, pv = entry.numbers("intrinsics", (4,)).tolist()
    distortion = () if stated == "none" else coefficients(entry, "distortion_coeffs", MODELS[stated])
    size = None
    if entry.has("resolution"):
        width, height = entry.numbers("resolution", (2,)).tolist()
        size = (whole_side(width, entry.where("resolution")), whole_side(height, entry.where("resolution")))
    return CalibratedCamera(name, pinhole((fu, fv), (pu, pv)), size, MODELS[stated], distortion)
