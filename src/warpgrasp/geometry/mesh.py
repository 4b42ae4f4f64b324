"""Triangle meshes: their padding into batches, the closing of open boundaries, and the identity of a mesh.

A mesh has the same identity whichever file it is read from, whatever the order of its vertices and faces.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Mesh:
    """Triangles in camera space (metres).

    `auxiliary_faces` marks the faces that close the surface without being part of it (the cut through the wrist): they
    hide what is behind them and are never compared. Padding is made of degenerate faces (0, 0, 0), which no rasteriser
    draws.
    """

    vertices: Float[Tensor, "b v 3"]
    faces: Int[Tensor, "b f 3"]
    auxiliary_faces: Bool[Tensor, "b f"]

    def with_vertices(self, vertices: Float[Tensor, "b v 3"]) -> "Mesh":
        """The same triangles at other places."""
        return Mesh(vertices, self.faces, self.auxiliary_faces)

    @staticmethod
    def of(vertices: Float[Tensor, "b v 3"], faces: Int[Tensor, "*b f 3"]) -> "Mesh":
        """A mesh without auxiliary faces; `faces` may be shared by the batch."""
        faces = faces.expand(len(vertices), *faces.shape[-2:])
        return Mesh(vertices, faces, torch.zeros_like(faces[..., 0], dtype=torch.bool))


def join(first: Mesh, second: Mesh) -> Mesh:
    """Both meshes as one, the faces of `first` before those of `second`."""
    return Mesh(
        torch.cat([first.vertices, second.vertices], dim=1),
        torch.cat([first.faces, second.faces + first.vertices.shape[1]], dim=1),
        torch.cat([first.auxiliary_faces, second.auxiliary_faces], dim=1),
    )


def pad(arrays: Sequence[Tensor]) -> tuple[Tensor, Bool[Tensor, "b n"]]:
    """Stack arrays of different length, padded with zeros, beside the mask of what is real.

    Zeros are the padding of vertices (points at the origin) and of faces (degenerate) alike.
    """
    longest = max(len(array) for array in arrays)
    stacked = arrays[0].new_zeros((len(arrays), longest, *arrays[0].shape[1:]))
    real = torch.zeros((len(arrays), longest), dtype=torch.bool, device=arrays[0].device)
    for row, array in enumerate(arrays):
        stacked[row, : len(array)] = array
        real[row, : len(array)] = True
    return stacked, real


def bounding_box_corners(vertices: Float[Tensor, "v 3"]) -> Float[Tensor, "8 3"]:
    """The corners of the axis-aligned bounding box; x varies slowest, z fastest, low before high."""
    bounds = torch.stack([vertices.amin(dim=0), vertices.amax(dim=0)])
    choice = torch.tensor([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)], device=vertices.device)
    return bounds[choice, torch.arange(3, device=vertices.device)]


def boundary_loop(faces: np.ndarray) -> list[int]:
    """The vertices of the one open boundary, in the order in which its edges run in the faces.

    Raises `ValueError` when the boundary is not exactly one loop.
    """
    edges = {(int(face[i]), int(face[(i + 1) % 3])) for face in faces for i in range(3)}
    following: dict[int, int] = {}
    for start, end in sorted(edges):
        if (end, start) not in edges:
            if start in following:
                raise ValueError(f"expected one open boundary, but vertex {start} lies on two")
            following[start] = end
    if not following:
        raise ValueError("expected one open boundary, found a closed surface")
    if set(following.values()) != set(following):
        raise ValueError("expected one open boundary, found edges that do not close (are all faces oriented alike?)")
    loop = [min(following)]
    while (vertex := following[loop[-1]]) != loop[0]:
        loop.append(vertex)
    if len(loop) != len(following):
        raise ValueError(f"expected one open boundary, found a loop of {len(loop)} of {len(following)} boundary edges")
    return loop


def loop_closing_faces(faces: np.ndarray) -> np.ndarray:
    """Faces (n - 2, 3) that close the open boundary of n edges, oriented like the surface.

    A strip that goes to and fro across the loop: its triangles are less thin than those of a fan.
    """
    loop = boundary_loop(faces)[::-1]  # the other way round, since each edge must be run once in each direction
    low, high = 0, len(loop) - 1
    closing = []
    while high - low > 1:
        closing.append((loop[low], loop[low + 1], loop[high]))
        low += 1
        if high - low > 1:
            closing.append((loop[low], loop[high - 1], loop[high]))
            high -= 1
    return np.asarray(closing, dtype=np.int64)


PER_METRE = 1e6  # an identity's numbers are micrometres
# Files of one surface round differently: an OBJ file of six decimals in metres by half a micrometre.
TOLERANCE_UM = 3.0
TENTHS_PER_METRE = 1e4
# Coordinates are often whole multiples of tenths, halves, or fortieths of these tenths of millimetres. Cells that begin
# between such values are not left by what `float32` rounds.
CELL_OFFSET = 0.2137
# Weights of a triangle's corners at the points, and of the points, of a rule that is exact for polynomials of degree
# three (Strang and Fix 1973).
POINTS = np.array([[1 / 3, 1 / 3, 1 / 3], [0.6, 0.2, 0.2], [0.2, 0.6, 0.2], [0.2, 0.2, 0.6]])
POINT_WEIGHTS = np.array([-27.0, 25.0, 25.0, 25.0]) / 48


def mesh_identity(vertices: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"]) -> str:
    """The identity of a mesh (metres): a hash of its triangles, and its shape, by which it is known again.

    The hash (sha256) is that of the triangles' corners in tenths of millimetres, in an order that no numbering changes.
    The shape is the number of faces and, in micrometres, the sides of the bounding box and lengths made of area,
    direction, volume and the surface's moments up to degree three.
    """
    points, numbers = vertices.double().cpu().numpy(), faces.cpu().numpy()
    return " ".join(
        [_sha256(points, numbers), str(len(numbers)), *(f"{round(one)}" for one in _shape_um(points, numbers))]
    )


def is_mesh_of(identity: str, vertices: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"]) -> bool:
    """Whether a mesh is the one of an identity: as many faces, and the same shape but for the rounding of files.

    An identity that is a hash alone, as it was written before, is compared with that hash.
    """
    _, *shape = identity.split(" ")
    if not shape:
        return identity == sha256_in_order(vertices, faces)
    try:
        count, *lengths = map(int, shape)
    except ValueError:
        return False
    if count != len(faces):
        return False
    own = _shape_um(vertices.double().cpu().numpy(), faces.cpu().numpy())
    return len(own) == len(lengths) and bool(np.abs(own - lengths).max() <= TOLERANCE_UM)


def sha256_in_order(vertices: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"]) -> str:
    """The hash by which meshes were known before: of vertices, in tenths of millimetres, and faces as they come."""
    tenths = (vertices.double() * TENTHS_PER_METRE).round().long().cpu().numpy()
    digest = hashlib.sha256(np.ascontiguousarray(tenths, dtype="<i8").tobytes())
    digest.update(np.ascontiguousarray(faces.cpu().numpy(), dtype="<i8").tobytes())
    return digest.hexdigest()


def _sha256(vertices: np.ndarray, faces: np.ndarray) -> str:
    tenths = np.floor(vertices * TENTHS_PER_METRE + CELL_OFFSET).astype(np.int64)
    cells, cell_of_vertex = np.unique(tenths, axis=0, return_inverse=True)
    triangles = cell_of_vertex.reshape(-1)[faces]
    a, b, c = triangles.T
    triangles = triangles[(a != b) & (b != c) & (c != a)]
    first = triangles.argmin(axis=1)[:, None]  # the same triangle from whichever corner
    triangles = np.take_along_axis(triangles, (first + np.arange(3)) % 3, axis=1)
    triangles = triangles[np.lexsort(triangles.T[::-1])]
    return hashlib.sha256(cells[triangles].astype("<i8").tobytes()).hexdigest()


def _shape_um(vertices: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"]) -> Float[np.ndarray, " n"]:
    """Lengths that tell surfaces apart and that rounding of the vertices hardly changes, in micrometres."""
    corners = vertices[faces]
    sides = np.ptp(vertices, axis=0)
    diagonal = max(float(np.linalg.norm(sides)), np.finfo(float).tiny)
    doubled = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    areas = np.linalg.norm(doubled, axis=1) / 2
    area = max(float(areas.sum()), np.finfo(float).tiny)
    volume = np.einsum("fk,fk->", corners[:, 0], doubled) / 6
    points = (POINTS @ corners / diagonal).reshape(-1, 3)
    weights = (areas[:, None] * POINT_WEIGHTS / area).reshape(-1)
    moments = [
        weights @ np.prod(points[:, list(axes)], axis=1)
        for degree in (1, 2, 3)
        for axes in combinations_with_replacement(range(3), degree)
    ]
    facing = doubled.sum(axis=0) / 2  # which way an open surface looks; nothing for a closed one
    lengths = [*sides, area / diagonal, *facing / diagonal, volume / diagonal**2, *(diagonal * one for one in moments)]
    return np.array(lengths) * PER_METRE
