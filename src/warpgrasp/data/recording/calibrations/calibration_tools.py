"""Camera files of calibration programs: OpenCV, Kalibr and ROS. All use OpenCV's conventions, as here.

* OpenCV: `cv::FileStorage` in YAML, XML and JSON, and plain JSON or YAML with the same names. The names are those of
  OpenCV's own samples (camera_calibration.cpp, stereo_calib.cpp) and of its Python tutorial; coefficients stand in a
  list in OpenCV's order, or each under its own name.
* Kalibr: camera chains (github.com/ethz-asl/kalibr, wiki "Yaml formats") of pinhole cameras. `radtan` is k1 k2 p1 p2 as
  in OpenCV (r1 r2 there), `equi` is cv2.fisheye's k1 k2 k3 k4.
* ROS: `camera_calibration`'s YAML, and printed `sensor_msgs/CameraInfo` messages. K and D describe the raw pictures
  (`image_raw`) at the calibration's size; `roi` cuts out, in pixels of that size, and then `binning` makes smaller
  (sensor_msgs/CameraInfo.msg).
"""

import re
from collections.abc import Iterator

from warpgrasp.checked import Entry
from warpgrasp.data.recording.calibrations.calibrated import (
    CalibratedCamera,
    Content,
    FileFormat,
    bending_keys,
    coefficients,
    flat_numbers,
    intrinsic_matrix,
    pinhole,
    side_px,
    size_px,
    stated_pinhole,
    stated_size,
    whole_side,
    without_case,
)
from warpgrasp.data.recording.lens import COUNTS, MODELS, DistortionModel, Lens
from warpgrasp.errors import DataError

OWN_NAMES = ("cameramatrix", "cammatrix", "mtx")  # a file with one of these is meant for OpenCV
MATRICES = (*OWN_NAMES, "intrinsicmatrix", "k", "m")
DISTORTIONS = (
    "distortioncoefficients",
    "distcoeffs",
    "distortioncoeffs",
    "distcoeff",
    "distcoefficients",
    "distortion",
    "dist",
    "coeffs",
    "d",
)
SINGLE = ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")
SIDES = ("", "0", "1", "2", "left", "right")
KNOWN = {name for base in DISTORTIONS for side in SIDES for name in (base + side, side + base)}
MODEL_KEYS = ("model", "distortionmodel", "cameramodel", "calibrationmodel")
OPENCVS = ("", "pinhole", "plumb_bob", "rational_polynomial", "radtan", "brown", "standard", "perspective", "none")
FOUR = (
    "four coefficients are taken as k1 k2 p1 p2; if they are k1 k2 k3 k4 of cv2.fisheye, say so by --distortion-model "
    "fisheye"
)


def _is_opencv(content: Content) -> bool:
    """Whether there is a camera matrix by a name of OpenCV's, or by another name beside distortion coefficients."""
    if content.entry is None:
        return False
    if content.kind == "XML" and "opencv_storage" not in content.entry.values:
        return False  # Agisoft's <calibration> has other coefficients by the same names
    entry = _inside(content.entry)
    keys = without_case(entry)
    own = any(name + side in keys or side + name in keys for name in OWN_NAMES for side in SIDES)
    bent = any(name + side in keys for name in (*DISTORTIONS, "k1") for side in SIDES)
    return bool(list(_matrices(entry))) and (own or bent or content.kind != "JSON")


def opencv_cameras(content: Content, *, model: DistortionModel | None = None) -> list[CalibratedCamera]:
    """The cameras of a file: one, or the two of a stereo pair. `model` is the model of the coefficients."""
    assert content.entry is not None
    entry = _inside(content.entry)
    return [_opencv_camera(entry, side, intrinsics, model) for side, intrinsics in _matrices(entry)]


def _inside(entry: Entry) -> Entry:
    """The stored values, with those beside an inner object that holds the camera: its size, say, or its distortion."""
    for key in ("opencv_storage", "intrinsics", "calibration", "camera"):
        inner = entry.values.get(key)
        if isinstance(inner, dict) and not list(_matrices(entry)):
            entry = Entry({**entry.values, **inner}, entry.path, key)
    return entry


def _matrices(entry: Entry) -> Iterator[tuple[str, str]]:
    """The side (empty where there is one camera) and the key of each camera matrix; `fx` stands for fx, fy, cx, cy."""
    keys = without_case(entry)
    if {"fx", "fy", "cx", "cy"} <= set(keys):
        yield "", "fx"
        return
    for side in SIDES:
        for name in MATRICES:
            key = keys.get(name + side, keys.get(side + name))
            if key is not None and isinstance(entry.values[key], list | dict):
                yield side, key
                break


