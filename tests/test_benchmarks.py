"""The benchmarks' harness, at sizes that say nothing about speed."""

import importlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import benchmarks.__main__ as command
from benchmarks import growth, operations
from benchmarks.measure import Case, Machine, Patience, Row, Work, measure
from benchmarks.scale import TINY
from benchmarks.suites import SUITES, run_suite
from benchmarks.table import BenchmarkError, Operations, Results, notes, regressions, table

WHERE = {"threads": 1, "clock": "wall"}


def row(name: str, yardsticks: tuple[float, float, float]) -> Row:
    return Row("suite", name, "8×6", "image", 1.5, 0.5, yardsticks, {"plain": 3.0}, {"plain": (1.9, 2.0, 2.1)}, 5)


def results(*rows: Row) -> Results:
    return Results("tiny", list(rows), WHERE)


def test_a_case_is_timed_in_turns_and_per_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, order = [0.0], []

    def takes(name: str, seconds: float):
        def run() -> None:
            order.append(name)
            clock[0] += seconds

        return run

    monkeypatch.setattr("benchmarks.measure.time.perf_counter", lambda: clock[0])
    monkeypatch.setattr("benchmarks.measure._yardstick", takes("yardstick", 0.5))
    monkeypatch.setattr("benchmarks.measure.machine", lambda _: Machine(100.0, {"fp32": 1000.0}))
    case = Case(
        "rowing", "8×6", "image", 4, {"ours": takes("ours", 2), "theirs": takes("theirs", 6)}, Work(20.0, 800.0)
    )
    found = measure("suite", case, Patience(seconds=0, least=3, most=9))
    assert order == 4 * ["ours", "theirs", "yardstick"]  # a warm-up and three turns
    assert (found.ms, found.others_ms, found.turns) == (500.0, {"theirs": 1500.0}, 3)
    assert found.floor_ms == 200.0  # 800 operations at 1000/s for four images, longer than 20 bytes at 100/s
    assert found.yardsticks == (4.0, 4.0, 4.0)
    assert found.ratios == {"theirs": (3.0, 3.0, 3.0)}


def test_the_table() -> None:
    page = table([row("rowing", (1, 2, 3)), replace(row("resting", (1, 2, 3)), floor_ms=None, others_ms={}, ratios={})])
    assert page.splitlines()[2:] == [
        "| rowing | 8×6 | 1.5 per image | 3 | | | |",
        "| | | | | plain | 3 | 2.00 (1.90 to 2.10) |",
        "| resting | 8×6 | 1.5 per image |  | | | |",
    ]
    assert notes([row("a", (1, 1, 1)), replace(row("b", (1, 1, 1)), note="all equal")]) == "b, 8×6: all equal"


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    results(row("rowing", (1.0, 2.0, 3.0))).write(file)
    assert Results.read(file) == results(row("rowing", (1.0, 2.0, 3.0)))
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


@pytest.mark.parametrize(
    ("after", "slower"),
    [
        ((2.6, 2.7, 2.8), True),
        ((1.9, 2.1, 2.3), False),  # quartiles that overlap
        ((2.16, 2.17, 2.18), False),  # apart, but by less than a tenth
        ((1.0, 1.1, 1.2), False),  # faster
    ],
)
def test_regressions_are_beyond_noise(after: tuple[float, float, float], slower: bool) -> None:
    before = results(row("rowing", (1.9, 2.0, 2.1)), row("gone", (1, 1, 1)))
    found = regressions(before, results(row("rowing", after), row("new", (9, 9, 9))))
    assert len(found) == slower
    assert not slower or found[0].startswith("rowing, 8×6: 1.35 times as long")


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (Results("paper", [], WHERE), "one size to compare, got tiny and paper"),
        (Results("tiny", [], WHERE | {"threads": 2}), "one number of threads to compare, got 1 and 2"),
        (Results("tiny", [], WHERE | {"clock": "processor"}), "one clock to compare, got wall and processor"),
    ],
)
def test_unlike_results_are_not_compared(other: Results, what: str) -> None:
    with pytest.raises(BenchmarkError, match=what):
        regressions(results(), other)


