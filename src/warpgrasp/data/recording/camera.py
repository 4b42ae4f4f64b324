"""`camera.json`: the camera that took a recording, read and written, and mapped from the pictures of a calibration."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from warpgrasp.checked import Entry, read_json_object
from warpgrasp.data.recording.lens import CAMERA_FORMAT, COUNTS, MODELS, ORDERS, DistortionModel, Lens
from warpgrasp.errors import DataError
from warpgrasp.files import write_document

CAMERA_FILE = "camera.json"
RECORDING_PAGE = "docs/datasets.md#your-own-recording"
LARGEST_SIDE_PX = 16384
LONGEST_SOURCE = 1000  # characters
# Focal lengths outside these shares of the picture's width are fields of view of 1.4° and 157°: no hand is filmed so.
FOCAL_RANGE = (0.1, 40.0)

QUARTER_TURNS_DEG = (0, 90, 180, 270)
STRETCHED = 0.01  # more than rounding to whole pixels explains


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
