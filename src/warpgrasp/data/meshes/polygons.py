"""Faces of a mesh file as triangles: strips and fans as PLY and glTF number them, and polygons of any shape.

The triangles of a polygon cover it and nothing else.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from warpgrasp.errors import DataError

RESTART = -1  # ends a strip and begins another


def strip_triangles(
    numbers: Int[np.ndarray, " n"], starts: Int[np.ndarray, " s"] | None = None
) -> Int[np.ndarray, "t 3"]:
    """The triangles of strips: each three numbers in a row, every second triangle turned round to keep its side.

    A strip ends before `RESTART`, and where another one starts. Triangles with a corner twice, by which programs join
    strips, are left out.
    """
    places = np.arange(len(numbers))
    begins = np.zeros(len(numbers), dtype=np.int64)  # of each place: where its strip begins
    after = np.flatnonzero(numbers == RESTART) + 1
    marks = np.concatenate([after, np.zeros(0, dtype=np.int64) if starts is None else starts])
    marks = marks[marks < len(numbers)]
    begins[marks] = marks
    begins = np.maximum.accumulate(begins)
    first = places[: max(len(numbers) - 2, 0)]
    first = first[begins[first] == begins[first + 2]]
    odd = (first - begins[first]) % 2
    triangles = numbers[np.stack([first, first + 1 + odd, first + 2 - odd], axis=1)]
    return triangles[(triangles != RESTART).all(axis=1) & _three_corners(triangles)]


def fan_triangles(numbers: Int[np.ndarray, " n"]) -> Int[np.ndarray, "t 3"]:
    """The triangles of a fan about its first number. Triangles with a corner twice are left out."""
    first = np.broadcast_to(numbers[:1], max(len(numbers) - 2, 0))
    triangles = np.stack([first, numbers[1:-1], numbers[2:]], axis=1) if len(first) else np.zeros((0, 3), np.int64)
    return triangles[_three_corners(triangles)]


def _three_corners(triangles: Int[np.ndarray, "t 3"]) -> np.ndarray:
    a, b, c = triangles.T
    return (a != b) & (b != c) & (c != a)


TINY = np.finfo(float).tiny
# Of the square of a polygon's length: the area by which rounding in the file's numbers may turn a triangle round.
AREA_TOLERANCE = 1e-6
LARGEST_NUMBER = float(np.finfo(np.float32).max)  # what lies beyond is infinite once it is in metres


@dataclass(frozen=True)
class Polygons:
    """Polygons of different sizes; the corners of one after those of another."""

    corners: Int[np.ndarray, " c"]  # vertex numbers
    counts: Int[np.ndarray, " p"]  # corners of each polygon

    @staticmethod
    def of_triangles(triangles: Int[np.ndarray, "t 3"]) -> "Polygons":
        """Triangles as polygons."""
        return Polygons(triangles.reshape(-1), np.full(len(triangles), 3, dtype=np.int64))

    def triangles(self, vertices: Float[np.ndarray, "v 3"], path: Path) -> Int[np.ndarray, "t 3"]:
        """Cut every polygon of n corners into n - 2 triangles or, where corners lie on a line, fewer.

        The polygons keep their order and their side. A polygon whose fan from its first corner covers it is cut so;
        another is clipped ear by ear (the earcut algorithm) in the plane that fits it best. Raises `DataError` naming
        the file when a polygon has fewer than three corners, names a vertex that is not there, or crosses itself.
        """
        self._check(vertices, path)
        starts = np.cumsum(self.counts) - self.counts
        triangles, owners = [], []
        for count in np.unique(self.counts):
            polygons = np.flatnonzero(self.counts == count)
            corners = self.corners[starts[polygons][:, None] + np.arange(count)]
            fans = np.stack(
                [np.stack([corners[:, 0], corners[:, i], corners[:, i + 1]], 1) for i in range(1, count - 1)], 1
            )
            wrong = np.zeros(len(fans), dtype=bool) if count == 3 else ~_covering(vertices, corners)
            triangles.append(fans[~wrong].reshape(-1, 3))
            owners.append(np.repeat(polygons[~wrong], count - 2))
            for polygon, corner in zip(polygons[wrong], corners[wrong], strict=True):
                triangles.append(_clipped(vertices, corner, path))
                owners.append(np.full(len(triangles[-1]), polygon))
        order = np.argsort(np.concatenate(owners), kind="stable")
        return np.concatenate(triangles)[order]

    def _check(self, vertices: Float[np.ndarray, "v 3"], path: Path) -> None:
        if not len(self.counts):
            raise DataError(f"expected a triangle mesh in {path}, found no triangles")
        if self.counts.min() < 3:
            raise DataError(f"expected faces of at least 3 corners in {path}, found one of {self.counts.min()}")
        lowest, highest = self.corners.min(), self.corners.max()
        if lowest < 0 or highest >= len(vertices):
            wrong = lowest if lowest < 0 else highest
            raise DataError(
                f"expected triangles of the {len(vertices)} vertices of {path}, found one of vertex {wrong} "
                f"(counted from 0)"
            )
        if not (np.abs(vertices[self.corners]) <= LARGEST_NUMBER).all():
            raise DataError(f"expected finite vertices in {path}, found NaN or infinity")


def _normals(points: Float[np.ndarray, "p n 3"]) -> Float[np.ndarray, "p 3"]:
    """Newell's normals: along the plane that fits a polygon best, twice its area long."""
    return np.cross(points, np.roll(points, -1, axis=1)).sum(axis=1)


