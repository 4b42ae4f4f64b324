"""Object models from mesh files."""

import io
import re
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int

from warpgrasp.errors import DataError
from warpgrasp.frame import ObjectModel

# What a hand holds: a box longer than a metre, or none longer than 5 mm, is in other units.
SMALLEST_M, LARGEST_M = 0.005, 1.0
LARGEST_MESH_BYTES = 512_000_000
PLY_FACES = re.compile(rb"^element[ \t]+face[ \t]+([0-9]+)[ \t\r]*$", re.MULTILINE)


def load_object(path: Path, name: str, *, axes: tuple[float, float, float] = (1, 1, 1)) -> ObjectModel:
    """Read a mesh file in metres; `axes` are the signs by which the data set's own axes are changed to ours.

    The vertices are the file's distinct positions. Raises `DataError` when the file is missing, no mesh, or not metric.
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
    return ObjectModel.centred(name, metres, torch.as_tensor(faces, dtype=torch.int64))


def read_surface(path: Path) -> tuple[Float[np.ndarray, "v 3"], Int[np.ndarray, "f 3"]]:
    """The distinct vertices of a mesh file, in its own units, sorted; and its triangles.

    Nothing but this one file is opened: no materials, no textures, no buffers beside it. Raises `DataError` naming it
    when it is no whole mesh.
    """
    import trimesh  # half a second

    try:
        if path.stat().st_size > LARGEST_MESH_BYTES:
            raise DataError(f"expected a mesh of at most {LARGEST_MESH_BYTES / 1e6:.0f} MB in {path}")
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"expected a mesh in {path}: {error}") from error
    try:
        # From memory, so that the parsers have no folder in which to look for what the file names.
        with np.errstate(over="ignore"):  # of numbers beyond float32, which become infinite and are refused
            mesh = trimesh.load_mesh(
                io.BytesIO(content), file_type=path.suffix.lower()[1:], process=False, skip_materials=True
            )
        vertices = np.array(mesh.vertices, dtype=np.float64)
        faces = np.array(mesh.faces, dtype=np.int64)
    except Exception as error:  # a broken file makes the parsers of three formats raise anything
        raise DataError(f"expected a mesh in {path}: {type(error).__name__} {str(error)[:120]}") from error
    _check_surface(vertices, faces, path)
    stated = PLY_FACES.search(content.partition(b"end_header")[0]) if content.startswith(b"ply") else None
    if stated is not None and len(faces) < int(stated[1][:20]):  # a text file that ends early is read without a word
        raise DataError(f"expected {stated[1][:20].decode()} faces in {path}, found {len(faces)}; is it cut off?")
    distinct, index = np.unique(vertices, axis=0, return_inverse=True)
    return distinct, index.reshape(-1)[faces]


def _check_surface(vertices: np.ndarray, faces: np.ndarray, path: Path) -> None:
    if faces.ndim != 2 or faces.shape[1:] != (3,) or vertices.ndim != 2 or vertices.shape[1:] != (3,) or not len(faces):
        raise DataError(f"expected a triangle mesh in {path}, found no triangles")
    if not np.isfinite(vertices).all():
        raise DataError(f"expected finite vertices in {path}, found NaN or infinity")
    if faces.min() < 0 or faces.max() >= len(vertices):
        wrong = faces.min() if faces.min() < 0 else faces.max()
        raise DataError(f"expected triangles of the {len(vertices)} vertices of {path}, found one of vertex {wrong}")
