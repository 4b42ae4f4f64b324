"""Which frame a picture is that a file from elsewhere names: labels, masks and keypoints of other programs."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from warpgrasp.bounded import shown
from warpgrasp.errors import DataError

# Roboflow's `0007_png.rf.3f2a…`, and other hashes at the end of names, whose last digits count nothing.
ROBOFLOW = re.compile(r"_[a-z]{3,4}\.rf\.[0-9a-z]+$", re.IGNORECASE)
HASH = re.compile(r"(?<![0-9a-z])(?=[0-9a-f]*[0-9][a-f])[0-9a-f]{8,}$", re.IGNORECASE)
NUMBER_AT_END = re.compile(r"(?<![0-9])0*([0-9]{1,9})$")
# Label Studio puts eight characters before the name of a picture that was uploaded.
UPLOADED = re.compile(r"^[0-9a-f]{8}-(?=.)")


@dataclass(frozen=True)
class PictureFrames:
    """Which frame a picture in a file is: by its name, its name's stem, or the number that ends it."""

    path: Path
    pictures: str  # which there are, for a sentence
    known: Mapping[str | int, Sequence[int]]  # frames of pictures' names, their stems, and numbers
    numbered: bool  # whether a number in another name is a frame's: not where pictures are named by times

    @staticmethod
    def of(
        path: Path,
        pictures: str,
        names: Iterable[tuple[str, int]],
        numbers: Iterable[tuple[int, int]],
        *,
        numbered: bool,
    ) -> "PictureFrames":
        """For the file at `path`: the frames that names and numbers are of; a video's have no names."""
        known: dict[str | int, list[int]] = {}
        for name, frame in names:
            for key in {name, Path(name).stem}:
                known.setdefault(key, []).append(frame)
        for number, frame in numbers:
            known.setdefault(number, []).append(frame)
        return PictureFrames(path, pictures, known, numbered)

    def frame(self, picture: str | int, place: str) -> int:
        """The frame's number. Raises `DataError` when none, or more than one, is meant."""
        found = self.known.get(picture, ()) if isinstance(picture, int) else self._meant(picture)
        if len(found) != 1:
            raise DataError(
                f"expected the name or number of one picture of {self.pictures} for {place} of {self.path}, found "
                f"{shown([picture]) if isinstance(picture, str) else picture}, which is "
                f"{'none of them' if not found else 'any of the frames ' + ', '.join(map(str, found[:8]))}"
            )
        return found[0]

    def _meant(self, picture: str) -> Sequence[int]:
        last = _path_parts(picture)[-1]
        names = [last, re.split(r"[=?&]", last)[-1]]
        names += [UPLOADED.sub("", name) for name in names]
        for name in names:
            for key in (name, Path(name).stem):
                if key in self.known:
                    return self.known[key]
        number = number_at_end(Path(names[-1]).stem)
        return self.known.get(number, ()) if self.numbered and number is not None else ()


@dataclass(frozen=True)
class OnePicture:
    """Sees to it that a file's pictures are of different frames."""

    path: Path
    stated: dict[int, str] = field(default_factory=dict)
    folders: dict[str, str] = field(default_factory=dict)  # of named pictures

    def of(self, number: int, name: str) -> int:
        """The number of a frame. Raises `DataError` when another picture was of it, or one of another folder."""
        before = self.stated.setdefault(number, name)
        if before != name:
            raise DataError(
                f"expected one picture for each frame in {self.path}, found {shown([before, name])} of frame {number}"
            )
        self.folders.setdefault(name.replace("\\", "/").rpartition("/")[0], name)
        if len(self.folders) > 1:
            raise DataError(
                f"expected pictures of one recording in {self.path}, found {shown(self.folders.values())} of several "
                f"folders; keep those of this recording"
            )
        return number


def _path_parts(picture: str) -> list[str]:
    """The parts of a path or an address, the last with the picture's name: before what is asked, or its last value."""
    before, *query = picture.split("?", 1)
    return re.split(r"[/\\]", before if query and Path(before).suffix else picture)


def folder_of(picture: str | int) -> str:
    """The folder, or the address, before the name of a picture."""
    return "" if isinstance(picture, int) else "/".join(_path_parts(picture)[:-1])


def number_at_end(stem: str) -> int | None:
    """The number that ends a name without its ending; None where there is none, or a longer one: a time, or a hash."""
    own = ROBOFLOW.sub("", stem)
    found = None if HASH.search(own) else NUMBER_AT_END.search(own)
    return None if found is None else int(found[1])
