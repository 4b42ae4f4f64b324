"""Masks as run lengths in JSON, as COCO, CVAT and SAM 2 write them, and which frame each of them is of.

Runs go down the columns, the first of what is not the mask: lengths in a list, or COCO's compressed text.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int, UInt8

from warpgrasp.bounded import read_json, shown
from warpgrasp.checked import LARGEST_ID, Entry
from warpgrasp.data.recording.footage import Footage
from warpgrasp.errors import DataError
from warpgrasp.named_pictures import OnePicture, number_at_end

BACKGROUND, HAND, OBJECT, OCCLUDER, UNKNOWN = 0, 1, 2, 3, 255
PARTS = {"hand": HAND, "object": OBJECT, "occluder": OCCLUDER, "unknown": UNKNOWN}
OTHER_NAMES = {"other hand": OCCLUDER, "other": OCCLUDER}  # as labels are called
LARGEST_BYTES, MOST_MARKS = 2**27, 8_000_000  # some thousand pictures' masks
MOST_OF_A_FRAME, MOST_RUNS = 64, 40_000_000  # masks; runs of all together
LONGEST_COUNT = 7  # characters of one compressed run: 35 bits

Size = tuple[int, int]
Runs = Int[np.ndarray, " _"]


@dataclass(frozen=True)
class FrameNames:
    """Which frame a name or a number of somebody else's file speaks of."""

    numbers: Mapping[int, None]  # ascending, and looked up
    by_stem: Mapping[str, int]  # the pictures' names without their endings; empty of a video
    numbered: bool  # whether a number in another name is a frame's

    @staticmethod
    def of(footage: Footage) -> "FrameNames":
        """The names of a clip's pictures."""
        numbers = dict.fromkeys(footage.numbers)
        stems = {footage.file_of(number).stem: number for number in numbers}
        single = len(stems) == len(numbers) and (len(numbers) > 1 or footage.times_s is None)
        by_stem = stems if single else {}
        return FrameNames(numbers, by_stem, not by_stem or footage.times_s is None)

    def number(self, name: str, where: Path) -> int:
        """The frame of a file's name: that of the picture of the same name, else the number at its end."""
        stem = Path(name).stem
        if stem in self.by_stem:
            return self.by_stem[stem]
        return self._known(number_at_end(stem) if self.numbered else None, name, where)

    def stem(self, number: int) -> str:
        """The name, without an ending, of a file on a frame."""
        stems = {known: stem for stem, known in self.by_stem.items()}
        return stems.get(number, f"{number:06d}")

    def numbered_frame(self, number: int, where: Path) -> int:
        """The frame of this number."""
        return self._known(number, str(number), where)

    def at(self, position: int, where: Path) -> int:
        """The frame at a position, counted from 0."""
        known = self.in_order
        return self._known(known[position] if 0 <= position < len(known) else None, f"position {position}", where)

    @cached_property
    def in_order(self) -> tuple[int, ...]:
        """The frames' numbers, by position."""
        return tuple(self.numbers)

    def _known(self, number: int | None, name: str, where: Path) -> int:
        if number is None or number not in self.numbers:
            first, last = self.in_order[0], self.in_order[-1]
            raise DataError(
                f"expected masks of the recording's frames ({first} to {last}) in {where}, found one of "
                f"{shown([name])}, which is none of them"
            )
        return number


