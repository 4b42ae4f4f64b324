"""Pictures of lit rooms: textures with levels of detail, many small lights that cast shadows, gloss; compiled kernels.

A light that has an extent, and the sky, are taken for several points each, so that their shadows are soft. For
generated data; without gradients.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8

from warpgrasp.geometry import NEAR_M, Camera, Mesh
from warpgrasp.render.cpu import rasterize
from warpgrasp.render.lit_kernels import LEVELS, illuminate, shade_pixels
from warpgrasp.render.rasterizer import pixels_to_rays

SHADOW_PX = 192
OUTPUTS_PER_PIXEL = 6  # diffuse light, then gloss


@dataclass(frozen=True)
class Material:
    """A picture, sRGB, with how it reflects."""

    picture: UInt8[np.ndarray, "h w 3"]
    gloss: float = 0.0  # share of light that is mirrored
    hardness: float = 30.0  # of the gloss: the exponent of its lobe
    bleed: tuple[float, float, float] = (0.0, 0.0, 0.0)  # how far light gets round the edge of its shadow, as in skin
    glow: float = 0.0  # light of its own, as of a window


@dataclass(frozen=True)
class Textures:
    """The pyramids of several pictures in one array, in linear light."""

    texels: Float[np.ndarray, "n 3"]
    levels: Int[np.ndarray, "m l 3"]  # first texel, width, height; the coarsest level is repeated
    finish: Float[np.ndarray, "m 6"]  # gloss, hardness, bleed (3), glow

    @staticmethod
    def of(materials: Sequence[Material]) -> "Textures":
        """Halve each picture until it is one pixel wide or high."""
        texels: list[np.ndarray] = []
        levels = np.zeros((len(materials), LEVELS, 3), dtype=np.int64)
        start = 0
        for number, material in enumerate(materials):
            picture = linear(material.picture.astype(np.float32) / 255)
            for level in range(LEVELS):
                height, width = picture.shape[:2]
                if level == 0 or min(levels[number, level - 1, 1:]) > 1:
                    texels.append(picture.reshape(-1, 3))
                    levels[number, level] = start, width, height
                    start += width * height
                    even = picture[: max(height // 2 * 2, 1), : max(width // 2 * 2, 1)]
                    picture = (
                        (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4
                        if min(height, width) > 1
                        else picture
                    )
                else:
                    levels[number, level] = levels[number, level - 1]
        finish = [[m.gloss, m.hardness, *m.bleed, m.glow] for m in materials]
        return Textures(np.concatenate(texels), levels, np.array(finish, dtype=np.float32))


def linear(colours: np.ndarray) -> np.ndarray:
    """sRGB values in [0, 1] as amounts of light."""
    return np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4).astype(np.float32)


def encoded(light: np.ndarray) -> np.ndarray:
    """Amounts of light in [0, 1] as sRGB values: the inverse of `linear`."""
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055)


@dataclass(frozen=True)
class Stage:
    """Everything that is seen, in the world's frame, metres."""

    vertices: Float[np.ndarray, "v 3"]
    faces: Int[np.ndarray, "f 3"]
    corner_uv: Float[np.ndarray, "f 3 2"]
    corner_normals: Float[np.ndarray, "f 3 3"]
    texture: Int[np.ndarray, " f"]


@dataclass(frozen=True)
class Lights:
    """Points of light, and the ball within which they cast shadows."""

    places: Float[np.ndarray, "k 3"]
    colours: Float[np.ndarray, "k 3"]  # of the light that falls on a surface that faces it, in the middle of the ball
    middle: Float[np.ndarray, " 3"]
    radius: float
    ambient: Float[np.ndarray, "2 3"]  # from below and from above, without shadow


@dataclass(frozen=True)
class Shadows:
    """What each light sees: depth maps, and the matrices that lead to their pixels."""

    depth: Float[np.ndarray, "k s s"]
    matrices: Float[np.ndarray, "k 3 4"]

    @staticmethod
    def of(
        lights: Lights,
        vertices: Float[np.ndarray, "v 3"],
        faces: Int[np.ndarray, "f 3"],
        besides: "Shadows | None" = None,
    ) -> "Shadows":
        """Draw faces from every light; together with what casts the shadows `besides`."""
        matrices = np.stack([_light_matrix(place, lights) for place in lights.places])
        maps = np.empty((len(lights.places), SHADOW_PX, SHADOW_PX), dtype=np.float32)
        triangles = torch.from_numpy(faces)
        for number, place in enumerate(lights.places):
            intrinsics = _light_intrinsics(lights, place)
            extrinsics = np.linalg.inv(intrinsics) @ matrices[number]
            seen = (vertices @ extrinsics[:, :3].T + extrinsics[:, 3]).astype(np.float32)
            camera = Camera(torch.from_numpy(intrinsics).float()[None], SHADOW_PX, SHADOW_PX)
            maps[number] = rasterize(Mesh.of(torch.from_numpy(seen)[None], triangles), camera).depth[0].numpy()
        return Shadows(maps if besides is None else np.minimum(maps, besides.depth), matrices)


