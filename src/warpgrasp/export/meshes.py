"""Mesh files: hand and object of each frame as OBJ or PLY, in the camera's OpenCV axes; and an object's own mesh."""

import re
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int

from warpgrasp.export.sequence import PredictedSequence, SequenceError
from warpgrasp.frame import ObjectModel

FRAME_FILE = re.compile(r"[0-9]{6,}(\.obj|_(hand|object)\.ply)")


def check_frames_folder(sequence: PredictedSequence, folder: Path) -> None:
    """Raise `SequenceError` when there is a folder that holds other files than `write_obj` and `write_ply` write."""
    if folder.exists() and not all(FRAME_FILE.fullmatch(path.name) for path in folder.iterdir()):
        raise SequenceError(
            f"expected a folder that export wrote, or none, in {folder}, found something else; choose another"
        )


def write_obj(sequence: PredictedSequence, folder: Path) -> None:
    """Write NNNNNN.obj for each frame into a folder: the objects `hand` and `object`, in metres."""
    hand_faces, object_faces = _faces(sequence)
    hand_count = len(sequence.hand.template_vertices)
    for name, scene in sequence.scenes():
        vertices = scene.mesh.vertices[0].numpy()
        text = "# OpenCV camera axes: x right, y down, z forward; metres\n"
        text += "o hand\n" + obj_text(vertices[:hand_count], hand_faces)
        text += "o object\n" + obj_text(vertices[hand_count:], object_faces, first=hand_count + 1)
        (folder / f"{name.index:06d}.obj").write_text(text)


def write_ply(sequence: PredictedSequence, folder: Path) -> None:
    """Write NNNNNN_hand.ply and NNNNNN_object.ply for each frame into a folder, in metres."""
    hand_faces, object_faces = _faces(sequence)
    hand_count = len(sequence.hand.template_vertices)
    for name, scene in sequence.scenes():
        vertices = scene.mesh.vertices[0].numpy()
        (folder / f"{name.index:06d}_hand.ply").write_bytes(_ply(vertices[:hand_count], hand_faces))
        (folder / f"{name.index:06d}_object.ply").write_bytes(_ply(vertices[hand_count:], object_faces))


def _faces(sequence: PredictedSequence) -> tuple[Int[np.ndarray, "f 3"], Int[np.ndarray, "g 3"]]:
    """The faces of the hand, closed at the wrist, and of the object."""
    hand = sequence.hand
    return torch.cat([hand.faces, hand.closing_faces]).numpy(), sequence.model.faces.numpy()


def obj_text(
    vertices: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"], *, first: int = 1, number: str = ".7f"
) -> str:
    """The lines of an OBJ file; `first` is the number that the file gives to the first of these vertices."""
    row = f"v {{:{number}}} {{:{number}}} {{:{number}}}"
    rows = [row.format(*vertex) for vertex in vertices.tolist()]
    rows += ["f {} {} {}".format(*face) for face in (faces + first).tolist()]
    return "\n".join(rows) + "\n"


def _ply(vertices: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"]) -> bytes:
    """A binary PLY file."""
    header = ["ply", "format binary_little_endian 1.0", "comment OpenCV camera axes, metres"]
    header += _ply_elements(len(vertices), len(faces), "float")
    rows = np.empty(len(faces), np.dtype([("count", "u1"), ("corners", "<i4", 3)]))
    rows["count"], rows["corners"] = 3, faces
    return "\n".join(header).encode() + b"\n" + vertices.astype("<f4").tobytes() + rows.tobytes()


def _ply_elements(vertex_count: int, face_count: int, number: str) -> list[str]:
    header = [f"element vertex {vertex_count}", *(f"property {number} {axis}" for axis in "xyz")]
    return [*header, f"element face {face_count}", "property list uchar int vertex_indices", "end_header"]


def write_mesh(path: Path, model: ObjectModel) -> None:
    """Write an object as a PLY file of text, in metres about the centre of its bounding box, to the last digit."""
    header = ["ply", "format ascii 1.0", *_ply_elements(len(model.vertices), len(model.faces), "double")]
    vertices = [" ".join(map(repr, row)) for row in model.vertices.double().tolist()]
    faces = [" ".join(map(str, (3, *row))) for row in model.faces.tolist()]
    path.write_text("\n".join([*header, *vertices, *faces]) + "\n")
