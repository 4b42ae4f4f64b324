"""ResNet-18 (He et al. 2016) without its classifier, with torchvision's parameter names.

It is our own because torchvision cannot be imported beside every build of PyTorch; its published ImageNet weights load.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from warpgrasp.reconstruction.encoders.weights import load_published

IMAGENET_URL = "https://download.pytorch.org/models/resnet18-f37072fd.pth"
# On processors without AVX-512 the gradient of a 1×1 convolution with a stride, of fewer channels than these, writes
# beyond its memory (oneDNN of PyTorch 2.13): the pixels are chosen before it then.
NARROW = 8


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
        shortcut = self._shortcut(x)
        x = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(x)) + shortcut)

    def _shortcut(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d i j"]:
        if self.downsample is None:
            return x
        convolution = self.downsample[0]
        assert isinstance(convolution, nn.Conv2d)
        if x.shape[1] < NARROW and torch.is_grad_enabled():
            stride = convolution.stride[0]
            return self.downsample[1](F.conv2d(x[:, :, ::stride, ::stride], convolution.weight))
        return self.downsample(x)


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

    def load_initial_weights(self, source: str) -> None:
        """Load `imagenet` (fetched by torch.hub and cached), or a file of torchvision's parameters.

        Raises `EncoderWeightsError` when they cannot be had or do not fit.
        """
        load_published(
            self,
            source,
            imagenet=lambda: torch.hub.load_state_dict_from_url(
                IMAGENET_URL, map_location="cpu", weights_only=True, check_hash=True
            ),
            network="ResNet-18",
            publisher="torchvision",
            classifier="fc.",
        )


def _layer(channels_in: int, channels: int, stride: int) -> nn.Sequential:
    return nn.Sequential(BasicBlock(channels_in, channels, stride), BasicBlock(channels, channels, 1))