def _light_intrinsics(lights: Lights, place: Float[np.ndarray, " 3"]) -> Float[np.ndarray, "3 3"]:
    distance = float(np.linalg.norm(place - lights.middle))
    focal = (SHADOW_PX / 2) * distance / lights.radius
    centre = (SHADOW_PX - 1) / 2
    return np.array([[focal, 0, centre], [0, focal, centre], [0, 0, 1]])


def _light_matrix(place: Float[np.ndarray, " 3"], lights: Lights) -> Float[np.ndarray, "3 4"]:
    forward = (lights.middle - place) / np.linalg.norm(lights.middle - place)
    right = np.cross(forward, [0.0, 0.0, 1.0] if abs(forward[2]) < 0.9 else [0.0, 1.0, 0.0])
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    return _light_intrinsics(lights, place) @ np.column_stack([rotation, -rotation @ place])


@dataclass(frozen=True)
class Lighting:
    """The light at the surface points that a picture's pixels see, kept for pictures that differ by less than one."""

    face_ids: Int[np.ndarray, "h w"]
    values: Float[np.ndarray, "h w 6"]


def draw(
    stage: Stage,
    textures: Textures,
    camera: Camera,
    camera_from_world: Float[np.ndarray, "3 4"],
    lights: Lights,
    shadows: Shadows,
    known: Lighting | None = None,
) -> tuple[Float[np.ndarray, "h w 3"], Lighting]:
    """A picture in linear light, and the light at its pixels.

    A pixel that sees a face like that which it sees in `known` takes its light from there.
    """
    rotation, translation = camera_from_world[:, :3], camera_from_world[:, 3]
    seen = (stage.vertices @ rotation.T + translation).astype(np.float32)
    near = _perhaps_seen(seen, stage.faces, camera)
    mesh = Mesh.of(torch.from_numpy(seen)[None], torch.from_numpy(stage.faces[near]))
    drawn = rasterize(mesh, camera).face_ids[0].numpy()
    face_ids = np.append(near, -1)[drawn]
    arrays = (seen, stage.vertices, stage.faces, stage.corner_uv, stage.corner_normals, stage.texture)
    directions, eye = pixels_to_rays(camera)[0].numpy(), -rotation.T @ translation
    falling = (lights.places, lights.colours, lights.middle, lights.ambient, shadows.depth, shadows.matrices)
    if known is None:
        known = Lighting(face_ids, np.empty((*face_ids.shape, OUTPUTS_PER_PIXEL), np.float32))
        illuminate(arrays, face_ids, directions, eye, textures.finish, falling, known.values)
    picture = np.zeros((*face_ids.shape, 3), dtype=np.float32)
    focal, pictures = float(camera.intrinsics[0, 0, 0]), (textures.texels, textures.levels, textures.finish)
    shade_pixels(arrays, face_ids, directions, eye, focal, pictures, falling, (known.face_ids, known.values), picture)
    return picture, known


def _perhaps_seen(seen: np.ndarray, faces: np.ndarray, camera: Camera) -> Int[np.ndarray, " n"]:
    """The faces that do not lie wholly beyond one side of the picture, or behind the camera.

    The rasteriser goes over the whole picture for a face that crosses the camera's plane, of which a room has many.
    """
    points = seen @ camera.intrinsics[0].numpy().T
    beyond = np.zeros(len(seen), dtype=np.uint8)
    for bit, side in enumerate(
        (
            points[:, 0] < -points[:, 2],
            points[:, 0] > camera.width * points[:, 2],
            points[:, 1] < -points[:, 2],
            points[:, 1] > camera.height * points[:, 2],
            points[:, 2] < NEAR_M,
        )
    ):
        beyond |= side.astype(np.uint8) << bit
    corners = beyond[faces]
    return np.flatnonzero(corners[:, 0] & corners[:, 1] & corners[:, 2] == 0)
