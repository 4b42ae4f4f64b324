"""Pictures of a chequerboard by ray casting through a lens given by Brown's formulas; nothing of OpenCV."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

SQUARES = (10, 7)
CORNERS = (SQUARES[0] - 1, SQUARES[1] - 1)
SUPERSAMPLING = 3


@dataclass(frozen=True)
class BrownLens:
    """A pinhole with the distortion k1 k2 p1 p2 k3, as OpenCV's documentation writes it."""

    matrix: np.ndarray
    width: int
    height: int
    distortion: tuple[float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0)

    @cached_property
    def rays(self) -> np.ndarray:
        """Where the centres of sub-pixels look, at depth 1: the fixed point of Brown's formulas."""
        n = SUPERSAMPLING
        u = (np.arange(n * self.width) + 0.5) / n - 0.5
        v = (np.arange(n * self.height) + 0.5) / n - 0.5
        bent_x, bent_y = np.meshgrid(
            (u - self.matrix[0, 2]) / self.matrix[0, 0], (v - self.matrix[1, 2]) / self.matrix[1, 1]
        )
        k1, k2, p1, p2, k3 = self.distortion
        x, y = bent_x, bent_y
        for _ in range(30):
            r2 = x**2 + y**2
            radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
            x, y = (
                (bent_x - 2 * p1 * x * y - p2 * (r2 + 2 * x**2)) / radial,
                (bent_y - p1 * (r2 + 2 * y**2) - 2 * p2 * x * y) / radial,
            )
        return np.stack([x, y, np.ones_like(x)], axis=-1)

    def seen_at(self, rays: np.ndarray) -> np.ndarray:
        """The pixels at which the lens sees rays: Brown's formulas."""
        k1, k2, p1, p2, k3 = self.distortion
        x, y = rays[..., 0], rays[..., 1]
        r2 = x**2 + y**2
        radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
        bent_x, bent_y = (
            x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x**2),
            y * radial + p1 * (r2 + 2 * y**2) + 2 * p2 * x * y,
        )
        return np.stack([bent_x, bent_y], axis=-1) * self.matrix[[0, 1], [0, 1]] + self.matrix[:2, 2]

    def corners(self, turn_deg: Sequence[float], place: Sequence[float]) -> np.ndarray:
        """Where the inner corners of the board are seen, row by row."""
        columns, rows = np.meshgrid(np.arange(1, SQUARES[0]), np.arange(1, SQUARES[1]))
        local = np.stack([columns, rows], axis=-1).reshape(-1, 2) - np.array(SQUARES) / 2
        points = local @ _rotation(turn_deg)[:, :2].T + np.asarray(place)
        return self.seen_at(points / points[:, 2:])

    def picture(self, turn_deg: Sequence[float], place: Sequence[float]) -> np.ndarray:
        """The board turned about its middle by angles about x, y and z, its middle at `place` (unit: a square)."""
        rotation = _rotation(turn_deg)
        centre, normal = np.asarray(place, dtype=np.float64), rotation[:, 2]
        depth = (centre @ normal) / (self.rays @ normal)
        local = (self.rays * depth[..., None] - centre) @ rotation[:, :2] + np.array(SQUARES) / 2
        column, row = np.floor(local[..., 0]), np.floor(local[..., 1])
        on_board = (column >= 0) & (column < SQUARES[0]) & (row >= 0) & (row < SQUARES[1])
        grey = np.where(on_board, np.where((column + row) % 2 == 0, 25.0, 225.0), 200.0)
        n = SUPERSAMPLING
        small = grey.reshape(self.height, n, self.width, n).mean(axis=(1, 3))
        return np.repeat(small.round().astype(np.uint8)[..., None], 3, axis=2)


def _rotation(turn_deg: Sequence[float]) -> np.ndarray:
    rotation = np.eye(3)
    for axis, angle in enumerate(np.radians(turn_deg)):
        i, j = (axis + 1) % 3, (axis + 2) % 3
        one = np.eye(3)
        one[i, i] = one[j, j] = np.cos(angle)
        one[j, i], one[i, j] = np.sin(angle), -np.sin(angle)
        rotation = one @ rotation
    return rotation


# Turns (degrees) and places of the board, which fill the pictures of a lens of f = width.
TILTED = (
    ((0, 0, 0), (0, 0, 13)),
    ((35, 0, 5), (-1, 0, 14)),
    ((-35, 0, -5), (1, 1, 14)),
    ((0, 35, 0), (1, 0, 14)),
    ((0, -35, 3), (-1, -1, 14)),
    ((25, 25, 10), (-2, -1.5, 16)),
    ((-25, 25, 170), (2, 1.5, 16)),
    ((25, -25, 0), (2.5, -1.5, 17)),
    ((-25, -25, 20), (-2.5, 1.5, 17)),
    ((10, 40, 60), (0, 0, 16)),
)
FLAT = tuple(
    ((0, 0, 3 * number), (x, y, 16 + number))
    for number, (x, y) in enumerate(((0, 0), (-2, -1), (2, 1), (2, -1), (-2, 1), (0, 1), (1, -1)))
)
