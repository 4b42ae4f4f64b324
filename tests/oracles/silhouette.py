"""Which pixels' centres a mesh covers, by each triangle's three edges in the picture, in NumPy."""

import numpy as np


def covered(vertices, faces, intrinsics, width, height):
    """A mask of the picture; everything lies in front of the camera. Pixel (0, 0) is the centre of the first pixel."""
    projected = np.asarray(vertices, dtype=np.float64) @ np.asarray(intrinsics, dtype=np.float64).T
    pixels = projected[:, :2] / projected[:, 2:]
    mask = np.zeros((height, width), dtype=bool)
    for a, b, c in pixels[np.asarray(faces)]:
        low = np.maximum(np.floor(np.minimum(np.minimum(a, b), c)).astype(int), 0)
        high = np.minimum(np.ceil(np.maximum(np.maximum(a, b), c)).astype(int) + 1, [width, height])
        if (low >= high).any():
            continue
        v, u = np.mgrid[low[1] : high[1], low[0] : high[0]]
        sides = [
            (end[0] - start[0]) * (v - start[1]) - (end[1] - start[1]) * (u - start[0])
            for start, end in ((a, b), (b, c), (c, a))
        ]
        inside = np.all([side >= 0 for side in sides], axis=0) | np.all([side <= 0 for side in sides], axis=0)
        mask[low[1] : high[1], low[0] : high[0]] |= inside
    return mask
