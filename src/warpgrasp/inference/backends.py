"""What runs the encoder, nearly all of a network's work, outside PyTorch (docs/performance.md has what was tried).

Heads, hand and placement stay in PyTorch in full precision: they cost little and millimetres need the digits.

The encoder in 8-bit integers: about three times as fast as in fp32 on a CPU, for some tenths of a millimetre.

Inputs and weights of every convolution but the first are rounded to 256 steps between the extremes that were seen in
calibration pictures, weights by channel (Jacob et al. 2018). The sums of the shortcuts stay floating point: rounding
them, too, moved vertices half as far again (docs/performance.md).
"""

import io
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, assert_never

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from warpgrasp.errors import UserError
from warpgrasp.frame import Frames
from warpgrasp.inference.onnx import encoder_program
from warpgrasp.reconstruction import HandObjectNetwork

Backend = Literal["torch", "onnx", "openvino"]
PACKAGES = {"torch": "torch", "onnx": "onnxruntime", "openvino": "openvino"}
Compute = Callable[[np.ndarray], np.ndarray]


class BackendError(UserError):
    """The package that should run the encoder is not there, or does not fit the device."""


class ForeignEncoder(nn.Module):
    """Stands where the encoder stood: the same features of the same normalised pictures, computed by something else."""

    def __init__(self, compute: Compute):
        super().__init__()
        self._compute = compute

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b f"]:
        """Features of normalised images."""
        return torch.from_numpy(self._compute(image.contiguous().numpy()))


def run_encoder_by(
    backend: Backend, network: HandObjectNetwork, *, width: int, height: int, quantized: bytes | None = None
) -> None:
    """Let another package run a network's encoder, for pictures of one size, on the CPU and without gradients.

    `onnx` is ONNX Runtime, in fp32; `openvino` computes in the network's `encoder_precision`. Both can run the encoder
    in int8, as `quantized_encoder` gives it. Raises `BackendError` when the package is missing, the network is not on
    the CPU, or PyTorch is asked for int8.
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
    network.encoder = ForeignEncoder(compute)  # pyright: ignore[reportAttributeAccessIssue]


@contextmanager
def threads_beside(backend: Backend) -> Iterator[None]:
    """While it lasts, PyTorch computes in one thread if another package runs the encoder.

    The threads of its own few operations would spin for milliseconds after each, on the cores that the other package
    wants: one picture took twice as long (docs/performance.md). Enter when the network is made: it is made with as many
    threads as PyTorch has.
    """
    usual = torch.get_num_threads()
    if backend != "torch":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(usual)


def _by_onnx_runtime(network: HandObjectNetwork, example: Tensor, quantized: bytes | None) -> Compute:
    import onnxruntime  # pyright: ignore[reportMissingImports]

    model = encoder_program(network, example).model_proto.SerializeToString() if quantized is None else quantized
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(model, options)
    return lambda image: np.asarray(session.run(None, {"image": image})[0])


def _by_openvino(network: HandObjectNetwork, example: Tensor, quantized: bytes | None) -> Compute:
    import openvino  # pyright: ignore[reportMissingImports]

    core = openvino.Core()
    if quantized is None:
        shape = [-1, *example.shape[1:]]
        model = openvino.convert_model(network.encoder.eval(), example_input=example, input=shape)
    else:
        model = core.read_model(io.BytesIO(quantized))
    settings = {
        "INFERENCE_PRECISION_HINT": "bf16" if network.encoder_precision == "bf16" else "f32",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
    }
    request = core.compile_model(model, "CPU", settings).create_infer_request()

    def compute(image: np.ndarray) -> np.ndarray:
        request.infer({0: image})
        return np.array(request.get_output_tensor(0).data, dtype=np.float32)

    return compute


FORMAT = "warpgrasp-encoder-int8-1"


class QuantizationError(UserError):
    """A quantised encoder cannot be made, or does not belong to the network."""


def quantize_encoder(
    network: HandObjectNetwork, pictures: Iterable[Float[Tensor, "b 3 h w"]], path: Path, *, weights_sha256: str
) -> None:
    """Write a network's encoder in int8 for batches of pictures like these, as an ONNX file that names its weights.

    The file is written under a temporary name, then renamed. Raises `QuantizationError` when a package or every picture
    is missing.
    """
    if find_spec("onnxruntime") is None:
        raise QuantizationError(
            "expected the package onnxruntime to quantise, found none; install it by pip install 'warpgrasp[onnx]'"
        )
    normalised = [(picture - network.config.image_mean) / network.config.image_std for picture in pictures]
    if not normalised:
        raise QuantizationError("expected pictures to calibrate by, got none")
    model = encoder_program(network, normalised[0][:1]).model_proto
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        _quantize(model, [picture.numpy() for picture in normalised], temporary)
        _label(temporary, weights_sha256)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _quantize(model: Any, pictures: list[np.ndarray], path: Path) -> None:
    from onnxruntime import quantization  # pyright: ignore[reportMissingImports]

    class Pictures(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self._left = iter(pictures)

        def get_next(self) -> dict[str, np.ndarray] | None:
            picture = next(self._left, None)
            return None if picture is None else {"image": picture}

    first = next(node.name for node in model.graph.node if node.op_type == "Conv")
    with _quiet():
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
    onnx.helper.set_model_props(model, {"format": FORMAT, "weights_sha256": weights_sha256})
    onnx.save(model, path)


def quantized_encoder(path: Path, *, weights_sha256: str) -> bytes:
    """The content of a quantised encoder's file.

    Raises `QuantizationError` when it is missing, no such file, or made of other weights.
    """
    if find_spec("onnx") is None:
        raise QuantizationError(
            "expected the package onnx for --quantized, found none; install it by pip install 'warpgrasp[onnx]'"
        )
    import onnx  # pyright: ignore[reportMissingImports]
    from google.protobuf.message import DecodeError  # pyright: ignore[reportMissingImports]

    try:
        content = path.read_bytes()
        stated = {prop.key: prop.value for prop in onnx.load_from_string(content).metadata_props}
    except (OSError, DecodeError) as error:
        raise QuantizationError(f"expected what `warpgrasp quantize` wrote in {path}, but: {error}") from error
    if stated.get("format") != FORMAT:
        raise QuantizationError(f"expected what `warpgrasp quantize` wrote in {path}, found another file")
    if stated.get("weights_sha256") != weights_sha256:
        raise QuantizationError(
            f"expected the encoder of these very weights in {path}, found another's; run `warpgrasp quantize` again"
        )
    return content


def vertex_change_mm(
    network: HandObjectNetwork, other: HandObjectNetwork, batches: Iterable[Frames]
) -> tuple[float, float]:
    """How far the hand's and the object's vertices lie apart in two networks' reconstructions, on average."""
    hands, things = [], []
    with torch.inference_mode():
        for frames in batches:
            here, there = (one(frames.image, frames.camera, frames.objects) for one in (network, other))
            hands.append((here.hand.vertices - there.hand.vertices).norm(dim=-1).flatten())
            things.append((here.object.vertices - there.object.vertices).norm(dim=-1)[frames.objects.real])
    return 1e3 * float(torch.cat(hands).mean()), 1e3 * float(torch.cat(things).mean())


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the quantiser's advice on other models."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