@pytest.mark.parametrize("text", [None, "nonsense", '{"format": "other"}', "[]"])
def test_other_files_are_refused(text: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "old.json"
    if text is not None:
        file.write_text(text)
    assert command.main(["hand_model", "--compare", str(file)]) == 2
    assert "expected the results of `python -m benchmarks --out FILE` in" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(command, "in_own_process", run_suite)
    monkeypatch.setattr(command, "SUITES", ("hand_model",))
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    assert command.main(["--scale", "tiny", "--out", str(old)]) == 0
    assert "| hand, both ways | 778 vertices, batch 2 |" in capsys.readouterr().out
    before = Results.read(old)
    # As if everything had been a thousand times as fast: whatever the machine does now is slower.
    faster = [replace(one, yardsticks=tuple(value / 1000 for value in one.yardsticks)) for one in before.rows]
    replace(before, rows=faster).write(old)
    assert command.main(["--scale", "tiny", "--out", str(new), "--compare", str(old)]) == 1
    assert "slower than before:\nhand, forward, 778 vertices, batch 2: " in capsys.readouterr().out
    assert [one.key for one in Results.read(new).rows] == [one.key for one in before.rows]


def test_a_suite_that_fails_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*_: object) -> list[Row]:
        raise ValueError("no such object")

    monkeypatch.setattr(command, "in_own_process", fail)
    monkeypatch.setattr(command, "where", lambda _: WHERE)  # takes a minute on some machines
    assert command.main(["hand_model", "--scale", "tiny"]) == 1
    assert "hand_model failed: ValueError: no such object" in capsys.readouterr().out


QUICK = ("photometric", "augmentation", "inference", "ho3d_scoring", "manifest")


@pytest.mark.parametrize("name", QUICK)
def test_a_suite_runs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stated = Machine(100.0, {"fp32": 1000.0, "bf16": 1000.0})  # to measure one takes a minute on some
    monkeypatch.setattr("benchmarks.measure.machine", lambda _: stated)
    check_suite(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(SUITES) - set(QUICK)))
def test_a_longer_suite_runs(name: str) -> None:
    check_suite(name)


def check_suite(name: str) -> None:
    rows = run_suite(name, TINY)
    assert rows
    assert len({one.key for one in rows}) == len(rows)
    for one in rows:
        assert one.bench == name
        assert one.ms > 0
        assert 0 < one.yardsticks[0] <= one.yardsticks[1] <= one.yardsticks[2]
        assert all(low <= middle <= high for low, middle, high in one.ratios.values())


def test_every_module_of_cases_is_a_suite() -> None:
    modules = [path.stem for path in Path(command.__file__).parent.glob("*.py") if not path.stem.startswith("__")]
    assert {name for name in modules if hasattr(importlib.import_module(f"benchmarks.{name}"), "cases")} == set(SUITES)


def test_exponents_are_those_of_the_larger_half() -> None:
    sizes = [1, 10, 100, 1000]
    assert growth.exponent(sizes, [5, 9, 3 * 100**1.5, 3 * 1000**1.5]) == pytest.approx(1.5)
    assert growth.exponent(sizes[:3], [7.0, 20.0, 200.0]) == pytest.approx(1.0)
    assert growth.exponent(sizes, [1.0, 1.0, 0.0, 2.0]) is None  # memory that never rose above the start


def test_what_grows_faster_than_its_size_is_named() -> None:
    points = [growth.Point(n, 1e-6 * n**2, 1e-3 * n) for n in (1_000, 4_000, 16_000)]
    assert growth.row("references", points) == (
        "| references and draws | frames of a sequence | 1,000, 4,000, 16,000 | 1e+03, 1.6e+04, 2.56e+05 | "
        "2.00 **super-linear** | 1, 4, 16 | 1.00 |"
    )


@pytest.mark.slow
@pytest.mark.parametrize("curve", sorted(growth.CURVES))
def test_a_curve_has_points(curve: str) -> None:
    smallest = growth.CURVES[curve].sizes[0]
    point = growth.in_new_process(curve, smallest)
    assert point.size == smallest
    assert point.seconds > 0
    assert point.megabytes >= 0


def test_operations_are_counted_without_views() -> None:
    """Two products, a sum and their derivatives by hand; a view and a detached tensor are none."""
    matrix = torch.ones(3, 3, requires_grad=True)

    def run() -> None:
        matrix.grad = None
        product = (matrix.T @ matrix.detach()).view(9)  # one product
        product.sum().backward()  # a sum; its gradient of ones, one product back

    found = operations.counted(run)
    # mm, sum, ones_like, mm; the gradient is kept by a copy or as it is, by PyTorch's choice.
    assert 4 <= found.all <= 5
    assert found.synchronisations == 0
    assert operations.counted(lambda: float(matrix.detach().sum())).synchronisations == 1
    assert operations.counted(lambda: matrix.detach().clone()) == Operations(1, 1, 0)


@pytest.mark.slow
def test_the_parts_of_a_step_are_smaller_than_the_step() -> None:
    found = operations.counts()
    whole = found["step of stage 2"].all
    assert found["step of stage 2, control"].all + found["photometric term"].all < 1.1 * whole
    assert found["hand model of a batch"].all < found["step of stage 1"].all < found["step of stage 2, control"].all
    again = results()
    assert regressions(replace(again, operations=found), replace(again, operations=found)) == []
    more = {name: replace(one, all=one.all + 1) for name, one in found.items()}
    assert len(regressions(replace(again, operations=found), replace(again, operations=more))) == len(found)
    page = operations.operations_table({"step": Operations(1234, 5, 0)})
    assert page.splitlines()[-1] == "| step | 1,234 | 5 | 0 |"
