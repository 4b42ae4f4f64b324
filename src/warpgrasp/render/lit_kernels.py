"""Compiled kernels of lit pictures: shadows looked up, light gathered, textures filtered, pixels coloured.

A stage is passed as six arrays: vertices before the camera, vertices in the world, faces, their corners' texture
coordinates and normals, and the number of each face's texture. Lights are passed as six: places, colours, the middle of
their ball, light without shadow from below and from above, depth maps, and the matrices that lead to their pixels.
"""

import math

import numpy as np

from warpgrasp.render.cpu import weights_of
from warpgrasp.render.rasterizer import compiled

Stage = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]
Lights = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]

LEVELS = 10  # of a texture's pyramid, at most
SHADOW_BIAS_M = 0.004  # surfaces this near behind what a light sees are not in its shadow
SHADOW_SHIFT_M = 0.004  # nor those that would not be, this far above themselves
NEAREST_STRENGTH = 3.0  # of a light, in multiples of that in the middle of the ball
ALIKE = 0.9  # the cosine between two faces of one material that take their light from each other


def add_texel_kernel(
    texels: np.ndarray, level: np.ndarray, u: float, v: float, share: float, colour: np.ndarray
) -> None:
    """Add a share of a bilinear colour of one level; u and v repeat beyond [0, 1]."""
    start, width, height = level[0], level[1], level[2]
    x, y = (u - math.floor(u)) * width - 0.5, (1 - (v - math.floor(v))) * height - 0.5
    x0, y0 = math.floor(x), math.floor(y)
    fx, fy = x - x0, y - y0
    x1, y1 = (x0 + 1) % width, min(y0 + 1, height - 1)
    x0, y0 = (x0 + width) % width, max(y0, 0)
    a, b = start + y0 * width + x0, start + y0 * width + x1
    c, d = start + y1 * width + x0, start + y1 * width + x1
    wa, wb, wc, wd = (1 - fx) * (1 - fy) * share, fx * (1 - fy) * share, (1 - fx) * fy * share, fx * fy * share
    for channel in range(3):
        colour[channel] += (
            wa * texels[a, channel] + wb * texels[b, channel] + wc * texels[c, channel] + wd * texels[d, channel]
        )


def lit_share_kernel(depth: np.ndarray, matrix: np.ndarray, x: float, y: float, z: float) -> float:
    """How much of a light reaches a point: four pixels of its depth map compared, bilinearly."""
    d = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2] * z + matrix[2, 3]
    if d <= 0.05:
        return 1.0
    u = (matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2] * z + matrix[0, 3]) / d
    v = (matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2] * z + matrix[1, 3]) / d
    if not (0 <= u < depth.shape[1] - 1 and 0 <= v < depth.shape[0] - 1):
        return 1.0
    u0, v0 = int(u), int(v)
    fu, fv = u - u0, v - v0
    limit = d - SHADOW_BIAS_M
    a = 1.0 if depth[v0, u0] > limit else 0.0
    b = 1.0 if depth[v0, u0 + 1] > limit else 0.0
    c = 1.0 if depth[v0 + 1, u0] > limit else 0.0
    e = 1.0 if depth[v0 + 1, u0 + 1] > limit else 0.0
    return (a * (1 - fu) + b * fu) * (1 - fv) + (c * (1 - fu) + e * fu) * fv


_add_texel, _lit_share = compiled(add_texel_kernel), compiled(lit_share_kernel)


def light_kernel(
    place: tuple[float, float, float],
    normal: tuple[float, float, float],
    view: tuple[float, float, float],
    finish: np.ndarray,
    lights: Lights,
    values: np.ndarray,
) -> None:
    """The light that a surface point sends to the eye: three channels scattered, three mirrored."""
    places, colours, middle, ambient, depth, matrices = lights
    x, y, z = place
    nx, ny, nz = normal
    shift = SHADOW_SHIFT_M
    up = 0.5 + 0.5 * nz
    for channel in range(3):
        values[channel] = ambient[0, channel] * (1 - up) + ambient[1, channel] * up
        values[3 + channel] = 0.0
    for k in range(len(places)):
        lx, ly, lz = places[k, 0] - x, places[k, 1] - y, places[k, 2] - z
        far = math.sqrt(lx * lx + ly * ly + lz * lz)
        lx, ly, lz = lx / far, ly / far, lz / far
        cosine = nx * lx + ny * ly + nz * lz
        if cosine <= -0.4:
            continue
        mx, my, mz = places[k, 0] - middle[0], places[k, 1] - middle[1], places[k, 2] - middle[2]
        strength = min((mx * mx + my * my + mz * mz) / (far * far), NEAREST_STRENGTH)
        share = _lit_share(depth[k], matrices[k], x + shift * nx, y + shift * ny, z + shift * nz) * strength
        if share == 0:
            continue
        for channel in range(3):
            bleed = finish[2 + channel]
            values[channel] += colours[k, channel] * share * max((cosine + bleed) / (1 + bleed), 0.0)
        if finish[0] > 0 and cosine > 0:
            hx, hy, hz = lx + view[0], ly + view[1], lz + view[2]
            length = math.sqrt(hx * hx + hy * hy + hz * hz)
            half = (hx * nx + hy * ny + hz * nz) / max(length, 1e-9)
            if half < 0.6:
                continue
            mirrored = finish[0] * half ** finish[1] * (finish[1] + 8) / 25 * share * cosine
            for channel in range(3):
                values[3 + channel] += colours[k, channel] * mirrored


