"""The pages on data, scoring and own videos say what is so: their commands, options, protocols, links and figures."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from warpgrasp.cli import COMMANDS, main
from warpgrasp.data.dexycb.splits import PROTOCOLS as DEXYCB_PROTOCOLS
from warpgrasp.data.fphab.files import PROTOCOLS as FPHAB_PROTOCOLS
from warpgrasp.data.ho3d.files import PROTOCOLS as HO3D_PROTOCOLS

ROOT = Path(__file__).parents[1]
DATASETS, SCORING, OWN_VIDEO = (ROOT / "docs" / name for name in ("datasets.md", "scoring.md", "own_video.md"))


def commands() -> Iterator[list[str]]:
    """Every command line of the pages, with a recipe where the page leaves it open."""
    for page in (DATASETS, SCORING, OWN_VIDEO):
        for block in re.findall(r"^```\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE):
            for line in block.splitlines():
                if line.startswith("warpgrasp "):
                    yield shlex.split(line.partition("#")[0].replace("RECIPE", "toy"))[1:]


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_the_pages_commands_are_understood(words: list[str], tmp_path: Path, monkeypatch, capsys) -> None:
    """In an empty folder each fails because there are no data, never because it is not a command."""
    monkeypatch.chdir(tmp_path)
    assert main(words) == 1
    error = capsys.readouterr().err
    assert re.match(r"warpgrasp: expected .*(found|neither)", error), error


def known_options(capsys, monkeypatch) -> set[str]:
    monkeypatch.setenv("COLUMNS", "200")
    capsys.readouterr()
    for command in COMMANDS:
        assert main([command, "toy", "--help"] if command == "train" else [command, "--help"]) == 0
    return set(re.findall(r"--[a-z0-9][\w.-]*", capsys.readouterr().out))


def test_every_option_on_the_pages_exists(capsys, monkeypatch) -> None:
    text = DATASETS.read_text()
    start, end = text.index("## From handobjectconsist"), text.index("## Pictures, bad frames")
    ours = "".join(row.split("|")[2] for row in text[start:end].splitlines() if row.count("|") == 3)
    text = text[:start] + ours + text[end:] + SCORING.read_text() + OWN_VIDEO.read_text()
    text = re.sub(r"pip install [^`]*|tensorboard --logdir|The released code's `--version 1`", "", text)
    named = set(re.findall(r"--[a-z0-9][\w.-]*\w", text))
    assert len(named) > 20
    assert named - known_options(capsys, monkeypatch) == set()


def test_every_protocol_is_on_the_page_and_no_other() -> None:
    known = {*HO3D_PROTOCOLS, *FPHAB_PROTOCOLS, *DEXYCB_PROTOCOLS}
    rows = re.findall(r"^\| `((?:ho3d|fphab|dexycb)/[\w-]+)`", DATASETS.read_text(), re.MULTILINE)
    assert set(rows) == known
    assert len(rows) == len(known)


def anchors(page: Path) -> set[str]:
    """As they are made from headings on the usual pages."""
    heads = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


def test_every_link_leads_somewhere() -> None:
    for page in (DATASETS, SCORING, OWN_VIDEO):
        assert set(re.findall(r"\]\(#([\w-]+)\)", page.read_text())) <= anchors(page)
    texts = [path.read_text() for path in (ROOT / "src").rglob("*.py")]
    texts += [path.read_text() for path in ROOT.glob("docs/*.md")]
    found = [match for text in texts for match in re.findall(r"docs/(datasets|scoring)\.md(?:#([\w-]+))?", text)]
    assert len(found) > 5
    for name, anchor in found:
        assert not anchor or anchor in anchors(ROOT / "docs" / f"{name}.md"), anchor


def test_every_figure_is_on_the_page_and_no_other(sample_root: Path, trained_run: Path, tmp_path: Path, capsys) -> None:
    file, out = tmp_path / "p.npz", tmp_path / "s.json"
    assert main(["predict", str(sample_root), "--weights", str(trained_run), "--out", str(file)]) == 0
    words = ["evaluate", str(file), "--data", str(sample_root), "--contact", "--ho3d-official", "--out", str(out)]
    assert main(words) == 0
    written = json.loads(out.read_text())
    computed = {*written["scores"], *(figure["name"] for figure in written["figures"]), *written["ho3d_official"]}
    assert set(figures_of(SCORING)) == computed


def figures_of(page: Path) -> Iterator[str]:
    """The names in the first columns of its tables, `a_{b, c}_d` meaning two."""
    for row in re.findall(r"^\| (`.*?) \|", page.read_text(), re.MULTILINE):
        for name in re.findall(r"`([a-z{].*?)`", row):
            head, brace, tail = name.partition("{")
            inner, _, end = tail.partition("}")
            yield from ([f"{head}{one}{end}" for one in inner.split(", ")] if brace else [name])
