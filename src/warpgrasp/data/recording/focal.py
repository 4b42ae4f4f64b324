"""A camera from a focal length that is stated, or written in a photograph: the ideal pinhole in the middle.

Nothing here is measured. With a wrong focal length every depth is wrong in proportion: an object of known size is
placed too far or too near, and anything of unknown size has an unknown scale.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, ImageOps

from warpgrasp.data.pictures import opened_picture
from warpgrasp.data.recording.camera import FOCAL_RANGE
from warpgrasp.data.recording.lens import Lens
from warpgrasp.errors import DataError

FILM_WIDTH_MM = 36.0
FILM_DIAGONAL_MM = float(
    np.hypot(FILM_WIDTH_MM, 24.0)
)  # equivalent focal lengths compare diagonals (CIPA DCG-001, 2005)
MM_PER_UNIT = {2: 25.4, 3: 10.0, 4: 1.0}  # of FocalPlaneResolutionUnit (Exif 2.32, 4.6.5)


SAME_SHAPE = 0.01  # of the ratio of two sides: rounding to whole pixels
NOMINAL = 0.05  # how far a lens's true focal length may be from what is written on it
AGREEING = 0.15  # between the two ways to compute a focal length
HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"avif")


@dataclass(frozen=True)
class ExifFocal:
    """A focal length that a photograph's EXIF data tell."""

    focal_px: float
    size: tuple[int, int]  # (width, height) of the photograph, as it is shown
    source: str  # which data
    least_px: float  # what the focal length may be, by how these data are rounded and understood
    most_px: float
    notes: tuple[str, ...] = ()

    @property
    def sureness(self) -> str:
        """How far the focal length may be off, in words."""
        low, high = (100 * (bound / self.focal_px - 1) for bound in (self.least_px, self.most_px))
        return f"true to between {low:+.0f} and {high:+.0f} % ({self.least_px:.0f} to {self.most_px:.0f} px)"


@dataclass(frozen=True)
class _Photograph:
    """A photograph's size and what its EXIF data say; 0 stands for what they do not say."""

    path: Path
    size: tuple[int, int]  # (width, height) as it is shown
    tags: dict[str, float]

    @property
    def taken_size(self) -> tuple[float, float]:
        """The longer and the shorter side as the camera took it. EXIF data state the sensor's, never turned."""
        stored = sorted((self.tags["ExifImageWidth"], self.tags["ExifImageHeight"]), reverse=True)
        longer, shorter = float(max(self.size)), float(min(self.size))
        if not stored[0]:
            return longer, shorter
        return stored[0], stored[1] or stored[0] * shorter / longer

    def scale(self) -> tuple[float, tuple[str, ...]]:
        """Its size as a share of the size when taken, and notes for the user. Raises `DataError` if that is unknown."""
        (taken_long, taken_short), (longer, shorter) = self.taken_size, (max(self.size), min(self.size))
        across, down = longer / taken_long, shorter / taken_short
        if abs(across / down - 1) <= SAME_SHAPE + 1 / shorter:
            changed = abs(across - 1) > SAME_SHAPE
            return across, (f"resized from {taken_long:.0f}×{taken_short:.0f} since it was taken",) if changed else ()
        if 1.0 in (across, down) and max(across, down) <= 1:
            cut = f"cut out of {taken_long:.0f}×{taken_short:.0f} since it was taken: its middle is taken for the axis"
            return 1.0, (cut,)
        raise DataError(
            f"expected a photograph as the camera took it, {taken_long:.0f}×{taken_short:.0f}, in {self.path}, found "
            f"{self.size[0]}×{self.size[1]}: it was cut out and resized, and nothing says by how much; take the file "
            f"from the camera"
        )


def focal_from_exif(path: Path) -> ExifFocal:
    """Read the focal length of a photograph. Raises `DataError` when its EXIF data do not tell."""
    photograph = _photograph(path)
    tags = photograph.tags
    scale, notes = photograph.scale()
    equivalent, focal, resolution = (tags[name] for name in _NAMES[:3])
    unit = MM_PER_UNIT.get(int(tags["FocalPlaneResolutionUnit"]))
    stated = _by_equivalent(equivalent, photograph, scale, notes) if equivalent else None
    if focal and resolution and unit:
        # Pixels of the sensor; the photograph may have been made smaller since.
        source = f"{focal:g} mm at {resolution:g} pixels per {unit:g} mm"
        return _by_sensor(focal * resolution / unit * scale, source, photograph, notes, stated)
    if stated is not None:
        return stated
    raise DataError(
        f"expected FocalLengthIn35mmFilm, or FocalLength with FocalPlaneXResolution, in the EXIF data of {path}, found "
        f"neither; programs that send or edit pictures often remove them: take the file from the camera"
    )