_light = compiled(light_kernel)


def point_kernel(
    stage: Stage,
    face: int,
    direction: np.ndarray,
    u: int,
    v: int,
) -> tuple[float, float, float, float, float, float]:
    """Where in the world a pixel sees a face (three numbers), and the weights of its corners there (three)."""
    i0, i1, i2 = stage[2][face, 0], stage[2][face, 1], stage[2][face, 2]
    _, _, _, w0, w1, w2, total = weights_of(stage[0], i0, i1, i2, direction, u, v)
    share = 1 / total if total != 0 else 0.0
    w0, w1, w2 = w0 * share, w1 * share, w2 * share
    world = stage[1]
    x = w0 * world[i0, 0] + w1 * world[i1, 0] + w2 * world[i2, 0]
    y = w0 * world[i0, 1] + w1 * world[i1, 1] + w2 * world[i2, 1]
    z = w0 * world[i0, 2] + w1 * world[i1, 2] + w2 * world[i2, 2]
    return x, y, z, w0, w1, w2


def alike_kernel(normals: np.ndarray, texture: np.ndarray, face: int, other: int) -> bool:
    """Whether two faces are of one material and look about the same way, or are the same."""
    if other < 0 or texture[other] != texture[face]:
        return False
    cosine = (
        normals[other, 0, 0] * normals[face, 0, 0]
        + normals[other, 0, 1] * normals[face, 0, 1]
        + normals[other, 0, 2] * normals[face, 0, 2]
    )
    return other == face or cosine > ALIKE


_point, _alike = compiled(point_kernel), compiled(alike_kernel)


def light_at_kernel(
    stage: Stage,
    face: int,
    direction: np.ndarray,
    u: int,
    v: int,
    eye: np.ndarray,
    finish: np.ndarray,
    lights: Lights,
    values: np.ndarray,
) -> None:
    """The light from the point that a pixel sees on a face, whose front is taken to be on the eye's side."""
    x, y, z, w0, w1, w2 = _point(stage, face, direction, u, v)
    normals = stage[4]
    nx = w0 * normals[face, 0, 0] + w1 * normals[face, 1, 0] + w2 * normals[face, 2, 0]
    ny = w0 * normals[face, 0, 1] + w1 * normals[face, 1, 1] + w2 * normals[face, 2, 1]
    nz = w0 * normals[face, 0, 2] + w1 * normals[face, 1, 2] + w2 * normals[face, 2, 2]
    ex, ey, ez = eye[0] - x, eye[1] - y, eye[2] - z
    length, far = math.sqrt(nx * nx + ny * ny + nz * nz), max(math.sqrt(ex * ex + ey * ey + ez * ez), 1e-9)
    side = (1.0 if nx * ex + ny * ey + nz * ez > 0 else -1.0) / max(length, 1e-9)
    _light((x, y, z), (side * nx, side * ny, side * nz), (ex / far, ey / far, ez / far), finish, lights, values)


_light_at = compiled(light_at_kernel)