def _opencv_camera(entry: Entry, side: str, matrix_key: str, model: DistortionModel | None) -> CalibratedCamera:
    intrinsics = stated_pinhole(entry) if matrix_key == "fx" else intrinsic_matrix(entry, matrix_key)
    model = model or _stated_model(entry, without_case(entry))
    distortion, listed = _opencv_distortion(entry, side, model)
    notes = (FOUR,) if model is None and listed and len(distortion) == 4 else ()
    size = stated_size(entry)
    return CalibratedCamera(side or "camera", intrinsics, size, model or "opencv", distortion, notes)


def _opencv_distortion(entry: Entry, side: str, model: DistortionModel | None) -> tuple[tuple[float, ...], bool]:
    """The coefficients, and whether they stand in a list, whose order has to be known."""
    keys = without_case(entry)
    key = next((keys[name] for base in DISTORTIONS for name in (base + side, side + base) if name in keys), None)
    if key is not None and entry.values[key] is not None and not isinstance(entry.values[key], str):
        inner = entry.values[key]
        if isinstance(inner, dict) and "data" not in inner:  # each under its own name
            return _single(Entry(inner, entry.path, key), model), False
        numbers = flat_numbers(entry, key)
        if numbers or model == "fisheye":
            return coefficients(entry, key, model or "opencv"), True
        return (), True
    for name, other in bending_keys(entry).items():
        if name not in (*KNOWN, *SINGLE) and "undist" not in name and not isinstance(entry.values[other], str | bool):
            raise DataError(
                f"expected distortion under one of OpenCV's names in {entry.path}, found {other[:60]}; write it in "
                f"OpenCV's order (k1 k2 p1 p2 k3 …) as distortion_coefficients"
            )
    return _single(entry, model), False


def _single(entry: Entry, model: DistortionModel | None) -> tuple[float, ...]:
    """Coefficients that stand under their own names. Raises `DataError` when they are those of no model."""
    keys = without_case(entry)
    stated = {name: entry.number(keys[name]) for name in SINGLE if name in keys}
    if model == "fisheye":
        if not {"k1", "k2", "k3", "k4"} <= set(stated):
            raise DataError(f"expected k1 k2 k3 k4 of a fisheye in {entry.path}, found {', '.join(stated) or 'none'}")
        return tuple(stated[name] for name in ("k1", "k2", "k3", "k4"))
    if not any(stated.values()):
        return ()
    if stated.get("k4") and not {"k5", "k6"} <= set(stated):
        raise DataError(
            f"expected k5 and k6 beside k4 in {entry.path}, found k4 = {stated['k4']:g} alone; if these are k1 k2 k3 "
            f"k4 of cv2.fisheye, say so by --distortion-model fisheye"
        )
    values = tuple(stated.get(name, 0.0) for name in SINGLE)
    count = next(number for number in COUNTS["opencv"] if not any(values[number:]))
    return values[: max(count, 5)] if model == "inverse-brown-conrady" else values[:count]


def _stated_model(entry: Entry, keys: dict[str, str]) -> DistortionModel | None:
    """The model where the file says it: `fisheye_model` of OpenCV's sample, or a name."""
    for name in ("fisheyemodel", "isfisheye", "fisheye"):
        if name in keys:
            return "fisheye" if entry.values[keys[name]] in (1, True, "1", "true") else "opencv"
    for name in MODEL_KEYS:
        value = str(entry.values[keys[name]]).lower() if name in keys else ""
        if "fisheye" in value or value in ("equidistant", "equi", "kannala_brandt"):
            return "fisheye"
        if value in MODELS:
            return next(model for model in MODELS if model == value)
        if value not in OPENCVS:
            raise DataError(f"expected one of {', '.join(MODELS)} for {entry.where(keys[name])}, found {value[:40]}")
        if value not in ("", "pinhole"):
            return "opencv"
    return None


KALIBR_MODELS: dict[str, DistortionModel] = {
    "radtan": "opencv",
    "equi": "fisheye",
    "equidistant": "fisheye",
    "none": "opencv",
}


def _is_kalibr(content: Content) -> bool:
    """Whether some part has a camera model and intrinsics."""
    return content.entry is not None and bool(_parts(content.entry))


