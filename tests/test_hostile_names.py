"""Names and texts from files on the terminal: every one is part of a line, shown and not obeyed."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.table import Table

from tests.hostile import FOLDERS, HOSTILE, MARKUP, NAMES, hostile_recording, lines_of
from warpgrasp.cli import COMMANDS, main
from warpgrasp.plain_text import LONGEST_LINE, line, markdown
from warpgrasp.progress import notice, progress_bar, track
from warpgrasp.terminal import Terminal


@pytest.mark.parametrize("name", NAMES.values(), ids=list(NAMES))
def test_a_line(name: str) -> None:
    shown = line(name)
    assert lines_of(shown) == [shown]
    assert line(shown) == shown
    assert "owned" not in name or "owned" in shown


def test_what_a_line_says() -> None:
    assert line("plain · é 手 ×") == "plain · é 手 ×"
    assert line("a\nb\t\x1b[1m\udcff\u202e\x9b") == r"a\nb\t\x1b[1m\udcff\u202e\x9b"
    assert line(ValueError("x\r")) == r"x\r"
    long = line("a" * 5000 + "b" * 5000)
    assert len(long) <= LONGEST_LINE
    assert (long[0], long[-1]) == ("a", "b")


def test_markdown_holds_no_character_that_means_something() -> None:
    shown = markdown("<b>*x*</b> [a](b) `c` {d} https://a.b www.c.d e@f.g 手\n|~_#!\\")
    assert set(shown) <= set("&#;0123456789abcdefghijklmnopqrstuvwxyz 手\u2060")
    assert shown.startswith("&#60;b&#62;")


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return hostile_recording(tmp_path / FOLDERS)


def printed(capfd: pytest.CaptureFixture[str]) -> list[str]:
    out, error = capfd.readouterr()
    return lines_of(out) + lines_of(error)


def test_doctor(recording: Path, capfd) -> None:
    assert main(["doctor", "--data", str(recording)]) == 1
    (said,) = [row for row in printed(capfd) if row.startswith("warpgrasp: ")]
    assert r"\x1b]0;owned\x07\x1b[2J" in said
    assert said.count(MARKUP.strip()) == 2  # of the folder, and of the picture
    assert r"half \udcff" in said
    assert "[/b]" in said


def test_doctor_of_what_is_whole(tmp_path: Path, capfd) -> None:
    recording = hostile_recording(tmp_path / FOLDERS, broken=False)
    assert main(["doctor", "--data", str(recording)]) == 0
    assert any(MARKUP.strip() in row for row in printed(capfd)), "the name of the object or of the recording"


@pytest.mark.parametrize(
    "words",
    [
        ["suggest", "RECORDING"],
        ["densify", "RECORDING", "--out", "NEW"],
        ["camera", "RECORDING", "--focal-px", "60"],
        ["camera", "RECORDING", "--focal-px", "60", "--force"],
        ["camera", "RECORDING", "--from", "MESH", "--force"],
        ["camera", "RECORDING", "--exif", "PICTURE", "--force"],
        ["camera", "RECORDING", "--board", "FRAMES", "--force"],
        ["labels", "RECORDING", "--from", "MESH", "--force"],
        ["labels", "RECORDING", "--to", "NEW", "--format", "cvat"],
        ["predict", "RECORDING", "--weights", "RECORDING", "--out", "NEW"],
        ["predict", "FRAMES", "--object", "MESH", "--out", "NEW"],
        ["evaluate", "MESH", "--data", "RECORDING"],
        ["view", "MESH", "--data", "RECORDING"],
        ["export", "MESH", "--glb", "NEW"],
        ["train", "toy", "--data", "RECORDING", "--out", "NEW"],
        ["train", "HOSTILE"],
        ["quantize", "MESH", "--out", "NEW"],
        ["HOSTILE"],
        ["sample", "RECORDING"],
        ["doctor", "--HOSTILE"],
    ],
    ids=" ".join,
)
def test_every_command_says_names_in_lines(recording: Path, words: list[str], tmp_path: Path, capfd) -> None:
    paths = {
        "RECORDING": recording,
        "FRAMES": recording / "frames",
        "MESH": recording / f"{MARKUP}.obj",
        "PICTURE": recording / "frames" / f"0001{MARKUP}.png",
        "NEW": tmp_path / FOLDERS.parent / f"new{MARKUP}",
    }
    named = {key: str(path) for key, path in paths.items()} | {"HOSTILE": HOSTILE, "--HOSTILE": f"--{HOSTILE}"}
    status = main([named.get(word, word) for word in words])
    assert status in (0, 1, 2)
    assert len(printed(capfd)) >= 1


def test_tables_notices_and_bars(capfd, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "4000")
    table = Table(HOSTILE, title=HOSTILE, caption=HOSTILE)
    table.add_row(HOSTILE)
    terminal = Terminal()
    terminal.print(table)
    terminal.print(HOSTILE, style="bold", soft_wrap=True)
    notice(HOSTILE)
    list(track([1, 2], HOSTILE, transient=False))
    with progress_bar(HOSTILE, 2, kept=True) as advance:
        advance(1)
    rows = printed(capfd)
    # A table's title, head, row and caption; a print, a notice, two bars.
    assert sum(line(HOSTILE) in row for row in rows) == 8


# --- terminals that can show little


class Sheet(io.TextIOWrapper):
    """An output of an encoding, as the terminal's."""

    def __init__(self, encoding: str):
        super().__init__(io.BytesIO(), encoding=encoding, errors="strict", write_through=True)

    @property
    def text(self) -> str:
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue().decode(self.encoding)


