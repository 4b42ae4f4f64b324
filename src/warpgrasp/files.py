"""Files and folders that are replaced whole, locks between processes, the cache folder, and where results come from.

Whatever is interrupted, a path holds the whole new content or the content of before: everything is written under an
unpredictable name in a private folder beside its destination, synced to the disk, and renamed into place.
"""

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import fields, is_dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from warpgrasp.errors import DataError, UserError

__all__ = [
    "LockedError",
    "cache_folder",
    "command_line",
    "exclusive",
    "fingerprint_of_files",
    "fingerprint_of_values",
    "replacing",
    "replacing_folder",
    "source_commit",
    "write_document",
    "write_json",
    "write_text",
]


LONGEST_HOLDER = 200  # characters that say who holds a lock
READ_BYTES = 256 << 20  # of files that are known by their content: some tenths of a second


class LockedError(UserError):
    """Another process holds a lock."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path of the same file name to write to; it replaces `path` when the block ends without an error.

    The yielded path lies in a private folder beside `path`, which nobody else can have put a link into. Raises
    `OSError` when the folder of `path` cannot be written.
    """
    with _private_folder(path) as folder:
        temporary = folder / path.name
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
        yield temporary
        if overwrite and path.is_dir():
            path.rename(folder / f"{path.name}.before")
        temporary.rename(path)


@contextmanager
def _private_folder(path: Path) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name[:100]}.", suffix=".partial"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def write_text(path: Path, text: str) -> None:
    """Replace a file by a text, as UTF-8."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


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


@contextmanager
def exclusive(path: Path, refusal: str) -> Iterator[None]:
    """Hold the lock file `path` while the block runs; afterwards the file is removed.

    The operating system lets go of it when the process ends, however it ends. A file beside it, `path` with `.holder`,
    names process, machine and time. Raises `LockedError` saying `refusal`, in which `{holder}` stands for that text,
    when another process or block holds it; and `OSError` when its folder is missing or cannot be written, or when the
    path is a link.
    """
    path.parent.stat()  # filelock would make a folder that is missing
    lock, holder = FileLock(path), path.with_name(f"{path.name}.holder")
    try:
        # Not at once: the file that was just opened may be the one that its last holder has just removed.
        lock.acquire(timeout=0.1, poll_interval=0.02)
    except Timeout as error:
        raise LockedError(refusal.replace("{holder}", _holder_in(holder))) from error
    try:
        write_text(holder, f"process {os.getpid()} on {socket.gethostname()}, since {time.strftime('%Y-%m-%d %H:%M')},")
        yield
    finally:
        for held in (holder, path):
            with suppress(OSError):
                held.unlink()
        lock.release()


def _holder_in(path: Path) -> str:
    """Who holds a lock, as its holder wrote it down."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return "another process"
    with open(descriptor, encoding="utf-8", errors="replace") as file:
        return file.read(LONGEST_HOLDER) or "another process"


def fingerprint_of_files(paths: Iterable[Path]) -> str:
    """A short hash by which a stored result is known to be of these files, in this order; each counts once.

    Files of at most `READ_BYTES` together are known by their names and contents, so that a copy is as good. More, such
    as the pictures of a data set, whose reading takes as long as the work on them, are known by their names, sizes and
    times of change, in nanoseconds. A file that is missing is known as such.
    """
    sizes = {path: _stat(path) for path in dict.fromkeys(paths)}
    by_content = sum(stat.st_size for stat in sizes.values() if stat is not None) <= READ_BYTES
    digest = hashlib.sha256(b"content" if by_content else b"times")
    for path, stat in sizes.items():
        if stat is None:
            digest.update(f"{path.name}\0missing\n".encode())
        elif by_content:
            with path.open("rb") as file:
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


def _flat(value: Any) -> Iterator[bytes]:
    """The bytes of every part of a value, each after the bytes that tell its kind."""
    if is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in fields(value)}
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
