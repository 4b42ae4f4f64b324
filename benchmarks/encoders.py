"""The encoders beside each other: forward alone, and both ways with frozen statistics, in fp32 and bf16."""

from collections.abc import Iterator
from functools import partial

import torch
from torch import nn

from benchmarks.measure import Case
from benchmarks.scale import Scale
from warpgrasp.reconstruction import freeze_batch_norm
from warpgrasp.reconstruction.encoders import EfficientNetLite0, ResNet18

BATCH = 16
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


def cases(scale: Scale) -> Iterator[Case]:
    for width, height, channels in scale.training:
        encoders = {
            "EfficientNet-Lite0": _made(EfficientNetLite0()),
            f"ResNet-18 of width {channels}": _made(ResNet18(channels)),
        }
        pictures = torch.rand(BATCH, 3, height, width, generator=torch.Generator().manual_seed(0))
        pictures = pictures.contiguous(memory_format=torch.channels_last)
        for way, run in {"forward": _forward, "both ways": _both_ways}.items():
            runs = {
                f"{name}, {precision}": partial(run, encoder, pictures, dtype)
                for name, encoder in encoders.items()
                for precision, dtype in PRECISIONS.items()
            }
            yield Case(f"encoders, {way}", f"{width}×{height}, batch {BATCH}", "image", BATCH, runs)


def _made(encoder: nn.Module) -> nn.Module:
    encoder.train()
    freeze_batch_norm(encoder)
    encoder.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    return encoder


def _forward(encoder: nn.Module, pictures: torch.Tensor, dtype: torch.dtype) -> None:
    with torch.inference_mode(), torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        encoder(pictures)


def _both_ways(encoder: nn.Module, pictures: torch.Tensor, dtype: torch.dtype) -> None:
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        features = encoder(pictures)
    features.float().square().mean().backward()
