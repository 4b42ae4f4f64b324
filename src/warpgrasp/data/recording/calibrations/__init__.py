"""Cameras as other programs and devices write them, read into our conventions.

The program that wrote a file is told from the file's content. Here are all kinds of files, and the devices that know
their own camera: RealSense, and telephones. Both call the centre of the top-left pixel (0, 0), as here.

* RealSense: JSON with librealsense's names, `rs-enumerate-devices -c`, and pyrealsense2's printed form. [0, 0] is "the
  center of the top left pixel" (librealsense, "Projection in RealSense SDK 2.0").
* Telephones: ARKit's matrices, and what Polycam, Record3D and ARKitScenes write of them; Open3D's too. ARKit's "origin
  is at the center of the upper-left pixel" (ARCamera.h), and its pictures are those of the sensor, wider than high: a
  video that is shown upright is turned. Its matrices stand column by column, as Open3D's do; others write them row by
  row. ARKit undistorts nothing, and states no distortion: what remains is small.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from warpgrasp.checked import Entry
from warpgrasp.data.recording.calibrations.calibrated import (
    REALSENSE_PRINTED,
    CalibratedCamera,
    Content,
    FileFormat,
    bending_keys,
    intrinsic_matrix,
    pinhole,
    read_content,
    size_px,
    stated_pinhole,
    stated_size,
    whole_side,
    without_case,
)
from warpgrasp.data.recording.calibrations.calibration_tools import KALIBR, OPENCV, ROS, opencv_cameras
from warpgrasp.data.recording.calibrations.structure_from_motion import COLMAP, TRANSFORMS
from warpgrasp.data.recording.camera import stated_lens
from warpgrasp.data.recording.lens import CAMERA_FORMAT, COUNTS, ORDERS, DistortionModel
from warpgrasp.errors import DataError

__all__ = ["FORMATS", "CalibratedCamera", "chosen_camera", "read_cameras"]

BY_NUMBER = ("none", "modified_brown_conrady", "inverse_brown_conrady", "ftheta", "brown_conrady", "kannala_brandt4")
# All of them are of bounded length: of a long text, no part is tried again from each of its places.
NUMBER = r"[-+]?[0-9.]{1,40}(?:[eE][-+]?[0-9]{1,5})?"
PRINTED = re.compile(
    rf"\[\s{{0,9}}(\d{{1,9}})x(\d{{1,9}})\s{{1,9}}p\[({NUMBER})\s{{1,9}}({NUMBER})\]\s{{1,9}}f\[({NUMBER})\s{{1,9}}({NUMBER})\]"
    r"\s{1,9}([A-Za-z0-9]{1,40}(?: [A-Za-z0-9]{1,40}){0,4})\s{0,9}\[([^\]]{0,400})\]\s{0,9}\]"
)
TABLE_ROWS = ("Width", "Height", "PPX", "PPY", "Fx", "Fy", "Distortion", "Coeffs")
DEEPEST = 4
INVERSE = (
    "the model is taken as its documentation has it, a polynomial that straightens; librealsense has used the same "
    "numbers both ways round: check that straight lines come out straight, and say --distortion-model opencv if not"
)
SHOWN_NAMES = 8


def _is_realsense(content: Content) -> bool:
    """Whether there are ppx, ppy, or what RealSense's programs print."""
    if content.entry is not None:
        return any(True for _ in _intrinsics(content.entry.values, ()))
    return content.text is not None and bool(PRINTED.search(content.text) or REALSENSE_PRINTED.search(content.text))


def _realsense_cameras(content: Content) -> list[CalibratedCamera]:
    """The cameras of a file, by their streams. Raises `DataError` for a distortion model that is not known here."""
    if content.entry is not None:
        parts = list(_intrinsics(content.entry.values, ()))
        return [
            _realsense_camera(".".join(place) or "camera", Entry(part, content.path, ".".join(place)))
            for place, part in parts
        ]
    assert content.text is not None
    printed = [_of_printed(match) for match in PRINTED.finditer(content.text)] or list(_of_tables(content.text))
    return [_realsense_camera(name, Entry(values, content.path, name)) for name, values in printed]


