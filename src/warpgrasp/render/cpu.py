"""The compiled rasteriser: the same rule as the reference, by numba, in parallel over the images of the batch."""

import inspect
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise

import numba
import numpy as np
import torch
from jaxtyping import Float, Int

from warpgrasp.geometry import NEAR_M, Camera, Mesh
from warpgrasp.render.rasterizer import Raster


def rasterize(mesh: Mesh, camera: Camera) -> Raster:
    """Rasterise on the CPU in float32; see `Rasterizer` for what is drawn."""
    batch = len(mesh.vertices)
    face_ids = np.full((batch, camera.height, camera.width), -1, dtype=np.int64)
    depth = np.full((batch, camera.height, camera.width), np.inf, dtype=np.float32)
    vertices = np.ascontiguousarray(mesh.vertices.detach().numpy(), dtype=np.float32)
    faces = np.ascontiguousarray(mesh.faces.numpy())
    intrinsics = camera.intrinsics.detach().expand(batch, 3, 3)
    pixels = camera.project(mesh.vertices.detach()).contiguous().numpy().astype(np.float32, copy=False)
    directions = torch.linalg.inv(intrinsics.double()).contiguous().numpy()
    arrays = (vertices, faces, pixels, directions, face_ids, depth)
    workers = min(batch, torch.get_num_threads())
    if workers <= 1:
        _fill(*arrays)
    else:
        bounds = [batch * worker // workers for worker in range(workers + 1)]
        shares = [tuple(array[start:stop] for array in arrays) for start, stop in pairwise(bounds)]
        # A plain thread pool, the kernel releasing the GIL: numba's own threads would be a second OpenMP runtime, whose
        # threads go on spinning after each call and take the cores from PyTorch's.
        list(_pool(workers).map(lambda share: _fill(*share), shares))
    return Raster(torch.from_numpy(face_ids), torch.from_numpy(depth).to(mesh.vertices.dtype))


@cache
def _pool(workers: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(workers, thread_name_prefix="rasterizer")


def fill_kernel(
    vertices: Float[np.ndarray, "b v 3"],
    faces: Int[np.ndarray, "b f 3"],
    pixels: Float[np.ndarray, "b v 2"],
    directions: Float[np.ndarray, "b 3 3"],
    face_ids: Int[np.ndarray, "b h w"],
    depth: Float[np.ndarray, "b h w"],
) -> None:
    """Fill `face_ids` and `depth`, which come empty. `directions` are the inverse intrinsics.

    The weights of `barycentrics` are linear in the pixel's coordinates: three coefficients per corner are set up once
    per face, in float64, which costs nothing here.
    """
    batch, height, width = face_ids.shape
    for image in range(batch):
        to_ray = directions[image]
        a, b, c = np.empty(3), np.empty(3), np.empty(3)
        for face in range(faces.shape[1]):
            corner = faces[image, face]
            z0, z1, z2 = (
                vertices[image, corner[0], 2],
                vertices[image, corner[1], 2],
                vertices[image, corner[2], 2],
            )
            nearest = min(z0, z1, z2)
            if max(z0, z1, z2) <= NEAR_M:
                continue
            if nearest > NEAR_M:
                u0, u1, u2 = (
                    pixels[image, corner[0], 0],
                    pixels[image, corner[1], 0],
                    pixels[image, corner[2], 0],
                )
                v0, v1, v2 = (
                    pixels[image, corner[0], 1],
                    pixels[image, corner[1], 1],
                    pixels[image, corner[2], 1],
                )
                # Compared as floats first: a coordinate far outside the image does not fit an integer.
                left = math.ceil(max(min(u0, u1, u2) - np.float32(5e-4), np.float32(0)))
                right = math.floor(min(max(u0, u1, u2) + np.float32(5e-4), np.float32(width - 1)))
                top = math.ceil(max(min(v0, v1, v2) - np.float32(5e-4), np.float32(0)))
                bottom = math.floor(min(max(v0, v1, v2) + np.float32(5e-4), np.float32(height - 1)))
                if left > right or top > bottom:
                    continue
            else:  # the face crosses the camera's plane
                left, right, top, bottom = 0, width - 1, 0, height - 1

            for i in range(3):
                start, end = corner[(i + 1) % 3], corner[(i + 2) % 3]
                sx, ex = np.float64(vertices[image, start, 0]), np.float64(vertices[image, end, 0])
                sy, ey = np.float64(vertices[image, start, 1]), np.float64(vertices[image, end, 1])
                sz, ez = np.float64(vertices[image, start, 2]), np.float64(vertices[image, end, 2])
                # (start + end) × (end - start), as in `barycentrics`: the edge's other face gets exactly the opposite.
                x, y, z = sx + ex, sy + ey, sz + ez
                ex, ey, ez = ex - sx, ey - sy, ez - sz
                nx, ny, nz = y * ez - z * ey, z * ex - x * ez, x * ey - y * ex
                a[i] = nx * to_ray[0, 0] + ny * to_ray[1, 0] + nz * to_ray[2, 0]
                b[i] = nx * to_ray[0, 1] + ny * to_ray[1, 1] + nz * to_ray[2, 1]
                c[i] = nx * to_ray[0, 2] + ny * to_ray[1, 2] + nz * to_ray[2, 2]

            for v in range(top, bottom + 1):
                r0, r1, r2 = b[0] * v + c[0], b[1] * v + c[1], b[2] * v + c[2]
                for u in range(left, right + 1):
                    w0, w1, w2 = a[0] * u + r0, a[1] * u + r1, a[2] * u + r2
                    if (w0 >= 0 and w1 >= 0 and w2 >= 0) or (w0 <= 0 and w1 <= 0 and w2 <= 0):
                        total = w0 + w1 + w2
                        if total == 0:
                            continue
                        # Rounded before it is compared: equal depths must stay equal.
                        z = np.float32((w0 * z0 + w1 * z1 + w2 * z2) / total)
                        if NEAR_M < z < depth[image, v, u]:
                            depth[image, v, u] = z
                            face_ids[image, v, u] = face


# The jaxtyping hook of the tests wraps the function, which numba cannot compile: hence `unwrap`.
_fill: Callable[..., object] = numba.njit(inspect.unwrap(fill_kernel), nogil=True, cache=True)
