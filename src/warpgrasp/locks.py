"""Locks between processes: files that the operating system lets go of when their holder ends, however it ends."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from warpgrasp.errors import UserError
from warpgrasp.files import remove_leftovers, write_text
from warpgrasp.signals import Waiting

LOCK = ".lock"  # the lock file of a folder; its holder's name begins so too
LONGEST_HOLDER = 200  # characters that say who holds a lock


class LockedError(UserError):
    """Another process holds a lock."""


@contextmanager
def exclusive(path: Path, refusal: str) -> Iterator[None]:
    """Hold the lock file `path` while the block runs; afterwards the file is removed.

    The operating system lets go of it when the process ends, however it ends. A file beside it, `path` with `.holder`,
    names process, machine and time. Raises `LockedError` saying `refusal`, in which `{holder}` stands for that text,
    when another process or block holds it; and `OSError` when its folder is missing or cannot be written, or when the
    path is a link, or another name of a file elsewhere: older versions of filelock empty it.
    """
    path.parent.stat()  # filelock would make a folder that is missing
    if path.is_file() and not path.is_symlink() and path.stat().st_nlink > 1:
        raise OSError(f"expected a lock file of a single name at {path}, found a hard link")
    lock, holder = FileLock(path), path.with_name(f"{path.name}.holder")
    with Waiting() as waiting:
        try:
            # Not at once: the file that was just opened may be the one that its last holder has just removed.
            lock.acquire(timeout=0.1, poll_interval=0.02)
        except Timeout as error:
            raise LockedError(refusal.replace("{holder}", _holder_in(holder))) from error
        try:
            since = time.strftime("%Y-%m-%d %H:%M")
            write_text(holder, f"process {os.getpid()} on {socket.gethostname()}, since {since},")
            with waiting.interrupted:
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


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Be the only one to write into a folder while the block runs; it is made, and goes at the end if it is empty.

    What killed processes were writing in it is removed. Raises `LockedError` when another process or block is there,
    and `OSError` when the folder cannot be written.
    """
    with Waiting() as waiting:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with (
                exclusive(folder / LOCK, f"expected no other command at work in {folder}, found one: {{holder}} is"),
                waiting.interrupted,
            ):
                remove_leftovers(folder)
                yield
        finally:
            with suppress(OSError):
                folder.rmdir()
