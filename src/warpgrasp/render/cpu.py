"""The compiled rasteriser: the same rule as the reference, by numba, in parallel over the images of the batch."""

import math

import numpy as np
import torch
from jaxtyping import Float, Int

from warpgrasp.geometry import NEAR_M, Camera, Mesh
from warpgrasp.render.compiled import compiled, share_out
from warpgrasp.render.rasterizer import BOX_SLACK_PX, Raster, pixels_to_rays


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
