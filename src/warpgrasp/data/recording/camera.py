"""`camera.json`, read, written, and mapped from the pictures of a calibration; and cameras of a focal length alone.

A focal length that is stated, or written in a photograph, gives the ideal pinhole in the middle. Nothing of it is
measured: with a wrong focal length every depth is wrong in proportion, so that an object of known size is placed too
far or too near, and anything of unknown size has an unknown scale.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import ExifTags, ImageOps

from warpgrasp.checked import Entry, read_json_object
from warpgrasp.data.pictures import opened_picture
from warpgrasp.data.recording.lens import CAMERA_FORMAT, COUNTS, MODELS, ORDERS, DistortionModel, Lens
from warpgrasp.errors import DataError
from warpgrasp.files import write_document

CAMERA_FILE = "camera.json"
RECORDING_PAGE = "docs/datasets.md#your-own-recording"
LARGEST_SIDE_PX = 16384
LONGEST_SOURCE = 1000  # characters
# Focal lengths outside these shares of the picture's width are fields of view of 1.4° and 157°: no hand is filmed so.
FOCAL_RANGE = (0.1, 40.0)
STRETCHED = 0.01  # more than rounding to whole pixels explains
FILM_WIDTH_MM = 36.0
# Equivalent focal lengths compare diagonals (CIPA DCG-001, 2005).
FILM_DIAGONAL_MM = float(np.hypot(FILM_WIDTH_MM, 24.0))
INCH = 2  # also where the unit is not stated
MM_PER_UNIT = {INCH: 25.4, 3: 10.0, 4: 1.0}  # of FocalPlaneResolutionUnit (Exif 2.32, 4.6.5)
SAME_SHAPE = 0.01  # of the ratio of two sides: rounding to whole pixels
NOMINAL = 0.05  # how far a lens's true focal length may be from what is written on it
AGREEING = 0.15  # between the two ways to compute a focal length


def read_lens(path: Path) -> Lens:
    """Read a camera file, or that of a recording's folder. Raises `DataError` naming the file and the fact."""
    return lens_of(read_json_object(path / CAMERA_FILE if path.is_dir() else path, CAMERA_FORMAT, see=RECORDING_PAGE))


def lens_of(entry: Entry) -> Lens:
    """The lens that a camera file, or a part of another file, describes. Raises `DataError` naming it and the fact."""
    lens = stated_lens(entry)
    check_lens(lens, entry.path)
    return lens


def stated_lens(entry: Entry) -> Lens:
    """The lens as the file states it, unchecked: a crop of a lens that `check_lens` refuses may be a usable one."""
    entry.only("format", "width", "height", "fx", "fy", "cx", "cy", "matrix", "distortion", "model", "source")
    width, height = (entry.whole(key, least=1, most=LARGEST_SIDE_PX) for key in ("width", "height"))
    model = entry.choice("model", MODELS) if entry.has("model") else "opencv"
    source = entry.text("source")[:LONGEST_SOURCE] if entry.has("source") else None
    return Lens(_intrinsics(entry), width, height, _coefficients(entry, model), model, source)


def _coefficients(entry: Entry, model: DistortionModel) -> tuple[float, ...]:
    # A fisheye without coefficients is no pinhole either: a file without them is incomplete.
    stated = entry.has("distortion") or model != "opencv"
    coefficients = tuple(float(value) for value in entry.numbers("distortion", (-1,))) if stated else ()
    if (coefficients or model != "opencv") and len(coefficients) not in COUNTS[model]:
        raise DataError(
            f"expected {', '.join(map(str, COUNTS[model]))} coefficients in {ORDERS[model]} for "
            f"{entry.where('distortion')}, found {len(coefficients)}"
        )
    return coefficients


def _intrinsics(entry: Entry) -> Float[np.ndarray, "3 3"]:
    names = ("fx", "fy", "cx", "cy")
    if not entry.has("matrix"):
        fx, fy, cx, cy = (entry.number(name) for name in names)
        return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], dtype=np.float64)
    if any(entry.has(name) for name in names):
        raise DataError(f"expected either matrix or fx, fy, cx, cy in {entry.path}, found both")
    matrix = entry.numbers("matrix", (3, 3))
    if matrix[0, 1] or matrix[1, 0] or (matrix[2] != [0, 0, 1]).any():
        raise DataError(
            f"expected a matrix [[fx, 0, cx], [0, fy, cy], [0, 0, 1]] in {entry.path}, found {matrix.tolist()}"
        )
    return matrix


def check_lens(lens: Lens, path: Path) -> None:
    """Refuse an impossible or unusable lens. Raises `DataError` naming the file that it comes from and the fact."""
    focal_px = lens.intrinsics[[0, 1], [0, 1]]
    low, high = (share * lens.width for share in FOCAL_RANGE)
    if not ((focal_px > low) & (focal_px < high)).all():
        raise DataError(
            f"expected focal lengths in pixels between {low:g} and {high:g} for a picture {lens.width} wide in {path}, "
            f"found {focal_px[0]:g} and {focal_px[1]:g}"
        )
    centre_px = lens.intrinsics[:2, 2]
    if not (np.abs(centre_px) <= LARGEST_SIDE_PX).all():  # a crop may have it outside the picture
        raise DataError(
            f"expected a principal point within {LARGEST_SIDE_PX} pixels of the picture in {path}, found "
            f"({centre_px[0]:g}, {centre_px[1]:g})"
        )
    if lens.model == "fisheye":
        _check_field(lens, path)
    if lens.distorted and lens.folds():
        raise DataError(
            f"expected a distortion that keeps the picture in order in {path}, found one that folds it; are the "
            f"coefficients in {ORDERS[lens.model]}, and of this camera?"
        )


