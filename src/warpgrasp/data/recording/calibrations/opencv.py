"""OpenCV's calibrations: `cv::FileStorage` in YAML, XML and JSON, and plain JSON or YAML with the same names.

Pixel (0, 0) is the centre of the top-left pixel, as here. The names are those of OpenCV's own samples
(camera_calibration.cpp, stereo_calib.cpp) and of its Python tutorial; coefficients stand in a list in OpenCV's order,
or each under its own name.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from warpgrasp.data.recording.calibrations.calibrated import (
    CalibratedCamera,
    coefficients,
    flat_numbers,
    intrinsic_matrix,
    pinhole,
    stated_size,
    without_case,
)
from warpgrasp.data.recording.calibrations.content import Content
from warpgrasp.data.recording.distortion import COUNTS, MODELS, DistortionModel
from warpgrasp.data.recording.document import Entry
from warpgrasp.errors import DataError

FORMAT = "OpenCV"
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
MODEL_KEYS = ("model", "distortionmodel", "cameramodel", "calibrationmodel")
OPENCVS = ("", "pinhole", "plumb_bob", "rational_polynomial", "radtan", "brown", "standard", "perspective", "none")
FOUR = (
    "four coefficients are taken as k1 k2 p1 p2; if they are k1 k2 k3 k4 of cv2.fisheye, say so by --distortion-model "
    "fisheye"
)


def recognised(content: Content) -> bool:
    """Whether there is a camera matrix of OpenCV's name, or one of another beside distortion coefficients."""
    if content.entry is None:
        return False
    entry = _inside(content.entry)
    keys = without_case(entry)
    own = any(name + side in keys or side + name in keys for name in OWN_NAMES for side in SIDES)
    bent = any(name + side in keys for name in (*DISTORTIONS, "k1") for side in SIDES)
    return bool(list(_matrices(entry))) and (own or bent or content.kind != "JSON")


def cameras(content: Content, *, model: DistortionModel | None = None) -> list[CalibratedCamera]:
    """The cameras of a file: one, or the two of a stereo pair. `model` says what the coefficients are of."""
    assert content.entry is not None
    entry = _inside(content.entry)
    return [_camera(entry, side, intrinsics, model) for side, intrinsics in _matrices(entry)]


def _inside(entry: Entry) -> Entry:
    """What is stored, without the element or object that holds all of it."""
    for key in ("opencv_storage", "intrinsics", "calibration", "camera"):
        inner = entry.values.get(key)
        if isinstance(inner, dict) and not list(_matrices(entry)):
            entry = Entry(inner, entry.path, key)
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


def _camera(entry: Entry, side: str, matrix_key: str, model: DistortionModel | None) -> CalibratedCamera:
    keys = without_case(entry)
    if matrix_key == "fx":
        fx, fy, cx, cy = (entry.number(keys[name]) for name in ("fx", "fy", "cx", "cy"))
        intrinsics: Float[np.ndarray, "3 3"] = pinhole((fx, fy), (cx, cy))
    else:
        intrinsics = intrinsic_matrix(entry, matrix_key)
    model = model or _stated_model(entry, keys)
    distortion, listed = _distortion(entry, side, model)
    notes = (FOUR,) if model is None and listed and len(distortion) == 4 else ()
    size = stated_size(entry)
    return CalibratedCamera(side or "camera", intrinsics, size, model or "opencv", distortion, notes)


def _distortion(entry: Entry, side: str, model: DistortionModel | None) -> tuple[tuple[float, ...], bool]:
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
    return _single(entry, model), False


def _single(entry: Entry, model: DistortionModel | None) -> tuple[float, ...]:
    """Coefficients that stand under their own names. Raises `DataError` for what is no model's."""
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
    if "fisheyemodel" in keys:
        return "fisheye" if entry.values[keys["fisheyemodel"]] in (1, True, "1", "true") else "opencv"
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
