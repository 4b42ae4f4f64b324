"""Runs the demo with its upper bound over several seeds, and writes docs/results.md from what it measured.

    .venv/bin/python tools/demo_seeds.py                 # seeds 0, 1, 2: about half an hour on two cores

The figures of each seed are kept in docs/results/ as JSON.
"""

import argparse
import shutil
from pathlib import Path

from results_page import STORED, write

from warpgrasp.cli import main as warpgrasp


def run(seed: int) -> None:
    """One demo; its figures go to docs/results."""
    out = Path("runs") / f"demo-seed{seed}"
    status = warpgrasp(["demo", "--seed", str(seed), "--upper-bound", "--out", str(out)])
    if status:
        raise SystemExit(status)
    STORED.mkdir(exist_ok=True)
    for name in ("results", "sequences"):
        shutil.copyfile(out / f"{name}.json", STORED / f"demo-seed{seed}-{name}.json")


def main() -> None:
    """Run and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    for seed in parser.parse_args().seeds:
        run(seed)
    write()


if __name__ == "__main__":
    main()