def read_run_lengths(path: Path, names: FrameNames, size: Size) -> dict[int, Callable[[], UInt8[np.ndarray, "h w"]]]:
    """What reads the labels of each frame of which a JSON file has masks, by the frames' numbers.

    Told by content: COCO's annotations (CVAT's too), whose categories are named `hand`, `object`, `occluder` (or `other
    hand`, `other`) or `unknown`; COCO's results, a list of `image_id`, `category_id` and `segmentation`; SAM 2's
    frames, a list of `frame_index` and `results`; an object that has, for each frame, an object of masks by name or
    number. Where there are no names 1 is the hand, 2 the object and 3 an occluder. Frames that are counted
    (`frame_index`, keys that are plain numbers) count from 0; an `image_id` without a file's name is a frame's number.
    Raises `DataError` for what is none of these, or hostile.
    """
    try:
        content = read_json(path, largest_bytes=LARGEST_BYTES, most_marks=MOST_MARKS)
    except DataError as error:
        raise DataError(f"expected masks (run lengths) in {path}, but it cannot be read: {error}") from error
    if isinstance(content, dict) and "annotations" in content:
        found = _coco(Entry(content, path), names)
    elif isinstance(content, list) and content:
        found = _listed(Entry({"entries": content}, path), names)
    elif isinstance(content, dict) and content:
        found = _by_frame(Entry(content, path), names)
    else:
        raise DataError(
            f"expected masks as COCO or SAM 2 writes them in {path}, found neither annotations nor a list of frames"
        )
    runs: dict[int, list[tuple[int, Runs]]] = {}
    count = 0
    for number, part, segmentation in found:
        of_frame = runs.setdefault(number, [])
        of_frame.append((part, _runs(segmentation, size)))
        count += len(of_frame[-1][1])
        if len(of_frame) > MOST_OF_A_FRAME or count > MOST_RUNS:
            raise DataError(
                f"expected at most {MOST_OF_A_FRAME} masks of a frame and {MOST_RUNS} runs in {path}, found more "
                f"(frame {number})"
            )
    return {number: partial(_labels, parts, size) for number, parts in runs.items()}


Found = Iterator[tuple[int, int, Entry]]  # frame, part, run lengths


def _part(value: Any, entry: Entry) -> int:
    """Which part a name or a number means."""
    text = re.sub("[_ -]+", " ", str(value).strip().casefold()) if isinstance(value, str | int) else ""
    for name, part in (PARTS | OTHER_NAMES).items():
        if text in (name, str(part)):
            return part
    raise DataError(
        f"expected masks of hand, object, occluder or unknown (1, 2, 3, 255) in {entry.path}, found "
        f"{shown([str(value)[:200]]) or 'no name'}; rename the label, or leave it out"
    )


def _coco(content: Entry, names: FrameNames) -> Found:
    images, categories = content.by_id("images"), content.by_id("categories")
    only = OnePicture(content.path)
    for annotation in content.each("annotations"):
        if annotation.values.get("segmentation") == []:  # keypoints or a box alone
            continue
        image_id = annotation.whole("image_id", least=0, most=LARGEST_ID)
        if image_id in images:
            name = images[image_id].text("file_name", longest=4096)
            number = only.of(names.number(name, content.path), name)
        else:
            number = only.of(names.numbered_frame(image_id, content.path), str(image_id))
        category = annotation.whole("category_id", least=0, most=LARGEST_ID)
        part = categories[category].value("name") if category in categories else category
        yield number, _part(part, annotation), _segmentation(annotation, "segmentation")


def _listed(content: Entry, names: FrameNames) -> Found:
    """COCO's results, or SAM 2's frames."""
    only = OnePicture(content.path)
    for entry in content.each("entries"):
        if entry.has("frame_index"):
            number = names.at(entry.whole("frame_index", least=0, most=LARGEST_ID), entry.path)
            for result in entry.each("results"):
                yield number, _part(result.value("object_id"), result), _segmentation(result, "mask")
            continue
        if isinstance(entry.value("image_id"), str):
            name = entry.text("image_id", longest=4096)
            number = only.of(names.number(name, entry.path), name)
        else:
            image_id = entry.whole("image_id", least=0, most=LARGEST_ID)
            number = only.of(names.numbered_frame(image_id, entry.path), str(image_id))
        yield number, _part(entry.value("category_id"), entry), _segmentation(entry, "segmentation")


