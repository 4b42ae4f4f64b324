"""Pictures of one camera, in order: a video file or a folder of numbered pictures, with the camera that took them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from warpgrasp.data.recording.camera import read_lens
from warpgrasp.data.recording.footage import PICTURE_ENDINGS, Footage, PictureFolder, say_notices
from warpgrasp.data.recording.lens import Lens
from warpgrasp.data.recording.video import FORMAT_OF, Video
from warpgrasp.errors import DataError

PICTURES_INTERVAL_S = 1 / 30  # of numbered pictures, which carry no times
# How far the times of a steady rate may lie from even ones, since containers round them: Matroska's to milliseconds.
STEADY_S, STEADY_INTERVALS = 0.001, 0.1


@dataclass(frozen=True)
class Clip:
    """Footage with its lens. Pictures come undistorted, as the pinhole camera `lens.camera` would have taken them."""

    lens: Lens
    footage: Footage
    lens_file: Path

    def picture(self, number: int) -> UInt8[np.ndarray, "h w 3"]:
        """A frame's picture, from 0 to 255. Raises `DataError` when its size is not the camera's.

        The first one that is read comes with what is remarkable about the footage, on standard error.
        """
        say_notices(self.footage)
        picture, lens = self.footage.picture(number), self.lens
        height, width = picture.shape[:2]
        if (width, height) != (lens.width, lens.height):
            raise DataError(
                f"expected pictures of the camera's size, {lens.width}×{lens.height}, in "
                f"{self.footage.file_of(number)}, found {width}×{height} in frame {number}: "
                f"{self.lens_file} is of another resolution; map it by `warpgrasp camera FOLDER --from "
                f"{self.lens_file.name}` with --crop, --resize or --turn"
            )
        return lens.undistorted(picture)

    @cached_property
    def times_s(self) -> Sequence[float] | None:
        """When each frame of a video is shown, in seconds after the first; None where the files do not say."""
        return self.footage.times_s

    @cached_property
    def interval_s(self) -> float:
        """The usual time from one frame number to the next: the median of a video's, 1/30 s of pictures."""
        if self.times_s is None or len(self.times_s) < 2:
            return PICTURES_INTERVAL_S
        return float(np.median(np.diff(self.times_s)))

    def time_s(self, number: int) -> float:
        """When a frame is shown; NaN where the files do not say."""
        return float("nan") if self.times_s is None else self.times_s[number]

    def times_in_intervals(self, numbers: Sequence[int]) -> Float[np.ndarray, " n"]:
        """When frames are shown, in usual intervals after the first of them: 0, 1, 2 … where their rate is steady.

        Numbered pictures, which carry no times, are as far apart as their numbers.
        """
        if self.times_s is None:
            return _in_usual_intervals(np.array(numbers, np.float64))
        times_s = np.array([self.times_s[number] for number in numbers])
        even = np.arange(len(times_s), dtype=np.float64)
        mean_s = (times_s[-1] - times_s[0]) / max(len(times_s) - 1, 1)
        uneven_s = np.abs(times_s - times_s[0] - mean_s * even).max()
        return even if uneven_s <= min(STEADY_S, STEADY_INTERVALS * mean_s) else _in_usual_intervals(times_s)


def _in_usual_intervals(times: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    return (times - times[0]) / (np.median(np.diff(times)) if len(times) > 1 else 1.0)


def open_clip(path: Path, lens_file: Path) -> Clip:
    """A video file, or a folder of numbered pictures, with its camera file. Raises `DataError` naming what is wrong."""
    return Clip(read_lens(lens_file), open_pictures(path), lens_file)


def open_pictures(path: Path) -> Footage:
    """The pictures of a video file or of a folder. Raises `DataError` when it is neither."""
    if path.is_dir():
        return PictureFolder(path)
    if not path.is_file():
        raise DataError(f"expected a video, or a folder of pictures, found no {path}")
    if path.suffix.lower() not in FORMAT_OF:
        raise DataError(
            f"expected a video ({', '.join(FORMAT_OF)}) or a folder of pictures ({', '.join(PICTURE_ENDINGS)}), found "
            f"{path}; convert it: ffmpeg -i {path.name} -c:v libx264 -crf 16 {path.stem}.mp4"
        )
    return Video(path)
