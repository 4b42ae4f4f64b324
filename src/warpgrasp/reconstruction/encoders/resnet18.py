"""ResNet-18 (He et al. 2016) without its classifier, with torchvision's parameter names.

It is our own because torchvision cannot be imported beside every build of PyTorch; its published ImageNet weights load.
"""

import pickle
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from warpgrasp.errors import UserError

Precision = Literal["fp32", "bf16"]
IMAGENET_URL = "https://download.pytorch.org/models/resnet18-f37072fd.pth"


class EncoderWeightsError(UserError):
    """The wanted initial weights of the encoder cannot be had."""


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut."""

    def __init__(self, channels_in: int, channels: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = None
        if stride != 1 or channels_in != channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d i j"]:
        """Apply the block."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(x)) + shortcut)


class ResNet18(nn.Module):
    """Image to features: 8·width of them, 512 at the standard width of 64."""

    def __init__(self, width: int = 64):
        super().__init__()
        self.feature_count = 8 * width
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = _layer(width, width, 1)
        self.layer2 = _layer(width, 2 * width, 2)
        self.layer3 = _layer(2 * width, 4 * width, 2)
        self.layer4 = _layer(4 * width, 8 * width, 2)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b f"]:
        """Features of normalised images."""
        x = F.relu(self.bn1(self.conv1(image)))
        x = F.max_pool2d(x, 3, 2, 1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return x.mean(dim=(2, 3))


def _layer(channels_in: int, channels: int, stride: int) -> nn.Sequential:
    return nn.Sequential(BasicBlock(channels_in, channels, stride), BasicBlock(channels, channels, 1))


def precision_on(device: torch.device, wanted: Literal["auto", "fp32", "bf16"]) -> Precision:
    """The arithmetic of the encoder on a device: `auto` is bf16 where the hardware has it, and fp32 elsewhere.

    A CPU without it computes bf16 as well, but many times slower than fp32 (docs/performance.md).
    """
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    # PyTorch has no public question for it.
    asked = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return "bf16" if any(supported is not None and supported() for supported in asked) else "fp32"


def freeze_batch_norm(module: nn.Module) -> None:
    """Keep the batch-norm statistics as they are from now on; scale and shift go on learning.

    The paper freezes "the weights of the batch normalization"; the released code freezes the statistics
    (docs/paper.md). Calling `train()` on the module thaws them again.
    """
    for child in module.modules():
        if isinstance(child, nn.BatchNorm2d):
            child.eval()


def load_encoder_weights(encoder: ResNet18, source: str) -> None:
    """Load `imagenet` (fetched by torch.hub and cached), a file of torchvision's parameters, or `none`.

    Raises `EncoderWeightsError` when they cannot be had or do not fit.
    """
    if source == "none":
        return
    try:
        if source == "imagenet":
            state = torch.hub.load_state_dict_from_url(
                IMAGENET_URL, map_location="cpu", weights_only=True, check_hash=True
            )
        else:
            state = torch.load(Path(source), map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise EncoderWeightsError(
            f"expected the ImageNet weights of ResNet-18 from {source}, but: {reason}. Give a file that you have as "
            f"--encoder-weights PATH, or train from scratch by --encoder-weights none."
        ) from error
    if not isinstance(state, dict):
        raise EncoderWeightsError(f"expected the parameters of ResNet-18 in {source}, found a {type(state).__name__}")
    state = {name: value for name, value in state.items() if not name.startswith("fc.")}
    try:
        encoder.load_state_dict(state)
    except RuntimeError as error:
        raise EncoderWeightsError(
            f"expected the parameters of torchvision's ResNet-18 (width 64) in {source}: {str(error).splitlines()[0]}"
        ) from error
