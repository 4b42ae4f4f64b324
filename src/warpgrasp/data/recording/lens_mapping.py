"""From the pictures of a calibration to those of a recording: turned, cropped, resized, in that order."""

from dataclasses import dataclass

from warpgrasp.data.recording.camera import LARGEST_SIDE_PX, Lens
from warpgrasp.errors import DataError

QUARTER_TURNS_DEG = (0, 90, 180, 270)
STRETCHED = 0.01  # more than rounding to whole pixels explains


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
        """A warning where the resized picture has not the shape of what was resized."""
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
