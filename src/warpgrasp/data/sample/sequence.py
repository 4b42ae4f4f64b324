"""A sample sequence: a hand that holds an object, turns it before a camera, and lifts a finger now and then.

Everything moves along smooth, band-limited curves. Measured are contact, by the exact distance, and motion between
frames.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from warpgrasp.data.sample.grasp import (
    DEEPEST_M,
    THUMB,
    Contact,
    Grip,
    closed,
    contact,
    object_distance,
    object_surface,
    open_gripper,
    opened,
    seated,
    stored_grips,
)
from warpgrasp.geometry import Solid, surface_samples
from warpgrasp.hand import JOINTS, PosedHand

WIDTH_PX, HEIGHT_PX = 320, 240
FOCAL_PX = 307.0  # half that of HO-3D's cameras, for half their pictures' size
SHAPE_LIMIT = 1.5
SHAPE_COUNT = 5  # shape components that vary
SEAT_M = 0.0015  # between palm and surface
TOUCHING_FINGERS = 3
GRID_ERROR_M = 0.0006  # the rules are kept by the grid's distances with this to spare
FINGER_OVERLAP_M = 0.002  # fingers are soft, and thinner than their capsules here and there
ATTEMPTS = 40

# The picture: where the pair is, how it is turned, and how much that varies (over a sequence, between sequences).
DISTANCE_M = {"003_cracker_box": 0.54, "006_mustard_bottle": 0.47}
VIEW_RANGE_DEG = (15.0, 20.0, 18.0)  # between sequences, about the camera's x, y, z
TURN_DEG = (25.0, 27.0, 25.0)  # within a sequence
SHIFT_M = (0.024, 0.018, 0.04)
PLACE_RANGE_M = (0.02, 0.015, 0.04)
SLIDE_M = 0.003
ROLL_DEG = 3.0
LIFT_DEG = (22.0, 14.0, 6.0)  # of a finger's three joints
MARGIN_PX = -4.0  # vertices may leave the picture by this much
NEAREST_M = 0.33
ARM_FROM_LENS_DEG = 35.0  # the forearm must not point into the lens

# The object's own direction towards the camera: the fingers' side, somewhat from the palm's side and from above.
TOWARDS_CAMERA = {"003_cracker_box": (-0.966, 0.259, 0.25), "006_mustard_bottle": (-0.643, -0.766, 0.25)}
PERIODS_FRAMES = (90.0, 200.0)  # of the sinusoids: nothing faster than a person turning something in the hand
WINDOW_FRAMES = 60  # a curve reaches its amplitude within this many frames
LIFT_FRAMES = (16, 26)


@dataclass(frozen=True)
class GraspSequence:
    """Hand and object in every frame; OpenCV camera axes, metres, radians; the world has +Z up."""

    object_name: str
    hand_rotation: Float[np.ndarray, "t 3"]
    hand_pose: Float[np.ndarray, "t 45"]
    hand_shape: Float[np.ndarray, " 10"]
    hand_translation: Float[np.ndarray, "t 3"]
    camera_from_object: Float[np.ndarray, "t 4 4"]
    world_from_camera: Float[np.ndarray, "t 4 4"]
    intrinsics: Float[np.ndarray, "3 3"]

    def __len__(self) -> int:
        return len(self.hand_pose)

    @property
    def world_from_object(self) -> Float[np.ndarray, "t 4 4"]:
        """The object's pose in the world."""
        return self.world_from_camera @ self.camera_from_object

    def hand(self) -> PosedHand:
        """The hand's surface and joints in every frame, in the camera's frame."""
        rotation, pose, shape, translation = (
            torch.as_tensor(array, dtype=torch.float32)
            for array in (self.hand_rotation, self.hand_pose, self.hand_shape, self.hand_translation)
        )
        with torch.no_grad():
            posed = open_gripper().model(rotation, pose, shape.expand(len(pose), -1))
        return PosedHand(posed.vertices + translation[:, None], posed.joints + translation[:, None])

    def save(self, path: Path) -> None:
        """Write an `.npz` without pickled objects."""
        np.savez_compressed(path, **{field.name: getattr(self, field.name) for field in fields(self)})

    @staticmethod
    def load(path: Path) -> "GraspSequence":
        """Read what `save` has written."""
        with np.load(path, allow_pickle=False) as file:
            values = {field.name: file[field.name] for field in fields(GraspSequence)}
        return GraspSequence(**{**values, "object_name": str(values["object_name"])})


