"""The progress bar, which says how far a task is and how long it will take; and notices to the user."""

from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TimeRemainingColumn
from rich.text import Text

from warpgrasp.plain_text import line
from warpgrasp.terminal import Terminal

Item = TypeVar("Item")


_kept: list[list[str]] = []  # the innermost last; of the process, since threads that read ahead notice things too


def notice(text: str) -> None:
    """Print a line to the error stream: something that the user should know, though the work goes on."""
    if _kept:
        _kept[-1].append(text)
    else:
        Terminal(stderr=True).print(f"warpgrasp: {text}", soft_wrap=True, highlight=False)


@contextmanager
def kept_notices() -> Iterator[list[str]]:
    """While the body runs its notices are kept in the yielded list, for whoever says what they are of."""
    _kept.append([])
    try:
        yield _kept[-1]
    finally:
        _kept.pop()


def track(items: Iterable[Item], description: str, *, transient: bool = True, disable: bool = False) -> Iterator[Item]:
    """Yield the items, with a bar that says how many of them are done; it is removed at the end if it is transient."""
    total = len(items) if isinstance(items, Sized) else None
    columns = [_Description(), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()]
    with Progress(*columns, console=Terminal(), transient=transient, disable=disable) as bar:
        yield from bar.track(items, total, description=description)


@contextmanager
def progress_bar(
    description: str, total: int, *, unit: str | None = None, done: int = 0, shown: bool = True, kept: bool = False
) -> Iterator[Callable[[int], None]]:
    """Show a bar while the body runs; the body calls the yielded function with the number of items it has done.

    `unit` is the plural by which the rate is named, as in "frames"; without it no rate is shown. The first `done` of
    `total` items are done already. The bar is removed at the end unless it is `kept`.
    """
    rate = [] if unit is None else [_Rate(unit)]
    columns = [_Description(), BarColumn(), MofNCompleteColumn(), *rate, TimeRemainingColumn()]
    with Progress(*columns, console=Terminal(), transient=not kept, disable=not shown) as bar:
        task = bar.add_task(description, total=total, completed=done)
        yield lambda count: bar.advance(task, count)


class _Description(ProgressColumn):
    """What is done, whatever names are in it."""

    def render(self, task: Task) -> Text:
        return Text(line(task.description))


class _Rate(ProgressColumn):
    """Items per second."""

    def __init__(self, unit: str):
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:.1f} {self._unit}/s")
