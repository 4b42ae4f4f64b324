"""The compiled rasteriser: the same rule as the reference, by numba, in parallel over the images of the batch."""

import inspect
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any

import numba
import numpy as np
import torch
from jaxtyping import Float, Int

from warpgrasp.geometry import NEAR_M, Camera, Mesh
from warpgrasp.render.rasterizer import Raster

BOX_SLACK_PX = np.float32(5e-4)  # a face's box may not lose a pixel's centre to rounding: the edge test decides


def rasterize(mesh: Mesh, camera: Camera) -> Raster:
    """Rasterise on the CPU in float32; see `Rasterizer` for what is drawn."""
    batch = len(mesh.vertices)
    face_ids = np.empty((batch, camera.height, camera.width), dtype=np.int64)
    depth = np.empty((batch, camera.height, camera.width), dtype=np.float32)
    vertices = np.ascontiguousarray(mesh.vertices.detach().numpy(), dtype=np.float32)
    intrinsics = camera.intrinsics.detach().expand(batch, 3, 3).double()
    matrices = intrinsics.contiguous().numpy()
    directions = torch.linalg.inv(intrinsics).contiguous().numpy()
    pixels = np.empty((batch, vertices.shape[1], 2), dtype=np.float32)
    _share_out(_draw, (vertices, mesh.faces.numpy(), matrices, directions, pixels, face_ids, depth))
    return Raster(torch.from_numpy(face_ids), torch.from_numpy(depth).to(mesh.vertices.dtype))


def _draw(
    vertices: np.ndarray,
    faces: np.ndarray,
    matrices: np.ndarray,
    directions: np.ndarray,
    pixels: np.ndarray,
    face_ids: np.ndarray,
    depth: np.ndarray,
) -> None:
    _project(vertices, matrices, pixels)
    _fill(vertices, np.ascontiguousarray(faces), pixels, directions, face_ids, depth)


def _share_out(work: Callable[..., None], arrays: tuple[np.ndarray, ...]) -> None:
    """Call `work` with the arrays cut along the batch, once per thread.

    A plain thread pool, the kernels releasing the GIL: numba's own threads would be a second OpenMP runtime, whose
    threads go on spinning after each call and take the cores from PyTorch's.
    """
    batch = len(arrays[0])
    workers = min(batch, torch.get_num_threads())
    if workers <= 1:
        work(*arrays)
        return
    bounds = [batch * worker // workers for worker in range(workers + 1)]
    shares = [tuple(array[start:stop] for array in arrays) for start, stop in pairwise(bounds)]
    list(_pool(workers).map(lambda share: work(*share), shares))


@cache
def _pool(workers: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(workers, thread_name_prefix="rasterizer")


def _compiled(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """The jaxtyping hook of the tests wraps functions, which numba cannot compile: hence `unwrap`.

    What is compiled is kept for the next process, beside this file or, where that cannot be written, in the user's
    cache folder.
    """
    function = inspect.unwrap(kernel)
    try:
        return numba.njit(function, nogil=True, cache=True)
    except RuntimeError:  # neither can be written: every process compiles for itself
        return numba.njit(function, nogil=True)


def project_kernel(
    vertices: Float[np.ndarray, "b v 3"], intrinsics: Float[np.ndarray, "b 3 3"], pixels: Float[np.ndarray, "b v 2"]
) -> None:
    """Fill `pixels` with `Camera.project`, without its intermediate arrays. Only the faces' boxes are read off them."""
    for image in range(len(vertices)):
        k = intrinsics[image]
        for vertex in range(vertices.shape[1]):
            scale = 1 / max(np.float64(vertices[image, vertex, 2]), NEAR_M)
            x, y = vertices[image, vertex, 0] * scale, vertices[image, vertex, 1] * scale
            pixels[image, vertex, 0] = k[0, 0] * x + k[0, 1] * y + k[0, 2]
            pixels[image, vertex, 1] = k[1, 0] * x + k[1, 1] * y + k[1, 2]


def normal_kernel(sx: float, sy: float, sz: float, ex: float, ey: float, ez: float) -> tuple[float, float, float]:
    """(start + end) × (end - start), as in `barycentrics`: the edge's other face gets exactly the opposite."""
    x, y, z = sx + ex, sy + ey, sz + ez
    dx, dy, dz = ex - sx, ey - sy, ez - sz
    return y * dz - z * dy, z * dx - x * dz, x * dy - y * dx


_normal = _compiled(normal_kernel)


def fill_kernel(
    vertices: Float[np.ndarray, "b v 3"],
    faces: Int[np.ndarray, "b f 3"],
    pixels: Float[np.ndarray, "b v 2"],
    directions: Float[np.ndarray, "b 3 3"],
    face_ids: Int[np.ndarray, "b h w"],
    depth: Float[np.ndarray, "b h w"],
) -> None:
    """Fill `face_ids` and `depth`. `directions` are the inverse intrinsics.

    The weights of `barycentrics` are linear in the pixel's coordinates: three coefficients per corner are set up in
    float64, and only for a face whose box holds a pixel's centre. Most faces of a fine mesh hold none, so what comes
    before that test decides the speed.
    """
    batch, height, width = face_ids.shape
    for image in range(batch):
        face_ids[image], depth[image] = -1, np.inf
        xyz, uv = vertices[image], pixels[image]
        rxu, rxv, rx = directions[image, 0, 0], directions[image, 0, 1], directions[image, 0, 2]
        ryu, ryv, ry = directions[image, 1, 0], directions[image, 1, 1], directions[image, 1, 2]
        rzu, rzv, rz = directions[image, 2, 0], directions[image, 2, 1], directions[image, 2, 2]
        for face in range(faces.shape[1]):
            i0, i1, i2 = faces[image, face, 0], faces[image, face, 1], faces[image, face, 2]
            z0, z1, z2 = np.float64(xyz[i0, 2]), np.float64(xyz[i1, 2]), np.float64(xyz[i2, 2])
            left, right, top, bottom = 0, width - 1, 0, height - 1
            if min(z0, z1, z2) > NEAR_M:
                # Compared as floats first: a coordinate far outside the image does not fit an integer.
                u0, u1, u2 = uv[i0, 0], uv[i1, 0], uv[i2, 0]
                left = math.ceil(max(min(u0, u1, u2) - BOX_SLACK_PX, np.float32(0)))
                right = math.floor(min(max(u0, u1, u2) + BOX_SLACK_PX, np.float32(width - 1)))
                if left > right:
                    continue
                v0, v1, v2 = uv[i0, 1], uv[i1, 1], uv[i2, 1]
                top = math.ceil(max(min(v0, v1, v2) - BOX_SLACK_PX, np.float32(0)))
                bottom = math.floor(min(max(v0, v1, v2) + BOX_SLACK_PX, np.float32(height - 1)))
                if top > bottom:
                    continue
            elif max(z0, z1, z2) <= NEAR_M:
                continue  # else the face crosses the camera's plane and may be seen anywhere

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


_project, _fill = _compiled(project_kernel), _compiled(fill_kernel)