def make_sequence(
    *,
    seed: int,
    object_name: str,
    frames: int = 60,
    moving_camera: bool = False,
    grasp: int | None = None,
    view: tuple[float, float, float] | None = None,
) -> GraspSequence:
    """A sequence that keeps the rules of contact and stays in the picture.

    `grasp` chooses one of the object's stored grasps; `view`, within [-1, 1], the orientation about which the pair
    turns, as shares of `VIEW_RANGE_DEG`. What is not given is drawn.
    """
    for attempt in range(ATTEMPTS):
        generator = np.random.default_rng([seed, attempt])
        row = int(generator.integers(100)) if grasp is None else grasp
        offset = generator.uniform(-1, 1, 3) if view is None else np.asarray(view)
        grip = _held(generator, object_name, frames, row)
        if not _keeps_contact(object_name, grip):
            continue
        for _ in range(ATTEMPTS):
            camera_from_object = _shown(generator, object_name, grip, offset)
            if _in_picture(object_name, grip, camera_from_object):
                world_from_camera = _camera_path(generator, frames, moving_camera)
                return assembled(object_name, grip, camera_from_object, world_from_camera)
    raise RuntimeError(f"no sequence of {object_name} kept the rules in {ATTEMPTS} attempts from seed {seed}")


def _held(generator: np.random.Generator, object_name: str, frames: int, grasp: int) -> Grip:
    """A stored grasp by another hand, that slides, rolls and lifts fingers, seated and closed anew in every frame."""
    gripper, distance, stored = open_gripper(), object_distance(object_name), stored_grips(object_name)
    base = stored[np.full(frames, grasp % len(stored.rotation))]
    shape = np.zeros(10)
    shape[:SHAPE_COUNT] = np.clip(generator.normal(size=SHAPE_COUNT), -SHAPE_LIMIT, SHAPE_LIMIT)
    roll = np.radians(generator.uniform(-4, 4, 3) + wander(generator, frames, [ROLL_DEG] * 3))
    slide = generator.uniform(-0.004, 0.004, 3) + wander(generator, frames, [SLIDE_M] * 3)
    fan = np.radians(generator.uniform(-2, 2) + wander(generator, frames, [2.5])) * [1, 0.2, -1.2, -0.6, 0]
    grip = replace(
        base,
        rotation=Rotation.from_matrix(rotated(base.matrix[0], roll)).as_rotvec(),
        knuckle=base.knuckle + slide,
        spread=base.spread + fan,
        shape=np.tile(shape, (frames, 1)),
    )
    grip = seated(gripper, distance, opened(grip), SEAT_M)
    grip = closed(gripper, distance, replace(grip, knuckle=smoothed(grip.knuckle, 2.0)))
    lifted = lifts(generator, frames, range(THUMB))[..., None] * np.radians(LIFT_DEG)
    flexion = smoothed(grip.flexion, 1.5) - lifted
    return replace(grip, flexion=np.maximum(flexion, gripper.flexion_limits[..., 0]))


def _keeps_contact(object_name: str, grip: Grip) -> bool:
    gripper = open_gripper()
    touch = contact(gripper, object_distance(object_name), grip)
    return bool(
        (touch.touching(spare=GRID_ERROR_M).sum(axis=1) >= TOUCHING_FINGERS).all()
        and touch.hand.min() > GRID_ERROR_M - DEEPEST_M
        and gripper.finger_gap(grip).min() > -FINGER_OVERLAP_M
    )


