"""Locks between processes: the second one is told who holds it, a dead one is no obstacle, no link is followed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from warpgrasp.files import LockedError, exclusive

HOLD = """
import sys
from pathlib import Path
from warpgrasp.files import exclusive
with exclusive(Path(sys.argv[1]), "held"):
    print("held", flush=True)
    sys.stdin.read()
"""


def refusal(path: Path) -> str:
    """What somebody who wants a lock that is held is told."""
    with pytest.raises(LockedError) as caught, exclusive(path, "{holder} is at work"):
        pass
    return str(caught.value)


def test_a_second_process_is_told(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        assert re.fullmatch(rf"process {other.pid} on \S+, since [\d\- :]+, is at work", refusal(path))
        other.kill()
        other.wait()
    assert path.exists()
    with exclusive(path, ""):  # dead, it holds nothing, though its file is still there
        assert f"process {os.getpid()} " in refusal(path)
    assert list(tmp_path.iterdir()) == []
    with exclusive(path, ""):
        pass


def test_a_block_that_fails_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with pytest.raises(RuntimeError), exclusive(path, ""):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with exclusive(path, ""):
        pass


def test_a_folder_that_is_missing_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), exclusive(tmp_path / "none" / ".lock", ""):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_lock_file_that_was_taken_away_is_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between opening and locking it, its last holder may remove the file: then it is made anew."""
    import fcntl

    path, real, removed = tmp_path / ".lock", fcntl.flock, []

    def slow(descriptor: int, flags: int) -> None:
        if not removed:
            removed.append(path.unlink())
        real(descriptor, flags)

    monkeypatch.setattr("fcntl.flock", slow)
    with exclusive(path, ""):
        assert removed
        assert path.exists()
        assert "is at work" in refusal(path)


@pytest.mark.parametrize("name", [".lock", ".lock.holder"])
def test_links_are_not_followed(tmp_path: Path, name: str) -> None:
    """A file elsewhere is neither emptied nor read out."""
    elsewhere, folder = tmp_path / "elsewhere", tmp_path / "folder"
    elsewhere.write_text("secret")
    folder.mkdir()
    (folder / name).symlink_to(elsewhere)
    if name == ".lock":
        with pytest.raises(OSError, match="symbolic links"), exclusive(folder / ".lock", ""):
            pass
    else:
        with exclusive(folder / ".lock", ""):
            (folder / name).unlink()
            (folder / name).symlink_to(elsewhere)
            assert refusal(folder / ".lock") == "another process is at work"
    assert elsewhere.read_text() == "secret"
