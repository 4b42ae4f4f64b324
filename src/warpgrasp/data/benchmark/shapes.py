"""Solid shapes with texture coordinates: bodies of revolution, boxes and bent tubes, joined to objects and rooms.

Vertices are metres in the shape's own frame, +Z up; faces are outward. Texture coordinates are of the faces' corners,
u right and v up in [0, 1], as in OBJ files.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_matrix

CREASE_COSINE = 0.75  # faces that meet at more than about 40° keep an edge between them


Profile = Sequence[tuple[float | int, float | int]]  # radius and height


@dataclass(frozen=True)
class Shape:
    """A textured surface; `texture` numbers the picture of each face among those of its owner."""

    vertices: Float[np.ndarray, "v 3"]
    faces: Int[np.ndarray, "f 3"]
    corner_uv: Float[np.ndarray, "f 3 2"]
    texture: Int[np.ndarray, " f"]

    def moved(self, rotation: Float[np.ndarray, "3 3"], translation: Float[np.ndarray, " 3"]) -> "Shape":
        """Turned, then moved."""
        return replace(self, vertices=self.vertices @ rotation.T + translation)

    def painted(self, texture: int) -> "Shape":
        """All of it in one of the owner's pictures."""
        return replace(self, texture=np.full(len(self.faces), texture))

    @cached_property
    def corner_normals(self) -> Float[np.ndarray, "f 3 3"]:
        """Unit normals at the faces' corners: smooth, except across sharp edges."""
        a, b, c = self.vertices[self.faces].transpose(1, 0, 2)
        area = np.cross(b - a, c - a)
        unit = area / np.maximum(np.linalg.norm(area, axis=1, keepdims=True), 1e-20)
        corners = self.faces.ravel()
        of_vertex = csr_matrix(
            (np.ones(len(corners)), (corners, np.arange(len(corners)))), (len(self.vertices), len(corners))
        )
        corner, other = (of_vertex.T @ of_vertex).nonzero()
        smooth = (unit[corner // 3] * unit[other // 3]).sum(axis=1) > CREASE_COSINE
        total = np.zeros((len(corners), 3))
        np.add.at(total, corner[smooth], area[other[smooth] // 3])
        total /= np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-20)
        return total.reshape(-1, 3, 3)


def joined(shapes: Sequence[Shape]) -> Shape:
    """Several shapes as one surface; the parts of a solid may overlap."""
    starts = np.cumsum([0, *(len(shape.vertices) for shape in shapes[:-1])])
    return Shape(
        np.concatenate([shape.vertices for shape in shapes]),
        np.concatenate([shape.faces + start for shape, start in zip(shapes, starts, strict=True)]),
        np.concatenate([shape.corner_uv for shape in shapes]),
        np.concatenate([shape.texture for shape in shapes]),
    )


def turned(profile: Profile, *, around: int = 40, step: float = 0.012) -> Shape:
    """A body of revolution from (radius, height) pairs, outside upwards, from the axis to the axis.

    u runs around, v along the profile by its length.
    """
    points = _refined(np.asarray(profile, dtype=np.float64), step)
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    angles = 2 * np.pi * np.arange(around) / around
    ring = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    middle = points[1:-1]
    vertices = np.concatenate(
        [
            [[0, 0, points[0, 1]]],
            np.concatenate([np.column_stack([radius * ring, np.full(around, z)]) for radius, z in middle]),
            [[0, 0, points[-1, 1]]],
        ]
    )
    quads, uv = grid_quads(len(middle), around, rows_at=along[1:-1] / along[-1], wrap=True)
    faces, corner_uv = [quads + 1], [uv]
    place, top = np.arange(around), 1 + (len(middle) - 1) * around
    after, share, next_share = (place + 1) % around, place / around, (place + 1) / around
    low, high = along[1] / along[-1], along[-2] / along[-1]
    for rim, pole, v, at, order in (
        (1, 0, low, 0.0, (0, 2, 1)),
        (top, len(vertices) - 1, high, 1.0, (0, 1, 2)),
    ):
        fan = np.stack([rim + place, rim + after, np.full(around, pole)], axis=1)
        spots = np.stack(
            [
                np.column_stack([share, np.full(around, v)]),
                np.column_stack([next_share, np.full(around, v)]),
                np.column_stack([(share + next_share) / 2, np.full(around, at)]),
            ],
            axis=1,
        )
        faces.append(fan[:, order])
        corner_uv.append(spots[:, order])
    everything = np.concatenate(faces)
    return Shape(vertices, everything, np.concatenate(corner_uv), np.zeros(len(everything), dtype=np.int64))


def _refined(points: np.ndarray, step: float) -> np.ndarray:
    """More points between those that are further apart than `step`."""
    pieces = [points[:1]]
    for start, end in pairwise(points):
        count = max(1, int(np.ceil(np.linalg.norm(end - start) / step)))
        pieces.append(start + (end - start) * (np.arange(1, count + 1) / count)[:, None])
    return np.concatenate(pieces)


def grid_quads(
    rows: int, columns: int, *, rows_at: Float[np.ndarray, " r"] | None = None, wrap: bool = False
) -> tuple[Int[np.ndarray, "f 3"], Float[np.ndarray, "f 3 2"]]:
    """The triangles of a grid of vertices, row after row: outward where rows go up and columns counter-clockwise."""
    across = columns if wrap else columns - 1
    row, column = (index.ravel() for index in np.meshgrid(np.arange(rows - 1), np.arange(across), indexing="ij"))
    up = np.arange(rows) / max(rows - 1, 1) if rows_at is None else rows_at
    after = (column + 1) % columns
    numbers = [row * columns + column, row * columns + after, (row + 1) * columns + after, (row + 1) * columns + column]
    left, right = column / across, (column + 1) / across
    spots = [np.column_stack(pair) for pair in ((left, up[row]), (right, up[row]), (right, up[row + 1]))]
    spots.append(np.column_stack((left, up[row + 1])))
    faces = np.stack([np.stack([numbers[i] for i in order], axis=1) for order in ((0, 1, 2), (0, 2, 3))], axis=1)
    uv = np.stack([np.stack([spots[i] for i in order], axis=1) for order in ((0, 1, 2), (0, 2, 3))], axis=1)
    return faces.reshape(-1, 3), uv.reshape(-1, 3, 2)


# Of a box: each side's outward axis, its right and its up, and its cell in a picture of three columns and two rows.
SIDES = (
    ((1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0)),
    ((-1, 0, 0), (0, -1, 0), (0, 0, 1), (1, 0)),
    ((0, -1, 0), (1, 0, 0), (0, 0, 1), (2, 0)),
    ((0, 1, 0), (-1, 0, 0), (0, 0, 1), (0, 1)),
    ((0, 0, 1), (1, 0, 0), (0, 1, 0), (1, 1)),
    ((0, 0, -1), (1, 0, 0), (0, -1, 0), (2, 1)),
)


def box(size: Sequence[float], *, cuts: int = 1, whole_picture: bool = False) -> Shape:
    """A box about the origin, each side cut into `cuts`² squares.

    Its picture has three columns and two rows: +X, -X, -Y below, +Y, top and bottom above; or every side shows all.
    """
    half = np.asarray(size, dtype=np.float64) / 2
    square = np.linspace(-1, 1, cuts + 1)
    up, right = (axis.ravel() for axis in np.meshgrid(square, square, indexing="ij"))
    quads, uv = grid_quads(cuts + 1, cuts + 1)
    vertices, faces, corner_uv = [], [], []
    for number, (outward, rightward, upward, cell) in enumerate(SIDES):
        axes = np.array([outward, rightward, upward], dtype=np.float64)
        vertices.append((axes[0] + right[:, None] * axes[1] + up[:, None] * axes[2]) * half)
        faces.append(quads + number * len(right))
        corner_uv.append(uv if whole_picture else (uv + cell) / [3, 2])
    distinct, place = np.unique(np.round(np.concatenate(vertices), 9), axis=0, return_inverse=True)
    triangles = place.reshape(-1)[np.concatenate(faces)]
    return Shape(distinct, triangles, np.concatenate(corner_uv), np.zeros(len(triangles), dtype=np.int64))


def panel(width: float, height: float, *, cuts: int) -> Shape:
    """A rectangle in the plane y = 0, seen from -Y; cut into `cuts`² parts, so that those out of sight cost nothing."""
    square = np.linspace(-0.5, 0.5, cuts + 1)
    up, right = (axis.ravel() for axis in np.meshgrid(square, square, indexing="ij"))
    faces, uv = grid_quads(cuts + 1, cuts + 1)
    vertices = np.stack([width * right, np.zeros_like(up), height * up], axis=1)
    return Shape(vertices, faces, uv, np.zeros(len(faces), dtype=np.int64))


def tube(
    path: Float[np.ndarray, "n 3"],
    radii: Float[np.ndarray, "n 2"],
    *,
    across: Float[np.ndarray, " 3"],
    around: int = 16,
) -> Shape:
    """A closed tube of elliptic cross-section along a path; the first radius is along `across`, about."""
    rings = tube_rings(path, radii, across=across, angles=2 * np.pi * np.arange(around) / around)
    vertices = np.concatenate([rings.reshape(-1, 3), path[[0, -1]]])
    quads, uv = grid_quads(len(path), around, wrap=True)
    place = np.arange(around)
    after, last = (place + 1) % around, (len(path) - 1) * around
    caps = [
        np.stack([after, place, np.full(around, len(vertices) - 2)], axis=1),
        np.stack([last + place, last + after, np.full(around, len(vertices) - 1)], axis=1),
    ]
    edges = np.column_stack([np.tile([0.5], around), np.zeros(around)])
    cap_uv = [np.repeat(edges[:, None] + [[0.0, at]], 3, axis=1) for at in (0.0, 1.0)]
    faces = np.concatenate([quads, *caps])
    return Shape(vertices, faces, np.concatenate([uv, *cap_uv]), np.zeros(len(faces), dtype=np.int64))


def tube_rings(
    path: Float[np.ndarray, "*t n 3"],
    radii: Float[np.ndarray, "n 2"],
    *,
    across: Float[np.ndarray, "*t 3"],
    angles: Float[np.ndarray, " a"],
) -> Float[np.ndarray, "*t n a 3"]:
    """Ellipses at right angles to a path, counter-clockwise about its direction."""
    along = np.gradient(path, axis=-2)
    along /= np.linalg.norm(along, axis=-1, keepdims=True)
    wide = across[..., None, :] - (across[..., None, :] * along).sum(axis=-1, keepdims=True) * along
    wide /= np.linalg.norm(wide, axis=-1, keepdims=True)
    thin = np.cross(along, wide)
    cos, sin = radii[:, :1] * np.cos(angles), radii[:, 1:] * np.sin(angles)
    return path[..., None, :] + cos[..., None] * wide[..., None, :] + sin[..., None] * thin[..., None, :]
