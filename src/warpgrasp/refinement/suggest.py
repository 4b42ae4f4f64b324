"""The frame of a recording that is worth a label next.

It is to bring all frames nearest to a label, measured in motion. Of frames that do so nearly as well the sharpest is
taken: nobody sees the edges of a blurred hand, and what is annotated there is a guess.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from warpgrasp.data.recording import Recording

SCANNED_FRAMES = 600  # of a long video: between two of them the motion is taken to be even
SCANNED_WIDTH_PX = 160
# Frames in which nothing moves still count a little, so that labels spread over them too.
STILL_PX = 0.02
# Sharpness is the mean square of the Laplacian, in pictures at most so wide, smoothed against noise. It counts by how
# much moves in a cell in the whole video: that is the hand, and not what stands sharply behind it.
SHARP_WIDTH_PX, SMOOTH_PX = 640, 1.0
CELLS = (40, 30)
NEARBY_FRAMES = 5
NEARLY_AS_GOOD = 1.1  # times the least mean distance
CLEARLY_SHARPER = 1.1  # times the sharpness of the frame of the least one; of less nobody would see anything


@dataclass(frozen=True)
class ScannedVideo:
    """What is seen of n frames when a video is gone through."""

    travelled_px: Float[np.ndarray, " n"]  # how far the picture has moved up to each frame
    sharpness: Float[np.ndarray, " n"]  # NaN for frames that were not looked at

    @staticmethod
    def even(count: int) -> "ScannedVideo":
        """A video of which nothing is known: it moves by as much from each frame to the next."""
        return ScannedVideo(np.arange(count, dtype=np.float64), np.full(count, np.nan))


def suggested_position(labelled: Sequence[int], video: ScannedVideo) -> int | None:
    """The position of the frame whose label would bring all frames nearest to one; None when every frame is labelled.

    It minimises the mean distance of a frame from its nearest label, unless one within `NEARBY_FRAMES` of it that is
    `NEARLY_AS_GOOD` is `CLEARLY_SHARPER`: then it is the sharpest of those. `labelled` are positions. Without labels it
    is about halfway.
    """
    travelled = video.travelled_px
    candidates = sorted(set(scanned_positions(len(travelled))) - set(labelled)) or sorted(
        set(range(len(travelled))) - set(labelled)
    )
    if not candidates:
        return None
    away = np.full(len(travelled), np.inf)
    for position in labelled:
        away = np.minimum(away, np.abs(travelled - travelled[position]))
    means = [np.minimum(away, np.abs(travelled - travelled[position])).mean() for position in candidates]
    best = int(np.argmin(means))
    near = [
        position
        for position, mean in zip(candidates, means, strict=True)
        if abs(position - candidates[best]) <= NEARBY_FRAMES and mean <= NEARLY_AS_GOOD * means[best]
    ]
    sharpness = video.sharpness
    sharper = [position for position in near if sharpness[position] > CLEARLY_SHARPER * sharpness[candidates[best]]]
    return max(sharper, key=lambda position: sharpness[position]) if sharper else candidates[best]


def scanned_video(positions: Sequence[int], pictures: Iterable[UInt8[np.ndarray, "h w 3"]], count: int) -> ScannedVideo:
    """Go through the pictures at `positions` of `count` frames: dense flow between them, and how sharp they are."""
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    total, totals, last = 0.0, [], None
    edges, motion = [], np.full(CELLS[::-1], STILL_PX)
    for position, picture in zip(positions, pictures, strict=True):
        grey = small_grey(picture)
        if last is not None:
            moved = np.linalg.norm(np.asarray(flow.calc(last[1], grey, np.array([]))), axis=-1)
            total += float(moved.mean()) + STILL_PX * (position - last[0])
            motion += _by_cell(moved)
        totals.append(total)
        edges.append(_by_cell(squared_edges(picture)))
        last = (position, grey)
    sharpness = np.full(count, np.nan)
    sharpness[list(positions)] = (np.stack(edges) * motion / motion.sum()).sum(axis=(1, 2))
    return ScannedVideo(np.interp(np.arange(count), positions, totals), sharpness)


def scanned_positions(count: int) -> list[int]:
    """The frames that are looked at: all, or evenly spread ones of a long video."""
    return np.unique(np.linspace(0, count - 1, min(count, SCANNED_FRAMES)).round().astype(int)).tolist()


def small_grey(picture: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "sh sw"]:
    """A small grey copy of a picture, in which motion is measured."""
    height = max(16, round(picture.shape[0] * SCANNED_WIDTH_PX / picture.shape[1]))
    small = cv2.resize(picture, (SCANNED_WIDTH_PX, height), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY))


def squared_edges(picture: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "sh sw"]:
    """The square of the smoothed picture's Laplacian: large at sharp edges."""
    height, width = picture.shape[:2]
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    if width > SHARP_WIDTH_PX:
        size = (SHARP_WIDTH_PX, max(1, round(height * SHARP_WIDTH_PX / width)))
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    smooth = cv2.GaussianBlur(grey, (0, 0), SMOOTH_PX)
    return np.square(np.asarray(cv2.Laplacian(smooth, cv2.CV_32F)))


def _by_cell(values: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "ch cw"]:
    return np.asarray(cv2.resize(values.astype(np.float64), CELLS, interpolation=cv2.INTER_AREA))


def suggested_frames(recording: Recording, count: int) -> list[int]:
    """The numbers of `count` frames, each suggested as if those before it were labelled, in that order."""
    numbers = list(recording.footage.numbers)
    positions = scanned_positions(len(numbers))
    video = scanned_video(positions, (recording.picture(numbers[position]) for position in positions), len(numbers))
    labelled = [position for position, number in enumerate(numbers) if number in recording.labels]
    suggested: list[int] = []
    while len(suggested) < count and (position := suggested_position([*labelled, *suggested], video)) is not None:
        suggested.append(position)
    return [numbers[position] for position in suggested]
