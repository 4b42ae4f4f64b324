"""Many recordings worked on by one command, one after the other or spread by Ray, whatever becomes of each."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TypeVar

from warpgrasp.cli.options import check_workers, console
from warpgrasp.cli.trouble import trouble_of
from warpgrasp.errors import UserError
from warpgrasp.progress import progress_bar

Item = TypeVar("Item")


def carry_out_each(
    work: Callable[[Item], list[str]],
    items: Mapping[str, Item],
    *,
    done: str,
    ray: str | None,
    workers: int | None,
    uses_gpu: bool = False,
) -> None:
    """Work on each of some recordings by their names; print, as each ends, the lines of what came of it.

    `done` says what becomes of them, such as "densified"; `ray` is a cluster's address, `auto`, or None for this
    process alone. Raises `UsageError` when there can be no such workers, and at the end `UserError` that names the
    recordings that failed.
    """
    check_workers(ray, workers)
    failed = []
    with progress_bar(done, len(items), unit="recordings") as advance:
        for (name, _), ended in _ended(partial(_attempted, work), items, ray, workers, uses_gpu):
            advance(1)
            if isinstance(ended, Exception):
                failed.append(name)
                ended = [f"failed: {' '.join(str(ended).split())}"]
            for row in ended:
                console.print(f"{name}: {row}", soft_wrap=True, highlight=False)
    if failed:
        raise UserError(
            f"expected every recording to be {done}, but {len(failed)} of {len(items)} failed: {', '.join(failed)}; "
            "mend them and give the same command again: the others are kept"
        )


def _ended(
    attempt: Callable[[tuple[str, Item]], list[str] | Exception],
    items: Mapping[str, Item],
    ray: str | None,
    workers: int | None,
    uses_gpu: bool,
) -> Iterator[tuple[tuple[str, Item], list[str] | Exception]]:
    """Each with its lines or its error, as they end."""
    if ray is None:
        yield from ((named, attempt(named)) for named in items.items())
    else:
        from warpgrasp.experiments import each_on_ray

        yield from each_on_ray(attempt, list(items.items()), address=ray, workers=workers, uses_gpu=uses_gpu)


def _attempted(work: Callable[[Item], list[str]], named: tuple[str, Item]) -> list[str] | Exception:
    """The lines of one, or its error in one sentence."""
    try:
        return work(named[1])
    except (UserError, OSError, MemoryError, RuntimeError) as error:
        return UserError(str(trouble_of(error) or error))
