"""The reference rasteriser: plain PyTorch, any device and precision, the oracle for the compiled one."""

from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor

from warpgrasp.geometry import NEAR_M, Camera, Mesh
from warpgrasp.render.rasterizer import BOX_SLACK_PX, Raster, corners_of, pixels_to_rays

CHUNK = 2**17  # (face, pixel) candidates at a time: their arrays stay in a processor's cache


def rasterize(mesh: Mesh, camera: Camera) -> Raster:
    """Rasterise by listing the (face, pixel) candidates of the faces' bounding boxes and keeping the nearest.

    See `Rasterizer` for what is drawn. Memory is bounded by the faces, the images and `CHUNK`; the device is waited for
    once for the chunks' bounds and once per chunk for the hits.
    """
    with torch.no_grad():
        batch, width, height = len(mesh.vertices), camera.width, camera.height
        boxes = _boxes(mesh, camera)
        planes = _planes(mesh, camera, boxes)
        nearest = mesh.vertices.new_full((batch * height * width,), torch.inf)
        face_ids = mesh.faces.new_full((batch * height * width,), -1)
        ends = (boxes.columns * boxes.rows).cumsum(0)
        for first, last in pairwise(_chunks(ends)):
            image, face, pixels, depth = _hits(boxes.between(first, last), planes[:, first:last])
            target = (image * height + pixels[1].long()) * width + pixels[0].long()
            depth = depth.to(nearest.dtype)  # rounded before it is compared: equal depths must stay equal
            # The faces come in the order of their ids: those of later chunks must be nearer, not as near.
            nearer = (depth > NEAR_M) & (depth < nearest[target])  # and not NaN, seen edge-on
            target, face, depth = target[nearer], face[nearer], depth[nearer]
            nearest.scatter_reduce_(0, target, depth, "amin")
            wins = depth == nearest[target]
            target, face = target[wins], face[wins]
            face_ids[target] = mesh.faces.shape[1]
            face_ids.scatter_reduce_(0, target, face, "amin")
        return Raster(face_ids.view(batch, height, width), nearest.view(batch, height, width))


@dataclass(frozen=True)
class _Boxes:
    """The faces whose bounding box holds a pixel's centre, by image and face."""

    image: Int[Tensor, " n"]
    face: Int[Tensor, " n"]
    left: Int[Tensor, " n"]
    top: Int[Tensor, " n"]
    columns: Int[Tensor, " n"]
    rows: Int[Tensor, " n"]

    def between(self, first: int, last: int) -> "_Boxes":
        return _Boxes(*(values[first:last] for values in vars(self).values()))


def _boxes(mesh: Mesh, camera: Camera) -> _Boxes:
    """A face that crosses the camera's plane may be seen anywhere: its box is the whole image."""
    pixels = camera.project(mesh.vertices)
    seen = torch.cat([pixels, mesh.vertices[..., 2:]], dim=-1)
    every = torch.arange(mesh.faces.shape[1], device=mesh.faces.device).expand(len(mesh.faces), -1)
    u, v, depth = corners_of(seen, mesh.faces, every).unbind(-1)
    size = (camera.width, camera.height)
    in_front = depth.amax(-1) > NEAR_M
    crossing = in_front & ~(depth.amin(-1) > NEAR_M)
    first = [(axis.amin(-1) - BOX_SLACK_PX).ceil().clamp_min(0) for axis in (u, v)]
    last = [
        (axis.amax(-1) + BOX_SLACK_PX).floor().clamp_max(length - 1) for axis, length in zip((u, v), size, strict=True)
    ]
    first = [torch.where(crossing, 0, low) for low in first]
    last = [torch.where(crossing, length - 1, high) for length, high in zip(size, last, strict=True)]
    kept = in_front & (first[0] <= last[0]) & (first[1] <= last[1])
    image, face = torch.nonzero(kept, as_tuple=True)
    left, top, right, bottom = (bound[image, face].long() for bound in (*first, *last))
    return _Boxes(image, face, left, top, right - left + 1, bottom - top + 1)


def _planes(mesh: Mesh, camera: Camera, boxes: _Boxes) -> Float[Tensor, "12 n"]:
    """Of each box's face, in float64: the weights a·u + b·v + c of its corners as (a, b, c), and the corners' depths.

    These are the weights of `barycentrics`, which are linear in the pixel's coordinates.
    """
    corners = mesh.vertices[boxes.image[:, None], mesh.faces[boxes.image, boxes.face]].double()
    following, after_next = corners.roll(-1, dims=1), corners.roll(-2, dims=1)
    normals = torch.linalg.cross(following + after_next, after_next - following)
    x, y, z = normals.permute(2, 1, 0)
    to_ray = pixels_to_rays(camera).expand(len(mesh.vertices), 3, 3)[boxes.image]
    coefficients = [x * to_ray[:, 0, k] + y * to_ray[:, 1, k] + z * to_ray[:, 2, k] for k in range(3)]
    return torch.cat([*coefficients, corners[..., 2].T])


def _chunks(ends: Int[Tensor, " n"]) -> list[int]:
    """Bounds between boxes, such that those between two bounds hold at most one box more than `CHUNK` pixels."""
    if not len(ends):
        return [0]
    marks = ends.new_tensor(range(CHUNK, int(ends[-1]), CHUNK))
    return sorted({0, len(ends), *torch.searchsorted(ends, marks).tolist()})


def _hits(
    boxes: _Boxes, planes: Float[Tensor, "12 n"]
) -> tuple[Int[Tensor, " m"], Int[Tensor, " m"], Float[Tensor, "2 m"], Float[Tensor, " m"]]:
    """Every pixel of the boxes whose ray meets the box's face: image, face, pixel (u, v) and depth."""
    area = boxes.columns * boxes.rows
    places = torch.stack([boxes.left, boxes.top, boxes.columns, area.cumsum(0) - area]).double()
    box = torch.repeat_interleave(area)
    left, top, columns, start = places.index_select(1, box)
    within = torch.arange(len(box), device=box.device, dtype=torch.float64) - start
    row = ((within + 0.5) / columns).floor()  # exact, and faster than a division of integers
    u, v = left + within - row * columns, top + row
    a, b, c = planes[:9].index_select(1, box).view(3, 3, -1)
    weights = a * u + (b * v + c)
    inside = torch.nonzero((weights.amin(0) >= 0) | (weights.amax(0) <= 0))[:, 0]
    box, weights = box[inside], weights[:, inside]
    total = weights.sum(0)
    depth = (weights * planes[9:, box]).sum(0) / total
    return boxes.image[box], boxes.face[box], torch.stack([u[inside], v[inside]]), depth
