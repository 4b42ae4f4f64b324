"""Data sets: raw folders to frames (paper Sec. 4.1)."""

from warpgrasp.data.augment import AugmentConfig, View, augment
from warpgrasp.data.dataset import SPLITS, Dataset, Split, Truth
from warpgrasp.data.errors import DataError
from warpgrasp.data.ho3d import Ho3d
from warpgrasp.data.layouts import Layout, layout_of, open_dataset
from warpgrasp.data.loader import FrameSource, OnBad, annotatable, draw
from warpgrasp.data.objects import load_object
from warpgrasp.data.sampling import Labels, Sampling, Share, choose_labels

__all__ = [
    "SPLITS",
    "AugmentConfig",
    "DataError",
    "Dataset",
    "FrameSource",
    "Ho3d",
    "Labels",
    "Layout",
    "OnBad",
    "Sampling",
    "Share",
    "Split",
    "Truth",
    "View",
    "annotatable",
    "augment",
    "choose_labels",
    "draw",
    "layout_of",
    "load_object",
    "open_dataset",
]
