"""Surfaces of mesh files (OBJ, PLY and GLB, each read by what its format's specification says), and objects from them.

Nothing but the file itself is opened: no materials, no textures, no buffers beside it. What is not read is refused by
name, so that no number of a misread file is ever used.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int

from warpgrasp.bounded import read_regular
from warpgrasp.data.meshes.glb import read_glb
from warpgrasp.data.meshes.obj import read_obj
from warpgrasp.data.meshes.ply import read_ply
from warpgrasp.errors import DataError
from warpgrasp.frame import ObjectModel

LARGEST_MESH_BYTES = 512_000_000
Reader = Callable[[bytes, Path], tuple[Float[np.ndarray, "v 3"], Int[np.ndarray, "f 3"]]]
READERS: dict[str, Reader] = {".obj": read_obj, ".ply": read_ply, ".glb": read_glb}
# What a hand holds: a box longer than a metre, or none longer than 5 mm, is in other units.
SMALLEST_M, LARGEST_M = 0.005, 1.0


def read_surface(path: Path) -> tuple[Float[np.ndarray, "v 3"], Int[np.ndarray, "f 3"]]:
    """The distinct places of the corners of a mesh file's faces, in its own units, sorted; and its triangles.

    A vertex that no face uses is no part of the surface. The triangles keep the file's order and sides. Raises
    `DataError` naming the file when it is no whole mesh, or holds what is not read.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"expected a mesh file ({', '.join(READERS)}), found {path}")
    try:
        content = read_regular(path, LARGEST_MESH_BYTES)
    except OSError as error:
        raise DataError(f"expected a mesh in {path}: {error}") from error
    with np.errstate(over="ignore", invalid="ignore"):  # of numbers that become infinite and are refused
        vertices, faces = reader(content, path)
    used = np.unique(faces)
    distinct, places = np.unique(vertices[used], axis=0, return_inverse=True)
    return distinct, places.reshape(-1)[np.searchsorted(used, faces)]


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
