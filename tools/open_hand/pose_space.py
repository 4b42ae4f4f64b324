"""Joint axes, anatomical limits and the pose space: what a hand does, sampled and reduced to 45 components.

A joint's rotation vector is `flexion * flexion_axis + spread * spread_axis`. Positive flexion curls towards
the palm. Positive spread turns a finger towards the thumb's side; at the thumb's base it lifts the thumb away
from the palm (palmar abduction), while flexion there sweeps it across the palm and turns its pad to face the
fingers.
"""

from dataclasses import dataclass

import numpy as np
from source import FINGERS, JOINTS

FLEXION_LIMITS_DEG = {"1": (-15, 90), "2": (-5, 105), "3": (-5, 80)}
SPREAD_LIMITS_DEG = {"1": (-14, 14), "2": (-2, 2), "3": (-2, 2)}
THUMB_FLEXION_LIMITS_DEG = {"1": (-20, 55), "2": (-10, 60), "3": (-15, 80)}
THUMB_SPREAD_LIMITS_DEG = {"1": (-35, 40), "2": (-6, 6), "3": (-2, 2)}
PRONATION = 0.6  # turn about the thumb's own axis per turn of flexion at its base: its saddle couples them
DIP_FROM_PIP = 0.65  # the last joint has no muscle of its own: it follows the one before

# What hands do: how often, and how far each finger closes, in degrees: (knuckle, middle joint) of index,
# middle, ring, little, then the thumb's (base flexion, base spread, knuckle, last joint).
SYNERGIES = {
    "relaxed": (0.22, ((22, 28), (28, 34), (32, 38), (34, 40)), (8, -4, 10, 15)),
    "flat": (0.12, ((0, 0), (0, 0), (0, 0), (0, 0)), (-5, -4, 0, 0)),
    "fist": (0.13, ((75, 95), (80, 98), (82, 96), (82, 92)), (27, -6, 13, 58)),
    "power": (0.20, ((38, 48), (42, 52), (45, 55), (48, 55)), (26, 24, 0, 10)),
    "pinch": (0.10, ((41, 47), (25, 30), (22, 28), (22, 28)), (40, 9, 10, 0)),
    "tripod": (0.10, ((43, 45), (44, 48), (55, 70), (58, 72)), (36, 10, 0, 5)),
    "point": (0.07, ((5, 5), (70, 90), (75, 92), (75, 88)), (20, -8, 23, 42)),
    "hook": (0.06, ((5, 75), (5, 80), (8, 78), (10, 72)), (0, -10, 5, 10)),
}
FLAT = np.zeros(4)
INDEX_TILT_SHARE = 0.5  # the source turns the nail of its index more than the finger bends sideways
SHEET_FINGERS = ("index", "middle", "ring", "little")


@dataclass(frozen=True)
class JointAxes:
    """Unit axes (15, 3) in the rest frame and limits (15, 2, 2) in radians: flexion, spread; from, to."""

    flexion: np.ndarray
    spread: np.ndarray
    limits: np.ndarray

    def pose(self, flexion: np.ndarray, spread: np.ndarray) -> np.ndarray:
        """Rotation vectors (..., 45) of joint angles (..., 15), kept within the limits."""
        flexion = np.clip(flexion, self.limits[:, 0, 0], self.limits[:, 0, 1])
        spread = np.clip(spread, self.limits[:, 1, 0], self.limits[:, 1, 1])
        vectors = flexion[..., None] * self.flexion + spread[..., None] * self.spread
        return vectors.reshape(*vectors.shape[:-2], 45)


def joint_axes(vertices: np.ndarray, joints: np.ndarray, weights: np.ndarray) -> JointAxes:
    """Read each finger's bending plane off the flatness of its last phalanx (nail above, pad below)."""
    flexion, spread, limits = (np.zeros((15, 3)), np.zeros((15, 3)), np.zeros((15, 2, 2)))
    for chain, finger in enumerate(FINGERS):
        first = 1 + 3 * chain
        tip = finger_tip(vertices, joints, weights, finger)
        ends = [joints[first], joints[first + 1], joints[first + 2], vertices[tip]]
        pad = _pad_normal(vertices[weights[:, first + 2] > 0.6], ends[3] - ends[2], finger)
        if finger == "index":
            pad = _unit(pad * [1, 1, INDEX_TILT_SHARE])
        hinge = _unit(np.cross(ends[3] - ends[2], pad))
        for part in range(3):
            row, along = first + part - 1, _unit(ends[part + 1] - ends[part])
            flexion[row] = _unit(hinge - along * (hinge @ along))
            spread[row] = np.cross(along, flexion[row])
            bend, sway = (FLEXION_LIMITS_DEG, SPREAD_LIMITS_DEG)
            if finger == "thumb":
                bend, sway = THUMB_FLEXION_LIMITS_DEG, THUMB_SPREAD_LIMITS_DEG
                flexion[row] = _unit(flexion[row] - PRONATION * (part == 0) * along)
            limits[row] = np.radians([bend[str(part + 1)], sway[str(part + 1)]])
    return JointAxes(flexion, spread, limits)


