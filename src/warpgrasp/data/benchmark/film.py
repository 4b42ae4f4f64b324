"""A sequence filmed: hand, arm, object and what passes, in a room, under its lights, by a camera with its faults.

A picture is the mean of several that are drawn at moments while the shutter is open, each with the pixels' centres
shifted by less than one: so edges are smooth and what moves is blurred. Labels are those of the middle of that time,
and of the pixels' centres.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.sparse import csr_matrix
from scipy.spatial.transform import Rotation

from warpgrasp.data.benchmark import prints, room
from warpgrasp.data.benchmark.arm import Arm
from warpgrasp.data.benchmark.objects import held_object
from warpgrasp.data.benchmark.shapes import Shape
from warpgrasp.data.sample import HEIGHT_PX, WIDTH_PX, GraspSequence
from warpgrasp.geometry import Camera, boundary_loop
from warpgrasp.hand import open_hand, open_hand_arrays, skin_textures
from warpgrasp.render import Lights, Material, Shadows, Stage, Textures, draw, encoded

MOMENTS = ((-0.375, (-0.125, -0.375)), (0.125, (0.375, -0.125)), (-0.125, (-0.375, 0.125)), (0.375, (0.125, 0.375)))
SKIN_BLEED = (0.3, 0.14, 0.1)
PASSING_SHARE = 0.3  # of the sequences in which something passes in front
SHOULDER_M = (0.5, 0.28, 0.12)  # from the wrist: sideways, away, up
OUTSIDE_PX = 70.0  # how far outside the picture the arm ends


@dataclass(frozen=True)
class Skin:
    """A person's skin: which picture, and how much darker or redder than it."""

    picture: int
    tint: tuple[float, float, float]


@dataclass(frozen=True)
class Lens:
    """A camera's faults."""

    shutter: float  # share of the time between frames for which it is open
    gains: Float[np.ndarray, " 3"]  # a white balance that is a little off
    blur_px: float
    vignette: float
    shot: float  # variance of noise per amount of light
    read: float  # its deviation in the dark
    quality: int  # of the JPEG

    @staticmethod
    def random(generator: np.random.Generator) -> "Lens":
        """Draw a camera."""
        draw_ = generator.uniform
        return Lens(
            shutter=float(draw_(0.2, 0.8)),
            gains=1 + draw_(-0.07, 0.07, 3),
            blur_px=float(draw_(0.25, 0.6)),
            vignette=float(draw_(0.0, 0.35)),
            shot=float(draw_(0.0001, 0.001)),
            read=float(draw_(0.001, 0.004)),
            quality=int(generator.integers(86, 96)),
        )

    def develop(self, light: Float[np.ndarray, "h w 3"], generator: np.random.Generator) -> Float[np.ndarray, "h w 3"]:
        """From light to sRGB values in [0, 1]."""
        height, width = light.shape[:2]
        blurred = np.stack([gaussian_filter(light[..., k], self.blur_px) for k in range(3)], axis=-1)
        v, u = np.mgrid[:height, :width]
        radius = np.hypot(u - (width - 1) / 2, v - (height - 1) / 2) / np.hypot(width / 2, height / 2)
        exposed = blurred * self.gains * (1 - self.vignette * radius**2)[..., None]
        noisy = exposed + generator.normal(size=light.shape) * np.sqrt(self.shot * exposed + self.read**2)
        curve = 1 - np.exp(-1.5 * np.maximum(noisy, 0) - 0.25 * np.maximum(noisy, 0) ** 2)
        return encoded(np.clip(curve, 0, 1))


@dataclass(frozen=True)
class Moving:
    """The vertices of what moves, in every frame, and the faces on them."""

    vertices: Float[np.ndarray, "t v 3"]
    faces: Int[np.ndarray, "f 3"]
    corner_uv: Float[np.ndarray, "f 3 2"]
    texture: Int[np.ndarray, " f"]
    normals: Float[np.ndarray, "f 3 3"] | None = None  # of a rigid body in its own frame; None: smooth
    rotations: Float[np.ndarray, "t 3 3"] | None = None  # of the rigid body

    def corner_normals(self, frame: int) -> Float[np.ndarray, "f 3 3"]:
        """The normals in one frame."""
        if self.normals is not None and self.rotations is not None:
            return self.normals @ self.rotations[frame].T
        a, b, c = self.vertices[frame][self.faces].transpose(1, 0, 2)
        total = self._of_vertex @ np.cross(b - a, c - a)
        total /= np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-20)
        return total[self.faces]

    @cached_property
    def _of_vertex(self) -> csr_matrix:
        corners = self.faces.ravel()
        faces = np.repeat(np.arange(len(self.faces)), 3)
        return csr_matrix((np.ones(len(corners)), (corners, faces)), (self.vertices.shape[1], len(self.faces)))

    @staticmethod
    def rigid(shape: Shape, texture: int, pose: Float[np.ndarray, "t 4 4"]) -> "Moving":
        """A shape along a path."""
        rotation = pose[:, :3, :3]
        vertices = shape.vertices @ rotation.transpose(0, 2, 1) + pose[:, None, :3, 3]
        number = np.full(len(shape.faces), texture)
        return Moving(vertices, shape.faces, shape.corner_uv, number, shape.corner_normals, rotation)


