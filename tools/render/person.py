"""The person in the picture: skin on the hand, and the forearm and sleeve that continue its open wrist."""

from pathlib import Path

import bpy
import numpy as np
import studio
from materials import Material, cloth
from sequence import Sequence

ARM_STATIONS_M = np.array([0.006, 0.015, 0.03, 0.05, 0.08, 0.12, 0.17, 0.23, 0.3, 0.38, 0.48, 0.6])
BLEND_M = 0.06  # the wrist's own outline has become an ellipse after this distance
SLEEVE_AROUND = 48
ARM_ABOVE_TABLE_M = 0.05  # the centre of an arm that would go through the table is lifted to this


def wrist_loop(faces: np.ndarray) -> np.ndarray:
    """The boundary's vertices, in the order of the faces' edges along it."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    present = {tuple(edge) for edge in edges.tolist()}
    after = {a: b for a, b in present if (b, a) not in present}
    loop = [min(after)]
    while after[loop[-1]] != loop[0]:
        loop.append(after[loop[-1]])
    if len(loop) != len(after):
        raise SystemExit(f"the hand has {len(after)} boundary edges, {len(loop)} of them in the first loop")
    return np.array(loop)


class Forearm:
    """Elliptic cross-sections along a line that leaves the wrist at right angles to its opening."""

    def __init__(self, hand_vertices: np.ndarray, loop: np.ndarray, *, lowest_z: float):
        opening = hand_vertices[loop]
        self.centre = opening.mean(axis=0)
        self._offsets = opening - self.centre
        _, _, axes = np.linalg.svd(self._offsets, full_matrices=False)
        wide, _, self.axis = axes
        self.axis = self.axis * np.sign(self.axis @ (self.centre - hand_vertices.mean(axis=0)))
        self._wide = wide * np.sign(wide @ self._offsets[0])
        self._thin = np.cross(self.axis, self._wide)
        across = self._offsets @ np.stack([self._wide, self._thin], axis=1)
        self._radii = np.sqrt(2 * (across**2).mean(axis=0))
        self._angles = np.arctan2(across[:, 1] / self._radii[1], across[:, 0] / self._radii[0])
        self._lowest_z = lowest_z

    def section(self, distance: float, angles: np.ndarray, grow: np.ndarray | float = 0.0) -> np.ndarray:
        """Points round the arm, `distance` behind the wrist; `grow` metres outside the skin."""
        thicker = 1 - np.exp(-distance / 0.14)
        radii = self._radii * (1 + thicker * np.array([0.35, 0.75]))
        centre = self.centre + self.axis * distance
        centre[2] += max(0.0, self._lowest_z - centre[2]) * min(1.0, distance / 0.1)
        cos, sin = ((radii[0] + grow) * np.cos(angles))[:, None], ((radii[1] + grow) * np.sin(angles))[:, None]
        return centre + cos * self._wide + sin * self._thin

    def skin(self) -> np.ndarray:
        """Rings of as many vertices as the wrist has, (stations * n, 3)."""
        rings = []
        for distance in ARM_STATIONS_M:
            own = max(0.0, 1 - distance / BLEND_M) ** 2
            ellipse = self.section(distance, self._angles)
            rings.append(own * (self.centre + self.axis * distance + self._offsets) + (1 - own) * ellipse)
        return np.concatenate(rings)


class Person:
    """Hand, forearm and sleeve of a sequence; `move` puts them where a frame has them."""

    def __init__(self, scene: bpy.types.Scene, sequence: Sequence, *, table_z: float):
        self._sequence, self._lowest_z = sequence, table_z + ARM_ABOVE_TABLE_M
        self._loop = wrist_loop(sequence.hand_faces)
        rng = np.random.default_rng([sequence.seed, 1])
        self._cuff_m = rng.choice([rng.uniform(0.03, 0.06), rng.uniform(0.1, 0.25)])
        self._wrinkles = [(rng.uniform(8, 60), rng.integers(0, 4), rng.uniform(0, 7)) for _ in range(6)]
        vertices = self._skin_vertices(0)
        n_hand, n_loop = sequence.hand_vertices.shape[1], len(self._loop)
        rings = np.concatenate([self._loop[None], n_hand + np.arange(len(vertices) - n_hand).reshape(-1, n_loop)])
        a, b = rings[:-1], np.roll(rings[:-1], -1, axis=1)
        a_next, b_next = rings[1:], np.roll(rings[1:], -1, axis=1)
        quads = np.stack([b, a, a_next, b_next], axis=-1).reshape(-1, 4)
        uv_of_vertex = np.zeros(len(vertices), int)
        uv_of_vertex[sequence.hand_faces] = sequence.hand_uv_faces
        uv_of_vertex[n_hand:] = np.tile(uv_of_vertex[self._loop], len(ARM_STATIONS_M))
        corners = np.concatenate([sequence.hand_uv_faces.reshape(-1), uv_of_vertex[quads].reshape(-1)])
        self._skin = studio.add_mesh(
            scene,
            "skin",
            vertices=vertices,
            faces=sequence.hand_faces.tolist() + quads.tolist(),
            material=skin_material(sequence.skin_texture, sequence.hand_uv),
            uv=sequence.hand_uv,
            uv_faces=corners,
        )
        self._skin.data.attributes.new("rest", "FLOAT_VECTOR", "POINT").data.foreach_set(
            "vector", vertices.astype(np.float32).reshape(-1)
        )
        on_arm = np.concatenate([np.zeros(n_hand), np.repeat(np.minimum(1, ARM_STATIONS_M / 0.03), n_loop)])
        self._skin.data.attributes.new("arm", "FLOAT", "POINT").data.foreach_set("value", on_arm.astype(np.float32))
        self._skin.cycles.shadow_terminator_geometry_offset = 0.15
        self._sleeve = self._add_sleeve(scene, rng)

    def _forearm(self, frame: int) -> Forearm:
        return Forearm(self._sequence.hand_vertices[frame].astype(float), self._loop, lowest_z=self._lowest_z)

    def _skin_vertices(self, frame: int) -> np.ndarray:
        return np.concatenate([self._sequence.hand_vertices[frame], self._forearm(frame).skin()])

    def _sleeve_vertices(self, frame: int) -> np.ndarray:
        """Rings from the hem inside the cuff outwards, then up the arm."""
        forearm, angles = self._forearm(frame), np.linspace(0, 2 * np.pi, SLEEVE_AROUND, endpoint=False)
        rings = [forearm.section(self._cuff_m + inside, angles, grow=0.003) for inside in (0.02, 0.002)]
        for distance in np.linspace(self._cuff_m, 0.65, 60):
            folds = sum(np.sin(f * distance + n * angles + p) for f, n, p in self._wrinkles)
            loose = 0.007 + min(1.0, (distance - self._cuff_m) / 0.05) * (0.004 + 0.0016 * folds)
            rings.append(forearm.section(distance, angles, grow=loose))
        return np.concatenate(rings)

    def _add_sleeve(self, scene: bpy.types.Scene, rng: np.random.Generator) -> bpy.types.Object:
        vertices = self._sleeve_vertices(0)
        rings = np.arange(len(vertices)).reshape(-1, SLEEVE_AROUND)
        a, b = rings[:-1], np.roll(rings[:-1], -1, axis=1)
        quads = np.stack([b, a, rings[1:], np.roll(rings[1:], -1, axis=1)], axis=-1).reshape(-1, 4)
        material = cloth(rng)
        sleeve = studio.add_mesh(scene, "sleeve", vertices=vertices, faces=quads, material=material)
        return sleeve

    def move(self, frame: int) -> None:
        studio.move_vertices(self._skin, self._skin_vertices(frame))
        studio.move_vertices(self._sleeve, self._sleeve_vertices(frame))


def skin_material(texture: Path, hand_uv: np.ndarray) -> bpy.types.Material:
    """Skin: the texture on the hand, its median colour on the forearm, a little light going through."""
    picture = bpy.data.images.load(str(texture))
    pixels = np.array(picture.pixels[:]).reshape(picture.size[1], picture.size[0], -1)[:, :, :3]
    column, row = (np.clip(hand_uv, 0, 0.999) * picture.size[:]).astype(int).T
    forearm = np.median(pixels[row, column], axis=0) ** 2.2  # from sRGB, near enough for a tint

    material = Material(
        "skin",
        **{
            "Roughness": 0.45,
            "IOR": 1.4,
            "Specular IOR Level": 0.4,
            "Subsurface Weight": 0.1,
            "Subsurface Radius": (1.0, 0.35, 0.2),
            "Subsurface Scale": 0.006,
        },
    )
    rest = material.node("Attribute", attribute_name="rest").outputs["Vector"]
    on_arm = material.node("Attribute", attribute_name="arm").outputs["Fac"]
    tone = material.mix(on_arm, material.node("TexImage", image=picture).outputs["Color"], tuple(forearm))
    blotches = material.ramp(material.noise(rest, 70, detail=5), [(0.9, 0.84, 0.82), (1.05, 1.03, 1.02)])
    freckles = material.ramp(material.noise(rest, 420, detail=2), [(0.95, 0.93, 0.92), (1.03,) * 3])
    tone = material.mix(1.0, tone, blotches, blend="MULTIPLY")
    material.set(**{"Base Color": material.mix(1.0, tone, freckles, blend="MULTIPLY")})
    relief = material.mix(0.4, material.noise(rest, 350, detail=3), material.noise(rest, 1200, detail=2))
    material.bump(relief, distance_m=0.0012, strength=0.5)
    return material.data
