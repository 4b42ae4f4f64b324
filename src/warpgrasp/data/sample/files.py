"""The sample data as files, in HO-3D version 3's own layout, so that they go through the real loader.

Any amount is generated in seconds: sequences drawn by the built-in z-buffer, textured and shaded, before a random
background. The shipped sequences are unpacked in the user's cache.
"""

import json
import pickle
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import Image
from rich.progress import Progress
from scipy.spatial.transform import Rotation
from torch import Tensor

from warpgrasp.data.dataset import Split
from warpgrasp.data.ho3d import FLIP, hand_meta, joints_in_file, object_meta
from warpgrasp.data.sample.grasp import OBJECT_NAMES, OBJECTS, object_surface
from warpgrasp.data.sample.sequence import HEIGHT_PX, WIDTH_PX, GraspSequence, make_sequence
from warpgrasp.errors import DataError
from warpgrasp.files import cache_folder, remove_leftovers, replacing_folder
from warpgrasp.frame import pose_points
from warpgrasp.geometry import Camera, Mesh, Surface, join
from warpgrasp.hand import HandModel, open_hand, open_hand_arrays, skin_textures
from warpgrasp.render import Texture, rasterize, shade
from warpgrasp.terminal import Terminal

Sequences = Mapping[str, GraspSequence]
Painter = Callable[[Split, str, int, Path], None]  # writes the picture of a frame of a sequence to a path


@dataclass(frozen=True)
class PosedSequence:
    """A sequence's hand surfaces and joints, in the OpenCV camera frame."""

    vertices: np.ndarray  # (t, v, 3)
    joints: np.ndarray  # (t, 21, 3), order JOINTS

    @staticmethod
    def of(sequence: GraspSequence, hand: HandModel) -> "PosedSequence":
        """Pose the hand in every frame."""
        with torch.no_grad():
            posed = hand(
                torch.from_numpy(sequence.hand_rotation).float(),
                torch.from_numpy(sequence.hand_pose).float(),
                torch.from_numpy(sequence.hand_shape).float().expand(len(sequence), -1),
            )
        translation = sequence.hand_translation[:, None]
        return PosedSequence(posed.vertices.numpy() + translation, posed.joints.numpy() + translation)


def write_layout(root: Path, train: Sequences, evaluation: Sequences, paint: Painter) -> None:
    """Write a data set: pictures by `paint`, annotations, object models and lists.

    The folder appears under its name only when it is whole. Raises `DataError` when it is there already.
    """
    check_new(root)
    hand = HandModel(open_hand())
    with replacing_folder(root) as folder, as_file(OBJECTS) as objects:
        _write_split(folder, "train", train, hand, paint)
        _write_split(folder, "evaluation", evaluation, hand, paint)
        for name in OBJECT_NAMES:
            shutil.copytree(objects / name, folder / "models" / name)


def check_new(root: Path) -> None:
    """Raise `DataError` when a folder to be written is there already; what a killed process left of it goes."""
    remove_leftovers(root.parent, root.name)
    if root.exists():
        raise DataError(
            f"expected to write a new data set, but {root} exists already; remove it or choose another name"
        )


SHIPPED = files("warpgrasp.data.sample") / "shipped.zip"
STAMP = "shipped.sha"
SAMPLE = Path("sample")  # as data sets are named: the shipped one, where there is no such folder


def shipped_if_named(root: Path) -> Path:
    """`root`, or the shipped sequences, unpacked in the user's cache, where `root` is `sample` and no folder."""
    return unpack_shipped(cache_folder() / "sample") if root == SAMPLE and not root.exists() else root


def unpack_shipped(root: Path) -> Path:
    """Unpack the shipped sequences to `root`, unless they are there already: each file with its content.

    Raises `DataError` when something else is there, or a file was changed or removed.
    """
    with as_file(SHIPPED) as path, zipfile.ZipFile(path) as archive:
        checksum = f"{sum(entry.CRC for entry in archive.infolist()):x}"
        remove_leftovers(root.parent, root.name)
        if root.exists():
            _check_unpacked(root, archive, checksum)
            return root
        with replacing_folder(root) as folder:
            archive.extractall(folder)
            (folder / STAMP).write_text(checksum)
    return root


def _check_unpacked(root: Path, archive: zipfile.ZipFile, checksum: str) -> None:
    stamp = root / STAMP
    if not stamp.is_file() or stamp.read_text() != checksum:
        raise DataError(f"expected the shipped sample data in {root}, found something else; remove it")
    for entry in archive.infolist():
        file = root / entry.filename
        if not entry.is_dir() and not (file.is_file() and zlib.crc32(file.read_bytes()) == entry.CRC):
            raise DataError(f"expected {file} as it was shipped, found it changed or removed; remove {root}")


