"""Reading pictures against a plain Pillow pipeline, on one core: pictures per second, in turns in the same process.

python -m benchmarks.reading

Both end with a batch of float colours. Medians of the processor time of several turns count.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from warpgrasp.data.pictures import read_picture
from warpgrasp.frame import colours

TURNS, BATCH = 11, 8


@dataclass(frozen=True)
class Case:
    """Pictures of one kind, and the size at which they are wanted."""

    ending: str
    on_disk: tuple[int, int]
    wanted: tuple[int, int]


CASES = [
    Case("jpg", (1920, 1080), (480, 270)),
    Case("jpg", (640, 480), (640, 480)),
    Case("png", (1920, 1080), (480, 270)),
    Case("png", (640, 480), (640, 480)),
]


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


def ours_alone(paths: list[Path], size: tuple[int, int]) -> None:
    for path in paths:
        read_picture(path, size)


def seconds(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def main() -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    print(f"Pillow {Image.__version__}, OpenCV {cv2.__version__}, torch {torch.__version__}; pictures per second")
    with tempfile.TemporaryDirectory() as folder:
        for case in CASES:
            paths = [Path(folder) / f"{case.on_disk[0]}-{number}.{case.ending}" for number in range(BATCH)]
            pictures = [natural_picture(case.on_disk, seed) for seed in range(2)]
            for number, path in enumerate(paths):
                Image.fromarray(pictures[number % 2]).save(path, quality=92)
            runs = [lambda: plain_batch(paths, case.wanted), lambda: our_batch(paths, case.wanted)]  # noqa: B023
            runs.append(lambda: ours_alone(paths, case.wanted))  # noqa: B023
            times = [[seconds(run) for run in runs] for _ in range(TURNS)]
            rates = [BATCH / statistics.median(column) for column in zip(*times, strict=True)]
            sizes = f"{case.on_disk[0]}×{case.on_disk[1]} → {case.wanted[0]}×{case.wanted[1]}"
            kilobytes = statistics.mean(path.stat().st_size for path in paths) / 1000
            print(
                f"{case.ending} {sizes} ({kilobytes:.0f} kB): plain {rates[0]:.0f}, ours {rates[1]:.0f} "
                f"({rates[1] / rates[0]:.2f} times as many); without the batch's conversion {rates[2]:.0f}"
            )


if __name__ == "__main__":
    main()
