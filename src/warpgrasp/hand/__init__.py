"""The parametric hand."""

from warpgrasp.hand.fit import LARGEST_RESIDUAL_M, FitError, HandFit, fit_hand, refusal
from warpgrasp.hand.joint_jacobian import joints_alone
from warpgrasp.hand.model import HandModel, HandTemplate, PosedHand
from warpgrasp.hand.open_hand import Side, left_hand, open_hand
from warpgrasp.hand.skeleton import FINGERTIPS, HO3D_JOINTS, JOINTS, MANO_JOINTS, PLACEMENT_JOINT, permutation

__all__ = [
    "FINGERTIPS",
    "HO3D_JOINTS",
    "JOINTS",
    "LARGEST_RESIDUAL_M",
    "MANO_JOINTS",
    "PLACEMENT_JOINT",
    "FitError",
    "HandFit",
    "HandModel",
    "HandTemplate",
    "PosedHand",
    "Side",
    "fit_hand",
    "joints_alone",
    "left_hand",
    "open_hand",
    "permutation",
    "refusal",
]
