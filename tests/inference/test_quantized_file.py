"""Quantised encoders that were tampered with: one sentence, before another package runs anything of them."""

import importlib.util
import io
import os
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data.damage import mutated
from tests.forked import LONG_IMPORTS, Forks, forks
from tests.inference.networks import HEIGHT, WIDTH, small_network
from warpgrasp.hand.model import HandModel
from warpgrasp.inference.quantized_file import QuantizationError, quantized_encoder

if any(importlib.util.find_spec(package) is None for package in ("onnx", "onnxscript", "onnxruntime")):
    pytest.skip("needs the extra `onnx`", allow_module_level=True)

import onnx
from onnx import TensorProto, helper

pytestmark = pytest.mark.slow  # the export alone takes half a minute

SHA256 = "0" * 64
SIZE = (WIDTH, HEIGHT)
# `run` reads each file, and tries it out where it may be run; what is no sentence ends the process.
SETUP = f"""
import warnings
warnings.simplefilter("ignore")
import os, torch
from pathlib import Path
from tests.inference.networks import small_network
from warpgrasp.errors import UserError
from warpgrasp.hand import HandModel, open_hand
from warpgrasp.inference.backends import run_encoder_by
from warpgrasp.inference.quantized_file import quantized_encoder
def run(words):
    torch.set_num_threads(1)
    for path in words:
        network = small_network(HandModel(open_hand()))
        try:
            content = quantized_encoder(Path(path), network, weights_sha256="{SHA256}", size={SIZE})
            run_encoder_by("onnx", network, width={WIDTH}, height={HEIGHT}, quantized=content)
            print("run", flush=True)
        except UserError as error:
            print(error, flush=True)
    os._exit(0)  # the end of the interpreter takes time, and libraries complain
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    with forks(tmp_path_factory.mktemp("printed"), LONG_IMPORTS + SETUP) as processes:
        yield processes


@pytest.fixture(scope="module")
def whole(running: Forks, hand: HandModel, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A quantised encoder of the small network, made in another process: what these packages warn of is not ours."""
    path = tmp_path_factory.mktemp("whole") / "encoder.onnx"
    setup = f"""
import warnings
warnings.simplefilter("ignore")
import os, torch
from pathlib import Path
from tests.inference.networks import small_network
from warpgrasp.hand import HandModel, open_hand
from warpgrasp.inference.backends import quantize_encoder
def run(words):
    pictures = [torch.rand(1, 3, {HEIGHT}, {WIDTH}) for _ in range(2)]
    quantize_encoder(small_network(HandModel(open_hand())), pictures, Path(words[0]), weights_sha256="{SHA256}")
    os._exit(0)
"""
    with forks(path.parent, setup) as making:
        ended = making.run([str(path)])
    assert ended.status == 0, ended.error
    return path.read_bytes()


def answers(running: Forks, files: list[Path]) -> list[str]:
    ended = running.run([str(path) for path in files])
    said = ended.out.splitlines()
    assert (ended.status, len(said)) == (0, len(files)), (ended.status, said[-1:], ended.error[-600:])
    assert ended.error == ""
    return said


Change = Callable[[Any], object]


def elsewhere(model: Any) -> None:
    first = model.graph.initializer[0]
    first.ClearField("raw_data")
    first.data_location = TensorProto.EXTERNAL
    first.external_data.add(key="location", value="../../etc/passwd")


def in_a_program(model: Any) -> None:
    empty = helper.make_graph([], "inner", [], [])
    model.graph.node.append(helper.make_node("If", ["features"], ["x"], then_branch=empty, else_branch=empty))


def doubling(model: Any) -> None:
    for turn in range(40):
        name = f"twice{turn - 1}" if turn else "image"
        model.graph.node.append(helper.make_node("Concat", [name, name], [f"twice{turn}"], axis=3))


def growing(model: Any) -> None:
    sides = helper.make_tensor("sides", TensorProto.INT64, [4], [10_000, 3, HEIGHT, WIDTH])
    model.graph.initializer.append(sides)
    model.graph.node.append(helper.make_node("Expand", ["image", "sides"], ["large"]))


def unknown_size(model: Any) -> None:
    model.graph.node.append(helper.make_node("NonZero", ["image"], ["places"]))


