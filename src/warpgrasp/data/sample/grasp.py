"""Hands that hold the sample data's two scanned objects.

A hand is placed beside the object, its palm seated, and its fingers closed until they touch. A finger closes as an
underactuated one does: all its joints together until any part of it touches, then the outer two until either of their
phalanges touches, then the last. Fingers are in the order of their chains in `MANO_JOINTS`.
"""

from dataclasses import dataclass, fields, replace
from functools import cache, cached_property
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.spatial.transform import Rotation

from warpgrasp.geometry import SignedDistance, Surface
from warpgrasp.hand import HO3D_JOINTS, JOINTS, MANO_JOINTS, HandModel, open_hand, open_hand_arrays

OBJECTS = files("warpgrasp.data.sample") / "objects"
MESH_FILES = ("textured_simple.obj", "textured_simple.obj.mtl", "texture.jpg")
OBJECT_NAMES = ("006_mustard_bottle", "003_cracker_box")
CHAINS = ("index", "middle", "little", "ring", "thumb")
THUMB = CHAINS.index("thumb")
CONTACT_DEPTH_M = 0.0005  # flesh gives way: fingers close to this depth
TOUCH_M = 0.002  # a finger nearer than this touches
DEEPEST_M = 0.003  # no vertex may be further inside the object
SEAT_TRAVEL_M = 0.012  # how far seating may move the palm
OWN_WEIGHT = 0.9  # a vertex belongs to a finger when its joints carry this much of it
OPENING_RAD = 0.4
SCAN_STEPS = 12
BISECTIONS = 7

# The three phases of closing: how much each joint (base, middle, last) turns, and by how many radians at most.
PHASES = (((1.0, 0.75, 0.45), 1.7), ((0.0, 1.0, 0.65), 0.9), ((0.0, 0.0, 1.0), 0.45))
THUMB_PHASES = (((0.55, 0.8, 0.8), 1.2), ((0.0, 1.0, 0.9), 0.5), ((0.0, 0.0, 1.0), 0.3))


@cache
def object_surface(name: str) -> Surface:
    """The closed surface of a sample object: the OBJ's distinct vertices."""
    with as_file(OBJECTS / name / "textured_simple.obj") as path:
        rows = [line.split() for line in Path(path).read_text().splitlines()]
    vertices = [[float(value) for value in row[1:4]] for row in rows if row and row[0] == "v"]
    faces = [[int(corner.split("/")[0]) - 1 for corner in row[1:4]] for row in rows if row and row[0] == "f"]
    return Surface(np.array(vertices), np.array(faces))


@cache
def object_distance(name: str) -> SignedDistance:
    """The grid of distances to a sample object."""
    return SignedDistance.of(object_surface(name))


def scanned_files(name: str) -> dict[str, bytes]:
    """The mesh of a sample object and what belongs to it, by the files' names."""
    folder = OBJECTS / name
    return {part: (folder / part).read_bytes() for part in MESH_FILES}


@dataclass(frozen=True)
class Grip:
    """How hands hold an object, before they close; the object's own frame, metres and radians."""

    rotation: Float[np.ndarray, "b 3"]  # object_from_hand, axis-angle
    knuckle: Float[np.ndarray, "b 3"]  # where the base of the middle finger is
    flexion: Float[np.ndarray, "b 5 3"]  # of the open fingers
    spread: Float[np.ndarray, "b 5"]  # at the fingers' bases
    shape: Float[np.ndarray, "b s"]

    def __getitem__(self, rows: Int[np.ndarray, " n"]) -> "Grip":
        """The hands with these numbers."""
        return Grip(*(getattr(self, field.name)[rows] for field in fields(self)))

    @property
    def matrix(self) -> Float[np.ndarray, "b 3 3"]:
        """`rotation` as matrices."""
        return Rotation.from_rotvec(self.rotation).as_matrix()


@dataclass(frozen=True)
class Contact:
    """Where hands are relative to the surface, by signed distances in metres."""

    finger: Float[np.ndarray, "b 5"]  # of each finger's nearest vertex, without its blend into the palm
    palm: Float[np.ndarray, " b"]
    hand: Float[np.ndarray, " b"]  # of the deepest vertex

    def touching(self, spare: float = 0.0) -> Bool[np.ndarray, "b 5"]:
        """Which fingers are near enough to touch, with `spare` metres to spare."""
        return self.finger < TOUCH_M - spare