def finger_tip(vertices: np.ndarray, joints: np.ndarray, weights: np.ndarray, finger: str) -> int:
    """The vertex farthest along the last phalanx."""
    last = JOINTS.index(f"{finger}3")
    own = np.flatnonzero(weights[:, last] > 0.5)
    return int(own[((vertices[own] - joints[last]) @ (joints[last] - joints[last - 1])).argmax()])


def _pad_normal(phalanx: np.ndarray, along: np.ndarray, finger: str) -> np.ndarray:
    along = _unit(along)
    across = phalanx - phalanx.mean(0)
    across = across - np.outer(across @ along, along)
    thin = np.linalg.svd(across, full_matrices=False)[2][1]
    palmwards = np.array([0.0, 0, -1]) if finger == "thumb" else np.array([0.0, -1, 0])
    return thin * np.sign(thin @ palmwards)


def named_pose(axes: JointAxes, name: str) -> np.ndarray:
    """The rotation vectors (45,) of one synergy."""
    _, fingers, thumb = SYNERGIES[name]
    return axes.pose(*_angles(np.radians(fingers), np.radians(thumb)))


def sample_poses(axes: JointAxes, count: int, seed: int) -> np.ndarray:
    """Draw poses (count, 45): a synergy, how far it is closed, and what each finger does on its own."""
    generator = np.random.default_rng(seed)
    names = list(SYNERGIES)
    chances = np.array([SYNERGIES[name][0] for name in names])
    relaxed_fingers, relaxed_thumb = (np.radians(part) for part in SYNERGIES["relaxed"][1:])
    poses = np.zeros((count, 45))
    for row in range(count):
        _, fingers, thumb = SYNERGIES[names[generator.choice(len(names), p=chances / chances.sum())]]
        closed = generator.uniform(0.4, 1.1)
        fingers = relaxed_fingers + closed * (np.radians(fingers) - relaxed_fingers)
        thumb = relaxed_thumb + closed * (np.radians(thumb) - relaxed_thumb)
        fingers = fingers + np.radians(generator.normal(0, 6, 2) + generator.normal(0, (7, 8), (4, 2)))
        thumb = thumb + np.radians(generator.normal(0, (7, 8, 6, 8)))
        fan = np.radians(generator.normal(0, 5) * np.array([1, 0.2, -0.6, -1.3]) + generator.normal(0, 2, 4))
        poses[row] = axes.pose(*_angles(fingers, thumb, fan, generator.normal(0, np.radians(4), 4)))
    return poses + generator.normal(0, np.radians(0.7), poses.shape)  # so that all 45 directions exist


def _angles(fingers: np.ndarray, thumb: np.ndarray, fan: np.ndarray = FLAT, dip: np.ndarray = FLAT):
    """Flexion and spread (15,) of MANO's joints from the sheet's order; a bent knuckle cannot spread."""
    flexion, spread = np.zeros(15), np.zeros(15)
    for i, finger in enumerate(SHEET_FINGERS):
        row = JOINTS.index(f"{finger}1") - 1
        knuckle, middle = fingers[i]
        flexion[row : row + 3] = knuckle, middle, DIP_FROM_PIP * middle + dip[i]
        spread[row] = fan[i] * np.cos(np.clip(knuckle, 0, np.pi / 2))
    row = JOINTS.index("thumb1") - 1
    flexion[row : row + 3] = thumb[0], thumb[2], thumb[3]
    spread[row] = thumb[1]
    return flexion, spread


def principal_poses(poses: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean (45,), components (45, 45) as eigenvector times standard deviation, and explained shares (45,)."""
    mean = poses.mean(0)
    _, scale, directions = np.linalg.svd(poses - mean, full_matrices=False)
    directions = directions * np.sign(directions[np.arange(45), np.abs(directions).argmax(1)])[:, None]
    deviation = scale / np.sqrt(len(poses) - 1)
    return mean, directions * deviation[:, None], deviation**2 / (deviation**2).sum()


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)
