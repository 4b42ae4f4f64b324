"""Hands in pictures, as a keypoint detector says: 21 joints in pixels, scores, a box. And what a detector is.

Pixels follow docs/conventions.md: (0, 0) is the centre of the top left pixel, so a picture covers -0.5 to width - 0.5.
The joints are in the order of `hand.JOINTS`.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from warpgrasp.checked import LARGEST_SHARE, are_shares, far_outside
from warpgrasp.errors import DataError
from warpgrasp.frame import Detections
from warpgrasp.hand import FEWEST_JOINTS, FINGERS, JOINTS, Side, permutation

Picture = UInt8[np.ndarray, "h w 3"]  # red, green, blue

# The order of MediaPipe, OpenPose, COCO-WholeBody, HaMeR and WiLoR, by the names of our joints.
DETECTOR_JOINTS = ("wrist", *(f"{finger}_{part}" for finger in FINGERS for part in ("1", "2", "3", "tip")))
OURS_FROM_DETECTORS = permutation(JOINTS, from_=DETECTOR_JOINTS)

WRIST = JOINTS.index("wrist")
BASES = tuple(JOINTS.index(name) for name in ("index_1", "middle_1", "ring_1"))
PALM_AND_MIDDLE = tuple(
    row for row, name in enumerate(JOINTS) if not name.endswith(("_3", "_tip")) or name == "thumb_3"
)
EIGHT_TURNS = tuple(math.tau * step / 8 for step in range(8))  # of a box: tried where its own is not known, or mistaken
BOX_PER_PALM = 2.0  # a box's side by the extent of the joints of PALM_AND_MIDDLE, along the longer of its axes
BOX_SHIFT = 0.1  # towards the fingers, by the extent along the hand

OTHER_HAND = 0.2  # a tracked hand that is less probably of the side asked for is another one
# A hand is looked at again, its square turned and smaller, when it is less probably there and of the side asked for.
SURE_SCORE = 0.8
TURNED_SIZE = 0.8


@dataclass(frozen=True)
class HandBox:
    """The square of a picture in which a hand lies.

    `turn` is the angle in radians, clockwise as the picture is seen, from the picture's upward direction to that from
    the wrist to the fingers; None where nobody knows.
    """

    centre_px: tuple[float, float]
    side_px: float
    turn: float | None

    @staticmethod
    def around(joints_px: Float[Tensor, "21 2"]) -> "HandBox":
        """The box around a hand whose joints are known: those of the last frame, or projected ones."""
        joints = joints_px.double()
        bases = (joints[BASES[0]] + joints[BASES[2]]) / 4 + joints[BASES[1]] / 2
        turn = _turn_of(*(bases - joints[WRIST]).tolist())
        palm = joints[list(PALM_AND_MIDDLE)]
        along = joints.new_tensor([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
        upright = palm @ along
        low, high = upright.amin(dim=0), upright.amax(dim=0)
        centre = (low + high) / 2 - (high - low) * joints.new_tensor([0, BOX_SHIFT])
        x, y = (along @ centre).tolist()
        return HandBox((x, y), max(BOX_PER_PALM * float((high - low).max()), 1.0), turn)

    def turned(self, turn: float) -> "HandBox":
        """The same square, turned about its centre."""
        return HandBox(self.centre_px, self.side_px, turn)

    @property
    def picture_from_box(self) -> Float[np.ndarray, "2 3"]:
        """The affine map to pixels from coordinates in which the turned square is [0, 1] × [0, 1].

        A box whose turn is not known is taken as upright.
        """
        cosine, sine = math.cos(self.turn or 0), math.sin(self.turn or 0)
        linear = self.side_px * np.array([[cosine, -sine], [sine, cosine]])
        return np.column_stack([linear, np.array(self.centre_px) - linear @ [0.5, 0.5]])


def _turn_of(x: float, y: float) -> float:
    """The clockwise angle from up (0, -1) to a direction of the picture, whose y axis points down."""
    return math.atan2(x, -y)


@dataclass(frozen=True)
class HandKeypoints:
    """A hand in a picture."""

    joints_px: Float[Tensor, "21 2"]
    confidence: Float[Tensor, " 21"]  # of each joint, 0 to 1
    presence: float  # that this is a hand, 0 to 1
    right_probability: float
    relative_depth_px: Float[Tensor, " 21"]
    """How much farther each joint is than the wrist, in pixels at the hand's distance; zero where nobody says."""
    box: HandBox

    @property
    def side(self) -> Side:
        """The more probable side."""
        return "right" if self.right_probability >= 0.5 else "left"

    def probability_of(self, side: Side) -> float:
        """That it is of this side, 0 to 1."""
        return self.right_probability if side == "right" else 1 - self.right_probability

    def score_of(self, side: Side) -> float:
        """That there is a hand of this side, 0 to 1."""
        return self.presence * self.probability_of(side)

    @property
    def side_score(self) -> float:
        """The probability of `side`, 0.5 to 1."""
        return max(self.right_probability, 1 - self.right_probability)


