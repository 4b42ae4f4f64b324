"""Pictures of meshes: textured or plain, lit or unlit. For sample data, reports and pages; without gradients."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from warpgrasp.geometry import Camera, Mesh
from warpgrasp.render.rasterizer import Fragments, Rasterizer, corners_of, interpolate, surface_weights


@dataclass(frozen=True)
class Texture:
    """Colours of a run of faces: a picture, and where each face's corners lie in it (u right, v up, in [0, 1])."""

    image: Float[Tensor, "3 h w"]
    corner_uv: Float[Tensor, "f 3 2"]

    @staticmethod
    def plain(colour: tuple[float, float, float], faces: int) -> "Texture":
        """One colour everywhere."""
        return Texture(torch.tensor(colour)[:, None, None], torch.full((faces, 3, 2), 0.5))


@dataclass(frozen=True)
class Picture:
    """Colours in [0, 1], and where there is a surface."""

    image: Float[Tensor, "3 h w"]
    covered: Bool[Tensor, "h w"]


def shade(
    mesh: Mesh,
    textures: list[Texture],
    camera: Camera,
    *,
    rasterizer: Rasterizer,
    light: Float[Tensor, " 3"] | None = None,
    ambient: float = 0.55,
    background: Float[Tensor, "3 h w"] | None = None,
) -> Picture:
    """Draw one mesh (a batch of one); the textures follow the order of its faces.

    `light` points from the surface to a far light; without it colours are those of the texture. Both sides of a face
    look alike. Normals are interpolated, so that the surface looks smooth.
    """
    with torch.no_grad():
        fragments = Fragments.of(rasterizer(mesh, camera))
        faces = fragments.face_ids[0]
        weights = surface_weights(mesh, camera, fragments.face_ids, fragments.pixels)
        colours = torch.zeros(len(faces), 3)
        first = 0
        for texture in textures:
            count = len(texture.corner_uv)
            mine = (faces >= first) & (faces < first + count)
            uv = (weights[0, mine, :, None] * texture.corner_uv[faces[mine] - first]).sum(1)
            colours[mine] = _look_up(texture.image, uv)
            first += count
        if light is not None:
            normals = interpolate(vertex_normals(mesh), mesh.faces, fragments.face_ids, weights)[0]
            facing = (F.normalize(normals, dim=-1) @ F.normalize(light, dim=0)).abs()
            colours = colours * (ambient + (1 - ambient) * facing)[:, None]
        u, v = fragments.pixels[0].unbind(-1)
        size = (camera.height, camera.width)
        image = torch.ones(3, *size) if background is None else background.clone()
        image[:, v, u] = colours.T.clamp(0, 1)
        covered = torch.zeros(size, dtype=torch.bool)
        covered[v, u] = True
        return Picture(image, covered)


def vertex_normals(mesh: Mesh) -> Float[Tensor, "b v 3"]:
    """Normals of the vertices: the sum of their faces' normals, larger faces counting more. Not normalised."""
    every: Int[Tensor, "b f"] = torch.arange(mesh.faces.shape[1]).expand(len(mesh.faces), -1)
    corners = corners_of(mesh.vertices, mesh.faces, every)
    normals = torch.linalg.cross(corners[:, :, 1] - corners[:, :, 0], corners[:, :, 2] - corners[:, :, 0])
    total = torch.zeros_like(mesh.vertices)
    for corner in range(3):
        index = mesh.faces[..., corner, None].expand(-1, -1, 3)
        total = total.scatter_add(1, index, normals)
    return total


def _look_up(image: Float[Tensor, "3 h w"], uv: Float[Tensor, "n 2"]) -> Float[Tensor, "n 3"]:
    """Bilinear colours; (0, 0) is the picture's lower left corner, as in OBJ files."""
    grid = torch.stack([2 * uv[:, 0] - 1, 1 - 2 * uv[:, 1]], dim=-1)[None, None]
    return F.grid_sample(image[None], grid, align_corners=True, padding_mode="border")[0, :, 0].T
