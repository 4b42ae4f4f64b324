"""The encoder, nearly all of a network's work, outside PyTorch: by another package, or in 8-bit integers.

The regression branches, hand and placement stay in PyTorch in full precision: they cost little, and millimetres need
the digits. In 8-bit integers the encoder is about three times as fast as in fp32 on a CPU, for some tenths of a
millimetre (docs/performance.md has what was tried).

Inputs and weights of every convolution but the first are rounded to 256 steps between the extremes that were seen in
calibration pictures, weights by channel (Jacob et al. 2018). The sums of the shortcuts stay floating point: rounding
them, too, moved vertices half as far again.
"""

import io
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, assert_never

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from warpgrasp.errors import UserError
from warpgrasp.files import replacing
from warpgrasp.frame import Frames
from warpgrasp.inference.onnx_export import encoder_program
from warpgrasp.inference.quantized_file import INT8_FORMAT, QuantizationError
from warpgrasp.reconstruction import HandObjectNetwork

Backend = Literal["torch", "onnx", "openvino"]
PACKAGES = {"torch": "torch", "onnx": "onnxruntime", "openvino": "openvino"}
Compute = Callable[[np.ndarray], np.ndarray]  # from normalised pictures to features


class BackendError(UserError):
    """The package that should run the encoder is missing, or does not fit the device."""


def run_encoder_by(
    backend: Backend, network: HandObjectNetwork, *, width: int, height: int, quantized: bytes | None = None
) -> None:
    """Let another package run a network's encoder, for pictures of one size, on the CPU and without gradients.

    `onnx` is ONNX Runtime, in fp32; `openvino` computes in the network's `encoder_precision`. Both can run the encoder
    in int8, as `quantized_encoder` gives it. Raises `BackendError` when the package is missing, the network is not on
    the CPU, or PyTorch is asked for int8; and `QuantizationError` when that encoder cannot be run.
    """
    if backend == "torch":
        if quantized is not None:
            raise BackendError("expected --backend onnx or openvino with --quantized, got torch")
        return
    if find_spec(PACKAGES[backend]) is None:
        raise BackendError(
            f"expected the package {PACKAGES[backend]} for --backend {backend}, found none; install it by "
            f"pip install 'warpgrasp[{backend}]', or leave the encoder to PyTorch by --backend torch"
        )
    if next(network.parameters()).device.type != "cpu":
        raise BackendError(f"expected the network on the CPU for --backend {backend}; choose --device cpu")
    example = torch.zeros(1, 3, height, width)
    match backend:
        case "onnx":
            compute = _by_onnx_runtime(network, example, quantized)
            network.encoder_precision = "fp32"
        case "openvino":
            compute = _by_openvino(network, example, quantized)
        case unknown:
            assert_never(unknown)
    if quantized is not None:
        _try_out(compute, network, example)
    network.encoder = ForeignEncoder(compute)


@contextmanager
def threads_beside(backend: Backend) -> Iterator[None]:
    """Let PyTorch compute in one thread, if another package runs the encoder, while the body runs.

    The threads of PyTorch's own few operations would spin for milliseconds after each, on the cores that the other
    package needs: one picture took twice as long (docs/performance.md). Enter when the network is made: the other
    package takes as many threads as PyTorch has then.
    """
    usual = torch.get_num_threads()
    if backend != "torch":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(usual)


def quantize_encoder(
    network: HandObjectNetwork, pictures: Iterable[Float[Tensor, "b 3 h w"]], path: Path, *, weights_sha256: str
) -> None:
    """Write a network's encoder in int8 for batches of pictures like these, as an ONNX file that names its weights.

    Raises `QuantizationError` when a package is missing, or there are no pictures.
    """
    if find_spec("onnxruntime") is None:
        raise QuantizationError(
            "expected the package onnxruntime to quantise, found none; install it by pip install 'warpgrasp[onnx]'"
        )
    normalised = [(picture - network.config.image_mean) / network.config.image_std for picture in pictures]
    if not normalised:
        raise QuantizationError("expected pictures to calibrate by, got none")
    model = encoder_program(network, normalised[0][:1]).model_proto
    with replacing(path) as temporary:
        _quantize(model, [picture.numpy() for picture in normalised], temporary)
        _label(temporary, weights_sha256)


