"""Data sets: raw folders to frames (paper Sec. 4.1)."""

from warpgrasp.data.augment import AugmentConfig, View, augment
from warpgrasp.data.errors import DataError
from warpgrasp.data.ho3d import Ho3d, Split
from warpgrasp.data.loader import FrameSource, draw
from warpgrasp.data.objects import load_object
from warpgrasp.data.sampling import Labels, Sampling, choose_labels

__all__ = [
    "AugmentConfig",
    "DataError",
    "FrameSource",
    "Ho3d",
    "Labels",
    "Sampling",
    "Split",
    "View",
    "augment",
    "choose_labels",
    "draw",
    "load_object",
]
