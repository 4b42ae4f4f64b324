"""The reprojection loss: how far a hand's projected joints lie from those that a detector sees in the picture.

Distances are measured by the detector's scatter (`JointOffsets.scatter_m2`) and cost what a Student t distribution
says, so that a joint that is mistaken altogether hardly pulls. It is no part of the paper.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from warpgrasp.geometry import Camera
from warpgrasp.hand import Side
from warpgrasp.keypoints.adaptation import TAIL, JointOffsets
from warpgrasp.keypoints.hands import HandKeypoints, hand_of_side

OTHER_HAND = 0.2  # a tracked hand that is less probably of the side asked for is another one


@dataclass(frozen=True)
class Detections:
    """The hand of one side in each of n pictures, as a detector sees it."""

    joints_px: Float[Tensor, "n 21 2"]
    confidence: Float[Tensor, "n 21"]  # 0 to 1; 0 in pictures without a hand

    @staticmethod
    def of(hands: Sequence[Sequence[HandKeypoints]], side: Side, *, least_probability: float = 0.0) -> "Detections":
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

    def rows(self, rows: slice | Int[Tensor, " m"]) -> "Detections":
        """Those of some pictures."""
        return Detections(self.joints_px[rows], self.confidence[rows])

    def resized(self, old: tuple[int, int], new: tuple[int, int]) -> "Detections":
        """Those of the pictures of size `old` (width, height) resized to `new`, as `Camera.resized` moves pixels."""
        scale = self.joints_px.new_tensor([new[0] / old[0], new[1] / old[1]])
        return Detections((self.joints_px + 0.5) * scale - 0.5, self.confidence)


def reprojection_loss(
    joints: Float[Tensor, "n 21 3"],
    rotation: Float[Tensor, "n 3 3"],
    camera: Camera,
    detections: Detections,
    offsets: JointOffsets,
) -> Float[Tensor, " n"]:
    """The loss of each hand: the mean over its joints of their negative log-likelihood, 0 where nothing is detected.

    `joints` (metres) and `rotation` of the whole hand are in camera space, `camera` is the n pictures'. A distance of
    one standard deviation costs about a half; far away the cost grows as the logarithm does.
    """
    seen = offsets.apply(joints, rotation)
    # The scatter is that of the detector in these pictures, not a way to fit better by moving away.
    precision = torch.linalg.inv(offsets.scatter_px2(seen.detach(), camera))
    error_px = camera.project(seen) - detections.joints_px.to(seen)
    squared = torch.einsum("nji,njik,njk->nj", error_px, precision, error_px)
    cost = (TAIL + 2) / 2 * torch.log1p(squared / TAIL)
    return (detections.confidence.to(seen) * cost).mean(dim=1)
