"""The parametric hand."""

from warpgrasp.hand.model import HandModel, HandTemplate, PosedHand
from warpgrasp.hand.open_hand import open_hand
from warpgrasp.hand.skeleton import FINGERTIPS, HO3D_JOINTS, JOINTS, MANO_JOINTS, PLACEMENT_JOINT, permutation

__all__ = [
    "FINGERTIPS",
    "HO3D_JOINTS",
    "JOINTS",
    "MANO_JOINTS",
    "PLACEMENT_JOINT",
    "HandModel",
    "HandTemplate",
    "PosedHand",
    "open_hand",
    "permutation",
]
