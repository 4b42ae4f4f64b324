"""Augmentation with the demo's and the paper's settings, against the bare bilinear sampling in it."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F

from benchmarks.measure import Case, Work
from benchmarks.scale import Scale
from benchmarks.scenes import usual_camera
from warpgrasp.data import AugmentConfig, augment
from warpgrasp.training import demo

BATCH = 8
SETTINGS = {"demo's": demo().augment, "paper's": AugmentConfig()}


def cases(scale: Scale) -> Iterator[Case]:
    for width, height in scale.pictures:
        for whose, config in SETTINGS.items():
            yield _case(width, height, whose=whose, config=config)


def _case(width: int, height: int, *, whose: str, config: AugmentConfig) -> Case:
    generator = torch.Generator().manual_seed(0)
    images, camera = torch.rand(BATCH, 3, height, width, generator=generator), usual_camera(width, height, BATCH)
    grid = F.affine_grid(torch.eye(2, 3).expand(BATCH, 2, 3), [BATCH, 3, height, width], align_corners=True)
    runs = {
        "ours": lambda: augment(images, camera, config, generator),
        "sampling alone": lambda: F.grid_sample(images, grid, padding_mode="border", align_corners=True),
    }
    work = Work(bytes=2 * images.numel() * 4)
    return Case(f"augmentation, the {whose}", f"{width}×{height}, batch {BATCH}", "image", BATCH, runs, work)