def hand_of_side(hands: Sequence[HandKeypoints], side: Side) -> HandKeypoints | None:
    """The hand of a picture that is most probably there and of this side; None where there are no hands.

    A hand alone is returned whichever side it seems to be of: see its `right_probability`.
    """
    return max(hands, key=lambda hand: hand.score_of(side), default=None)


def detections_of(
    hands: Sequence[Sequence[HandKeypoints]], side: Side, *, least_probability: float = 0.0
) -> Detections:
    """The hand of this side among those of each picture, if it is of this side at least so probably.

    The side that is seen in a single picture is often mistaken; that of a track, an average, hardly ever: pass
    `OTHER_HAND` for the hands of a track.
    """
    joints, confidence = torch.zeros(len(hands), 21, 2), torch.zeros(len(hands), 21)
    for row, of_picture in enumerate(hands):
        hand = hand_of_side(of_picture, side)
        if hand is not None and hand.probability_of(side) >= least_probability:
            joints[row], confidence[row] = hand.joints_px, hand.confidence * hand.presence
    return Detections(joints, confidence)


@runtime_checkable
class KeypointDetector(Protocol):
    """Finds hands in pictures."""

    @property
    def identity(self) -> str:
        """Name, version and settings: everything but the pictures that results depend on."""
        ...

    def detect(
        self, pictures: UInt8[np.ndarray, "n h w 3"], boxes: Sequence[Sequence[HandBox]] | None = None
    ) -> list[list[HandKeypoints]]:
        """The hands of each picture, the surest first, each picture on its own.

        `boxes` says where each picture's hands are; nothing is searched then.
        """
        ...

    def track(self, pictures: Iterable[Picture], start: Sequence[HandBox] = ()) -> Iterator[list[HandKeypoints]]:
        """The hands of each picture of a video, in the order in which the pictures come. The memory is constant.

        `start` says where hands are in the first picture.
        """
        ...


@dataclass(frozen=True)
class FoundHand:
    """A hand that was looked for."""

    keypoints: HandKeypoints
    side: Side  # the one asked for
    other_score: float  # that there is a hand of the other side in its place, 0 to 1

    @property
    def score(self) -> float:
        """That there is a hand of the side asked for, 0 to 1."""
        return self.keypoints.score_of(self.side)

    @property
    def looks_like_the_other(self) -> bool:
        """Whether it looks rather like a hand of the other side."""
        return self.other_score > self.score


def find_hand(
    detector: KeypointDetector, picture: Picture, side: Side, *, box: HandBox | None = None
) -> FoundHand | None:
    """The hand of a picture that is most probably of this side, or None where no hand is seen.

    `box` says where to look. A hand that is hardly of this side is looked at again in turned squares: what is mistaken
    for the other hand is often this one, seen askew. A hand alone is returned whichever side it seems to be of.
    """
    hands = detector.detect(picture[None], None if box is None else [[box]])[0]
    seen = hand_of_side(hands, side)
    if seen is None:
        return None
    sightings = [seen]
    if seen.score_of(side) < SURE_SCORE:
        side_px, first_turn = TURNED_SIZE * seen.box.side_px, seen.box.turn or 0.0
        turned = [HandBox(seen.box.centre_px, side_px, first_turn + turn) for turn in EIGHT_TURNS]
        askew = _hands_in(detector, picture, turned)
        sightings += askew + _hands_in(detector, picture, [HandBox.around(hand.joints_px) for hand in askew])
    best = hand_of_side(sightings, side)
    assert best is not None
    other = max(hand.presence * (1 - hand.probability_of(side)) for hand in sightings)
    return FoundHand(best, side, other)


def _hands_in(detector: KeypointDetector, picture: Picture, boxes: Sequence[HandBox]) -> list[HandKeypoints]:
    """What is seen in each box of a picture by itself: a hand that is seen in two of them is there twice."""
    pictures = np.broadcast_to(picture, (len(boxes), *picture.shape))
    return [hand for hands in detector.detect(pictures, [[box] for box in boxes]) for hand in hands]


def shares_for_pixels(path: Path) -> DataError:
    """The error of a file whose numbers are so small that they count no pixels."""
    return DataError(
        f"expected joints in pixels of the whole picture in {path}, found numbers that are all below "
        f"{LARGEST_SHARE}, as shares of a picture or a crop are; multiply them by the picture's size"
    )


def check_unit(path: Path, hands: Sequence[Sequence[HandKeypoints]], size: tuple[int, int]) -> None:
    """Refuse shares of the picture where pixels are expected, and pixels, or another size's, where shares are.

    A wild joint now and then is no other unit. Raises `DataError` naming the file.
    """
    seen = [hand.joints_px[hand.confidence > 0] for of_picture in hands for hand in of_picture]
    joints = torch.cat([torch.zeros(0, 2), *seen]).numpy()
    if len(joints) >= FEWEST_JOINTS and are_shares(joints):
        raise shares_for_pixels(path)
    beyond = far_outside(joints, size)
    if 2 * int(beyond.sum()) > len(joints):
        raise DataError(
            f"expected joints in pictures of {size[0]}×{size[1]}, or near them, in {path}, found most of them "
            f"far away, one at {joints[beyond][0].tolist()}; are they of pictures of another size, or in pixels where "
            f"MediaPipe has shares of the width and height?"
        )
