"""Predictions in the layouts of others' data sets and challenges: HO-3D, BOP and DexYCB."""

import csv
import pickle
import re
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image

from warpgrasp.data import Split
from warpgrasp.data.dexycb import DexYcb
from warpgrasp.data.ho3d import FLIP, hand_meta, joints_in_file, object_meta
from warpgrasp.evaluation import EvaluationError
from warpgrasp.export.meshes import obj_text
from warpgrasp.export.sequence import PredictedSequence, SequenceError
from warpgrasp.files import replacing
from warpgrasp.frame import FrameName
from warpgrasp.geometry import MIRROR, nearest_rotation
from warpgrasp.predictions import Predictions

JPEG_QUALITY = 95
MM_PER_M = 1000
OBJECT_LABEL = 1  # there is one object
NOT_IN_NAMES = re.compile(r"[^\w.-]", re.ASCII)


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