def vertex_change_mm(
    network: HandObjectNetwork, other: HandObjectNetwork, batches: Iterable[Frames]
) -> tuple[float, float]:
    """The mean distances of the hand's and of the object's vertices between two networks' reconstructions."""
    of_hands, of_objects = [], []
    with torch.inference_mode():
        for frames in batches:
            here = network(frames.image, frames.camera, frames.objects)
            there = other(frames.image, frames.camera, frames.objects)
            of_hands.append((here.hand.vertices - there.hand.vertices).norm(dim=-1).flatten())
            of_objects.append((here.object.vertices - there.object.vertices).norm(dim=-1)[frames.objects.real])
    return 1e3 * float(torch.cat(of_hands).mean()), 1e3 * float(torch.cat(of_objects).mean())


class ForeignEncoder(nn.Module):
    """Takes the place of a network's encoder: its features of normalised pictures, computed by another package."""

    def __init__(self, compute: Compute):
        super().__init__()
        self._compute = compute

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b f"]:
        """Features of normalised images."""
        return torch.from_numpy(self._compute(image.contiguous().numpy()))


def _try_out(compute: Compute, network: HandObjectNetwork, example: Tensor) -> None:
    """Raise `QuantizationError` unless an encoder that was read gives features of a picture."""
    with _refusing():
        features = compute(example.numpy())
        shape = (1, network.heads.object_pose[0].in_features)
        if features.shape != shape or features.dtype != np.float32 or not np.isfinite(features).all():
            raise ValueError(f"it gives no {shape[1]} finite numbers for a picture")


@contextmanager
def _refusing() -> Iterator[None]:
    """Say that an encoder cannot be run, whatever the other package raises."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:  # of C++, whose kinds change
        reason = " ".join(str(error).split())[:300]
        raise QuantizationError(f"expected a quantised encoder that can be run, but: {reason}") from error


def _by_onnx_runtime(network: HandObjectNetwork, example: Tensor, quantized: bytes | None) -> Compute:
    import onnxruntime  # pyright: ignore[reportMissingImports]

    model = encoder_program(network, example).model_proto.SerializeToString() if quantized is None else quantized
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4  # it raises what it also prints
    with _refusing() if quantized is not None else nullcontext():
        session = onnxruntime.InferenceSession(model, options)
    return lambda image: np.asarray(session.run(None, {"image": image})[0])


def _by_openvino(network: HandObjectNetwork, example: Tensor, quantized: bytes | None) -> Compute:
    import openvino  # pyright: ignore[reportMissingImports]

    core = openvino.Core()
    if quantized is None:
        shape = [-1, *example.shape[1:]]
        model = openvino.convert_model(network.encoder.eval(), example_input=example, input=shape)
    else:
        with _refusing():
            model = core.read_model(io.BytesIO(quantized))
    settings = {
        "INFERENCE_PRECISION_HINT": "bf16" if network.encoder_precision == "bf16" else "f32",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
    }
    with _refusing() if quantized is not None else nullcontext():
        request = core.compile_model(model, "CPU", settings).create_infer_request()

    def compute(image: np.ndarray) -> np.ndarray:
        request.infer({0: image})
        return np.array(request.get_output_tensor(0).data, dtype=np.float32)

    return compute


def _quantize(model: Any, pictures: list[np.ndarray], path: Path) -> None:
    from onnxruntime import quantization  # pyright: ignore[reportMissingImports]

    class Pictures(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self._remaining = iter(pictures)

        def get_next(self) -> dict[str, np.ndarray] | None:
            picture = next(self._remaining, None)
            return None if picture is None else {"image": picture}

    first = next(node.name for node in model.graph.node if node.op_type == "Conv")
    with _without_advice():
        quantization.quantize_static(
            model,
            path,
            Pictures(),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=[first],
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            calibrate_method=quantization.CalibrationMethod.MinMax,
        )


def _label(path: Path, weights_sha256: str) -> None:
    import onnx  # pyright: ignore[reportMissingImports]

    model = onnx.load(path)
    onnx.helper.set_model_props(model, {"format": INT8_FORMAT, "weights_sha256": weights_sha256})
    onnx.save(model, path)


@contextmanager
def _without_advice() -> Iterator[None]:
    """Silence the quantiser's advice on other models while the body runs."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
