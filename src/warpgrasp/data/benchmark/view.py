"""How a sequence is seen: a camera that looks down on what happens, and moves as if somebody held it."""

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from warpgrasp.data.benchmark.action import Action, Kind, attempted
from warpgrasp.data.benchmark.objects import HeldObject
from warpgrasp.data.sample import (
    FOCAL_PX,
    HEIGHT_PX,
    WIDTH_PX,
    GraspSequence,
    assembled,
    open_gripper,
    rigid,
    wander,
)
from warpgrasp.geometry import Camera, Mesh, join
from warpgrasp.hand import JOINTS, open_hand
from warpgrasp.render import rasterize

ATTEMPTS, VIEWS = 60, 12  # of actions, and of views of each
DISTANCE_M = (0.46, 0.62)
ELEVATION_DEG = (14.0, 40.0)
ROLL_DEG = 5.0
CAMERA_SHIFT_M = (0.01, 0.11)  # how far the camera moves, from a tripod that sways to a hand that carries it
CAMERA_TURN_DEG = 2.0
HELD_MARGIN_PX = 14.0  # how far vertices of a pair that stays may leave the picture
LEAST_SHARE = 0.25  # of the hand's vertices in the picture, and of the object's
NEAREST_M = 0.3
ARM_FROM_LENS_DEG = 55.0
VISIBLE_SHARE = 0.3  # of each of the two that the other may not hide
LOOKED_AT = 5  # frames in which that is looked at
LOOK_PX = (80, 60)


def make_scene(generator: np.random.Generator, thing: HeldObject, kind: Kind, frames: int) -> GraspSequence:
    """A sequence that keeps the rules: what is held is touched, nothing goes through anything, the pair is seen.

    Raises `RuntimeError` when none is found.
    """
    for _ in range(ATTEMPTS):
        action = attempted(generator, thing, kind, frames)
        if action is None:
            continue
        for _ in range(VIEWS):
            world_from_camera = _camera_path(generator, thing, action)
            camera_from_object = np.linalg.inv(world_from_camera) @ action.world_from_object
            if _in_picture(thing, action, camera_from_object, stays=kind in ("turn", "slide")):
                return assembled(thing.name, action.grip, camera_from_object, world_from_camera)
    raise RuntimeError(f"no sequence of {thing.name} ({kind}) kept the rules in {ATTEMPTS} attempts")


def _camera_path(generator: np.random.Generator, thing: HeldObject, action: Action) -> Float[np.ndarray, "t 4 4"]:
    """A camera that looks down on the pair, and moves as if held by somebody, or hardly."""
    frames = len(action.held)
    vertices = thing.shape.vertices
    middle = (vertices.min(axis=0) + vertices.max(axis=0)) / 2
    held = action.held if action.held.any() else np.ones(frames, dtype=bool)
    centre = (action.world_from_object[:, :3, :3] @ middle + action.world_from_object[:, :3, 3])[held]
    knuckle = (action.world_from_object[:, :3, :3] @ action.grip.knuckle[..., None])[..., 0]
    knuckle = (knuckle + action.world_from_object[:, :3, 3])[held]
    target = 0.6 * np.median(centre, axis=0) + 0.4 * np.median(knuckle, axis=0)
    elevation = np.radians(generator.uniform(*ELEVATION_DEG))
    side = np.radians(generator.uniform(-12, 12))
    away = np.array([np.sin(side) * np.cos(elevation), -np.cos(side) * np.cos(elevation), np.sin(elevation)])
    shift = generator.uniform(*CAMERA_SHIFT_M)
    place = (
        target + generator.uniform(*DISTANCE_M) * away + wander(generator, frames, [shift, 0.6 * shift, 0.6 * shift])
    )
    aim = target + generator.uniform(-0.025, 0.025, 3) + wander(generator, frames, [0.25 * shift] * 3)
    forward = aim - place
    forward /= np.linalg.norm(forward, axis=1, keepdims=True)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    rotation = np.stack([right, np.cross(forward, right), forward], axis=2)
    own = wander(generator, frames, [CAMERA_TURN_DEG] * 3) * shift / CAMERA_SHIFT_M[1] + [
        0,
        0,
        generator.uniform(-1, 1) * ROLL_DEG,
    ]
    return rigid(rotation @ Rotation.from_rotvec(np.radians(own)).as_matrix(), place)


def _in_picture(
    thing: HeldObject, action: Action, camera_from_object: Float[np.ndarray, "t 4 4"], *, stays: bool
) -> bool:
    """Whether hand and object are seen: all of them where they stay, else enough, with the forearm beside the lens."""
    gripper, rotation = open_gripper(), camera_from_object[:, :3, :3].transpose(0, 2, 1)
    frames, origin = len(action.held), camera_from_object[:, None, :3, 3]
    parts = (gripper.vertices(action.grip), np.tile(thing.shape.vertices, (frames, 1, 1)))
    size = np.array([WIDTH_PX, HEIGHT_PX])
    for points in parts:
        seen = points @ rotation + origin
        if seen[..., 2].min() < NEAREST_M:
            return False
        pixels = FOCAL_PX * seen[..., :2] / seen[..., 2:] + (size - 1) / 2
        share = ((pixels > 0) & (pixels < size - 1)).all(axis=-1).mean(axis=1)
        outside = np.maximum(-pixels, pixels - size + 1).max()
        if share.min() < LEAST_SHARE or (stays and outside > HELD_MARGIN_PX) or np.median(share) < 0.9:
            return False
    joints = gripper.joints(action.grip) @ rotation + origin
    arm, lens = joints[:, 0] - joints[:, JOINTS.index("middle_1")], -joints[:, 0]
    cosine = (arm * lens).sum(axis=1) / np.linalg.norm(arm, axis=1) / np.linalg.norm(lens, axis=1)
    return bool(cosine.max() < np.cos(np.radians(ARM_FROM_LENS_DEG))) and _neither_hides(parts, thing, rotation, origin)


def _neither_hides(
    parts: tuple[np.ndarray, np.ndarray], thing: HeldObject, rotation: np.ndarray, origin: np.ndarray
) -> bool:
    """Whether enough of the hand is seen before the object, and of the object behind the hand."""
    rows = np.linspace(0, len(rotation) - 1, min(LOOKED_AT, len(rotation))).astype(int)
    small = LOOK_PX[0] / WIDTH_PX
    intrinsics = torch.tensor([[FOCAL_PX * small, 0, LOOK_PX[0] / 2], [0, FOCAL_PX * small, LOOK_PX[1] / 2], [0, 0, 1]])
    camera = Camera(intrinsics.expand(len(rows), 3, 3), *LOOK_PX)
    hand, solid = (torch.from_numpy(points[rows] @ rotation[rows] + origin[rows]).float() for points in parts)
    faces = [torch.from_numpy(np.asarray(part, dtype=np.int64)) for part in (open_hand().faces, thing.shape.faces)]
    alone = [
        rasterize(Mesh.of(points, part), camera).face_ids >= 0
        for points, part in zip((hand, solid), faces, strict=True)
    ]
    together = rasterize(join(Mesh.of(hand, faces[0]), Mesh.of(solid, faces[1])), camera).face_ids
    seen = (together >= 0) & (together < len(faces[0])), together >= len(faces[0])
    shares = [
        mine.sum(dim=(1, 2)) / whole.sum(dim=(1, 2)).clamp_min(1) for mine, whole in zip(seen, alone, strict=True)
    ]
    return all(bool((share > VISIBLE_SHARE).all()) for share in shares)
