"""DexYCB (Chao et al. 2021): labels of right and left hands that grasp one of several objects, seen by 8 cameras."""

from warpgrasp.data.dexycb.dataset import RIGHT_HANDS, DexYcb, LeftHands, LeftShapedirs, SideChoice, Sides
from warpgrasp.data.dexycb.splits import OBJECTS, SERIALS, SETUPS, SUBJECTS, Setup

__all__ = [
    "OBJECTS",
    "RIGHT_HANDS",
    "SERIALS",
    "SETUPS",
    "SUBJECTS",
    "DexYcb",
    "LeftHands",
    "LeftShapedirs",
    "Setup",
    "SideChoice",
    "Sides",
]
