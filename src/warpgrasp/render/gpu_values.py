"""Values at the surface points that pixels see, with their derivative, by Triton kernels for GPUs."""

# pyright: reportMissingImports=false
# Triton comes with PyTorch's CUDA builds alone.

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from warpgrasp.render.gpu import corner, on_gpu, rows

PLACES = 128  # of a block


class SeenValues(torch.autograd.Function):
    """As `cpu.SeenValues`, on a GPU."""

    @staticmethod
    def forward(
        ctx: Any, vertices: Tensor, values: Tensor, faces: Tensor, directions: Tensor, face_ids: Tensor, pixels: Tensor
    ) -> Tensor:
        """The values at the pixels, (b n c)."""
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
        """The gradients to the vertices and to the values, from that to the values at the pixels."""
        given = vertices, values, _, _, face_ids, _ = ctx.saved_tensors
        wanted = ctx.needs_input_grad[:2]
        # In float64, so that the order in which a GPU adds hardly ever shows in what is left of it.
        gradients = [
            torch.zeros_like(like, dtype=torch.float64) if asked else like.new_empty(0, dtype=torch.float64)
            for like, asked in zip((vertices, values), wanted, strict=True)
        ]
        if gradient.numel():
            _seen_backward[_grid(face_ids)](
                *given,
                gradient.contiguous(),
                *gradients,
                *_sizes(*given),
                VERTICES_WANTED=wanted[0],
                VALUES_WANTED=wanted[1],
                PLACES=PLACES,
            )
        of_vertices, of_values = (
            total.to(like.dtype) if asked else None
            for total, like, asked in zip(gradients, (vertices, values), wanted, strict=True)
        )
        return of_vertices, of_values, None, None, None, None


def _grid(face_ids: Tensor) -> tuple[int, int]:
    return triton.cdiv(face_ids.shape[1], PLACES), len(face_ids)


def _sizes(
    vertices: Tensor, values: Tensor, faces: Tensor, _: Tensor, face_ids: Tensor, pixels: Tensor
) -> tuple[int, int, int, int, int]:
    return vertices.shape[1], faces.stride(0), face_ids.shape[1], pixels.stride(0), values.shape[2]


def places_kernel(pixels, place_count, pixel_stride, PLACES: tl.constexpr):
    """The image of a block, its listed pixels counted over all images, where their (u, v) lie, and which are there."""
    image = tl.program_id(1).to(tl.int64)
    place = tl.program_id(0) * PLACES + tl.arange(0, PLACES)
    return image, place + image * place_count, pixels + image * pixel_stride + 2 * place, place < place_count


def face_kernel(faces, face_ids, there):
    """The three vertices of the faces that pixels see."""
    first = faces + 3 * tl.load(face_ids, mask=there, other=0)
    return tl.load(first, mask=there), tl.load(first + 1, mask=there), tl.load(first + 2, mask=there)


def ray_kernel(directions, pixels, there):
    """The ray through a pixel."""
    u = tl.load(pixels, mask=there, other=0).to(tl.float64)
    v = tl.load(pixels + 1, mask=there, other=0).to(tl.float64)
    x = tl.load(directions) * u + tl.load(directions + 1) * v + tl.load(directions + 2)
    y = tl.load(directions + 3) * u + tl.load(directions + 4) * v + tl.load(directions + 5)
    z = tl.load(directions + 6) * u + tl.load(directions + 7) * v + tl.load(directions + 8)
    return x, y, z


def weights_kernel(x0, y0, z0, x1, y1, z1, x2, y2, z2, x, y, z):
    """The corners' weights before division: for each the cross product of the other two, times the ray."""
    w0 = (y1 * z2 - z1 * y2) * x + (z1 * x2 - x1 * z2) * y + (x1 * y2 - y1 * x2) * z
    w1 = (y2 * z0 - z2 * y0) * x + (z2 * x0 - x2 * z0) * y + (x2 * y0 - y2 * x0) * z
    w2 = (y0 * z1 - z0 * y1) * x + (z0 * x1 - x0 * z1) * y + (x0 * y1 - y0 * x1) * z
    return w0, w1, w2


_places, _face = on_gpu(places_kernel), on_gpu(face_kernel)
_ray, _weights = on_gpu(ray_kernel), on_gpu(weights_kernel)


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
    image, place, pixel, there = _places(pixels, place_count, pixel_stride, PLACES)
    i0, i1, i2 = _face(faces + image * face_stride, face_ids + place, there)
    xyz = vertices + image * vertex_count * 3
    x0, y0, z0 = corner(xyz, i0, there)
    x1, y1, z1 = corner(xyz, i1, there)
    x2, y2, z2 = corner(xyz, i2, there)
    x, y, z = _ray(directions + 9 * image, pixel, there)
    w0, w1, w2 = _weights(x0, y0, z0, x1, y1, z1, x2, y2, z2, x, y, z)
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
    """Add the gradients of `PLACES` pixels; the formulas are those of `cpu.seen_backward_kernel`."""
    image, place, pixel, there = _places(pixels, place_count, pixel_stride, PLACES)
    i0, i1, i2 = _face(faces + image * face_stride, face_ids + place, there)
    xyz = vertices + image * vertex_count * 3
    x0, y0, z0 = corner(xyz, i0, there)
    x1, y1, z1 = corner(xyz, i1, there)
    x2, y2, z2 = corner(xyz, i2, there)
    x, y, z = _ray(directions + 9 * image, pixel, there)
    w0, w1, w2 = _weights(x0, y0, z0, x1, y1, z1, x2, y2, z2, x, y, z)
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
