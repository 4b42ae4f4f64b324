"""Compiled kernels for CPUs: the rasteriser, and values at the surface points that pixels see, with their derivative.

`rasterize` draws by the rule of the reference, `SeenValues` computes `interpolate` with `surface_weights`. Both are
numba loops, in parallel over the images of a batch, in float64 whatever the precision of the arrays. One pass over the
pixels of a small picture takes less time than starting some thirty tensor operations over three corners of each.
"""

import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from warpgrasp.geometry import NEAR_M, Camera, Mesh
from warpgrasp.render.rasterizer import BOX_SLACK_PX, Raster, compiled, pixels_to_rays, share_out


def rasterize(mesh: Mesh, camera: Camera) -> Raster:
    """Rasterise on the CPU in float32; see `Rasterizer` for what is drawn."""
    batch = len(mesh.vertices)
    face_ids = np.empty((batch, camera.height, camera.width), dtype=np.int64)
    depth = np.empty((batch, camera.height, camera.width), dtype=np.float32)
    vertices = np.ascontiguousarray(mesh.vertices.detach().numpy(), dtype=np.float32)
    matrices = camera.intrinsics.detach().double().expand(batch, 3, 3).contiguous().numpy()
    directions = pixels_to_rays(camera).expand(batch, 3, 3).contiguous().numpy()
    share_out(_draw, (vertices, mesh.faces.numpy(), matrices, directions, face_ids, depth))
    return Raster(torch.from_numpy(face_ids), torch.from_numpy(depth).to(mesh.vertices.dtype))


def _draw(
    vertices: np.ndarray,
    faces: np.ndarray,
    matrices: np.ndarray,
    directions: np.ndarray,
    face_ids: np.ndarray,
    depth: np.ndarray,
) -> None:
    boxes = np.empty((*vertices.shape[:2], 4), dtype=np.int32)
    _boxes(vertices, matrices, boxes, face_ids.shape[2], face_ids.shape[1])
    _fill(vertices, np.ascontiguousarray(faces), boxes, directions, face_ids, depth)


def boxes_kernel(
    vertices: Float[np.ndarray, "b v 3"],
    intrinsics: Float[np.ndarray, "b 3 3"],
    boxes: Int[np.ndarray, "b v 4"],
    width: int,
    height: int,
) -> None:
    """Fill `boxes` with (left, top, -right, -bottom): the pixels round a vertex, the whole image for one not in front.

    The least of three vertices' boxes, number by number, is then the box of their face: the pixels whose centres it may
    hold. Rounded and cut to the image per vertex, since a mesh has twice as many faces, each with three corners.
    """
    last_u, last_v = np.float64(width - 1), np.float64(height - 1)
    for image in range(len(vertices)):
        k = intrinsics[image]
        for vertex in range(vertices.shape[1]):
            left, top, right, bottom = 0.0, 0.0, last_u, last_v
            z = np.float64(vertices[image, vertex, 2])
            if z > NEAR_M:
                x, y = vertices[image, vertex, 0] / z, vertices[image, vertex, 1] / z
                u, v = k[0, 0] * x + k[0, 1] * y + k[0, 2], k[1, 0] * x + k[1, 1] * y + k[1, 2]
                # Cut before they become integers: a coordinate far outside the image does not fit one.
                left, right = min(max(u - BOX_SLACK_PX, 0.0), last_u + 1), max(min(u + BOX_SLACK_PX, last_u), -1.0)
                top, bottom = min(max(v - BOX_SLACK_PX, 0.0), last_v + 1), max(min(v + BOX_SLACK_PX, last_v), -1.0)
            boxes[image, vertex, 0], boxes[image, vertex, 1] = math.ceil(left), math.ceil(top)
            boxes[image, vertex, 2], boxes[image, vertex, 3] = -math.floor(right), -math.floor(bottom)


def normal_kernel(sx: float, sy: float, sz: float, ex: float, ey: float, ez: float) -> tuple[float, float, float]:
    """(start + end) × (end - start), as in `barycentrics`: the edge's other face gets exactly the opposite."""
    x, y, z = sx + ex, sy + ey, sz + ez
    dx, dy, dz = ex - sx, ey - sy, ez - sz
    return y * dz - z * dy, z * dx - x * dz, x * dy - y * dx


