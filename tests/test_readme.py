"""The documents are true: README's code runs, its commands exist, and what docs/paper.md names exists."""

import re
from pathlib import Path

from warpgrasp.cli import COMMANDS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_python_blocks_run():
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert blocks
    for block in blocks:
        names: dict[str, object] = {}
        exec(compile(block, "README.md", "exec"), names)
        assert names["pixels"].shape == (1, 21, 2)


def test_commands_of_the_readme_exist():
    named = re.findall(r"^warpgrasp (\w+)", README, flags=re.MULTILINE)
    assert set(named) <= set(COMMANDS)
    assert {"sample", "train", "predict", "evaluate", "doctor"} <= set(named)


def test_make_targets_of_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"`?make ([a-z-]+)", README))
    assert {"demo", "test", "test-all"} <= targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


def test_linked_files_exist():
    for path in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / path).exists(), path


def test_every_package_has_its_row():
    section = README.partition("## Where things are")[2].partition("\n## ")[0]
    rows = "\n".join(line.split("|")[1] for line in section.splitlines() if line.startswith("| `"))
    source = ROOT / "src" / "warpgrasp"
    packages = [path.parent.name for path in source.glob("*/__init__.py")]
    assert sorted(re.findall(r"`(\w+)/`", rows)) == sorted(packages)
    modules = {path.name for path in source.glob("*.py")} - {"__init__.py"}
    assert set(re.findall(r"`(\w+\.py)`", section)) == modules


def test_every_test_that_the_paper_map_names_exists():
    named = set(re.findall(r"`(tests/[\w/]+\.py)`", (ROOT / "docs" / "paper.md").read_text()))
    assert len(named) > 10
    assert [path for path in sorted(named) if not (ROOT / path).is_file()] == []
