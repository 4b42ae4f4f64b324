"""Values at the surface points that pixels see, with their derivative, by Triton kernels: as `cpu_values` on a GPU."""

# pyright: reportMissingImports=false
# Triton comes with PyTorch's CUDA builds alone.

from typing import Any

import torch
import triton
import triton.language as tl
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from warpgrasp.geometry import Camera, Mesh
from warpgrasp.render.gpu import on_gpu, rows
from warpgrasp.render.rasterizer import pixels_to_rays

PLACES = 128  # of a block


def seen_values(
    mesh: Mesh,
    camera: Camera,
    face_ids: Int[Tensor, "b n"],
    pixels: Int[Tensor, "b n 2"],
    values: Float[Tensor, "b v c"],
) -> Float[Tensor, "b n c"]:
    """On a GPU, differentiable (once) in the mesh's vertices and in the values, not in the intrinsics."""
    return _SeenValues.apply(mesh.vertices, values, mesh.faces, pixels_to_rays(camera), face_ids, pixels)


class _SeenValues(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, vertices: Tensor, values: Tensor, faces: Tensor, directions: Tensor, face_ids: Tensor, pixels: Tensor
    ) -> Tensor:
        directions = directions.expand(len(vertices), 3, 3).contiguous()
        given = vertices.contiguous(), values.contiguous(), rows(faces), directions, face_ids.contiguous(), rows(pixels)
        ctx.save_for_backward(*given)
        seen = values.new_empty((*face_ids.shape, values.shape[-1]))
        if seen.numel():
            _seen[_grid(face_ids)](*given, seen, *_sizes(*given), PLACES=PLACES)
        return seen

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        given = vertices, values, _, _, face_ids, _ = ctx.saved_tensors
        wanted = ctx.needs_input_grad[:2]
        # In float64, so that the order in which a GPU adds hardly ever shows in what is left of it.
        found = [
            torch.zeros_like(like, dtype=torch.float64) if asked else like.new_empty(0, dtype=torch.float64)
            for like, asked in zip((vertices, values), wanted, strict=True)
        ]
        if gradient.numel():
            _seen_backward[_grid(face_ids)](
                *given,
                gradient.contiguous(),
                *found,
                *_sizes(*given),
                VERTICES_WANTED=wanted[0],
                VALUES_WANTED=wanted[1],
                PLACES=PLACES,
            )
        of_vertices, of_values = (
            one.to(like.dtype) if asked else None
            for one, like, asked in zip(found, (vertices, values), wanted, strict=True)
        )
        return of_vertices, of_values, None, None, None, None


def _grid(face_ids: Tensor) -> tuple[int, int]:
    return triton.cdiv(face_ids.shape[1], PLACES), len(face_ids)


def _sizes(
    vertices: Tensor, values: Tensor, faces: Tensor, _: Tensor, face_ids: Tensor, pixels: Tensor
) -> tuple[int, int, int, int, int]:
    return vertices.shape[1], faces.stride(0), face_ids.shape[1], pixels.stride(0), values.shape[2]


def corner_kernel(values, index, there):
    """Three numbers of a vertex, in float64."""
    x = tl.load(values + 3 * index, mask=there, other=0).to(tl.float64)
    y = tl.load(values + 3 * index + 1, mask=there, other=0).to(tl.float64)
    z = tl.load(values + 3 * index + 2, mask=there, other=0).to(tl.float64)
    return x, y, z


def ray_kernel(directions, pixels, there):
    """The ray through a pixel."""
    u = tl.load(pixels, mask=there, other=0).to(tl.float64)
    v = tl.load(pixels + 1, mask=there, other=0).to(tl.float64)
    x = tl.load(directions) * u + tl.load(directions + 1) * v + tl.load(directions + 2)
    y = tl.load(directions + 3) * u + tl.load(directions + 4) * v + tl.load(directions + 5)
    z = tl.load(directions + 6) * u + tl.load(directions + 7) * v + tl.load(directions + 8)
    return x, y, z


def triple_kernel(ax, ay, az, bx, by, bz, x, y, z):
    """(a × b)·(x, y, z): a corner's weight before division, of the other two corners and the ray."""
    return (ay * bz - az * by) * x + (az * bx - ax * bz) * y + (ax * by - ay * bx) * z


_corner, _ray, _triple = on_gpu(corner_kernel), on_gpu(ray_kernel), on_gpu(triple_kernel)