def _shown(
    generator: np.random.Generator, object_name: str, grip: Grip, view: Float[np.ndarray, " 3"]
) -> Float[np.ndarray, "t 4 4"]:
    """The object's path before the camera: turned and moved about a point between object and hand."""
    frames = len(grip.rotation)
    base = rotated(_upright(TOWARDS_CAMERA[object_name]), np.radians(view * VIEW_RANGE_DEG)[None])[0]
    rotation = rotated(base, np.radians(wander(generator, frames, TURN_DEG)))
    vertices = object_surface(object_name).vertices
    centre = (vertices.min(axis=0) + vertices.max(axis=0)) / 2
    pivot = 0.65 * centre + 0.35 * grip.knuckle.mean(axis=0)
    place = np.array([0, 0, DISTANCE_M[object_name]]) + generator.uniform(-1, 1, 3) * PLACE_RANGE_M
    place = place + wander(generator, frames, SHIFT_M)
    return rigid(rotation, place - rotation @ pivot)


def _upright(towards_camera: tuple[float, float, float]) -> Float[np.ndarray, "3 3"]:
    """The rotation camera_from_object of a camera in that direction, the object's z upwards in the picture."""
    forward = -np.asarray(towards_camera) / np.linalg.norm(towards_camera)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(forward, right), forward])


def _in_picture(object_name: str, grip: Grip, camera_from_object: Float[np.ndarray, "t 4 4"]) -> bool:
    """Whether the pair stays in the picture, at a hand's distance, with the forearm beside the lens."""
    gripper, rotation = open_gripper(), camera_from_object[:, :3, :3].transpose(0, 2, 1)
    surface = np.tile(object_surface(object_name).vertices, (len(grip.rotation), 1, 1))
    points = np.concatenate([gripper.vertices(grip), surface], axis=1) @ rotation + camera_from_object[:, None, :3, 3]
    pixels = FOCAL_PX * points[..., :2] / points[..., 2:] + [(WIDTH_PX - 1) / 2, (HEIGHT_PX - 1) / 2]
    inside = (pixels > MARGIN_PX) & (pixels < np.array([WIDTH_PX, HEIGHT_PX]) - 1 - MARGIN_PX)
    joints = gripper.joints(grip) @ rotation + camera_from_object[:, None, :3, 3]
    wrist, knuckle = joints[:, 0], joints[:, JOINTS.index("middle_1")]
    arm, lens = wrist - knuckle, -wrist
    cosine = (arm * lens).sum(axis=1) / np.linalg.norm(arm, axis=1) / np.linalg.norm(lens, axis=1)
    away = cosine.max() < np.cos(np.radians(ARM_FROM_LENS_DEG))
    return bool(inside.all() and points[..., 2].min() > NEAREST_M and away)


def _camera_path(generator: np.random.Generator, frames: int, moving: bool) -> Float[np.ndarray, "t 4 4"]:
    """A camera at about a seated person's eyes, looking somewhat downwards, held by hand if it moves."""
    look = np.radians([generator.uniform(8, 22), 0, generator.uniform(-4, 4)])
    level = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # world_from_camera of a camera that looks along +Y
    place = np.array([0, 0, generator.uniform(1.25, 1.45)])
    turn, shift = wander(generator, frames, [4.0, 6.0, 3.0]), wander(generator, frames, [0.05, 0.04, 0.04])
    if not moving:
        turn, shift = 0 * turn, 0 * shift
    rotation = level @ Rotation.from_rotvec(-look).as_matrix() @ Rotation.from_rotvec(np.radians(turn)).as_matrix()
    return rigid(rotation, place + shift)


