"""Writes a tiny data set in DexYCB's layout by the open hand, with the truth beside it.

One subject of ten. It has its hundred sequences, of which all but four are empty (no frames), so that positions among
the sorted sequences mean what they mean in the real data set. A left hand's view is the mirror image of a generated
right hand's: that picture, flipped. Its labels were made as the real ones, by a left model whose shape directions have
the right hand's sign along x.
"""

import shutil
from dataclasses import dataclass, replace
from importlib.resources import as_file
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
import yaml
from scipy.spatial.transform import Rotation

from tests.sample_set import simple_sequence
from warpgrasp.data.sample.files import Appearance, PosedSequence, paint, save_picture
from warpgrasp.data.sample.grasp import OBJECTS as SAMPLE_OBJECTS
from warpgrasp.data.sample.grasp import object_surface
from warpgrasp.data.sample.sequence import GraspSequence
from warpgrasp.hand.model import HandModel, HandTemplate
from warpgrasp.hand.templates import open_hand

MIRROR = np.array([-1.0, 1.0, 1.0])
AXIS_MIRROR = np.array([1.0, -1.0, -1.0])  # of axis-angle vectors
CLASSES = {"003_cracker_box": 2, "006_mustard_bottle": 5}
DECOYS = (12, 18)  # other objects in view: their classes
WITHOUT_HAND, WITHOUT_OBJECT = 0, 1  # frames of the training views


@dataclass(frozen=True)
class Planned:
    """What a view shows, and where it lies."""

    subject: str
    position: int  # among the subject's sorted sequences
    serial: str
    side: Literal["right", "left"]
    object_name: str
    frames: int
    phase: float

    @property
    def folder(self) -> str:
        return f"{self.subject.split('-')[0]}_{140000 + 100 * self.position}"

    @property
    def name(self) -> str:
        return f"{self.subject}/{self.folder}/{self.serial}"

    @property
    def calibration(self) -> str:
        return f"{self.subject}_{self.side}"


SUBJECT = "20200820-subject-03"
TRAIN_RIGHT = Planned(SUBJECT, 0, "836212060125", "right", "006_mustard_bottle", 5, 0.0)
TRAIN_LEFT = Planned(SUBJECT, 1, "836212060125", "left", "003_cracker_box", 4, 1.0)
EVALUATION_RIGHT = Planned(SUBJECT, 4, "932122062010", "right", "006_mustard_bottle", 2, 2.0)
EVALUATION_LEFT = Planned(SUBJECT, 9, "836212060125", "left", "003_cracker_box", 2, 3.0)
PLANNED = (TRAIN_RIGHT, TRAIN_LEFT, EVALUATION_RIGHT, EVALUATION_LEFT)


@dataclass(frozen=True)
class WrittenView:
    """The truth of a view, in the camera of the picture as it is on disk (a left hand is a left hand)."""

    plan: Planned
    intrinsics: np.ndarray  # (3, 3), of 640×480 pixels
    hand_rotation: np.ndarray  # (t, 3)
    hand_pose: np.ndarray  # (t, 45), axis-angle
    hand_shape: np.ndarray  # (10,)
    hand_translation: np.ndarray  # (t, 3)
    vertices: np.ndarray  # (t, v, 3)
    joints: np.ndarray  # (t, 21, 3)
    camera_from_object: np.ndarray  # (t, 4, 4)
    pictures: list[torch.Tensor]  # (3, 480, 640), before JPEG


@dataclass(frozen=True)
class DexYcbFiles:
    """The data set, and what it was written from."""

    root: Path
    views: dict[str, WrittenView]


def labelled_left() -> HandTemplate:
    """The open hand's mirror image, with the sign that MANO's left file has in its shape directions."""
    left = open_hand("left")
    return replace(left, shape_directions=left.shape_directions * MIRROR[:, None])


