"""Hands as detectors say them, for tests."""

import torch

from warpgrasp.keypoints import HandBox, HandKeypoints


def hand_at(x: float, y: float, *, presence: float = 0.9, right: float = 0.8) -> HandKeypoints:
    """A fan of fingers that points upward, 100 px high, its wrist at (x, y)."""
    fingers = [(20.0 * (finger - 2), -20.0 * (part + 2)) for finger in range(5) for part in range(4)]
    joints = torch.tensor([(0.0, 0.0), *fingers]) + torch.tensor([x, y])
    confidence = torch.linspace(0.5, 1, 21)
    return HandKeypoints(
        joints, confidence, presence, right, torch.arange(21.0), HandBox((float(x), y - 50.0), 200.0, 0.25)
    )
