"""The pictures of a recording: a video, or a folder of numbered pictures."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from warpgrasp.data.pictures import CONVERT, PICTURE_ENDINGS, UNREAD_ENDINGS, is_hidden, read_upright
from warpgrasp.data.recording.picture_names import numbered_pictures
from warpgrasp.data.recording.video import FORMAT_OF, Video
from warpgrasp.errors import DataError
from warpgrasp.progress import notice

__all__ = ["FRAMES_FOLDER", "PICTURE_ENDINGS", "VIDEO_STEM", "Footage", "PictureFolder", "open_footage"]

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
        """Give decoders' memory back."""
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
        """Nothing is held."""


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
    """Keep silent about what the caller says itself."""
    _said.update(footage.notices)


def open_footage(folder: Path) -> Footage:
    """The pictures of a recording's folder: `video.mp4` (or .mov, .mkv …), or the folder `frames`.

    Raises `DataError` when there is none of them, or more than one.
    """
    videos = sorted(path for path in folder.glob(f"{VIDEO_STEM}.*") if path.suffix.lower() in FORMAT_OF)
    pictures = folder / FRAMES_FOLDER
    found = [*videos, *([pictures] if pictures.is_dir() else [])]
    if len(found) != 1:
        named = " and ".join(path.name for path in found) or "neither"
        for other in sorted(folder.glob(f"{VIDEO_STEM}.*"))[:1] if not found else ():
            named += f" but {other.name}; convert it: ffmpeg -i {other.name} -c:v libx264 -crf 16 {VIDEO_STEM}.mp4"
        endings = "|".join(ending[1:] for ending in FORMAT_OF)
        raise DataError(
            f"expected either {VIDEO_STEM}.({endings}) or a folder {FRAMES_FOLDER} of pictures in {folder}, "
            f"found {named}"
        )
    return Video(videos[0]) if videos else PictureFolder(pictures)
