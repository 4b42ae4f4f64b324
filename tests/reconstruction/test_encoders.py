"""ResNet-18: torchvision's names and shapes, its file, frozen statistics."""

from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from warpgrasp.reconstruction.encoders import (
    EncoderWeightsError,
    ResNet18,
    freeze_batch_norm,
    load_encoder_weights,
    precision_on,
)
from warpgrasp.reconstruction.encoders.resnet18 import BasicBlock


def torchvision_shapes() -> dict[str, tuple[int, ...]]:
    """The entries of torchvision's resnet18-f37072fd.pth, written down from its definition."""
    shapes: dict[str, tuple[int, ...]] = {}

    def batch_norm(name: str, channels: int) -> None:
        shapes.update({f"{name}.{part}": (channels,) for part in ("weight", "bias", "running_mean", "running_var")})
        shapes[f"{name}.num_batches_tracked"] = ()

    shapes["conv1.weight"] = (64, 3, 7, 7)
    batch_norm("bn1", 64)
    for layer, (channels_in, channels) in enumerate([(64, 64), (64, 128), (128, 256), (256, 512)], start=1):
        for block in range(2):
            name = f"layer{layer}.{block}"
            first = channels_in if block == 0 else channels
            shapes[f"{name}.conv1.weight"] = (channels, first, 3, 3)
            batch_norm(f"{name}.bn1", channels)
            shapes[f"{name}.conv2.weight"] = (channels, channels, 3, 3)
            batch_norm(f"{name}.bn2", channels)
            if block == 0 and layer > 1:
                shapes[f"{name}.downsample.0.weight"] = (channels, first, 1, 1)
                batch_norm(f"{name}.downsample.1", channels)
    shapes["fc.weight"], shapes["fc.bias"] = (1000, 512), (1000,)
    return shapes


def torchvision_file() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        name: torch.rand(shape, generator=generator) if shape else torch.tensor(7)
        for name, shape in torchvision_shapes().items()
    }


def test_names_and_shapes_are_torchvisions() -> None:
    expected = torchvision_shapes()
    assert len(expected) == 122
    ours = {name: tuple(value.shape) for name, value in ResNet18().state_dict().items()}
    assert ours == {name: shape for name, shape in expected.items() if not name.startswith("fc.")}
    # 11,689,512 parameters, of which the classifier has 512 · 1000 + 1000.
    assert sum(parameter.numel() for parameter in ResNet18().parameters()) == 11_689_512 - 513_000


def test_a_file_of_torchvision_loads_and_its_classifier_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "resnet18.pth"
    state = torchvision_file()
    torch.save(state, path)
    encoder = ResNet18()
    load_encoder_weights(encoder, str(path), image_mean=0.5, image_std=1.0)
    for name, value in encoder.state_dict().items():
        assert torch.equal(value, state[name]), name


def test_without_weights_nothing_changes() -> None:
    encoder = ResNet18(8)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    load_encoder_weights(encoder, "none", image_mean=0.5, image_std=1.0)
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())


@pytest.mark.parametrize("kind", ["missing", "another network", "no pickle", "empty", "a list", "a narrow network"])
def test_a_wrong_file_is_refused(tmp_path: Path, kind: str) -> None:
    path, width = tmp_path / "weights.pth", 64
    match kind:
        case "another network":
            torch.save({"layer.weight": torch.zeros(3)}, path)
        case "no pickle":
            path.write_text("<html>not found</html>")
        case "empty":
            path.write_bytes(b"")
        case "a list":
            torch.save([1, 2], path)
        case "a narrow network":
            torch.save(torchvision_file(), path)
            width = 8
    with pytest.raises(
        EncoderWeightsError, match=r"expected the (ImageNet weights|parameters) of .*ResNet-18.*weights\.pth"
    ):
        load_encoder_weights(ResNet18(width), str(path), image_mean=0.5, image_std=1.0)


def test_the_encoder_runs_code_of_no_file(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    path = tmp_path / "evil.pth"
    torch.save({"conv1.weight": Evil()}, path)
    with pytest.raises(EncoderWeightsError):
        load_encoder_weights(ResNet18(), str(path), image_mean=0.5, image_std=1.0)
    assert not (tmp_path / "ran").exists()


def test_features_are_eight_widths() -> None:
    for width, features in ((64, 512), (8, 64)):
        assert ResNet18(width)(torch.zeros(2, 3, 48, 64)).shape == (2, features)


def test_frozen_statistics_stay_while_scale_and_shift_learn() -> None:
    torch.manual_seed(0)
    encoder = ResNet18(8).train()
    freeze_batch_norm(encoder)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    optimiser = torch.optim.Adam(encoder.parameters(), lr=1e-3)
    for _ in range(2):
        encoder(torch.rand(4, 3, 48, 64)).square().sum().backward()
        optimiser.step()
    for name, value in encoder.state_dict().items():
        statistic = "running" in name or "num_batches" in name
        assert torch.equal(value, before[name]) == statistic, name
    encoder.train()  # thaws
    encoder(torch.rand(4, 3, 48, 64))
    assert not torch.equal(encoder.bn1.running_mean, before["bn1.running_mean"])


def test_the_shortcut_of_a_narrow_block_learns_as_it_predicts() -> None:
    """In float64, whose convolutions are PyTorch's own: the other way to choose pixels gives the same numbers."""
    torch.manual_seed(0)
    block = BasicBlock(4, 8, 2).double().eval()
    image = torch.randn(2, 4, 7, 9, dtype=torch.float64, requires_grad=True)
    learned = block(image)
    with torch.no_grad():
        assert_close(block(image), learned, rtol=1e-12, atol=1e-12)
    assert block.downsample is not None
    own, usual = block._shortcut(image), block.downsample(image)
    pulled = [torch.autograd.grad(values.square().sum(), image)[0] for values in (own, usual)]
    assert_close(pulled[0], pulled[1], rtol=1e-12, atol=1e-12)


def test_residual_blocks_add_their_input() -> None:
    # With the second batch norm's scale and shift at zero a block is the ReLU of its shortcut.
    encoder = ResNet18(8).eval()
    block = encoder.layer1[0]
    torch.nn.init.zeros_(block.bn2.weight)
    x = torch.randn(1, 8, 5, 6)
    assert_close(block(x), x.relu())


@pytest.mark.parametrize(("instructions", "expected"), [(True, "bf16"), (False, "fp32")])
def test_automatic_precision_asks_the_processor(instructions: bool, expected: str, monkeypatch) -> None:
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda: instructions, raising=False)
    cpu = torch.device("cpu")
    assert precision_on(cpu, "auto") == expected
    assert precision_on(cpu, "fp32") == "fp32"
    assert precision_on(cpu, "bf16") == "bf16"


def test_automatic_precision_is_single_where_nothing_can_be_asked(monkeypatch) -> None:
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert precision_on(torch.device("cpu"), "auto") == "fp32"
