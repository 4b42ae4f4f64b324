"""Rasterise once, interpolate anything."""

from warpgrasp.render.cpu import weights_of
from warpgrasp.render.dispatch import rasterize, seen_values
from warpgrasp.render.rasterizer import (
    Fragments,
    Raster,
    Rasterizer,
    barycentrics,
    compiled,
    corners_of,
    interpolate,
    pixels_to_rays,
    share_out,
    surface_weights,
)
from warpgrasp.render.shade import Texture, shade, vertex_normals

__all__ = [
    "Fragments",
    "Raster",
    "Rasterizer",
    "Texture",
    "barycentrics",
    "compiled",
    "corners_of",
    "interpolate",
    "pixels_to_rays",
    "rasterize",
    "seen_values",
    "shade",
    "share_out",
    "surface_weights",
    "vertex_normals",
    "weights_of",
]
