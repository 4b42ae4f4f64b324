"""Rotations. Axis-angle vectors are in radians; matrices are `destination_from_source`.

roma serves what is rarely needed, and is imported there: with it comes PyTorch's compiler, a second of every start.
"""

import torch
from jaxtyping import Float
from torch import Tensor

MIRROR = (-1.0, 1.0, 1.0)  # the reflection in the camera's plane x = 0
SMALL = 1e-6  # squared radians: below, three terms of the Taylor series are exact in float64


def matrix_from_axis_angle(axis_angle: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3 3"]:
    """Rodrigues' formula, cos θ·I + (sin θ / θ)·[v]ₓ + ((1 - cos θ) / θ²)·v vᵀ, with the right derivative at zero."""
    squared = axis_angle.square().sum(-1)
    small = squared < SMALL
    angle = torch.where(small, 1, squared).sqrt()  # never the root of zero, whose derivative is infinite
    sine = torch.where(small, 1 - squared / 6 + squared.square() / 120, angle.sin() / angle)
    # 1 - cos θ = 2 sin² (θ / 2) keeps its digits.
    versine = torch.where(small, 0.5 - squared / 24 + squared.square() / 720, 2 * ((angle / 2).sin() / angle).square())
    x, y, z = (axis_angle * sine[..., None]).unbind(-1)
    cosine = 1 - versine * squared
    skew_and_diagonal = torch.stack([cosine, -z, y, z, cosine, -x, -y, x, cosine], dim=-1).unflatten(-1, (3, 3))
    return skew_and_diagonal + (versine[..., None] * axis_angle)[..., None] * axis_angle[..., None, :]


def axis_angle_from_matrix(matrix: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b 3"]:
    """The axis-angle vector, of length at most π, of a rotation matrix."""
    import roma

    return roma.rotmat_to_rotvec(matrix)


def nearest_rotation(matrix: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b 3 3"]:
    """The rotation nearest to a matrix (special orthogonal Procrustes)."""
    import roma

    rotation = roma.special_procrustes(matrix)
    assert isinstance(rotation, Tensor)  # a pair only when singular values are asked for
    return rotation


def mean_rotation(matrices: Float[Tensor, "n 3 3"]) -> Float[Tensor, "3 3"]:
    """The chordal mean of rotations: the rotation nearest to their average (Hartley et al. 2013, Sec. 5.3)."""
    return nearest_rotation(matrices.mean(dim=0))


def mirrored_points(points: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3"]:
    """The mirror images of points, M p with M = diag(-1, 1, 1)."""
    return points * points.new_tensor(MIRROR)


def mirrored_rotation(rotation: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b 3 3"]:
    """The rotation that moves mirror images as `rotation` moves points, M R M."""
    flip = rotation.new_tensor(MIRROR)
    return flip[:, None] * rotation * flip


def mirrored_axis_angle(axis_angle: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3"]:
    """The same of an axis-angle vector: y and z change their signs."""
    return axis_angle * axis_angle.new_tensor((1.0, -1.0, -1.0))
