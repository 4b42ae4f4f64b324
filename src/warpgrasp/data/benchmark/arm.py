"""The arm that a hand belongs to: skin that goes on behind the wrist, and a sleeve that leads out of the picture."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from warpgrasp.data.benchmark.shapes import grid_quads, tube_rings
from warpgrasp.geometry import boundary_loop

STATIONS = 22  # along the arm
SLEEVE_AROUND = 24
FOREARM_M = 0.27
BLEND_M = 0.06  # the wrist's own outline has become an ellipse after this distance
THICKER = (1.35, 1.75)  # than the wrist is the arm, along both axes of its ellipse
ABOVE_TABLE_M = 0.05  # of the arm's middle


@dataclass(frozen=True)
class Arm:
    """The surfaces of an arm in every frame, world."""

    skin: Float[np.ndarray, "t n 3"]
    skin_faces: Int[np.ndarray, "f 3"]
    sleeve: Float[np.ndarray, "t m 3"]
    sleeve_faces: Int[np.ndarray, "g 3"]
    skin_uv: Float[np.ndarray, "f 3 2"]
    sleeve_uv: Float[np.ndarray, "g 3 2"]

    @staticmethod
    def of(
        hand: Float[np.ndarray, "t v 3"],
        faces: Int[np.ndarray, "f 3"],
        shoulder: Float[np.ndarray, " 3"],
        generator: np.random.Generator,
    ) -> "Arm":
        """An arm from the opening of the hand's wrist to the shoulder, which stays where it is."""
        loop = np.asarray(boundary_loop(faces))
        opening = hand[:, loop]
        centre = opening.mean(axis=1)
        path, length = _path(hand, opening, centre, shoulder)
        wide = opening[:, 0] - centre
        along = _unit(path[:, 1] - path[:, 0])
        wide = _unit(wide - (wide * along).sum(axis=1, keepdims=True) * along)
        thin = np.cross(along, wide)
        offsets = opening - centre[:, None]
        across = np.stack([(offsets * wide[:, None]).sum(axis=2), (offsets * thin[:, None]).sum(axis=2)], axis=2)
        radii = np.sqrt(2 * (across**2).mean(axis=(0, 1)))
        growth = (1 - np.exp(-length / 0.13))[:, None]
        sizes = radii * (1 + growth * (np.array(THICKER) - 1))
        skin, skin_faces, skin_uv = _skin(path, length, sizes, (offsets, wide, across / radii))
        cuff = generator.choice([generator.uniform(0.02, 0.06), generator.uniform(0.09, 0.2)])
        sleeve, sleeve_faces, sleeve_uv = _sleeve(path, length, sizes, wide, float(cuff), generator)
        return Arm(skin, skin_faces, sleeve, sleeve_faces, skin_uv, sleeve_uv)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def _path(
    hand: np.ndarray, opening: np.ndarray, centre: np.ndarray, shoulder: np.ndarray
) -> tuple[Float[np.ndarray, "t s 3"], Float[np.ndarray, " s"]]:
    """A curve that leaves the wrist straight and bends to the shoulder, above the table; and lengths along it."""
    normal = np.zeros_like(centre)
    offsets = opening - centre[:, None]
    normal = np.cross(offsets, np.roll(offsets, -1, axis=1)).sum(axis=1)
    normal = _unit(normal)
    normal *= np.sign((normal * (centre - hand.mean(axis=1))).sum(axis=1, keepdims=True))
    elbow = centre + FOREARM_M * normal
    share = np.linspace(0, 1, STATIONS)[:, None] ** 1.3
    curve = (1 - share) ** 2 * centre[:, None] + 2 * share * (1 - share) * elbow[:, None] + share**2 * shoulder
    low = np.maximum(ABOVE_TABLE_M - curve[..., 2], 0) * np.minimum(1, share[:, 0] / 0.25)
    curve[..., 2] += low
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(curve.mean(axis=0), axis=0), axis=1))])
    return curve, length


def _skin(
    path: np.ndarray, length: np.ndarray, sizes: np.ndarray, wrist: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rings of as many vertices as the wrist has, which its own outline begins."""
    offsets, wide, across = wrist
    angles = np.arctan2(across[..., 1], across[..., 0])
    rings = np.stack([tube_rings(path[t], sizes, across=wide[t], angles=angles[t]) for t in range(len(path))])
    own = (np.maximum(0, 1 - length / BLEND_M) ** 2)[None, :, None, None]
    straight = path[:, :, None] + offsets[:, None]
    rings = own * straight + (1 - own) * rings
    faces, uv = grid_quads(STATIONS, offsets.shape[1], rows_at=length / 0.3, wrap=True)
    turned = np.cross(offsets[0, 0], offsets[0, 1]) @ (path[0, 1] - path[0, 0]) > 0
    if not turned:
        faces, uv = faces[:, ::-1], uv[:, ::-1]
    return rings.reshape(len(path), -1, 3), np.ascontiguousarray(faces), np.ascontiguousarray(uv)


def _sleeve(
    path: np.ndarray,
    length: np.ndarray,
    sizes: np.ndarray,
    wide: np.ndarray,
    cuff: float,
    generator: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rings from the hem inside the cuff outwards, then up the arm, with folds."""
    angles = 2 * np.pi * np.arange(SLEEVE_AROUND) / SLEEVE_AROUND
    stations = np.concatenate([[cuff + 0.015], np.linspace(cuff, length[-1], 34)])
    middle = np.stack([np.stack([np.interp(stations, length, row[:, k]) for k in range(3)], axis=1) for row in path])
    radii = np.stack([np.interp(stations, length, sizes[:, k]) for k in range(2)], axis=1)
    folds = sum(
        np.sin(
            generator.uniform(8, 60) * stations[:, None]
            + int(generator.integers(0, 4)) * angles
            + generator.uniform(0, 7)
        )
        for _ in range(6)
    )
    loose = 0.007 + np.minimum(1, (stations - cuff) / 0.05)[:, None] * (0.004 + 0.0016 * np.asarray(folds))
    loose[0] = 0.003
    rings = tube_rings(middle, radii, across=wide, angles=angles)
    outwards = _unit(rings - middle[:, :, None])
    rings = rings + loose[None, :, :, None] * outwards
    faces, uv = grid_quads(len(stations), SLEEVE_AROUND, rows_at=stations / 0.3, wrap=True)
    return rings.reshape(len(path), -1, 3), faces, uv
