import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from warpgrasp.errors import DataError
from warpgrasp.keypoints.graph import Code, Model, Network, Operation, Table, _ready
from warpgrasp.keypoints.mediapipe import ASSETS, PALM_FILE


def options(*values: int) -> Table:
    """A table of small numbers, as a FlatBuffer lays it out: the list of its fields, then the fields."""
    offsets = [4 + place for place in range(len(values))]
    fields = struct.pack(f"<HH{len(values)}H", 4 + 2 * len(values), 4 + len(values), *offsets)
    return Table(fields + struct.pack(f"<i{len(values)}b", len(fields), *values), len(fields))


def test_a_table_of_a_flatbuffer() -> None:
    table = options(5, -3)
    assert [table.number(field, "b") for field in range(3)] == [5, -3, 0]
    assert table.table(2) is None
    assert table.tables(2) == []
    assert table.numbers(2) == []


@pytest.mark.parametrize("depthwise", [False, True])
@pytest.mark.parametrize(("size", "kernel", "stride"), [(6, 3, 2), (6, 5, 2), (5, 3, 2), (6, 3, 1), (7, 5, 1)])
def test_a_convolution_pads_the_odd_pixel_at_the_end(depthwise: bool, size: int, kernel: int, stride: int) -> None:
    """Against sums written out, with TensorFlow's documented padding for SAME."""
    random = np.random.default_rng(3)
    values = random.normal(size=(1, size, size, 2)).astype(np.float32)
    shape = (1, kernel, kernel, 2) if depthwise else (3, kernel, kernel, 2)
    weight = random.normal(size=shape).astype(np.float32)
    bias = random.normal(size=2 if depthwise else 3).astype(np.float32)
    out = -(-size // stride)
    total = max((out - 1) * stride + kernel - size, 0)
    padded = np.pad(values[0], ((total // 2, total - total // 2),) * 2 + ((0, 0),))
    expected = np.zeros((out, out, len(bias)))
    for row in range(out):
        for column in range(out):
            window = padded[row * stride : row * stride + kernel, column * stride : column * stride + kernel]
            products = window * weight[0] if depthwise else (window * weight).sum(axis=3, keepdims=True)
            expected[row, column] = products.sum(axis=(0, 1) if depthwise else (1, 2, 3)) + bias
    model = Model(
        [list(values.shape), list(shape), [len(bias)], [1, out, out, len(bias)]], {1: weight, 2: bias}, [], 0, [3]
    )
    code = Code.DEPTHWISE if depthwise else Code.CONVOLUTION
    entry = Operation(code, [0, 1, 2], 3, options(0, stride, stride, 1, 1))
    run = _ready(entry, model, torch.device("cpu"))
    answer = run(torch.from_numpy(values).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)[0].numpy()
    np.testing.assert_allclose(answer, expected.clip(0), atol=1e-5)  # both activations are ReLU


def test_an_unknown_operation_is_refused() -> None:
    model = Model([[1, 2, 2, 1], [1, 2, 2, 1]], {}, [], 0, [1])
    with pytest.raises(DataError, match="got number 99 of"):
        _ready(Operation(99, [0], 1, None), model, torch.device("cpu"))


def test_another_file_is_refused(tmp_path: Path) -> None:
    name, sha256 = PALM_FILE
    spoilt = bytearray((Path(str(ASSETS)) / name).read_bytes())
    spoilt[1_000_000] ^= 1
    path = tmp_path / name
    path.write_bytes(spoilt)
    with pytest.raises(DataError, match="SHA-256"):
        Network(path, sha256, torch.device("cpu"))
