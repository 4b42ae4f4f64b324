"""PLY: the vertices, faces and triangle strips of a file, text or binary, whatever else it holds."""

from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from warpgrasp.data.meshes.ply_body import BinaryBody, Columns, Lists, TextBody
from warpgrasp.data.meshes.ply_header import read_header
from warpgrasp.data.meshes.polygons import Polygons
from warpgrasp.data.meshes.strips import strip_triangles
from warpgrasp.errors import DataError

LISTS = ("vertex_indices", "vertex_index")  # of a face or a strip, under both of its names
POSITION = ("x", "y", "z")


def read_ply(content: bytes, path: Path) -> tuple[Float[np.ndarray, "v 3"], Int[np.ndarray, "f 3"]]:
    """The positions of a PLY file, in its order, and its faces and strips as triangles.

    Raises `DataError` naming the file.
    """
    header = read_header(content, path)
    body = BinaryBody(content, header, path) if header.order else TextBody(content, header, path)
    tables = {}
    for element in header.elements:
        if element.name in tables:
            raise DataError(f"expected each element once in {path}, found {element.name} twice")
        tables[element.name] = body.rows(element)
    body.end()
    vertices = _positions(tables.get("vertex"), path)
    faces = [_indices(tables[name], name, path) for name in ("face", "tristrips") if name in tables]
    if not sum(len(lists.counts) for lists in faces):
        held = ", ".join(f"{element.count} {element.name}" for element in header.elements) or "nothing"
        raise DataError(f"expected a triangle mesh in {path}, found no triangles but {held}; is it a point cloud?")
    triangles = []
    if "face" in tables and len(faces[0].counts):
        triangles.append(Polygons(faces[0].values, faces[0].counts).triangles(vertices, path))
    if "tristrips" in tables and len(faces[-1].counts):
        strips = strip_triangles(faces[-1].values, np.cumsum(faces[-1].counts)[:-1])
        triangles.append(Polygons.of_triangles(strips).triangles(vertices, path))
    return vertices, np.concatenate(triangles)


def _positions(columns: Columns | None, path: Path) -> Float[np.ndarray, "v 3"]:
    found = [None if columns is None else columns.get(name) for name in POSITION]
    numbers = [column for column in found if isinstance(column, np.ndarray)]
    if len(numbers) != len(POSITION):
        raise DataError(f"expected the properties x, y and z of the element vertex in {path}, found {len(numbers)}")
    return np.stack(numbers, axis=1).astype(np.float64)


def _indices(columns: Columns, element: str, path: Path) -> Lists:
    for name in LISTS:
        lists = columns.get(name)
        if isinstance(lists, Lists) and lists.values.dtype.kind != "f":
            return Lists(lists.values.astype(np.int64), lists.counts)
    raise DataError(f"expected the list {LISTS[0]} of whole numbers of the element {element} in {path}, found none")
