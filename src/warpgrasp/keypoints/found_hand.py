"""The hand of one side in a picture, from nothing: looked for by a detector, and our hand model fitted to its joints.

The size of the hand is a guess, and so is its depth, unless its shape is given.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from warpgrasp.geometry import Camera
from warpgrasp.hand import ExpectedHand, HandFit, HandModel, SeenJoints, Side, fit_hand_to_pixels
from warpgrasp.keypoints.adaptation import JointOffsets
from warpgrasp.keypoints.hands import EIGHT_TURNS, HandBox, HandKeypoints, KeypointDetector, Picture, hand_of_side

# A hand is looked at again, its square turned and smaller, when it is less probably there and of the side asked for.
SURE_SCORE = 0.8
TURNED_SIZE = 0.8
# The joints that a detector sees in one picture err together: each counts as if it scattered so many times as much.
ERRING_TOGETHER = 2.0


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


def hand_from_keypoints(
    hand: HandModel,
    keypoints: HandKeypoints,
    *,
    camera: Camera,
    offsets: JointOffsets,
    expected: ExpectedHand | None = None,
) -> HandFit:
    """Fit the hand model to the joints that a detector sees, in camera space; `camera` is that of one picture.

    `offsets` says where the detector sees our joints: `usual_offsets`, or `fit_offsets` on labelled frames. Without an
    expected shape size and depth are a guess: 7 % of the depth, typically.
    Raises `FitError` for fewer than six joints in the picture, and when no hand in front of the camera fits.
    """
    scatter_m = offsets.scatter_m2.diagonal(dim1=-2, dim2=-1).mean(dim=-1).sqrt()
    errors_m = ERRING_TOGETHER * scatter_m / keypoints.confidence.clamp_min(1e-6).sqrt()
    seen = SeenJoints(keypoints.joints_px, keypoints.confidence > 0, offsets.offsets_m, errors_m)
    return fit_hand_to_pixels(hand, seen, camera=camera, expected=expected)


def joint_misses_m(
    joints: Float[Tensor, "n 21 3"],
    rotation: Float[Tensor, "n 3 3"],
    keypoints: HandKeypoints,
    *,
    camera: Camera,
    offsets: JointOffsets,
) -> Float[Tensor, " n"]:
    """How far hands lie from the joints that a detector sees: the mean over those in the picture, metres.

    It is measured across the line of sight; `joints` and `rotation` of the whole hand are in camera space. Infinite for
    hands that are not in front of the camera, and when no joint is in the picture.
    """
    points = offsets.apply(joints, rotation)
    misses_px = (camera.project(points) - keypoints.joints_px.to(points)).norm(dim=-1)
    misses_m = misses_px * points[..., 2] / camera.focal_px.mean().to(points)
    seen = keypoints.confidence > 0
    if not seen.any():
        return torch.full_like(misses_m[:, 0], torch.inf)
    mean = misses_m[:, seen].mean(dim=1)
    return torch.where(camera.sees(points).all(dim=1), mean, torch.inf)
