"""Data sets: raw folders to frames (paper Sec. 4.1)."""

from warpgrasp.data.augment import AugmentConfig, Rows, View, augment
from warpgrasp.data.dataset import SPLITS, Dataset, Split, Truth
from warpgrasp.data.dexycb import DexYcb, Sides
from warpgrasp.data.errors import DataError
from warpgrasp.data.fit_cache import cached_fit
from warpgrasp.data.fphab import Fphab
from warpgrasp.data.ho3d import Ho3d
from warpgrasp.data.joined import Joined, join_datasets
from warpgrasp.data.layouts import Layout, layout_of, open_dataset
from warpgrasp.data.loader import FrameSource, OnBad, annotatable, draw
from warpgrasp.data.objects import load_object
from warpgrasp.data.recording import Recordings
from warpgrasp.data.sampling import Labels, Sampling, Share, choose_labels

__all__ = [
    "SPLITS",
    "AugmentConfig",
    "DataError",
    "Dataset",
    "DexYcb",
    "Fphab",
    "FrameSource",
    "Ho3d",
    "Joined",
    "Labels",
    "Layout",
    "OnBad",
    "Recordings",
    "Rows",
    "Sampling",
    "Share",
    "Sides",
    "Split",
    "Truth",
    "View",
    "annotatable",
    "augment",
    "cached_fit",
    "choose_labels",
    "draw",
    "join_datasets",
    "layout_of",
    "load_object",
    "open_dataset",
]
