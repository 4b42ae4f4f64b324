"""A rasteriser written as the definition reads: every pixel's ray against every triangle, in plain float64 numbers.

Möller and Trumbore's formula, which shares nothing with the package's edge functions.
"""

import numpy as np

NEAR_M = 0.01


def meets(ray, corners):
    """Depth along `ray` (of depth 1) where it meets the triangle's plane, and the weights there; None if never."""
    (ax, ay, az), (bx, by, bz), (cx, cy, cz) = corners
    dx, dy, dz = ray
    e1x, e1y, e1z, e2x, e2y, e2z = bx - ax, by - ay, bz - az, cx - ax, cy - ay, cz - az
    px, py, pz = dy * e2z - dz * e2y, dz * e2x - dx * e2z, dx * e2y - dy * e2x
    determinant = e1x * px + e1y * py + e1z * pz
    if determinant == 0:
        return None
    qx, qy, qz = az * e1y - ay * e1z, ax * e1z - az * e1x, ay * e1x - ax * e1y
    second = -(ax * px + ay * py + az * pz) / determinant
    third = (dx * qx + dy * qy + dz * qz) / determinant
    return (e2x * qx + e2y * qy + e2z * qz) / determinant, (1 - second - third, second, third)


def raycast(vertices, faces, intrinsics, width, height, *, tolerance=1e-9):
    """Face ids (-1: none), depths (inf: none), and the pixels where rounding may decide.

    The last are those whose ray passes within `tolerance` (in weights, or metres of depth) of an edge, of the near
    plane or of a second face at the same depth.
    """
    triangles = [[tuple(map(float, vertices[index])) for index in face] for face in faces]
    inverse = np.linalg.inv(np.asarray(intrinsics, dtype=np.float64))
    face_ids = np.full((height, width), -1)
    depths = np.full((height, width), np.inf)
    doubtful = np.zeros((height, width), dtype=bool)
    for v in range(height):
        for u in range(width):
            ray = tuple((inverse @ (u, v, 1.0)).tolist())
            for face, corners in enumerate(triangles):
                if (met := meets(ray, corners)) is None:
                    continue
                depth, weights = met
                inside = min(weights)
                near = abs(depth - NEAR_M) <= tolerance
                if depth > NEAR_M - tolerance and (abs(inside) <= tolerance or (inside >= 0 and near)):
                    doubtful[v, u] = True
                if inside >= 0 and depth > NEAR_M:
                    if 0 < abs(depth - depths[v, u]) <= tolerance:
                        doubtful[v, u] = True
                    if depth < depths[v, u]:
                        face_ids[v, u], depths[v, u] = face, depth
    return face_ids, depths, doubtful


def hidden(points, triangles, *, tolerance_m):
    """Whether a triangle lies between the camera and each point, nearer than it by more than `tolerance_m`."""
    corners = np.asarray(triangles, dtype=np.float64)
    a, e1, e2 = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    # The ray from the origin is k·point, so the third unknown of Möller and Trumbore is k itself.
    q = np.cross(-a, e1)
    along = (e2 * q).sum(-1)
    result = np.zeros(len(points), dtype=bool)
    for first in range(0, len(points), 256):
        chunk = np.asarray(points[first : first + 256], dtype=np.float64)
        determinant = chunk @ np.cross(e2, e1).T  # (point × e2)·e1 = point·(e2 × e1)
        with np.errstate(divide="ignore", invalid="ignore"):
            second = -(chunk @ np.cross(e2, a).T) / determinant
            third = (chunk @ q.T) / determinant
            k = along / determinant
        inside = (second >= 0) & (third >= 0) & (second + third <= 1)
        nearer = (k > 0) & (k * chunk[:, 2:] < chunk[:, 2:] - tolerance_m) & (k * chunk[:, 2:] > NEAR_M)
        result[first : first + 256] = (inside & nearer).any(axis=1)
    return result