def _intrinsics(value: Any, place: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """The objects that have a principal point by RealSense's name, and where they stand."""
    if not isinstance(value, dict) or len(place) > DEEPEST:
        return
    if "ppx" in value and "ppy" in value:
        yield place, value
        return
    for key, inner in value.items():
        yield from _intrinsics(inner, (*place, str(key)[:40]))


def _of_printed(match: re.Match[str]) -> tuple[str, dict[str, Any]]:
    width, height, ppx, ppy, fx, fy, model, coeffs = match.groups()
    return f"{width}x{height}", _values(width, height, ppx, ppy, fx, fy) | {"model": model, "coeffs": _numbers(coeffs)}


def _of_tables(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The tables of `rs-enumerate-devices -c`, by stream and size."""
    for part in REALSENSE_PRINTED.split(text)[1:]:
        name = part.split('"', 1)[0][:40]
        named = {row.partition(":")[0].strip(): row.partition(":")[2].strip() for row in part.splitlines()}
        rows = {key: named[key] for key in TABLE_ROWS if key in named}
        if len(rows) == len(TABLE_ROWS):
            values = _values(*(rows[key] for key in TABLE_ROWS[:6]))
            model = {"model": rows["Distortion"], "coeffs": _numbers(rows["Coeffs"])}
            yield f"{name} {rows['Width']}x{rows['Height']}", values | model


def _values(width: str, height: str, ppx: str, ppy: str, fx: str, fy: str) -> dict[str, Any]:
    words = {"width": width, "height": height, "ppx": ppx, "ppy": ppy, "fx": fx, "fy": fy}
    # What is no number, as one with a decimal comma, stays a text, which is refused by its name.
    return {key: (_numbers(word) or [word])[0] if re.fullmatch(NUMBER, word) else word for key, word in words.items()}


def _numbers(text: str) -> list[float]:
    return [
        float(number) for number in re.findall(NUMBER, text) if re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE].*)?", number)
    ]


def _realsense_camera(name: str, entry: Entry) -> CalibratedCamera:
    size = size_px(entry, "width", "height")
    fx, fy, ppx, ppy = (entry.number(key) for key in ("fx", "fy", "ppx", "ppy"))
    coeffs = entry.numbers("coeffs", (-1,)).tolist() if entry.has("coeffs") else []
    intrinsics = pinhole((fx, fy), (ppx, ppy))
    model = _model(entry) if any(coeffs) or "model" in entry.values else "none"
    if model == "kannala_brandt4" and len(coeffs) in (4, 5):
        return CalibratedCamera(name, intrinsics, size, "fisheye", tuple(coeffs[:4]))
    if not any(coeffs):
        return CalibratedCamera(name, intrinsics, size)
    if len(coeffs) != 5:
        raise DataError(f"expected 5 numbers for {entry.where('coeffs')}, found {len(coeffs)}")
    if model == "inverse_brown_conrady":
        return CalibratedCamera(name, intrinsics, size, "inverse-brown-conrady", tuple(coeffs), (INVERSE,))
    # Its tangential part acts on radially distorted points. Without tangential coefficients it is Brown's model.
    if model == "brown_conrady" or (model == "modified_brown_conrady" and not any(coeffs[2:4])):
        return CalibratedCamera(name, intrinsics, size, "opencv", tuple(coeffs))
    raise DataError(
        f"expected the model Brown Conrady, Inverse Brown Conrady, Kannala Brandt4 or no coefficients for "
        f"{entry.where('model')}, found {model.replace('_', ' ')}"
    )


def _model(entry: Entry) -> str:
    value = entry.value("model")
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(BY_NUMBER):
        return BY_NUMBER[value]
    words = re.sub(r"[\s-]+", "_", str(value)[:60].strip().lower())
    return words.removeprefix("distortion.").removeprefix("rs2_distortion_")


MATRICES = ("intrinsics", "k", "intrinsicmatrix", "cameraintrinsics", "intrinsic")
LARGEST_CHANGE = 0.02  # of the focal length, as the camera focuses
PINCAM = re.compile(r"\A\s*(\d+(?:\.0*)?\s+){2}(\S+\s+){3}\S+\s*\Z")


def _is_phone(content: Content) -> bool:
    """Whether there is a matrix of one of these names, or fx, fy, cx, cy; or the one line of a `.pincam`."""
    if content.entry is None:
        return content.text is not None and PINCAM.match(content.text) is not None
    keys = without_case(content.entry)
    return content.kind == "JSON" and (
        _matrix_key(content.entry, keys) is not None or {"fx", "fy", "cx", "cy"} <= set(keys)
    )


def _phone_cameras(content: Content) -> list[CalibratedCamera]:
    """The camera of a file. Raises `DataError` for a distortion that would be lost."""
    if content.entry is None:
        return [_pincam(content)]
    entry = content.entry
    keys = without_case(entry)
    bending = list(bending_keys(entry).values())
    if bending:
        raise DataError(
            f"expected a camera without distortion in {entry.path}, as telephones write it, found {bending[0][:40]}; "
            f"write it as OpenCV's camera_matrix and distortion_coefficients"
        )
    matrix_key = _matrix_key(entry, keys)
    intrinsics = stated_pinhole(entry) if matrix_key is None else intrinsic_matrix(entry, matrix_key)
    return [CalibratedCamera("camera", intrinsics, stated_size(entry), notes=_focusing(entry, float(intrinsics[0, 0])))]


def _matrix_key(entry: Entry, keys: dict[str, str]) -> str | None:
    return next((keys[name] for name in MATRICES if name in keys and isinstance(entry.values[keys[name]], list)), None)


def _focusing(entry: Entry, focal_px: float) -> tuple[str, ...]:
    """What Record3D says of each frame: focusing changes the focal length, and one camera stands for all frames."""
    if not entry.has("perFrameIntrinsicCoeffs"):
        return ()
    focal = entry.numbers("perFrameIntrinsicCoeffs", (-1, 4))[:, 0]
    if not len(focal) or abs(focal / focal_px - 1).max() < LARGEST_CHANGE:
        return ()
    return (
        f"the focal length changes from {focal.min():.1f} to {focal.max():.1f} px by focusing; {focal_px:.1f} is taken",
    )


def _pincam(content: Content) -> CalibratedCamera:
    """ARKitScenes' `.pincam`: width height fx fy cx cy."""
    assert content.text is not None
    try:
        width, height, fx, fy, cx, cy = map(float, content.text.split())
    except ValueError as error:
        raise DataError(f"expected `WIDTH HEIGHT FX FY CX CY` in {content.path}: {error}") from error
    size = (whole_side(width, str(content.path)), whole_side(height, str(content.path)))
    return CalibratedCamera("camera", pinhole((fx, fy), (cx, cy)), size)


REALSENSE = FileFormat("RealSense", _is_realsense, _realsense_cameras)
PHONE = FileFormat("ARKit, Polycam, Record3D or Open3D", _is_phone, _phone_cameras)


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
