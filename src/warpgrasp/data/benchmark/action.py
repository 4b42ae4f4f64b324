"""What happens in a sequence: an object is held and turned, slides in the hand, is taken, put down, or taken anew.

The world's frame has +Z up; the table is the plane z = 0, and the camera looks about along +Y.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial.transform import Rotation

from warpgrasp.data.benchmark.objects import HeldObject
from warpgrasp.data.sample import (
    DEEPEST_M,
    FINGER_OVERLAP_M,
    GRID_ERROR_M,
    LIFT_DEG,
    SEAT_M,
    SHAPE_COUNT,
    SHAPE_LIMIT,
    THUMB,
    TOUCHING_FINGERS,
    Grip,
    closed,
    contact,
    lifts,
    open_gripper,
    opened,
    rigid,
    rotated,
    seated,
    smoothed,
    wander,
)

Kind = Literal["turn", "slide", "enter", "leave", "pick", "put", "regrasp"]
KINDS: tuple[Kind, ...] = ("turn", "slide", "pick", "turn", "regrasp", "enter", "turn", "put", "slide", "leave")
ON_THE_TABLE: tuple[Kind, ...] = ("pick", "put", "regrasp")

TURN_DEG = (22.0, 22.0, 26.0)  # about the world's axes
TILT_DEG = (12.0, 12.0)
SHIFT_M = (0.045, 0.03, 0.03)
LIFT_M = (0.05, 0.16)  # of the object above the table
LEAST_LIFT_M = 0.012  # of its lowest point, however it is turned
SMALL_SLIDE_M, LONG_SLIDE_M = 0.003, (0.01, 0.022)
SMALL_ROLL_DEG, LONG_ROLL_DEG = 3.0, (0.0, 16.0)
OPENING_RAD = (0.45, 0.75)
AWAY_M, FAR_AWAY_M = (0.07, 0.12), (0.16, 0.3)  # how far the hand goes from the object: to regrasp; to leave
OUTSIDE_M = (0.22, 0.4)  # how far hand and object go to leave the picture
# From the object, where the hand goes when it lets go: shares of away from the palm, along the arm, and up.
WAYS = ((0.8, 0.6, 0.15), (1.0, 0.2, 0.25), (0.4, 1.0, 0.15), (0.6, 0.5, 0.7))
ABOVE_TABLE_M = 0.002

AZIMUTH_DEG = 32.0  # of the camera about the object, to both sides of straight in front of the fingers


@dataclass(frozen=True)
class Action:
    """A hand about an object that stands or moves in the world."""

    grip: Grip  # of every frame
    world_from_object: Float[np.ndarray, "t 4 4"]
    held: Bool[np.ndarray, " t"]

    def backwards(self) -> "Action":
        """The same, from its end to its beginning."""
        order = np.arange(len(self.held))[::-1]
        return Action(self.grip[order], self.world_from_object[order], self.held[order])

    def hand(self) -> Float[np.ndarray, "t v 3"]:
        """The hand's surface in the world."""
        rotation, place = self.world_from_object[:, :3, :3], self.world_from_object[:, None, :3, 3]
        return open_gripper().vertices(self.grip) @ rotation.transpose(0, 2, 1) + place


def attempted(generator: np.random.Generator, thing: HeldObject, kind: Kind, frames: int) -> Action | None:
    """An action of a kind, or None when what was drawn breaks a rule of contact."""
    if kind in ON_THE_TABLE:
        taken = _taken(generator, thing, kind, frames)
        action = taken.backwards() if kind == "put" else taken
    else:
        action = _kept(generator, thing, kind, frames)
    return action if _keeps_contact(thing, action) else None


def _hand_shape(generator: np.random.Generator) -> Float[np.ndarray, " 10"]:
    shape = np.zeros(10)
    shape[:SHAPE_COUNT] = np.clip(generator.normal(size=SHAPE_COUNT), -SHAPE_LIMIT, SHAPE_LIMIT)
    return shape


def _closed_about(thing: HeldObject, grip: Grip) -> Grip:
    """The hands seated and closed about the object, smoothed along time."""
    grip = seated(open_gripper(), thing.distance, opened(grip), SEAT_M)
    if len(grip.rotation) == 1:
        return closed(open_gripper(), thing.distance, grip)
    grip = closed(open_gripper(), thing.distance, replace(grip, knuckle=smoothed(grip.knuckle, 2.0)))
    return replace(grip, flexion=smoothed(grip.flexion, 1.5))


