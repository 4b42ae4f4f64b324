"""How a program ends that is told to stop: by one line, with nothing half done, and with a status that says by what."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
STOPPING: list[signal.Signals] = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]
INTERRUPTED = 128 + signal.SIGINT  # as a shell names the end by Ctrl+C
AGAIN_AFTER_S = 0.01
SENTENCE = "interrupted; the same command goes on from the last saved state"


@dataclass
class _State:
    """In how many blocks of `Waiting`, one in the other, the main thread is, and whether a signal came meanwhile."""

    depth: int = 0
    came: bool = False


_state = _State()


def exit_status(run: Callable[[], int]) -> int:
    """What a program ends with that runs `run`: its status, or 128 + the number of the signal that stopped it.

    Ctrl+C, SIGTERM and SIGHUP raise `KeyboardInterrupt` in `run`, so that it can tidy up; one that is ignored, as
    `nohup` wishes, stays ignored. What is told to stop while it has ended already ends as it was.
    """
    received: list[int] = []
    ended = threading.Event()

    def stop(number: int, _: FrameType | None) -> None:
        received.append(number)
        sys.unraisablehook = lambda error: _where_none_is_raised(error, number, ended)
        if _state.depth == 0:
            raise KeyboardInterrupt
        _state.came = True

    _state.depth, _state.came = 0, False
    for number in not_ignored():
        signal.signal(number, stop)
    try:
        status = run()
    except BaseException:  # an import that is interrupted may end by any error
        _ignore_signals()
        ended.set()
        if not received:
            raise
        print(SENTENCE, file=sys.stderr)  # noqa: T201
        status = INTERRUPTED
    _ignore_signals()
    ended.set()
    return 128 + received[0] if received and status == INTERRUPTED else status


def _where_none_is_raised(error: "sys.UnraisableHookArgs", number: int, ended: threading.Event) -> None:
    """Where Python only reports an error, as in `__del__`: an interrupt comes again later, all else is kept quiet.

    An object that is interrupted while it is made may fail once more as it goes; the program has said why it ends.
    """
    if error.exc_type is KeyboardInterrupt:
        again = threading.Timer(AGAIN_AFTER_S, _interrupt_again, (number, ended))
        again.daemon = True
        again.start()


def _interrupt_again(number: int, ended: threading.Event) -> None:
    if not ended.is_set():
        os.kill(os.getpid(), number)


def not_ignored() -> list[signal.Signals]:
    """The signals to stop, but those that whoever started the process wants to be ignored."""
    return [number for number in STOPPING if signal.getsignal(number) != signal.SIG_IGN]


def _ignore_signals() -> None:
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)


class Waiting:
    """A block of a few calls of the system, at whose end `KeyboardInterrupt` is raised if a signal came meanwhile.

    What must be undone is made in it, and undone in it: no signal comes in between. Signals are those of `exit_status`.
    The work itself is done in `with waiting.interrupted:`. Only the main thread hears of signals; elsewhere, neither
    block does anything.
    """

    def __init__(self) -> None:
        self._hears = threading.current_thread() is threading.main_thread()
        self._is_open = False  # while signals interrupt

    @property
    def interrupted(self) -> "_Interrupted":
        """A block inside, in which signals interrupt as they do outside."""
        return _Interrupted(self)

    def __enter__(self) -> "Waiting":
        if self._hears:
            _state.depth += 1
        return self

    def __exit__(self, *_: object) -> None:
        if self._hears and not self._is_open:
            self._let_go()

    def open(self) -> None:
        """Let signals interrupt; raise what came."""
        if self._hears:
            self._is_open = True  # before: an error comes as soon as nothing waits
            self._let_go()

    def close(self) -> None:
        """Let signals wait again."""
        if self._hears:
            _state.depth += 1
            self._is_open = False

    def _let_go(self) -> None:
        _state.depth -= 1
        if _state.depth == 0 and _state.came:
            _state.came = False
            raise KeyboardInterrupt


class _Interrupted:
    """No generator: it would not end at once when a signal comes just before its block begins."""

    def __init__(self, waiting: Waiting):
        self._waiting = waiting

    def __enter__(self) -> None:
        try:
            self._waiting.open()
        except KeyboardInterrupt:
            self._waiting.close()
            raise

    def __exit__(self, *_: object) -> None:
        self._waiting.close()


@contextmanager
def kept_from_new_processes() -> Iterator[None]:
    """Processes that begin meanwhile never hear of what a terminal sends to all of them: this one ends them."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