def _by_sensor(
    focal_px: float, source: str, photograph: _Photograph, notes: tuple[str, ...], stated: ExifFocal | None
) -> ExifFocal:
    zoom = max(1.0, photograph.tags["DigitalZoomRatio"])
    if zoom > 1 + SAME_SHAPE:
        notes = (*notes, f"zoomed {zoom:g} times by cutting out, which may count or not")
    if stated is not None and abs(stated.focal_px / focal_px - 1) > AGREEING:
        notes = (*notes, f"its 35 mm equivalent says {stated.focal_px:.0f} px instead: one of both is wrong")
    return ExifFocal(
        focal_px, photograph.size, source, focal_px * (1 - NOMINAL), focal_px * (1 + NOMINAL) * zoom, notes
    )


def _by_equivalent(equivalent_mm: float, photograph: _Photograph, scale: float, notes: tuple[str, ...]) -> ExifFocal:
    """From the diagonal, as the standard says. The bounds allow for makers that use the longer side, and rounding."""
    taken = photograph.taken_size
    bounds = [
        change * scale
        for millimetres in (equivalent_mm - 0.5, equivalent_mm + 0.5)
        for change in (focal_from_equivalent(millimetres, taken), millimetres / FILM_WIDTH_MM * taken[0])
    ]
    focal_px = focal_from_equivalent(equivalent_mm, taken) * scale
    return ExifFocal(focal_px, photograph.size, f"{equivalent_mm:g} mm equivalent", min(bounds), max(bounds), notes)


def _photograph(path: Path) -> _Photograph:
    with opened_picture(path) as (_, opened):
        size = ImageOps.exif_transpose(opened).size
        data = opened.getexif().get_ifd(ExifTags.IFD.Exif)
        return _Photograph(path, size, {name: _number(data.get(ExifTags.Base[name].value)) for name in _NAMES})


_NAMES = (
    "FocalLengthIn35mmFilm",
    "FocalLength",
    "FocalPlaneXResolution",
    "FocalPlaneResolutionUnit",
    "ExifImageWidth",
    "ExifImageHeight",
    "DigitalZoomRatio",
)


def _number(value: object) -> float:
    """A tag's number, 0 where it has none."""
    try:
        number = float(value)  # type: ignore[arg-type]  # a fraction, an integer, or whatever the file holds
    except (TypeError, ValueError, ZeroDivisionError):
        return 0.0
    return number if np.isfinite(number) and number > 0 else 0.0


def focal_from_equivalent(focal_mm: float, size: tuple[int, int] | tuple[float, float]) -> float:
    """The focal length in pixels of a 35 mm equivalent, for a picture of (width, height) that is not cropped."""
    return focal_mm / FILM_DIAGONAL_MM * float(np.hypot(*size))


def focal_from_field_of_view(horizontal_deg: float, width: int) -> float:
    """The focal length in pixels of a horizontal field of view."""
    return width / (2 * float(np.tan(np.radians(horizontal_deg) / 2)))


def centred_lens(focal_px: float, size: tuple[int, int], source: str | None = None) -> Lens:
    """The pinhole of that focal length, its axis through the picture's centre. Raises `DataError` if implausible."""
    width, height = size
    if not FOCAL_RANGE[0] * width < focal_px < FOCAL_RANGE[1] * width:
        raise DataError(
            f"expected a focal length between {FOCAL_RANGE[0] * width:g} and {FOCAL_RANGE[1] * width:g} pixels for a "
            f"picture {width} wide, got {focal_px:g}"
        )
    centred = np.array([[focal_px, 0, (width - 1) / 2], [0, focal_px, (height - 1) / 2], [0, 0, 1]], dtype=np.float64)
    return Lens(centred, width, height, source=source)