def _varied(generator: np.random.Generator, thing: HeldObject, shape: Float[np.ndarray, " 10"]) -> Grip:
    """One of the object's stored grasps, a little otherwise, by a hand of this shape."""
    row = int(generator.integers(len(thing.grips.rotation)))
    base = thing.grips[np.array([row])]
    turn = np.radians(generator.uniform(-4, 4, 3))
    return replace(
        base,
        rotation=Rotation.from_matrix(rotated(base.matrix[0], turn[None])).as_rotvec(),
        knuckle=base.knuckle + generator.uniform(-0.004, 0.004, 3),
        spread=base.spread + np.radians(generator.uniform(-2, 2)) * np.array([1, 0.2, -1.2, -0.6, 0]),
        shape=shape[None],
    )


def _kept(generator: np.random.Generator, thing: HeldObject, kind: Kind, frames: int) -> Action:
    """The object stays in the hand, which slides on it by little or much, and lifts fingers."""
    first = _varied(generator, thing, _hand_shape(generator))
    slides = kind == "slide"
    slide = generator.uniform(*LONG_SLIDE_M) if slides else SMALL_SLIDE_M
    roll = generator.uniform(*LONG_ROLL_DEG) if slides else SMALL_ROLL_DEG
    about = _about_axis(np.radians(wander(generator, frames, [roll])[:, 0]))
    along = wander(generator, frames, [SMALL_SLIDE_M, SMALL_SLIDE_M, slide])
    small = Rotation.from_rotvec(np.radians(wander(generator, frames, [SMALL_ROLL_DEG] * 3))).as_matrix()
    fan = np.radians(wander(generator, frames, [2.0])) * [1, 0.2, -1.2, -0.6, 0]
    grip = first[np.zeros(frames, dtype=np.int64)]
    grip = replace(
        grip,
        rotation=Rotation.from_matrix(about @ small @ grip.matrix).as_rotvec(),
        knuckle=(about @ grip.knuckle[..., None])[..., 0] + along,
        spread=grip.spread + fan,
    )
    grip = _closed_about(thing, grip)
    grip = _lifted(generator, grip, np.ones(frames))
    pose = _carried(generator, thing, grip, np.ones(frames))
    if kind in ("enter", "leave"):
        share = _eased(np.linspace(0, 1, frames) / generator.uniform(0.3, 0.5))
        away = _outwards(grip, pose) * generator.uniform(*OUTSIDE_M)
        pose[:, :3, 3] += (1 - (share if kind == "enter" else share[::-1]))[:, None] * away
    return Action(grip, pose, np.ones(frames, dtype=bool))


def _lifted(generator: np.random.Generator, grip: Grip, gate: Float[np.ndarray, " t"]) -> Grip:
    """Fingers lifted now and then, while the gate is open."""
    lifted = lifts(generator, len(gate), range(THUMB)) * gate[:, None]
    flexion = grip.flexion - lifted[..., None] * np.radians(LIFT_DEG)
    return replace(grip, flexion=np.maximum(flexion, open_gripper().flexion_limits[..., 0]))


def _about_axis(angles: Float[np.ndarray, " t"]) -> Float[np.ndarray, "t 3 3"]:
    return Rotation.from_rotvec(angles[:, None] * [0.0, 0.0, 1.0]).as_matrix()


def _eased(share: Float[np.ndarray, " t"]) -> Float[np.ndarray, " t"]:
    """From 0 to 1, slowly at both ends."""
    share = np.clip(share, 0, 1)
    return share * share * (3 - 2 * share)


def _outwards(grip: Grip, pose: Float[np.ndarray, "t 4 4"]) -> Float[np.ndarray, " 3"]:
    """The direction sideways to which the forearm leads."""
    arm = pose[0, :3, :3] @ grip.matrix[0][:, 0]
    return np.array([1.0 if arm[0] > 0 else -1.0, 0.35 * float(arm[1]), 0.1])


def _facing(generator: np.random.Generator, grip: Grip) -> float:
    """The turn about +Z that shows the back of the holding hand, and the object before it, to a camera at -Y."""
    arm, palm = grip.matrix[0][:, 0], -grip.matrix[0][:, 1]
    seen_from = -(arm + palm)[:2]
    straight = -np.pi / 2 - np.arctan2(seen_from[1], seen_from[0])
    return float(straight + np.radians(generator.uniform(-AZIMUTH_DEG, AZIMUTH_DEG)))


