"""DexYCB (Chao et al. 2021): labels of right and left hands that grasp one of several objects, seen by 8 cameras."""

from warpgrasp.data.dexycb.dataset import DexYcb, examine_dexycb
from warpgrasp.data.dexycb.splits import (
    OBJECTS,
    PROTOCOLS,
    RIGHT_HANDS,
    SERIALS,
    SUBJECTS,
    LeftHands,
    LeftShapedirs,
    SideChoice,
    Sides,
)

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
