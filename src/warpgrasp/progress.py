"""What is said beside a result: the bar that shows how far a prediction is, and notices."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:.1f} frames/s")


def notice(text: str) -> None:
    """Print a line to the error stream: something that the user should know, though the work goes on."""
    Console(stderr=True).print(f"warpgrasp: {text}", soft_wrap=True, highlight=False, markup=False)


@contextmanager
def frames_done(description: str, total: int, *, done: int = 0, shown: bool = True) -> Iterator[Callable[[int], None]]:
    """A progress bar while the body runs; it is given what to call with the number of frames that were done."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    with Progress(*columns, transient=True, disable=not shown) as bar:
        task = bar.add_task(description, total=total, completed=done)
        yield lambda frames: bar.advance(task, frames)
