"""The rasteriser on a GPU: the rule of the reference, by a Triton kernel, and how Triton kernels are compiled.

The host never waits for the device. The arithmetic is that of `cpu`, operation by operation, in the same precision.
"""

# pyright: reportMissingImports=false
# Triton comes with PyTorch's CUDA builds alone.

import inspect
from collections.abc import Callable
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from warpgrasp.geometry import NEAR_M, Camera, Mesh
from warpgrasp.render.rasterizer import BOX_SLACK_PX, Raster, pixels_to_rays

FACES, PIXELS = 32, 16  # of a block: faces in parallel, and pixels of each box
NEAR, SLACK = tl.constexpr(NEAR_M), tl.constexpr(BOX_SLACK_PX)
NOTHING = (0x7F800000 << 32) | 0xFFFFFFFF  # depth inf, face -1


def on_gpu(kernel: Callable[..., Any]) -> Any:
    """Compile a kernel at its first call. With `TRITON_INTERPRET=1` it runs on the CPU, slowly: for tests.

    The jaxtyping hook of the tests wraps functions, which Triton cannot compile: hence `unwrap`.
    """
    return triton.jit(inspect.unwrap(kernel))


def rows(tensor: Tensor) -> Tensor:
    """The tensor, copied unless each row of its batch lies in one piece; where the rows lie does not matter."""
    return tensor if tensor[:1].is_contiguous() else tensor.contiguous()


def rasterize(mesh: Mesh, camera: Camera) -> Raster:
    """Rasterise on a GPU in float32; see `Rasterizer` for what is drawn.

    A pixel's depth and face are one integer, the bits of the depth above those of the face: the least of all is the
    nearest face and, at equal depth, that of the lower id, in whatever order they come.
    """
    batch, device = len(mesh.vertices), mesh.vertices.device
    nearest = torch.full((batch, camera.height, camera.width), NOTHING, dtype=torch.int64, device=device)
    vertices, faces = mesh.vertices.detach().contiguous(), rows(mesh.faces)
    intrinsics = camera.intrinsics.detach().double().expand(batch, 3, 3).contiguous()
    directions = pixels_to_rays(camera).expand(batch, 3, 3).contiguous()
    grid = (triton.cdiv(faces.shape[1], FACES), batch)
    if nearest.numel() and faces.shape[1]:
        _draw[grid](
            vertices,
            faces,
            intrinsics,
            directions,
            nearest,
            vertices.shape[1],
            faces.shape[1],
            faces.stride(0),
            camera.width,
            camera.height,
            FACES=FACES,
            PIXELS=PIXELS,
            num_warps=4,
            enable_fp_fusion=False,  # else an edge's two faces might round differently, and a pixel fall between them
        )
    face_ids, depth = nearest.view(torch.int32).unflatten(-1, (-1, 2)).unbind(-1)
    return Raster(face_ids.long(), depth.contiguous().view(torch.float32))


def corner_kernel(vertices, index, real):
    """A corner's coordinates, in float64."""
    x = tl.load(vertices + 3 * index, mask=real, other=0).to(tl.float64)
    y = tl.load(vertices + 3 * index + 1, mask=real, other=0).to(tl.float64)
    z = tl.load(vertices + 3 * index + 2, mask=real, other=0).to(tl.float64)
    return x, y, z


def box_kernel(x, y, z, k, last_u, last_v):
    """Left, top, right and bottom of the pixels round a vertex; of one not in front, the whole image's."""
    in_front = z > NEAR
    depth = tl.where(in_front, z, 1.0)
    x, y = x / depth, y / depth
    u = tl.load(k) * x + tl.load(k + 1) * y + tl.load(k + 2)
    v = tl.load(k + 3) * x + tl.load(k + 4) * y + tl.load(k + 5)
    # Cut before they become integers: a coordinate far outside the image does not fit one.
    left = tl.where(in_front, tl.minimum(tl.maximum(u - SLACK, 0.0), last_u + 1), 0.0)
    top = tl.where(in_front, tl.minimum(tl.maximum(v - SLACK, 0.0), last_v + 1), 0.0)
    right = tl.where(in_front, tl.maximum(tl.minimum(u + SLACK, last_u), -1.0), last_u)
    bottom = tl.where(in_front, tl.maximum(tl.minimum(v + SLACK, last_v), -1.0), last_v)
    return left, top, right, bottom


