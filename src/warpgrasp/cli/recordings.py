"""Many recordings worked on by one command, one after the other or spread by Ray, whatever becomes of each."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from warpgrasp.cli.options import check_workers, console
from warpgrasp.cli.trouble import trouble_of
from warpgrasp.errors import UserError
from warpgrasp.progress import kept_notices, progress_bar

Item = TypeVar("Item")


@dataclass(frozen=True)
class Ended:
    """What there is to say of one recording, in lines: warnings, and what came of it or why it failed."""

    lines: list[str]
    is_made: bool


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
        for (name, _), ended in _each(partial(_attempted, work), items, ray, workers, uses_gpu):
            advance(1)
            if not ended.is_made:
                failed.append(name)
            for row in ended.lines:
                console.print(f"{name}: {row}", soft_wrap=True, highlight=False)
    if failed:
        raise UserError(
            f"expected every recording to be {done}, but {len(failed)} of {len(items)} failed: {', '.join(failed)}; "
            "mend them and give the same command again: the others are kept"
        )


def _each(
    attempt: Callable[[tuple[str, Item]], Ended],
    items: Mapping[str, Item],
    ray: str | None,
    workers: int | None,
    uses_gpu: bool,
) -> Iterator[tuple[tuple[str, Item], Ended]]:
    """Each with what there is to say of it, as they end."""
    if ray is None:
        yield from ((named, attempt(named)) for named in items.items())
    else:
        from warpgrasp.experiments import each_on_ray

        for named, ended in each_on_ray(attempt, list(items.items()), address=ray, workers=workers, uses_gpu=uses_gpu):
            yield named, _failure(ended) if isinstance(ended, Exception) else ended  # its process died


def _attempted(work: Callable[[Item], list[str]], named: tuple[str, Item]) -> Ended:
    """Work on one; what is said on the way is said with its name, wherever the work is done."""
    with kept_notices() as notices:
        try:
            made = work(named[1])
            return Ended([*notices, *made], is_made=True)
        except (UserError, OSError, MemoryError, RuntimeError) as error:
            return _failure(error, notices)


def _failure(error: Exception, notices: Sequence[str] = ()) -> Ended:
    reason = " ".join(str(trouble_of(error) or error).split())
    return Ended([*notices, f"failed: {reason}"], is_made=False)
