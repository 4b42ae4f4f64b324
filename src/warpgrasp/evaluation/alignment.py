"""Alignments: the prediction brought to the truth before they are compared. A metric's name says which it is."""

from typing import Literal, assert_never

import numpy as np
from jaxtyping import Float

from warpgrasp.hand import JOINTS, PLACEMENT_JOINT

Alignment = Literal["camera", "wrist_relative", "middle_base_relative", "procrustes"]
WRIST = JOINTS.index("wrist")
NORM_FLOOR = 1e-8  # HO-3D's and DexYCB's scripts add it to both norms: a prediction that is one point stays finite


def aligned_joints(
    predicted: Float[np.ndarray, "b 21 3"], expected: Float[np.ndarray, "b 21 3"], alignment: Alignment
) -> Float[np.ndarray, "b 21 3"]:
    """The predicted joints (order: `JOINTS`) after an alignment to the expected ones; `camera` leaves them alone."""
    match alignment:
        case "camera":
            return predicted
        case "wrist_relative":
            return shifted(predicted, expected, WRIST)
        case "middle_base_relative":
            return shifted(predicted, expected, PLACEMENT_JOINT)
        case "procrustes":
            return procrustes_aligned(predicted, expected)
        case _:
            assert_never(alignment)


def shifted(
    predicted: Float[np.ndarray, "b n 3"], expected: Float[np.ndarray, "b n 3"], point: int
) -> Float[np.ndarray, "b n 3"]:
    """The prediction moved so that one of its points lies where it is expected."""
    return predicted - predicted[:, point : point + 1] + expected[:, point : point + 1]


def scale_translation_aligned(
    predicted: Float[np.ndarray, "b n 3"], expected: Float[np.ndarray, "b n 3"], *, root: int, tip: int
) -> Float[np.ndarray, "b n 3"]:
    """The prediction scaled to the expected length from point `root` to point `tip`, then moved to its root.

    A prediction of length zero is multiplied by the expected length all the same, as in HO-3D's script.
    """
    length = np.linalg.norm(predicted[:, tip] - predicted[:, root], axis=-1)
    expected_length = np.linalg.norm(expected[:, tip] - expected[:, root], axis=-1)
    unit = predicted / np.where(length > 0, length, 1.0)[:, None, None]
    return shifted(unit * expected_length[:, None, None], expected, root)


def procrustes_aligned(
    predicted: Float[np.ndarray, "b n 3"], expected: Float[np.ndarray, "b n 3"]
) -> Float[np.ndarray, "b n 3"]:
    """The prediction after the similarity that brings it nearest to what is expected, *reflections included*.

    As HO-3D's and DexYCB's scripts have it: both are centred and divided by their Frobenius norms; the orthogonal
    matrix R nearest to expectedᵀ·predicted and the sum of its singular values s turn and scale the prediction.
    """
    centre = expected.mean(axis=1, keepdims=True)
    target, source = expected - centre, predicted - predicted.mean(axis=1, keepdims=True)
    target_norm = np.linalg.norm(target, axis=(1, 2), keepdims=True) + NORM_FLOOR
    source_norm = np.linalg.norm(source, axis=(1, 2), keepdims=True) + NORM_FLOOR
    target, source = target / target_norm, source / source_norm
    u, singular, v_transposed = np.linalg.svd(target.transpose(0, 2, 1) @ source)
    turned = source @ (u @ v_transposed).transpose(0, 2, 1)
    return turned * singular.sum(axis=-1)[:, None, None] * target_norm + centre
