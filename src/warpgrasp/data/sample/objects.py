"""The two scanned objects of the sample data."""

from functools import cache
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np

from warpgrasp.data.sample.distance import SignedDistance, Surface

OBJECTS = files("warpgrasp.data.sample") / "objects"
OBJECT_NAMES = ("006_mustard_bottle", "003_cracker_box")


@cache
def object_surface(name: str) -> Surface:
    """The closed surface of a sample object: the OBJ's distinct vertices."""
    with as_file(OBJECTS / name / "textured_simple.obj") as path:
        rows = [line.split() for line in Path(path).read_text().splitlines()]
    vertices = [[float(value) for value in row[1:4]] for row in rows if row and row[0] == "v"]
    faces = [[int(corner.split("/")[0]) - 1 for corner in row[1:4]] for row in rows if row and row[0] == "f"]
    return Surface(np.array(vertices), np.array(faces))


@cache
def object_distance(name: str) -> SignedDistance:
    """The grid of distances to a sample object."""
    return SignedDistance.of(object_surface(name))