def illuminate_kernel(
    stage: Stage,
    face_ids: np.ndarray,
    directions: np.ndarray,
    eye: np.ndarray,
    finish: np.ndarray,
    lights: Lights,
    values: np.ndarray,
) -> None:
    """Fill `values`: at each second pixel, then between two that see faces alike by their mean, else there as well."""
    height, width = face_ids.shape
    for part in range(3):
        for v in range(1 if part == 2 else 0, height, 2):
            for u in range(1 if part == 1 else 0, width, 1 if part == 2 else 2):
                face = face_ids[v, u]
                if face < 0:
                    continue
                across, down = (1 if part == 1 else 0), (1 if part == 2 else 0)
                if part > 0 and u + across < width and v + down < height:
                    before, after = face_ids[v - down, u - across], face_ids[v + down, u + across]
                    if _alike(stage[4], stage[5], face, before) and _alike(stage[4], stage[5], face, after):
                        for k in range(values.shape[2]):
                            values[v, u, k] = (values[v - down, u - across, k] + values[v + down, u + across, k]) / 2
                        continue
                _light_at(stage, face, directions, u, v, eye, finish[stage[5][face]], lights, values[v, u])


illuminate = compiled(illuminate_kernel)


def detail_kernel(
    stage: Stage,
    face: int,
    texels: int,
    eye: tuple[float, float, float],
    focal: float,
) -> float:
    """The level of detail at which a pixel spans one texel, by the areas of a face in both, seen aslant.

    `eye` is the way from the surface point to the eye, `texels` how many the picture has.
    """
    world, corner_uv = stage[1], stage[3]
    i0, i1, i2 = stage[2][face, 0], stage[2][face, 1], stage[2][face, 2]
    ax, ay, az = world[i1, 0] - world[i0, 0], world[i1, 1] - world[i0, 1], world[i1, 2] - world[i0, 2]
    bx, by, bz = world[i2, 0] - world[i0, 0], world[i2, 1] - world[i0, 1], world[i2, 2] - world[i0, 2]
    cx, cy, cz = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
    area = max(math.sqrt(cx * cx + cy * cy + cz * cz), 1e-12)
    au, av = corner_uv[face, 1, 0] - corner_uv[face, 0, 0], corner_uv[face, 1, 1] - corner_uv[face, 0, 1]
    bu, bv = corner_uv[face, 2, 0] - corner_uv[face, 0, 0], corner_uv[face, 2, 1] - corner_uv[face, 0, 1]
    far = math.sqrt(eye[0] * eye[0] + eye[1] * eye[1] + eye[2] * eye[2])
    slant = max(abs(cx * eye[0] + cy * eye[1] + cz * eye[2]) / (area * far), 0.25)
    squared = abs(au * bv - av * bu) * texels / area * (far / focal) ** 2 / slant
    return min(max(0.5 * math.log2(max(squared, 1e-12)), 0.0), LEVELS - 1.001)


_detail = compiled(detail_kernel)


def shade_kernel(
    stage: Stage,
    face_ids: np.ndarray,
    directions: np.ndarray,
    eye: np.ndarray,
    focal: float,
    textures: tuple[np.ndarray, np.ndarray, np.ndarray],
    lights: Lights,
    known: tuple[np.ndarray, np.ndarray],
    picture: np.ndarray,
) -> None:
    """Fill `picture`: the colour of each pixel's surface point by the light there, which is known or computed."""
    _, _, _, corner_uv, normals, texture = stage
    texels, levels, finish = textures
    known_ids, known_values = known
    own, colour = np.empty(6, dtype=np.float32), np.empty(3)
    for v in range(face_ids.shape[0]):
        for u in range(face_ids.shape[1]):
            face = face_ids[v, u]
            if face < 0:
                continue
            number = texture[face]
            if _alike(normals, texture, face, known_ids[v, u]):
                values = known_values[v, u]
            else:
                values = own
                _light_at(stage, face, directions, u, v, eye, finish[number], lights, values)
            x, y, z, w0, w1, w2 = _point(stage, face, directions, u, v)
            size = levels[number, 0, 1] * levels[number, 0, 2]
            level = _detail(stage, face, size, (eye[0] - x, eye[1] - y, eye[2] - z), focal)
            first = int(level)
            part = level - first
            uu = w0 * corner_uv[face, 0, 0] + w1 * corner_uv[face, 1, 0] + w2 * corner_uv[face, 2, 0]
            vv = w0 * corner_uv[face, 0, 1] + w1 * corner_uv[face, 1, 1] + w2 * corner_uv[face, 2, 1]
            colour[0], colour[1], colour[2] = 0.0, 0.0, 0.0
            _add_texel(texels, levels[number, first], uu, vv, 1 - part, colour)
            if part > 0:
                _add_texel(texels, levels[number, first + 1], uu, vv, part, colour)
            for channel in range(3):
                picture[v, u, channel] = colour[channel] * (values[channel] + finish[number, 5]) + values[3 + channel]


shade_pixels = compiled(shade_kernel)
