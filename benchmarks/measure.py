"""How a figure is measured: ours, what it is compared with and a yardstick in turns, each beside the machine's floor.

A busy machine slows all that runs in one turn alike, so the ratios of a turn mean more than its times. The yardstick, a
copy and a matrix product of fixed size, is timed in every turn too: `yardsticks` is what compares from run to run and
from machine to machine.
"""

import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

import torch

Run = Callable[[], object]
Clock = Literal["wall", "processor"]
COPIED_BYTES = 2**26  # beyond every cache
MATRIX = 1024
TRIES = 15


@dataclass(frozen=True)
class Machine:
    """What the machine can do, measured: the floors are made of it."""

    copy_bytes_s: float  # read and written by one large copy
    operations_s: Mapping[str, float]  # of a matrix product, by precision; a multiplication and an addition are two


@dataclass(frozen=True)
class Work:
    """What cannot be avoided: bytes that must be read or written, or operations, whichever takes longer."""

    bytes: float = 0.0
    operations: float = 0.0
    precision: str = "fp32"

    def seconds(self, machine: Machine) -> float:
        """How long a machine needs at least."""
        return max(self.bytes / machine.copy_bytes_s, self.operations / machine.operations_s[self.precision])


@dataclass(frozen=True)
class Case:
    """One figure: `runs` holds ours first, then what it is compared with. One call handles `count` of `unit`."""

    name: str
    size: str
    unit: str
    count: int
    runs: Mapping[str, Run]
    floor: Work | None = None
    note: str = ""  # what was found about the results themselves


@dataclass(frozen=True)
class Row:
    """A measured figure. Milliseconds are for one unit; ratios are medians over turns, with their quartiles."""

    bench: str
    name: str
    size: str
    unit: str
    ms: float
    floor_ms: float | None
    yardsticks: tuple[float, float, float]  # ours over the yardstick: lower quartile, median, upper quartile
    others_ms: dict[str, float] = field(default_factory=dict)
    ratios: dict[str, tuple[float, float, float]] = field(default_factory=dict)  # the other over ours, likewise
    turns: int = 0
    note: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """What the figure is of."""
        return self.bench, self.name, self.size


@dataclass(frozen=True)
class Patience:
    """How long to measure: turns until `seconds` have passed, but never fewer or more than so many; and by which clock.

    `processor` counts what all threads and child processes computed: on a machine that others use, it says with one
    thread what an idle one would take.
    """

    seconds: float = 3.0
    least: int = 3
    most: int = 25
    clock: Clock = "wall"


def measure(bench: str, case: Case, patience: Patience) -> Row:
    """Time a case: a warm-up, then turns."""
    runs = [*case.runs.values(), _yardstick]
    for run in runs:
        run()
    times: list[list[float]] = []
    started = time.perf_counter()
    while len(times) < patience.most:
        times.append([seconds(run, patience.clock) for run in runs])
        if len(times) >= patience.least and time.perf_counter() - started > patience.seconds:
            break
    ours, *others, _ = (1e3 * statistics.median(column) / case.count for column in zip(*times, strict=True))
    names = list(case.runs)[1:]
    return Row(
        bench,
        case.name,
        case.size,
        case.unit,
        ours,
        None if case.floor is None else 1e3 * case.floor.seconds(machine(patience.clock)) / case.count,
        quartiles([turn[0] / turn[-1] for turn in times]),
        dict(zip(names, others, strict=True)),
        {name: quartiles([turn[1 + i] / turn[0] for turn in times]) for i, name in enumerate(names)},
        len(times),
        case.note,
    )


def seconds(run: Run, clock: Clock = "wall") -> float:
    """How long one call takes."""
    start = _now(clock)
    run()
    return _now(clock) - start


def _now(clock: Clock) -> float:
    if clock == "wall":
        return time.perf_counter()
    spent = os.times()
    return time.process_time() + spent.children_user + spent.children_system


def quartiles(values: list[float]) -> tuple[float, float, float]:
    """Lower quartile, median, upper quartile."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


@cache
def machine(clock: Clock = "wall") -> Machine:
    """Measure the floors, once in a process: the best of several tries, since floors are what is possible."""
    source = torch.zeros(COPIED_BYTES // 4)
    destination = torch.empty_like(source)
    square = torch.randn(MATRIX, MATRIX)
    half = square.bfloat16()

    def best(run: Run) -> float:
        run()
        return min(seconds(run, clock) for _ in range(TRIES))

    product = 2 * MATRIX**3
    rates = {"fp32": product / best(lambda: square @ square), "bf16": product / best(lambda: half @ half)}
    return Machine(2 * COPIED_BYTES / best(lambda: destination.copy_(source)), rates)


@cache
def _yardstick_tensors() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return torch.zeros(2**21), torch.empty(2**21), torch.ones(384, 384)


def _yardstick() -> None:
    source, destination, square = _yardstick_tensors()
    destination.copy_(source)
    torch.mm(square, square)
