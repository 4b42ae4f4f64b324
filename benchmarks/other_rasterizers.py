"""Other projects' rasterisers, where they can be imported, each asked for the nearest face of every pixel alone."""

from importlib.util import find_spec
from typing import Any

import torch

from benchmarks.measure import Run
from benchmarks.scenes import Scene
from warpgrasp.geometry import NEAR_M


def other_rasterizers(drawn: Scene) -> dict[str, Run]:
    """By name, those that can run here: PyTorch3D on any device, nvdiffrast on a GPU."""
    runs: dict[str, Run] = {}
    if find_spec("pytorch3d") is not None:
        runs["PyTorch3D"] = _pytorch3d(drawn)
    if find_spec("nvdiffrast") is not None and torch.cuda.is_available():
        runs["nvdiffrast"] = _nvdiffrast(drawn)
    return runs


def _pytorch3d(drawn: Scene) -> Run:
    """Its screen has +X left and +Y up, one unit being half of the shorter side."""
    from pytorch3d.renderer.mesh import rasterize_meshes  # pyright: ignore[reportMissingImports]
    from pytorch3d.structures import Meshes  # pyright: ignore[reportMissingImports]

    camera = drawn.camera
    centre = torch.tensor([camera.width / 2, camera.height / 2])
    from_centre = (camera.project(drawn.mesh.vertices) + 0.5 - centre) / (min(camera.width, camera.height) / 2)
    screen = torch.cat([-from_centre, drawn.mesh.vertices[..., 2:]], dim=-1)
    meshes = Meshes(screen, drawn.mesh.faces)
    size = (camera.height, camera.width)
    return lambda: rasterize_meshes(meshes, image_size=size, blur_radius=0.0, faces_per_pixel=1)


def _nvdiffrast(drawn: Scene) -> Run:
    """It takes the corners in clip space and one list of faces for the whole batch, and returns before it is done."""
    import nvdiffrast.torch as dr  # pyright: ignore[reportMissingImports]

    context: Any = dr.RasterizeCudaContext()
    clip = clip_space(drawn).cuda()
    faces = drawn.mesh.faces[0].int().cuda()
    size = [drawn.camera.height, drawn.camera.width]

    def run() -> None:
        dr.rasterize(context, clip, faces, resolution=size)
        torch.cuda.synchronize()

    return run


def clip_space(drawn: Scene, far_m: float = 10.0) -> torch.Tensor:
    """The vertices in OpenGL's clip space, whose first row of pixels is the bottom one: (x, y, z, w), w the depth."""
    camera, depth = drawn.camera, drawn.mesh.vertices[..., 2:]
    size = torch.tensor([camera.width, camera.height])
    normalised = 2 * (camera.project(drawn.mesh.vertices) + 0.5) / size - 1
    z = (far_m + NEAR_M - 2 * far_m * NEAR_M / depth) / (far_m - NEAR_M)
    return torch.cat([torch.cat([normalised, z], dim=-1) * depth, depth], dim=-1)
