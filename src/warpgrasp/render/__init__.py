"""Rasterise once, interpolate anything."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from warpgrasp.geometry import Camera, Mesh
from warpgrasp.render.rasterizer import (
    Fragments,
    Raster,
    Rasterizer,
    barycentrics,
    corners_of,
    interpolate,
    surface_weights,
)

__all__ = [
    "Fragments",
    "Raster",
    "Rasterizer",
    "barycentrics",
    "corners_of",
    "interpolate",
    "rasterize",
    "seen_values",
    "surface_weights",
]


def rasterize(mesh: Mesh, camera: Camera) -> Raster:
    """Rasterise with the best rasteriser for the mesh's device and precision."""
    if mesh.vertices.device.type == "cpu" and mesh.vertices.dtype == torch.float32:
        from warpgrasp.render import cpu

        return cpu.rasterize(mesh, camera)
    from warpgrasp.render import reference

    return reference.rasterize(mesh, camera)


def seen_values(
    mesh: Mesh,
    camera: Camera,
    face_ids: Int[Tensor, "b n"],
    pixels: Int[Tensor, "b n 2"],
    values: Float[Tensor, "b v c"],
) -> Float[Tensor, "b n c"]:
    """The vertices' values at the surface points that pixels see on their faces: interpolated, zero where edge-on.

    Differentiable in the values and in the vertices, by the way that suits the mesh's device and precision best.
    """
    if mesh.vertices.device.type == "cpu" and mesh.vertices.dtype == torch.float32:
        from warpgrasp.render import cpu_values

        return cpu_values.seen_values(mesh, camera, face_ids, pixels, values)
    return interpolate(values, mesh.faces, face_ids, surface_weights(mesh, camera, face_ids, pixels))
