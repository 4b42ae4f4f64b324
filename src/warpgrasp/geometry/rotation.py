"""Rotations. Axis-angle vectors are in radians; matrices are `destination_from_source`."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

MIRROR = (-1.0, 1.0, 1.0)  # the reflection in the camera's plane x = 0
SMALL = 1e-6  # squared radians: below, three terms of the Taylor series are exact in float64
LEAST = 1e-30  # squared radians: its root is no angle of zero, and as good as one


def matrix_from_axis_angle(axis_angle: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3 3"]:
    """Rodrigues' formula, cos θ·I + (sin θ / θ)·[v]ₓ + ((1 - cos θ) / θ²)·v vᵀ, with the right derivative at zero."""
    if torch.is_grad_enabled() and axis_angle.requires_grad:
        return _Rodrigues.apply(axis_angle)  # pyright: ignore[reportReturnType] (apply has no types)
    return _rodrigues(axis_angle)[0]


def _rodrigues(axis_angle: Float[Tensor, "*b 3"]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The matrix; θ², sin θ / θ and (1 - cos θ) / θ²."""
    squared = axis_angle.square().sum(-1)
    angle = squared.clamp_min(LEAST).sqrt()
    sine = angle.sin() / angle
    # 1 - cos θ = 2 sin² (θ / 2) keeps its digits.
    versine = 2 * ((angle / 2).sin() / angle).square()
    x, y, z = (axis_angle * sine[..., None]).unbind(-1)
    cosine = 1 - versine * squared
    skew_and_diagonal = torch.stack([cosine, -z, y, z, cosine, -x, -y, x, cosine], dim=-1).unflatten(-1, (3, 3))
    matrix = skew_and_diagonal + (versine[..., None] * axis_angle)[..., None] * axis_angle[..., None, :]
    return matrix, squared, sine, versine


class _Rodrigues(torch.autograd.Function):
    """Its derivative in closed form, a third of the operations: dR = [J dv]ₓ R with the left Jacobian J of SO(3),

    I + ((1 - cos θ) / θ²)·[v]ₓ + ((θ - sin θ) / θ³)·[v]ₓ² (Chirikjian 2012, eq. 10.86).
    """

    @staticmethod
    def forward(ctx: Any, axis_angle: Tensor) -> Tensor:
        """The matrix, and what its derivative needs."""
        matrix, squared, sine, versine = _rodrigues(axis_angle)
        ctx.save_for_backward(axis_angle, matrix, squared, sine, versine)
        return matrix

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """The gradient of the vector, Jᵀ g, where g is that of a small turn of the matrix."""
        axis_angle, matrix, squared, sine, versine = ctx.saved_tensors
        turned = gradients[0] @ matrix.transpose(-1, -2)
        skew = turned - turned.transpose(-1, -2)
        turn = torch.stack([skew[..., 2, 1], skew[..., 0, 2], skew[..., 1, 0]], dim=-1)
        across = torch.linalg.cross(axis_angle, turn)
        rest = torch.where(squared < SMALL, 1 / 6, (1 - sine) / squared)  # (θ - sin θ) / θ³
        twice_across = torch.linalg.cross(axis_angle, across)
        return turn - versine[..., None] * across + rest[..., None] * twice_across


def axis_angle_from_matrix(matrix: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b 3"]:
    """The axis-angle vector, of length at most π, of a rotation matrix; differentiable but at half a turn.

    By way of the unit quaternion q: its products 4 q qᵀ are sums of the matrix's entries, and the row of the largest
    component keeps its digits (Markley 2008, eq. 7 to 9).
    """
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = (row.unbind(-1) for row in matrix.unbind(-2))
    across, along, up = xy + yx, xz + zx, yz + zy
    about_x, about_y, about_z = zy - yz, xz - zx, yx - xy
    products = [
        *(1 + xx - yy - zz, across, along, about_x),
        *(across, 1 + yy - zz - xx, up, about_y),
        *(along, up, 1 + zz - xx - yy, about_z),
        *(about_x, about_y, about_z, 1 + xx + yy + zz),
    ]
    rows = torch.stack(products, dim=-1).unflatten(-1, (4, 4))
    largest = rows.diagonal(dim1=-2, dim2=-1).argmax(dim=-1)
    row = rows.gather(-2, largest[..., None, None].expand(*largest.shape, 1, 4))[..., 0, :]
    quaternion = row / torch.linalg.norm(row, dim=-1, keepdim=True)
    quaternion = torch.where(quaternion[..., 3:] > 0, quaternion, -quaternion)  # at most half a turn
    vector, cosine = quaternion[..., :3], quaternion[..., 3]
    squared = vector.square().sum(-1)
    small = squared < SMALL
    sine = torch.where(small, 1, squared).sqrt()
    scale = torch.where(small, 2 + squared / 3 + 3 * squared.square() / 20, 2 * torch.atan2(sine, cosine) / sine)
    return scale[..., None] * vector


def nearest_rotation(matrix: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b 3 3"]:
    """The rotation nearest to a matrix (special orthogonal Procrustes: Umeyama 1991, eq. 40), found in float64.

    NaN for a matrix that is not finite.
    """
    known = matrix.isfinite().all(dim=-1).all(dim=-1)[..., None, None]
    left, _, right = torch.linalg.svd(torch.where(known, matrix.double(), 0))
    sign = torch.linalg.det(left @ right).sign()
    turned = torch.cat([left[..., :2], left[..., 2:] * sign[..., None, None]], dim=-1)
    return torch.where(known, turned @ right, torch.nan).to(matrix)


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
