"""Surfaces of mesh files: OBJ, PLY and GLB, each read by what its format's specification says.

Nothing but the file itself is opened: no materials, no textures, no buffers beside it. What is not read is refused by
name, so that no number of a misread file is ever used.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from warpgrasp.data.meshes.glb import read_glb
from warpgrasp.data.meshes.obj import read_obj
from warpgrasp.data.meshes.ply import read_ply
from warpgrasp.errors import DataError

LARGEST_MESH_BYTES = 512_000_000
Reader = Callable[[bytes, Path], tuple[Float[np.ndarray, "v 3"], Int[np.ndarray, "f 3"]]]
READERS: dict[str, Reader] = {".obj": read_obj, ".ply": read_ply, ".glb": read_glb}


def read_surface(path: Path) -> tuple[Float[np.ndarray, "v 3"], Int[np.ndarray, "f 3"]]:
    """The distinct places of the corners of a mesh file's faces, in its own units, sorted; and its triangles.

    A vertex that no face uses is no part of the surface. The triangles keep the file's order and sides. Raises
    `DataError` naming the file when it is no whole mesh, or holds what is not read.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"expected a mesh file ({', '.join(READERS)}), found {path}")
    try:
        if path.stat().st_size > LARGEST_MESH_BYTES:
            raise DataError(f"expected a mesh of at most {LARGEST_MESH_BYTES / 1e6:.0f} MB in {path}")
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"expected a mesh in {path}: {error}") from error
    with np.errstate(over="ignore", invalid="ignore"):  # of numbers that become infinite and are refused
        vertices, faces = reader(content, path)
    used = np.unique(faces)
    distinct, places = np.unique(vertices[used], axis=0, return_inverse=True)
    return distinct, places.reshape(-1)[np.searchsorted(used, faces)]
