"""Silhouettes of hand and object that a user has drawn, or a program has segmented: PNG files, or run lengths.

A picture of labels says of each pixel what it shows: `BACKGROUND`, `HAND`, `OBJECT`, `OCCLUDER` where another thing is
in front of them (a second hand, an arm, a tool), or `UNKNOWN` where nobody can tell.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Shaped, UInt8

from warpgrasp.bounded import shown
from warpgrasp.data.pictures import is_hidden, opened_picture
from warpgrasp.data.recording.footage import Clip
from warpgrasp.data.recording.lens import Lens
from warpgrasp.data.recording.run_lengths import (
    BACKGROUND,
    HAND,
    OBJECT,
    OCCLUDER,
    PARTS,
    UNKNOWN,
    FrameNames,
    labels_of_parts,
    read_run_lengths,
)
from warpgrasp.errors import DataError
from warpgrasp.progress import track

__all__ = ["BACKGROUND", "HAND", "OBJECT", "OCCLUDER", "UNKNOWN", "Masks", "read_masks"]

MASK_ENDING = ".png"
GREY_MODES = ("1", "L", "P", "I;16", "I;16L", "I;16B", "I")  # whose numbers are labels; a palette's are not colours

Labels = UInt8[np.ndarray, "h w"]


@dataclass(frozen=True)
class Masks:
    """The masks of some frames of a clip, read when they are asked for."""

    path: Path
    readers: Mapping[int, Callable[[], Labels]]  # by the frames' numbers, ascending; frames that show nothing have none
    hands: int  # frames with a mask of the hand
    objects: int
    occluders: int
    fingerprint: str  # of what all of them say
    digests: Mapping[int, bytes]  # of what each says, by the frames' numbers

    def labels(self, number: int) -> Labels | None:
        """What each pixel of a frame shows, in the footage's own pixels; None where there is no mask.

        Raises `DataError` when it is no longer what it was.
        """
        if number not in self.readers:
            return None
        labels = self.readers[number]()
        if _digest(labels) != self.digests[number]:
            raise DataError(f"expected the masks in {self.path} to stay as they are, but frame {number}'s has changed")
        return labels

    def undistorted(self, number: int, lens: Lens) -> Labels | None:
        """The same as the pinhole would have seen it; unknown where the lens saw nothing.

        A pixel that blends anything of an occluder is the occluder's.
        """
        labels = self.labels(number)
        return None if labels is None else undistorted_labels(labels, lens)

    def occluded(self, number: int, lens: Lens) -> Bool[np.ndarray, "h w"] | None:
        """The pixels of a frame that an occluder covers, as the pinhole would have seen it; None without any."""
        labels = self.undistorted(number, lens) if self.occluders else None
        covered = None if labels is None else labels == OCCLUDER
        return covered if covered is not None and covered.any() else None


def undistorted_labels(labels: Labels, lens: Lens) -> Labels:
    """Labels as the pinhole would have seen them; unknown where the lens saw nothing.

    A pixel that blends anything of an occluder is the occluder's.
    """
    if not lens.distorted:
        return labels
    shown = np.array([HAND, OBJECT, BACKGROUND], np.uint8)
    shares = lens.undistorted(np.uint8(255) * (labels[..., None] == shown))
    found = np.where(shares.max(axis=2) > 127, shown[shares.argmax(axis=2)], np.uint8(UNKNOWN))
    if (labels == OCCLUDER).any():
        covered = np.uint8(255) * (labels == OCCLUDER)
        found[lens.undistorted(np.stack([covered] * 3, axis=2))[..., 0] > 0] = OCCLUDER
    return found


def read_masks(path: Path, clip: Clip) -> Masks:
    """The masks of a clip's frames: a folder of PNG files, or a JSON file of run lengths (`read_run_lengths`).

    A folder has either the sub-folders `hand`, `object` and `occluder` (one of them is enough), in whose files whatever
    is not 0 belongs to it, and perhaps `unknown`; or one file for each frame, in which 0 is the background, 1 the hand,
    2 the object, 3 an occluder, and 255 unknown. Files are named as the pictures are, or end with the frame's number. A
    pixel of hand and object alike is unknown, one of an occluder and anything else the occluder's. A mask without a
    pixel says nothing. Each is read once, so that errors come first; raises `DataError` naming the file for masks of
    other frames or sizes, and where there is none at all.
    """
    names, size = FrameNames.of(clip.footage), (clip.lens.width, clip.lens.height)
    if path.is_dir():
        readers = _folder_readers(path, names, size)
    elif path.is_file():
        readers = read_run_lengths(path, names, size)
    else:
        raise DataError(f"expected masks, a folder of PNG files or a JSON file of run lengths, found no {path}")
    whole, kept, digests, counts = hashlib.sha256(), {}, {}, {HAND: 0, OBJECT: 0, OCCLUDER: 0}
    for number, read in track(sorted(readers.items()), "read the masks"):
        labels = read()
        there = [part for part in counts if (labels == part).any()]
        if there:
            kept[number], digests[number] = read, _digest(labels)
            whole.update(f"{number} {labels.shape}".encode() + digests[number])
        for part in there:
            counts[part] += 1
    if not kept:
        raise DataError(
            f"expected masks of hand, object or an occluder in {path}, found none in {len(readers)} frames (1 is the "
            f"hand, 2 the object, 3 an occluder, 255 unknown; masks of 0 and 255 belong into the sub-folders hand and "
            f"object)"
        )
    of_parts = counts[HAND], counts[OBJECT], counts[OCCLUDER]
    return Masks(path, kept, *of_parts, whole.hexdigest()[:16], digests)


def _digest(labels: Labels) -> bytes:
    return hashlib.sha256(labels.tobytes()).digest()


def _folder_readers(folder: Path, names: FrameNames, size: tuple[int, int]) -> dict[int, Callable[[], Labels]]:
    there = {part: folder / name for name, part in PARTS.items() if (folder / name).is_dir()}
    if not there:
        files = mask_files(folder, names)
        return {number: partial(index_labels, file, size) for number, file in files.items()}
    if stray := [file.name for file in _entries(folder) if file.is_file()]:
        raise DataError(
            f"expected masks in the sub-folders {', '.join(PARTS)} of {folder} alone, found "
            f"{shown(stray[:1])} beside them"
        )
    of_part = {part: mask_files(inner, names) for part, inner in there.items()}
    numbers = sorted(set(chain.from_iterable(of_part.values())))
    return {
        number: partial(
            _joined_labels, {part: files[number] for part, files in of_part.items() if number in files}, size
        )
        for number in numbers
    }


def _entries(folder: Path) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        yield from (folder / name for name in sorted(entry.name for entry in entries if not is_hidden(entry.name)))


def mask_files(folder: Path, names: FrameNames) -> dict[int, Path]:
    """A folder's masks by the numbers of their frames."""
    found: dict[int, Path] = {}
    for file in _entries(folder):
        if file.suffix.lower() != MASK_ENDING:
            raise DataError(f"expected masks as PNG files in {folder}, found {shown([file.name])}")
        number = names.number(file.name, folder)
        if number in found:
            raise DataError(
                f"expected one mask for each frame in {folder}, found {shown([found[number].name, file.name])} of "
                f"frame {number}"
            )
        found[number] = file
    return found


