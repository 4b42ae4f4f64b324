"""Writes what a user brings to `predict`: a checkpoint, a video or pictures, a camera file and a mesh."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from warpgrasp.data.recording.lens import Lens
from warpgrasp.export.datasets import VideoWriter
from warpgrasp.files import write_document
from warpgrasp.frame import ObjectModel
from warpgrasp.hand.model import HandModel
from warpgrasp.hand.templates import open_hand
from warpgrasp.reconstruction.checkpoint import checkpoint_of, save_checkpoint
from warpgrasp.reconstruction.network import HandObjectNetwork, NetworkConfig

SIZE = (64, 48)  # of the pictures
SEEN_SIZE = (32, 24)  # of what the network sees
BOX_M = np.array([[x, y, z] for x in (0, 0.06) for y in (0, 0.04) for z in (0, 0.1)])
BOX_FACES = (
    (0, 1, 3), (0, 3, 2), (4, 7, 5), (4, 6, 7), (0, 5, 1), (0, 4, 5), (2, 3, 7), (2, 7, 6), (0, 2, 6), (0, 6, 4),
    (1, 5, 7), (1, 7, 3),
)  # fmt: skip


def lens(*, size: tuple[int, int] = SIZE, centre_px: tuple[float, float] | None = None) -> Lens:
    u, v = centre_px or ((size[0] - 1) / 2, (size[1] - 1) / 2)
    return Lens(np.array([[size[0], 0, u], [0, size[0], v], [0, 0, 1.0]]), *size)


def write_obj(path: Path, vertices: np.ndarray, faces: Sequence[Sequence[int]], *, scale: float = 1.0) -> Path:
    rows = ["v " + " ".join(repr(float(scale * value)) for value in vertex) for vertex in vertices]
    rows += ["f " + " ".join(str(corner + 1) for corner in face) for face in faces]
    path.write_text("\n".join(rows) + "\n")
    return path


def network_that_knows(names: Sequence[str], *, width: int = 4) -> HandObjectNetwork:
    """Untrained, but with outputs that vary with the picture, around half a metre before the camera."""
    torch.manual_seed(1)
    network = HandObjectNetwork(NetworkConfig(width=width), HandModel(open_hand()), tuple(names))
    with torch.no_grad():
        for name, parameter in network.heads.named_parameters():
            if name.endswith("weight"):
                parameter.mul_(2)
    return network


def write_checkpoint(path: Path, models: Sequence[ObjectModel], *, width: int = 4) -> Path:
    network = network_that_knows([model.name for model in models], width=width)
    notes = {"recipe": "none", "width": str(SEEN_SIZE[0]), "height": str(SEEN_SIZE[1])}
    save_checkpoint(path, checkpoint_of(network, models, step=0, training=notes))
    return path


def picture(number: int, *, size: tuple[int, int] = SIZE) -> np.ndarray:
    """A bright square that wanders over a gradient."""
    v, u = np.mgrid[: size[1], : size[0]]
    colours = np.stack([3 * u, 4 * v, (u + 2 * number) % 200], axis=-1).clip(0, 255).astype(np.uint8)
    left = 5 + 3 * number % (size[0] - 20)
    colours[10:24, left : left + 12] = (250, 240, 20)
    return colours


@dataclass(frozen=True)
class Brought:
    """The files, and the words of the command that reads them."""

    folder: Path
    weights: Path
    mesh: Path

    @property
    def video(self) -> Path:
        return self.folder / "clip.mp4"

    @property
    def camera(self) -> Path:
        return self.folder / "camera.json"

    @property
    def out(self) -> Path:
        return self.folder / "out" / "p.npz"

    def words(self, *more: str, input: Path | None = None, out: Path | None = None) -> list[str]:
        (out or self.out).parent.mkdir(exist_ok=True)
        named = ["--weights", self.weights, "--object", self.mesh, "--camera", self.camera, "--out", out or self.out]
        return ["predict", str(input or self.video), *map(str, named), *more]


def bring(folder: Path, *, frames: int = 8, width: int = 4) -> Brought:
    """A video of a few frames, its camera, a box in metres, and a checkpoint that knows the box."""
    folder.mkdir(parents=True, exist_ok=True)
    mesh = write_obj(folder / "box.obj", BOX_M, BOX_FACES)
    model = ObjectModel.centred("box", torch.tensor(BOX_M).float(), torch.tensor(BOX_FACES))
    brought = Brought(folder, write_checkpoint(folder / "weights.safetensors", [model], width=width), mesh)
    write_document(brought.camera, lens().content)
    write_video(brought.video, [number / 30 for number in range(frames)])
    return brought


def write_video(
    path: Path, times_s: Sequence[float], *, size: tuple[int, int] = SIZE, codec: str = "libx264", turned_deg: int = 0
) -> None:
    with VideoWriter(path, size, codec=codec, turned_deg=turned_deg) as video:
        for number, time_s in enumerate(times_s):
            video.add(picture(number, size=size), time_s=time_s)


def write_pictures(folder: Path, numbers: Sequence[int], *, mirrored: bool = False) -> Path:
    folder.mkdir()
    for number in numbers:
        colours = picture(number)
        Image.fromarray(colours[:, ::-1] if mirrored else colours).save(folder / f"shot_{number:04d}.png")
    return folder
