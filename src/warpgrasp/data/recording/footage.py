"""The pictures of a recording in order (a video, or a folder of numbered pictures), and clips: pictures with a camera.

A reel strings clips together, to be read once from the beginning to the end.
"""

import os
import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8

from warpgrasp.data.pictures import CONVERT, PICTURE_ENDINGS, UNREAD_ENDINGS, is_hidden, read_upright
from warpgrasp.data.recording.camera import read_lens
from warpgrasp.data.recording.lens import Lens
from warpgrasp.data.recording.picture_names import numbered_pictures
from warpgrasp.data.recording.video import FORMAT_OF, Video
from warpgrasp.errors import DataError
from warpgrasp.files import fingerprint_of_files, fingerprint_of_values
from warpgrasp.frame import FrameName, ObjectModel
from warpgrasp.geometry import Camera
from warpgrasp.progress import notice

FRAMES_FOLDER = "frames"
VIDEO_STEM = "video"


@runtime_checkable
class Footage(Protocol):
    """Pictures by number. Every error is a `DataError` naming the file."""

    @property
    def numbers(self) -> Sequence[int]:
        """The numbers of the frames, ascending."""
        ...

    @property
    def times_s(self) -> Sequence[float] | None:
        """When each frame is shown, in seconds after the first; None where the files do not say."""
        ...

    @property
    def notices(self) -> Sequence[str]:
        """What is remarkable about the pictures and may make results worse: a sentence each, naming the file."""
        ...

    def picture(self, number: int) -> UInt8[np.ndarray, "h w 3"]:
        """The colours of a frame, from 0 to 255."""
        ...

    def file_of(self, number: int) -> Path:
        """The file that holds a frame."""
        ...

    def close(self) -> None:
        """Free the memory of decoders."""
        ...


class PictureFolder:
    """Picture files whose names tell the frames' numbers or times, as `numbered_pictures` reads them.

    Files that are no pictures are passed over, and so are hidden ones. Raises `DataError` when there is no picture, one
    of a kind that is not read, or two of one frame.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        numbered = numbered_pictures(folder, picture_names(folder))
        self._names, self._times_s = numbered.names, numbered.times_s
        self._numbers = sorted(self._names)

    @property
    def numbers(self) -> Sequence[int]:
        """The numbers of the frames, ascending."""
        return self._numbers

    @property
    def times_s(self) -> Sequence[float] | None:
        """When each picture was taken, in seconds after the first; None unless the names tell it."""
        return self._times_s

    @property
    def notices(self) -> Sequence[str]:
        """None: whatever is wrong with a picture is an error."""
        return ()

    def picture(self, number: int) -> UInt8[np.ndarray, "h w 3"]:
        """The colours of a frame, upright as its EXIF data ask."""
        return read_upright(self.file_of(number))

    def file_of(self, number: int) -> Path:
        """The file that holds a frame."""
        if number not in self._names:
            raise DataError(f"expected a frame of {self.folder}, found no picture of number {number}")
        return self.folder / self._names[number]

    def close(self) -> None:
        """Do nothing: no decoder is open."""


def picture_names(folder: Path) -> list[str]:
    """The names of a folder's pictures in natural order: 2 before 10.

    Raises `DataError` when there is none, or one of a kind that is not read.
    """
    with os.scandir(folder) as entries:
        files = [entry.name for entry in entries if not is_hidden(entry.name) and not entry.is_dir()]
    ending = {name: os.path.splitext(name)[1].lower() for name in files}
    unread = sorted(name for name in files if ending[name] in UNREAD_ENDINGS)
    if unread:
        raise DataError(f"expected pictures of {', '.join(PICTURE_ENDINGS)} in {folder}, found {unread[0]}; {CONVERT}")
    names = [name for name in files if ending[name] in PICTURE_ENDINGS]
    if not names:
        raise DataError(f"expected pictures ({', '.join(PICTURE_ENDINGS)}) in {folder}, found none")
    return sorted(names, key=lambda name: [(text, int(part or 0)) for text, part in NATURAL.findall(name)])


NATURAL = re.compile(r"([^0-9]*)([0-9]*)")

_said: set[str] = set()


def say_notices(footage: Footage) -> None:
    """Print what is remarkable about the pictures on standard error, each sentence once in a process."""
    for sentence in footage.notices:
        if sentence not in _said:
            _said.add(sentence)
            notice(f"warning: {sentence}")


def count_as_said(footage: Footage) -> None:
    """Count the notices as printed, since the caller prints them itself."""
    _said.update(footage.notices)


def open_footage(folder: Path) -> Footage:
    """The pictures of a recording's folder: `video.mp4` (or .mov, .mkv …), or the folder `frames`.

    Raises `DataError` when there is none of them, or more than one.
    """
    videos = sorted(path for path in folder.glob(f"{VIDEO_STEM}.*") if path.suffix.lower() in FORMAT_OF)
    pictures = folder / FRAMES_FOLDER
    sources = [*videos, *([pictures] if pictures.is_dir() else [])]
    if len(sources) != 1:
        named = " and ".join(path.name for path in sources) or "neither"
        for other in sorted(folder.glob(f"{VIDEO_STEM}.*"))[:1] if not sources else ():
            named += f" but {other.name}; convert it: ffmpeg -i {other.name} -c:v libx264 -crf 16 {VIDEO_STEM}.mp4"
        endings = "|".join(ending[1:] for ending in FORMAT_OF)
        raise DataError(
            f"expected either {VIDEO_STEM}.({endings}) or a folder {FRAMES_FOLDER} of pictures in {folder}, "
            f"found {named}"
        )
    return Video(videos[0]) if videos else PictureFolder(pictures)


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

        With the first picture, the footage's notices are printed on standard error.
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
        """When frames are shown, in units of the usual interval after the first of them: 0, 1, 2 … at a steady rate.

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