def of_another_package(model: Any) -> None:
    model.opset_import.append(helper.make_opsetid("evil.example", 1))
    model.graph.node.append(helper.make_node("Run", ["image"], ["x"], domain="evil.example"))


def many_nodes(model: Any) -> None:
    for turn in range(6000):
        model.graph.node.append(helper.make_node("Identity", ["image"], [f"same{turn}"]))


def other_output(model: Any) -> None:
    model.graph.output[0].name = "image"


def short_weights(model: Any) -> None:
    largest = max(model.graph.initializer, key=lambda one: len(one.raw_data))
    largest.raw_data = largest.raw_data[:-5]


def wide_borders(model: Any) -> None:
    node = next(node for node in model.graph.node if node.op_type == "Conv")
    for one in node.attribute:
        if one.name == "pads":
            one.ints[:] = [2**20] * 4


def not_a_number(model: Any) -> None:
    for one in model.graph.initializer:
        if one.data_type == TensorProto.FLOAT:
            one.raw_data = np.full(len(one.raw_data) // 4, np.nan, np.float32).tobytes()
            one.float_data[:] = [np.nan] * len(one.float_data)
            if not one.raw_data:
                one.ClearField("raw_data")


TAMPERED: dict[str, tuple[Change, str]] = {
    "numbers elsewhere": (elsewhere, "numbers in other files"),
    "a program within": (in_a_program, "a program within the program"),
    "doubled forty times": (doubling, "larger than those of these pictures"),
    "grown": (growing, "larger than those of these pictures"),
    "of unknown size": (unknown_size, "whose sizes are not known"),
    "of another package": (of_another_package, "operations of other packages"),
    "many operations": (many_nodes, "operations"),
    "another output": (other_output, "expected "),
    "short weights": (short_weights, "expected "),
    "wide borders": (wide_borders, "larger than those of these pictures"),
    "no numbers": (not_a_number, "expected a quantised encoder that can be run, but: it gives no 64 finite numbers"),
    "no graph": (lambda model: model.ClearField("graph"), "other inputs or outputs"),
    "another format": (lambda model: model.ClearField("metadata_props"), "found another file"),
}


def test_what_was_tampered_with(running: Forks, whole: bytes, tmp_path: Path) -> None:
    files = {}
    for name, (change, _) in TAMPERED.items():
        model = onnx.load(io.BytesIO(whole))
        change(model)
        files[name] = tmp_path / f"{name}.onnx"
        files[name].write_bytes(model.SerializeToString())
    (tmp_path / "whole.onnx").write_bytes(whole)
    said = answers(running, [*files.values(), tmp_path / "whole.onnx"])
    assert said.pop() == "run"
    for (name, (_, wanted)), one in zip(TAMPERED.items(), said, strict=True):
        assert wanted in one, (name, one)
        assert len(one) < 1000


def test_what_is_no_file(hand: HandModel, tmp_path: Path) -> None:
    network = small_network(hand)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "device").symlink_to("/dev/zero")
    (tmp_path / "empty").touch()
    with (tmp_path / "large").open("wb") as large:
        large.truncate(10**10)
    for name in ("pipe", "folder", "device", "empty", "large", "missing"):
        with pytest.raises(QuantizationError, match=rf"expected an encoder of `warpgrasp quantize` in \S*{name}"):
            quantized_encoder(tmp_path / name, network, weights_sha256=SHA256, size=SIZE)


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
def test_damaged_files(running: Forks, whole: bytes, tmp_path: Path, record_property) -> None:
    """One sentence for each, or features of a picture."""
    random = np.random.default_rng(5)
    contents = islice(iter(lambda: mutated(whole, random), None), 150)
    files = []
    for number, content in enumerate(contents):
        files.append(tmp_path / f"{number}.onnx")
        files[-1].write_bytes(content)
    said = answers(running, files)
    run = sum(one == "run" for one in said)
    assert all(one == "run" or one.startswith("expected ") for one in said)
    assert run < len(said)
    found = {"tried": len(said), "refused": len(said) - run, "read": run}
    record_property("fuzz", {"format": "quantised encoders", **found, "slowest_s": 0, "largest_mb": 0})
