"""Object models from mesh files."""

from pathlib import Path

import numpy as np
import torch

from warpgrasp.data.errors import DataError
from warpgrasp.frame import ObjectModel

LARGEST_M = 1.0  # a hand-held object whose bounding box is longer is not in metres


def load_object(path: Path, name: str, *, axes: tuple[float, float, float] = (1, 1, 1)) -> ObjectModel:
    """Read a mesh file in metres; `axes` are the signs by which the data set's own axes are changed to ours.

    The vertices are the file's distinct positions. Raises `DataError` when the file is missing, no mesh, or not metric.
    """
    import trimesh  # half a second

    if not path.is_file():
        raise DataError(f"expected the mesh of {name} at {path}, found no such file")
    try:
        mesh = trimesh.load_mesh(path, process=False, skip_materials=True)
    # ImportError: trimesh would guess the encoding of what is no UTF-8 by a package that is not needed otherwise
    except (ValueError, LookupError, TypeError, AttributeError, OSError, ArithmeticError, ImportError) as error:
        raise DataError(f"expected a mesh in {path}: {error}") from error
    if not isinstance(mesh, trimesh.Trimesh) or not len(mesh.faces):
        raise DataError(f"expected a triangle mesh in {path}, found no triangles")
    distinct, index = np.unique(np.asarray(mesh.vertices, dtype=np.float64), axis=0, return_inverse=True)
    if not np.isfinite(distinct).all():
        raise DataError(f"expected finite vertices in {path}, found NaN or infinity")
    length = float(np.ptp(distinct, axis=0).max())
    if not 0.005 < length < LARGEST_M:
        raise DataError(
            f"expected a hand-held object in metres in {path}, found one {length:g} long; convert its units"
        )
    faces = np.asarray(mesh.faces)
    if faces.min() < 0 or faces.max() >= len(index):
        raise DataError(f"expected triangles of the vertices that there are in {path}, found one of another")
    vertices = torch.as_tensor(distinct * np.asarray(axes), dtype=torch.float32)
    return ObjectModel.centred(name, vertices, torch.as_tensor(index.reshape(-1)[faces], dtype=torch.int64))
