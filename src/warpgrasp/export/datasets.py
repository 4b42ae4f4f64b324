"""The layouts of data sets and challenges: predictions as HO-3D, BOP and DexYCB, and any sequence as a recording.

A recording with a few labels serves experiments and tests. Its object is a mesh file; hand and object of each frame can
be OBJ or PLY files, too, in the camera's OpenCV axes.
"""

import csv
import pickle
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from PIL import Image

from warpgrasp.data import Dataset, Split, mirrored_annotation, mirrored_frame
from warpgrasp.data.dexycb import DexYcb
from warpgrasp.data.ho3d import FLIP, hand_meta, joints_in_file, object_meta
from warpgrasp.data.recording import (
    FRAMES_FOLDER,
    VIDEO_STEM,
    HandJoints,
    HandParameters,
    Label,
    Lens,
    write_annotations,
    write_lens,
    write_object,
)
from warpgrasp.errors import DataError
from warpgrasp.evaluation import EvaluationError
from warpgrasp.export.sequence import PredictedSequence, SequenceError
from warpgrasp.export.video import VideoWriter
from warpgrasp.files import remove_leftovers, replacing, replacing_folder
from warpgrasp.frame import Frame, FrameName, ObjectModel
from warpgrasp.geometry import MIRROR, axis_angle_from_matrix, mirrored_axis_angle, mirrored_points, nearest_rotation
from warpgrasp.hand import Side, left_hand
from warpgrasp.predictions import Predictions

JPEG_QUALITY = 95
MM_PER_M = 1000
OBJECT_LABEL = 1  # there is one object
NOT_IN_NAMES = re.compile(r"[^\w.-]", re.ASCII)
FRAME_FILE = re.compile(r"[0-9]{6,}(\.obj|_(hand|object)\.ply)")


def check_ho3d(sequence: PredictedSequence, path: Path) -> None:
    """Raise `SequenceError` when a sequence does not fit HO-3D's layout, which has pictures, and right hands alone."""
    if sequence.pictures is None:
        raise SequenceError("expected the pictures that were predicted, for HO-3D's layout; give them by --data")
    if sequence.side != "right":
        raise SequenceError(f"expected right hands, which HO-3D's layout is for, found {sequence.hand.template.name}")


def write_ho3d(sequence: PredictedSequence, root: Path) -> None:
    """Write a data set in HO-3D version 3's layout into the folder `root`: every frame an annotated training frame.

    `load_object` turns the meshes of this layout by half a turn about x (docs/conventions.md), so the mesh is written
    turned, and has the object's own coordinates when it is read again.
    """
    sequence_name, object_name = _as_folder_name(sequence.name), _as_folder_name(sequence.model.name)
    folder = root / "train" / sequence_name
    for kind in ("rgb", "meta"):
        (folder / kind).mkdir(parents=True)
    mesh = (sequence.model.vertices + sequence.model.centre_m).double().numpy() * FLIP
    (root / "models" / object_name).mkdir(parents=True)
    text = obj_text(mesh, sequence.model.faces.numpy(), number=".9g")
    (root / "models" / object_name / "textured_simple.obj").write_text(text)
    for part in sequence.chunks():
        _write_ho3d_frames(sequence, part, folder, object_name, mesh)
    indices = sequence.predictions.index[sequence.rows].tolist()
    (root / "train.txt").write_text("".join(f"{sequence_name}/{index:04d}\n" for index in indices))
    (root / "evaluation").mkdir()
    (root / "evaluation.txt").write_text("")


def _as_folder_name(text: str) -> str:
    """A text as the name of a folder that HO-3D's lists can hold."""
    return NOT_IN_NAMES.sub("_", text).lstrip(".-") or "_"