@dataclass(frozen=True)
class Gripper:
    """A hand with the axes about which its fingers bend."""

    model: HandModel
    flexion_axes: Float[np.ndarray, "15 3"]
    spread_axes: Float[np.ndarray, "15 3"]
    flexion_limits: Float[np.ndarray, "5 3 2"]

    @cached_property
    def own(self) -> Bool[np.ndarray, "3 5 v"]:
        """Which vertices belong to a finger from its first, second or third phalanx outwards."""
        weights = self.model.template.skinning_weights[:, 1:].reshape(-1, 5, 3)
        outwards = np.cumsum(weights[..., ::-1], axis=-1)[..., ::-1]
        return (outwards > OWN_WEIGHT).transpose(2, 1, 0)

    @cached_property
    def palm(self) -> Bool[np.ndarray, " v"]:
        """Which vertices belong to no finger."""
        return ~self.own[0].any(axis=0)

    def pose(
        self, flexion: Float[np.ndarray, "*b 5 3"], spread: Float[np.ndarray, "*b 5"]
    ) -> Float[np.ndarray, "*b 45"]:
        """Axis-angle vectors of the fifteen joints."""
        vectors = flexion[..., None] * self.flexion_axes.reshape(5, 3, 3)
        vectors[..., 0, :] += spread[..., None] * self.spread_axes.reshape(5, 3, 3)[:, 0]
        return vectors.reshape(*spread.shape[:-1], 45)

    def vertices(self, grip: Grip) -> Float[np.ndarray, "b v 3"]:
        """The hands' surfaces in the object's frame."""
        vertices, joints = self._posed(grip)
        knuckle = joints[:, JOINTS.index("middle_1"), None]
        return (vertices - knuckle) @ grip.matrix.transpose(0, 2, 1) + grip.knuckle[:, None]

    def joints(self, grip: Grip) -> Float[np.ndarray, "b 21 3"]:
        """The hands' joints in the object's frame."""
        _, joints = self._posed(grip)
        knuckle = joints[:, JOINTS.index("middle_1"), None]
        return (joints - knuckle) @ grip.matrix.transpose(0, 2, 1) + grip.knuckle[:, None]

    def finger_gap(self, grip: Grip) -> Float[np.ndarray, " b"]:
        """The least distance between the surfaces of two fingers, taken for capsules about their outer two bones."""
        joints = self.joints(grip)
        ends = [[JOINTS.index(f"{chain}_{part}") for part in ("2", "3", "tip")] for chain in CHAINS]
        gaps = [
            _segment_distance(*(joints[:, ends[f][i]] for f, i in ((a, k), (a, k + 1), (b, m), (b, m + 1))))
            - self.radii[a, k]
            - self.radii[b, m]
            for a in range(5)
            for b in range(a)
            for k in range(2)
            for m in range(2)
        ]
        return np.min(gaps, axis=0)

    @cached_property
    def radii(self) -> Float[np.ndarray, "5 2"]:
        """How thick the fingers are about their second and third bones: the median of their vertices."""
        template = self.model.template
        ends = np.concatenate(
            [
                template.joint_regressor @ template.vertices,
                template.vertices[list(template.fingertip_vertices)],
            ]
        )
        ends = {name: ends[row] for row, name in enumerate(HO3D_JOINTS)}
        radii = np.empty((5, 2))
        for row, chain in enumerate(CHAINS):
            for part, (start, end) in enumerate((("2", "3"), ("3", "tip"))):
                own = template.skinning_weights[:, MANO_JOINTS.index(f"{chain}_{start}")] > 0.5
                bone, offset = (
                    ends[f"{chain}_{end}"] - ends[f"{chain}_{start}"],
                    template.vertices[own] - ends[f"{chain}_{start}"],
                )
                across = offset - np.outer(offset @ bone, bone) / (bone @ bone)
                radii[row, part] = np.median(np.linalg.norm(across, axis=1))
        return radii

    def rest_joints(self, shape: Float[np.ndarray, "b s"]) -> Float[np.ndarray, "b 21 3"]:
        """The joints of hands that are neither bent nor placed."""
        none = np.zeros((len(shape), 5, 3))
        return self._posed(Grip(none[:, 0], none[:, 0], none, none[..., 0], shape))[1]

    def _posed(self, grip: Grip) -> tuple[Float[np.ndarray, "b v 3"], Float[np.ndarray, "b 21 3"]]:
        pose, shape = (
            torch.as_tensor(a, dtype=torch.float32) for a in (self.pose(grip.flexion, grip.spread), grip.shape)
        )
        with torch.no_grad():
            posed = self.model(torch.zeros(len(pose), 3), pose, shape)
        return posed.vertices.double().numpy(), posed.joints.double().numpy()


@cache
def open_gripper() -> Gripper:
    """The shipped hand."""
    arrays = open_hand_arrays()
    limits = arrays["joint_limits"][:, 0].reshape(5, 3, 2).astype(np.float64)
    flexion, spread = (arrays[f"{name}_axes"].astype(np.float64) for name in ("flexion", "spread"))
    return Gripper(HandModel(open_hand()), flexion, spread, limits)


@cache
def stored_grips(object_name: str) -> Grip:
    """The object's stored grasps, found by tools/grasps/search.py: closed, to be opened and closed by other hands."""
    with as_file(OBJECTS / object_name / "grasps.npz") as path, np.load(path, allow_pickle=False) as file:
        return Grip(*(file[field.name] for field in fields(Grip)))