_normal = compiled(normal_kernel)


def fill_kernel(
    vertices: Float[np.ndarray, "b v 3"],
    faces: Int[np.ndarray, "b f 3"],
    boxes: Int[np.ndarray, "b v 4"],
    directions: Float[np.ndarray, "b 3 3"],
    face_ids: Int[np.ndarray, "b h w"],
    depth: Float[np.ndarray, "b h w"],
) -> None:
    """Fill `face_ids` and `depth`. `directions` are the inverse intrinsics.

    The weights of `barycentrics` are linear in the pixel's coordinates: three coefficients per corner are set up in
    float64, and only for a face whose box holds a pixel's centre. Most faces of a fine mesh hold none, so what comes
    before that test decides the speed: it is a loop of its own, without branches.
    """
    candidates = np.empty(faces.shape[1] + 1, dtype=np.int32)
    for image in range(len(vertices)):
        face_ids[image], depth[image] = -1, np.inf
        xyz, box = vertices[image], boxes[image]
        rxu, rxv, rx = directions[image, 0, 0], directions[image, 0, 1], directions[image, 0, 2]
        ryu, ryv, ry = directions[image, 1, 0], directions[image, 1, 1], directions[image, 1, 2]
        rzu, rzv, rz = directions[image, 2, 0], directions[image, 2, 1], directions[image, 2, 2]
        count = 0
        for face in range(faces.shape[1]):
            i0, i1, i2 = faces[image, face, 0], faces[image, face, 1], faces[image, face, 2]
            left, right = min(box[i0, 0], box[i1, 0], box[i2, 0]), -min(box[i0, 2], box[i1, 2], box[i2, 2])
            top, bottom = min(box[i0, 1], box[i1, 1], box[i2, 1]), -min(box[i0, 3], box[i1, 3], box[i2, 3])
            candidates[count] = face
            count += (left <= right) & (top <= bottom)
        for face in candidates[:count]:
            i0, i1, i2 = faces[image, face, 0], faces[image, face, 1], faces[image, face, 2]
            z0, z1, z2 = np.float64(xyz[i0, 2]), np.float64(xyz[i1, 2]), np.float64(xyz[i2, 2])
            if max(z0, z1, z2) <= NEAR_M:
                continue
            left, right = min(box[i0, 0], box[i1, 0], box[i2, 0]), -min(box[i0, 2], box[i1, 2], box[i2, 2])
            top, bottom = min(box[i0, 1], box[i1, 1], box[i2, 1]), -min(box[i0, 3], box[i1, 3], box[i2, 3])
            x0, x1, x2 = np.float64(xyz[i0, 0]), np.float64(xyz[i1, 0]), np.float64(xyz[i2, 0])
            y0, y1, y2 = np.float64(xyz[i0, 1]), np.float64(xyz[i1, 1]), np.float64(xyz[i2, 1])
            nx, ny, nz = _normal(x1, y1, z1, x2, y2, z2)
            a0 = nx * rxu + ny * ryu + nz * rzu
            b0 = nx * rxv + ny * ryv + nz * rzv
            c0 = nx * rx + ny * ry + nz * rz
            nx, ny, nz = _normal(x2, y2, z2, x0, y0, z0)
            a1 = nx * rxu + ny * ryu + nz * rzu
            b1 = nx * rxv + ny * ryv + nz * rzv
            c1 = nx * rx + ny * ry + nz * rz
            nx, ny, nz = _normal(x0, y0, z0, x1, y1, z1)
            a2 = nx * rxu + ny * ryu + nz * rzu
            b2 = nx * rxv + ny * ryv + nz * rzv
            c2 = nx * rx + ny * ry + nz * rz
            for v in range(top, bottom + 1):
                r0, r1, r2 = b0 * v + c0, b1 * v + c1, b2 * v + c2
                for u in range(left, right + 1):
                    w0, w1, w2 = a0 * u + r0, a1 * u + r1, a2 * u + r2
                    if ((w0 >= 0) & (w1 >= 0) & (w2 >= 0)) | ((w0 <= 0) & (w1 <= 0) & (w2 <= 0)):
                        total = w0 + w1 + w2
                        if total == 0:
                            continue
                        # Rounded before it is compared: equal depths must stay equal.
                        z = np.float32((w0 * z0 + w1 * z1 + w2 * z2) / total)
                        if NEAR_M < z < depth[image, v, u]:
                            depth[image, v, u] = z
                            face_ids[image, v, u] = face