def _write_ho3d_frames(
    sequence: PredictedSequence, part: Predictions, folder: Path, object_name: str, mesh: Float[np.ndarray, "v 3"]
) -> None:
    """Write the pictures and annotations of some frames; `mesh` are the vertices of the written mesh file."""
    assert sequence.pictures is not None
    pose, joints = sequence.posed(part)
    centre = sequence.model.centre_m.double().numpy()
    for row, index in enumerate(part.index.tolist()):
        picture, camera = sequence.pictures(FrameName(sequence.name, index))
        rotation = pose.object_rotation[row].numpy()
        meta = object_meta(
            object_name,
            label=OBJECT_LABEL,
            vertices=mesh,
            rotation=rotation * FLIP,
            translation=pose.object_centre[row].numpy() - rotation @ centre,
            intrinsics=camera.intrinsics.double().numpy(),
        )
        meta |= {"handJoints3D": joints_in_file(joints[row].numpy())}
        meta |= hand_meta(
            sequence.hand.template,
            rotation=pose.hand_rotation[row].numpy(),
            wrist=pose.wrist[row].numpy(),
            angles=pose.joint_angles[row].numpy(),
            shape=pose.shape[row].numpy(),
        )
        (folder / "meta" / f"{index:04d}.pkl").write_bytes(pickle.dumps(meta, protocol=2))
        Image.fromarray(picture).save(folder / "rgb" / f"{index:04d}.jpg", quality=JPEG_QUALITY, subsampling=0)


def write_bop(sequence: PredictedSequence, path: Path, *, scene: int, object_number: int) -> None:
    """Write the object's poses as the BOP challenge takes them: model to camera, R row by row, t in millimetres.

    https://bop.felk.cvut.cz/challenges: a CSV file. Poses are those of the mesh file's own coordinates; `scene` and
    `object_number` are how the challenge's data number them; a score is 1, and a time -1 since it is not measured.
    """
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["scene_id", "im_id", "obj_id", "score", "R", "t", "time"])
        for part in sequence.chunks():
            rotation, centre = (
                torch.from_numpy(np.asarray(array)).double()
                for array in (part.object_rotation, part.object_translation)
            )
            rotations, translations = sequence.model.pose_of_file(rotation, centre)
            poses = zip(part.index.tolist(), nearest_rotation(rotations), translations, strict=True)
            for index, rotation, translation in poses:
                numbers = rotation.flatten().tolist(), (MM_PER_M * translation).tolist()
                texts = [" ".join(f"{number:.9g}" for number in values) for values in numbers]
                writer.writerow([scene, index, object_number, 1, *texts, -1])


def write_dexycb_result(path: Path, predictions: Predictions, dataset: DexYcb, split: Split) -> int:
    """Write hand predictions as DexYCB's own evaluation reads them, and return how many frames these are.

    A line `image_id,x,y,z,…` for each frame of a split: 21 joints in mm, camera space. Ids count the split's frames of
    both hands in the official order. The joints of a left hand, which was predicted in the mirror, are mirrored back.
    Raises `EvaluationError` when a frame of the split was not predicted, or the data set was opened without left or
    right hands: the official evaluation wants all.
    """
    if dataset.sides.choice != "both":
        raise EvaluationError(
            f"expected both hands for DexYCB's result file, got {dataset.protocol}; predict with --side both"
        )
    rows = {name: row for row, name in enumerate(predictions.names)}
    ids = dataset.image_ids(split)
    missing = [name for name in ids if name not in rows]
    if missing:
        raise EvaluationError(
            f"expected a prediction of each of {len(ids)} frames of {split}, missing {len(missing)}, the first "
            f"{missing[0].sequence}/{missing[0].index:06d}"
        )
    with replacing(path) as temporary, temporary.open("w") as file:
        for name, number in ids.items():
            flip = np.array(MIRROR) if dataset.is_mirrored(name) else 1.0
            joints_mm = float(MM_PER_M) * predictions.hand_joints[rows[name]].astype(np.float64) * flip
            file.write(f"{number},{','.join(f'{value:.4f}' for value in joints_mm.ravel())}\n")
    return len(ids)


MESH_FILE = "object.ply"


@dataclass(frozen=True)
class RecordingOptions:
    """What is written of a sequence."""

    train: Sequence[int] = ()
    """Frames whose labels are for training."""
    evaluation: Sequence[int] = ()
    """Frames whose labels are held out."""
    hands: Mapping[int, HandParameters] = field(default_factory=dict)
    """Parameters of the (right) hand in camera space; a frame without them is labelled by its 21 joints."""
    pictures: Literal["video", "frames"] = "video"
    """One video, in which colours are not quite the same, or a folder of lossless pictures."""
    rate_hz: float = 30.0
    """Frames of the video per second."""
    side: Side = "right"
    """`left`: the mirror image of everything is written, which shows a left hand."""