def opened(grip: Grip) -> Grip:
    """The hands with their fingers opened the way on which they close."""
    ratio = np.array([PHASES[0][0]] * THUMB + [THUMB_PHASES[0][0]])
    return replace(grip, flexion=grip.flexion - OPENING_RAD * ratio)


def seated(gripper: Gripper, distance: SignedDistance, grip: Grip, clearance: float) -> Grip:
    """Move the hands along their palms' normals until the palm is `clearance` away from the surface."""
    normal = grip.matrix @ np.array([0.0, -1.0, 0.0])  # the palm faces -Y
    palm = gripper.vertices(grip)[:, gripper.palm]
    near, far = np.full(len(palm), -SEAT_TRAVEL_M), np.full(len(palm), SEAT_TRAVEL_M)
    for _ in range(BISECTIONS + 2):
        middle = (near + far) / 2
        clear = distance(palm + (middle[:, None] * normal)[:, None]).min(axis=1) > clearance
        near, far = np.where(clear, middle, near), np.where(clear, far, middle)
    return replace(grip, knuckle=grip.knuckle + near[:, None] * normal)


def closed(gripper: Gripper, distance: SignedDistance, grip: Grip) -> Grip:
    """Close every finger until it touches; a finger that would miss the object closes as far as the phase lets it."""
    for phase, (fingers, thumb) in enumerate(zip(PHASES, THUMB_PHASES, strict=True)):
        ratio = np.array([fingers[0]] * THUMB + [thumb[0]])
        longest = np.array([fingers[1]] * THUMB + [thumb[1]])
        grip = _phase_closed(gripper, distance, grip, (phase, ratio, longest))
    return grip


def _phase_closed(
    gripper: Gripper, distance: SignedDistance, grip: Grip, phase: tuple[int, np.ndarray, np.ndarray]
) -> Grip:
    number, ratio, longest = phase

    def turned(stroke: Float[np.ndarray, "b 5"]) -> Grip:
        flexion = grip.flexion + stroke[..., None] * ratio
        limits = gripper.flexion_limits
        return replace(grip, flexion=np.clip(flexion, limits[..., 0], np.maximum(limits[..., 1], grip.flexion)))

    def touches(stroke: Float[np.ndarray, "b 5"]) -> Bool[np.ndarray, "b 5"]:
        near = finger_distances(gripper, distance, turned(stroke), phase=number)
        return near <= -CONTACT_DEPTH_M

    count = len(grip.rotation)
    free, hit = np.zeros((count, 5)), np.full((count, 5), np.nan)
    for step in range(SCAN_STEPS + 1):
        stroke = np.broadcast_to(longest * step / SCAN_STEPS, (count, 5))
        touching = touches(stroke)
        hit = np.where(np.isnan(hit) & touching, stroke, hit)
        free = np.where(np.isnan(hit), stroke, free)
    missed = np.isnan(hit)
    hit = np.where(missed, free, hit)
    free = np.minimum(free, hit)
    for _ in range(BISECTIONS):
        middle = (free + hit) / 2
        touching = touches(middle)
        free, hit = np.where(touching, free, middle), np.where(touching, middle, hit)
    stroke = np.where(missed & (number > 0), 0.0, free)
    return turned(stroke)


def finger_distances(
    gripper: Gripper, distance: SignedDistance, grip: Grip, phase: int = 0
) -> Float[np.ndarray, "b 5"]:
    """The signed distance of each finger's nearest vertex, from the phalanx `phase` outwards."""
    own = gripper.own[phase]
    values = distance(gripper.vertices(grip))
    return np.stack([values[:, finger].min(axis=1) for finger in own], axis=1)


def contact(gripper: Gripper, distance: SignedDistance, grip: Grip) -> Contact:
    """How near the fingers, the palm and the deepest vertex are."""
    values = distance(gripper.vertices(grip))
    fingers = np.stack([values[:, finger].min(axis=1) for finger in gripper.own[0]], axis=1)
    return Contact(fingers, values[:, gripper.palm].min(axis=1), values.min(axis=1))


def _segment_distance(
    a: Float[np.ndarray, "b 3"],
    b: Float[np.ndarray, "b 3"],
    c: Float[np.ndarray, "b 3"],
    d: Float[np.ndarray, "b 3"],
) -> Float[np.ndarray, " b"]:
    """The distance between the segments ab and cd (Ericson, Real-Time Collision Detection, 5.1.9)."""
    first, second, offset = b - a, d - c, a - c
    aa, ee, bb = ((x * y).sum(axis=1) for x, y in ((first, first), (second, second), (first, second)))
    cc, ff = (first * offset).sum(axis=1), (second * offset).sum(axis=1)
    s = np.clip((bb * ff - cc * ee) / np.maximum(aa * ee - bb * bb, 1e-12), 0, 1)
    t = np.clip((bb * s + ff) / ee, 0, 1)
    s = np.clip((bb * t - cc) / aa, 0, 1)
    return np.linalg.norm(offset + s[:, None] * first - t[:, None] * second, axis=1)
