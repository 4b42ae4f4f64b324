"""Bilinear sampling by the textbook's formula."""

import math

import numpy as np


def bilinear(image, positions):
    """Colours (c, n) of `image` (c, h, w) at positions (u, v), pixel centres at whole numbers; the border repeats."""
    channels, height, width = image.shape
    result = np.zeros((channels, len(positions)))
    for index, (u, v) in enumerate(positions):
        u, v = min(max(u, 0.0), width - 1.0), min(max(v, 0.0), height - 1.0)
        left, top = math.floor(u), math.floor(v)
        right, bottom = min(left + 1, width - 1), min(top + 1, height - 1)
        a, b = u - left, v - top
        result[:, index] = (1 - b) * ((1 - a) * image[:, top, left] + a * image[:, top, right]) + b * (
            (1 - a) * image[:, bottom, left] + a * image[:, bottom, right]
        )
    return result
