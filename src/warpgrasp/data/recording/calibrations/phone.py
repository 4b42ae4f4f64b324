"""Cameras of telephones: ARKit's matrices, and what Polycam, Record3D and ARKitScenes write of them; Open3D's too.

ARKit's "origin is at the center of the upper-left pixel" (ARCamera.h), as here, and its pictures are those of the
sensor, wider than high: a video that is shown upright is turned. Its matrices stand column by column, as Open3D's do;
others write them row by row. ARKit undistorts nothing, and states no distortion: what remains is small.
"""

import re

from warpgrasp.data.recording.calibrations.calibrated import (
    CalibratedCamera,
    intrinsic_matrix,
    pinhole,
    stated_size,
    whole_side,
    without_case,
)
from warpgrasp.data.recording.calibrations.content import Content
from warpgrasp.data.recording.document import Entry
from warpgrasp.errors import DataError

FORMAT = "ARKit, Polycam, Record3D or Open3D"
MATRICES = ("intrinsics", "k", "intrinsicmatrix", "cameraintrinsics", "intrinsic")
DISTORTING = re.compile(r"^(k[1-6]|p[12]|.*distort.*|dist(coeffs?)?)$")
LARGEST_CHANGE = 0.02  # of the focal length, by focusing
PINCAM = re.compile(r"\A\s*(\d+(?:\.0*)?\s+){2}(\S+\s+){3}\S+\s*\Z")


def recognised(content: Content) -> bool:
    """Whether there is a matrix of one of these names, or fx, fy, cx, cy; or the one line of a `.pincam`."""
    if content.entry is None:
        return content.text is not None and PINCAM.match(content.text) is not None
    keys = without_case(content.entry)
    return content.kind == "JSON" and (
        _matrix_key(content.entry, keys) is not None or {"fx", "fy", "cx", "cy"} <= set(keys)
    )


def cameras(content: Content) -> list[CalibratedCamera]:
    """The camera of a file. Raises `DataError` for a distortion that would be lost."""
    if content.entry is None:
        return [_pincam(content)]
    entry = content.entry
    keys = without_case(entry)
    bending = [key for name, key in keys.items() if DISTORTING.match(name) and not _is_nothing(entry.values[key])]
    if bending:
        raise DataError(
            f"expected a camera without distortion in {entry.path}, as telephones write it, found {bending[0][:40]}; "
            f"write it as OpenCV's camera_matrix and distortion_coefficients"
        )
    matrix_key = _matrix_key(entry, keys)
    if matrix_key is not None:
        intrinsics = intrinsic_matrix(entry, matrix_key)
    else:
        fx, fy, cx, cy = (entry.number(keys[name]) for name in ("fx", "fy", "cx", "cy"))
        intrinsics = pinhole((fx, fy), (cx, cy))
    return [CalibratedCamera("camera", intrinsics, stated_size(entry), notes=_focusing(entry, float(intrinsics[0, 0])))]


def _is_nothing(value: object) -> bool:
    return value is None or value == 0 or (isinstance(value, list) and not any(value))


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
