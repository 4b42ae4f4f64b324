"""DexYCB (Chao et al. 2021): labels of right and left hands that grasp one of several objects, seen by 8 cameras."""

from warpgrasp.data.dexycb.check import examine_dexycb
from warpgrasp.data.dexycb.dataset import RIGHT_HANDS, DexYcb, LeftHands, LeftShapedirs, SideChoice, Sides
from warpgrasp.data.dexycb.splits import OBJECTS, PROTOCOLS, SERIALS, SUBJECTS

__all__ = [
    "OBJECTS",
    "PROTOCOLS",
    "RIGHT_HANDS",
    "SERIALS",
    "SUBJECTS",
    "DexYcb",
    "LeftHands",
    "LeftShapedirs",
    "SideChoice",
    "Sides",
    "examine_dexycb",
]
