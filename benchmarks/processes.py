"""How a training grows with processes and a sweep with workers, and how much memory whole commands take at their peak.

python -m benchmarks.processes [--skip-demo]

Memory is the sum over a command's processes of what each has for itself and its share of what several have (Linux's
PSS), looked at ten times a second.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

WARM_STEPS, STEPS = 40, 240
PAPER_SIZES = ((480, 270), (640, 480))
# The batches of the paper and its arithmetic; a few steps reach the peak.
AS_THE_PAPER = ("--network.width", "64", "--precision", "fp32", "--stage1.steps", "6", "--stage2.steps", "6")
AS_THE_PAPER += ("--stage1.batch", "8", "--stage2.batch", "8", "--photometric.pairs", "8")
BY_TWO = ("-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1")
BY_TWO += ("--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0")


@dataclass(frozen=True)
class Taken:
    """What a command took."""

    seconds: float
    peak_mb: float


def taken(words: list[str], *, threads: int) -> Taken:
    """Run a command to its end. Raises `RuntimeError` with what it said when it fails."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    started, peak = time.perf_counter(), 0
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen([sys.executable, *words], env=environment, stdout=said, stderr=subprocess.STDOUT)
        while process.poll() is None:
            peak = max(peak, sum(map(proportional_bytes, tree(process.pid))))
            time.sleep(0.1)
        if process.returncode:
            said.seek(0)
            raise RuntimeError(f"{' '.join(words)}: {said.read()[-2000:]}")
    return Taken(time.perf_counter() - started, peak / 1e6)


def tree(process: int) -> Iterator[int]:
    """A process and all that it started."""
    yield process
    try:
        threads = list(Path(f"/proc/{process}/task").iterdir())
        children = [int(word) for thread in threads for word in (thread / "children").read_text().split()]
    except OSError:  # it has just ended
        return
    for child in children:
        yield from tree(child)


def proportional_bytes(process: int) -> int:
    """A process's own memory and its share of what it has in common with others."""
    try:
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return 1024 * int(line.split()[1])
    except OSError:
        pass
    return 0


def steps_per_second(log: Path) -> float:
    """Of a stage, after its first steps."""
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    first = next(row for row in rows if row["step"] >= WARM_STEPS)
    return (rows[-1]["step"] - first["step"]) / (rows[-1]["seconds"] - first["seconds"])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--skip-demo", action="store_true", help="leave out the demo's memory, which takes minutes")
    options = parser.parse_args()
    ours = ["-m", "warpgrasp.cli"]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        data = ["--data", str(folder / "sweep" / "data"), "--tracker", "none"]
        print("| a sweep of nine small trainings | seconds |\n|---|---|")
        sweep = [*ours, "reproduce", "table3", "--data", "sample", "--quick"]
        taken([*sweep, "--out", str(folder / "sweep"), "--seeds", "0"], threads=1)  # unpacks
        for workers in (1, 2):
            out = folder / f"workers{workers}"
            words = [*sweep, "--out", str(out), "--ray", "auto", "--workers", str(workers)]
            print(f"| {workers} Ray worker{'s' * (workers > 1)} | {taken(words, threads=1).seconds:.0f} |", flush=True)

        print("\n| a step of stage 2, the demo's | steps/s | peak, MB |\n|---|---|---|")
        # Statistics that are not frozen cannot be shared by processes on CPUs.
        steps = ["--freeze-batch-norm", "always", "--stage1.steps", "2", "--stage2.steps", str(STEPS)]
        for name, launcher, threads in (
            ("one process of one thread", ours, 1),
            ("one process of two threads", ours, 2),
            ("two processes of one thread", [*BY_TWO, *ours], 1),
        ):
            out = folder / name.replace(" ", "-")
            took = taken([*launcher, "train", "demo", *data, "--out", str(out), *steps], threads=threads)
            print(f"| {name} | {steps_per_second(out / 'weights.jsonl'):.1f} | {took.peak_mb:.0f} |", flush=True)

        print("\n| command | seconds | peak, MB |\n|---|---|---|")
        for width, height in PAPER_SIZES:
            size = ["--width", str(width), "--height", str(height), *AS_THE_PAPER]
            took = taken([*ours, "train", "demo", *data, "--out", str(folder / f"{width}"), *size], threads=2)
            print(f"| train, {width}×{height}, 8 + 8 frames, width 64, fp32 | – | {took.peak_mb:.0f} |", flush=True)
        if not options.skip_demo:
            took = taken([*ours, "demo", "--out", str(folder / "demo")], threads=2)
            print(f"| demo | {took.seconds:.0f} | {took.peak_mb:.0f} |", flush=True)


if __name__ == "__main__":
    main()
