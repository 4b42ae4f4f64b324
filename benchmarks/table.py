"""What a run of the benchmarks leaves: a table to read, a file to compare with."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from benchmarks.measure import Clock, Row, machine
from warpgrasp.errors import UserError

FORMAT = "warpgrasp-benchmarks-1"
TOLERATED = 1.1  # times as long: less is no regression, whatever the quartiles say


class BenchmarkError(UserError):
    """Results that cannot be read or compared."""


@dataclass(frozen=True)
class Operations:
    """Operations that one call hands to the device, copies and synchronisations among them."""

    all: int
    copies: int
    synchronisations: int


@dataclass(frozen=True)
class Results:
    """All rows of a run and where they were measured; and the operations of a step's parts, where they were counted."""

    scale: str
    rows: list[Row]
    where: dict[str, Any]
    operations: dict[str, Operations] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """As JSON, under a temporary name first."""
        content = {
            "format": FORMAT,
            "scale": self.scale,
            "where": self.where,
            "rows": [asdict(row) for row in self.rows],
            "operations": {name: asdict(counted) for name, counted in self.operations.items()},
        }
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
        temporary.replace(path)

    @staticmethod
    def read(path: Path) -> "Results":
        """Raises `BenchmarkError` when the file is missing or holds something else."""
        try:
            content = json.loads(path.read_text())
            if content["format"] != FORMAT:
                raise ValueError(f"its format is {content['format']}")
            operations = {name: Operations(**counted) for name, counted in content.get("operations", {}).items()}
            return Results(content["scale"], [_row(row) for row in content["rows"]], content["where"], operations)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise BenchmarkError(
                f"expected the results of `python -m benchmarks --out FILE` in {path}, but: {error}"
            ) from error


def _row(stored: dict[str, Any]) -> Row:
    """A row, its quartiles as tuples again."""
    ratios = {name: tuple(quartiles) for name, quartiles in stored["ratios"].items()}
    return Row(**{**stored, "yardsticks": tuple(stored["yardsticks"]), "ratios": ratios})


def where(clock: Clock) -> dict[str, Any]:
    """The machine, in words and measured."""
    rates = {name: round(rate / 1e9, 1) for name, rate in machine(clock).operations_s.items()}
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "clock": clock,
        "load": round(os.getloadavg()[0], 2),
        "copy_gb_s": round(machine(clock).copy_bytes_s / 1e9, 1),
        "gigaoperations_s": rates,
    }


def table(rows: Sequence[Row]) -> str:
    """A table in Markdown."""
    lines = [
        "| what | size | ms | times the floor | compared with | ms | ratio |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        floor = "" if row.floor_ms is None else f"{row.ms / row.floor_ms:.3g}"
        lines.append(f"| {row.name} | {row.size} | {row.ms:.3g} per {row.unit} | {floor} | | | |")
        for name, other_ms in row.others_ms.items():
            low, middle, high = row.ratios[name]
            lines.append(f"| | | | | {name} | {other_ms:.3g} | {middle:.2f} ({low:.2f} to {high:.2f}) |")
    return "\n".join(lines)


def operations_table(operations: Mapping[str, Operations]) -> str:
    """The operations of each part, as a table in Markdown."""
    lines = ["| part of a step, forward and backward | operations | copies | synchronisations |", "|---|---|---|---|"]
    for name, one in operations.items():
        lines.append(f"| {name} | {one.all:,} | {one.copies:,} | {one.synchronisations} |")
    return "\n".join(lines)


def notes(rows: Sequence[Row]) -> str:
    """What was found about results."""
    return "\n".join(f"{row.name}, {row.size}: {row.note}" for row in rows if row.note)


def regressions(old: Results, new: Results) -> list[str]:
    """The figures that became slower beyond noise, in times of the yardstick that was measured in the same turns.

    And the parts of a step that have more operations than before: these have no noise.

    Beyond noise: the median by more than `TOLERATED`, and the quartiles of the two runs do not overlap. Raises
    `BenchmarkError` when the two were measured at different sizes with other threads or by another clock.
    """
    for what, before, after in (
        ("size", old.scale, new.scale),
        ("number of threads", old.where["threads"], new.where["threads"]),
        ("clock", old.where["clock"], new.where["clock"]),
    ):
        if before != after:
            raise BenchmarkError(f"expected results of one {what} to compare, got {before} and {after}")
    earlier = {row.key: row.yardsticks for row in old.rows}
    found = []
    for row in new.rows:
        if row.key not in earlier:
            continue
        (_, before, before_high), (after_low, after, _) = earlier[row.key], row.yardsticks
        if after > TOLERATED * before and after_low > before_high:
            found.append(
                f"{row.name}, {row.size}: {after / before:.2f} times as long ({before:.3g} → {after:.3g} yardsticks)"
            )
    for name, counted in new.operations.items():
        before = old.operations.get(name, counted).all
        if counted.all > before:
            found.append(f"{name}: {before:,} → {counted.all:,} operations")
    return found
