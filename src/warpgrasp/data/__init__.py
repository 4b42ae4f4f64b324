"""Data sets: raw folders to frames (paper Sec. 4.1)."""

from warpgrasp.data.augment import AugmentConfig, Rows, View, augment
from warpgrasp.data.dataset import SPLITS, Dataset, Layout, Split, Truth, fingerprint_of_frames
from warpgrasp.data.dexycb.dataset import DexYcb, Sides
from warpgrasp.data.fphab.dataset import Fphab
from warpgrasp.data.frames import (
    FrameSource,
    Labels,
    NearToFar,
    OnBad,
    Sampling,
    Share,
    annotatable,
    choose_labels,
    draw,
)
from warpgrasp.data.ho3d.dataset import Ho3d
from warpgrasp.data.index import Manifest
from warpgrasp.data.joined import Joined, join_datasets
from warpgrasp.data.mirror import (
    mirrored_annotation,
    mirrored_camera,
    mirrored_frame,
    mirrored_name,
    mirrored_object,
)
from warpgrasp.data.objects import load_object
from warpgrasp.data.pictures import decode_ahead, read_picture, resized_pixels
from warpgrasp.data.recording.dataset import Recordings
from warpgrasp.data.registry import DATASETS, examine, layout_of, open_dataset
from warpgrasp.errors import DataError

__all__ = [
    "DATASETS",
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
    "Manifest",
    "NearToFar",
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
    "choose_labels",
    "decode_ahead",
    "draw",
    "examine",
    "fingerprint_of_frames",
    "join_datasets",
    "layout_of",
    "load_object",
    "mirrored_annotation",
    "mirrored_camera",
    "mirrored_frame",
    "mirrored_name",
    "mirrored_object",
    "open_dataset",
    "read_picture",
    "resized_pixels",
]
