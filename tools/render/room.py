"""A made-up room from a seed: a table under the action, walls behind it, and things standing about."""

from dataclasses import dataclass
from pathlib import Path

import bpy
import materials
import numpy as np
import studio
from sequence import Sequence

CLUTTER = Path(__file__).resolve().parent / "work/clutter"
CLEARANCE_M = 0.05  # between things and whatever moves
THING_RADIUS_M, THING_HEIGHT_M = 0.12, 0.2


@dataclass(frozen=True)
class Stage:
    """What the room is built round: where things move and where they are seen from."""

    target: np.ndarray  # (3,) metres
    points: np.ndarray  # (n, 3) of hand, arm and object over the whole sequence
    cameras: np.ndarray  # (T, 3)
    forward: np.ndarray  # (3,) horizontal unit vector, the cameras' mean direction
    table_z: float

    @staticmethod
    def of(sequence: Sequence, object_vertices: np.ndarray, rng: np.random.Generator) -> "Stage":
        hand = sequence.hand_vertices[:, ::12].reshape(-1, 3)
        pose = sequence.world_from_object
        thing = np.einsum("tij,vj->tvi", pose[:, :3, :3], object_vertices[::12]) + pose[:, None, :3, 3]
        points = np.concatenate([hand, thing.reshape(-1, 3)])
        cameras = sequence.world_from_camera_cv[:, :3, 3]
        forward = sequence.target - cameras.mean(axis=0)
        forward = forward * [1, 1, 0] / max(np.linalg.norm(forward[:2]), 1e-6)
        table_z = min(points[:, 2].min() - rng.uniform(0.01, 0.12), cameras[:, 2].min() - 0.08)
        return Stage(sequence.target, points, cameras, forward, float(table_z))

    def is_free(self, place: np.ndarray, radius: float, height: float) -> bool:
        """No moving thing, camera or line of sight comes near a thing of this size on the table there."""
        low = self.points[self.points[:, 2] < self.table_z + height + CLEARANCE_M]
        along = np.linspace(0, 1, 12)[:, None]
        sights = self.cameras[:, None] + (self.target - self.cameras)[:, None] * along
        sights = sights.reshape(-1, 3)
        sights = sights[sights[:, 2] < self.table_z + height + 0.06]
        near = np.concatenate([low, sights, self.cameras])
        return bool(np.linalg.norm(near[:, :2] - place, axis=1).min() > radius + CLEARANCE_M)


def shift(x: float = 0.0, y: float = 0.0, z: float = 0.0) -> np.ndarray:
    return np.array([x, y, z])


def box(scene, size, *, material, at, yaw: float = 0.0) -> bpy.types.Object:
    x, y, z = np.meshgrid([-0.5, 0.5], [-0.5, 0.5], [-0.5, 0.5], indexing="ij")
    vertices = np.stack([x, y, z], axis=-1).reshape(-1, 3) * size
    faces = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    thing = studio.add_mesh(scene, "box", vertices=vertices, faces=faces, material=material)
    thing.data.shade_flat()
    thing.location, thing.rotation_euler = at, (0, 0, yaw)
    edges = thing.modifiers.new("edges", "BEVEL")
    edges.width, edges.segments = min(0.002, min(size) / 5), 2
    return thing


def book(scene, rng: np.random.Generator, *, at, yaw: float, size) -> None:
    """Three boxes: pages, and a cover round them on three sides."""
    cover = materials.painting(rng) if rng.random() < 0.5 else materials.paint(rng, saturation=(0.2, 0.9))
    width, depth, height = size
    pages = materials.paint(rng, hue=(0.1, 0.15), saturation=(0.05, 0.2), value=(0.6, 0.85))
    box(scene, (width * 0.97, depth * 0.96, height * 0.8), material=pages, at=at, yaw=yaw)
    for side in (-0.45, 0.45):
        box(scene, (width, depth, height * 0.1), material=cover, at=at + shift(z=side * height), yaw=yaw)
    spine = at - width / 2 * shift(np.cos(yaw), np.sin(yaw))
    box(scene, (0.003, depth, height), material=cover, at=spine, yaw=yaw)


def turned(scene, profile: np.ndarray, *, material, at) -> None:
    """A body of revolution, e.g. a mug, from (radius, height) pairs."""
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    rings = [np.stack([r * np.cos(angles), r * np.sin(angles), np.full(40, z)], axis=1) for r, z in profile]
    index = np.arange(40 * len(profile)).reshape(len(profile), 40)
    quads = np.stack([index[:-1], np.roll(index[:-1], -1, 1), np.roll(index[1:], -1, 1), index[1:]], axis=-1)
    thing = studio.add_mesh(
        scene, "turned", vertices=np.concatenate(rings), faces=quads.reshape(-1, 4), material=material
    )
    thing.location = at


MUG = np.array(
    [
        (0.001, 0.002),
        (0.034, 0.0),
        (0.04, 0.01),
        (0.041, 0.09),
        (0.039, 0.092),
        (0.037, 0.09),
        (0.036, 0.012),
        (0.001, 0.01),
    ]
)
BOWL = np.array(
    [
        (0.001, 0.0),
        (0.03, 0.0),
        (0.055, 0.025),
        (0.075, 0.06),
        (0.073, 0.061),
        (0.052, 0.03),
        (0.025, 0.008),
        (0.001, 0.007),
    ]
)


