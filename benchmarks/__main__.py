"""Every figure of docs/performance.md: `python -m benchmarks [NAME ...] [--out FILE] [--compare OLD.json]`."""

import argparse
import importlib
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

from benchmarks.measure import Clock
from benchmarks.operations import counts
from benchmarks.scale import SCALES
from benchmarks.suites import ALONE, SUITES, in_own_process
from benchmarks.table import BenchmarkError, Results, notes, operations_table, regressions, table, where


def main(arguments: Sequence[str] | None = None) -> int:
    """0: measured; 1: a suite failed, or something became slower; 2: bad usage."""
    options = parser().parse_args(arguments)
    chosen = SCALES[options.scale]
    chosen = replace(chosen, patience=replace(chosen.patience, clock=options.clock))
    alone = [name for name in options.names if name in ALONE]
    if alone:
        return max(importlib.import_module(f"benchmarks.{name}").main(chosen) for name in alone)
    try:
        old = None if options.compare is None else Results.read(options.compare)
        started, rows, failed = time.monotonic(), [], []
        for name in options.names or SUITES:
            print(f"{name} …", file=sys.stderr, flush=True)
            try:
                rows += in_own_process(name, chosen)
            except Exception as error:
                failed.append(f"{name} failed: {type(error).__name__}: {error}")
        operations = {} if options.names else counts()
        seconds = round(time.monotonic() - started)
        results = Results(options.scale, rows, {**where(options.clock), "seconds": seconds}, operations)
        print(table(rows), operations_table(operations), notes(rows), results.where, *failed, sep="\n\n")
        if options.out is not None:
            results.write(options.out)
        slower = [] if old is None else regressions(old, results)
    except BenchmarkError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2
    if old is not None:
        print("\n".join(["slower than before:", *slower] if slower else ["nothing is slower than before"]))
    return 1 if failed or slower else 0


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    made.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"of {', '.join((*SUITES, *ALONE))}; else all but those that take minutes",
    )
    made.add_argument(
        "--scale", choices=sorted(SCALES), default="paper", help="sizes: the paper's, or tiny ones that say nothing"
    )
    made.add_argument(
        "--clock",
        choices=get_args(Clock),
        default="wall",
        help="`processor` for a machine that others use; then with OMP_NUM_THREADS=1",
    )
    made.add_argument("--out", type=Path, help="write the results to this JSON file")
    made.add_argument("--compare", type=Path, metavar="OLD.json", help="name what became slower since these results")
    return made


if __name__ == "__main__":
    sys.exit(main())
