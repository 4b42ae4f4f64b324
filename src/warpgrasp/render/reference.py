"""The reference rasteriser: plain PyTorch, any device and precision, the oracle for the compiled one."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from warpgrasp.geometry import NEAR_M, Camera, Mesh, pixel_grid
from warpgrasp.render.rasterizer import Raster, barycentrics


def rasterize(mesh: Mesh, camera: Camera) -> Raster:
    """Rasterise by listing every (face, pixel) candidate of the faces' bounding boxes and keeping the nearest.

    See `Rasterizer` for what is drawn. Memory grows with the sum of the boxes' areas.
    """
    with torch.no_grad():
        batch, width, height = len(mesh.vertices), camera.width, camera.height
        corners = _face_corners(mesh)
        rows = _pixel_boxes(mesh, corners, camera)
        image, face, pixels = _candidates(rows)
        candidate_corners = corners[image, face][None]
        grid = pixel_grid(height, width, like=corners).flatten(0, 1).expand(batch, -1, -1)
        rays = camera.rays(grid)[image, pixels[:, 1] * width + pixels[:, 0]]
        weights, defined = barycentrics(candidate_corners, rays[None])
        weights = weights[0]
        depth = (weights * candidate_corners[0, ..., 2]).sum(-1)
        hit = defined[0] & (weights >= 0).all(-1) & (depth > NEAR_M)

        target = (image * height + pixels[:, 1]) * width + pixels[:, 0]
        target, face, depth = target[hit], face[hit], depth[hit]
        nearest = depth.new_full((batch * height * width,), torch.inf)
        nearest.scatter_reduce_(0, target, depth, "amin")
        wins = depth == nearest[target]
        none = len(mesh.faces[0])
        face_ids = face.new_full((batch * height * width,), none)
        face_ids.scatter_reduce_(0, target[wins], face[wins], "amin")
        face_ids[face_ids == none] = -1
        return Raster(face_ids.view(batch, height, width), nearest.view(batch, height, width))


def _face_corners(mesh: Mesh) -> Float[Tensor, "b f 3 3"]:
    image = torch.arange(len(mesh.vertices), device=mesh.faces.device)[:, None, None]
    return mesh.vertices.detach()[image, mesh.faces]


def _pixel_boxes(mesh: Mesh, corners: Float[Tensor, "b f 3 3"], camera: Camera) -> Int[Tensor, "n 6"]:
    """Rows (image, face, first u, first v, columns, rows) of the faces whose box holds a pixel's centre.

    A face that crosses the camera's plane may be seen anywhere: its box is the whole image.
    """
    pixels = camera.project(mesh.vertices.detach())
    image = torch.arange(len(pixels), device=pixels.device)[:, None, None]
    face_pixels = pixels[image, mesh.faces]
    depth = corners[..., 2]
    in_front = (depth > NEAR_M).any(-1)
    crossing = in_front & ~(depth > NEAR_M).all(-1)
    size = pixels.new_tensor([camera.width, camera.height])
    # Half a thousandth of a pixel of slack: the box may not lose a centre to rounding, the edge test decides.
    first = (face_pixels.amin(2) - 5e-4).ceil().clamp_min(0)
    last = torch.minimum((face_pixels.amax(2) + 5e-4).floor(), size - 1)
    first = torch.where(crossing[..., None], 0, first)
    last = torch.where(crossing[..., None], size - 1, last)
    extent = last - first + 1
    kept = in_front & (extent > 0).all(-1)
    images, faces = torch.nonzero(kept, as_tuple=True)
    return torch.cat([images[:, None], faces[:, None], first[kept].long(), extent[kept].long()], dim=1)


def _candidates(rows: Int[Tensor, "n 6"]) -> tuple[Int[Tensor, " m"], Int[Tensor, " m"], Int[Tensor, "m 2"]]:
    """Every pixel of every box: image, face and pixel."""
    area = rows[:, 4] * rows[:, 5]
    start = area.cumsum(0) - area
    expanded = rows.repeat_interleave(area, dim=0)
    within = torch.arange(len(expanded), device=rows.device) - start.repeat_interleave(area)
    columns = expanded[:, 4].clamp_min(1)
    pixels = torch.stack([expanded[:, 2] + within % columns, expanded[:, 3] + within // columns], dim=-1)
    return expanded[:, 0], expanded[:, 1], pixels