def write_dexycb(root: Path) -> DexYcbFiles:
    """Write the data set."""
    for position in range(100):
        write_meta(root, replace(TRAIN_RIGHT, position=position, frames=0))
    views = {plan.name: write_view(root, plan, number) for number, plan in enumerate(PLANNED)}
    for view in views.values():
        write_calibration(root, view)
    with as_file(SAMPLE_OBJECTS) as folder:
        for name in CLASSES:
            (root / "models" / name).mkdir(parents=True)
            shutil.copy(folder / name / "textured_simple.obj", root / "models" / name)
    return DexYcbFiles(root, views)


def write_yaml(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content))


def write_meta(root: Path, plan: Planned) -> None:
    content = {
        "serials": [plan.serial],
        "num_frames": plan.frames,
        "extrinsics": "20200702_151821",
        "ycb_ids": [DECOYS[0], CLASSES[plan.object_name], DECOYS[1]],
        "ycb_grasp_ind": 1,
        "mano_sides": [plan.side],
        "mano_calib": [plan.calibration],
    }
    write_yaml(root / plan.subject / plan.folder / "meta.yml", content)


def write_calibration(root: Path, view: WrittenView) -> None:
    K = view.intrinsics
    colour = {"fx": K[0, 0], "fy": K[1, 1], "ppx": K[0, 2], "ppy": K[1, 2]}
    numbers = {key: float(value) for key, value in colour.items()}
    intrinsics = root / "calibration" / "intrinsics" / f"{view.plan.serial}_640x480.yml"
    write_yaml(intrinsics, {"color": numbers, "depth": {key: 0.9 * value for key, value in numbers.items()}})
    with intrinsics.open("a") as file:  # as the published files have it: the cameras' poses as a tagged tuple
        file.write("extrinsics: !!python/tuple\n" + "".join(f"- {value}\n" for value in (1.0, *[0.0] * 10, 1e-3)))
    betas = [float(value) for value in view.hand_shape]
    write_yaml(root / "calibration" / f"mano_{view.plan.calibration}" / "mano.yml", {"betas": betas})


def write_view(root: Path, plan: Planned, number: int) -> WrittenView:
    """Meta, pictures and labels of a view."""
    written = view_of(plan, number)
    write_meta(root, plan)
    folder = root / plan.name
    folder.mkdir()
    for index in range(plan.frames):
        save_picture(written.pictures[index], folder / f"color_{index:06d}.jpg")
        write_labels(folder / f"labels_{index:06d}.npz", written, index)
    return written


def view_of(plan: Planned, number: int) -> WrittenView:
    source = grasp(plan, number)
    right = plan.side == "right"
    flip, axis_flip = (np.ones(3), np.ones(3)) if right else (MIRROR, AXIS_MIRROR)
    intrinsics = intrinsics_of(plan)
    painted = replace(source, intrinsics=half_size(intrinsics))
    if not right:  # the generated right hand is seen by the mirrored camera
        painted = replace(painted, intrinsics=half_size(flipped(intrinsics)))
    on_disk = replace(
        source,
        hand_rotation=source.hand_rotation * axis_flip,
        hand_pose=source.hand_pose * np.tile(axis_flip, 15),
        hand_translation=source.hand_translation * flip,
        camera_from_object=conjugated(source.camera_from_object, flip),
    )
    model = HandModel(open_hand() if right else labelled_left())
    posed = PosedSequence.of(on_disk, model)
    pictures = pictures_of(painted, number)
    return WrittenView(
        plan=plan,
        intrinsics=intrinsics,
        hand_rotation=on_disk.hand_rotation,
        hand_pose=on_disk.hand_pose,
        hand_shape=on_disk.hand_shape,
        hand_translation=on_disk.hand_translation,
        vertices=posed.vertices,
        joints=posed.joints,
        camera_from_object=on_disk.camera_from_object,
        pictures=pictures if right else [picture.flip(-1) for picture in pictures],
    )


