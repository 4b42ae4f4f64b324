"""The rasteriser's protocol and result, and the differentiable geometry of its pixels.

The renderer decides only *which* triangle each pixel sees. Where on that triangle is recomputed here from the vertices,
so the exact gradient reaches them (decision 0001).

The compiled rasterisers share the last part: how kernels are compiled, cached, and shared out over threads.
"""

import inspect
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from typing import Any, Protocol, runtime_checkable

import numba
import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from warpgrasp.geometry import Camera, Mesh

BOX_SLACK_PX = 5e-4  # a face's box may not lose a pixel's centre to rounding: the edge test decides


@dataclass(frozen=True)
class Raster:
    """For each pixel the nearest face (-1: none) and the depth of its surface point (metres; inf: none)."""

    face_ids: Int[Tensor, "b h w"]
    depth: Float[Tensor, "b h w"]


@runtime_checkable
class Rasterizer(Protocol):
    """Finds the face that each pixel's centre sees.

    The ray through a pixel's centre meets a face when it meets its interior or its edge, at a depth beyond `NEAR_M`.
    The nearer face wins; at equal depth the one of lower id. Faces are seen from both sides. A face that crosses the
    camera's plane is seen where it lies beyond `NEAR_M`; a degenerate face is never seen.
    """

    def __call__(self, mesh: Mesh, camera: Camera) -> Raster:
        """Rasterise each mesh of the batch by its camera."""
        ...