def assembled(
    object_name: str,
    grip: Grip,
    camera_from_object: Float[np.ndarray, "t 4 4"],
    world_from_camera: Float[np.ndarray, "t 4 4"],
) -> GraspSequence:
    """The grip's hand with its rotation about the wrist, as the hand model has it."""
    gripper, rotation = open_gripper(), camera_from_object[:, :3, :3]
    still = gripper.rest_joints(grip.shape[:1])[0]
    wrist, knuckle = still[0], still[JOINTS.index("middle_1")]
    camera_from_hand = rotation @ grip.matrix
    place = (rotation @ grip.knuckle[..., None])[..., 0] + camera_from_object[:, :3, 3]
    return GraspSequence(
        object_name=object_name,
        hand_rotation=Rotation.from_matrix(camera_from_hand).as_rotvec(),
        hand_pose=gripper.pose(grip.flexion, grip.spread),
        hand_shape=grip.shape[0],
        hand_translation=place - camera_from_hand @ (knuckle - wrist) - wrist,
        camera_from_object=camera_from_object,
        world_from_camera=world_from_camera,
        intrinsics=np.array([[FOCAL_PX, 0, (WIDTH_PX - 1) / 2], [0, FOCAL_PX, (HEIGHT_PX - 1) / 2], [0, 0, 1]]),
    )


def wander(
    generator: np.random.Generator, frames: int, amplitude: Sequence[float] | Float[np.ndarray, " n"]
) -> Float[np.ndarray, "t n"]:
    """Smooth curves around zero, one for each amplitude, that they about reach."""
    amplitude = np.asarray(amplitude, dtype=np.float64)
    time = np.arange(max(frames, WINDOW_FRAMES))[:, None, None]
    period = generator.uniform(*PERIODS_FRAMES, (len(amplitude), 3))
    phase = generator.uniform(0, 2 * np.pi, period.shape)
    weight = generator.uniform(0.3, 1.0, period.shape)
    curves = (weight * np.sin(2 * np.pi * time / period + phase)).sum(axis=2)
    window = curves[:WINDOW_FRAMES]
    middle, reach = (window.max(axis=0) + window.min(axis=0)) / 2, np.ptp(window, axis=0) / 2
    return ((curves - middle) / reach * amplitude * generator.uniform(0.8, 1.1, len(amplitude)))[:frames]


def lifts(generator: np.random.Generator, frames: int, fingers: Sequence[int]) -> Float[np.ndarray, "t 5"]:
    """How far, from 0 to 1, each finger is lifted; one or two of `fingers` at a time."""
    lifted = np.zeros((frames, 5))
    start = int(generator.integers(-8, 10))
    while start < frames:
        length = int(generator.integers(*LIFT_FRAMES))
        bump = np.sin(np.pi * (np.arange(length) + 0.5) / length) ** 2
        inside = slice(max(start, 0), min(start + length, frames))
        for finger in generator.choice(fingers, size=generator.integers(1, 3), replace=False):
            size = generator.uniform(0.6, 1.0)
            lifted[inside, finger] = size * bump[inside.start - start : inside.stop - start]
        start += length + int(generator.integers(0, 8))
    return lifted


def smoothed(curves: Float[np.ndarray, "t ..."], sigma_frames: float) -> Float[np.ndarray, "t ..."]:
    """A light Gaussian smoothing along time."""
    return gaussian_filter1d(curves, sigma_frames, axis=0, mode="nearest")


def rotated(rotation: Float[np.ndarray, "3 3"], turns: Float[np.ndarray, "t 3"]) -> Float[np.ndarray, "t 3 3"]:
    """`rotation`, turned by each of the axis-angle vectors."""
    return Rotation.from_rotvec(turns).as_matrix() @ rotation


def rigid(rotation: Float[np.ndarray, "t 3 3"], translation: Float[np.ndarray, "t 3"]) -> Float[np.ndarray, "t 4 4"]:
    """Rotations and translations as homogeneous matrices."""
    matrices = np.zeros((len(rotation), 4, 4))
    matrices[:, :3, :3], matrices[:, :3, 3], matrices[:, 3, 3] = rotation, translation, 1
    return matrices


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