def _covering(vertices: Float[np.ndarray, "v 3"], corners: Int[np.ndarray, "p n"]) -> np.ndarray:
    """Whether each polygon's fan from its first corner covers it: no triangle of the fan looks the other way."""
    edges = vertices[corners[:, 1:]] - vertices[corners[:, :1]]
    normals = _normals(np.concatenate([np.zeros_like(edges[:, :1]), edges], axis=1))
    normals /= np.maximum(np.linalg.norm(normals, axis=1), TINY)[:, None]
    slack = AREA_TOLERANCE * _largest_square(edges)
    doubled = np.cross(edges[:, :-1], edges[:, 1:])  # normals of the fan's triangles, twice their areas long
    ahead = np.einsum("pnk,pk->pn", doubled, normals) >= -slack[:, None]
    flat = np.linalg.norm(doubled, axis=2) <= slack[:, None]  # all corners on a line, however they follow
    return (ahead.all(axis=1) & normals.any(axis=1)) | flat.all(axis=1)


def _largest_square(edges: Float[np.ndarray, "p n 3"]) -> Float[np.ndarray, " p"]:
    """The square of the distance from a polygon's first corner to its farthest."""
    return (edges**2).sum(axis=-1).max(axis=-1)


def _clipped(vertices: Float[np.ndarray, "v 3"], corners: Int[np.ndarray, " n"], path: Path) -> Int[np.ndarray, "t 3"]:
    """The triangles of a polygon whose fan does not cover it, on the polygon's side."""
    import mapbox_earcut

    points = vertices[corners] - vertices[corners[0]]
    scale = float(np.sqrt(_largest_square(points[None])[0]))
    points = points / max(scale, TINY)
    normal = _normals(points[None])[0]
    first = points[np.argmax((points**2).sum(axis=1))]
    plane = np.stack([first, np.cross(normal / max(np.linalg.norm(normal), TINY), first)], axis=1)
    flat = points @ plane
    ears = mapbox_earcut.triangulate_float64(flat, np.array([len(corners)], dtype=np.uint32)).reshape(-1, 3)
    signed = _doubled_areas(flat[ears])
    whole = _doubled_areas(flat[None])[0]
    if whole <= AREA_TOLERANCE or abs(np.abs(signed).sum() - whole) > AREA_TOLERANCE:
        raise DataError(
            f"expected polygons that do not cross themselves in {path}, found one of {len(corners)} corners that does "
            f"(its first is vertex {corners[0]}, counted from 0); triangulate the mesh where it was made"
        )
    return corners[np.where((signed < 0)[:, None], ears[:, ::-1], ears).astype(np.int64)]


def _doubled_areas(points: Float[np.ndarray, "p n 2"]) -> Float[np.ndarray, " p"]:
    """Twice the signed areas of plane polygons."""
    following = np.roll(points, -1, axis=1)
    return (points[..., 0] * following[..., 1] - points[..., 1] * following[..., 0]).sum(axis=1)
