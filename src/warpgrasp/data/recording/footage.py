"""The pictures of a recording: a video, or a folder of numbered pictures."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from warpgrasp.data.recording.video import FORMAT_OF, Video
from warpgrasp.errors import DataError

PICTURE_ENDINGS = (".jpg", ".jpeg", ".png")
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
    """Picture files whose names end with the frame's number: `0012.jpg`, `frame_0012.png`."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._files: dict[int, Path] = {}
        for path in sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURE_ENDINGS):
            number = re.search(r"([0-9]{1,9})$", path.stem)
            if number is None:
                raise DataError(f"expected names that end with the frame's number in {folder}, found {path.name}")
            if int(number[1]) in self._files:
                first = self._files[int(number[1])].name
                raise DataError(f"expected one picture for each frame in {folder}, found {first} and {path.name}")
            self._files[int(number[1])] = path
        if not self._files:
            raise DataError(f"expected pictures ({', '.join(PICTURE_ENDINGS)}) in {folder}, found none")
        self._numbers = sorted(self._files)

    @property
    def numbers(self) -> Sequence[int]:
        """The numbers of the frames, ascending."""
        return self._numbers

    @property
    def times_s(self) -> None:
        """Not told by pictures."""
        return None

    def picture(self, number: int) -> UInt8[np.ndarray, "h w 3"]:
        """The colours of a frame, upright as its EXIF data ask."""
        path = self.file_of(number)
        try:
            with Image.open(path, formats=("JPEG", "PNG")) as opened:
                return np.array(ImageOps.exif_transpose(opened).convert("RGB"))
        except FileNotFoundError as error:
            raise DataError(f"expected the picture {path}, found no such file") from error
        except (OSError, UnidentifiedImageError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise DataError(f"expected a whole picture in {path}: {error}") from error

    def file_of(self, number: int) -> Path:
        """The file that holds a frame."""
        if number not in self._files:
            raise DataError(f"expected a frame of {self.folder}, found no picture of number {number}")
        return self._files[number]

    def close(self) -> None:
        """Nothing is held."""


def open_footage(folder: Path) -> Footage:
    """The pictures of a recording's folder: `video.mp4` (or .mov, .mkv, .webm), or the folder `frames`.

    Raises `DataError` when there is none of them, or more than one.
    """
    videos = sorted(path for path in folder.glob(f"{VIDEO_STEM}.*") if path.suffix.lower() in FORMAT_OF)
    pictures = folder / FRAMES_FOLDER
    found = [*videos, *([pictures] if pictures.is_dir() else [])]
    if len(found) != 1:
        named = " and ".join(path.name for path in found) or "neither"
        endings = "|".join(ending[1:] for ending in FORMAT_OF)
        raise DataError(
            f"expected either {VIDEO_STEM}.({endings}) or a folder {FRAMES_FOLDER} of jpg or png in {folder}, "
            f"found {named}"
        )
    return Video(videos[0]) if videos else PictureFolder(pictures)
