"""Runs small convolutional networks stored as TensorFlow Lite files with PyTorch: in batches, on any device.

The format is that of TensorFlow's schema.fbs (version 3): a FlatBuffer, in which every table starts with the offset of
the list of its fields. Only what the shipped networks need is read; everything else is an error. Pictures enter with
channels last, as they are stored; inside, channels come first in PyTorch's channels-last memory.
"""

import hashlib
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.nn import functional

from warpgrasp.errors import DataError


class Code(IntEnum):
    """The operations that the shipped networks use (schema.fbs, BuiltinOperator)."""

    ADD = 0
    CONCATENATION = 2
    CONVOLUTION = 3
    DEPTHWISE = 4
    DEQUANTIZE = 6
    DENSE = 9
    SIGMOID = 14
    MAX_POOL = 17
    RESHAPE = 22
    RESIZE = 23
    PAD = 34
    MEAN = 40
    PRELU = 54


ACTIVATIONS: dict[int, Callable[[Tensor], Tensor]] = {  # ActivationFunctionType
    0: lambda values: values,
    1: lambda values: values.relu_(),
    3: lambda values: values.clamp_(0, 6),
}
NUMBER_TYPES = {0: np.dtype("<f4"), 1: np.dtype("<f2"), 2: np.dtype("<i4")}  # TensorType
SAME_PADDING = 0


@dataclass(frozen=True)
class Table:
    """A table of a FlatBuffer: its fields by number, each where the table's own list says, or absent."""

    data: bytes
    start: int

    def _field(self, number: int) -> int | None:
        fields = self.start - struct.unpack_from("<i", self.data, self.start)[0]
        (size,) = struct.unpack_from("<H", self.data, fields)
        offset = struct.unpack_from("<H", self.data, fields + 4 + 2 * number)[0] if 4 + 2 * number < size else 0
        return self.start + offset if offset else None

    def number(self, field: int, code: str) -> int:
        """A scalar; absent ones are zero."""
        place = self._field(field)
        return 0 if place is None else struct.unpack_from(f"<{code}", self.data, place)[0]

    def _followed(self, place: int) -> int:
        return place + struct.unpack_from("<I", self.data, place)[0]

    def table(self, field: int) -> "Table | None":
        """A table inside this one."""
        place = self._field(field)
        return None if place is None else Table(self.data, self._followed(place))

    def content(self, field: int, width: int = 1) -> bytes:
        """The bytes of a list of numbers of so many bytes each."""
        place = self._field(field)
        if place is None:
            return b""
        start = self._followed(place)
        (count,) = struct.unpack_from("<I", self.data, start)
        return self.data[start + 4 : start + 4 + width * count]

    def numbers(self, field: int) -> list[int]:
        """A list of 32-bit whole numbers."""
        return np.frombuffer(self.content(field, 4), "<i4").tolist()

    def tables(self, field: int) -> list["Table"]:
        """A list of tables."""
        place = self._field(field)
        if place is None:
            return []
        start = self._followed(place)
        (count,) = struct.unpack_from("<I", self.data, start)
        return [Table(self.data, self._followed(start + 4 + 4 * row)) for row in range(count)]


@dataclass(frozen=True)
class Operation:
    """One operation: which, the tensors it reads and writes, its options."""

    code: int
    inputs: list[int]
    output: int
    options: Table | None

    def option(self, field: int) -> int:
        """A small option; absent ones are zero."""
        return 0 if self.options is None else self.options.number(field, "b")


@dataclass(frozen=True)
class Model:
    """The content of a file: shapes and constants of its tensors, and its operations in order."""

    shapes: list[list[int]]
    constants: dict[int, Shaped[np.ndarray, "..."]]
    operations: list[Operation]
    input: int
    outputs: list[int]

    @staticmethod
    def parsed(data: bytes) -> "Model":
        """The model of a file's bytes."""
        root = Table(data, struct.unpack_from("<I", data, 0)[0])
        codes = [max(code.number(0, "b"), code.number(3, "i")) for code in root.tables(1)]
        graph, buffers = root.tables(2)[0], root.tables(4)
        tensors = graph.tables(0)
        shapes = [tensor.numbers(0) for tensor in tensors]
        constants = {}
        for row, tensor in enumerate(tensors):
            if stored := buffers[tensor.number(2, "I")].content(0):
                constants[row] = np.frombuffer(stored, NUMBER_TYPES[tensor.number(1, "b")]).reshape(shapes[row])
        operations = [
            Operation(codes[entry.number(0, "I")], entry.numbers(1), entry.numbers(2)[0], entry.table(4))
            for entry in graph.tables(3)
        ]
        for operation in operations:
            if operation.code == Code.DEQUANTIZE:
                constants[operation.output] = constants[operation.inputs[0]].astype(np.float32)
        kept = [operation for operation in operations if operation.code != Code.DEQUANTIZE]
        return Model(shapes, constants, kept, graph.numbers(1)[0], graph.numbers(2))


