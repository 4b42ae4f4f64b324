"""Cameras, rotations and meshes: pure functions, no learning (docs/conventions.md)."""

from warpgrasp.geometry.camera import NEAR_M, Camera, pixel_grid
from warpgrasp.geometry.mesh import (
    Mesh,
    boundary_loop,
    bounding_box_corners,
    is_mesh_of,
    join,
    loop_closing_faces,
    mesh_identity,
    pad,
    sha256_in_order,
)
from warpgrasp.geometry.rotation import (
    MIRROR,
    axis_angle_from_matrix,
    matrix_from_axis_angle,
    mean_rotation,
    mirrored_axis_angle,
    mirrored_points,
    mirrored_rotation,
    nearest_rotation,
)
from warpgrasp.geometry.solid import SignedDistance, Solid, Surface, exact_signed_distance, surface_samples

__all__ = [
    "MIRROR",
    "NEAR_M",
    "Camera",
    "Mesh",
    "SignedDistance",
    "Solid",
    "Surface",
    "axis_angle_from_matrix",
    "boundary_loop",
    "bounding_box_corners",
    "exact_signed_distance",
    "is_mesh_of",
    "join",
    "loop_closing_faces",
    "matrix_from_axis_angle",
    "mean_rotation",
    "mesh_identity",
    "mirrored_axis_angle",
    "mirrored_points",
    "mirrored_rotation",
    "nearest_rotation",
    "pad",
    "pixel_grid",
    "sha256_in_order",
    "surface_samples",
]