def _by_frame(content: Entry, names: FrameNames) -> Found:
    only = OnePicture(content.path)
    padded = any(re.fullmatch(r"0[0-9]+", key) for key in content.values)  # as names of pictures are
    for key in content.values:
        counted = not padded and re.fullmatch(r"[0-9]{1,9}", key)
        number = only.of(names.at(int(key), content.path) if counted else names.number(key, content.path), key)
        masks = content.entry(key)
        for part in masks.values:
            yield number, _part(part, masks), _segmentation(masks, part)


def _segmentation(entry: Entry, key: str) -> Entry:
    if isinstance(entry.value(key), list):
        raise DataError(f"expected run lengths for {entry.where(key)}, found polygons; export the labels as masks")
    return entry.entry(key)


def _runs(segmentation: Entry, size: Size) -> Runs:
    """The lengths of runs, of a mask of the expected size."""
    width, height = size
    stated = segmentation.items("size", int)
    if stated != [height, width]:
        raise DataError(
            f"expected masks of the pictures' size, {height} rows of {width}, for {segmentation.where('size')}, found "
            f"{shown([str(one) for one in stated[:3]])}"
        )
    counts = segmentation.value("counts")
    if isinstance(counts, str):
        runs = _decompressed(counts[: 2 * width * height + 1], segmentation)  # of what is longer the sum is another
    else:
        numbers = segmentation.numbers("counts", (-1,), most=float(width * height))
        runs = numbers.astype(np.int64)
        if (runs != numbers).any():
            raise DataError(f"expected whole numbers for {segmentation.where('counts')}, found fractions")
    if (runs < 0).any() or (runs > width * height).any() or runs.sum() != width * height:
        raise DataError(
            f"expected runs of {width * height} pixels together for {segmentation.where('counts')}, found others"
        )
    return runs.astype(np.int32)


def _decompressed(text: str, segmentation: Entry) -> Runs:
    """COCO's text: five bits a character from the lowest, a sixth where more follow, the last with the sign.

    From the fourth run on it has the difference to the run before the last.
    """
    codes = np.frombuffer(text.encode(errors="surrogateescape"), np.uint8).astype(np.int64) - 48
    ends = np.flatnonzero((codes & 32) == 0)
    starts = np.concatenate([[0], ends[:-1] + 1]) if len(ends) else ends
    lengths = ends - starts + 1
    whole = len(codes) > 0 and ((codes >= 0) & (codes < 64)).all() and len(ends) > 0 and ends[-1] == len(codes) - 1
    if not whole or lengths.max() > LONGEST_COUNT:
        raise DataError(f"expected COCO's compressed run lengths for {segmentation.where('counts')}, found other text")
    place = np.arange(len(codes)) - np.repeat(starts, lengths)
    values = np.add.reduceat((codes & 31) << (5 * place), starts)
    values -= np.where(codes[ends] & 16, np.int64(1) << (5 * lengths), 0)
    for first in (1, 2):
        values[first::2] = np.cumsum(values[first::2])
    return values


def _labels(parts: list[tuple[int, Runs]], size: Size) -> UInt8[np.ndarray, "h w"]:
    """One picture of labels, joined as `labels_of_parts` joins them."""
    masks: dict[int, Bool[np.ndarray, "h w"]] = {}
    for part, runs in parts:
        flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
        mask = flat.reshape(size).T
        masks[part] = mask | masks[part] if part in masks else mask
    return labels_of_parts(masks, (size[1], size[0]))


def labels_of_parts(parts: Mapping[int, Bool[np.ndarray, "h w"]], shape: tuple[int, int]) -> UInt8[np.ndarray, "h w"]:
    """One picture of labels from some parts' masks: an occluder lies before all, what others share is unknown."""
    labels = np.full(shape, BACKGROUND, np.uint8)
    for part, mask in parts.items():
        labels[mask] = np.where(labels[mask] == BACKGROUND, part, UNKNOWN)
    if OCCLUDER in parts:
        labels[parts[OCCLUDER]] = OCCLUDER
    return labels
