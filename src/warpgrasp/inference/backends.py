"""What runs the encoder, nearly all of a network's work, outside PyTorch (docs/performance.md has what was tried).

Heads, hand and placement stay in PyTorch in full precision: they cost little and millimetres need the digits.
"""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Literal, assert_never

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from warpgrasp.errors import UserError
from warpgrasp.inference.onnx_export import encoder_program
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