class Take:
    """A sequence, ready to be filmed: everything but the sequence is drawn from the generator."""

    def __init__(self, sequence: GraspSequence, skin: Skin, generator: np.random.Generator):
        self.sequence, self.lens = sequence, Lens.random(generator)
        self._noise = generator.spawn(1)[0]
        self.lights: Lights = room.lights(generator)
        hand, pose = self._hand(), sequence.world_from_object
        thing = held_object(sequence.object_name)
        materials: list[Material] = []

        def material(added: Material) -> int:
            materials.append(added)
            return len(materials) - 1

        eyes = sequence.world_from_camera[:, :3, 3]
        moving = [*self._person(hand, skin, generator, material)]
        moving.append(Moving.rigid(thing.shape, material(Material(thing.picture, gloss=thing.gloss)), pose))
        if generator.random() < PASSING_SHARE:
            middle = thing.shape.vertices.mean(axis=0)
            right = sequence.world_from_camera[len(sequence) // 2, :3, 0]
            targets = pose[:, :3, :3] @ middle + pose[:, :3, 3]
            shape, path, look = room.passing(generator, eyes, targets, right)
            along = np.tile(np.eye(4), (len(sequence), 1, 1))
            along[:, :3, 3] = path
            moving.append(Moving.rigid(shape, material(look), along))
        self.moving: Sequence[Moving] = moving
        points = np.concatenate([part.vertices[:, ::7].reshape(-1, 3) for part in moving])
        built = room.build(generator, points, eyes, thing.name)
        self._room, count = built.shape, len(built.shape.vertices)
        shift = len(built.materials)
        self.textures = Textures.of([*built.materials, *materials])
        starts = count + np.cumsum([0, *(part.vertices.shape[1] for part in moving[:-1])])
        self._faces = np.concatenate(
            [self._room.faces, *(part.faces + start for part, start in zip(moving, starts, strict=True))]
        ).astype(np.int64)
        self._uv = np.concatenate([self._room.corner_uv, *(part.corner_uv for part in moving)]).astype(np.float32)
        self._texture = np.concatenate([self._room.texture, *(part.texture + shift for part in moving)]).astype(
            np.int64
        )
        self._moving_faces = np.ascontiguousarray(self._faces[len(self._room.faces) :] - count)
        self._still_shadows = Shadows.of(
            self.lights, self._room.vertices, self._faces[: len(self._room.faces)][built.faces_cast]
        )

    def _hand(self) -> Float[np.ndarray, "t v 3"]:
        rotation, place = self.sequence.world_from_camera[:, :3, :3], self.sequence.world_from_camera[:, None, :3, 3]
        return self.sequence.hand().vertices.double().numpy() @ rotation.transpose(0, 2, 1) + place

    def _person(
        self,
        hand: Float[np.ndarray, "t v 3"],
        skin: Skin,
        generator: np.random.Generator,
        material: Callable[[Material], int],
    ) -> Sequence[Moving]:
        """Skin of hand and forearm as one surface, and the sleeve."""
        faces, arrays = open_hand().faces.astype(np.int64), open_hand_arrays()
        loop = np.asarray(boundary_loop(faces))
        arm = Arm.of(hand, faces, self._shoulder(hand, loop), generator)
        with Image.open(skin_textures()[skin.picture]) as opened:
            picture = np.asarray(opened.convert("RGB")).astype(np.float32) * np.array(skin.tint, dtype=np.float32)
        uv = arrays["uv"][arrays["uv_faces"]].astype(np.float64)
        at_wrist = uv[np.isin(faces, loop)]
        height, width = picture.shape[:2]
        spots = picture[((1 - at_wrist[:, 1]) * (height - 1)).astype(int), (at_wrist[:, 0] * (width - 1)).astype(int)]
        red, green, blue = (int(value) for value in np.clip(np.median(spots, axis=0), 0, 255))
        look = {"gloss": 0.06, "hardness": 14.0, "bleed": SKIN_BLEED}
        on_hand = material(Material(np.clip(picture, 0, 255).astype(np.uint8), **look))
        on_arm = material(Material(prints.plain(generator, (red, green, blue), grain=0.07), **look))
        count, size = len(loop), hand.shape[1]
        shared = np.concatenate([loop, size + np.arange(arm.skin.shape[1] - count)])
        skin_surface = Moving(
            np.concatenate([hand, arm.skin[:, count:]], axis=1),
            np.concatenate([faces, shared[arm.skin_faces]]),
            np.concatenate([uv, arm.skin_uv]),
            np.concatenate([np.full(len(faces), on_hand), np.full(len(arm.skin_faces), on_arm)]),
        )
        cloth = material(Material(prints.cloth(generator)))
        sleeve = Moving(arm.sleeve, arm.sleeve_faces, arm.sleeve_uv, np.full(len(arm.sleeve_faces), cloth))
        return skin_surface, sleeve

    def _shoulder(self, hand: Float[np.ndarray, "t v 3"], loop: Int[np.ndarray, " n"]) -> Float[np.ndarray, " 3"]:
        """Where the arm comes from: on the side to which it points, outside every picture."""
        wrist = hand[:, loop].mean(axis=1)
        cameras = self.sequence.world_from_camera
        right = cameras[:, :3, 0].mean(axis=0)
        ahead = np.array([*cameras[:, :2, 2].mean(axis=0), 0.0])
        arm = (wrist - hand.mean(axis=1)).mean(axis=0)
        side = 1.0 if arm @ right > 0 else -1.0
        across, away, up = SHOULDER_M
        place = np.median(wrist, axis=0) + side * across * right + away * ahead / np.linalg.norm(ahead) + [0, 0, up]
        for _ in range(20):
            seen = np.einsum("tij,ti->tj", cameras[:, :3, :3], place - cameras[:, :3, 3])
            pixel = self.sequence.intrinsics[0, 0] * seen[:, 0] / np.maximum(seen[:, 2], 0.05)
            if (side * pixel).min() > WIDTH_PX / 2 + OUTSIDE_PX:
                break
            place = place + 0.1 * side * right
        return place

    def picture(self, frame: int) -> Float[np.ndarray, "h w 3"]:
        """One frame, sRGB in [0, 1]."""
        normals = np.concatenate([self._room.corner_normals, *(part.corner_normals(frame) for part in self.moving)])
        normals = normals.astype(np.float32)
        total, known = np.zeros((HEIGHT_PX, WIDTH_PX, 3)), None
        moved = np.concatenate([part.vertices[frame] for part in self.moving])
        shadows = Shadows.of(self.lights, moved, self._moving_faces, besides=self._still_shadows)
        for moment, shift in MOMENTS:
            time = moment * self.lens.shutter
            vertices = [self._room.vertices, *(_at(part.vertices, frame, time) for part in self.moving)]
            stage = Stage(np.concatenate(vertices), self._faces, self._uv, normals, self._texture)
            intrinsics = self.sequence.intrinsics.copy()
            intrinsics[:2, 2] -= shift
            camera = Camera(torch.from_numpy(intrinsics).float()[None], WIDTH_PX, HEIGHT_PX)
            drawn, lighting = draw(
                stage, self.textures, camera, self._extrinsics(frame, time), self.lights, shadows, known
            )
            known = known or lighting
            total += drawn / len(MOMENTS)
        return self.lens.develop(
            total, np.random.default_rng([frame, int(self._noise.bit_generator.seed_seq.generate_state(1)[0])])
        )

    def _extrinsics(self, frame: int, time: float) -> Float[np.ndarray, "3 4"]:
        """camera_from_world at a moment near a frame."""
        pose = self.sequence.world_from_camera
        before, after = max(frame - 1, 0), min(frame + 1, len(pose) - 1)
        span = max(after - before, 1)
        turn = Rotation.from_matrix(pose[before, :3, :3].T @ pose[after, :3, :3]).as_rotvec() / span
        rotation = pose[frame, :3, :3] @ Rotation.from_rotvec(time * turn).as_matrix()
        place = pose[frame, :3, 3] + time * (pose[after, :3, 3] - pose[before, :3, 3]) / span
        return np.column_stack([rotation.T, -rotation.T @ place])


def _at(vertices: Float[np.ndarray, "t v 3"], frame: int, time: float) -> Float[np.ndarray, "v 3"]:
    """Where vertices are at a moment near a frame, by their speed there."""
    before, after = max(frame - 1, 0), min(frame + 1, len(vertices) - 1)
    return vertices[frame] + time * (vertices[after] - vertices[before]) / max(after - before, 1)
