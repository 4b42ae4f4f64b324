"""Predictions on their way to disk: shards under `FILE.partial/`, then one file.

Each shard is renamed into place, so that an interrupted prediction goes on. At the end they become one file in constant
memory, three shards at a time, since postprocessing a frame may need its neighbours.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from warpgrasp.files import remove_leftovers
from warpgrasp.locks import LockedError, alone_in
from warpgrasp.predictions.file import (
    FORMAT,
    Predictions,
    PredictionsError,
    RowsWriter,
    header_array,
    open_predictions,
    read_predictions,
    write_predictions,
)

JOINED = "joined"  # the folder in which the arrays of the file grow


@dataclass(frozen=True)
class ShardContext:
    """The predictions of a shard, with those of the shards before and after it where there are such."""

    before: Predictions | None  # without vertices
    shard: Predictions
    after: Predictions | None

    @property
    def joined(self) -> Predictions:
        """All three in order, without the hand's vertices, which take the most memory."""
        parts = [part for part in (self.before, self.shard, self.after) if part is not None]
        return Predictions.joined([_without_vertices(part) for part in parts])

    @property
    def own(self) -> slice:
        """The rows of the middle shard among the joined ones."""
        first = 0 if self.before is None else len(self.before)
        return slice(first, first + len(self.shard))


def differing(written: Mapping[str, Any], wanted: Mapping[str, Any], within: str = "") -> list[str]:
    """The names of the entries in which two headers differ, those of nested ones after a dot."""
    names: list[str] = []
    for key in dict.fromkeys([*written, *wanted]):
        first, second = written.get(key), wanted.get(key)
        if isinstance(first, Mapping) and isinstance(second, Mapping):
            names += differing(first, second, f"{within}{key}.")
        elif first != second:
            names.append(f"{within}{key}")
    return names


def is_written(path: Path, header: Mapping[str, Any], *, of: str) -> bool:
    """Whether a predictions file is there whose header has these entries; the program may have been another.

    Raises `PredictionsError` when it is of other inputs; `of` names these, such as "weights, data and options".
    """
    if not path.is_file():
        return False
    wanted, there = {name: value for name, value in header.items() if name != "commit"}, open_predictions(path)[1]
    if others := differing({name: there.get(name) for name in wanted}, wanted):
        raise PredictionsError(
            f"expected predictions of the same {of} in {path}, found those of others (different: {', '.join(others)}); "
            "overwrite them by --force"
        )
    return True


class ShardWriter:
    """Collects the shards of one predictions file; those of an interrupted prediction with an equal header count.

    As a context it keeps others from writing the same file.
    """

    def __init__(self, path: Path, header: Mapping[str, Any]):
        self.path, self._header, self.folder = path, header, _folder_of(path)
        self._until_the_end = ExitStack()

    def __enter__(self) -> "ShardWriter":
        """Begin, or go on.

        Raises `LockedError` when another process writes the file, and `PredictionsError` when the shards that are there
        are of other inputs.
        """
        if self.folder.is_symlink():
            raise PredictionsError(f"expected a folder for unfinished predictions at {self.folder}, found a link")
        with ExitStack() as until_an_error:
            until_an_error.enter_context(alone_in(self.folder))
            if others := self._different(self._header):
                raise PredictionsError(
                    f"expected unfinished predictions of the same weights, data, options and program in {self.folder}, "
                    f"found those of others (different: {', '.join(others)}); delete that folder to begin anew"
                )
            self._until_the_end = until_an_error.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Let others write the file; shards that are not joined yet stay."""
        self._until_the_end.close()

    def remove_if_finished(self) -> None:
        """Remove shards that the file was made of: who made it was killed before that."""
        finished = open_predictions(self.path)[1]
        with alone_in(self.folder):
            written = next(self._shards, None)
            begun = {} if written is None else read_predictions(written)[1]
            if not differing(begun, {key: finished.get(key) for key in begun}):
                self._remove_shards()

    def _different(self, header: Mapping[str, Any]) -> list[str]:
        """In what the shards that are there differ from those with a header."""
        written = next(self._shards, None)
        return [] if written is None else differing(read_predictions(written)[1], {"format": FORMAT, **header})

    def has(self, shard: int) -> bool:
        """Whether a shard is already written."""
        return self._shard(shard).is_file()

    def read(self, shard: int) -> Predictions:
        """A shard that is written."""
        return read_predictions(self._shard(shard))[0]

    def write(self, shard: int, predictions: Predictions) -> None:
        """Write one shard."""
        write_predictions(self._shard(shard), predictions, self._header)

    def finish(
        self,
        shards: int,
        postprocess: Callable[[ShardContext], Predictions] | None = None,
        notes: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        """Join the shards into the file, each as `postprocess` makes it, and remove them.

        `notes` is called at the end; its result is stored with the header.
        """
        rows = RowsWriter(self.path, self.folder / JOINED)
        try:
            for context in self._contexts(shards):
                rows.append((context.shard if postprocess is None else postprocess(context)).arrays)
            rows.finish({"header": header_array({**self._header, **notes()})})
        finally:
            rows.close()
        self._remove_shards()

    @property
    def _shards(self) -> Iterator[Path]:
        return self.folder.glob("[0-9]*.npz")

    def _remove_shards(self) -> None:
        for shard in self._shards:
            shard.unlink()
        shutil.rmtree(self.folder / JOINED, ignore_errors=True)

    def _contexts(self, shards: int) -> Iterator[ShardContext]:
        before, part = None, self.read(0)
        for number in range(1, shards + 1):
            after = self.read(number) if number < shards else None
            yield ShardContext(before, part, after)
            if after is not None:
                before, part = _without_vertices(part), after

    def _shard(self, shard: int) -> Path:
        return self.folder / f"{shard:06d}.npz"


def _without_vertices(part: Predictions) -> Predictions:
    return replace(part, hand_vertices=part.hand_vertices[:, :0].copy())


def _folder_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.partial")


def remove_finished_shards(path: Path) -> None:
    """Remove what a process that was killed after it wrote a predictions file has left beside it."""
    remove_leftovers(path.parent, path.name)
    if path.is_file() and _folder_of(path).is_dir() and not _folder_of(path).is_symlink():
        with suppress(LockedError, PredictionsError):  # in use, or of another file
            ShardWriter(path, {}).remove_if_finished()
