"""Independent parts of a refinement side by side, each by its share of PyTorch's threads.

The tensors of a step are small: two threads on one part take nine tenths of one thread's time, and many times as long
where another program has one of the cores. Two parts of one thread each take half.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import TypeVar

import torch

Result = TypeVar("Result")
MOST_AT_ONCE = 8  # beyond, Python's own share of the steps, one at a time, is what takes the time


class _EndedError(Exception):
    """Whoever wanted the result is gone."""


OnStep = Callable[[], None]


def side_by_side(work: Callable[[int, OnStep], Result], count: int, on_step: OnStep = lambda: None) -> Iterator[Result]:
    """The results of `work(0, step)`, `work(1, step)` and so on, in order, several at once.

    `work` calls `step` every now and then: it calls `on_step`, and raises when the results are wanted no more, as after
    Ctrl+C. The first error in the order of the parts is raised here, once the others have ended.
    """
    threads = torch.get_num_threads()
    workers = min(threads, count, MOST_AT_ONCE)
    if workers <= 1:
        yield from (work(number, on_step) for number in range(count))
        return
    ended = Event()

    def step() -> None:
        if ended.is_set():
            raise _EndedError
        on_step()

    pool = ThreadPoolExecutor(workers, "refinement", initializer=torch.set_num_threads, initargs=(threads // workers,))
    try:
        yield from pool.map(lambda number: work(number, step), range(count))
    finally:
        ended.set()
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)  # what a thread sets is also what threads to come begin with
