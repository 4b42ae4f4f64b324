"""Cameras, rotations and meshes: pure functions, no learning (docs/conventions.md)."""

from warpgrasp.geometry.camera import NEAR_M, Camera, pixel_grid
from warpgrasp.geometry.identity import is_mesh_of, mesh_identity, sha256_in_order
from warpgrasp.geometry.mesh import Mesh, boundary_loop, bounding_box_corners, join, loop_closing_faces, pad
from warpgrasp.geometry.rotation import (
    axis_angle_from_matrix,
    matrix_from_axis_angle,
    mean_rotation,
    nearest_rotation,
)

__all__ = [
    "NEAR_M",
    "Camera",
    "Mesh",
    "axis_angle_from_matrix",
    "boundary_loop",
    "bounding_box_corners",
    "is_mesh_of",
    "join",
    "loop_closing_faces",
    "matrix_from_axis_angle",
    "mean_rotation",
    "mesh_identity",
    "nearest_rotation",
    "pad",
    "pixel_grid",
    "sha256_in_order",
]