@dataclass(frozen=True)
class Step:
    """An operation that is ready to run, and the tensors that nobody reads after it."""

    run: Callable[..., Tensor]
    inputs: list[int]
    output: int
    done_with: list[int]


class Network:
    """A network read from a TensorFlow Lite file. Its weights stay on the device it was read to."""

    def __init__(self, path: Path, sha256: str, device: torch.device):
        """Read a file. Raises `DataError` when it is not the one with this hash."""
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != sha256:
            raise DataError(f"expected {path} with the SHA-256 {sha256}, found another; install warpgrasp again")
        model = Model.parsed(data)
        self.device = device
        self._input, self._outputs = model.input, model.outputs
        last_reader = {row: place for place, entry in enumerate(model.operations) for row in entry.inputs}
        self._steps = []
        for place, entry in enumerate(model.operations):
            read = [row for row in entry.inputs if row not in model.constants]
            done_with = [row for row in read if last_reader[row] == place and row not in model.outputs]
            self._steps.append(Step(_ready(entry, model, device), read, entry.output, done_with))

    @torch.no_grad()
    def __call__(self, pictures: Float[np.ndarray, "b h w 3"]) -> list[Float[Tensor, "b ..."]]:
        """The outputs for a batch of pictures, on the CPU."""
        values = {self._input: torch.from_numpy(pictures).to(self.device).permute(0, 3, 1, 2)}
        for step in self._steps:
            values[step.output] = step.run(*(values[row] for row in step.inputs))
            for row in set(step.done_with):
                del values[row]
        return [values[row].cpu() for row in self._outputs]


def _ready(entry: Operation, model: Model, device: torch.device) -> Callable[..., Tensor]:
    """The operation as a function of the tensors that are not constant."""
    shape, source_shape = model.shapes[entry.output], model.shapes[entry.inputs[0]]
    constants = [model.constants.get(row) for row in entry.inputs]
    weights = [torch.from_numpy(array.copy()).to(device) for array in constants if array is not None]
    match entry.code:
        case Code.CONVOLUTION | Code.DEPTHWISE:
            return _convolution(entry, weights, source_shape)
        case Code.ADD:
            return torch.add
        case Code.CONCATENATION:
            return lambda *parts: torch.cat(parts, dim=1)
        case Code.DENSE:
            return partial(functional.linear, weight=weights[0], bias=weights[1])
        case Code.SIGMOID:
            return torch.sigmoid
        case Code.MAX_POOL:
            return partial(functional.max_pool2d, kernel_size=2)
        case Code.RESHAPE:
            return lambda values: values.permute(0, 2, 3, 1).reshape(len(values), *shape[1:])
        case Code.RESIZE:
            return partial(functional.interpolate, scale_factor=2, mode="bilinear", align_corners=False)
        case Code.PAD:
            return partial(functional.pad, pad=(0, 0, 0, 0, 0, shape[3] - source_shape[3]))
        case Code.MEAN:
            return lambda values: values.mean(dim=(2, 3))
        case Code.PRELU:
            return partial(functional.prelu, weight=weights[0].flatten())
    raise DataError(f"expected operations that the shipped networks use, got number {entry.code} of schema.fbs")


def _convolution(entry: Operation, weights: Sequence[Tensor], source_shape: Sequence[int]) -> Callable[..., Tensor]:
    """A convolution with its bias and activation. TensorFlow pads the odd pixel at the end, PyTorch on both sides."""
    depthwise = entry.code == Code.DEPTHWISE
    weight = weights[0].permute(3, 0, 1, 2) if depthwise else weights[0].permute(0, 3, 1, 2)
    stride, kernel = entry.option(1), weight.shape[-1]
    activate = ACTIVATIONS[entry.option(4 if depthwise else 3)]
    total = max((-(-source_shape[1] // stride) - 1) * stride + kernel - source_shape[1], 0)
    before, odd = divmod(total if entry.option(0) == SAME_PADDING else 0, 2)
    options: dict[str, Any] = {
        "weight": weight.contiguous(memory_format=torch.channels_last),
        "bias": weights[1],
        "stride": stride,
        "padding": 0 if odd else before,
        "groups": len(weight) if depthwise else 1,
    }

    def run(values: Tensor) -> Tensor:
        padded = functional.pad(values, (before, before + 1, before, before + 1)) if odd else values
        return activate(functional.conv2d(padded, **options))

    return run
