"""A take as a data set in HO-3D version 3's own layout: pictures, annotations, the object's mesh, the frames' list.

Writes hand predictions as DexYCB's own evaluation reads them.
"""

import os
import pickle
import re
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from warpgrasp.data import Split
from warpgrasp.data.dexycb import DexYcb
from warpgrasp.data.ho3d import FLIP, hand_meta, joints_in_file, object_meta
from warpgrasp.evaluation import EvaluationError
from warpgrasp.export.sequence import Take, TakeError
from warpgrasp.frame import FrameName
from warpgrasp.geometry import MIRROR
from warpgrasp.hand import PLACEMENT_JOINT, HandModel
from warpgrasp.predictions import Predictions

JPEG_QUALITY = 95
OBJECT_LABEL = 1  # there is one object
NOT_IN_NAMES = re.compile(r"[^\w.-]", re.ASCII)


def check_ho3d(take: Take) -> None:
    """Raise `TakeError` when a take cannot be written so: HO-3D has pictures, and right hands alone."""
    if take.pictures is None:
        raise TakeError("expected the pictures that were predicted, for HO-3D's layout; give them by --data")
    if take.side != "right":
        raise TakeError(f"expected right hands, which HO-3D's layout is for, found {take.hand.template.name}")


def write_ho3d(take: Take, root: Path) -> None:
    """Write the folder `root`: every frame an annotated training frame, none for evaluation.

    `load_object` turns the meshes of this layout by half a turn about x (docs/conventions.md), so the mesh is written
    turned, and what is read again has the object's own coordinates.
    """
    assert take.pictures is not None
    sequence, name = (_as_name(text) for text in (take.sequence, take.model.name))
    folder = root / "train" / sequence
    for kind in ("rgb", "meta"):
        (folder / kind).mkdir(parents=True)
    mesh = (take.model.vertices + take.model.centre_m).double().numpy() * FLIP
    (root / "models" / name).mkdir(parents=True)
    (root / "models" / name / "textured_simple.obj").write_text(_obj(mesh, take.model.faces.numpy()))
    lines = []
    for part in take.chunks():
        wrists, joints = _wrists_and_joints(part, take.hand)
        angles = take.hand.pose_from_coefficients(torch.from_numpy(part.hand_pose).float()).numpy()
        for row, index in enumerate(part.index.tolist()):
            picture, camera = take.pictures(FrameName(take.sequence, index))
            rotation = part.object_rotation[row].astype(np.float64)
            meta = object_meta(
                name,
                label=OBJECT_LABEL,
                vertices=mesh,
                rotation=rotation * FLIP,
                translation=part.object_translation[row] - rotation @ take.model.centre_m.double().numpy(),
                intrinsics=camera.intrinsics.double().numpy(),
            )
            meta |= {"handJoints3D": joints_in_file(joints[row])}
            meta |= hand_meta(
                take.hand.template,
                rotation=part.hand_rotation[row].astype(np.float64),
                wrist=wrists[row],
                angles=angles[row],
                shape=part.hand_shape[row],
            )
            (folder / "meta" / f"{index:04d}.pkl").write_bytes(pickle.dumps(meta, protocol=2))
            Image.fromarray(picture).save(folder / "rgb" / f"{index:04d}.jpg", quality=JPEG_QUALITY, subsampling=0)
            lines.append(f"{sequence}/{index:04d}\n")
    (root / "train.txt").write_text("".join(lines))
    (root / "evaluation").mkdir()
    (root / "evaluation.txt").write_text("")


def _as_name(text: str) -> str:
    """A text as the name of a folder that HO-3D's lists can hold."""
    return NOT_IN_NAMES.sub("_", text).lstrip(".-") or "_"


@torch.no_grad()
def _wrists_and_joints(part: Predictions, hand: HandModel) -> tuple[np.ndarray, np.ndarray]:
    """Where the hand model itself puts wrist (n, 3) and joints (n, 21, 3); an adapted skeleton's are others.

    `part.hand_translation` is where the joint by which hands are placed lies.
    """
    rotation, place, coefficients, shape = (
        torch.from_numpy(array).float()
        for array in (part.hand_rotation, part.hand_translation, part.hand_pose, part.hand_shape)
    )
    joints = hand(torch.zeros(len(part), 3), hand.pose_from_coefficients(coefficients), shape).joints
    joints = (joints - joints[:, PLACEMENT_JOINT, None]) @ rotation.mT + place[:, None]
    return joints[:, 0].double().numpy(), joints.double().numpy()


def _obj(vertices: np.ndarray, faces: np.ndarray) -> str:
    rows = ["v {:.9g} {:.9g} {:.9g}".format(*vertex) for vertex in vertices.tolist()]
    rows += ["f {} {} {}".format(*face) for face in (faces + 1).tolist()]
    return "\n".join(rows) + "\n"


def write_dexycb_result(path: Path, predictions: Predictions, dataset: DexYcb, split: Split) -> int:
    """Write a line `image_id,x,y,z,…` for each frame of a split and return how many: 21 joints in mm, camera space.

    Ids count the split's frames of both hands in the official order. The joints of a left hand, which was predicted in
    the mirror, are mirrored back. Raises `EvaluationError` when a frame of the split was not predicted, or the data set
    was opened without left or right hands: the official evaluation wants all.
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
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w") as file:
            for name, number in ids.items():
                flip = np.array(MIRROR) if dataset.is_mirrored(name) else 1.0
                joints_mm = 1000.0 * predictions.hand_joints[rows[name]].astype(np.float64) * flip
                file.write(f"{number},{','.join(f'{value:.4f}' for value in joints_mm.ravel())}\n")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return len(ids)
