"""The frame that is worth annotating next: its label brings all frames nearest to a label, measured in motion."""

from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from warpgrasp.data.recording import Recording

SCANNED_FRAMES = 600  # of a long video: between two of them the motion is taken to be even
SCANNED_WIDTH_PX = 160
# Frames in which nothing moves still count a little, so that labels spread over them too.
STILL_PX = 0.02


def suggested_position(labelled: Sequence[int], travelled: Float[np.ndarray, " n"]) -> int | None:
    """The position of the frame whose label would bring all frames nearest to one; None when every frame is labelled.

    It minimises the mean distance of a frame from its nearest label. `labelled` are positions; `travelled` is how far
    the picture has moved up to each frame. Without labels it is the frame halfway.
    """
    candidates = sorted(set(scanned_positions(len(travelled))) - set(labelled)) or sorted(
        set(range(len(travelled))) - set(labelled)
    )
    if not candidates:
        return None
    away = np.full(len(travelled), np.inf)
    for position in labelled:
        away = np.minimum(away, np.abs(travelled - travelled[position]))
    means = [np.minimum(away, np.abs(travelled - travelled[position])).mean() for position in candidates]
    return candidates[int(np.argmin(means))]


def travelled_px(
    positions: Sequence[int], greys: Iterable[UInt8[np.ndarray, "h w"]], count: int
) -> Float[np.ndarray, " n"]:
    """How far the picture has moved up to each of `count` frames: dense flow between the pictures at `positions`."""
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    total, totals, last = 0.0, [], None
    for position, grey in zip(positions, greys, strict=True):
        if last is not None:
            moved = np.asarray(flow.calc(last[1], grey, np.array([])))
            total += float(np.linalg.norm(moved, axis=-1).mean()) + STILL_PX * (position - last[0])
        totals.append(total)
        last = (position, grey)
    return np.interp(np.arange(count), positions, totals)


def scanned_positions(count: int) -> list[int]:
    """The frames that are looked at: all, or evenly spread ones of a long video."""
    return np.unique(np.linspace(0, count - 1, min(count, SCANNED_FRAMES)).round().astype(int)).tolist()


def small_grey(picture: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "sh sw"]:
    """A small grey copy of a picture, in which motion is measured."""
    height = max(16, round(picture.shape[0] * SCANNED_WIDTH_PX / picture.shape[1]))
    small = cv2.resize(picture, (SCANNED_WIDTH_PX, height), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY))


def suggested_frames(recording: Recording, count: int) -> list[int]:
    """The numbers of `count` frames, each suggested as if those before it were labelled, in that order."""
    numbers = list(recording.footage.numbers)
    positions = scanned_positions(len(numbers))
    greys = (small_grey(recording.picture(numbers[position])) for position in positions)
    travelled = travelled_px(positions, greys, len(numbers))
    labelled = [position for position, number in enumerate(numbers) if number in recording.labels]
    suggested: list[int] = []
    while len(suggested) < count and (position := suggested_position([*labelled, *suggested], travelled)) is not None:
        suggested.append(position)
    return [numbers[position] for position in suggested]
