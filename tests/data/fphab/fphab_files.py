"""Writes a tiny data set in FPHAB's layout with the open hand, from sequences whose truth is known.

Everything is written as FORMATS.md A.1 describes it, in NumPy: nothing of the loader is used.
"""

import pickle
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from tests.sample_set import simple_sequence
from warpgrasp.data.sample.files import PosedSequence
from warpgrasp.data.sample.grasp import object_surface
from warpgrasp.data.sample.sequence import GraspSequence
from warpgrasp.hand.model import HandModel

EXTRINSIC_MM = np.array(
    [
        [0.999988496304, -0.00468848412856, 0.000982563360594, 25.7],
        [0.00469115935266, 0.999985218048, -0.00273845880292, 1.22],
        [-0.000969709653873, 0.00274303671904, 0.99999576807, 3.902],
        [0, 0, 0, 1],
    ]
)
INTRINSICS = np.array([[1395.749023, 0, 935.732544], [0, 1395.749268, 540.681030], [0, 0, 1]])
# `skeleton[SIMPLE_ORDER]` is wrist, then thumb … little, each from base to tip.
SIMPLE_ORDER = [0, 1, 6, 7, 8, 2, 9, 10, 11, 3, 12, 13, 14, 4, 15, 16, 17, 5, 18, 19, 20]
FULL_PX, REDUCED_PX = (192, 108), (96, 54)  # stand for 1920x1080 and 480x270
MESH_OFFSET_M = np.array([0.011, -0.023, 0.037])  # files are not centred on their bounding boxes
MESHES = {
    "juice_model": "006_mustard_bottle",
    "liquid_soap_model": "006_mustard_bottle",
    "milk_model": "003_cracker_box",
    "salt_model": "003_cracker_box",
}
OBJECT_OF = {"open_juice_bottle": "006_mustard_bottle", "pour_milk": "003_cracker_box"}

# Sequence, frames, first frame with a pose, whether it has MANO fits.
TRAIN = (
    ("Subject_1/open_juice_bottle/1", 8, 0, True),
    ("Subject_3/pour_milk/2", 6, 2, True),
    ("Subject_5/open_juice_bottle/2", 2, 0, True),
)
EVALUATION = (
    ("Subject_2/open_juice_bottle/1", 4, 0, True),
    ("Subject_6/pour_milk/1", 3, 0, False),
    ("Subject_1/pour_milk/3", 2, 0, True),
)
EMPTY = "Subject_4/put_salt/1"  # in the evaluation list: poses, but an empty skeleton file
WITHOUT_POSE = "Subject_4/put_salt/3"  # in the training list
LIST = "data_split_action_recognition.txt"


@dataclass(frozen=True)
class WrittenSequence:
    """What a sequence was written from, in the colour camera's frame, in metres."""

    sequence: GraspSequence
    hand_vertices: np.ndarray  # (t, v, 3)
    joints: np.ndarray  # (t, 21, 3), FPHAB's own, order JOINTS
    object_vertices: np.ndarray  # (t, v, 3), in the order of numpy.unique of the file's
    first_pose: int


@dataclass(frozen=True)
class FphabSample:
    """The tiny data set, and what it was written from."""

    root: Path
    sequences: dict[str, WrittenSequence]


def write_fphab(root: Path, hand: HandModel) -> FphabSample:
    """Three training and three evaluation sequences that can be used, and some that cannot."""
    written = {}
    for number, (name, frames, first_pose, fits) in enumerate((*TRAIN, *EVALUATION)):
        one = _truth(name, frames, first_pose, number, hand)
        written[name] = one
        write_skeleton(root / "Hand_pose_annotation_v1" / name / "skeleton.txt", one.joints)
        poses = _file_poses(one.sequence)
        write_poses(root / "Object_6D_pose_annotation_v1_1" / name / "object_pose.txt", poses, first=first_pose)
        if fits:
            write_fits(root / "fhbhands_fits" / name / "pkls.pkl", one.sequence)
        for index in range(frames):
            points = np.concatenate([one.hand_vertices[index], one.object_vertices[index]])
            file = Path(name) / "color" / f"color_{index:04d}.jpeg"
            save_points(points, FULL_PX, root / "Video_files" / file)
            save_points(points, REDUCED_PX, root / "Video_files_480" / file)
    write_skeleton(root / "Hand_pose_annotation_v1" / EMPTY / "skeleton.txt", np.zeros((0, 21, 3)))
    still = np.tile(np.eye(4), (2, 1, 1))
    write_poses(root / "Object_6D_pose_annotation_v1_1" / EMPTY / "object_pose.txt", still, first=0)
    for folder, name in MESHES.items():
        write_mesh(root / "Object_models" / folder / f"{folder}.ply", name)
    train = [*(name for name, *_ in TRAIN), "Subject_5/use_flash/6", WITHOUT_POSE, "Subject_2/high_five/1"]
    evaluation = [*(name for name, *_ in EVALUATION), EMPTY, "Subject_1/charge_cell_phone/2"]
    write_list(root / LIST, train, evaluation)
    return FphabSample(root, written)


