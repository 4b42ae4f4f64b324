"""What HO-3D's annotation files say, from hands and objects in the OpenCV camera frame."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from warpgrasp.data.ho3d.dataset import CV_FROM_GL
from warpgrasp.geometry import bounding_box_corners
from warpgrasp.hand import HO3D_JOINTS, JOINTS, HandTemplate, permutation

FLIP = np.array(CV_FROM_GL)


def object_meta(
    name: str,
    *,
    label: int,
    vertices: Float[np.ndarray, "v 3"],
    rotation: Float[np.ndarray, "3 3"],
    translation: Float[np.ndarray, " 3"],
    intrinsics: Float[np.ndarray, "3 3"],
) -> dict[str, Any]:
    """The object's keys and the camera's.

    The pose takes the mesh file's own `vertices` (metres) into the camera: X_gl = F X_cv, so the file's rotation is
    F R.
    """
    turned, moved = FLIP[:, None] * rotation, FLIP * translation
    rest = bounding_box_corners(torch.from_numpy(vertices)).numpy()
    return {
        "objRot": Rotation.from_matrix(turned).as_rotvec()[:, None],
        "objTrans": moved,
        "objName": name,
        "objLabel": label,
        "objCorners3DRest": rest,
        "objCorners3D": rest @ turned.T + moved,
        "camMat": np.asarray(intrinsics, dtype=np.float64),
    }


def hand_meta(
    template: HandTemplate,
    *,
    rotation: Float[np.ndarray, "3 3"],
    wrist: Float[np.ndarray, " 3"],
    angles: Float[np.ndarray, " 45"],
    shape: Float[np.ndarray, " s"],
) -> dict[str, Any]:
    """The keys of a hand that is turned by `rotation` about its wrist, which lies at `wrist`.

    Its shape puts the wrist at w in the model's own coordinates: X_gl = F R (v - w) + w + t_gl.
    """
    turned = Rotation.from_matrix(FLIP[:, None] * rotation)
    return {
        "handPose": np.concatenate([turned.as_rotvec(), angles]),
        "handTrans": FLIP * wrist - template.rest_wrist(shape),
        "handBeta": np.asarray(shape, dtype=np.float64),
    }


def joints_in_file(joints: Float[np.ndarray, "21 3"]) -> Float[np.ndarray, "21 3"]:
    """Joints in the order `JOINTS` and OpenCV's axes, as `handJoints3D` has them."""
    return (joints * FLIP)[permutation(HO3D_JOINTS, from_=JOINTS)]
