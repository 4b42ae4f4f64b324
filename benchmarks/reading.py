"""Reading pictures against a plain Pillow pipeline: both end with a batch of float colours."""

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from benchmarks.measure import Case, Work
from benchmarks.scale import Scale
from warpgrasp.data import decode_ahead, read_picture
from warpgrasp.frame import colours

BATCH = 8
DEVICE_STEP_S = 0.084  # stage 2 at 480×270 on an H100 (docs/performance.md)
COLOUR_BYTES = 12  # of a pixel, as floats


@dataclass(frozen=True)
class Kind:
    """Pictures of one kind, and the size at which they are wanted."""

    ending: str
    on_disk: tuple[int, int]
    wanted: tuple[int, int]


def kinds(scale: Scale) -> list[Kind]:
    """Pictures that are shrunk to a quarter as they are read, and such that are read as they are."""
    small, whole = scale.pictures[0], scale.pictures[-1]
    large = (4 * small[0], 4 * small[1])
    return [Kind(ending, *sizes) for ending in ("jpg", "png") for sizes in ((large, small), (whole, whole))]


def cases(scale: Scale) -> Iterator[Case]:
    with tempfile.TemporaryDirectory() as folder:
        for number, kind in enumerate(kinds(scale)):
            paths = [Path(folder) / f"{number}-{which}.{kind.ending}" for which in range(BATCH)]
            pictures = [natural_picture(kind.on_disk, seed) for seed in range(2)]
            for which, path in enumerate(paths):
                Image.fromarray(pictures[which % 2]).save(path, quality=92)
            yield _case(kind, paths)
            if number == 0:
                yield _ahead(kind, paths)


def _ahead(kind: Kind, paths: list[Path]) -> Case:
    """Pictures of a step, with and without threads that read them while a device computes the step before."""

    def step() -> None:
        time.sleep(DEVICE_STEP_S)

    def ahead() -> None:
        decode_ahead(paths, kind.wanted)
        step()
        our_batch(paths, kind.wanted)

    def in_turn() -> None:
        step()
        our_batch(paths, kind.wanted)

    size = f"{len(paths)} JPEG files, {1000 * DEVICE_STEP_S:.0f} ms a step"
    return Case("reading beside a device", size, "step", 1, {"ahead": ahead, "in turn": in_turn, "device alone": step})


def _case(kind: Kind, paths: list[Path]) -> Case:
    on_disk = sum(path.stat().st_size for path in paths)
    name = f"reading {'JPEG' if kind.ending == 'jpg' else 'PNG'}"
    size = "{}×{}".format(*kind.on_disk) + (" → {}×{}".format(*kind.wanted) if kind.on_disk != kind.wanted else "")
    runs = {
        "ours": lambda: our_batch(paths, kind.wanted),
        "plain Pillow": lambda: plain_batch(paths, kind.wanted),
    }
    written = BATCH * kind.wanted[0] * kind.wanted[1] * COLOUR_BYTES
    return Case(name, f"{size}, {on_disk / BATCH / 1000:.0f} kB", "image", BATCH, runs, Work(bytes=on_disk + written))


def natural_picture(size: tuple[int, int], seed: int) -> np.ndarray:
    """Clouds of colour, whose power falls with frequency as in photographs, and a sensor's noise."""
    generator, (width, height) = np.random.default_rng(seed), size
    picture = np.zeros((height, width, 3), np.float32)
    for octave in range(1, 9):
        cells = 2**octave
        small = generator.normal(size=(max(2, cells * height // width), cells, 3)).astype(np.float32)
        picture += np.stack(
            [
                np.asarray(Image.fromarray(small[..., channel]).resize(size, Image.Resampling.BICUBIC))
                for channel in range(3)
            ],
            axis=-1,
        ) / np.float32(cells**0.8)
    picture = (picture - picture.min()) / np.ptp(picture)
    noisy = picture + 0.025 * generator.normal(size=picture.shape)
    return (255 * noisy.clip(0, 1)).astype(np.uint8)


def plain(path: Path, size: tuple[int, int]) -> Float[Tensor, "3 h w"]:
    """What one writes without thinking of speed."""
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    if picture.size != size:
        picture = picture.resize(size, Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255


def plain_batch(paths: list[Path], size: tuple[int, int]) -> Float[Tensor, "b 3 h w"]:
    return torch.stack([plain(path, size) for path in paths])


def our_batch(paths: list[Path], size: tuple[int, int]) -> Float[Tensor, "b 3 h w"]:
    return colours(torch.stack([read_picture(path, size)[0] for path in paths]))
