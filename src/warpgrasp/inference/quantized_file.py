"""The file of a quantised encoder, of which nothing is believed: it is a program that another package runs.

What it says of itself is read, its sizes are compared with those of the network, and every size on the way from the
picture to the features is worked out before the program runs. It may call nothing but ONNX's own operations.
"""

import math
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from warpgrasp.bounded import read_regular
from warpgrasp.errors import DataError, UserError
from warpgrasp.reconstruction import HandObjectNetwork

INT8_FORMAT = "warpgrasp-encoder-int8-1"
MOST_NODES = 5000
REST_BYTES = 4_000_000  # beside the weights: names, and scales by channel
LEAST_WIDTH, LAYERS = 64, 32  # of the numbers between the layers: so many times the picture's pixels by the width
LARGEST_AXES = 8


class QuantizationError(UserError):
    """A quantised encoder cannot be made, or does not belong to the network."""


def quantized_encoder(path: Path, network: HandObjectNetwork, *, weights_sha256: str, size: tuple[int, int]) -> bytes:
    """The content of a quantised encoder's file, for pictures of a size (width, height).

    Raises `QuantizationError` when the file is missing, of another kind or larger than the network, made of other
    weights, or a program that an encoder is not.
    """
    if find_spec("onnx") is None:
        raise QuantizationError(
            "expected the package onnx for --quantized, found none; install it by pip install 'warpgrasp[onnx]'"
        )
    import onnx  # pyright: ignore[reportMissingImports]
    from google.protobuf.message import DecodeError  # pyright: ignore[reportMissingImports]

    numbers = sum(value.numel() for value in network.encoder.state_dict().values())
    try:
        content = read_regular(path, 4 * numbers + REST_BYTES)
        model = onnx.load_from_string(content)
    except (OSError, DecodeError, DataError) as error:
        raise QuantizationError(f"expected an encoder of `warpgrasp quantize` in {path}, but: {error}") from error
    notes = {prop.key: prop.value for prop in model.metadata_props}
    if notes.get("format") != INT8_FORMAT:
        raise QuantizationError(f"expected an encoder of `warpgrasp quantize` in {path}, found another file")
    if notes.get("weights_sha256") != weights_sha256:
        raise QuantizationError(
            f"expected the encoder of these very weights in {path}, found one of others; run `warpgrasp quantize` again"
        )
    most = max(LEAST_WIDTH, network.config.width) * math.prod(size) + numbers
    wrong = _other_program(model) or _too_large(model, size, most)
    if wrong is not None:
        raise QuantizationError(f"expected an encoder as `warpgrasp quantize` writes it in {path}, found {wrong}")
    return content


def _other_program(model: Any) -> str | None:
    """What in a model no encoder has: functions, parts elsewhere, other packages' operations, programs in programs."""
    graph = model.graph
    if len(graph.node) > MOST_NODES:
        return f"{len(graph.node)} operations"
    if model.functions or model.training_info or graph.sparse_initializer or graph.quantization_annotation:
        return "functions, or parts for training"
    attributes = [one for node in graph.node for one in node.attribute]
    tensors = [*graph.initializer, *(one.t for one in attributes), *(t for one in attributes for t in one.tensors)]
    if any(one.external_data or one.data_location for one in tensors):
        return "numbers in other files"
    if any(one.HasField("g") or one.graphs or one.HasField("sparse_tensor") for one in attributes):
        return "a program within the program"
    domains = {*(node.domain for node in graph.node), *(one.domain for one in model.opset_import)}
    if not domains <= {"", "ai.onnx"}:
        return "operations of other packages"
    if [one.name for one in graph.input] != ["image"] or len(graph.output) != 1:
        return "other inputs or outputs than a picture and its features"
    return None


def _too_large(model: Any, size: tuple[int, int], most: int) -> str | None:
    """What of the values on the way is not known beforehand, or is larger than pictures of this size need."""
    import onnx  # pyright: ignore[reportMissingImports]

    width, height = size
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    fixed.graph.ClearField("value_info")  # what it says itself
    for one, shape in zip([*fixed.graph.input, *fixed.graph.output], [(1, 3, height, width), (1, None)], strict=True):
        _state_shape(one.type.tensor_type.shape, shape)
    try:
        onnx.checker.check_model(fixed)
        inferred = onnx.shape_inference.infer_shapes(fixed, strict_mode=True, data_prop=True).graph
    except Exception as error:  # of C++, whose kinds change
        return f"what is no program: {' '.join(str(error).split())[:200]}"
    known = {one.name: one.type.tensor_type.shape.dim for one in (*inferred.value_info, *inferred.output)}
    sizes = [_numbers(known.get(name)) for node in inferred.node for name in node.output if name]
    if None in sizes or max(filter(None, sizes), default=0) > most or sum(filter(None, sizes)) > LAYERS * most:
        return "values whose sizes are not known, or are larger than those of these pictures"
    return None


def _state_shape(shape: Any, lengths: Iterable[int | None]) -> None:
    shape.ClearField("dim")
    for length in lengths:
        one = shape.dim.add()
        if length is not None:
            one.dim_value = length


def _numbers(axes: Any) -> int | None:
    """How many numbers a value has; None where that is not known."""
    if axes is None or len(axes) > LARGEST_AXES or not all(one.HasField("dim_value") for one in axes):
        return None
    return math.prod(one.dim_value for one in axes)
