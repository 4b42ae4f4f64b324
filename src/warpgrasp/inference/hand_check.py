"""Whether a hand is seen where a network has put one: a detector that has seen photographs is asked.

A network answers every picture with a hand, an empty one too. The detector looks into the square around the projected
joints; where it sees no hand there, it searches the whole picture. It looks at one frame in so many, and at the frames
between two of which one shows a hand and the other does not: hands seldom come and go within a sixth of a second.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from warpgrasp.frame import FrameName
from warpgrasp.hand import Side
from warpgrasp.inference.keypoint_refinement import KeypointRefinement
from warpgrasp.inference.looks import Look, Sight, distances_px, joints_of
from warpgrasp.keypoints import HandBox, HandKeypoints, KeypointDetector, hand_of_side
from warpgrasp.predictions import Predictions


@dataclass(frozen=True)
class HandCheck:
    """Looks for the predicted hand in one frame of `every`; with a refinement, in all, and moves it there."""

    detector: KeypointDetector
    every: int
    side: Side
    refinement: KeypointRefinement | None = None

    def checked(self, predictions: Predictions, sight: Callable[[int], Sight]) -> Predictions:
        """Consecutive predictions with `hand_presence` and `keypoint_distance_px`; `sight` gives the picture of a row.

        Both are NaN in frames that nobody looked at: the frames before and after these show a hand alike.
        """
        rows = looked_at(predictions.names, 1 if self.refinement else self.every)
        looks = self._looks(predictions, rows, sight)
        unlike = [pair for pair in pairwise(rows) if (looks[pair[0]].presence > 0) != (looks[pair[1]].presence > 0)]
        between = [row for first, last in unlike for row in range(first + 1, last)]
        looks |= self._looks(predictions, between, sight)
        presence = np.full(len(predictions), np.nan, np.float32)
        for row, look in looks.items():
            presence[row] = look.presence
        distance_px = distances_px(predictions, looks, self.side)
        measured = replace(predictions, hand_presence=presence, keypoint_distance_px=distance_px)
        return measured if self.refinement is None else self.refinement.refined(measured, looks, self.side)

    def _looks(self, predictions: Predictions, rows: Sequence[int], sight: Callable[[int], Sight]) -> dict[int, Look]:
        """What is seen in some frames."""
        sights = [sight(row) for row in rows]
        boxes = [_boxes(one, joints_of(predictions, row)) for row, one in zip(rows, sights, strict=True)]
        hands: list[HandKeypoints | None] = []
        for _, group in groupby(range(len(sights)), lambda place: sights[place].pixels.shape):
            places = list(group)
            hands += self._hands([sights[place].pixels for place in places], [boxes[place] for place in places])
        return {row: Look.of(hand, one, self.side) for row, hand, one in zip(rows, hands, sights, strict=True)}

    def _hands(
        self, pictures: Sequence[UInt8[np.ndarray, "h w 3"]], boxes: Sequence[Sequence[HandBox]]
    ) -> list[HandKeypoints | None]:
        """The hand in each picture: that in the square around the predicted one, or else one that is found."""
        batch = np.stack(pictures)
        there = self.detector.detect(batch, boxes)
        missing = [place for place, hands in enumerate(there) if not hands]
        searched = dict(zip(missing, self.detector.detect(batch[missing]) if missing else [], strict=True))
        return [hand_of_side(searched.get(place, hands), self.side) for place, hands in enumerate(there)]


def looked_at(names: Sequence[FrameName], every: int) -> list[int]:
    """The rows that are looked at first: the ends of each stretch of a sequence, and between them one in `every`."""
    rows: list[int] = []
    for row, name in enumerate(names):
        last = names[rows[-1]] if rows else None
        near = last is not None and last.sequence == name.sequence and 0 <= name.index - last.index < every
        ends = row + 1 == len(names) or names[row + 1].sequence != name.sequence
        if ends or not near:
            rows.append(row)
    return rows


def _boxes(sight: Sight, joints: Float[Tensor, "21 3"]) -> list[HandBox]:
    """The square around a predicted hand; none where it is not before the camera, or no number."""
    camera = sight.camera_of_pixels
    if not bool(torch.isfinite(joints).all()) or not bool(camera.sees(joints).all()):
        return []
    return [HandBox.around(camera.project(joints))]
