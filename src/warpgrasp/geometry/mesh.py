"""Triangle meshes, their padding into batches, and the closing of open boundaries."""

from collections.abc import Sequence
from dataclasses import dataclass

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
