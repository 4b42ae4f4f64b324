"""Skinning, and with it the unbending of the source's fingers into a flat rest pose."""

from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation
from source import FINGERS, JOINTS, PARENTS, SourceHands

REST_FLEXION_DEG = (4.0, 7.0, 9.0)  # of the three phalanges against the palm's plane
REST_SPREAD_SHARE = 0.6  # of the source's spread


def skin(vertices: np.ndarray, joints: np.ndarray, weights: np.ndarray, global_rotations: np.ndarray):
    """Linear blend skinning (v, 3) by one global rotation (16, 3, 3) of each joint; vertices and joints."""
    posed = joints.copy()
    for joint, parent in enumerate(PARENTS[1:], start=1):
        posed[joint] = posed[parent] + global_rotations[parent] @ (joints[joint] - joints[parent])
    moved = np.einsum("jkl,vjl->vjk", global_rotations, vertices[:, None] - joints) + posed
    return np.einsum("vj,vjk->vk", weights, moved), posed


def global_rotations(pose: np.ndarray) -> np.ndarray:
    """Compose rotation vectors (45,) along the chains; the wrist stays."""
    local = Rotation.from_rotvec(pose.reshape(15, 3)).as_matrix()
    composed = np.tile(np.eye(3), (16, 1, 1))
    for joint, parent in enumerate(PARENTS[1:], start=1):
        composed[joint] = composed[parent] @ local[joint - 1]
    return composed


def straightened(hands: SourceHands) -> SourceHands:
    """Turn the phalanges of every hand by the rotations that flatten the mean hand; not the thumb."""
    mean_vertices, mean_joints = hands.vertices.mean(0), hands.joints.mean(0)
    rotations = np.tile(np.eye(3), (16, 1, 1))
    for finger in FINGERS[:-1]:
        first = JOINTS.index(f"{finger}1")
        own = hands.weights[:, first + 2] > 0.5
        along = mean_joints[first + 2] - mean_joints[first + 1]
        tip = mean_vertices[own][((mean_vertices[own] - mean_joints[first + 2]) @ along).argmax()]
        ends = [*mean_joints[first : first + 3], tip]
        whole = ends[3] - ends[0]
        spread = REST_SPREAD_SHARE * np.arctan2(whole[2], -whole[0])
        for part, flexion in enumerate(np.radians(REST_FLEXION_DEG)):
            wanted = [-np.cos(spread) * np.cos(flexion), -np.sin(flexion), np.sin(spread) * np.cos(flexion)]
            turn, _ = Rotation.align_vectors([wanted], [ends[part + 1] - ends[part]])
            rotations[first + part] = turn.as_matrix()
    posed = [skin(v, j, hands.weights, rotations) for v, j in zip(hands.vertices, hands.joints, strict=True)]
    return replace(hands, vertices=np.stack([v for v, _ in posed]), joints=np.stack([j for _, j in posed]))
