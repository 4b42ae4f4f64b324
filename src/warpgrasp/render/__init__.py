"""Rasterise once, interpolate anything."""

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
    "surface_weights",
]


def rasterize(mesh: Mesh, camera: Camera) -> Raster:
    """Rasterise with the best rasteriser for the mesh's device and precision."""
    import torch

    if mesh.vertices.device.type == "cpu" and mesh.vertices.dtype == torch.float32:
        from warpgrasp.render import cpu

        return cpu.rasterize(mesh, camera)
    from warpgrasp.render import reference

    return reference.rasterize(mesh, camera)
