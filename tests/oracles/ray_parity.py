"""Whether points are inside a closed mesh, by a ray from each that is asked against every face (Möller–Trumbore)."""

import numpy as np

RAY = np.array([0.36, 0.48, 0.8])  # a unit vector that no edge of a mesh shares


def inside(triangles: np.ndarray, points: np.ndarray) -> np.ndarray:
    """An odd number of crossings: triangles (f, 3, 3), points (n, 3)."""
    a, first, second = triangles[:, 0], triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
    across = np.cross(RAY, second)
    scale = (first * across).sum(axis=1)
    parities = []
    for point in points:
        offset = point - a
        u = (offset * across).sum(axis=1) / scale
        turned = np.cross(offset, first)
        v, along = turned @ RAY / scale, (second * turned).sum(axis=1) / scale
        parities.append(((u >= 0) & (v >= 0) & (u + v <= 1) & (along > 0)).sum() % 2 == 1)
    return np.array(parities)
