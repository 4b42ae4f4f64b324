"""Generates any amount of sample data in seconds.

The sequences are drawn by the built-in z-buffer: textured and shaded, before a random background.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import Image
from rich.progress import Progress
from torch import Tensor

from warpgrasp.data.dataset import Split
from warpgrasp.data.sample.files import PosedSequence, write_layout
from warpgrasp.data.sample.grasp import OBJECT_NAMES, OBJECTS, object_surface
from warpgrasp.data.sample.sequence import HEIGHT_PX, WIDTH_PX, GraspSequence, make_sequence
from warpgrasp.errors import DataError
from warpgrasp.frame import pose_points
from warpgrasp.geometry import Camera, Mesh, join
from warpgrasp.hand import HandModel, open_hand, open_hand_arrays, skin_textures
from warpgrasp.render import Texture, rasterize, shade

TEXTURE_PX = 256  # about what a picture of 320×240 can show without aliasing


def generate(root: Path, *, sequences: int, frames: int, seed: int) -> None:
    """Write a data set of `sequences` training sequences of `frames` frames, and a quarter as many for evaluation.

    Raises `DataError` when `root` is there already or there is nothing to write.
    """
    if sequences < 1 or frames < 2:
        raise DataError(f"expected at least 1 sequence of at least 2 frames, got {sequences} of {frames}")
    total = sequences + max(1, sequences // 4)
    names = [f"G{number + 1}" if number < sequences else f"GE{number - sequences + 1}" for number in range(total)]
    hand = HandModel(open_hand())
    with Progress(transient=True) as progress:
        made = dict(
            zip(names, progress.track(_sequences(total, frames, seed), total, description="grasps"), strict=True)
        )
        posed = {name: PosedSequence.of(sequence, hand) for name, sequence in made.items()}
        random = [np.random.default_rng([seed, number]) for number in range(total)]
        looks = {name: Appearance.random(generator) for name, generator in zip(names, random, strict=True)}
        task = progress.add_task("pictures", total=total * frames)

        def painter(split: Split, name: str, index: int, path: Path) -> None:
            save_picture(paint(made[name], posed[name], hand, looks[name], index), path)
            progress.advance(task)

        train, evaluation = ({name: made[name] for name in part} for part in (names[:sequences], names[sequences:]))
        write_layout(root, train, evaluation, painter)


def _sequences(count: int, frames: int, seed: int) -> Iterator[GraspSequence]:
    for number in range(count):
        yield make_sequence(
            seed=int(np.random.SeedSequence([seed, number]).generate_state(1)[0]),
            frames=frames,
            object_name=OBJECT_NAMES[number % len(OBJECT_NAMES)],
            moving_camera=number // 2 % 2 == 1,
        )


@dataclass(frozen=True)
class Appearance:
    """The skin, light and background of a sequence."""

    skin: int
    light: Float[Tensor, " 3"]
    background: Float[Tensor, "3 h w"]

    @staticmethod
    def random(generator: np.random.Generator) -> "Appearance":
        """Draw skin, light and a background of soft blobs."""
        light = torch.from_numpy(generator.normal(size=3) * [1, 1, 0.5] - [0, 0.5, 1.0]).float()
        coarse = torch.from_numpy(generator.uniform(0.1, 0.9, size=(1, 3, 7, 9))).float()
        soft = F.interpolate(coarse, size=(HEIGHT_PX, WIDTH_PX), mode="bicubic", align_corners=True)[0]
        fine = torch.from_numpy(generator.normal(scale=0.08, size=(1, 1, 60, 80))).float()
        grain = F.interpolate(fine, size=(HEIGHT_PX, WIDTH_PX), mode="bilinear", align_corners=True)[0]
        return Appearance(int(generator.integers(len(skin_textures()))), light, (soft + grain).clamp(0, 1))


def scene_mesh(sequence: GraspSequence, posed: PosedSequence, hand: HandModel, index: int) -> Mesh:
    """Hand, closed at the wrist, and object of one frame."""
    surface = object_surface(sequence.object_name)
    pose = torch.from_numpy(sequence.camera_from_object[index]).float()
    vertices = pose_points(pose[:3, :3], pose[:3, 3], torch.from_numpy(surface.vertices).float())
    hand_mesh = hand.closed_mesh(torch.from_numpy(posed.vertices[index]).float()[None])
    return join(hand_mesh, Mesh.of(vertices[None], torch.from_numpy(surface.faces).long()))


def scene_camera(sequence: GraspSequence) -> Camera:
    """The camera of a sequence, as a batch of one."""
    return Camera(torch.from_numpy(np.asarray(sequence.intrinsics)).float()[None], WIDTH_PX, HEIGHT_PX)


def scene_textures(sequence: GraspSequence, hand: HandModel, skin: int) -> list[Texture]:
    """Textures of the hand, of the faces that close its wrist, and of the object."""
    arrays = open_hand_arrays()
    uv = torch.from_numpy(arrays["uv"][arrays["uv_faces"]]).float()
    skin_image = _picture(skin_textures()[skin])
    closing = Texture.plain(tuple(skin_image.mean(dim=(1, 2)).tolist()), len(hand.closing_faces))
    return [Texture(skin_image, uv), closing, object_texture(sequence.object_name)]


def object_texture(name: str) -> Texture:
    """The texture of a sample object."""
    with as_file(OBJECTS / name) as folder:
        return Texture(_picture(folder / "texture.jpg"), _corner_uv(folder / "textured_simple.obj"))


def paint(sequence: GraspSequence, posed: PosedSequence, hand: HandModel, look: Appearance, index: int) -> Tensor:
    """The picture of one frame, (3, 240, 320) in [0, 1]."""
    textures = scene_textures(sequence, hand, look.skin)
    mesh, camera = scene_mesh(sequence, posed, hand, index), scene_camera(sequence)
    return shade(mesh, textures, camera, rasterizer=rasterize, light=look.light, background=look.background).image


def save_picture(image: Float[Tensor, "3 h w"], path: Path, quality: int = 92) -> None:
    """Write a JPEG."""
    Image.fromarray((image.permute(1, 2, 0) * 255).round().byte().numpy()).save(path, quality=quality)


@cache
def _picture(path: Path) -> Float[Tensor, "3 h w"]:
    with Image.open(path) as opened:
        small = opened.convert("RGB").resize((TEXTURE_PX, TEXTURE_PX), Image.Resampling.BOX)
    return torch.from_numpy(np.array(small)).permute(2, 0, 1).float() / 255


@cache
def _corner_uv(path: Path) -> Float[Tensor, "f 3 2"]:
    rows = [line.split() for line in path.read_text().splitlines()]
    uv = torch.tensor([[float(value) for value in row[1:3]] for row in rows if row and row[0] == "vt"])
    index = [[int(corner.split("/")[1]) - 1 for corner in row[1:4]] for row in rows if row and row[0] == "f"]
    return uv[torch.tensor(index)]