def put_thing(scene, rng: np.random.Generator, *, at: np.ndarray) -> None:
    """One thing on the table at `at`: a scanned object, a pile of books, crockery, fruit or paper."""
    yaw = rng.uniform(0, 2 * np.pi)
    match rng.choice(["scan", "scan", "books", "mug", "bowl", "fruit", "paper"]):
        case "scan":
            thing = studio.import_obj(rng.choice(sorted(CLUTTER.glob("*/*.obj"))))
            low = np.array(thing.bound_box)
            middle = (low.min(axis=0) + low.max(axis=0)) / 2
            turn = np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])
            thing.rotation_euler = (0, 0, yaw)
            thing.location = (*(at[:2] - turn @ middle[:2]), at[2] - low[:, 2].min())
        case "books":
            for height in rng.uniform(0.012, 0.045, rng.integers(1, 5)):
                size = (rng.uniform(0.12, 0.2), rng.uniform(0.18, 0.27), height)
                book(scene, rng, at=at + shift(z=height / 2), yaw=yaw + rng.normal(0, 0.15), size=size)
                at = at + shift(z=height + 0.0005)
        case "mug" | "bowl" as kind:
            turned(
                scene,
                (MUG if kind == "mug" else BOWL) * rng.uniform(0.85, 1.2),
                at=at,
                material=materials.paint(rng, saturation=(0, 0.8), value=(0.2, 0.9)),
            )
        case "fruit":
            for _ in range(rng.integers(1, 4)):
                radius, angles = rng.uniform(0.03, 0.042), np.linspace(-1.54, 1.54, 20)
                profile = np.stack([radius * np.cos(angles), radius * (1 + 0.95 * np.sin(angles))], axis=1)
                skin = materials.paint(rng, hue=(0.0, 0.22), saturation=(0.75, 0.95), value=(0.35, 0.8))
                turned(scene, profile, material=skin, at=at + shift(*rng.uniform(-0.07, 0.07, 2)))
        case "paper":
            for layer in rng.uniform(0, 0.4) + np.arange(rng.integers(1, 4)):  # never two sheets at one height
                box(
                    scene,
                    (0.21, 0.297, 0.0006),
                    material=materials.page(rng),
                    at=at + shift(*rng.normal(0, 0.03, 2), 0.001 * (layer + 1)),
                    yaw=yaw + rng.normal(0, 0.2),
                )


def hang_on_wall(scene, rng, *, wall: np.ndarray, right: np.ndarray, yaw: float, table_z: float) -> None:
    """Pictures, or a shelf of books, on the wall through `wall`."""
    for _ in range(rng.integers(1, 4)):
        along, up = rng.uniform(-1.1, 1.1), table_z + rng.uniform(0.1, 0.8)
        at = np.array([*(wall + right * along)[:2], up])
        if rng.random() < 0.5:
            size = rng.uniform(0.25, 0.7, 2)
            box(scene, (size[0], 0.03, size[1]), material=materials.painting(rng), at=at, yaw=yaw)
            box(scene, (size[0] + 0.04, 0.02, size[1] + 0.04), material=materials.paint(rng), at=at, yaw=yaw)
        else:
            box(scene, (1.0, 0.44, 0.02), material=materials.wood(rng), at=at, yaw=yaw)
            left = -0.48
            while left < 0.45:
                thickness, height = rng.uniform(0.012, 0.05), rng.uniform(0.15, 0.28)
                place = at + right * (left + thickness / 2) + shift(z=height / 2 + 0.01)
                box(
                    scene,
                    (thickness, 0.36, height),
                    material=materials.paint(rng, saturation=(0.1, 0.9)),
                    at=place,
                    yaw=yaw,
                )
                left += thickness + rng.choice([0.001, 0.001, 0.05])


def build(scene: bpy.types.Scene, stage: Stage, rng: np.random.Generator) -> None:
    surfaces = [materials.wood, materials.wood, materials.cloth, materials.tiles, materials.stone]
    table, floor = rng.choice(surfaces), rng.choice([materials.wood, materials.tiles, materials.cloth])
    across = np.array([-stage.forward[1], stage.forward[0], 0.0])
    heading = float(np.arctan2(across[1], across[0]))
    top = np.array([*stage.target[:2], stage.table_z - 0.02]) + stage.forward * 0.1
    box(
        scene,
        (rng.uniform(1.6, 2.4), rng.uniform(1.3, 1.6), 0.04),
        material=table(rng),
        at=top,
        yaw=heading + rng.uniform(-0.3, 0.3),
    )
    box(scene, (8, 8, 0.02), material=floor(rng), at=[*stage.target[:2], stage.table_z - 0.75])

    reach = np.linalg.norm(stage.points[:, :2] - stage.target[:2], axis=1).max()
    walls = [materials.plaster, materials.plaster, materials.bricks, materials.wood]
    paper = rng.choice(walls)(rng)
    for turn in (rng.uniform(-0.3, 0.3), rng.choice([-1, 1]) * np.pi / 2):
        yaw = heading + turn
        away = np.array([np.sin(yaw), -np.cos(yaw), 0.0])
        wall = stage.target + away * (reach + rng.uniform(0.9, 1.7))
        plane = box(scene, (7, 4, 0.05), material=paper, at=wall, yaw=yaw)
        plane.rotation_euler = (np.pi / 2, 0, yaw)
        hang_on_wall(
            scene,
            rng,
            wall=wall - away * 0.03,
            right=np.array([np.cos(yaw), np.sin(yaw), 0]),
            yaw=yaw,
            table_z=stage.table_z,
        )

    taken = []
    for _ in range(60):
        radius, turn = rng.uniform(0.2, 0.75), rng.uniform(-2, 2)
        ahead = np.cos(turn) * stage.forward + np.sin(turn) * across
        place = stage.target[:2] + ahead[:2] * radius
        apart = all(np.linalg.norm(place - other) > 2 * THING_RADIUS_M for other in taken)
        if apart and stage.is_free(place, THING_RADIUS_M, THING_HEIGHT_M):
            put_thing(scene, rng, at=np.array([*place, stage.table_z]))
            taken.append(place)
