"""The hand in every frame of a recording: how surely a detector sees it, and the strip that shows it."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from warpgrasp.data.recording import Recording
from warpgrasp.hand import Side
from warpgrasp.keypoints import OTHER_HAND, SURE_SCORE, MediaPipeDetector, cached_keypoints, hand_of_side
from warpgrasp.refinement import RecordingPictures

READING_SHARE = 0.2  # of the time: each picture is read once to know it again, and once to look for the hand
LEAST_SCORE = 0.5  # below it no hand is seen
STRIP_PX = (480, 18)
SEEN, HARDLY_SEEN, NOT_SEEN = (70, 170, 90), (215, 180, 60), (120, 45, 45)
LABELLED, HERE = (255, 255, 255), (60, 160, 255)
LISTED_STRETCHES = 8


class ScanStoppedError(Exception):
    """The page is closed before every frame was looked at."""


def hand_scores(
    folder: Path, side: Side, progress: Callable[[float], None], stop: threading.Event
) -> Float[np.ndarray, " n"]:
    """How surely a hand of this side is seen in each frame, 0 to 1: tracked, or from the cache of keypoints.

    The pictures are read by a decoder of its own; `progress` is told the share of the work that is done.
    Raises `DataError` for a picture that cannot be read, and `ScanStoppedError` once `stop` is set.
    """
    recording, gone_through = Recording.read(folder), 0.0

    def advance(pictures: int) -> None:
        nonlocal gone_through
        if stop.is_set():
            raise ScanStoppedError
        gone_through += pictures
        share = gone_through / len(recording.footage.numbers)  # up to 2: they may be gone through twice
        progress(READING_SHARE * min(share, 1) + (1 - READING_SHARE) * max(share - 1, 0))

    try:
        tracked = cached_keypoints(MediaPipeDetector(), RecordingPictures(recording, advance))
    finally:
        recording.footage.close()
    scores = []
    for hands in tracked:
        hand = hand_of_side(hands, side)
        scores.append(hand.presence if hand is not None and hand.probability_of(side) >= OTHER_HAND else 0.0)
    return np.array(scores)


def score_strip(scores: Float[np.ndarray, " n"], labelled: Sequence[int], here: int) -> UInt8[np.ndarray, "h w 3"]:
    """A picture of the video from left to right: green where the hand is seen, yellow where hardly, red where not.

    `labelled` are the positions of labels, white ticks; `here` is that of the frame at hand. Of frames that share a
    column the worst is shown.
    """
    width, height = STRIP_PX
    first = np.arange(width) * len(scores) // width
    last = np.maximum(np.append(first[1:], len(scores)), first + 1)
    worst = np.array([scores[start:end].min() for start, end in zip(first, last, strict=True)])
    colours = np.array([NOT_SEEN, HARDLY_SEEN, SEEN], np.uint8)
    row = colours[(worst >= LEAST_SCORE).astype(int) + (worst >= SURE_SCORE)]
    strip = np.broadcast_to(row, (height, width, 3)).copy()
    for label in labelled:
        strip[: height // 2, _columns(label, len(scores))] = LABELLED
    strip[:, _columns(here, len(scores))] = HERE
    return strip


def _columns(position: int, count: int) -> slice:
    width = STRIP_PX[0]
    middle = round((position + 0.5) * width / count)
    return slice(max(middle - 1, 0), middle + 2)


def says_where_not(numbers: Sequence[int], scores: Float[np.ndarray, " n"]) -> str:
    """The frames in which no hand is seen, in words."""
    unseen = [number for number, score in zip(numbers, scores, strict=True) if score < LEAST_SCORE]
    if not unseen:
        return "the hand is seen in every frame"
    positions = {number: position for position, number in enumerate(numbers)}
    stretches: list[list[int]] = []
    for number in unseen:
        if stretches and positions[number] == positions[stretches[-1][-1]] + 1:
            stretches[-1].append(number)
        else:
            stretches.append([number])
    told = [str(one[0]) if len(one) == 1 else f"{one[0]} to {one[-1]}" for one in stretches]
    more = " …" if len(told) > LISTED_STRETCHES else ""
    return f"no hand is seen in {len(unseen)} of {len(numbers)} frames: {', '.join(told[:LISTED_STRETCHES])}{more}"
