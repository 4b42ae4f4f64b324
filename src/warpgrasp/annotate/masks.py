"""Masks of frames while they are annotated: those painted in the recording's folder, those given, and how they change.

All of them are of the picture as the page shows it, straightened.
"""

import zlib
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from warpgrasp.data.recording import (
    BACKGROUND,
    HAND,
    MASK_COLOURS,
    MASKS_FOLDER,
    OBJECT,
    OCCLUDER,
    UNKNOWN,
    MaskFolder,
    Masks,
    Recording,
)
from warpgrasp.errors import DataError, UserError

MaskPart = Literal["object", "hand", "occluder", "unknown"]
HAND_COLOUR, OBJECT_COLOUR = MASK_COLOURS[HAND], MASK_COLOURS[OBJECT]
UNKNOWN_COLOUR = (235, 60, 235)  # the file's grey would hardly be seen over a picture
TINT = 0.45  # of a mask's colour in its pixels
OUTLINE_SHARE = 1 / 480  # of the picture's width: how wide an outline is
LABEL_OF: dict[MaskPart, int] = {"object": OBJECT, "hand": HAND, "occluder": OCCLUDER, "unknown": UNKNOWN}
MASK_PARTS = tuple(LABEL_OF)
SUBPIXEL_BITS = 4  # of the corners of what is painted
CLOSED_RADII = 3.0  # a stroke that ends so near to where it began is closed,
LONG_RADII = 10.0  # when it is so long

Labels = UInt8[np.ndarray, "h w"]


@dataclass(frozen=True)
class Mask:
    """What each pixel of a frame shows, packed: hundreds of them wait to be undone."""

    packed: bytes
    height: int
    width: int

    @staticmethod
    def of(labels: Labels) -> "Mask":
        """Pack labels."""
        return Mask(zlib.compress(np.ascontiguousarray(labels).tobytes(), 1), *labels.shape)

    @staticmethod
    def empty(height: int, width: int) -> "Mask":
        """The mask of a frame of which nothing is marked."""
        return Mask.of(np.full((height, width), BACKGROUND, np.uint8))

    @property
    def labels(self) -> Labels:
        """Of each pixel, the number of what it shows; not to be written to."""
        return np.frombuffer(zlib.decompress(self.packed), np.uint8).reshape(self.height, self.width)

    @property
    def tells(self) -> bool:
        """Whether it shows some of the hand or of the object."""
        return bool(np.isin(self.labels, (HAND, OBJECT)).any())

    @property
    def occluded(self) -> Bool[np.ndarray, "h w"] | None:
        """The pixels that an occluder covers; None without any."""
        covered = self.labels == OCCLUDER
        return covered if covered.any() else None

    def painted(self, where: Bool[np.ndarray, "h w"], part: MaskPart, *, erasing: bool) -> "Mask":
        """The mask with these pixels marked as a part's, or no longer so."""
        labels, number = self.labels.copy(), LABEL_OF[part]
        if erasing:
            labels[where & (labels == number)] = BACKGROUND
        else:
            labels[where] = number
        return Mask.of(labels)

    def stroked(self, path_px: Float[np.ndarray, "n 2"], radius_px: float) -> Bool[np.ndarray, "h w"]:
        """The pixels within a radius of a path."""
        canvas = np.zeros((self.height, self.width), np.uint8)
        points = _fixed(path_px)
        thickness = max(1, round(2 * radius_px))
        cv2.polylines(canvas, [points], False, [1], thickness, cv2.LINE_8, SUBPIXEL_BITS)
        for point in (points[0], points[-1]):
            radius = round(radius_px * 2**SUBPIXEL_BITS)
            cv2.circle(canvas, point.tolist(), radius, [1], cv2.FILLED, cv2.LINE_8, SUBPIXEL_BITS)
        return canvas > 0

    def enclosed(self, path_px: Float[np.ndarray, "n 2"], radius_px: float) -> Bool[np.ndarray, "h w"]:
        """The pixels that a path encloses; none where it is not closed."""
        canvas = np.zeros((self.height, self.width), np.uint8)
        if is_closed(path_px, radius_px):
            cv2.fillPoly(canvas, [_fixed(path_px)], [1], cv2.LINE_8, SUBPIXEL_BITS)
        return canvas > 0


def _fixed(path_px: Float[np.ndarray, "n 2"]) -> np.ndarray:
    return np.rint(path_px * 2**SUBPIXEL_BITS).astype(np.int32)


def is_closed(path_px: Float[np.ndarray, "n 2"], radius_px: float) -> bool:
    """Whether a stroke ends about where it began, after a way that is worth it."""
    steps = np.linalg.norm(np.diff(path_px, axis=0), axis=1)
    apart = float(np.linalg.norm(path_px[-1] - path_px[0]))
    return apart <= CLOSED_RADII * radius_px and float(steps.sum()) >= LONG_RADII * radius_px


def with_mask(picture: UInt8[np.ndarray, "h w 3"], labels: Labels, *, tinted: bool) -> UInt8[np.ndarray, "h w 3"]:
    """The picture with the outlines of what is marked; `tinted`: with its surfaces in colour, too."""
    drawn = picture.copy()
    width = max(1, round(OUTLINE_SHARE * labels.shape[1]))
    kernel = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    for number in LABEL_OF.values():
        colour = UNKNOWN_COLOUR if number == UNKNOWN else MASK_COLOURS[number]
        inside = (labels == number).astype(np.uint8)
        if not inside.any():
            continue
        if tinted:
            tint = (1 - TINT) * picture[inside > 0] + TINT * np.array(colour)
            drawn[inside > 0] = tint.astype(np.uint8)
        drawn[inside > cv2.erode(inside, kernel)] = colour
    return drawn


class FrameMasks:
    """The masks of a recording's frames, by number: painted ones, which are written, and others that are given."""

    def __init__(self, recording: Recording, given: Masks | None = None):
        """Read the painted ones. What is wrong with their folder, where something is, forbids to paint alone."""
        self._recording, self._given = recording, given
        self._known: dict[int, Mask | None] = {}
        self._folder: MaskFolder | None = None
        self.trouble = ""  # what is wrong with masks
        try:
            folder = MaskFolder(recording.folder / MASKS_FOLDER, recording.clip)
            self._known |= {number: Mask.of(labels) for number, labels in folder.read()}
            self._folder = folder
        except DataError as error:
            self.trouble = str(error)

    def require_paintable(self) -> None:
        """Raise `UserError` where nothing can be painted, which is written nowhere else."""
        if self._folder is None:
            raise UserError(f"nothing can be painted: {self.trouble}")

    def get(self, number: int) -> Mask | None:
        """The mask of a frame, a painted one before a given one."""
        if number not in self._known:
            self._known[number] = self._as_given(number)
        return self._known[number]

    def write(self, number: int, mask: Mask | None) -> None:
        """Write a frame's mask, unless it is what it was. Raises `OSError` when that is impossible."""
        if self._folder is None or mask == self.get(number):
            return
        self._folder.write(number, None if mask is None or mask == self._as_given(number) else mask.labels)
        self._known[number] = mask

    def _as_given(self, number: int) -> Mask | None:
        if self._given is None:
            return None
        try:
            labels = self._given.undistorted(number, self._recording.lens)
        except DataError as error:  # it has been changed meanwhile
            self.trouble = str(error)
            return None
        return None if labels is None else Mask.of(labels)
