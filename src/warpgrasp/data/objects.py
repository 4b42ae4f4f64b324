"""Object models from mesh files."""

from pathlib import Path

import numpy as np
import torch

from warpgrasp.data.meshes import read_surface
from warpgrasp.errors import DataError
from warpgrasp.frame import ObjectModel

# What a hand holds: a box longer than a metre, or none longer than 5 mm, is in other units.
SMALLEST_M, LARGEST_M = 0.005, 1.0


def load_object(path: Path, name: str, *, axes: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> ObjectModel:
    """Read a mesh file in metres; `axes` are the signs by which the data set's own axes are changed to ours.

    The vertices are the distinct places of the corners of its faces. Raises `DataError` when the file is missing, no
    mesh, or not metric.
    """
    if not path.is_file():
        raise DataError(f"expected the mesh of {name} at {path}, found no such file")
    vertices, faces = read_surface(path)
    length = float(np.ptp(vertices, axis=0).max())
    if not SMALLEST_M < length < LARGEST_M:
        raise DataError(
            f"expected a hand-held object in metres in {path}, found one {length:g} long; convert its units"
        )
    metres = torch.as_tensor(vertices * np.asarray(axes), dtype=torch.float32)
    return ObjectModel.centred(name, metres, torch.as_tensor(faces, dtype=torch.int64), axes)