@dataclass(frozen=True)
class Fragments:
    """The covered pixels of each image, as lists padded to the longest of the batch.

    A hand and an object cover a tenth of an ordinary picture: what follows touches these pixels alone (decision 0003).
    On a GPU all pixels are listed instead, in their order: the host would have to wait for the count of the others.
    """

    pixels: Int[Tensor, "b n 2"]  # (u, v)
    face_ids: Int[Tensor, "b n"]  # 0 in padding
    covered: Bool[Tensor, "b n"]  # False in padding
    height: int  # of the images
    width: int

    @staticmethod
    def of(raster: Raster) -> "Fragments":
        """List the covered pixels, row by row."""
        batch, height, width = raster.face_ids.shape
        if raster.face_ids.is_cuda:
            return Fragments.of_every_pixel(raster)
        face_ids = raster.face_ids.flatten()
        listed = torch.nonzero(face_ids >= 0)[:, 0]
        counts = torch.bincount(listed // max(height * width, 1), minlength=batch)
        longest = int(counts.max()) if batch else 0
        slot = torch.arange(longest, device=listed.device)
        covered = slot < counts[:, None]
        # The lists follow one another in `listed`, in the order of `covered`'s entries.
        place = face_ids.new_zeros((batch, longest)).masked_scatter_(covered, listed)
        within = (place - torch.arange(batch, device=listed.device)[:, None] * (height * width)).clamp_min_(0)
        pixels = torch.stack([within % max(width, 1), within // max(width, 1)], dim=-1)
        listed_ids = torch.where(covered, face_ids[place], 0) if longest else place
        return Fragments(pixels, listed_ids, covered, height, width)

    @staticmethod
    def of_every_pixel(raster: Raster) -> "Fragments":
        """List all pixels, row by row."""
        batch, height, width = raster.face_ids.shape
        place = torch.arange(height * width, device=raster.face_ids.device)
        pixels = torch.stack([place % max(width, 1), place // max(width, 1)], dim=-1).expand(batch, -1, -1)
        face_ids = raster.face_ids.flatten(1)
        return Fragments(pixels, face_ids.clamp_min(0), face_ids >= 0, height, width)

    def face_id_images(self) -> Int[Tensor, "b h w"]:
        """The face that each pixel sees, -1 where none, as in the raster that the list was made of."""
        beyond, (u, v) = self.height * self.width, self.pixels.unbind(-1)
        images = self.face_ids.new_full((len(self.pixels), beyond + 1), -1)
        place = torch.where(self.covered, v * self.width + u, beyond)  # padding falls off the end
        return images.scatter_(1, place, self.face_ids)[:, :-1].view(-1, self.height, self.width)


def pixels_to_rays(camera: Camera) -> Float[Tensor, "b 3 3"]:
    """The inverse intrinsics, in float64 whatever the camera's precision."""
    return replace(camera, intrinsics=camera.intrinsics.detach().double()).rays_from_pixels


def corners_of(
    vertices: Float[Tensor, "b v c"], faces: Int[Tensor, "b f 3"], face_ids: Int[Tensor, "b n"]
) -> Float[Tensor, "b n 3 c"]:
    """The three vertices' values of the named faces.

    In memory corners and channels come before pixels: what follows then runs over long rows instead of over threes.
    """
    batch, count, channels = vertices.shape
    chosen = faces.mT.gather(2, face_ids[:, None].expand(-1, 3, -1)).transpose(0, 1)
    offset = torch.arange(batch, device=faces.device)[:, None] * count
    rows = vertices.reshape(-1, channels).index_select(0, (chosen + offset).flatten())
    return rows.view(3, -1, channels).mT.contiguous().view(3, channels, batch, -1).permute(2, 3, 0, 1)


def barycentrics(
    corners: Float[Tensor, "b n 3 3"], rays: Float[Tensor, "b n 3"]
) -> tuple[Float[Tensor, "b n 3"], Bool[Tensor, "b n"]]:
    """Perspective-correct barycentrics of the points where rays meet the planes of triangles.

    With vertices v_i and ray d, the weight of v_0 is proportional to (v_1 × v_2)·d, and so on round (Olano and Greer
    1997). The cross products are taken as (v_1 + v_2) × (v_2 - v_1), twice as long: this keeps float32 exact enough for
    triangles much smaller than their distance, and gives the two faces of an edge exactly opposite weights, so that no
    pixel falls between them. The second value tells where the weights are defined (the triangle is not seen edge-on);
    elsewhere they are zero and send no gradient.
    """
    first_to_last = corners.permute(2, 3, 0, 1)  # as `corners_of` lays them out
    following, after_next = first_to_last.roll(-1, dims=0), first_to_last.roll(-2, dims=0)
    x, y, z = (following + after_next).unbind(1)
    dx, dy, dz = (after_next - following).unbind(1)
    u, v, w = rays.unbind(-1)
    weights = (y * dz - z * dy) * u + (z * dx - x * dz) * v + (x * dy - y * dx) * w
    total = weights.sum(0)
    defined = total != 0
    normalised = torch.where(defined, weights, 0) / torch.where(defined, total, 1)
    return normalised.permute(1, 2, 0), defined


def interpolate(
    values: Float[Tensor, "b v c"],
    faces: Int[Tensor, "b f 3"],
    face_ids: Int[Tensor, "b n"],
    weights: Float[Tensor, "b n 3"],
) -> Float[Tensor, "b n c"]:
    """Interpolate vertex values at points of faces."""
    (a, b, c), (at_a, at_b, at_c) = weights.unbind(-1), corners_of(values, faces, face_ids).unbind(2)
    return a[..., None] * at_a + b[..., None] * at_b + c[..., None] * at_c


def surface_weights(
    mesh: Mesh, camera: Camera, face_ids: Int[Tensor, "b n"], pixels: Int[Tensor, "b n 2"]
) -> Float[Tensor, "b n 3"]:
    """Barycentrics of the surface points that pixels see on their faces, differentiable in the mesh's vertices."""
    rays = camera.rays(pixels.to(mesh.vertices.dtype))
    weights, _ = barycentrics(corners_of(mesh.vertices, mesh.faces, face_ids), rays)
    return weights


def share_out(work: Callable[..., None], arrays: tuple[np.ndarray, ...]) -> None:
    """Call `work` with parts of the arrays along the batch, once per thread, the calling thread among them.

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
    others = [_pool(workers - 1).submit(work, *share) for share in shares[1:]]
    work(*shares[0])
    for other in others:
        other.result()


@cache
def _pool(workers: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(workers, thread_name_prefix="kernels")


def compiled(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a kernel by numba at its first call.

    The machine code is kept for the next process, beside this file or, where that cannot be written, in the user's
    cache folder. The jaxtyping hook of the tests wraps functions, which numba cannot compile: hence `unwrap`.
    """
    function = inspect.unwrap(kernel)
    try:
        return numba.njit(function, nogil=True, cache=True)
    except RuntimeError:  # neither can be written: every process compiles for itself
        return numba.njit(function, nogil=True)
