"""HO-3D (Hampali et al. 2020), versions 2 and 3: raw folders to frames, and files in its layout."""

from warpgrasp.data.ho3d.annotations import FLIP, hand_meta, joints_in_file, object_meta
from warpgrasp.data.ho3d.dataset import CV_FROM_GL, Ho3d

__all__ = [
    "CV_FROM_GL",
    "FLIP",
    "Ho3d",
    "hand_meta",
    "joints_in_file",
    "object_meta",
]
