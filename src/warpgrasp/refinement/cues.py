"""What is known of the hand and the object in each frame besides the colours of the labels."""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from warpgrasp.frame import Pose
from warpgrasp.hand import HandModel, joints_alone
from warpgrasp.refinement.labels import HeldObject
from warpgrasp.refinement.offsets import squares_along_and_across
from warpgrasp.refinement.seen_hand import SeenHand
from warpgrasp.refinement.silhouettes import Silhouettes
from warpgrasp.scene import posed_hand

# Of its distance from the camera, by which a network's hand is off: costs log 2, and more only by the logarithm.
ACROSS_SHARE, ALONG_SHARE = 0.01, 0.04


@dataclass(frozen=True)
class PredictedHand:
    """Where a network sees the joints of the hand in n frames."""

    joints: Float[Tensor, "n 21 3"]  # in camera space
    hand: HandModel  # its joints alone

    @staticmethod
    def of(poses: Pose, hand: HandModel) -> "PredictedHand":
        """The hands of a network's poses."""
        alone = joints_alone(hand)
        with torch.no_grad():
            return PredictedHand(posed_hand(poses, alone)[1], alone)

    def rows(self, rows: slice) -> "PredictedHand":
        """Some of the frames."""
        return replace(self, joints=self.joints[rows])

    def cost(self, poses: Pose) -> Float[Tensor, " n"]:
        """What it costs that the joints have left their places: across the line of sight more than along it."""
        there = self.joints.to(poses.wrist)
        distance, sight = there.norm(dim=-1), F.normalize(there, dim=-1)
        away = (posed_hand(poses, self.hand)[1] - there) / distance[..., None]
        along, across = squares_along_and_across(away, sight)
        return torch.log1p((across / ACROSS_SHARE**2 + along / ALONG_SHARE**2).mean(dim=1))


@dataclass(frozen=True)
class Cues:
    """What is known of n frames; None of what nothing is known of."""

    seen: SeenHand | None = None
    grasp: HeldObject | None = None
    predicted: PredictedHand | None = None
    silhouettes: Silhouettes | None = None
    objects: Bool[Tensor, " n"] | None = None  # in which frames the object is known, and stays where it starts

    def rows(self, rows: slice) -> "Cues":
        """What is known of some of the frames."""
        return Cues(
            self.seen and self.seen.rows(rows),
            self.grasp and self.grasp.rows(rows),
            self.predicted and self.predicted.rows(rows),
            self.silhouettes and self.silhouettes.rows(rows),
            None if self.objects is None else self.objects[rows],
        )


NOTHING_KNOWN = Cues()
