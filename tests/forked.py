"""New processes without waiting seconds for each to import PyTorch: forks of one that imported the package alone."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# `run(words)` is defined by the setup, and not called in this process: a fork finds no thread, cache or registry used.
PARENT = """
import gc, json, os, sys
gc.freeze()  # no child goes over all that was imported
for line in sys.stdin:
    words, out, error = json.loads(line)
    child = os.fork()
    if child == 0:
        for stream, path in ((1, out), (2, error)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
        sys.exit(run(words))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
LONG_IMPORTS = "import warpgrasp.report, warpgrasp.training.loop\n"  # seconds: what training imports when needed
COMMAND = LONG_IMPORTS + "from warpgrasp.cli import main as run\n"


@dataclass(frozen=True)
class Ended:
    """How a process ended (below 0: by which signal), and what it printed."""

    status: int
    out: str
    error: str


@dataclass(frozen=True)
class Forks:
    """Runs one command after another, each in a process of its own."""

    parent: subprocess.Popen[str]
    folder: Path  # of what they print

    def run(self, words: Sequence[str]) -> Ended:
        assert self.parent.stdin is not None
        assert self.parent.stdout is not None
        printed = [self.folder / name for name in ("out.txt", "error.txt")]
        print(json.dumps([list(words), *map(str, printed)]), file=self.parent.stdin, flush=True)
        status = int(self.parent.stdout.readline())
        return Ended(status, *(path.read_text() for path in printed))


@contextmanager
def forks(
    folder: Path, setup: str = COMMAND, *, environment: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Iterator[Forks]:
    """Processes that call the setup's `run(words)`, which returns their exit status."""
    with subprocess.Popen(
        [sys.executable, "-c", setup + PARENT],
        env={**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})},
        cwd=cwd,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        try:
            yield Forks(parent, folder)
        finally:
            assert parent.stdin is not None
            parent.stdin.close()
