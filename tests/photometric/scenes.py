"""Small textured scenes of a box and a sheet whose colours are smooth functions of places on their surfaces."""

import math

import torch

from warpgrasp.geometry.camera import Camera
from warpgrasp.geometry.mesh import Mesh
from warpgrasp.geometry.rotation import matrix_from_axis_angle
from warpgrasp.render import reference
from warpgrasp.render.rasterizer import Fragments, interpolate, surface_weights

WIDTH, HEIGHT = 64, 48
INTRINSICS = torch.tensor([[[80.0, 0, 30.8], [0, 76.0, 24.1], [0, 0, 1]]], dtype=torch.float64)
CAMERA = Camera(INTRINSICS, WIDTH, HEIGHT)
BOX_FACES = torch.tensor(
    [[0, 1, 3], [0, 3, 2], [4, 7, 5], [4, 6, 7], [0, 5, 1], [0, 4, 5], [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4],
     [1, 5, 7], [1, 7, 3]]
)  # fmt: skip
BOX = torch.tensor(
    [[x, y, z] for x in (-0.12, 0.12) for y in (-0.09, 0.09) for z in (-0.06, 0.06)], dtype=torch.float64
)


def moved(points: torch.Tensor, rotation=(0.0, 0.0, 0.0), translation=(0.0, 0.0, 0.0)) -> torch.Tensor:
    turn = matrix_from_axis_angle(torch.as_tensor(rotation, dtype=points.dtype))
    return points @ turn.T + torch.as_tensor(translation, dtype=points.dtype)


def box(rotation=(0.4, 0.6, 0.1), translation=(0.01, -0.02, 0.5)) -> Mesh:
    return Mesh.of(moved(BOX, rotation, translation)[None], BOX_FACES)


def sheet(left, right, top, bottom, depth=0.5, *, camera: Camera = CAMERA) -> Mesh:
    """A rectangle that faces the camera, its borders in pixels."""
    pixels = torch.tensor([[[left, top], [right, top], [right, bottom], [left, bottom]]], dtype=torch.float64)
    vertices = camera.unproject(pixels, torch.full((1, 4), depth, dtype=torch.float64))
    return Mesh.of(vertices, torch.tensor([[0, 1, 2], [0, 2, 3]]))


def colours(places: torch.Tensor, wavelength_m: float = 0.08) -> torch.Tensor:
    """Three smooth colours in [0, 1] of places on a surface (..., 3)."""
    directions = places.new_tensor([[1.0, 0.7, -0.4], [-0.5, 1.0, 0.8], [0.8, -0.3, 1.0]])
    phases = places.new_tensor([0.3, 1.1, 2.0])
    return 0.5 + 0.4 * torch.sin(2 * math.pi / wavelength_m * places @ directions.T + phases)


def picture(mesh: Mesh, places: torch.Tensor, camera: Camera = CAMERA, background: float = 0.5) -> torch.Tensor:
    """The mesh drawn unlit, (1, 3, h, w): each pixel has the colour of the place that its centre sees."""
    fragments = Fragments.of(reference.rasterize(mesh, camera))
    weights = surface_weights(mesh, camera, fragments.face_ids, fragments.pixels)
    seen = interpolate(places[None], mesh.faces, fragments.face_ids, weights)[0]
    image = torch.full((1, 3, camera.height, camera.width), background, dtype=mesh.vertices.dtype)
    u, v = fragments.pixels[0].unbind(-1)
    image[0, :, v, u] = colours(seen).T
    return image


def smooth_image(seed: int = 0, *, batch: int = 1, width: int = WIDTH, height: int = HEIGHT) -> torch.Tensor:
    """A sum of long waves, (b, 3, h, w)."""
    generator = torch.Generator().manual_seed(seed)
    v, u = torch.meshgrid(torch.arange(height).double(), torch.arange(width).double(), indexing="ij")
    waves = torch.rand(batch, 3, 4, 3, generator=generator, dtype=torch.float64) * 2 - 1
    phase = 0.4 * (waves[..., 0, None, None] * u + waves[..., 1, None, None] * v) + 6 * waves[..., 2, None, None]
    return 0.5 + 0.1 * phase.sin().sum(dim=2)
