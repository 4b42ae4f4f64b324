import json
from pathlib import Path

import numpy as np
import pytest

from warpgrasp.cli import main
from warpgrasp.data import open_dataset
from warpgrasp.data.benchmark import files
from warpgrasp.data.benchmark.files import Filmed, Order, generate_benchmark, is_benchmark, orders
from warpgrasp.data.benchmark.objects import NAMES
from warpgrasp.errors import DataError
from warpgrasp.hand.model import HandModel
from warpgrasp.hand.templates import open_hand


def test_the_benchmark_is_as_large_and_as_varied_as_it_says() -> None:
    wanted = orders(100, 60, 0)
    train, evaluation = ([order for order in wanted if order.split == split] for split in ("train", "evaluation"))
    assert (len(train), len(evaluation)) == (100, 25)
    assert {order.object_name for order in train} == set(NAMES)
    assert len({order.object_name for order in evaluation}) == 6
    assert {order.kind for order in evaluation} == {"turn", "slide", "pick", "put", "regrasp", "enter", "leave"}
    assert len({order.seed for order in wanted}) == 125
    assert len({(order.object_name, order.kind) for order in train}) > 40


def test_more_sequences_leave_those_before_as_they_are() -> None:
    few, many = ({order.name: order for order in orders(count, 60, 3)} for count in (8, 100))
    assert all(many[name] == order for name, order in few.items())


@pytest.mark.parametrize("sequences", [1, 3])
def test_evaluation_shows_only_objects_that_are_trained(sequences: int) -> None:
    wanted = orders(sequences, 60, 0)
    trained = {order.object_name for order in wanted if order.split == "train"}
    assert {order.object_name for order in wanted if order.split == "evaluation"} <= trained


def nothing_filmed(root: Path, order: Order) -> Filmed:
    """A film of a sequence without pictures."""
    (root / order.split / order.name).mkdir(parents=True)
    return Filmed(order, [np.zeros((21, 3))] * order.frames, [np.zeros((778, 3))] * order.frames)


def test_an_interrupted_run_leaves_nothing_and_starts_again(tmp_path: Path, monkeypatch) -> None:
    root = tmp_path / "set"

    def interrupted(folder: Path, order: Order) -> Filmed:
        if order.name == "B002":
            raise KeyboardInterrupt
        return nothing_filmed(folder, order)

    monkeypatch.setattr(files, "film", interrupted)
    with pytest.raises(KeyboardInterrupt):
        generate_benchmark(root, sequences=2, frames=2, seed=0, processes=1)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(files, "film", nothing_filmed)
    generate_benchmark(root, sequences=2, frames=2, seed=0, processes=1)
    assert is_benchmark(root)
    assert (root / "train.txt").read_text().split() == ["B001/0000", "B001/0001", "B002/0000", "B002/0001"]
    assert set(json.loads((root / "benchmark.json").read_text())["sequences"]) == {"B001", "B002", "BE001"}
    assert {path.name for path in (root / "models").iterdir()} == set(NAMES)


def test_what_is_there_is_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="exists already"):
        generate_benchmark(tmp_path, sequences=2, frames=2, seed=0)
    with pytest.raises(DataError, match="at least 2 frames, got 2 of 1"):
        generate_benchmark(tmp_path / "set", sequences=2, frames=1, seed=0)


def pictures(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.mark.slow
def test_a_tiny_benchmark_is_whole_and_the_same_by_any_number_of_processes(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    generate_benchmark(first, sequences=2, frames=3, seed=1, processes=1)
    generate_benchmark(second, sequences=2, frames=3, seed=1, processes=2)
    assert pictures(first) == pictures(second)
    dataset = open_dataset(first, HandModel(open_hand()))
    assert [len(dataset.names(split)) for split in ("train", "evaluation")] == [6, 3]
    for split in ("train", "evaluation"):
        for name in dataset.names(split):
            frame = dataset.frame(name, annotated=True)
            assert frame.image.shape == (3, 240, 320)
            assert 0.1 < frame.image.mean() < 0.9
            assert frame.image.std() > 0.05
            assert frame.annotation is not None


@pytest.mark.slow
def test_the_commands_on_a_tiny_benchmark(tmp_path: Path, capsys) -> None:
    root, out = tmp_path / "set", tmp_path / "out"
    assert main(["sample", str(root), "--benchmark", "--sequences", "1", "--frames", "3"]) == 0
    assert "wrote 1 + 1 sequences of 3 frames" in capsys.readouterr().out
    assert main(["doctor", "--data", str(root)]) == 0
    assert "nothing is missing" in capsys.readouterr().out
    assert main(["reproduce", "fig8", "--data", str(root), "--out", str(out), "--quick", "--seeds", "0"]) == 0
    content = json.loads((out / "fig8-benchmark-quick.json").read_text())
    assert content["data"] == "open benchmark"
    arms = {"control", "control, told", "2D", "Eq. 1", "best", "full", "full, told"}
    assert {row["arm"] for row in content["rows"] if row["frames"]} >= arms
