"""Rasterise once, interpolate anything: by the best kernels for a mesh's device and precision.

Compiled kernels serve float32 on CPUs (numba) and on GPUs (Triton); plain PyTorch serves every other device and
precision.
"""

from importlib.util import find_spec
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from warpgrasp.geometry import Camera, Mesh
from warpgrasp.render import cpu, reference
from warpgrasp.render.cpu import weights_of
from warpgrasp.render.lit import Lighting, Lights, Material, Shadows, Stage, Textures, draw, encoded, linear
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
    "Lighting",
    "Lights",
    "Material",
    "Raster",
    "Rasterizer",
    "Shadows",
    "Stage",
    "Texture",
    "Textures",
    "barycentrics",
    "compiled",
    "corners_of",
    "draw",
    "encoded",
    "interpolate",
    "linear",
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
    """Rasterise with the best rasteriser for the mesh's device and precision; see `Rasterizer` for what is drawn."""
    kernels = _compiled_for(mesh)
    if kernels is None:
        return reference.rasterize(mesh, camera)
    if kernels == "cpu":
        return cpu.rasterize(mesh, camera)
    from warpgrasp.render import gpu

    return gpu.rasterize(mesh, camera)


def seen_values(
    mesh: Mesh,
    camera: Camera,
    face_ids: Int[Tensor, "b n"],
    pixels: Int[Tensor, "b n 2"],
    values: Float[Tensor, "b v c"],
) -> Float[Tensor, "b n c"]:
    """Interpolate the vertices' values at the surface points that pixels see on their faces; zero where edge-on.

    Differentiable in the values and in the mesh's vertices, by compiled kernels once and not in the intrinsics.
    """
    kernels = _compiled_for(mesh)
    if kernels is None:
        return interpolate(values, mesh.faces, face_ids, surface_weights(mesh, camera, face_ids, pixels))
    arguments = mesh.vertices, values, mesh.faces, pixels_to_rays(camera), face_ids, pixels
    if kernels == "cpu":
        return cpu.SeenValues.apply(*arguments)
    from warpgrasp.render import gpu_values

    return gpu_values.SeenValues.apply(*arguments)


def _compiled_for(mesh: Mesh) -> Literal["cpu", "gpu"] | None:
    """The compiled kernels that suit a mesh; None: none do.

    Triton comes with PyTorch's CUDA builds for Linux, not with all others.
    """
    device = mesh.vertices.device.type
    if mesh.vertices.dtype != torch.float32 or device not in ("cpu", "cuda"):
        return None
    if device == "cpu":
        return "cpu"
    return "gpu" if find_spec("triton") is not None else None
