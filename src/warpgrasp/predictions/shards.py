"""Predictions on their way to disk: shards under `FILE.partial/`, then one file.

Each shard is renamed into place, so that an interrupted prediction goes on. At the end they become one file in constant
memory, three shards at a time, since postprocessing a frame may need its neighbours.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from warpgrasp.predictions.file import (
    FORMAT,
    Predictions,
    PredictionsError,
    RowsWriter,
    header_array,
    read_predictions,
    write_predictions,
)


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


def _differing(written: Mapping[str, Any], wanted: Mapping[str, Any], within: str = "") -> list[str]:
    """The names of the entries in which two headers differ, those of nested ones after a dot."""
    names: list[str] = []
    for key in dict.fromkeys([*written, *wanted]):
        first, second = written.get(key), wanted.get(key)
        if isinstance(first, Mapping) and isinstance(second, Mapping):
            names += _differing(first, second, f"{within}{key}.")
        elif first != second:
            names.append(f"{within}{key}")
    return names


class ShardWriter:
    """Collects the shards of one predictions file; those of an interrupted prediction with an equal header count."""

    def __init__(self, path: Path, header: Mapping[str, Any]):
        self.path, self._header = path, header
        self.folder = path.with_name(f"{path.name}.partial")
        written = next(self.folder.glob("[0-9]*.npz"), None)
        if written is not None and (others := _differing(read_predictions(written)[1], {"format": FORMAT, **header})):
            raise PredictionsError(
                f"expected unfinished predictions of the same weights, data, options and program in {self.folder}, "
                f"found those of others (different: {', '.join(others)}); delete that folder to begin anew"
            )

    def has(self, shard: int) -> bool:
        """Whether a shard is already written."""
        return self._shard(shard).is_file()

    def read(self, shard: int) -> Predictions:
        """A shard that is written."""
        return read_predictions(self._shard(shard))[0]

    def write(self, shard: int, predictions: Predictions) -> None:
        """Write one shard."""
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            write_predictions(self._shard(shard), predictions, self._header)
        finally:
            with suppress(OSError):  # a folder that holds shards stays
                self.folder.rmdir()

    def finish(
        self,
        shards: int,
        postprocess: Callable[[ShardContext], Predictions] | None = None,
        notes: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        """Join the shards into the file, each as `postprocess` makes it, and remove them.

        `notes` is called at the end; its result is stored with the header.
        """
        rows = RowsWriter(self.path, self.folder / "joined")
        try:
            for context in self._contexts(shards):
                rows.append((context.shard if postprocess is None else postprocess(context)).arrays)
            rows.finish({"header": header_array({**self._header, **notes()})})
        finally:
            rows.close()
        shutil.rmtree(self.folder)

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