def _carried(
    generator: np.random.Generator, thing: HeldObject, grip: Grip, gate: Float[np.ndarray, " t"]
) -> Float[np.ndarray, "t 4 4"]:
    """The object's path: it stands on the table where the gate is 0, and is turned and moved above it where it is 1."""
    frames = len(gate)
    upright = _about_axis(np.array([_facing(generator, grip)]))[0]
    tilt = np.radians(np.append(generator.uniform(-1, 1, 2) * TILT_DEG, 0.0))
    if not thing.stands and thing.name == "hammer":
        tilt[1] = np.radians(generator.uniform(-60, 60))
    turn = np.radians(wander(generator, frames, TURN_DEG))
    turns = (Rotation.from_rotvec(gate[:, None] * turn) * Rotation.from_rotvec(gate[:, None] * tilt)).as_matrix()
    rotation = turns @ upright
    low, high = thing.shape.vertices.min(axis=0), thing.shape.vertices.max(axis=0)
    middle = (low + high) / 2
    standing = np.array([*(-(upright @ middle)[:2]), -low[2]])
    shift = wander(generator, frames, SHIFT_M) + np.array([0, 0, generator.uniform(*LIFT_M)])
    place = (upright @ middle + standing) + gate[:, None] * shift
    pose = rigid(rotation, place - rotation @ middle)
    corners = thing.shape.vertices @ rotation.transpose(0, 2, 1) + pose[:, None, :3, 3]
    pose[:, 2, 3] += np.maximum(LEAST_LIFT_M * gate - corners[..., 2].min(axis=1), 0) * (gate > 0)
    pose[:, :3, 3] = np.where(gate[:, None] > 0, smoothed(pose[:, :3, 3], 2.0), pose[:, :3, 3])
    return pose


def _taken(generator: np.random.Generator, thing: HeldObject, kind: Kind, frames: int) -> Action:
    """The hand comes, closes, and lifts the object; before that it may have put it down in another grasp."""
    time, again = np.linspace(0, 1, frames), kind == "regrasp"
    shape = _hand_shape(generator)
    grasps = [_closed_about(thing, _varied(generator, thing, shape)) for _ in range(1 + again)]
    first, last = grasps[0], grasps[-1]
    before = time < 0.5 if again else np.zeros(frames, dtype=bool)
    if again:
        gate = np.where(before, 1 - _eased(time / 0.27), _eased((time - 0.73) / 0.27))
        open_ = np.where(before, _eased((time - 0.29) / 0.1), 1 - _eased((time - 0.61) / 0.1))
        away = np.where(before, _eased((time - 0.35) / 0.12), 1 - _eased((time - 0.53) / 0.12))
    else:
        gate, open_, away = _eased((time - 0.52) / 0.38), 1 - _eased((time - 0.34) / 0.13), 1 - _eased(time / 0.38)
    turn = np.where(before, 0.0, 1.0) if not again else _eased((time - 0.45) / 0.1)
    rotation = Rotation.from_rotvec(first.rotation[0]) * Rotation.from_rotvec(
        turn[:, None]
        * (Rotation.from_rotvec(first.rotation[0]).inv() * Rotation.from_rotvec(last.rotation[0])).as_rotvec()
    )

    def between(name: str) -> np.ndarray:
        start, end = getattr(first, name), getattr(last, name)
        return start + turn.reshape(-1, *[1] * (start.ndim - 1)) * (end - start)

    grip = Grip(rotation.as_rotvec(), *(between(name) for name in ("knuckle", "flexion", "spread", "shape")))
    pose = _carried(generator, thing, last, gate)
    grip = _lifted(generator, grip, (gate**2) * (open_ == 0))
    ratio = (opened(grip).flexion - grip.flexion) / 0.4
    limits = open_gripper().flexion_limits
    grip = replace(
        grip,
        flexion=np.maximum(
            grip.flexion + (open_ * generator.uniform(*OPENING_RAD))[:, None, None] * ratio, limits[..., 0]
        ),
    )
    arm, palm = grip.matrix[:, :, 0], -grip.matrix[:, :, 1]
    way = WAYS[int(generator.integers(len(WAYS)))]
    direction = -way[0] * palm + way[1] * arm + way[2] * np.array([0.0, 0.0, 1.0])
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    reach = generator.uniform(*(AWAY_M if again else FAR_AWAY_M))
    grip = replace(grip, knuckle=grip.knuckle + (away * reach)[:, None] * direction)
    return Action(grip, pose, (open_ == 0) & (away == 0))


def _keeps_contact(thing: HeldObject, action: Action) -> bool:
    gripper = open_gripper()
    if action.hand()[..., 2].min() < ABOVE_TABLE_M:
        return False
    touch = contact(gripper, thing.distance, action.grip)
    return bool(
        (touch.touching(spare=GRID_ERROR_M).sum(axis=1)[action.held] >= TOUCHING_FINGERS).all()
        and touch.hand.min() > GRID_ERROR_M - DEEPEST_M
        and gripper.finger_gap(action.grip).min() > -FINGER_OVERLAP_M
    )
