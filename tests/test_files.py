"""Files that are replaced whole, what killed processes leave; locks: the second is told who holds it; fingerprints."""

import errno
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from warpgrasp.files import (
    appending,
    fingerprint_of_files,
    fingerprint_of_values,
    remove_leftovers,
    replacing,
    replacing_folder,
    write_text,
)
from warpgrasp.locks import LockedError, alone_in, exclusive

HOLD = """
import sys
from pathlib import Path
from warpgrasp.locks import exclusive
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


def test_no_file_elsewhere_is_touched(tmp_path: Path) -> None:
    """Neither through links that lie where something is written, nor by a second name of a lock file."""
    elsewhere, folder = tmp_path / "elsewhere", tmp_path / "folder"
    elsewhere.write_text("secret")
    folder.mkdir()
    for name in ("written.txt", "log.jsonl"):
        (folder / name).symlink_to(elsewhere)
    os.link(elsewhere, folder / ".lock")
    write_text(folder / "written.txt", "new")
    assert not (folder / "written.txt").is_symlink()
    with pytest.raises(OSError, match="symbolic links"):
        appending(folder / "log.jsonl")
    with pytest.raises(OSError, match="found a hard link"), exclusive(folder / ".lock", ""):
        pass
    assert elsewhere.read_text() == "secret"
    with appending(folder / "whole.jsonl") as file:
        file.write("1\n")
    with appending(folder / "whole.jsonl") as file:
        file.write("2\n")
    assert (folder / "whole.jsonl").read_text() == "1\n2\n"


REPLACE = """
import sys
from pathlib import Path
from warpgrasp.files import replacing, replacing_folder
folder = Path(sys.argv[1])
with replacing(folder / "a.txt") as file, replacing_folder(folder / "b", overwrite=True) as inner:
    file.write_text("half")
    (inner / "c.txt").write_text("half")
    print("written", flush=True)
    sys.stdin.read()
"""


def test_what_a_killed_process_was_writing_goes(tmp_path: Path) -> None:
    """But not what a living one writes, nor anything of other people's that is called alike."""
    (tmp_path / "b").mkdir()
    other = tmp_path / ".a.txt.abcdefgh.partial"
    other.mkdir()
    (other / "mine.txt").write_text("mine")
    (tmp_path / ".a.txt.ijklmnop.partial").symlink_to(other)
    kept = {other, tmp_path / ".a.txt.ijklmnop.partial", tmp_path / "b"}
    command = [sys.executable, "-c", REPLACE, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        remove_leftovers(tmp_path)
        assert len(list(tmp_path.iterdir())) == 5  # both are still being written
        process.kill()
        process.wait()
    with replacing(tmp_path / "a.txt") as file:
        file.write_text("whole")
    assert len([path for path in tmp_path.iterdir() if path.name.startswith(".b.")]) == 1
    assert len([path for path in tmp_path.iterdir() if path.name.startswith(".a.")]) == 2
    with replacing_folder(tmp_path / "b", overwrite=True) as inner:
        (inner / "c.txt").write_text("whole")
    assert set(tmp_path.iterdir()) == kept | {tmp_path / "a.txt"}
    assert (other / "mine.txt").read_text() == "mine"


def test_a_folder_that_was_about_to_be_replaced_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between the two renames, there is no folder of that name: the one of before is not lost."""
    folder = tmp_path / "b"
    folder.mkdir()
    (folder / "c.txt").write_text("before")
    killed = replacing_folder(folder, overwrite=True)
    (killed.__enter__() / "c.txt").write_text("after")
    with monkeypatch.context() as patch:  # what a killed process does no more
        patch.setattr("warpgrasp.files.shutil.rmtree", lambda *_, **__: None)
        rename, renamed = Path.rename, []

        def once(path: Path, target: Path) -> Path:
            if renamed:
                raise KeyboardInterrupt
            renamed.append(path)
            return rename(path, target)

        patch.setattr(Path, "rename", once)
        with pytest.raises(KeyboardInterrupt):
            killed.__exit__(None, None, None)
    assert not folder.exists()
    remove_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == [folder]
    assert (folder / "c.txt").read_text() == "before"


def test_a_folder_that_cannot_be_replaced_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "b"
    folder.mkdir()
    (folder / "c.txt").write_text("before")
    rename = Path.rename

    def refuse(path: Path, target: Path) -> Path:
        if target == folder and "before" not in path.name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OSError, match="No space left"), replacing_folder(folder, overwrite=True):
        pass
    assert list(tmp_path.iterdir()) == [folder]
    assert (folder / "c.txt").read_text() == "before"


def test_one_at_a_time_is_in_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    with alone_in(folder):
        with pytest.raises(LockedError, match=rf"expected no other command at work in {folder}, found one: process"):
            alone_in(folder).__enter__()
        (folder / "kept.txt").write_text("")
    assert [path.name for path in folder.iterdir()] == ["kept.txt"]
    with alone_in(tmp_path / "empty"):
        pass
    assert not (tmp_path / "empty").exists()


def bytes_in(folder: Path, *contents: bytes) -> list[Path]:
    """Files of these contents."""
    folder.mkdir()
    paths = [folder / f"{number}.bin" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    return paths


def test_files_are_known_by_content(tmp_path: Path) -> None:
    """Also where size and time stay; a copy, whose times are others, is as good."""
    paths = bytes_in(tmp_path / "a", b"one", b"two")
    known = fingerprint_of_files(paths)
    assert fingerprint_of_files(bytes_in(tmp_path / "b", b"one", b"two")) == known
    assert fingerprint_of_files([*paths, paths[0]]) == known  # each counts once
    assert fingerprint_of_files(paths[::-1]) != known
    stat = paths[1].stat()
    paths[1].write_bytes(b"owt")
    os.utime(paths[1], ns=(stat.st_atime_ns, stat.st_mtime_ns))
    changed = fingerprint_of_files(paths)
    paths[1].unlink()
    assert len({known, changed, fingerprint_of_files(paths), fingerprint_of_files(paths[:1])}) == 4


def test_many_bytes_are_known_by_size_and_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("warpgrasp.files.READ_BYTES", 5)
    paths = bytes_in(tmp_path / "a", b"one", b"two")
    stat = paths[1].stat()
    marks = [fingerprint_of_files(paths)]
    os.utime(paths[1], ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    marks.append(fingerprint_of_files(paths))
    paths[1].write_bytes(b"three")
    os.utime(paths[1], ns=(stat.st_atime_ns, stat.st_mtime_ns))
    marks.append(fingerprint_of_files(paths))
    assert len(set(marks)) == 3
    paths[1].write_bytes(b"two")
    os.utime(paths[1], ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert fingerprint_of_files(paths) == marks[0]


@dataclass(frozen=True)
class Measured:
    name: str
    values: np.ndarray


def test_values_are_known_by_every_part() -> None:
    values = [
        Measured("a", np.zeros((2, 3))),
        Measured("b", np.zeros((2, 3))),
        Measured("a", np.zeros((3, 2))),
        Measured("a", np.zeros((2, 3), np.float32)),
        Measured("a", np.full((2, 3), 1e-300)),
        {"a": 1},
        {"a": "1"},
        {"a": True},
        [["a"], ["b"]],
        [["a", "b"], []],
        [],
        None,
    ]
    assert len({fingerprint_of_values(value) for value in values}) == len(values)
    tensor = torch.zeros(2, 3, dtype=torch.float64)
    assert fingerprint_of_values({"name": "a", "values": tensor}) == fingerprint_of_values(values[0])
    with pytest.raises(TypeError, match="expected numbers, texts or arrays"):
        fingerprint_of_values({1, 2})
