"""Poses moved until the pictures agree with them: densify, suggest, and the refinement that both stand on."""

from warpgrasp.refinement.densify import PREDICTIONS, QUALITY, densify
from warpgrasp.refinement.suggest import (
    scanned_positions,
    small_grey,
    suggested_frames,
    suggested_position,
    travelled_px,
)

__all__ = [
    "PREDICTIONS",
    "QUALITY",
    "densify",
    "scanned_positions",
    "small_grey",
    "suggested_frames",
    "suggested_position",
    "travelled_px",
]
