"""The index of a data set's files: what it remembers, when it forgets, and that it can always be lost."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from warpgrasp.data.index import Manifest, list_folder
from warpgrasp.errors import DataError
from warpgrasp.files import cache_folder

LONG_AGO_NS = 1_600_000_000_123_456_789
FILES = ["a/0", "a/1", "b/c/0"]


class Reader:
    """Reads files, and counts which."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def __call__(self, path: Path) -> list:
        self.read.append(f"{path.parent.name}/{path.name}")
        return [path.read_text(), True, None]


def write(path: Path, text: str, *, mtime_ns: int = LONG_AGO_NS) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, ns=(mtime_ns, mtime_ns))


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WARPGRASP_CACHE", str(tmp_path / "cache"))
    for file in FILES:
        write(tmp_path / "data" / file, f"facts of {file}")
    return tmp_path / "data"


@pytest.fixture
def ask(root: Path) -> Callable[..., tuple[dict, list[str]]]:
    """Open the index anew, ask, and say what was read."""

    def asked(files: list[str] = FILES, kind: str = "test-1", folder: Path = root) -> tuple[dict, list[str]]:
        reader = Reader()
        return Manifest.open(folder, kind).facts(files, reader), reader.read

    return asked


EXPECTED = {file: [f"facts of {file}", True, None] for file in FILES}


def test_the_second_start_reads_nothing(ask, root: Path) -> None:
    assert ask() == (EXPECTED, ["a/0", "a/1", "c/0"])
    assert ask() == (EXPECTED, [])
    assert ask(FILES[:1]) == ({"a/0": EXPECTED["a/0"]}, [])
    assert ask() == (EXPECTED, [])  # what was not asked for is still known
    for path in root.rglob("*"):
        path.unlink() if path.is_file() else None
    assert ask() == ({}, [])  # and it is really the index that answered, of files that exist


def test_missing_files_have_no_facts(ask, root: Path) -> None:
    facts, _ = ask([*FILES, "a/7", "nowhere/0"])
    assert facts == EXPECTED
    (root / "a/1").unlink()
    (root / "a/2").symlink_to(root / "a/1")
    assert ask([*FILES, "a/2"]) == ({file: EXPECTED[file] for file in ("a/0", "b/c/0")}, [])
    write(root / "a/1", "facts of a/1")
    assert ask()[1] == ["a/1"]  # it was forgotten when it was gone


def test_a_changed_size_or_time_is_read_again(ask, root: Path) -> None:
    ask()
    write(root / "a/0", "longer facts of a/0")
    facts, read = ask()
    assert (facts["a/0"][0], read) == ("longer facts of a/0", ["a/0"])
    write(root / "b/c/0", "other of b/c/0", mtime_ns=LONG_AGO_NS + 1)
    assert len("other of b/c/0") == len("facts of b/c/0")
    facts, read = ask()
    assert (facts["b/c/0"][0], read) == ("other of b/c/0", ["c/0"])
    assert ask()[1] == []


def test_a_file_that_was_just_written_is_not_trusted(ask, root: Path) -> None:
    (root / "a/0").write_text("one")  # its time is now
    assert ask()[1] == ["a/0", "a/1", "c/0"]
    stat = (root / "a/0").stat()
    write(root / "a/0", "two", mtime_ns=stat.st_mtime_ns)  # as a coarse clock would have it
    facts, read = ask()
    assert (facts["a/0"][0], read) == ("two", ["a/0"])


def index_of(root: Path) -> Path:
    return Manifest.open(root, "test-1").index


BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "text": lambda data: b"hello\n",
    "binary": lambda data: bytes(range(256)),
    "truncated": lambda data: data[:-20],
    "one byte of the facts": lambda data: data.replace(b"facts of a/0", b"facts of a/9"),
    "another version": lambda data: data.replace(b'"format": 1', b'"format": 0'),
    "another kind": lambda data: data.replace(b"test-1", b"test-2"),
    "another root": lambda data: data.replace(b"/data", b"/else"),
    "nested too deep": lambda data: b"[" * 200_000,
    "a list": lambda data: b"[]\n[]\n",
}


