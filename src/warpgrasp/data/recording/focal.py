"""A camera from a focal length that is stated, or written in a photograph: the ideal pinhole in the middle.

Nothing here is measured. At a wrong focal length every depth is wrong in proportion: objects of known size come to lie
too far or too near, and what has no known size has no known scale.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, ImageOps

from warpgrasp.data.errors import DataError
from warpgrasp.data.picture_file import opened_picture
from warpgrasp.data.recording.camera_file import FOCAL_RANGE, Lens

FILM_DIAGONAL_MM = float(np.hypot(36.0, 24.0))  # equivalent focal lengths compare diagonals (CIPA DCG-001, 2005)
MM_PER_UNIT = {2: 25.4, 3: 10.0, 4: 1.0}  # of FocalPlaneResolutionUnit (Exif 2.32, 4.6.5)


@dataclass(frozen=True)
class ExifFocal:
    """A focal length that a photograph's EXIF data tell."""

    focal_px: float
    size: tuple[int, int]  # (width, height) of the photograph, as it is shown
    source: str  # which data


def focal_from_exif(path: Path) -> ExifFocal:
    """Read the focal length of a photograph. Raises `DataError` when its EXIF data do not tell."""
    with opened_picture(path) as (_, opened):
        width, height = ImageOps.exif_transpose(opened).size
        data = opened.getexif().get_ifd(ExifTags.IFD.Exif)
        tags = {name: _number(data.get(ExifTags.Base[name].value)) for name in _NAMES}
    equivalent, focal, resolution, unit, stored = (tags[name] for name in _NAMES)
    if focal and resolution and unit in MM_PER_UNIT:
        # Pixels of the sensor; the photograph may have been made smaller since.
        smaller = max(width, height) / stored if stored else 1.0
        source = f"{focal:g} mm at {resolution:g} pixels per {MM_PER_UNIT[int(unit)]:g} mm"
        return ExifFocal(focal * resolution / MM_PER_UNIT[int(unit)] * smaller, (width, height), source)
    if equivalent:
        focal_px = focal_from_equivalent(equivalent, (width, height))
        return ExifFocal(focal_px, (width, height), f"{equivalent:g} mm equivalent")
    raise DataError(
        f"expected FocalLengthIn35mmFilm, or FocalLength with FocalPlaneXResolution, in the EXIF data of {path}, found "
        f"neither; programs that send or edit pictures often remove them: take the file from the camera"
    )


_NAMES = (
    "FocalLengthIn35mmFilm",
    "FocalLength",
    "FocalPlaneXResolution",
    "FocalPlaneResolutionUnit",
    "ExifImageWidth",
)


def _number(value: object) -> float:
    """A tag's number, 0 where it has none."""
    try:
        number = float(value)  # type: ignore[arg-type]  # a fraction, an integer, or whatever the file holds
    except (TypeError, ValueError, ZeroDivisionError):
        return 0.0
    return number if np.isfinite(number) and number > 0 else 0.0


def focal_from_equivalent(focal_mm: float, size: tuple[int, int]) -> float:
    """The focal length in pixels of a 35 mm equivalent, for a picture of (width, height) that is not cropped."""
    return focal_mm / FILM_DIAGONAL_MM * float(np.hypot(*size))


def focal_from_field_of_view(horizontal_deg: float, width: int) -> float:
    """The focal length in pixels of a horizontal field of view."""
    return width / (2 * float(np.tan(np.radians(horizontal_deg) / 2)))


def centred_lens(focal_px: float, size: tuple[int, int]) -> Lens:
    """The pinhole of that focal length, its axis through the picture's centre. Raises `DataError` if it is none."""
    width, height = size
    if not FOCAL_RANGE[0] * width < focal_px < FOCAL_RANGE[1] * width:
        raise DataError(
            f"expected a focal length between {FOCAL_RANGE[0] * width:g} and {FOCAL_RANGE[1] * width:g} pixels for a "
            f"picture {width} wide, got {focal_px:g}"
        )
    return Lens(
        np.array([[focal_px, 0, (width - 1) / 2], [0, focal_px, (height - 1) / 2], [0, 0, 1]], dtype=np.float64),
        width,
        height,
    )
