"""Files and folders that are replaced whole, their fingerprints, the cache folder, and where results come from.

Whatever is interrupted, a path holds the whole new content or the content of before: everything is written under an
unpredictable name in a private folder beside its destination, synced to the disk, and renamed into place.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import fields, is_dataclass
from importlib.metadata import version
from pathlib import Path
from stat import S_ISDIR
from typing import Any, TextIO

import numpy as np

from warpgrasp.bounded import open_regular
from warpgrasp.errors import DataError
from warpgrasp.signals import Waiting

__all__ = [
    "YOUNGER",
    "appending",
    "cache_folder",
    "command_line",
    "fingerprint_of_files",
    "fingerprint_of_values",
    "remove_leftovers",
    "replacing",
    "replacing_folder",
    "source_commit",
    "stated_fields",
    "write_document",
    "write_json",
    "write_text",
]


NAMED = 100  # characters of a file's name that its private folder is named by
PRIVATE = re.compile(r"\.(?P<name>.+)\.[a-z0-9_]{8}\.partial", re.DOTALL)  # as `mkdtemp` names it
# Marks a dataclass's field that is younger than what was stored of it: at its default it is left out, and fingerprints
# and files stay as they were.
YOUNGER = {"left out at its default": True}
BEFORE = ".before"  # ends the name of a folder that is being replaced
READ_BYTES = 256 << 20  # of files that are known by their content: some tenths of a second


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path of the same file name to write to; it replaces `path` when the block ends without an error.

    The yielded path lies in a private folder beside `path`, which nobody else can have put a link into. Raises
    `OSError` when the folder of `path` cannot be written; one that the block raises of the yielded path names `path`.
    """
    with _private_folder(path) as folder:
        temporary = folder / path.name
        with _named_as(path, temporary):
            yield temporary
        _sync(temporary)
        temporary.replace(path)


@contextmanager
def replacing_folder(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a new, empty folder to fill; it becomes `path` when the block succeeds.

    `path` must not exist, or with `overwrite` be a folder at most, which is then removed with all that is in it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _private_folder(path) as folder:
        temporary = folder / path.name
        temporary.mkdir()
        with _named_as(path, temporary):
            yield temporary
        before = folder / f"{path.name}{BEFORE}"
        with Waiting():  # between the two there is no folder of that name
            if overwrite and path.is_dir():
                path.rename(before)
            try:
                temporary.rename(path)
            except BaseException:  # Ctrl+C too, which waits in our commands alone
                if before.exists():
                    before.rename(path)
                raise


@contextmanager
def _named_as(path: Path, temporary: Path) -> Iterator[None]:
    """Let an error of the private path name the one that was asked for."""
    try:
        yield
    except OSError as error:
        if error.filename != str(temporary):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


@contextmanager
def _private_folder(path: Path) -> Iterator[Path]:
    """A new folder beside `path`, held as long as the block runs; those that killed processes left are removed."""
    remove_leftovers(path.parent, path.name)
    with Waiting() as waiting:
        while True:
            folder = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name[:NAMED]}.", suffix=".partial"))
            held = _held(folder)
            if folder.exists():  # else another process has taken it for a leftover, before it was held
                break
            _let_go(held)
        try:
            with waiting.interrupted:
                yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            _let_go(held)


def remove_leftovers(folder: Path, name: str | None = None) -> bool:
    """Remove the private folders that killed processes have left in a folder, all or those for a file's name.

    Returns whether there were any. They are told by their names, their owner, what is in them, and by the lock that a
    living process holds. A folder that was about to be replaced by another returns to its place.
    """
    try:
        with os.scandir(folder) as entries:
            found = [match for entry in entries if (match := PRIVATE.fullmatch(entry.name))]
    except OSError:  # whoever writes there says so
        return False
    wanted = [match for match in found if name is None or match["name"] == name[:NAMED]]
    return any([_remove_if_left(folder / match[0], match["name"]) for match in wanted])


def _remove_if_left(folder: Path, name: str) -> bool:
    with suppress(OSError):  # it has just been removed, or is no folder of ours: it stays
        stat = folder.lstat()
        if not S_ISDIR(stat.st_mode) or (hasattr(os, "getuid") and stat.st_uid != os.getuid()):
            return False
        held = _held(folder, wait=False)
        if held is None:
            return False
        try:
            inside = sorted(folder.iterdir())
            if all(entry.name.startswith(name) for entry in inside) and len(inside) <= 2:
                for entry in inside:
                    before = folder.with_name(entry.name.removesuffix(BEFORE))
                    if entry.name.endswith(BEFORE) and not before.exists():
                        entry.rename(before)
                shutil.rmtree(folder)
                return True
        finally:
            _let_go(held)
    return False


