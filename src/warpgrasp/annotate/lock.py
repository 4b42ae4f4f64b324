"""One writer per recording, held by the operating system for as long as the writer lives: no stale locks."""

import os
import socket
import time
from pathlib import Path

try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None

FILE = ".annotate.lock"


class WriterLock:
    """The right to write a recording's labels."""

    def __init__(self, path: Path, descriptor: int):
        self._path = path
        self._descriptor = descriptor

    def release(self) -> None:
        """Let others write. What holds the lock is the open file, so that a process that dies releases it too."""
        self._path.unlink(missing_ok=True)
        os.close(self._descriptor)


def take_writer_lock(folder: Path) -> WriterLock | str:
    """The right to write, or the reason why there is none: who else has it, or that the folder cannot be written."""
    path = folder / FILE
    if fcntl is None:
        return "this operating system has no file locks"
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            return f"{folder} cannot be written ({error.strerror})"
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "another process"
            os.close(descriptor)
            return f"{holder} is annotating it"
        if _is_at(descriptor, path):
            break
        os.close(descriptor)  # its last holder has just taken the file away
    text = f"process {os.getpid()} on {socket.gethostname()}, since {time.strftime('%Y-%m-%d %H:%M')},"
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text.encode(), 0)
    return WriterLock(path, descriptor)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