@pytest.mark.parametrize("spoil", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_index_is_made_again_with_one_notice(ask, root: Path, capsys, spoil) -> None:
    ask()
    index = index_of(root)
    before = index.read_bytes()
    assert spoil(before) != before
    index.write_bytes(spoil(before))
    assert ask() == (EXPECTED, ["a/0", "a/1", "c/0"])
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert f"warpgrasp: the index {index} is set aside and made again" in message
    assert index.read_bytes() == before
    assert ask() == (EXPECTED, [])
    assert capsys.readouterr().err == ""


def test_an_index_that_is_a_folder(ask, root: Path, capsys) -> None:
    index_of(root).mkdir(parents=True)
    assert ask()[0] == EXPECTED
    assert capsys.readouterr().err.count("\n") == 2  # it can be neither read nor written


def test_kinds_and_roots_have_indices_of_their_own(ask, root: Path) -> None:
    ask()
    assert len(ask(kind="test/2")[1]) == 3
    write(root.parent / "other" / "a/0", "other facts")
    assert ask(["a/0"], folder=root.parent / "other")[0] == {"a/0": ["other facts", True, None]}
    assert ask()[1] == []
    (root.parent / "link").symlink_to(root)
    assert ask(folder=root.parent / "link")[1] == []  # the resolved root is the key
    assert len(list((root.parent / "cache/manifests").iterdir())) == 3


def test_what_is_known_is_saved_when_reading_fails(ask, root: Path) -> None:
    def read(path: Path) -> str:
        if path.name == "1":
            raise DataError(f"expected better of {path}")
        return "good"

    manifest = Manifest.open(root, "test-1")
    assert "a/1" not in manifest.facts(FILES, read)
    assert re.match(r"expected better of .*a/1", str(manifest.broken["a/1"]))
    assert Manifest.open(root, "test-1").facts(["a/0"], Reader()) == {"a/0": "good"}


def test_nothing_is_left_beside_the_index_and_the_data(ask, root: Path) -> None:
    before = sorted(root.rglob("*"))
    ask()
    assert sorted(root.rglob("*")) == before
    assert [path for path in (root.parent / "cache").rglob("*") if path.is_file()] == [index_of(root)]


def test_a_cache_that_cannot_be_written_costs_only_time(ask, root: Path, monkeypatch, capsys) -> None:
    blocked = root.parent / "file"
    blocked.write_text("")
    monkeypatch.setenv("WARPGRASP_CACHE", str(blocked))
    assert len(ask()[1]) == 3
    assert "cannot be kept" in capsys.readouterr().err
    assert len(ask()[1]) == 3


def test_absolute_files_beside_the_root(ask, root: Path) -> None:
    write(root.parent / "fits" / "0", "facts of a fit")
    file = str(root.parent / "fits" / "0")
    assert ask([file]) == ({file: ["facts of a fit", True, None]}, ["fits/0"])
    assert ask([file])[1] == []


def test_where_the_cache_is(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WARPGRASP_CACHE", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "own"
    monkeypatch.delenv("WARPGRASP_CACHE")
    assert cache_folder() == tmp_path / "xdg/warpgrasp"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == tmp_path / "home/.cache/warpgrasp"


def test_a_folder_that_cannot_be_listed(tmp_path: Path) -> None:
    assert list_folder(tmp_path / "nowhere") == {}
    (tmp_path / "file").write_text("")
    assert list_folder(tmp_path / "file") == {}
    assert list(list_folder(tmp_path)) == ["file"]
    with pytest.raises(DataError, match="expected a folder that can be read"):
        list_folder(f"{tmp_path}/a\0b")


def test_the_index_is_plain_json(ask, root: Path) -> None:
    ask()
    header, body = index_of(root).read_text().splitlines()
    assert json.loads(header)["root"] == str(root)
    assert json.loads(body)["b/c"]["0"] == [14, LONG_AGO_NS, ["facts of b/c/0", True, None]]
