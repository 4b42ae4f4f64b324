"""Hand and object of each frame as mesh files, in the camera's OpenCV axes and metres."""

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int

from warpgrasp.export.sequence import Take

MeshFormat = Literal["obj", "ply"]


def write_meshes(take: Take, folder: Path, kind: MeshFormat) -> None:
    """Write into a folder that is there: NNNNNN.obj with two groups, or NNNNNN_hand.ply and NNNNNN_object.ply."""
    hand_faces = torch.cat([take.hand.faces, take.hand.closing_faces]).numpy()
    hand_count = len(take.hand.template_vertices)
    object_faces = take.model.faces.numpy()
    for name, scene in take.scenes():
        vertices = scene.mesh.vertices[0].numpy()
        hand, thing = vertices[:hand_count], vertices[hand_count:]
        stem = folder / f"{name.index:06d}"
        if kind == "obj":
            text = "# OpenCV camera axes: x right, y down, z forward; metres\n" + _obj("hand", hand, hand_faces, 0)
            stem.with_suffix(".obj").write_text(text + _obj("object", thing, object_faces, hand_count))
        else:
            stem.with_name(f"{stem.name}_hand.ply").write_bytes(_ply(hand, hand_faces))
            stem.with_name(f"{stem.name}_object.ply").write_bytes(_ply(thing, object_faces))


def _obj(name: str, vertices: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"], before: int) -> str:
    rows = [f"o {name}"]
    rows += ["v {:.7f} {:.7f} {:.7f}".format(*vertex) for vertex in vertices.tolist()]
    rows += ["f {} {} {}".format(*face) for face in (faces + before + 1).tolist()]
    return "\n".join(rows) + "\n"


def _ply(vertices: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"]) -> bytes:
    header = ["ply", "format binary_little_endian 1.0", "comment OpenCV camera axes, metres"]
    header += [f"element vertex {len(vertices)}", *(f"property float {axis}" for axis in "xyz")]
    header += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header"]
    rows = np.empty(len(faces), np.dtype([("count", "u1"), ("corners", "<i4", 3)]))
    rows["count"], rows["corners"] = 3, faces
    return "\n".join(header).encode() + b"\n" + vertices.astype("<f4").tobytes() + rows.tobytes()