def grasp(plan: Planned, number: int) -> GraspSequence:
    """A right hand with the object beside it, its fingers bent away from the mean pose."""
    sequence = simple_sequence(plan.object_name, plan.frames, plan.phase)
    template, random = open_hand(), np.random.default_rng([5, number])
    coefficients = 0.6 * random.normal(size=(plan.frames, 45))
    return replace(sequence, hand_pose=template.mean_pose + coefficients @ template.pose_components)


def intrinsics_of(plan: Planned) -> np.ndarray:
    """Off-centre, so that a wrong mirror image is seen."""
    shift = 3.0 * (plan.serial == "932122062010")
    return np.array([[614.6, 0, 331.3 + shift], [0, 613.9, 237.2 - shift], [0, 0, 1]])


def half_size(intrinsics: np.ndarray) -> np.ndarray:
    return np.array([[0.5, 0, -0.25], [0, 0.5, -0.25], [0, 0, 1]]) @ intrinsics


def flipped(intrinsics: np.ndarray) -> np.ndarray:
    """Of the picture of 640 pixels' width, mirrored."""
    return np.array([[-1, 0, 639], [0, 1, 0], [0, 0, 1.0]]) @ intrinsics @ np.diag(MIRROR)


def conjugated(poses: np.ndarray, flip: np.ndarray) -> np.ndarray:
    matrix = np.diag([*flip, 1.0])
    return matrix @ poses @ matrix


def pictures_of(sequence: GraspSequence, number: int) -> list[torch.Tensor]:
    model, scene = HandModel(open_hand()), Appearance.random(np.random.default_rng(number))
    posed = PosedSequence.of(sequence, model)
    small = torch.stack([paint(sequence, posed, model, scene, index) for index in range(len(sequence))])
    return list(F.interpolate(small, scale_factor=2, mode="nearest"))


def write_labels(path: Path, view: WrittenView, index: int) -> None:
    """Poses of all objects in view, the hand, and its joints; two training frames lack one or the other."""
    template = open_hand(view.plan.side)
    coefficients = (view.hand_pose[index] - template.mean_pose) @ np.linalg.inv(template.pose_components)
    hand = np.concatenate([view.hand_rotation[index], coefficients, view.hand_translation[index]])
    decoys = np.tile(np.eye(4), (2, 1, 1))
    decoys[:, :3, :3] = Rotation.from_rotvec([[0.3, 1, 2], [1, 0, 0.4]]).as_matrix()
    decoys[:, :3, 3] = [[0.2, 0.1, 0.9], [-0.2, 0.1, 0.8]]
    poses = np.stack([decoys[0], view.camera_from_object[index], decoys[1]])[:, :3]
    joints = view.joints[index]
    pixels = joints @ view.intrinsics.T
    pixels = pixels[:, :2] / pixels[:, 2:]
    if view.plan in (TRAIN_RIGHT, TRAIN_LEFT):
        if index == WITHOUT_HAND:
            hand, joints, pixels = 0 * hand, np.full((21, 3), -1), np.full((21, 2), -1)
        if index == WITHOUT_OBJECT:
            poses[1] = 0
    np.savez_compressed(
        path,
        seg=np.zeros((480, 640), np.uint8),
        pose_y=poses.astype(np.float32),
        pose_m=hand[None].astype(np.float32),
        joint_3d=joints[None].astype(np.float32),
        joint_2d=pixels[None].astype(np.float32),
    )


def file_vertices(name: str) -> np.ndarray:
    """The distinct vertices of a mesh file, sorted as `numpy.unique` sorts them."""
    return np.unique(object_surface(name).vertices, axis=0)


def edit_labels(path: Path, **arrays: np.ndarray | None) -> None:
    """Replace arrays of a labels file, or remove those that are None."""
    with np.load(path) as stored:
        content = {key: stored[key] for key in stored.files} | arrays
    np.savez_compressed(path, **{key: value for key, value in content.items() if value is not None})


def edit_yaml(path: Path, **values: object) -> None:
    """Replace values of a YAML file, or remove those that are None."""
    content = yaml.load(path.read_text(), Loader=yaml.FullLoader) | values
    write_yaml(path, {key: value for key, value in content.items() if value is not None})