def write_sequence(
    root: Path,
    split: Split,
    name: str,
    sequence: GraspSequence,
    paint: Callable[[int, Path], None],
    *,
    label: int,
    surface: Surface,
    hand: HandModel,
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Write the pictures, by `paint`, and the annotations of a sequence; its number of the object is `label`.

    What is returned are an evaluation sequence's joints and vertices, which `write_lists` wants.
    """
    posed, all_joints, all_vertices = PosedSequence.of(sequence, hand), [], []
    folder = root / split / name
    (folder / "meta").mkdir(parents=True)
    (folder / "rgb").mkdir()
    for index in range(len(sequence)):
        joints = joints_in_file(posed.joints[index])
        meta = _object_meta(sequence, index, label, surface)
        if split == "train":
            meta |= {"handJoints3D": joints, **_hand_meta(sequence, index, hand)}
        else:
            meta |= {"handJoints3D": joints[0], "handBoundingBox": _bounding_box(sequence, posed, index)}
            all_joints.append(joints)
            all_vertices.append(posed.vertices[index] * FLIP)
        (folder / "meta" / f"{index:04d}.pkl").write_bytes(pickle.dumps(meta, protocol=2))
        paint(index, folder / "rgb" / f"{index:04d}.jpg")
    return all_joints, all_vertices


def write_lists(
    root: Path, split: Split, frames: Mapping[str, int], joints: list[np.ndarray], vertices: list[np.ndarray]
) -> None:
    """Write the list of a split's frames, by the lengths of its sequences, and the truth of an evaluation split."""
    lines = [f"{name}/{index:04d}\n" for name, count in frames.items() for index in range(count)]
    (root / f"{split}.txt").write_text("".join(lines))
    if split == "evaluation":
        _write_numbers(root / "evaluation_xyz.json", joints)
        _write_numbers(root / "evaluation_verts.json", vertices)


def _write_split(root: Path, split: Split, sequences: Sequences, hand: HandModel, paint: Painter) -> None:
    all_joints, all_vertices = [], []
    for name, sequence in sequences.items():
        joints, vertices = write_sequence(
            root,
            split,
            name,
            sequence,
            partial(paint, split, name),
            label=OBJECT_NAMES.index(sequence.object_name) + 1,
            surface=object_surface(sequence.object_name),
            hand=hand,
        )
        all_joints += joints
        all_vertices += vertices
    write_lists(root, split, {name: len(sequence) for name, sequence in sequences.items()}, all_joints, all_vertices)


def _write_numbers(path: Path, arrays: list[np.ndarray]) -> None:
    """Metres, to the micrometre."""
    rounded = [[[round(float(value), 6) for value in row] for row in array] for array in arrays]
    path.write_text(json.dumps(rounded, separators=(",", ":")))


def _object_meta(sequence: GraspSequence, index: int, label: int, surface: Surface) -> dict[str, Any]:
    pose = sequence.camera_from_object[index]
    return object_meta(
        sequence.object_name,
        label=label,
        vertices=surface.vertices,
        rotation=pose[:3, :3],
        translation=pose[:3, 3],
        intrinsics=sequence.intrinsics,
    )


def _hand_meta(sequence: GraspSequence, index: int, hand: HandModel) -> dict[str, Any]:
    shape = sequence.hand_shape
    return hand_meta(
        hand.template,
        rotation=Rotation.from_rotvec(sequence.hand_rotation[index]).as_matrix(),
        wrist=hand.template.rest_wrist(shape) + sequence.hand_translation[index],
        angles=sequence.hand_pose[index],
        shape=shape,
    )


def _bounding_box(sequence: GraspSequence, posed: PosedSequence, index: int) -> list[int]:
    """Of the hand, in pixels: [x0, y0, x1, y1]."""
    points = posed.vertices[index] @ sequence.intrinsics.T
    pixels = points[:, :2] / points[:, 2:]
    low = np.maximum(np.floor(pixels.min(axis=0)), 0)
    high = np.minimum(np.ceil(pixels.max(axis=0)), [WIDTH_PX - 1, HEIGHT_PX - 1])
    return [int(value) for value in (*low, *high)]


TEXTURE_PX = 256  # about what a picture of 320×240 can show without aliasing


def evaluation_count(sequences: int) -> int:
    """How many evaluation sequences come on top of so many training sequences: a quarter, at least one."""
    return max(1, sequences // 4)


def generate(root: Path, *, sequences: int, frames: int, seed: int) -> None:
    """Write a data set of `sequences` training sequences of `frames` frames, and a quarter as many for evaluation.

    Raises `DataError` when `root` is there already or there is nothing to write.
    """
    if sequences < 1 or frames < 2:
        raise DataError(f"expected at least 1 sequence of at least 2 frames, got {sequences} of {frames}")
    check_new(root)
    total = sequences + evaluation_count(sequences)
    names = [f"G{number + 1}" if number < sequences else f"GE{number - sequences + 1}" for number in range(total)]
    hand = HandModel(open_hand())
    with Progress(console=Terminal(), transient=True) as progress:
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
