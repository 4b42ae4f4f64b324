"""Rasterise once, interpolate anything."""

from importlib.util import find_spec
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from warpgrasp.geometry import Camera, Mesh
from warpgrasp.render.compiled import compiled, share_out
from warpgrasp.render.cpu import weights_of
from warpgrasp.render.rasterizer import (
    Fragments,
    Raster,
    Rasterizer,
    barycentrics,
    corners_of,
    interpolate,
    pixels_to_rays,
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


def rasterize(mesh: Mesh, camera: Camera) -> Raster:
    """Rasterise with the best rasteriser for the mesh's device and precision."""
    match _compiled_for(mesh):
        case "cpu":
            from warpgrasp.render import cpu

            return cpu.rasterize(mesh, camera)
        case "gpu":
            from warpgrasp.render import gpu

            return gpu.rasterize(mesh, camera)
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
    match _compiled_for(mesh):
        case "cpu":
            from warpgrasp.render import cpu as cpu_values

            return cpu_values.seen_values(mesh, camera, face_ids, pixels, values)
        case "gpu":
            from warpgrasp.render import gpu_values

            return gpu_values.seen_values(mesh, camera, face_ids, pixels, values)
    return interpolate(values, mesh.faces, face_ids, surface_weights(mesh, camera, face_ids, pixels))


def _compiled_for(mesh: Mesh) -> Literal["cpu", "gpu"] | None:
    """Which compiled kernels suit a mesh; None: the plain PyTorch of the reference, for any device and precision.

    Triton comes with PyTorch's CUDA builds for Linux, not with all others.
    """
    device = mesh.vertices.device.type
    if mesh.vertices.dtype != torch.float32 or device not in ("cpu", "cuda"):
        return None
    if device == "cpu":
        return "cpu"
    return "gpu" if find_spec("triton") is not None else None