def _check_field(lens: Lens, path: Path) -> None:
    fields_deg = [field for field in lens.fisheye_field_deg if field > 180]
    if fields_deg:
        raise DataError(
            f"expected a fisheye that sees at most 180° across in {path}, found {fields_deg[0]:.0f}°: pictures are "
            f"turned into a pinhole's, which sees less; crop the video to its middle, and its camera by `warpgrasp "
            f"camera --from {path.name} --crop X Y WIDTH HEIGHT`"
        )


def write_lens(folder: Path, lens: Lens) -> None:
    """Write a recording's `camera.json`, whole or not at all."""
    write_document(folder / CAMERA_FILE, lens.content)


@dataclass(frozen=True)
class LensMapping:
    """How a recording's pictures came from those of a calibration."""

    clockwise_deg: int = 0
    crop: tuple[int, int, int, int] | None = None  # left, top, width, height, in pixels of the turned picture
    resize: tuple[int, int] | None = None  # (width, height) that the crop was brought to

    @property
    def stated(self) -> bool:
        """Whether anything changes."""
        return bool(self.clockwise_deg) or self.crop is not None or self.resize is not None

    @property
    def words(self) -> str:
        """The mapping as options of the command."""
        parts = [f"--turn {self.clockwise_deg}"] if self.clockwise_deg else []
        parts += [f"--crop {' '.join(map(str, self.crop))}"] if self.crop else []
        parts += [f"--resize {' '.join(map(str, self.resize))}"] if self.resize else []
        return " ".join(parts)

    def apply(self, lens: Lens) -> Lens:
        """The lens of the recording's pictures. Raises `DataError` when the crop does not lie in the picture."""
        if self.clockwise_deg:
            try:
                lens = lens.turned(self.clockwise_deg)
            except ValueError as error:
                raise DataError(f"expected a camera that can be turned for --turn: {error}") from error
        if self.crop:
            left, top, width, height = self.crop
            inside = min(left, top) >= 0 and min(width, height) >= 1
            if not inside or left + width > lens.width or top + height > lens.height:
                raise DataError(
                    f"expected a part of the calibrated picture of {lens.width}×{lens.height} for --crop X Y WIDTH "
                    f"HEIGHT, got {width}×{height} at ({left}, {top})"
                )
            lens = lens.cropped(left, top, width, height)
        if self.resize:
            if not (min(self.resize) >= 1 and max(self.resize) <= LARGEST_SIDE_PX):
                raise DataError(f"expected a width and height up to {LARGEST_SIDE_PX} for --resize, got {self.resize}")
            lens = lens.resized(*self.resize)
        return lens

    def stretch(self, lens: Lens) -> str | None:
        """A warning where resizing changes the picture's proportions."""
        if not self.resize:
            return None
        turned_size = (lens.height, lens.width) if self.clockwise_deg % 180 else (lens.width, lens.height)
        width, height = self.crop[2:] if self.crop else turned_size
        across, down = self.resize[0] / width, self.resize[1] / height
        # Half a pixel of rounding each way is nothing.
        if abs(across / down - 1) < STRETCHED + 1 / min(self.resize):
            return None
        return (
            f"--resize stretches {width}×{height} to {self.resize[0]}×{self.resize[1]}, {across / down:.3f} times as "
            f"much across as down; is a --crop X Y WIDTH HEIGHT missing?"
        )


def require_size(lens: Lens, size: tuple[int, int] | None, named: str) -> None:
    """Refuse a camera of another size than the recording's pictures. Raises `DataError` naming both."""
    have = (lens.width, lens.height)
    if size is None or have == size:
        return
    (width, height), ways = size, []
    if (have[0] > have[1]) != (width > height) and have[0] != have[1] and width != height:
        ways.append("--turn 90 (or 270) where the pictures were turned clockwise by as much to be shown upright")
        have_turned = have[::-1]
    else:
        have_turned = have
    if have_turned != size and abs(have_turned[0] * height - have_turned[1] * width) <= max(have):
        ways.append(f"--resize {width} {height} where the whole picture was made smaller or larger")
    elif have_turned != size:
        ways.append("--crop X Y WIDTH HEIGHT where a part was cut out, then --resize WIDTH HEIGHT if that was resized")
    raise DataError(
        f"expected a camera for pictures of {width}×{height}, as the recording's, found one for {have[0]}×{have[1]} in "
        f"{named}; say how the pictures came from those: {'; '.join(ways)}"
    )


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
    unit = MM_PER_UNIT.get(int(tags["FocalPlaneResolutionUnit"] or INCH))
    zoom = max(1.0, tags["DigitalZoomRatio"])
    if zoom > 1 + SAME_SHAPE:
        notes = (*notes, f"zoomed {zoom:g} times by cutting out, which may count or not")
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
    most_px = max(bounds) * max(1.0, photograph.tags["DigitalZoomRatio"])  # some makers count the zoom in, some do not
    return ExifFocal(focal_px, photograph.size, f"{equivalent_mm:g} mm equivalent", min(bounds), most_px, notes)


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
