"""The sample data as files, in HO-3D version 3's own layout, so that they go through the real loader.

Generated sequences are written; the shipped ones are unpacked in the user's cache.
"""

import json
import pickle
import shutil
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from warpgrasp.data.dataset import Split
from warpgrasp.data.ho3d.annotations import FLIP, hand_meta, joints_in_file, object_meta
from warpgrasp.data.sample.grasp import OBJECT_NAMES, OBJECTS, object_surface
from warpgrasp.data.sample.sequence import HEIGHT_PX, WIDTH_PX, GraspSequence
from warpgrasp.errors import DataError
from warpgrasp.files import cache_folder, replacing_folder
from warpgrasp.hand import HandModel, open_hand

Sequences = Mapping[str, GraspSequence]
Painter = Callable[[Split, str, int, Path], None]  # writes the picture of a frame of a sequence to a path


@dataclass(frozen=True)
class PosedSequence:
    """A sequence's hand surfaces and joints, in the OpenCV camera frame."""

    vertices: np.ndarray  # (t, v, 3)
    joints: np.ndarray  # (t, 21, 3), order JOINTS

    @staticmethod
    def of(sequence: GraspSequence, hand: HandModel) -> "PosedSequence":
        """Pose the hand in every frame."""
        with torch.no_grad():
            posed = hand(
                torch.from_numpy(sequence.hand_rotation).float(),
                torch.from_numpy(sequence.hand_pose).float(),
                torch.from_numpy(sequence.hand_shape).float().expand(len(sequence), -1),
            )
        translation = sequence.hand_translation[:, None]
        return PosedSequence(posed.vertices.numpy() + translation, posed.joints.numpy() + translation)


def write_layout(root: Path, train: Sequences, evaluation: Sequences, paint: Painter) -> None:
    """Write a data set: pictures by `paint`, annotations, object models and lists.

    The folder appears under its name only when it is whole. Raises `DataError` when it is there already.
    """
    if root.exists():
        raise DataError(
            f"expected to write a new data set, but {root} exists already; remove it or choose another name"
        )
    hand = HandModel(open_hand())
    with replacing_folder(root) as partial, as_file(OBJECTS) as objects:
        _write_split(partial, "train", train, hand, paint)
        _write_split(partial, "evaluation", evaluation, hand, paint)
        for name in OBJECT_NAMES:
            shutil.copytree(objects / name, partial / "models" / name)


SHIPPED = files("warpgrasp.data.sample") / "shipped.zip"
STAMP = "shipped.sha"
SAMPLE = Path("sample")  # as data sets are named: the shipped one, where there is no such folder


def shipped_if_named(root: Path) -> Path:
    """`root`, or the shipped sequences, unpacked in the user's cache, where `root` is `sample` and no folder."""
    return unpack_shipped(cache_folder() / "sample") if root == SAMPLE and not root.exists() else root


def unpack_shipped(root: Path) -> Path:
    """Unpack the shipped sequences to `root`, unless they are there already: each file with its content.

    Raises `DataError` when something else is there, or a file was changed or removed.
    """
    with as_file(SHIPPED) as path, zipfile.ZipFile(path) as archive:
        checksum = f"{sum(entry.CRC for entry in archive.infolist()):x}"
        if root.exists():
            _check_unpacked(root, archive, checksum)
            return root
        with replacing_folder(root) as partial:
            archive.extractall(partial)
            (partial / STAMP).write_text(checksum)
    return root


def _check_unpacked(root: Path, archive: zipfile.ZipFile, checksum: str) -> None:
    stamp = root / STAMP
    if not stamp.is_file() or stamp.read_text() != checksum:
        raise DataError(f"expected the shipped sample data in {root}, found something else; remove it")
    for entry in archive.infolist():
        file = root / entry.filename
        if not entry.is_dir() and not (file.is_file() and zlib.crc32(file.read_bytes()) == entry.CRC):
            raise DataError(f"expected {file} as it was shipped, found it changed or removed; remove {root}")


def _write_split(root: Path, split: Split, sequences: Sequences, hand: HandModel, paint: Painter) -> None:
    lines, all_joints, all_vertices = [], [], []
    for name, sequence in sequences.items():
        posed = PosedSequence.of(sequence, hand)
        folder = root / split / name
        (folder / "meta").mkdir(parents=True)
        (folder / "rgb").mkdir()
        for index in range(len(sequence)):
            joints = joints_in_file(posed.joints[index])
            meta = _object_meta(sequence, index)
            if split == "train":
                meta |= {"handJoints3D": joints, **_hand_meta(sequence, index, hand)}
            else:
                meta |= {"handJoints3D": joints[0], "handBoundingBox": _bounding_box(sequence, posed, index)}
                all_joints.append(joints)
                all_vertices.append(posed.vertices[index] * FLIP)
            (folder / "meta" / f"{index:04d}.pkl").write_bytes(pickle.dumps(meta, protocol=2))
            paint(split, name, index, folder / "rgb" / f"{index:04d}.jpg")
            lines.append(f"{name}/{index:04d}\n")
    (root / f"{split}.txt").write_text("".join(lines))
    if split == "evaluation":
        _write_numbers(root / "evaluation_xyz.json", all_joints)
        _write_numbers(root / "evaluation_verts.json", all_vertices)


def _write_numbers(path: Path, arrays: list[np.ndarray]) -> None:
    """Metres, to the micrometre."""
    rounded = [[[round(float(value), 6) for value in row] for row in array] for array in arrays]
    path.write_text(json.dumps(rounded, separators=(",", ":")))


def _object_meta(sequence: GraspSequence, index: int) -> dict[str, Any]:
    pose = sequence.camera_from_object[index]
    return object_meta(
        sequence.object_name,
        label=OBJECT_NAMES.index(sequence.object_name) + 1,
        vertices=object_surface(sequence.object_name).vertices,
        rotation=pose[:3, :3],
        translation=pose[:3, 3],
        intrinsics=sequence.intrinsics,
    )


def _hand_meta(sequence: GraspSequence, index: int, hand: HandModel) -> dict[str, Any]:
    shape = sequence.hand_shape
    return hand_meta(
        hand.template,
        rotation=Rotation.from_rotvec(sequence.hand_rotation[index]).as_matrix(),
        wrist=hand.template.rest_wrist(shape) + sequence.hand_translation[index],
        angles=sequence.hand_pose[index],
        shape=shape,
    )


def _bounding_box(sequence: GraspSequence, posed: PosedSequence, index: int) -> list[int]:
    """Of the hand, in pixels: [x0, y0, x1, y1]."""
    points = posed.vertices[index] @ sequence.intrinsics.T
    pixels = points[:, :2] / points[:, 2:]
    low = np.maximum(np.floor(pixels.min(axis=0)), 0)
    high = np.minimum(np.ceil(pixels.max(axis=0)), [WIDTH_PX - 1, HEIGHT_PX - 1])
    return [int(value) for value in (*low, *high)]
