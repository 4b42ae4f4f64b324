"""Predictions on their way to disk: shards under `FILE.partial/`, then one file.

Each shard is renamed into place, so that an interrupted prediction goes on. At the end they become one file in constant
memory: three shards at a time, since what is made of a frame may depend on its neighbours.
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
class Window:
    """The predictions of a shard, with those of the shard before and after it where there are such."""

    before: Predictions | None  # without vertices
    part: Predictions
    after: Predictions | None

    @property
    def context(self) -> Predictions:
        """All three in order, without the hand's vertices, of which there are many."""
        return Predictions.joined([_slim(one) for one in (self.before, self.part, self.after) if one is not None])

    @property
    def own(self) -> slice:
        """The rows of the middle shard in the context."""
        first = 0 if self.before is None else len(self.before)
        return slice(first, first + len(self.part))


def _slim(part: Predictions) -> Predictions:
    return replace(part, hand_vertices=part.hand_vertices[:, :0].copy())


Finishing = Callable[[Window], Predictions]


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
    """Collects shards of one predictions file. The header decides whether old shards may be gone on with."""

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
            with suppress(OSError):  # what holds shards stays
                self.folder.rmdir()

    def finish(
        self,
        shards: int,
        finishing: Finishing | None = None,
        notes: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        """Join the shards into the file, each as `finishing` makes it, and remove them.

        `notes` are asked for at the end, and stored with the header.
        """
        rows = RowsWriter(self.path, self.folder / "joined")
        try:
            for window in self._windows(shards):
                rows.append((window.part if finishing is None else finishing(window)).arrays)
            rows.finish({"header": header_array({**self._header, **notes()})})
        finally:
            rows.close()
        shutil.rmtree(self.folder)

    def _windows(self, shards: int) -> Iterator[Window]:
        before, part = None, read_predictions(self._shard(0))[0]
        for shard in range(1, shards + 1):
            after = read_predictions(self._shard(shard))[0] if shard < shards else None
            yield Window(before, part, after)
            if after is not None:
                before, part = _slim(part), after

    def _shard(self, shard: int) -> Path:
        return self.folder / f"{shard:06d}.npz"
