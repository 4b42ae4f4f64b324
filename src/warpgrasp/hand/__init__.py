"""The parametric hand."""

from warpgrasp.hand.finger_axes import FingerAngles, FingerAxes
from warpgrasp.hand.fit import LARGEST_RESIDUAL_M, FitError, HandFit, fit_cost, fit_hand, pose_cost, refusal
from warpgrasp.hand.fit_pixels import FEWEST_JOINTS, ExpectedHand, SeenJoints, fit_hand_to_pixels
from warpgrasp.hand.joint_jacobian import joints_alone
from warpgrasp.hand.mano import Fingertips, load_mano, same_hand, with_fingertips, with_fingertips_of
from warpgrasp.hand.model import HandModel, HandTemplate, PosedHand
from warpgrasp.hand.open_hand import (
    HAND_MODELS,
    HandLoader,
    Side,
    left_hand,
    load_hand,
    open_hand,
    open_hand_arrays,
    skin_textures,
)
from warpgrasp.hand.skeleton import FINGERS, FINGERTIPS, HO3D_JOINTS, JOINTS, MANO_JOINTS, PLACEMENT_JOINT, permutation

__all__ = [
    "FEWEST_JOINTS",
    "FINGERS",
    "FINGERTIPS",
    "HAND_MODELS",
    "HO3D_JOINTS",
    "JOINTS",
    "LARGEST_RESIDUAL_M",
    "MANO_JOINTS",
    "PLACEMENT_JOINT",
    "ExpectedHand",
    "FingerAngles",
    "FingerAxes",
    "Fingertips",
    "FitError",
    "HandFit",
    "HandLoader",
    "HandModel",
    "HandTemplate",
    "PosedHand",
    "SeenJoints",
    "Side",
    "fit_cost",
    "fit_hand",
    "fit_hand_to_pixels",
    "joints_alone",
    "left_hand",
    "load_hand",
    "load_mano",
    "open_hand",
    "open_hand_arrays",
    "permutation",
    "pose_cost",
    "refusal",
    "same_hand",
    "skin_textures",
    "with_fingertips",
    "with_fingertips_of",
]
