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
from warpgrasp.geometry.solid import SignedDistance, Solid, Surface, surface_samples
from warpgrasp.geometry.symmetry import AXIS_NAMES, Axis, Symmetry, nearest_of_each

__all__ = [
    "AXIS_NAMES",
    "MIRROR",
    "NEAR_M",
    "Axis",
    "Camera",
    "Mesh",
    "SignedDistance",
    "Solid",
    "Surface",
    "Symmetry",
    "axis_angle_from_matrix",
    "boundary_loop",
    "bounding_box_corners",
    "is_mesh_of",
    "join",
    "loop_closing_faces",
    "matrix_from_axis_angle",
    "mean_rotation",
    "mesh_identity",
    "mirrored_axis_angle",
    "mirrored_points",
    "mirrored_rotation",
    "nearest_of_each",
    "nearest_rotation",
    "pad",
    "pixel_grid",
    "sha256_in_order",
    "surface_samples",
]
