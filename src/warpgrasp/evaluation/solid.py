"""What a triangle mesh encloses: exact tests of points, distances and voxels, for contact metrics."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial.transform import Rotation

from warpgrasp.data.sample.distance import RAY_TURN, Surface, exact_distance

LARGEST_GRID = 128  # columns along each axis
CHUNK = 64  # points at a time against all faces of an open mesh


@dataclass(frozen=True)
class Columns:
    """The faces of a mesh, sorted into square columns along z, so that a ray along z meets only its column's."""

    origin: Float[np.ndarray, " 2"]
    step: Float[np.ndarray, " 2"]
    count: int  # along each axis
    first: Int[np.ndarray, " c"]  # where each column's faces begin in `faces`; one more at the end
    faces: Int[np.ndarray, " n"]

    @staticmethod
    def of(triangles: Float[np.ndarray, "f 3 3"]) -> "Columns":
        """Sort triangles; one that spans several columns lies in all of them."""
        low, high = triangles[..., :2].min(axis=1), triangles[..., :2].max(axis=1)
        count = int(np.clip(np.sqrt(len(triangles)), 1, LARGEST_GRID))
        origin = low.min(axis=0)
        step = np.maximum((high.max(axis=0) - origin) / count, 1e-12)
        start = np.clip(((low - origin) / step).astype(np.int64), 0, count - 1)
        size = np.clip(((high - origin) / step).astype(np.int64), 0, count - 1) - start + 1
        total = size.prod(axis=1)
        faces = np.repeat(np.arange(len(triangles)), total)
        within = np.arange(len(faces)) - np.repeat(total.cumsum() - total, total)
        x, y = start[faces, 0] + within // size[faces, 1], start[faces, 1] + within % size[faces, 1]
        column = x * count + y
        order = np.argsort(column, kind="stable")
        first = np.searchsorted(column[order], np.arange(count * count + 1))
        return Columns(origin, step, count, first, faces[order])

    def pairs(self, points: Float[np.ndarray, "n 3"]) -> tuple[Int[np.ndarray, " p"], Int[np.ndarray, " p"]]:
        """Rows of points, and the faces in the column of each."""
        cell = np.floor((points[:, :2] - self.origin) / self.step).astype(np.int64)
        beside = ((cell < 0) | (cell > self.count)).any(axis=1)  # a cell = count is the upper border itself
        cell = np.clip(cell, 0, self.count - 1)
        column = cell[:, 0] * self.count + cell[:, 1]
        number = np.where(beside, 0, self.first[column + 1] - self.first[column])
        rows = np.repeat(np.arange(len(points)), number)
        within = np.arange(len(rows)) - np.repeat(number.cumsum() - number, number)
        return rows, self.faces[self.first[column[rows]] + within]


@dataclass(frozen=True)
class Solid:
    """A triangle mesh with outward (or all inward) faces, metres. Overlapping parts count as one.

    A point is inside where the surface winds about it. On a closed surface this is counted exactly along a ray; on one
    with holes it is the solid angle of the faces, of which a point inside sees more than half a sphere.
    """

    surface: Surface

    @cached_property
    def closed(self) -> bool:
        """Whether each edge is run through as often in one direction as in the other."""
        corners = np.roll(self.surface.faces, -1, axis=1)
        ahead = self.surface.faces.ravel() * len(self.surface.vertices) + corners.ravel()
        back = corners.ravel() * len(self.surface.vertices) + self.surface.faces.ravel()
        return bool(np.array_equal(np.sort(ahead), np.sort(back)))

    def contains(self, points: Float[np.ndarray, "n 3"]) -> Bool[np.ndarray, " n"]:
        """Whether each point is inside."""
        low, high = self.surface.vertices.min(axis=0), self.surface.vertices.max(axis=0)
        inside = ((points > low) & (points < high)).all(axis=1)
        rows = np.flatnonzero(inside)
        winding = self._crossings(points[rows]) if self.closed else self._solid_angles(points[rows])
        inside[rows] = np.abs(winding) > 0.5
        return inside

    def distance(self, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
        """The unsigned distance of each point to the surface."""
        return exact_distance(self.surface, points)

    def voxels(self, pitch_m: float) -> Float[np.ndarray, "n 3"]:
        """The centres, inside, of the cubes of a grid that is centred on the bounding box."""
        low, high = self.surface.vertices.min(axis=0), self.surface.vertices.max(axis=0)
        counts = np.maximum(np.ceil((high - low) / pitch_m), 1).astype(int)
        axes = [pitch_m * (np.arange(count) - (count - 1) / 2) for count in counts]
        centres = (low + high) / 2 + np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
        return centres[self.contains(centres)]

    @cached_property
    def _turned(self) -> tuple[Float[np.ndarray, "f 3 3"], Columns]:
        triangles = self.surface.triangles @ _askew()
        return triangles, Columns.of(triangles)

    def _crossings(self, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
        """Upward less downward faces above each point, along a direction that no edge of a mesh shares."""
        triangles, columns = self._turned
        points = points @ _askew()
        rows, faces = columns.pairs(points)
        a = triangles[faces, 0]
        u, v, offset = triangles[faces, 1] - a, triangles[faces, 2] - a, points[rows] - a
        area = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
        seen = area != 0
        area_or_one = np.where(seen, area, 1.0)
        s = (offset[:, 0] * v[:, 1] - offset[:, 1] * v[:, 0]) / area_or_one
        t = (u[:, 0] * offset[:, 1] - u[:, 1] * offset[:, 0]) / area_or_one
        crossed = seen & (s >= 0) & (t >= 0) & (s + t <= 1) & (s * u[:, 2] + t * v[:, 2] > offset[:, 2])
        winding = np.bincount(rows, weights=np.sign(area) * crossed, minlength=len(points))
        return winding.astype(np.float64)  # of no points it counts in integers

    def _solid_angles(self, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
        """Solid angle of all faces, as a share of the sphere (van Oosterom and Strackee 1983)."""
        winding = np.empty(len(points))
        for start in range(0, len(points), CHUNK):
            corners = self.surface.triangles[None] - points[start : start + CHUNK, None, None]
            a, b, c = np.moveaxis(corners, 2, 0)
            x, y, z = (np.linalg.norm(corner, axis=-1) for corner in (a, b, c))
            volume = np.einsum("pfk,pfk->pf", a, np.cross(b, c))
            dots = [np.einsum("pfk,pfk->pf", *pair) for pair in ((a, b), (b, c), (c, a))]
            angle = 2 * np.arctan2(volume, x * y * z + dots[0] * z + dots[1] * x + dots[2] * y)
            winding[start : start + CHUNK] = angle.sum(axis=1) / (4 * np.pi)
        return winding


def _askew() -> Float[np.ndarray, "3 3"]:
    return Rotation.from_rotvec(RAY_TURN).as_matrix().T
