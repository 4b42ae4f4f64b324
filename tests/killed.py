"""Commands that are killed at a moment and given again, and what they must have written then.

Moments are counted in what the command asks of the file system (Python's audit events): a kill comes just before the
n-th of them, so that no step between two files is left out, and each is met again in every run. Other moments are so
many milliseconds after the first file appears: in the midst of what no event begins.
"""

import re
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tests.forked import Ended, Forks
from warpgrasp.signals import SENTENCE

# `run` is `warpgrasp …` that sends itself a signal before the n-th event in a folder; 0: it writes how many there are;
# below 0: so many milliseconds after the first of them that writes.
SETUP = """
import importlib, os, signal, sys, threading
from dataclasses import replace
from pathlib import Path
import torch
import warpgrasp.annotate, warpgrasp.export, warpgrasp.experiments, warpgrasp.inference, warpgrasp.refinement
from warpgrasp.cli import main
from warpgrasp.data import sample
from warpgrasp.geometry import solid
from warpgrasp.refinement.refine import ALL_FRAMES, Stage
from warpgrasp.signals import exit_status
from warpgrasp.training import log, loop
EVENTS = {"open", "os.mkdir", "os.rename", "os.scandir", "os.listdir"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
ANYWHERE = {"os.remove", "os.rmdir", "fcntl.flock"}  # their names may be relative to a folder that is open
def run(words):
    folder, when, number, counts = words[0], int(words[1]), int(words[2]), words[3]
    if number != signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)  # a shell lets what it runs in the background ignore Ctrl+C
    if words[4] == "doctor":
        os.environ["WARPGRASP_CACHE"] = folder
    sample.unpack_shipped = lambda root: Path(os.environ["TINY"])
    module = importlib.import_module("warpgrasp.refinement.densify")
    short = (Stage(40, 2, 0.1),)
    module.ALL_FRAMES = replace(ALL_FRAMES, stages=short, end_stages=short)
    solid.GRID_STEP_M = 0.01  # coarse: seconds for each object otherwise
    torch.set_num_threads(1)
    loop.SAVE_EVERY_S, log.LOG_EVERY_STEPS = 0.0, 1
    met, timers = [], []
    def writes(event, arguments):
        return event in ("os.mkdir", "os.rename") or (event == "open" and bool(arguments[2] & WRITING))
    def count(event, arguments):
        if event not in ANYWHERE and (event not in EVENTS or folder not in str(arguments[0])):
            return
        met.append(event)
        if when < 0 and not timers and writes(event, arguments):
            timers.append(threading.Timer(-when / 1000, os.kill, (os.getpid(), number)))
            timers[0].daemon = True
            timers[0].start()
        if len(met) == when:
            os.kill(os.getpid(), number)
    sys.addaudithook(count)
    status = exit_status(lambda: main(words[4:]))
    total = len(met)
    if counts != "-":
        open(counts, "w").write(str(total))
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(status)  # the end of the interpreter takes time, and libraries complain
"""
STATUS: dict[int, int] = {
    signal.SIGKILL: -signal.SIGKILL,
    **{one: 128 + one for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)},
}
ALL = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
FINISHED = re.compile("exists already|has it; overwrite it")  # of what was killed when all was written


@dataclass(frozen=True)
class Killed:
    """A command, the folder that it writes in and nothing else does, and how it is run."""

    words: Sequence[str]
    folder: Path
    processes: Forks
    content: Callable[[Path], object] = Path.read_bytes
    """What is compared of a file."""
    begin: Callable[[Path], object] = Path.exists
    """What is in the folder before the command."""
    tried: list[int] = field(default_factory=list)
    survived: list[int] = field(default_factory=list)
    """The moments at which the command was killed, and those of them after which it ended as it should."""

    def run(self, when: int = 0, number: int = signal.SIGKILL, counts: str = "-") -> Ended:
        return self.processes.run([str(self.folder), str(when), str(int(number)), counts, *self.words])

    def files(self) -> dict[str, object]:
        paths = sorted(path for path in self.folder.rglob("*") if not path.is_dir() or not any(path.iterdir()))
        return {str(path.relative_to(self.folder)): path.is_dir() or self.content(path) for path in paths}

    def check(self, moments: Callable[[int], Sequence[int]], numbers: Sequence[int]) -> int:
        """Kill the command at moments out of so many, by one signal after the other; how often is returned."""
        counts = self.processes.folder / "counts.txt"
        with self.begun():
            ended = self.run(counts=str(counts))
            assert ended.status == 0, ended.error
            expected = self.files()
        assert expected
        for turn, when in enumerate(moments(int(counts.read_text()))):
            number = numbers[turn % len(numbers)]
            with self.begun():
                ended = self.run(when, number, str(counts))
                # Not every run asks equally often, nor takes equally long.
                if ended.status == 0 and (when < 0 or int(counts.read_text()) < when):
                    continue
                self.tried.append(when)
                assert ended.status == STATUS[number], (when, number, ended.error)
                if number != signal.SIGKILL:
                    assert ended.error == f"{SENTENCE}\n", (when, number, ended.error)
                again = self.run()
                finished = again.status == 1 and FINISHED.search(" ".join(again.error.split()))
                assert again.status == 0 or finished, (when, number, again.error)
                found = self.files()
                names = found.keys() | expected.keys()
                wrong = sorted(name for name in names if found.get(name) != expected.get(name))
                assert not wrong, (when, number, wrong)
            self.survived.append(when)
        return len(self.survived)

    @contextmanager
    def begun(self) -> Iterator[None]:
        self.folder.mkdir()
        self.begin(self.folder)
        yield
        shutil.rmtree(self.folder)


def spread(count: int, *, last: int = 0) -> Callable[[int], list[int]]:
    """So many moments over a run, and every one of the last."""
    return lambda total: sorted(
        {*np.linspace(1, total, count).astype(int).tolist(), *range(max(1, total - last + 1), total + 1)}
    )


def soon(count: int) -> Callable[[int], list[int]]:
    """So many moments, spread over 50 ms after the first file appears."""
    return lambda _: [-int(after_ms) for after_ms in np.linspace(1, 50, count)]


def every(total: int) -> range:
    """Every moment of a run."""
    return range(1, total + 1)
