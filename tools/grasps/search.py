"""Look for grasps of the sample's and the benchmark's objects: random hands beside them, seated, closed, and scored.

.venv/bin/python tools/grasps/search.py                       # the sample's two objects
.venv/bin/python tools/grasps/search.py --objects mug hammer  # of the benchmark's

Writes src/warpgrasp/data/sample/objects/NAME/grasps.npz or src/warpgrasp/data/benchmark/grasps/NAME.npz.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from warpgrasp.data.benchmark import held_object
from warpgrasp.data.sample import OBJECT_NAMES, THUMB, Grip, Gripper, closed, contact, open_gripper, seated
from warpgrasp.geometry import SignedDistance

DATA = Path(__file__).resolve().parents[2] / "src/warpgrasp/data"
BATCH = 256
NORMAL_STEP_M = 0.002


@dataclass(frozen=True)
class Family:
    """Where hands are tried: ranges about a side of the object; the columns of `axes` are its thin, wide and up."""

    axes: np.ndarray
    centre: np.ndarray
    half: np.ndarray  # extents along thin, wide, up
    inward_deg: tuple[float, float]  # how far the palm turns from the broad face towards the narrow side
    beyond_m: tuple[float, float]  # how far outside the broad face the knuckle is
    along_m: tuple[float, float]  # how far past the narrow side's edge the knuckle is, towards the middle
    height_m: tuple[float, float]  # of the knuckle above the centre
    reach_m: float = 0.012  # how far the thumb comes round the narrow side
    arm_up: tuple[float, float] = (-0.7, 0.1)  # the part of the arm's direction that points along `up`
    opposed: float = 0.6


def family(name: str) -> Family:
    surface, spare = held_object(name).surface, {}
    if name == "hammer":
        axes, ranges = np.eye(3), ((10, 70), (0.0, 0.03), (-0.01, 0.06), (-0.12, -0.03))
        spare = {"reach_m": -1.0, "opposed": 0.2}
    elif name == "bowl":  # from below: the palm under it, the thumb over its rim
        axes = np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]]).T
        ranges = ((-20, 60), (-0.005, 0.05), (-0.04, 0.04), (-0.04, 0.04))
        spare = {"reach_m": -1.0, "arm_up": (-1.0, 1.0), "opposed": 0.2}
    elif name == "mug":
        axes, ranges = _about_z(40), ((10, 75), (0.0, 0.045), (-0.02, 0.05), (-0.03, 0.03))
        spare = {"opposed": -1.0}  # normals of so thin a wall are not told by the grid
    elif name not in OBJECT_NAMES:
        axes, ranges = np.eye(3), ((10, 75), (0.0, 0.045), (-0.02, 0.05), (-0.045, 0.03))
    elif name == "003_cracker_box":
        axes, ranges = np.eye(3), ((15, 75), (0.005, 0.045), (-0.02, 0.05), (-0.06, 0.05))
    else:
        thin = np.array([0.42335, 0.90596, 0.0])
        axes = np.stack([thin, np.cross([0, 0, 1], thin), [0, 0, 1]], axis=1)
        ranges = ((15, 80), (0.0, 0.045), (-0.02, 0.05), (-0.045, 0.03))
    local = surface.vertices @ axes
    low, high = local.min(axis=0), local.max(axis=0)
    return Family(axes, axes @ (low + high) / 2, (high - low) / 2, *ranges, **spare)


def _about_z(degrees: float) -> np.ndarray:
    return Rotation.from_rotvec([0, 0, np.radians(degrees)]).as_matrix()


def random_grips(family: Family, count: int, generator: np.random.Generator) -> Grip:
    thin, wide, _ = family.axes.T
    draw = generator.uniform
    inward = np.radians(draw(*family.inward_deg, count))
    palm = np.cos(inward)[:, None] * thin - np.sin(inward)[:, None] * wide
    ahead = -np.cos(inward)[:, None] * wide - np.sin(inward)[:, None] * thin
    hand = np.stack([-ahead, -palm, np.cross(ahead, palm)], axis=2)
    tilt = Rotation.from_rotvec(np.radians(draw((-20, -25, -20), (20, 35, 20), (count, 3))))
    knuckle = np.stack(
        [
            -family.half[0] - draw(*family.beyond_m, count),
            family.half[1] - draw(*family.along_m, count),
            draw(*family.height_m, count),
        ],
        axis=1,
    )
    flexion = np.zeros((count, 5, 3))
    flexion[:, :THUMB, 0] = np.radians(draw(-8, 25, (count, 1)) + draw(-4, 4, (count, 4)))
    flexion[:, :THUMB, 1] = np.radians(draw(5, 40, (count, 1)) + draw(-4, 4, (count, 4)))
    flexion[:, :THUMB, 2] = 0.6 * flexion[:, :THUMB, 1]
    flexion[:, THUMB] = np.radians(draw((-18, -5, -5), (5, 5, 10), (count, 3)))
    fan = draw(-8, 8, (count, 1)) * np.array([1, 0.2, -1.3, -0.6])
    spread = np.radians(np.concatenate([fan, draw(5, 45, (count, 1))], axis=1))
    rotation = (Rotation.from_matrix(hand @ tilt.as_matrix())).as_rotvec()
    return Grip(rotation, family.centre + knuckle @ family.axes.T, flexion, spread, np.zeros((count, 10)))


def score(gripper: Gripper, distance: SignedDistance, family: Family, grip: Grip) -> np.ndarray:
    """Higher is better, -inf is no grasp."""
    touch, vertices = contact(gripper, distance, grip), gripper.vertices(grip)
    values = distance(vertices)
    rows = np.arange(len(values))
    nearest = [np.flatnonzero(own)[values[:, own].argmin(axis=1)] for own in gripper.own[0]]
    spots = np.stack([vertices[rows, vertex] for vertex in nearest], axis=1)
    shifts = NORMAL_STEP_M * np.eye(3)
    normals = np.stack([distance(spots + shift) - distance(spots - shift) for shift in shifts], axis=-1)
    normals /= 2 * NORMAL_STEP_M
    opposed = -np.einsum("bk,bfk->bf", normals[:, THUMB], normals[:, :THUMB]).mean(axis=1)
    uneven = np.abs(np.diff(grip.flexion[:, [0, 1, 3, 2]], axis=1)).sum(axis=(1, 2))
    area = ((values < 0.0015) & gripper.own[0].any(axis=0)).sum(axis=1)
    thumb_reach = family.half[1] - (spots[:, THUMB] - family.centre) @ family.axes[:, 1]
    arm_up = grip.matrix[:, :, 0] @ family.axes[:, 2]
    good = touch.touching().all(axis=1) & (touch.hand > -0.0012) & (opposed > family.opposed)
    good &= (gripper.finger_gap(grip) > -0.0015) & (thumb_reach > family.reach_m)
    good &= (arm_up > family.arm_up[0]) & (arm_up < family.arm_up[1])
    value = 2 * opposed + 0.02 * area - 0.7 * uneven - 0.3 * grip.flexion[:, :, 2].mean(axis=1)
    return np.where(good, value + 30 * np.minimum(thumb_reach, 0.03), -np.inf)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, default=2048)
    parser.add_argument("--keep", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--objects", nargs="+", default=OBJECT_NAMES)
    arguments = parser.parse_args()
    gripper = open_gripper()
    for name in arguments.objects:
        generator, distance = np.random.default_rng(arguments.seed), held_object(name).distance
        found, scores = [], []
        for _ in range(arguments.candidates // BATCH):
            grip = random_grips(family(name), 8 * BATCH, generator)
            grip = seated(gripper, distance, grip, 0.0015)
            free = contact(gripper, distance, grip)
            grip = grip[np.flatnonzero((free.hand > -0.002) & (free.palm < 0.004))[:BATCH]]
            grip = closed(gripper, distance, grip)
            value = score(gripper, distance, family(name), grip)
            print(name, len(value), np.isfinite(value).sum(), value.max(initial=-np.inf), flush=True)
            found.append(grip[np.isfinite(value)])
            scores.append(value[np.isfinite(value)])
        save(name, found, np.concatenate(scores), arguments.keep)


def save(name: str, found: list[Grip], scores: np.ndarray, keep: int) -> None:
    """Keep the best grasps that differ from each other."""
    fields = {key: np.concatenate([getattr(grip, key) for grip in found]) for key in Grip.__dataclass_fields__}
    chosen: list[int] = []
    rotations = Rotation.from_rotvec(fields["rotation"])
    for row in np.argsort(-scores):
        near = [
            (rotations[row].inv() * rotations[other]).magnitude() < np.radians(9)
            and np.linalg.norm(fields["knuckle"][row] - fields["knuckle"][other]) < 0.008
            for other in chosen
        ]
        if not any(near):
            chosen.append(row)
        if len(chosen) == keep:
            break
    print(name, scores[chosen])
    scanned = DATA / "sample/objects" / name / "grasps.npz"
    path = scanned if name in OBJECT_NAMES else DATA / "benchmark/grasps" / f"{name}.npz"
    np.savez(path, **{key: value[chosen] for key, value in fields.items()})


if __name__ == "__main__":
    main()
