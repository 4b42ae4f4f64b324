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

from warpgrasp.data import resized_pixels
from warpgrasp.frame import FrameName
from warpgrasp.geometry import Camera
from warpgrasp.hand import Side
from warpgrasp.keypoints import HandBox, HandKeypoints, KeypointDetector, hand_of_side, usual_offsets
from warpgrasp.predictions import Predictions

LARGEST_SIDE_PX = 640  # of what the detector looks at; it makes 224 pixels of the square around a hand


@dataclass(frozen=True)
class Sight:
    """A picture that is looked at, and the camera of the picture as it is stored, which may be larger."""

    pixels: UInt8[np.ndarray, "h w 3"]
    camera: Camera

    @property
    def scale(self) -> float:
        """Stored pixels for each of `pixels`."""
        return self.camera.width / self.pixels.shape[1]

    @property
    def camera_of_pixels(self) -> Camera:
        """The camera of `pixels`."""
        height, width = self.pixels.shape[:2]
        return self.camera.resized(width, height)


def shrunk(pixels: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "small_h small_w 3"]:
    """The picture, no longer than `LARGEST_SIDE_PX` on either side; no PyTorch is involved."""
    height, width = pixels.shape[:2]
    scale = min(1.0, LARGEST_SIDE_PX / max(width, height))
    return resized_pixels(pixels, (max(1, round(scale * width)), max(1, round(scale * height))))


@dataclass(frozen=True)
class HandCheck:
    """Looks for the predicted hand in one frame of `every`."""

    detector: KeypointDetector
    every: int
    side: Side

    def checked(self, predictions: Predictions, sight: Callable[[int], Sight]) -> Predictions:
        """Consecutive predictions with `hand_presence` and `keypoint_distance_px`; `sight` gives the picture of a row.

        Both are NaN in frames that nobody looked at: the frames before and after these show a hand alike.
        """
        count = len(predictions)
        presence, distance_px = np.full(count, np.nan, np.float32), np.full(count, np.nan, np.float32)
        looked = looked_at(predictions.names, self.every)
        self._look(predictions, looked, sight, presence, distance_px)
        unlike = [pair for pair in pairwise(looked) if (presence[pair[0]] > 0) != (presence[pair[1]] > 0)]
        between = [row for first, last in unlike for row in range(first + 1, last)]
        self._look(predictions, between, sight, presence, distance_px)
        return replace(predictions, hand_presence=presence, keypoint_distance_px=distance_px)

    def _look(
        self,
        predictions: Predictions,
        rows: Sequence[int],
        sight: Callable[[int], Sight],
        presence: Float[np.ndarray, " n"],
        distance_px: Float[np.ndarray, " n"],
    ) -> None:
        """Enter what is seen in some frames."""
        sights = [sight(row) for row in rows]
        hands = self._hands(sights, [_joints(predictions, row) for row in rows])
        for row, seen, one in zip(rows, hands, sights, strict=True):
            presence[row] = 0 if seen is None else seen.presence
            if seen is not None:
                distance_px[row] = self._distance_px(predictions, row, seen, one)

    def _hands(
        self, sights: Sequence[Sight], joints: Sequence[Float[torch.Tensor, "21 3"]]
    ) -> list[HandKeypoints | None]:
        """The hand in each picture: that in the square around the predicted one, or else one that is found."""
        boxes = [_boxes(one, points) for one, points in zip(sights, joints, strict=True)]
        found: list[HandKeypoints | None] = []
        for _, group in groupby(range(len(sights)), lambda row: sights[row].pixels.shape):
            rows = list(group)
            pictures = np.stack([sights[row].pixels for row in rows])
            there = self.detector.detect(pictures, [boxes[row] for row in rows])
            missing = [place for place, hands in enumerate(there) if not hands]
            searched = dict(zip(missing, self.detector.detect(pictures[missing]) if missing else [], strict=True))
            found += [hand_of_side(searched.get(place, hands), self.side) for place, hands in enumerate(there)]
        return found

    def _distance_px(self, predictions: Predictions, row: int, seen: HandKeypoints, sight: Sight) -> float:
        """The mean distance of the predicted joints from the seen ones, in stored pixels."""
        rotation = torch.from_numpy(predictions.hand_rotation[row])
        joints = usual_offsets(self.side).apply(_joints(predictions, row), rotation)
        projected = sight.camera_of_pixels.project(joints)
        return sight.scale * float((projected - seen.joints_px).norm(dim=-1).mean())


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


def _joints(predictions: Predictions, row: int) -> Float[torch.Tensor, "21 3"]:
    return torch.from_numpy(predictions.hand_joints[row])


def _boxes(sight: Sight, joints: Float[torch.Tensor, "21 3"]) -> list[HandBox]:
    """The square around a predicted hand; none where it is not before the camera, or no number."""
    camera = sight.camera_of_pixels
    if not bool(torch.isfinite(joints).all()) or not bool(camera.sees(joints).all()):
        return []
    return [HandBox.around(camera.project(joints))]