def _truth(name: str, frames: int, first_pose: int, number: int, hand: HandModel) -> WrittenSequence:
    simple = simple_sequence(OBJECT_OF[name.split("/")[1]], frames, float(number))
    random = np.random.default_rng(number)
    bent = hand.template.mean_pose + 0.5 * random.normal(size=(frames, 45)) @ hand.template.pose_components
    place = simple.camera_from_object.copy()
    # Towards the hand and away from it: some frames have a joint within 10 mm of the object, some do not.
    place[:, 0, 3] += 0.018 + 0.025 * np.sin(2 * np.arange(frames))
    place[:, 2, 3] -= 0.012
    sequence = replace(simple, hand_pose=bent, camera_from_object=place)
    posed = PosedSequence.of(sequence, hand)
    # FPHAB's joints are not the hand model's: each lies a few millimetres beside, always in the same direction.
    beside = 0.002 * np.random.default_rng(7).normal(size=(21, 3))
    vertices = np.unique(object_surface(sequence.object_name).vertices, axis=0)
    objects = np.einsum("tij,vj->tvi", place[:, :3, :3], vertices) + place[:, None, :3, 3]
    return WrittenSequence(sequence, posed.vertices, posed.joints + beside, objects, first_pose)


def _file_poses(sequence: GraspSequence) -> np.ndarray:
    """Poses of the file's vertices (the surface's, moved by `MESH_OFFSET_M`), metres."""
    back = np.eye(4)
    back[:3, 3] = -MESH_OFFSET_M
    return sequence.camera_from_object @ back


def write_skeleton(path: Path, joints_m: np.ndarray) -> None:
    """`t x1 y1 z1 … x21 y21 z21`, mm, in the frame of the depth camera."""
    file_order = np.argsort(SIMPLE_ORDER)
    homogeneous = np.concatenate([1000 * joints_m, np.ones((*joints_m.shape[:2], 1))], axis=2)
    world_mm = (homogeneous @ np.linalg.inv(EXTRINSIC_MM).T)[:, file_order, :3]
    _write_rows(path, world_mm.reshape(len(joints_m), 63), range(len(joints_m)))


def write_poses(path: Path, camera_from_object_m: np.ndarray, *, first: int) -> None:
    """`t m11 m21 m31 m41 m12 …`: column by column, translation in mm, into the frame of the depth camera."""
    pose_mm = camera_from_object_m.copy()
    pose_mm[:, :3, 3] *= 1000
    world_from_object = np.linalg.inv(EXTRINSIC_MM) @ pose_mm
    _write_rows(path, world_from_object.transpose(0, 2, 1).reshape(-1, 16)[first:], range(first, len(pose_mm)))


def _write_rows(path: Path, rows: np.ndarray, frames: Sequence[int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (
        f"{frame:04d} " + " ".join(f"{value:.9f}" for value in row) for frame, row in zip(frames, rows, strict=True)
    )
    path.write_text("".join(f"{line}\n" for line in lines))


def write_fits(path: Path, sequence: GraspSequence) -> None:
    """The whole pose as axis-angle vectors, the translation, the shape; metres, in the colour camera's frame."""
    frames = {
        f"{index:06d}.pkl": {
            "fullpose": np.concatenate([sequence.hand_rotation[index], sequence.hand_pose[index]]),
            "trans": sequence.hand_translation[index],
            "shape": sequence.hand_shape,
        }
        for index in range(len(sequence))
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(frames, protocol=2))


def write_mesh(path: Path, name: str) -> None:
    """A .ply in metres."""
    surface = object_surface(name)
    vertices, faces = surface.vertices + MESH_OFFSET_M, surface.faces
    header = ["ply", "format ascii 1.0", f"element vertex {len(vertices)}"]
    header += [f"property float {axis}" for axis in "xyz"]
    header += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header"]
    rows = [" ".join(f"{value:.9f}" for value in vertex) for vertex in vertices]
    rows += [f"3 {a} {b} {c}" for a, b, c in faces]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*header, *rows]) + "\n")


def write_list(path: Path, train: Sequence[str], evaluation: Sequence[str]) -> None:
    """The list of sequences, each with the number of its action."""
    lines = [f"Training {len(train)}", *(f"{name} 3" for name in train)]
    lines += [f"Test {len(evaluation)}", *(f"{name} 3" for name in evaluation)]
    path.write_text("\n".join(lines) + "\n")


def save_points(points_m: np.ndarray, size: tuple[int, int], path: Path) -> None:
    """A picture that is bright where points project, and dark elsewhere."""
    image = points_m @ INTRINSICS.T
    scale = np.array(size) / (1920, 1080)
    pixels = np.round(scale * (image[:, :2] / image[:, 2:] + 0.5) - 0.5).astype(int)
    inside = ((pixels >= 0) & (pixels < size)).all(axis=1)
    picture = np.full((size[1], size[0], 3), 20, dtype=np.uint8)
    picture[pixels[inside, 1], pixels[inside, 0]] = 230
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path, quality=95, subsampling=0)