_boxes, _fill = compiled(boxes_kernel), compiled(fill_kernel)


class SeenValues(torch.autograd.Function):
    """Values at the points that pixels see, differentiable (once) in the vertices and in the values.

    `directions` (b 3 3) are the inverse intrinsics, the other arguments those of `render.seen_values`.
    """

    @staticmethod
    def forward(
        ctx: Any, vertices: Tensor, values: Tensor, faces: Tensor, directions: Tensor, face_ids: Tensor, pixels: Tensor
    ) -> Tensor:
        """The values at the pixels, (b n c)."""
        directions = directions.expand(len(vertices), 3, 3).contiguous()
        ctx.save_for_backward(vertices, values, faces, directions, face_ids, pixels)
        seen = values.new_empty((*face_ids.shape, values.shape[-1]))
        share_out(_seen, (*_arrays(vertices, values, faces, directions, face_ids, pixels), seen.numpy()))
        return seen

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients to the vertices and to the values, from that to the values at the pixels."""
        to_vertices, to_values = (
            like.new_zeros(like.shape if wanted else (len(like), 0, like.shape[2]))
            for like, wanted in zip(ctx.saved_tensors[:2], ctx.needs_input_grad[:2], strict=True)
        )
        gradients = (*_arrays(gradient), to_vertices.numpy(), to_values.numpy())
        share_out(_seen_backward, (*_arrays(*ctx.saved_tensors), *gradients))
        wanted = ctx.needs_input_grad
        return to_vertices if wanted[0] else None, to_values if wanted[1] else None, None, None, None, None


def _arrays(*tensors: Tensor) -> tuple[np.ndarray, ...]:
    return tuple(tensor.detach().contiguous().numpy() for tensor in tensors)


def weights_kernel(
    xyz: Float[np.ndarray, "v 3"],
    i0: int,
    i1: int,
    i2: int,
    direction: Float[np.ndarray, "3 3"],
    u: float,
    v: float,
) -> tuple[float, float, float, float, float, float, float]:
    """The ray through a pixel (three numbers), the weights of `barycentrics` before division (three), and their sum."""
    x0, y0, z0 = np.float64(xyz[i0, 0]), np.float64(xyz[i0, 1]), np.float64(xyz[i0, 2])
    x1, y1, z1 = np.float64(xyz[i1, 0]), np.float64(xyz[i1, 1]), np.float64(xyz[i1, 2])
    x2, y2, z2 = np.float64(xyz[i2, 0]), np.float64(xyz[i2, 1]), np.float64(xyz[i2, 2])
    rx = direction[0, 0] * u + direction[0, 1] * v + direction[0, 2]
    ry = direction[1, 0] * u + direction[1, 1] * v + direction[1, 2]
    rz = direction[2, 0] * u + direction[2, 1] * v + direction[2, 2]
    w0 = (y1 * z2 - z1 * y2) * rx + (z1 * x2 - x1 * z2) * ry + (x1 * y2 - y1 * x2) * rz
    w1 = (y2 * z0 - z2 * y0) * rx + (z2 * x0 - x2 * z0) * ry + (x2 * y0 - y2 * x0) * rz
    w2 = (y0 * z1 - z0 * y1) * rx + (z0 * x1 - x0 * z1) * ry + (x0 * y1 - y0 * x1) * rz
    return rx, ry, rz, w0, w1, w2, w0 + w1 + w2


weights_of = compiled(weights_kernel)


def seen_kernel(
    vertices: Float[np.ndarray, "b v 3"],
    values: Float[np.ndarray, "b v c"],
    faces: Int[np.ndarray, "b f 3"],
    directions: Float[np.ndarray, "b 3 3"],
    face_ids: Int[np.ndarray, "b n"],
    pixels: Int[np.ndarray, "b n 2"],
    seen: Float[np.ndarray, "b n c"],
) -> None:
    """Fill `seen`; zero where the face is seen edge-on. `directions` are the inverse intrinsics."""
    for image in range(len(vertices)):
        for place in range(face_ids.shape[1]):
            face = face_ids[image, place]
            i0, i1, i2 = faces[image, face, 0], faces[image, face, 1], faces[image, face, 2]
            u, v = pixels[image, place, 0], pixels[image, place, 1]
            _, _, _, w0, w1, w2, total = weights_of(vertices[image], i0, i1, i2, directions[image], u, v)
            share = 1 / total if total != 0 else 0.0
            for channel in range(values.shape[2]):
                a, b, c = values[image, i0, channel], values[image, i1, channel], values[image, i2, channel]
                seen[image, place, channel] = (w0 * a + w1 * b + w2 * c) * share


def seen_backward_kernel(
    vertices: Float[np.ndarray, "b v 3"],
    values: Float[np.ndarray, "b v c"],
    faces: Int[np.ndarray, "b f 3"],
    directions: Float[np.ndarray, "b 3 3"],
    face_ids: Int[np.ndarray, "b n"],
    pixels: Int[np.ndarray, "b n 2"],
    gradient: Float[np.ndarray, "b n c"],
    to_vertices: Float[np.ndarray, "b v 3"],
    to_values: Float[np.ndarray, "b v c"],
) -> None:
    """Add the gradients of a loss with respect to the vertices and the values; `gradient` is that to what was seen.

    An empty `to_vertices` or `to_values` means that this gradient is not wanted.

    With the triple products t_i = (v_{i+1} × v_{i+2})·r of a face's corners and a ray, counted round the face, the
    weights are w_i = t_i / T, T = Σ_i t_i. Hence ∂L/∂t_i = (∂L/∂w_i - Σ_j w_j ∂L/∂w_j) / T, and since a·(b × c)
    = b·(c × a), ∂L/∂v_i = r × (∂L/∂t_{i+1} v_{i+2} - ∂L/∂t_{i+2} v_{i+1}).
    """
    vertices_wanted, values_wanted = to_vertices.shape[1] > 0, to_values.shape[1] > 0
    for image in range(len(vertices)):
        xyz = vertices[image]
        for place in range(face_ids.shape[1]):
            sent = False
            for channel in range(values.shape[2]):
                sent |= gradient[image, place, channel] != 0
            if not sent:  # a pixel that was not compared
                continue
            face = face_ids[image, place]
            i0, i1, i2 = faces[image, face, 0], faces[image, face, 1], faces[image, face, 2]
            u, v = pixels[image, place, 0], pixels[image, place, 1]
            rx, ry, rz, w0, w1, w2, total = weights_of(xyz, i0, i1, i2, directions[image], u, v)
            if total == 0:
                continue
            w0, w1, w2 = w0 / total, w1 / total, w2 / total
            if values_wanted:
                for channel in range(values.shape[2]):
                    g = np.float64(gradient[image, place, channel])
                    to_values[image, i0, channel] += w0 * g
                    to_values[image, i1, channel] += w1 * g
                    to_values[image, i2, channel] += w2 * g
            if not vertices_wanted:
                continue
            g0, g1, g2 = 0.0, 0.0, 0.0
            for channel in range(values.shape[2]):
                g = np.float64(gradient[image, place, channel])
                g0 += g * values[image, i0, channel]
                g1 += g * values[image, i1, channel]
                g2 += g * values[image, i2, channel]
            mean = w0 * g0 + w1 * g1 + w2 * g2
            g0, g1, g2 = (g0 - mean) / total, (g1 - mean) / total, (g2 - mean) / total
            for own, following, after_next, of_following, of_after_next in (
                (i0, i1, i2, g1, g2),
                (i1, i2, i0, g2, g0),
                (i2, i0, i1, g0, g1),
            ):
                x = of_following * xyz[after_next, 0] - of_after_next * xyz[following, 0]
                y = of_following * xyz[after_next, 1] - of_after_next * xyz[following, 1]
                z = of_following * xyz[after_next, 2] - of_after_next * xyz[following, 2]
                to_vertices[image, own, 0] += ry * z - rz * y
                to_vertices[image, own, 1] += rz * x - rx * z
                to_vertices[image, own, 2] += rx * y - ry * x


_seen, _seen_backward = compiled(seen_kernel), compiled(seen_backward_kernel)