def videos_in(folder: Path) -> list[Path]:
    """The video files that lie in a folder, by their names; hidden ones are passed over."""
    inner = sorted(folder.iterdir()) if folder.is_dir() else []
    return [path for path in inner if path.suffix.lower() in FORMAT_OF and path.is_file() and path.name[0] != "."]


@dataclass(frozen=True)
class Reel:
    """Which frames of which clips, the object that each clip shows, and the (width, height) that a network sees.

    The keys are the names of the clips' sequences. Positions count through all frames from 0; no list grows with the
    number of a video's frames.
    """

    clips: Mapping[str, Clip]
    objects: Mapping[str, ObjectModel]
    numbers: Mapping[str, Sequence[int]]
    size: tuple[int, int]

    @staticmethod
    def of_clip(sequence: str, clip: Clip, model: ObjectModel, size: tuple[int, int]) -> "Reel":
        """Every frame of one clip."""
        return Reel({sequence: clip}, {sequence: model}, {sequence: clip.footage.numbers}, size)

    @property
    def models(self) -> dict[str, ObjectModel]:
        """The objects by their own names."""
        return {model.name: model for model in self.objects.values()}

    def __len__(self) -> int:
        """How many frames there are."""
        return self._ends[-1] if self._ends else 0

    def name(self, position: int) -> FrameName:
        """The frame at a position."""
        clip = bisect_right(self._ends, position)
        sequence = self._sequences[clip]
        return FrameName(sequence, self.numbers[sequence][position - (self._ends[clip - 1] if clip else 0)])

    def picture(self, name: FrameName) -> UInt8[np.ndarray, "h w 3"]:
        """A frame's colours, from 0 to 255, undistorted and at their own size; no PyTorch is involved."""
        return self.clips[name.sequence].picture(name.index)

    def camera(self, sequence: str) -> Camera:
        """The camera of a clip's pictures at their own size."""
        return self.clips[sequence].lens.camera

    def file_of(self, name: FrameName) -> Path:
        """The file that holds a frame."""
        return self.clips[name.sequence].footage.file_of(name.index)

    def fingerprint(self) -> str:
        """A short hash of what the clips are: their frames' numbers, their size, and the files of their pictures."""
        clips = {
            sequence: (
                np.asarray(numbers),
                fingerprint_of_files(self.clips[sequence].footage.file_of(number) for number in numbers),
            )
            for sequence, numbers in self.numbers.items()
        }
        return fingerprint_of_values((self.size, clips))

    @cached_property
    def _sequences(self) -> list[str]:
        return list(self.numbers)

    @cached_property
    def _ends(self) -> list[int]:
        return list(accumulate(len(self.numbers[sequence]) for sequence in self._sequences))
