"""Whole commands that are given a hostile file: what they answer, how long that takes, and how much memory."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.forked import LONG_IMPORTS, Forks, forks

MOST_MB = 1000  # that a command takes beyond the imports
MOST_S = 20.0  # of the processor
# `run` gives commands one after the other, and writes down how each ended; what is no sentence is an error.
SETUP = """
import io, json, os, resource, signal, sys, time, traceback
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
import torch
import warpgrasp.annotate, warpgrasp.export, warpgrasp.inference, warpgrasp.refinement, warpgrasp.view
from warpgrasp.cli import main
def most_mb():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) // 1000
def run(words):
    torch.set_num_threads(1)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 6_000_000_000,) * 2)
    for name, command in json.loads(Path(words[0]).read_text()).items():
        Path("/proc/self/clear_refs").write_text("5")  # the most memory is counted anew
        before, began = most_mb(), time.process_time()
        print(json.dumps({"began": name}), flush=True)
        resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + 120, resource.RLIM_INFINITY))
        signal.alarm(600)
        out, error = io.StringIO(), io.StringIO()
        try:
            with redirect_stdout(out), redirect_stderr(error):
                status = main(command)
        except BaseException:
            status = -1
            error.write(traceback.format_exc())
        signal.alarm(0)
        took = {"mb": most_mb() - before, "s": round(time.process_time() - began, 2)}
        print(json.dumps({"name": name, "status": status, "error": error.getvalue(), **took}), flush=True)
    return 0
"""


@dataclass(frozen=True)
class Answer:
    """How a command ended."""

    name: str
    status: int
    error: str
    mb: int
    s: float

    def wrong(self) -> str | None:
        """What is wrong with it; None where it was done, or refused in one sentence, in little time and memory."""
        rows = self.error.splitlines()
        if self.status not in (0, 1, 2) or "Traceback" in self.error or "Warning: " in self.error:
            return f"ended by {self.status}: {self.error[-600:]}"
        if self.status == 1 and sum(row.startswith("warpgrasp: ") for row in rows) != 1:
            return f"said {self.error[-600:]!r}"
        if max(map(len, rows), default=0) > 2100:
            return f"said a line of {max(map(len, rows))} characters"
        if self.mb > MOST_MB or self.s > MOST_S:
            return f"took {self.mb} MB and {self.s} s"
        return None


@contextmanager
def commanding(folder: Path) -> Iterator[Forks]:
    with forks(folder, LONG_IMPORTS + SETUP) as running:
        yield running


def answers(running: Forks, folder: Path, commands: Mapping[str, Sequence[str]]) -> list[Answer]:
    """How commands end that are given in one process; each is begun again in a new one when that process dies."""
    found, left = [], dict(commands)
    while left:
        plan = folder / "plan.json"
        plan.write_text(json.dumps(left))
        ended = running.run([str(plan)])
        rows = [json.loads(row) for row in ended.out.splitlines() if row.startswith("{")]
        done = [Answer(**row) for row in rows if "name" in row]
        if len(done) < len(left):  # the process died in the next one
            name = next(name for name in left if name not in {one.name for one in done})
            done.append(Answer(name, -1, f"the process ended by {ended.status}: {ended.error[-400:]}", 0, 0))
        found += done
        left = {name: words for name, words in left.items() if name not in {one.name for one in done}}
    return found
