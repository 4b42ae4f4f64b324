"""The source hand: random adult right hands of anny, in one frame, with MANO's sixteen joints.

Wrist to middle finger along -X, palm facing -Y, thumb on the +Z side, origin at the middle knuckle; metres.
"""

from dataclasses import dataclass

import anny
import numpy as np
import torch
from scipy.spatial.transform import Rotation

FINGERS = ("index", "middle", "little", "ring", "thumb")  # MANO's order of chains
JOINTS = ("wrist", *(f"{finger}{i}" for finger in FINGERS for i in (1, 2, 3)))
PARENTS = np.array([-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14])
ANNY_FINGER = {"thumb": 1, "index": 2, "middle": 3, "ring": 4, "little": 5}
HAND_CHANGES = {  # anny's local changes of the hand; the part of -1..1 that makes adult hands
    "r-hand-scale-incr": (-0.75, -0.35),  # anny's default hand is 203 mm long; adults average about 187 mm
    "r-hand-fingers-length-incr": (-0.4, 0.5),
    "r-hand-fingers-diameter-incr": (-0.5, 0.5),
    "r-hand-fingers-distance-incr": (-0.4, 0.4),
}
ADULT = {  # anny's phenotypes, 0..1; an age of 0.667 is a young adult
    "age": (0.667, 0.95),
    "gender": (0.1, 0.9),
    "muscle": (0.2, 0.85),
    "weight": (0.2, 0.85),
    "height": (0.4, 0.6),
    "proportions": (0.3, 0.7),
    "african": (0, 1),
    "asian": (0, 1),
    "caucasian": (0, 1),
}
WRIST_INWARDS = 0.06  # of the palm's length: anny cuts its hand at the joint, where no average of vertices lies


@dataclass(frozen=True)
class SourceHands:
    """Many hands of one topology: vertices (n, v, 3), joints (n, 16, 3), and what they share."""

    vertices: np.ndarray
    joints: np.ndarray
    faces: np.ndarray
    weights: np.ndarray
    uv: np.ndarray
    uv_faces: np.ndarray


def sample_hands(count: int, seed: int) -> SourceHands:
    """Draw `count` adult hands, rigidly aligned on the palm and turned into the hand frame."""
    model = anny.Anny(rig="anny-hand.R", topology="hand.R", local_changes="all", phenotypes="all")
    generator = np.random.default_rng(seed)
    phenotypes = {name: torch.tensor(generator.uniform(*span, count)) for name, span in ADULT.items()}
    changes = {n: torch.tensor(generator.uniform(*span, count)) for n, span in HAND_CHANGES.items()}
    with torch.no_grad():
        posed = model(phenotype_kwargs=phenotypes, local_changes_kwargs=changes)
    vertices, heads = posed["rest_vertices"].numpy(), posed["rest_bone_heads"].numpy()
    joint_of_bone = [_mano_joint(label) for label in model.bone_labels]
    joints = heads[:, [model.bone_labels.index(_anny_bone(joint)) for joint in JOINTS]]
    joints[:, 0] += WRIST_INWARDS * (joints[:, JOINTS.index("middle1")] - joints[:, 0])
    weights = np.zeros((vertices.shape[1], 16))
    rows = np.arange(len(weights))
    bone_indices, bone_weights = model.vertex_bone_indices.numpy(), model.vertex_bone_weights.numpy()
    for bones, values in zip(bone_indices.T, bone_weights.T, strict=True):
        np.add.at(weights, (rows, np.asarray(joint_of_bone)[bones]), values)
    vertices, joints = _to_hand_frame(*_aligned(vertices, joints, palm=weights[:, 0] > 0.5))
    used, uv_faces = np.unique(model.face_texture_coordinate_indices.numpy(), return_inverse=True)
    uv = model.texture_coordinates.numpy()[used]
    return SourceHands(vertices, joints, model.faces.numpy(), weights, uv, uv_faces.reshape(-1, 3))


def _anny_bone(joint: str) -> str:
    return "wrist.R" if joint == "wrist" else f"finger{ANNY_FINGER[joint[:-1]]}-{joint[-1]}.R"


def _mano_joint(bone: str) -> int:
    """Merge root and metacarpals into the wrist; every other bone is one of MANO's joints."""
    if not bone.startswith("finger"):
        return 0
    number, phalanx = bone.removeprefix("finger").removesuffix(".R").split("-")
    finger = {value: key for key, value in ANNY_FINGER.items()}[int(number)]
    return JOINTS.index(f"{finger}{phalanx}")


def _aligned(vertices: np.ndarray, joints: np.ndarray, palm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Move every hand rigidly onto the mean hand by its palm; size stays, body posture goes."""
    target = vertices.mean(0)[palm]
    out_vertices, out_joints = vertices.copy(), joints.copy()
    for i, hand in enumerate(vertices):
        centre = hand[palm].mean(0)
        rotation, _ = Rotation.align_vectors(target - target.mean(0), hand[palm] - centre)
        out_vertices[i] = rotation.apply(hand - centre)
        out_joints[i] = rotation.apply(joints[i] - centre)
    return out_vertices, out_joints


def _to_hand_frame(vertices: np.ndarray, joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean = joints.mean(0)
    at = {name: mean[i] for i, name in enumerate(JOINTS)}
    x = _unit(at["wrist"] - at["middle1"])
    z = at["index1"] - at["little1"]
    z = _unit(z - x * (z @ x))
    hand_from_body = np.stack([x, np.cross(z, x), z])
    return (vertices - at["middle1"]) @ hand_from_body.T, (joints - at["middle1"]) @ hand_from_body.T


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector, axis=-1, keepdims=True)
