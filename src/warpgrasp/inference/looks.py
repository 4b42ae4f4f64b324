"""What a detector looks at, and what it says of a predicted hand."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from warpgrasp.data import resized_pixels
from warpgrasp.geometry import Camera
from warpgrasp.hand import Side
from warpgrasp.keypoints import Detections, HandKeypoints, usual_offsets
from warpgrasp.predictions import Predictions

LARGEST_SIDE_PX = 640  # of what the detector looks at; it makes 224 pixels of the square around a hand


@dataclass(frozen=True)
class Sight:
    """A picture that is looked at, and the camera of the picture as it is stored, which may be larger."""

    pixels: UInt8[np.ndarray, "h w 3"]
    camera: Camera

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
class Look:
    """What was seen in a frame: a hand, in stored pixels, or none; and the camera of the stored picture."""

    presence: float
    detections: Detections
    camera: Camera

    @staticmethod
    def of(hand: HandKeypoints | None, sight: Sight, side: Side) -> "Look":
        """Of a hand that was seen in the pixels of a sight."""
        height, width = sight.pixels.shape[:2]
        stored = sight.camera.width, sight.camera.height
        detections = Detections.of([[] if hand is None else [hand]], side).resized((width, height), stored)
        return Look(0.0 if hand is None else hand.presence, detections, sight.camera)

    def distance_px(self, joints: Float[Tensor, "21 3"]) -> float:
        """The mean distance of the seen joints from others, where the detector would see them; NaN without a hand."""
        if not self.presence:
            return float("nan")
        return float((self.camera.project(joints) - self.detections.joints_px[0]).norm(dim=-1).mean())


def distances_px(predictions: Predictions, looks: Mapping[int, Look], side: Side) -> Float[np.ndarray, " n"]:
    """How far the joints of each frame lie from the seen ones, in stored pixels; NaN without such."""
    found = np.full(len(predictions), np.nan, np.float32)
    for row, look in looks.items():
        rotation = torch.from_numpy(predictions.hand_rotation[row])
        found[row] = look.distance_px(usual_offsets(side).apply(joints_of(predictions, row), rotation))
    return found


def joints_of(predictions: Predictions, row: int) -> Float[Tensor, "21 3"]:
    """The predicted joints of a frame."""
    return torch.from_numpy(predictions.hand_joints[row])