def seen_kernel(
    vertices,
    values,
    faces,
    directions,
    face_ids,
    pixels,
    seen,
    vertex_count,
    face_stride,
    place_count,
    pixel_stride,
    channels,
    PLACES: tl.constexpr,
) -> None:
    """Fill `seen` for `PLACES` pixels of an image; zero where the face is seen edge-on."""
    image = tl.program_id(1).to(tl.int64)
    place = tl.program_id(0) * PLACES + tl.arange(0, PLACES)
    there = place < place_count
    pixel = pixels + image * pixel_stride + 2 * place
    place += image * place_count
    corner = faces + image * face_stride + 3 * tl.load(face_ids + place, mask=there, other=0)
    i0, i1, i2 = tl.load(corner, mask=there), tl.load(corner + 1, mask=there), tl.load(corner + 2, mask=there)
    xyz = vertices + image * vertex_count * 3
    x0, y0, z0 = _corner(xyz, i0, there)
    x1, y1, z1 = _corner(xyz, i1, there)
    x2, y2, z2 = _corner(xyz, i2, there)
    x, y, z = _ray(directions + 9 * image, pixel, there)
    w0 = _triple(x1, y1, z1, x2, y2, z2, x, y, z)
    w1 = _triple(x2, y2, z2, x0, y0, z0, x, y, z)
    w2 = _triple(x0, y0, z0, x1, y1, z1, x, y, z)
    total = w0 + w1 + w2
    share = tl.where(total != 0, 1 / tl.where(total != 0, total, 1.0), 0.0)
    of_image = values + image * vertex_count * channels
    for channel in range(0, channels):
        a = tl.load(of_image + i0 * channels + channel, mask=there, other=0).to(tl.float64)
        b = tl.load(of_image + i1 * channels + channel, mask=there, other=0).to(tl.float64)
        c = tl.load(of_image + i2 * channels + channel, mask=there, other=0).to(tl.float64)
        tl.store(seen + place * channels + channel, (w0 * a + w1 * b + w2 * c) * share, mask=there)


def add_turned_kernel(to, index, sent, x, y, z, ax, ay, az, bx, by, bz, of_a, of_b):
    """Add r × (of_a·b - of_b·a) to a vertex."""
    dx, dy, dz = of_a * bx - of_b * ax, of_a * by - of_b * ay, of_a * bz - of_b * az
    tl.atomic_add(to + 3 * index, y * dz - z * dy, mask=sent)
    tl.atomic_add(to + 3 * index + 1, z * dx - x * dz, mask=sent)
    tl.atomic_add(to + 3 * index + 2, x * dy - y * dx, mask=sent)


_add_turned = on_gpu(add_turned_kernel)


def seen_backward_kernel(
    vertices,
    values,
    faces,
    directions,
    face_ids,
    pixels,
    gradient,
    to_vertices,
    to_values,
    vertex_count,
    face_stride,
    place_count,
    pixel_stride,
    channels,
    VERTICES_WANTED: tl.constexpr,
    VALUES_WANTED: tl.constexpr,
    PLACES: tl.constexpr,
) -> None:
    """Add the gradients of `PLACES` pixels; the formulas are those of `cpu_values.seen_backward_kernel`."""
    image = tl.program_id(1).to(tl.int64)
    place = tl.program_id(0) * PLACES + tl.arange(0, PLACES)
    there = place < place_count
    pixel = pixels + image * pixel_stride + 2 * place
    place += image * place_count
    corner = faces + image * face_stride + 3 * tl.load(face_ids + place, mask=there, other=0)
    i0, i1, i2 = tl.load(corner, mask=there), tl.load(corner + 1, mask=there), tl.load(corner + 2, mask=there)
    xyz = vertices + image * vertex_count * 3
    x0, y0, z0 = _corner(xyz, i0, there)
    x1, y1, z1 = _corner(xyz, i1, there)
    x2, y2, z2 = _corner(xyz, i2, there)
    x, y, z = _ray(directions + 9 * image, pixel, there)
    w0 = _triple(x1, y1, z1, x2, y2, z2, x, y, z)
    w1 = _triple(x2, y2, z2, x0, y0, z0, x, y, z)
    w2 = _triple(x0, y0, z0, x1, y1, z1, x, y, z)
    total = w0 + w1 + w2
    seen = there & (total != 0)
    share = 1 / tl.where(seen, total, 1.0)
    w0, w1, w2 = w0 * share, w1 * share, w2 * share
    g0, g1, g2 = x0 * 0, x0 * 0, x0 * 0
    sent = x0 != x0
    offset = image * vertex_count * channels
    for channel in range(0, channels):
        g = tl.load(gradient + place * channels + channel, mask=there, other=0).to(tl.float64)
        passes = seen & (g != 0)
        sent = sent | passes
        if VALUES_WANTED:
            tl.atomic_add(to_values + offset + i0 * channels + channel, w0 * g, mask=passes)
            tl.atomic_add(to_values + offset + i1 * channels + channel, w1 * g, mask=passes)
            tl.atomic_add(to_values + offset + i2 * channels + channel, w2 * g, mask=passes)
        if VERTICES_WANTED:
            g0 += g * tl.load(values + offset + i0 * channels + channel, mask=there, other=0)
            g1 += g * tl.load(values + offset + i1 * channels + channel, mask=there, other=0)
            g2 += g * tl.load(values + offset + i2 * channels + channel, mask=there, other=0)
    if VERTICES_WANTED:
        mean = w0 * g0 + w1 * g1 + w2 * g2
        g0, g1, g2 = (g0 - mean) * share, (g1 - mean) * share, (g2 - mean) * share
        to = to_vertices + image * vertex_count * 3
        _add_turned(to, i0, sent, x, y, z, x1, y1, z1, x2, y2, z2, g1, g2)
        _add_turned(to, i1, sent, x, y, z, x2, y2, z2, x0, y0, z0, g2, g0)
        _add_turned(to, i2, sent, x, y, z, x0, y0, z0, x1, y1, z1, g0, g1)


_seen, _seen_backward = on_gpu(seen_kernel), on_gpu(seen_backward_kernel)