def _held(folder: Path, *, wait: bool = True) -> int | None:
    """A descriptor that holds a folder's lock until it is closed; None where that cannot be had, as on Windows."""
    try:
        import fcntl

        descriptor = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY)
    except (ImportError, OSError):
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _let_go(descriptor: int | None) -> None:
    if descriptor is not None:
        os.close(descriptor)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def write_text(path: Path, text: str) -> None:
    """Replace a file by a text, as UTF-8; halves of characters, which names may have, are written as escapes."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: Path, content: Any) -> None:
    """Replace a file by indented JSON."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def write_document(path: Path, content: dict[str, Any]) -> None:
    """Replace a file by JSON with one line for each innermost list: people read and edit such files.

    Raises `DataError` for numbers that are not finite, which JSON cannot hold, and `OSError` when the file cannot be
    written.
    """
    try:
        text = _laid_out(content, "")
    except ValueError as error:
        raise DataError(f"expected finite numbers to write to {path}: {error}") from error
    write_text(path, text + "\n")


def _laid_out(value: Any, indent: str) -> str:
    deeper = indent + "  "
    if isinstance(value, dict) and value:
        rows = [f"{deeper}{json.dumps(key)}: {_laid_out(inner, deeper)}" for key, inner in value.items()]
        return "{\n" + ",\n".join(rows) + f"\n{indent}}}"
    if isinstance(value, list) and any(isinstance(inner, dict | list) for inner in value):
        return "[\n" + ",\n".join(deeper + _laid_out(inner, deeper) for inner in value) + f"\n{indent}]"
    return json.dumps(value, allow_nan=False, ensure_ascii=False)


def appending(path: Path) -> TextIO:
    """Open a text file to add lines to it. Raises `OSError` when the path is a link, perhaps to a file elsewhere."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    return open(os.open(path, flags, 0o666), "a", encoding="utf-8")


def fingerprint_of_files(paths: Iterable[Path]) -> str:
    """A short hash by which a stored result is known to be of these files, in this order; each counts once.

    Files of at most `READ_BYTES` together are known by their names and contents, so that a copy is as good. More, such
    as the pictures of a data set, whose reading takes as long as the work on them, are known by their names, sizes and
    times of change, in nanoseconds. A file that is missing is known as such. Raises `DataError` for what is no file.
    """
    sizes = {path: _stat(path) for path in dict.fromkeys(paths)}
    by_content = sum(stat.st_size for stat in sizes.values() if stat is not None) <= READ_BYTES
    digest = hashlib.sha256(b"content" if by_content else b"times")
    for path, stat in sizes.items():
        if stat is None:
            digest.update(f"{path.name}\0missing\n".encode())
        elif by_content:
            with open_regular(path) as file:
                digest.update(f"{path.name}\0".encode() + hashlib.file_digest(file, "sha256").digest())
        else:
            digest.update(f"{path.name}\0{stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def fingerprint_of_values(value: Any) -> str:
    """A short hash of numbers, texts, arrays, tensors, and of lists, dictionaries and dataclasses of them."""
    digest = hashlib.sha256()
    for part in _flat(value):
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()[:16]


def stated_fields(value: Any) -> dict[str, Any]:
    """A dataclass's values by name, without the `YOUNGER` ones that are at their defaults."""
    named = {field: getattr(value, field.name) for field in fields(value)}
    return {field.name: inner for field, inner in named.items() if field.metadata != YOUNGER or inner != field.default}


def _flat(value: Any) -> Iterator[bytes]:
    """The bytes of every part of a value, each after the bytes that tell its kind."""
    if is_dataclass(value) and not isinstance(value, type):
        value = stated_fields(value)
    if isinstance(value, Mapping):
        yield f"{len(value)} keys".encode()
        for key, inner in value.items():
            yield repr(key).encode()
            yield from _flat(inner)
    elif isinstance(value, list | tuple):
        yield f"{len(value)} parts".encode()
        for inner in value:
            yield from _flat(inner)
    elif value is None or isinstance(value, str | bytes | bool | int | float):
        yield repr(value).encode()
    else:
        array = np.ascontiguousarray(value)
        if array.dtype.hasobject:
            raise TypeError(f"expected numbers, texts or arrays of them, got {type(value).__name__}")
        yield f"{array.dtype.str} {array.shape}".encode()
        yield array.tobytes()


def cache_folder() -> Path:
    """The user's cache: `$WARPGRASP_CACHE`, or `warpgrasp` in `$XDG_CACHE_HOME` or in `~/.cache`."""
    if own := os.environ.get("WARPGRASP_CACHE"):
        return Path(own)
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared) / "warpgrasp"
    with suppress(RuntimeError):  # a user without a home
        return Path.home() / ".cache" / "warpgrasp"
    return Path(".cache") / "warpgrasp"


def source_commit() -> str:
    """The commit of the source tree that runs, or the version of the installed package."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
        return answer.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return f"version {version('warpgrasp')}"


def command_line() -> list[str]:
    """The command as it was typed."""
    return [Path(sys.argv[0]).name, *sys.argv[1:]]