def plane_kernel(sx, sy, sz, ex, ey, ez, d):
    """An edge's weight a·u + b·v + c: its normal (start + end) × (end - start), as in `barycentrics`, on the rays."""
    x, y, z = sx + ex, sy + ey, sz + ez
    dx, dy, dz = ex - sx, ey - sy, ez - sz
    nx, ny, nz = y * dz - z * dy, z * dx - x * dz, x * dy - y * dx
    a = nx * tl.load(d) + ny * tl.load(d + 3) + nz * tl.load(d + 6)
    b = nx * tl.load(d + 1) + ny * tl.load(d + 4) + nz * tl.load(d + 7)
    c = nx * tl.load(d + 2) + ny * tl.load(d + 5) + nz * tl.load(d + 8)
    return a[:, None], b[:, None], c[:, None]


corner, _box, _plane = on_gpu(corner_kernel), on_gpu(box_kernel), on_gpu(plane_kernel)


def draw_kernel(
    vertices,
    faces,
    intrinsics,
    directions,
    nearest,
    vertex_count,
    face_count,
    face_stride,
    width,
    height,
    FACES: tl.constexpr,
    PIXELS: tl.constexpr,
) -> None:
    """Draw `FACES` faces of an image, each over the pixels of its box, `PIXELS` at a time."""
    image = tl.program_id(1).to(tl.int64)
    face = tl.program_id(0) * FACES + tl.arange(0, FACES)
    real = face < face_count
    of_face = faces + image * face_stride + 3 * face
    xyz = vertices + image * vertex_count * 3
    x0, y0, z0 = corner(xyz, tl.load(of_face, mask=real, other=0), real)
    x1, y1, z1 = corner(xyz, tl.load(of_face + 1, mask=real, other=0), real)
    x2, y2, z2 = corner(xyz, tl.load(of_face + 2, mask=real, other=0), real)

    last_u, last_v = (width - 1).to(tl.float64), (height - 1).to(tl.float64)
    k, d = intrinsics + 9 * image, directions + 9 * image
    left0, top0, right0, bottom0 = _box(x0, y0, z0, k, last_u, last_v)
    left1, top1, right1, bottom1 = _box(x1, y1, z1, k, last_u, last_v)
    left2, top2, right2, bottom2 = _box(x2, y2, z2, k, last_u, last_v)
    left = tl.ceil(tl.minimum(tl.minimum(left0, left1), left2)).to(tl.int32)
    top = tl.ceil(tl.minimum(tl.minimum(top0, top1), top2)).to(tl.int32)
    right = tl.floor(tl.maximum(tl.maximum(right0, right1), right2)).to(tl.int32)
    bottom = tl.floor(tl.maximum(tl.maximum(bottom0, bottom1), bottom2)).to(tl.int32)
    in_front = tl.maximum(tl.maximum(z0, z1), z2) > NEAR
    drawn = real & in_front & (left <= right) & (top <= bottom)
    columns = tl.where(drawn, right - left + 1, 1)
    area = tl.where(drawn, columns * (bottom - top + 1), 0)

    a0, b0, c0 = _plane(x1, y1, z1, x2, y2, z2, d)
    a1, b1, c1 = _plane(x2, y2, z2, x0, y0, z0, d)
    a2, b2, c2 = _plane(x0, y0, z0, x1, y1, z1, d)
    z0, z1, z2 = z0[:, None], z1[:, None], z2[:, None]
    columns, left, top, area = columns[:, None], left[:, None], top[:, None], area[:, None]
    pixels = nearest + image * height * width
    for start in range(0, tl.max(area), PIXELS):  # pyright: ignore[reportArgumentType]
        within = start + tl.arange(0, PIXELS)[None, :]
        column, row = left + within % columns, top + within // columns
        u, v = column.to(tl.float64), row.to(tl.float64)
        w0, w1, w2 = a0 * u + (b0 * v + c0), a1 * u + (b1 * v + c1), a2 * u + (b2 * v + c2)
        inside = ((w0 >= 0) & (w1 >= 0) & (w2 >= 0)) | ((w0 <= 0) & (w1 <= 0) & (w2 <= 0))
        total = w0 + w1 + w2
        hit = inside & (total != 0) & (within < area)
        # Rounded before it is compared: equal depths must stay equal.
        depth = ((w0 * z0 + w1 * z1 + w2 * z2) / tl.where(hit, total, 1.0)).to(tl.float32)
        bits = depth.to(tl.int32, bitcast=True).to(tl.int64)
        tl.atomic_min(pixels + row * width + column, (bits << 32) | face[:, None], mask=hit & (depth > NEAR))


_draw = on_gpu(draw_kernel)
