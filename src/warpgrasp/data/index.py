"""An index of the small facts of a data set's many files, so that a second start need not read them again.

A loader asks for the facts of its annotation files: which object, annotated or not. The first time each file is read;
afterwards only folders are listed, and a file is read again when its size or its time has changed. The index lies in
the user's cache folder, keyed by the resolved folder of the data, which may therefore be read-only. It is a memory and
nothing else: without it, or with a broken one, the same facts are read from the files.
"""

import hashlib
import json
import os
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from warpgrasp.bounded import parse_json, read_regular
from warpgrasp.errors import DataError
from warpgrasp.files import cache_folder, remove_leftovers, replacing
from warpgrasp.plain_text import line
from warpgrasp.progress import notice
from warpgrasp.terminal import Terminal

Facts = Any  # what JSON can hold: None, bool, int, float, str, and lists and dictionaries (keys: str) of these

FORMAT = 1
UNKNOWN = [-1, 0, None]  # no file has such a size
LARGEST_BYTES = 256_000_000
MANY_FILES = 1000  # to read: some seconds, enough for a progress bar
# A file that is written again within this time of its last change may keep its time (coarse clocks, file servers).
SETTLED_NS = 2_000_000_000


# By folder and file name: size, time (ns) and facts of a file as it was when it was read. Plain lists, as JSON gives
# them: a class for each of 66,000 would take as long as all the reading.
Folders = dict[str, dict[str, list[Any]]]


class Manifest:
    """The facts of a data set's files, by file."""

    def __init__(self, root: Path, kind: str, index: Path, folders: Folders):
        self.root = root
        self.kind = kind
        self.index = index
        self.broken: dict[str, DataError] = {}  # what `read` said of files that were asked for
        self._folders = folders

    @staticmethod
    def open(root: Path, kind: str) -> "Manifest":
        """The index of a folder, empty where there is none yet.

        `kind` says what the facts are and who reads them, with a version: give it another when `read` changes. A broken
        index, or one of something else, is left aside with a notice.
        """
        resolved = root.resolve()
        key = hashlib.sha256(os.fsencode(resolved)).hexdigest()[:16]
        index = cache_folder() / "manifests" / f"{re.sub(r'[^A-Za-z0-9.-]', '-', kind)}-{key}.json"
        remove_leftovers(index.parent, index.name)  # of a command that was killed when it had just written the index
        try:
            folders = _decode(read_regular(index, LARGEST_BYTES), _header(resolved, kind))
        except FileNotFoundError:
            folders = {}
        except (ValueError, RecursionError, OSError) as error:  # ValueError: not UTF-8, no JSON, or of something else
            notice(f"the index {index} is set aside and made again: {error}")
            folders = {}
        return Manifest(resolved, kind, index, folders)

    def facts(self, files: Iterable[str], read: Callable[[Path], Facts]) -> dict[str, Facts]:
        """The facts of those of the files that exist: remembered, or read by `read`.

        Files are absolute, or relative to the root, as strings with forward slashes (a `Path` for each of 66,000 files
        would take longer than all the rest). A file of which `read` raises a `DataError` is left out, and noted in
        `broken`: whether it matters is known to whoever asks for that file.
        """
        wanted: dict[str, dict[str, str]] = defaultdict(dict)
        for file in files:
            folder, _, name = file.rpartition("/")
            wanted[folder][name] = file
        facts_of: dict[str, Facts] = {}
        stale: list[tuple[str, str, os.stat_result]] = []
        changed = False
        for folder, names in wanted.items():
            listed = list_folder(os.path.join(self.root, folder), names)
            known = self._folders.setdefault(folder, {})
            for name in [name for name in names if name in known and name not in listed]:
                del known[name]
                changed = True
            for name, stat in listed.items():
                size, mtime_ns, facts = known.get(name, UNKNOWN)
                if size == stat.st_size and mtime_ns == stat.st_mtime_ns:
                    facts_of[names[name]] = facts
                else:
                    stale.append((folder, name, stat))
        if stale or changed:
            try:
                self._read(stale, wanted, facts_of, read)
            finally:
                self._save()
        return facts_of

    def _read(
        self,
        stale: list[tuple[str, str, os.stat_result]],
        wanted: dict[str, dict[str, str]],
        facts_of: dict[str, Facts],
        read: Callable[[Path], Facts],
    ) -> None:
        with _progress(shown=len(stale) >= MANY_FILES) as progress:
            task = progress.add_task(line(f"index {self.root.name}"), total=len(stale))
            for folder, name, stat in stale:
                self._folders[folder].pop(name, None)
                started_ns = time.time_ns()
                progress.advance(task)
                try:
                    facts = read(self.root / folder / name)
                except DataError as error:
                    self.broken[wanted[folder][name]] = error
                    continue
                facts_of[wanted[folder][name]] = facts
                if abs(started_ns - stat.st_mtime_ns) > SETTLED_NS:
                    self._folders[folder][name] = [stat.st_size, stat.st_mtime_ns, facts]

    def _save(self) -> None:
        """Replace the index; one that cannot be written only costs time."""
        try:
            self.index.parent.mkdir(parents=True, exist_ok=True)
            with replacing(self.index) as temporary:
                temporary.write_bytes(_encode(self._folders, _header(self.root, self.kind)))
        except OSError as error:
            notice(f"the index of {self.root} cannot be kept, so its files will be read again: {error}")


def list_folder(folder: str | Path, names: Iterable[str] | None = None) -> dict[str, os.stat_result]:
    """The files of a folder (of those `names`, if given) with their sizes and times; empty where there is no folder.

    Raises `DataError` when the folder cannot be read.
    """
    chosen = None if names is None else frozenset(names)
    listed: dict[str, os.stat_result] = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if chosen is None or entry.name in chosen:
                    with suppress(FileNotFoundError):  # a link to nothing
                        listed[entry.name] = entry.stat()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise DataError(f"expected a folder that can be read at {os.fspath(folder)!r}: {error}") from error
    return listed


def _header(root: Path, kind: str) -> dict[str, Any]:
    return {"format": FORMAT, "kind": kind, "root": os.fsdecode(root)}


def _encode(folders: Folders, header: dict[str, Any]) -> bytes:
    """A line that says what this is, with the digest of the second, which holds the entries."""
    body = json.dumps(folders, separators=(",", ":")).encode()
    return json.dumps({**header, "sha256": hashlib.sha256(body).hexdigest()}).encode() + b"\n" + body + b"\n"


def _decode(data: bytes, header: dict[str, Any]) -> Folders:
    """The entries; `ValueError` unless it is a whole index with that header."""
    first, _, rest = data.partition(b"\n")
    body = rest.removesuffix(b"\n")
    if parse_json(first) != {**header, "sha256": hashlib.sha256(body).hexdigest()}:
        raise ValueError("it is broken, of another folder or of another version")
    # The digest vouches for the shape: nothing but `_encode` writes a line that matches it.
    most = len(body)
    return parse_json(body, most_marks=most, most_texts=most, most_lists=most)


def _progress(*, shown: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Terminal(),
        transient=True,
        disable=not shown,
    )