@pytest.mark.attack("environment", "a terminal without some characters")
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
@pytest.mark.parametrize(
    "words", [["--help"], ["train", "--help"], ["train", "demo", "--help"], ["view"]], ids=" ".join
)
def test_a_terminal_without_the_characters(words: list[str], encoding: str, monkeypatch) -> None:
    out, error = Sheet(encoding), Sheet(encoding)
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", error)
    assert main(words) == (2 if words == ["view"] else 0)
    assert "Traceback" not in error.text
    assert "\\u" not in out.text + error.text  # every character has a nearest one
    assert len((out.text or error.text).splitlines()) >= 5


@pytest.mark.attack("environment", "a terminal without some characters")
def test_an_ascii_terminal_says_names_and_errors(recording: Path, monkeypatch) -> None:
    out, error = Sheet("ascii"), Sheet("ascii")
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", error)
    assert main(["doctor", "--data", str(recording / "手 ×é")]) == 1
    assert r"\u624b xe" in error.text


@pytest.mark.attack("environment", "a terminal of one column")
@pytest.mark.parametrize("words", [[name, "--help"] for name in COMMANDS], ids=" ".join)
def test_a_terminal_of_one_column(words: list[str], capfd, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "1")
    assert main(words) == 0
    assert os.environ["COLUMNS"] == "1"
    rows = printed(capfd)
    assert 5 < len(rows) < 500
    assert max(map(len, rows)) > 20


@pytest.mark.attack("environment", "a terminal of one column")
def test_tables_in_one_column(monkeypatch, capfd) -> None:
    monkeypatch.setenv("COLUMNS", "1")
    table = Table("a heading", "another")
    table.add_row(HOSTILE, "1")
    Terminal().print(table)
    assert len(printed(capfd)) < 60


@pytest.mark.attack("environment", "a terminal of one column")
def test_the_process_in_an_ascii_terminal_of_one_column() -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "COLUMNS": "1"}
    words = [sys.executable, "-m", "warpgrasp.cli", "predict", "--help"]
    ended = subprocess.run(words, env=environment, capture_output=True, timeout=300, check=True)
    assert ended.stderr == b""
    assert b"--weights" in ended.stdout
    assert ended.stdout.isascii()
