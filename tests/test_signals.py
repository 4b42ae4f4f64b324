"""A program that is told to stop ends by one line and a status that says by what, at whatever moment."""

import contextlib
import gc
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from tests.forked import Forks, forks
from warpgrasp import files, locks, signals
from warpgrasp.signals import INTERRUPTED, SENTENCE, Waiting, exit_status

# `run` is told to stop by the signal of a number, once, and does what the other words say.
SETUP = """
import os, signal, sys, time
from warpgrasp.signals import exit_status
def run(words):
    what, number = words[0], int(words[1])
    # A shell lets what it runs in the background ignore Ctrl+C.
    signal.signal(number, signal.SIG_IGN if what == "nohup" else signal.SIG_DFL)
    class Half:
        def __init__(self):
            os.kill(os.getpid(), number)
            self.whole = True
        def __del__(self):
            self.whole  # as a library's object does that was interrupted while it was made
    class Going:
        def __del__(self):
            os.kill(os.getpid(), number)
    def work():
        try:
            if what == "half made":
                Half()
            elif what == "as an object goes":
                Going()
                time.sleep(10)
            else:
                os.kill(os.getpid(), number)
            return 3
        except KeyboardInterrupt:
            if what == "ends by itself":
                return 0
            if what == "another error":
                raise ImportError("half a module")
            raise
    status = exit_status(work)
    os.kill(os.getpid(), number)  # while the interpreter ends
    return status
"""
# A command that is told to stop before the n-th of its imports.
AS_IN_THE_FOREGROUND = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from warpgrasp.__main__ import program
left = [int(sys.argv.pop(1))]
def count(event, arguments):
    if event == "import":
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGINT)
sys.addaudithook(count)
program()
"""
NUMBERS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    with forks(tmp_path_factory.mktemp("printed"), SETUP) as running:
        yield running


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize(
    "what", ["stops", "half made", "as an object goes", "another error", "ends by itself", "nohup"]
)
def test_the_status_says_by_what(processes: Forks, number: int, what: str) -> None:
    ended = processes.run([what, str(int(number))])
    expected = {"ends by itself": 0, "nohup": 3}.get(what, 128 + number)
    assert ended.status == expected
    assert ended.error == ("" if expected in (0, 3) else f"{SENTENCE}\n")


@pytest.mark.slow
@pytest.mark.parametrize("when", [1, 30, 150, 400, 800])
def test_stopped_while_it_is_being_imported(tmp_path: Path, when: int) -> None:
    words = ["predict", "sample", "--weights", "best", "--out", str(tmp_path / "p.npz")]
    command = [sys.executable, "-c", AS_IN_THE_FOREGROUND, str(when), *words]
    ended = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=300, check=False)
    assert ended.returncode == 128 + signal.SIGINT
    assert ended.stderr == f"{SENTENCE}\n"


# --- a signal before any instruction of what sets up and tidies up


@dataclass
class Interrupting:
    """Sends this process Ctrl+C before the n-th instruction of some modules; counts them when that never comes."""

    when: int = -1
    met: int = 0
    modules = frozenset(str(module.__file__) for module in (files, locks, signals, shutil, tempfile, contextlib))

    def __call__(self, frame: FrameType, event: str, _: Any) -> "Interrupting":
        frame.f_trace_opcodes = frame.f_code.co_filename in self.modules
        if event == "opcode":
            self.met += 1
            if self.met == self.when:
                sys.settrace(None)
                signal.raise_signal(signal.SIGINT)
        return self


def in_folder(folder: Path) -> None:
    """One of each that makes something which must go again."""
    with locks.alone_in(folder / "out"):
        files.write_text(folder / "out" / "a.txt", "after")
        with files.replacing_folder(folder / "out" / "b", overwrite=True) as inner:
            (inner / "c.txt").write_text("after")


@pytest.fixture
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in NUMBERS}
    trace, hook = sys.gettrace(), sys.unraisablehook
    yield
    sys.settrace(trace)
    sys.unraisablehook = hook
    for number, handler in before.items():
        signal.signal(number, handler)


def interrupted(folder: Path, interrupting: Interrupting) -> int:
    def run() -> int:
        sys.settrace(interrupting)
        try:
            in_folder(folder)
            return 0
        except KeyboardInterrupt:
            return INTERRUPTED
        finally:
            sys.settrace(None)

    signal.signal(signal.SIGINT, signal.default_int_handler)
    return exit_status(run)


def begun(folder: Path) -> Path:
    """A folder with what is to be replaced."""
    (folder / "out" / "b").mkdir(parents=True)
    for path in (folder / "out" / "a.txt", folder / "out" / "b" / "c.txt"):
        path.write_text("before")
    return folder


@pytest.mark.slow
# A file interrupted between being opened and being held by its `with` is closed by the garbage collector, which warns.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("every", [211, pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.usefixtures("handlers")
def test_interrupted_before_any_instruction(tmp_path: Path, every: int) -> None:
    """Nothing hidden is left, nothing is lost, and the folder can be written again."""
    counting = Interrupting()
    assert interrupted(begun(tmp_path / "counted"), counting) == 0
    assert counting.met > 3000
    for when in range(1, counting.met - 20, every):
        folder, interrupting = begun(tmp_path / str(when)), Interrupting(when)
        status = interrupted(folder, interrupting)
        if interrupting.met < when:  # not each run asks equally often: this one ended before
            assert (status, when > counting.met - 300) == (0, True)
            break
        assert status == INTERRUPTED, when
        left = {str(path.relative_to(folder)): path.is_file() and path.read_text() for path in folder.rglob("*")}
        assert set(left) == {"out", "out/a.txt", "out/b", "out/b/c.txt"}, when
        assert {left["out/a.txt"], left["out/b/c.txt"]} <= {"before", "after"}, when
        assert interrupted(folder, Interrupting()) == 0, when
        shutil.rmtree(folder)
    gc.collect()  # here, not in a later test, which would see the warnings


@pytest.mark.usefixtures("handlers")
def test_signals_wait_and_come_at_the_end() -> None:
    told: list[str] = []

    def told_inside(block: Callable[[Waiting], None]) -> None:
        def run() -> int:
            with Waiting() as waiting:
                block(waiting)
            told.append("went on")
            return 0

        signal.signal(signal.SIGINT, signal.default_int_handler)
        assert exit_status(run) == INTERRUPTED

    def nested(_: Waiting) -> None:
        with Waiting():
            signal.raise_signal(signal.SIGINT)
        told.append("held")

    def within(waiting: Waiting) -> None:
        with waiting.interrupted:
            signal.raise_signal(signal.SIGINT)
            told.append("interrupted")

    def before(waiting: Waiting) -> None:
        signal.raise_signal(signal.SIGINT)
        with waiting.interrupted:
            told.append("began")

    for block in (nested, within, before):
        told_inside(block)
    assert told == ["held"]