def _numbers(file: Path, size: tuple[int, int], *, colours: bool) -> Shaped[np.ndarray, "h w *c"]:
    """The numbers of a mask's pixels; three of each where it has colours, and may have them."""
    with opened_picture(file) as (_, opened):
        if opened.size != size:
            raise DataError(
                f"expected a mask of the pictures' size, {size[0]}×{size[1]}, in {file}, found "
                f"{opened.size[0]}×{opened.size[1]}"
            )
        if opened.mode not in GREY_MODES and not (colours and opened.mode == "RGB"):
            raise DataError(
                f"expected a mask of one number for each pixel in {file}, found colours ({opened.mode}); save it "
                f"as a grey PNG"
            )
        numbers = np.array(opened)
        if opened.mode == "P":
            _check_palette(np.array(opened.getpalette("RGB")).reshape(-1, 3), numbers, file)
        return numbers


def _check_palette(palette: Shaped[np.ndarray, "n 3"], numbers: Shaped[np.ndarray, "h w"], file: Path) -> None:
    """Refuse colours whose order a program chose: there the number 0, the background, is not the black one."""
    black = np.flatnonzero(~palette.any(axis=1))
    if palette[0].any() and np.isin(numbers, black).any():
        raise DataError(
            f"expected the number 0, of the background, to be the black one of the palette in {file}, found another; "
            f"save it as a grey PNG"
        )


def index_labels(file: Path, size: tuple[int, int]) -> Labels:
    """What each pixel shows, by a file of labels. Raises `DataError` for other numbers, or another size than (w, h)."""
    numbers = _numbers(file, size, colours=False)
    other = numbers[~np.isin(numbers, (BACKGROUND, *PARTS.values()))]
    if len(other):
        raise DataError(
            f"expected 0 (background), 1 (hand), 2 (object), 3 (occluder) or 255 (unknown) in {file}, found "
            f"{int(other[0])}; masks of one thing belong into the sub-folders hand and object"
        )
    return numbers.astype(np.uint8)


def _joined_labels(files: Mapping[int, Path], size: tuple[int, int]) -> Labels:
    masks = {part: _numbers(file, size, colours=True) != 0 for part, file in files.items()}
    flat = {part: mask.any(axis=2) if mask.ndim == 3 else mask for part, mask in masks.items()}
    return labels_of_parts(flat, (size[1], size[0]))
