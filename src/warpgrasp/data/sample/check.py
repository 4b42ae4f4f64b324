"""Measures of the sample sequences: contact by the exact distance, and motion between frames."""

import numpy as np
from jaxtyping import Bool, Float, Int

from warpgrasp.data.sample.grasp import Contact, object_distance, object_surface, open_gripper
from warpgrasp.data.sample.sequence import HEIGHT_PX, WIDTH_PX, GraspSequence
from warpgrasp.geometry import Solid, surface_samples

LABEL_PERIOD = 30
FAR_M = 0.004  # beyond this by the grid, the exact distance decides nothing
SAMPLE_STEP_M = 0.006
CELL_PX = 3.0
HIDDEN_M = 0.006  # a point is hidden when another of its cell is nearer by this


def exact_contact(sequence: GraspSequence) -> Contact:
    """How near and how deep the hand is in every frame, by exact distances wherever they matter."""
    gripper, own = open_gripper(), open_gripper().own[0]
    rotation, origin = sequence.camera_from_object[:, :3, :3], sequence.camera_from_object[:, None, :3, 3]
    vertices = (sequence.hand().vertices.double().numpy() - origin) @ rotation
    values = object_distance(sequence.object_name)(vertices)
    near = np.abs(values) < FAR_M
    values[near] = Solid(object_surface(sequence.object_name)).signed_distance(vertices[near])
    fingers = np.stack([values[:, finger].min(axis=1) for finger in own], axis=1)
    return Contact(fingers, values[:, gripper.palm].min(axis=1), values.min(axis=1))


def reference_frames(frames: int) -> Int[np.ndarray, " t"]:
    """The nearest labelled frame of each, ties to the earlier, with labels at 0, `LABEL_PERIOD`, ..."""
    labels = np.arange(0, frames, LABEL_PERIOD)
    return labels[np.abs(np.arange(frames)[:, None] - labels).argmin(axis=1)]


def surface_motion_px(sequence: GraspSequence) -> Float[np.ndarray, " n"]:
    """How far the surface points seen in the reference move between it and each unlabelled frame, all in one list."""
    pixels, visible = surface_points(sequence)
    moved = [
        np.linalg.norm(pixels[frame] - pixels[reference], axis=1)[visible[reference]]
        for frame, reference in enumerate(reference_frames(len(sequence)))
        if frame != reference
    ]
    return np.concatenate(moved)


def surface_points(
    sequence: GraspSequence,
) -> tuple[Float[np.ndarray, "t n 2"], Bool[np.ndarray, "t n"]]:
    """Pixels of points spread over object and hand in every frame, and whether they are seen there."""
    surface = object_surface(sequence.object_name)
    samples, owners = surface_samples(surface, SAMPLE_STEP_M)
    turned = sequence.camera_from_object[:, :3, :3].transpose(0, 2, 1)
    solid = samples @ turned + sequence.camera_from_object[:, None, :3, 3]
    corners = sequence.hand().vertices.double().numpy()[:, open_gripper().model.template.faces]
    skin_normals = np.cross(corners[:, :, 1] - corners[:, :, 0], corners[:, :, 2] - corners[:, :, 0])
    points = np.concatenate([solid, corners.mean(axis=2)], axis=1)
    normals = np.concatenate([surface.normals[owners] @ turned, skin_normals], axis=1)
    homogeneous = points @ sequence.intrinsics.T
    pixels = homogeneous[..., :2] / homogeneous[..., 2:]
    facing = (normals * points).sum(axis=-1) < 0
    cells = (np.floor(pixels / CELL_PX).astype(int) + 1).clip(0, [WIDTH_PX, HEIGHT_PX])
    visible = np.empty(facing.shape, dtype=bool)
    for frame, cell in enumerate(cells[..., 1] * (WIDTH_PX + 1) + cells[..., 0]):
        nearest = np.full((WIDTH_PX + 1) * (HEIGHT_PX + 1), np.inf)
        np.minimum.at(nearest, cell, points[frame, :, 2])
        visible[frame] = facing[frame] & (points[frame, :, 2] < nearest[cell] + HIDDEN_M)
    return pixels, visible
