"""The documentation site: every page is in the navigation, every public name is documented and has a page."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "warpgrasp"
DOCS = ROOT / "docs"
FRONTS = {".".join(path.parent.relative_to(SOURCE.parent).parts): path for path in SOURCE.rglob("__init__.py")}
NOT_PUBLIC = {"warpgrasp.cli", "warpgrasp.annotate", "warpgrasp.view"}  # commands and pages, not a library


def public_names(front: Path) -> list[str]:
    """`__all__` of a package's `__init__.py`."""
    for node in ast.parse(front.read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    return []


def pages() -> list[str]:
    return sorted(page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md") if page.parent.name != "results")


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text().partition("nav:")[2]
    assert sorted(re.findall(r"([\w/-]+\.md)$", navigation, re.MULTILINE)) == pages()


def test_every_package_has_a_page_of_the_api() -> None:
    documented = set(re.findall(r"^::: ([\w.]+)$", "\n".join(p.read_text() for p in (DOCS / "api").glob("*.md")), re.M))
    with_names = {name for name, front in FRONTS.items() if public_names(front) and name not in NOT_PUBLIC}
    assert with_names - documented == set()


@cache
def definitions() -> dict[str, list[ast.AST]]:
    """Functions and classes of the source by name."""
    nodes: dict[str, list[ast.AST]] = {}
    for path in SOURCE.rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                nodes.setdefault(node.name, []).append(node)
    return nodes


@pytest.mark.parametrize("front", sorted(FRONTS))
def test_every_public_function_and_class_has_a_docstring(front: str) -> None:
    known = definitions()
    for name in public_names(FRONTS[front]):
        for node in known.get(name, []):
            assert isinstance(node, ast.FunctionDef | ast.ClassDef)
            text = ast.get_docstring(node) or ""
            assert text.split("\n")[0].endswith((".", ":", "?")), f"{front}.{name}: {text[:80]!r}"
