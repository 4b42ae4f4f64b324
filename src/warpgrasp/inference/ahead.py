"""Reading ahead and writing behind: two threads beside the one that computes.

Neither may touch PyTorch: each Python thread that does gets a team of OpenMP threads of its own, and two such teams
take the cores from each other.
"""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")

DEPTH = 2  # results that wait to be taken
POLL_S = 0.1


class ReadAhead(Generic[Job, Result]):
    """The results of a function for one job after the other, computed in a thread a little ahead of being asked for.

    An error comes out where its result would have. Leaving the context ends the thread.
    """

    def __init__(self, read: Callable[[Job], Result], jobs: Iterable[Job]):
        self._read, self._jobs = read, jobs
        self._results: queue.Queue[tuple[Result | None, BaseException | None, bool]] = queue.Queue(DEPTH)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="read-ahead", daemon=True)

    def __enter__(self) -> Iterator[Result]:
        self._thread.start()
        return self._taken()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join()

    def _taken(self) -> Iterator[Result]:
        while True:
            result, error, ended = self._results.get()
            if error is not None:
                raise error
            if ended:
                return
            yield result  # type: ignore[misc]  # None only beside an error or the end

    def _run(self) -> None:
        try:
            for job in self._jobs:
                if not self._put((self._read(job), None, False)):
                    return
            self._put((None, None, True))
        except BaseException as error:
            self._put((None, error, False))

    def _put(self, entry: tuple[Result | None, BaseException | None, bool]) -> bool:
        """Wait for room; False when nobody will take it."""
        while not self._stopped.is_set():
            try:
                self._results.put(entry, timeout=POLL_S)
                return True
            except queue.Full:
                continue
        return False


class WriteBehind:
    """Calls a function in a thread, one call at a time; an error comes out at the next call or at the end."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="write-behind")
        self._last: Future[None] | None = None

    def __enter__(self) -> "WriteBehind":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True)
        if kind is None and self._last is not None:
            self._last.result()

    def __call__(self, work: Callable[[], None]) -> None:
        """Begin a call when the one before has ended."""
        if self._last is not None:
            self._last.result()
        self._last = self._pool.submit(work)
