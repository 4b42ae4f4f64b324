"""Rotations, by roma. Axis-angle vectors are in radians; matrices are `destination_from_source`."""

import roma
from jaxtyping import Float
from torch import Tensor


def matrix_from_axis_angle(axis_angle: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3 3"]:
    """Rodrigues' formula, with the right derivative at zero."""
    return roma.rotvec_to_rotmat(axis_angle)


def axis_angle_from_matrix(matrix: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b 3"]:
    """The axis-angle vector, of length at most π, of a rotation matrix."""
    return roma.rotmat_to_rotvec(matrix)


def mean_rotation(matrices: Float[Tensor, "n 3 3"]) -> Float[Tensor, "3 3"]:
    """The chordal mean of rotations: the rotation nearest to their average (Hartley et al. 2013, Sec. 5.3)."""
    rotation = roma.special_procrustes(matrices.mean(dim=0))
    assert isinstance(rotation, Tensor)  # a pair only when singular values are asked for
    return rotation
