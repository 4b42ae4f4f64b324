"""HO-3D (Hampali et al. 2020), versions 2 and 3: raw folders to frames, and files in its layout."""

from warpgrasp.data.ho3d.annotations import (
    CV_FROM_GL,
    FLIP,
    hand_meta,
    joints_in_file,
    object_meta,
    read_number_list,
)
from warpgrasp.data.ho3d.dataset import Ho3d, examine_ho3d
from warpgrasp.data.ho3d.files import PROTOCOLS

__all__ = [
    "CV_FROM_GL",
    "FLIP",
    "PROTOCOLS",
    "Ho3d",
    "examine_ho3d",
    "hand_meta",
    "joints_in_file",
    "object_meta",
    "read_number_list",
]
