"""One writer per recording: the second is told, a dead one is no obstacle."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from warpgrasp.annotate.lock import FILE, WriterLock, take_writer_lock

HOLD = """
import sys
from pathlib import Path
from warpgrasp.annotate.lock import take_writer_lock
lock = take_writer_lock(Path(sys.argv[1]))
print("held" if not isinstance(lock, str) else lock, flush=True)
sys.stdin.read()
"""


def test_a_second_process_is_told(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        told = take_writer_lock(tmp_path)
        assert isinstance(told, str)
        assert re.fullmatch(rf"process {other.pid} on \S+, since [\d\- :]+, is annotating it", told)
        other.kill()
        other.wait()
    lock = take_writer_lock(tmp_path)  # dead, it holds nothing, though its file is still there
    assert isinstance(lock, WriterLock)
    again = take_writer_lock(tmp_path)
    assert isinstance(again, str)
    assert f"process {os.getpid()} " in again
    lock.release()
    assert not (tmp_path / FILE).exists()
    free = take_writer_lock(tmp_path)
    assert isinstance(free, WriterLock)
    free.release()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    told = take_writer_lock(tmp_path / "none")
    assert isinstance(told, str)
    assert re.search(r"none cannot be written \(No such file", told)


def test_a_lock_file_that_was_taken_away_is_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between opening and locking it, its last holder may remove the file: then it is made anew."""
    import fcntl

    real = fcntl.flock
    removed = []

    def slow(descriptor: int, flags: int) -> None:
        if not removed:
            removed.append((tmp_path / FILE).unlink())
        real(descriptor, flags)

    monkeypatch.setattr("warpgrasp.annotate.lock.fcntl.flock", slow)
    lock = take_writer_lock(tmp_path)
    assert isinstance(lock, WriterLock)
    assert (tmp_path / FILE).exists()
    assert isinstance(take_writer_lock(tmp_path), str)
    lock.release()