def export_recording(dataset: Dataset, split: Split, sequence: str, folder: Path, options: RecordingOptions) -> None:
    """Write a sequence's pictures, camera, object and chosen labels to a new folder, which appears when it is whole.

    The pictures' positions in the sequence become the frames' numbers. Raises `DataError` when the folder is there
    already, or when a frame that is to be labelled has no annotation.
    """
    remove_leftovers(folder.parent, folder.name)
    if folder.exists():
        raise DataError(f"expected to write a new recording, but {folder} exists already; choose another name")
    names = [name for name in dataset.names(split) if name.sequence == sequence]
    if not names:
        raise DataError(f"expected a sequence of {split} of {dataset.root}, found none called {sequence!r}")
    with replacing_folder(folder) as temporary:
        _write_declarations(dataset, names, temporary, options)
        _write_pictures(dataset, names, temporary, options)


def _write_declarations(dataset: Dataset, names: list[FrameName], folder: Path, options: RecordingOptions) -> None:
    """Write camera, object and labels."""
    first = _frame(dataset, names[0], options.side)
    intrinsics = first.camera.intrinsics.double().numpy()
    write_lens(folder, Lens(intrinsics, first.camera.width, first.camera.height))
    write_mesh(folder / MESH_FILE, first.object)
    write_object(folder, first.object.name, MESH_FILE)
    labels = [_label(dataset, names, number, options) for number in sorted({*options.train, *options.evaluation})]
    hand = left_hand(dataset.hand) if options.side == "left" else dataset.hand
    write_annotations(folder, labels, hand_model=hand.template.name if options.hands else None, side=options.side)


def _write_pictures(dataset: Dataset, names: list[FrameName], folder: Path, options: RecordingOptions) -> None:
    pictures = (_picture(_frame(dataset, name, options.side)) for name in names)
    if options.pictures == "frames":
        (folder / FRAMES_FOLDER).mkdir()
        for number, picture in enumerate(pictures):
            Image.fromarray(picture).save(folder / FRAMES_FOLDER / f"{number:06d}.png")
        return
    camera = _frame(dataset, names[0], options.side).camera
    with VideoWriter(folder / f"{VIDEO_STEM}.mp4", (camera.width, camera.height)) as video:
        for number, picture in enumerate(pictures):
            video.add(picture, time_s=number / options.rate_hz)


def _frame(dataset: Dataset, name: FrameName, side: Side) -> Frame:
    frame = dataset.frame(name, annotated=False)
    return mirrored_frame(frame) if side == "left" else frame


def _picture(frame: Frame) -> UInt8[np.ndarray, "h w 3"]:
    return (255 * frame.image).round().byte().permute(1, 2, 0).contiguous().numpy()


def _label(dataset: Dataset, names: list[FrameName], number: int, options: RecordingOptions) -> Label:
    if not 0 <= number < len(names) or not dataset.is_annotated(names[number]):
        raise DataError(f"expected an annotated frame of 0 to {len(names) - 1} to label, got {number}")
    annotation, hand = dataset.truth(names[number]).annotation, options.hands.get(number)
    if options.side == "left":
        annotation, hand = mirrored_annotation(annotation), None if hand is None else _mirrored(hand)
    return Label(
        number,
        hand or HandJoints(annotation.hand_joints.double().numpy()),
        axis_angle_from_matrix(annotation.object_rotation.double()).numpy(),
        annotation.object_translation.double().numpy(),
        "evaluation" if number in options.evaluation else "train",
    )


def _mirrored(right: HandParameters) -> HandParameters:
    """The parameters of the left hand that is the mirror image of a right one."""
    pose, translation = (torch.from_numpy(values) for values in (right.pose, right.translation))
    mirrored_pose = mirrored_axis_angle(pose.unflatten(0, (-1, 3))).flatten()
    return HandParameters(mirrored_pose.numpy(), right.shape, mirrored_points(translation).numpy())


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
