"""Image encoders by name, and what holds for all of them: initial weights, arithmetic, frozen statistics."""

from collections.abc import Callable
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from warpgrasp.errors import UserError
from warpgrasp.reconstruction.encoders.efficientnet_lite0 import EfficientNetLite0
from warpgrasp.reconstruction.encoders.resnet18 import ResNet18
from warpgrasp.reconstruction.encoders.weights import EncoderWeightsError, read_parameters
from warpgrasp.registry import Registry

__all__ = [
    "ENCODERS",
    "EfficientNetLite0",
    "Encoder",
    "EncoderError",
    "EncoderWeightsError",
    "Precision",
    "ResNet18",
    "freeze_batch_norm",
    "load_encoder_weights",
    "new_encoder",
    "precision_on",
    "read_parameters",
]


Precision = Literal["fp32", "bf16"]


class EncoderError(UserError):
    """A member of `ENCODERS` makes something else than an encoder."""


@runtime_checkable
class Encoder(Protocol):
    """A `torch.nn.Module` from pictures to features.

    A member of `ENCODERS` makes one of a width (`NetworkConfig.width`, an integer whose meaning is the encoder's own).
    One whose published weights know pictures of one normalisation says so by `pretrained_statistics`, a mean and a
    standard deviation. Its parameters and buffers are stored in checkpoints as `encoder.NAME`: their names and shapes
    must stay what they are, and depend on the width alone. It is moved between devices and precisions, exported to ONNX
    and run in bf16 by autocast like any module, so it holds no tensors but parameters and buffers.
    """

    feature_count: int
    """The number of features, with which the network's branches begin."""

    def __call__(self, image: Float[Tensor, "b 3 h w"], /) -> Float[Tensor, "b f"]:
        """Features (b, feature_count) of normalised pictures of any size."""
        ...

    def load_initial_weights(self, source: str) -> None:
        """Load weights to begin a training with: `imagenet`, or a file of the encoder's own kind.

        Raises `EncoderWeightsError` when they cannot be had or do not fit.
        """
        ...


ENCODERS: Registry[Callable[[int], Encoder]] = Registry(
    "encoder", "warpgrasp.encoders", {"resnet18": ResNet18, "efficientnet-lite0": EfficientNetLite0}
)


def new_encoder(name: str, width: int) -> nn.Module:
    """An untrained encoder, an `Encoder` that is a module.

    Raises `RegistryError` when there is no encoder of this name, and `EncoderError` when it is none.
    """
    encoder = ENCODERS[name](width)
    if not (isinstance(encoder, nn.Module) and isinstance(encoder, Encoder)):
        raise EncoderError(
            f"expected the encoder {name} to be a torch.nn.Module with feature_count and load_initial_weights, got "
            f"{type(encoder).__name__}"
        )
    return encoder


def load_encoder_weights(encoder: nn.Module, source: str, *, image_mean: float, image_std: float) -> None:
    """Load initial weights: `imagenet`, a file that the encoder understands, or `none`, which leaves it as it is.

    The encoder sees colours minus `image_mean`, divided by `image_std`. Raises `EncoderWeightsError` when weights
    cannot be had, do not fit, or know pictures that are normalised otherwise (`pretrained_statistics`).
    """
    if source == "none":
        return
    if not isinstance(encoder, Encoder):
        raise EncoderWeightsError(f"expected an encoder that loads weights, got {type(encoder).__name__}")
    mean, std = getattr(encoder, "pretrained_statistics", (image_mean, image_std))
    if (image_mean, image_std) != (mean, std):
        raise EncoderWeightsError(
            f"expected pictures of mean {mean:g} and standard deviation {std:g}, with which the initial weights of "
            f"{type(encoder).__name__} were trained, got {image_mean:g} and {image_std:g}; give "
            f"--network.image-mean {mean:g} --network.image-std {std:g}"
        )
    encoder.load_initial_weights(source)


def precision_on(device: torch.device, wanted: Literal["auto", "fp32", "bf16"]) -> Precision:
    """The arithmetic of the encoder on a device: `auto` is bf16 where the hardware has it, and fp32 elsewhere.

    A CPU without it computes bf16 as well, but many times slower than fp32 (docs/performance.md).
    """
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    # PyTorch has no public function that tells it.
    queries = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return "bf16" if any(supported is not None and supported() for supported in queries) else "fp32"


def freeze_batch_norm(module: nn.Module) -> None:
    """Keep the batch-norm statistics as they are from now on; scale and shift go on learning.

    The paper freezes "the weights of the batch normalization"; the released code freezes the statistics
    (docs/paper.md). Calling `train()` on the module thaws them again.
    """
    for child in module.modules():
        if isinstance(child, nn.BatchNorm2d):
            child.eval()
