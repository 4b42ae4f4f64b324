"""Triangle strips and fans, as PLY and glTF number them."""

import numpy as np
from jaxtyping import Int

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