def _parts(entry: Entry) -> list[tuple[str, Entry]]:
    candidates = [("cam0", entry.values), *entry.values.items()]
    return [
        (str(name)[:60], Entry(part, entry.path, "" if part is entry.values else str(name)[:60]))
        for name, part in candidates
        if isinstance(part, dict) and "camera_model" in part and "intrinsics" in part
    ]


def _kalibr_cameras(content: Content) -> list[CalibratedCamera]:
    """The cameras of a chain. Raises `DataError` naming a camera or distortion model that is not known here."""
    assert content.entry is not None
    return [_kalibr_camera(name, part) for name, part in _parts(content.entry)]


def _kalibr_camera(name: str, entry: Entry) -> CalibratedCamera:
    if entry.value("camera_model") != "pinhole":
        raise DataError(
            f"expected the camera model pinhole for {entry.where('camera_model')}, found "
            f"{str(entry.value('camera_model'))[:40]}; calibrate it as pinhole-radtan or pinhole-equi"
        )
    stated = str(entry.values.get("distortion_model", "none"))
    if stated not in KALIBR_MODELS:
        raise DataError(
            f"expected one of {', '.join(KALIBR_MODELS)} for {entry.where('distortion_model')}, found {stated[:40]}; "
            f"calibrate it as pinhole-radtan or pinhole-equi"
        )
    fu, fv, pu, pv = entry.numbers("intrinsics", (4,)).tolist()
    distortion = () if stated == "none" else coefficients(entry, "distortion_coeffs", KALIBR_MODELS[stated])
    size = None
    if entry.has("resolution"):
        width, height = entry.numbers("resolution", (2,)).tolist()
        size = (whole_side(width, entry.where("resolution")), whole_side(height, entry.where("resolution")))
    return CalibratedCamera(name, pinhole((fu, fv), (pu, pv)), size, KALIBR_MODELS[stated], distortion)


ROS_MODELS: dict[str, DistortionModel] = {
    "plumb_bob": "opencv",
    "rational_polynomial": "opencv",
    "equidistant": "fisheye",
    "fisheye": "fisheye",
}
RECTIFIED = "this is the camera of the raw pictures (image_raw); rectified ones (image_rect) have that of P"


def _is_ros(content: Content) -> bool:
    """Whether there is a camera matrix beside `distortion_model`, both at the top of the document."""
    if content.entry is None or content.kind == "XML":
        return False
    keys = without_case(content.entry)
    return "distortionmodel" in keys and ("cameramatrix" in keys or "k" in keys)


def _ros_cameras(content: Content) -> list[CalibratedCamera]:
    """The camera of a file. Raises `DataError` for a distortion model that is not known here."""
    entry = content.entry
    assert entry is not None
    keys = without_case(entry)
    matrix_key = keys.get("cameramatrix", keys.get("k", "K"))
    if not any(flat_numbers(entry, matrix_key)):
        raise DataError(
            f"expected a calibrated camera in {entry.path}, found {matrix_key} of zeros: it was never calibrated"
        )
    size = size_px(entry, *(("image_width", "image_height") if entry.has("image_width") else ("width", "height")))
    model, distortion = _ros_distortion(entry, keys)
    camera = CalibratedCamera(
        str(entry.values.get("camera_name", "camera"))[:60],
        intrinsic_matrix(entry, matrix_key),
        size,
        model,
        distortion,
        (RECTIFIED,) if _rectified(entry, keys, matrix_key) else (),
    )
    return [_part(entry, camera)]


def _ros_distortion(entry: Entry, keys: dict[str, str]) -> tuple[DistortionModel, tuple[float, ...]]:
    key = keys.get("distortioncoefficients", keys.get("d", "D"))
    stated = entry.value(keys["distortionmodel"])
    if not entry.has(key) or (not any(flat_numbers(entry, key)) and stated in ("", "none", None)):
        return "opencv", ()
    name = re.sub(r"[\s-]", "_", str(stated).strip().lower())
    if name not in ROS_MODELS:
        raise DataError(
            f"expected one of {', '.join(ROS_MODELS)} for {entry.where(keys['distortionmodel'])}, "
            f"found {str(stated)[:40]}"
        )
    return ROS_MODELS[name], coefficients(entry, key, ROS_MODELS[name])


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


OPENCV = FileFormat("OpenCV", _is_opencv, opencv_cameras)
KALIBR = FileFormat("Kalibr", _is_kalibr, _kalibr_cameras)
ROS = FileFormat("ROS", _is_ros, _ros_cameras)
