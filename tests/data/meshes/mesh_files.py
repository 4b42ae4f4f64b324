"""Small meshes and the files that hold them, written here byte by byte."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from warpgrasp.data.meshes import read_surface

# A box of 100 × 60 × 40 mm, whose outside is where its faces look: corner 4x + 2y + z, each low (0) or high (1).
BOX_M = np.array([[x, y, z] for x in (-0.05, 0.05) for y in (-0.03, 0.03) for z in (-0.02, 0.02)])
BOX_QUADS = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])
BOX_FACES = np.concatenate([BOX_QUADS[:, [0, 1, 2]], BOX_QUADS[:, [0, 2, 3]]])
BOX_AREA_M2, BOX_VOLUME_M3 = 2 * (0.1 * 0.06 + 0.06 * 0.04 + 0.04 * 0.1), 0.1 * 0.06 * 0.04
# A clamp like a C, 100 mm wide, seen from above; it begins at an outer corner of its gap.
CLAMP_M = 0.01 * np.array([[10, 3], [3, 3], [3, 7], [10, 7], [10, 10], [0, 10], [0, 0], [10, 0]])
CLAMP_AREA_M2 = 0.1 * 0.1 - 0.07 * 0.04


def obj_text(vertices: np.ndarray = BOX_M, faces: Any = BOX_FACES) -> str:
    lines = ["v {:.9g} {:.9g} {:.9g}".format(*place) for place in vertices]
    return "\n".join([*lines, *("f " + " ".join(str(i + 1) for i in face) for face in faces)]) + "\n"


def ply_header(order: str, *elements: tuple[str, int, tuple[str, ...]], newline: str = "\n") -> bytes:
    lines = ["ply", f"format {order} 1.0", "comment by hand", "obj_info of a test"]
    for name, count, properties in elements:
        lines += [f"element {name} {count}", *(f"property {one}" for one in properties)]
    return (newline.join([*lines, "end_header"]) + newline).encode()


XYZ = ("float x", "float y", "float z")
INDICES = ("list uchar int vertex_indices",)


def ply_text(vertices: np.ndarray = BOX_M, faces: Any = BOX_FACES) -> bytes:
    body = "".join("{:.9g} {:.9g} {:.9g}\n".format(*place) for place in vertices)
    body += "".join(f"{len(face)} {' '.join(map(str, face))}\n" for face in faces)
    return ply_header("ascii", ("vertex", len(vertices), XYZ), ("face", len(faces), INDICES)) + body.encode()


def glb(document: dict[str, Any], binary: bytes = b"", *, version: int = 2) -> bytes:
    """Pack a glTF document and its binary chunk."""
    binary += bytes(-len(binary) % 4)
    if binary and "buffers" not in document:
        document = document | {"buffers": [{"byteLength": len(binary)}]}
    text = json.dumps({"asset": {"version": "2.0"}, **document}).encode()
    return glb_of_text(text, binary, version=version)


def glb_of_text(text: bytes, binary: bytes, *, version: int = 2) -> bytes:
    """Pack a text and a binary chunk."""
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text
    if binary:
        chunks += struct.pack("<I4s", len(binary), b"BIN\0") + binary
    return b"glTF" + struct.pack("<II", version, 12 + len(chunks)) + chunks


class Gltf:
    """A glTF document that is put together array by array; at first a scene of one node with one mesh of triangles."""

    def __init__(self, vertices: np.ndarray = BOX_M, faces: np.ndarray | None = BOX_FACES, **primitive: Any):
        self.binary = b""
        self.document: dict[str, Any] = {"scene": 0, "scenes": [{"nodes": [0]}], "nodes": [{"mesh": 0}]}
        self.document |= {"accessors": [], "bufferViews": []}
        self.primitive: dict[str, Any] = {"attributes": {"POSITION": self.positions(vertices.astype("<f4"))}}
        if faces is not None:
            self.primitive["indices"] = self.accessor(faces.reshape(-1).astype("<u2"), "SCALAR", 5123)
        self.primitive |= primitive
        self.document["meshes"] = [{"primitives": [self.primitive]}]

    def view(self, array: np.ndarray, **more: Any) -> int:
        self.binary += bytes(-len(self.binary) % 4)
        self.document["bufferViews"].append({"buffer": 0, "byteOffset": len(self.binary), **more})
        self.binary += array.tobytes()
        self.document["bufferViews"][-1]["byteLength"] = array.nbytes
        return len(self.document["bufferViews"]) - 1

    def accessor(self, array: np.ndarray, kind: str, component: int, **more: Any) -> int:
        entry = {"bufferView": self.view(array), "type": kind, "componentType": component, "count": len(array)}
        self.document["accessors"].append(entry | more)
        return len(self.document["accessors"]) - 1

    def positions(self, places: np.ndarray) -> int:
        bounds = {"min": places.min(axis=0).tolist(), "max": places.max(axis=0).tolist()}
        return self.accessor(places, "VEC3", 5126, **bounds)

    def content(self) -> bytes:
        return glb(self.document, self.binary)


def surface_of(folder: Path, name: str, content: bytes | str) -> tuple[np.ndarray, np.ndarray]:
    """What is read of a mesh file with this content."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_surface(path)


def triangles_of(vertices: np.ndarray, faces: np.ndarray) -> list[tuple]:
    """Triangles by the places of their corners (µm), each from its lowest corner on, sorted."""
    found = []
    for face in faces:
        corners = [tuple(np.round(1e6 * vertices[i]).astype(int).tolist()) for i in face]
        first = corners.index(min(corners))
        found.append(tuple(corners[first:] + corners[:first]))
    return sorted(found)


def area_m2(vertices: np.ndarray, faces: np.ndarray) -> float:
    a, b, c = np.moveaxis(vertices[faces], 1, 0)
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum()) / 2


def volume_m3(vertices: np.ndarray, faces: np.ndarray) -> float:
    """The volume that a closed surface encloses; negative when its faces look inwards."""
    a, b, c = np.moveaxis(vertices[faces], 1, 0)
    return float(np.einsum("fk,fk->", a, np.cross(b, c))) / 6


def is_box(surface: tuple[np.ndarray, np.ndarray], *, within_m: float = 1e-8) -> bool:
    """Whether a surface is the box: its eight corners, twelve triangles that cover it, and its outside outside."""
    vertices, faces = surface
    return (
        vertices.shape == (8, 3)
        and np.allclose(vertices, BOX_M, rtol=0, atol=within_m)
        and len(faces) == 12
        and np.isclose(area_m2(vertices, faces), BOX_AREA_M2, rtol=1e-6 + 100 * within_m)
        and np.isclose(volume_m3(vertices, faces), BOX_VOLUME_M3, rtol=1e-6 + 100 * within_m)
    )
