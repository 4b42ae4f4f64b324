"""The house rules that a machine can hold: import direction, fronts of packages, banned imports, banned names."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "warpgrasp"

# A package imports only from packages to its right; members of one row do not import each other.
ROWS = [
    {"__main__"},
    {"cli"},
    {"annotate", "view"},
    {"experiments", "export"},
    {"training"},
    {"report"},
    {"evaluation"},
    {"inference"},
    {"refinement"},
    {"predictions"},
    {"data", "photometric", "reconstruction", "keypoints"},
    {"scene"},
    {"hand", "render"},
    {"frame"},
    {"geometry"},
    {"locks"},
    {"checked", "files", "named_pictures", "pickled", "registry", "progress", "guard"},
    {"archive", "terminal", "signals"},
    {"bounded"},
    {"errors", "plain_text"},
]
RANK = {name: rank for rank, row in enumerate(ROWS) for name in row}
MEETING_PLACES = {"training/objective.py", "refinement/refine.py"}  # of 3.1 and 3.2
NAMELESS = {"utils", "util", "helpers", "common", "misc", "base", "manager"}
BANNED = {
    "chumpy": "it does not work with NumPy of today; hand/templates.py reads its pickles without it",
    "torchvision": "it cannot be imported beside every build of PyTorch",
    "pytorch3d": "the user compiles nothing (decision 0001)",
}


@dataclass(frozen=True)
class Imported:
    """One import of a module: what, the names that are taken from it, and the line."""

    module: str
    line: int
    names: tuple[str, ...] = ()


def imports(tree: ast.Module) -> Iterator[Imported]:
    """Every absolute import, inside functions too; `from warpgrasp import data` counts as `warpgrasp.data`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (Imported(alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                yield Imported("." * node.level + (node.module or ""), node.lineno)
            elif node.module == "warpgrasp":
                yield from (Imported(f"warpgrasp.{alias.name}", node.lineno) for alias in node.names)
            else:
                yield Imported(node.module or "", node.lineno, tuple(alias.name for alias in node.names))


def room_of(path: str) -> str:
    """The package, or the module, that lies directly in the source folder."""
    return path.split("/")[0].removesuffix(".py")


def past_the_front(path: str, imported: Imported) -> str | None:
    """The module that is imported from inside a package in which the importing module does not lie; None if none is.

    A package's `__init__` is its front, by which all others come in: also a package of its parent's, such as
    `data.recording`. What lies inside may ask for modules of the packages that it lies in.
    """
    for module in (imported.module, *(f"{imported.module}.{name}" for name in imported.names)):
        folder, _, name = module.removeprefix("warpgrasp.").replace(".", "/").rpartition("/")
        package = SOURCE / folder
        is_inside = (package / f"{name}.py").is_file() and package not in (SOURCE / path).parents
        if is_inside and (module == imported.module or name not in offered(package / "__init__.py")):
            return module
    return None


@cache
def offered(front: Path) -> set[str]:
    """The names that a package's front defines or imports: `warp` of `photometric` is the function, not the module."""
    names: set[str] = set()
    for node in ast.parse(front.read_text()).body:
        if isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
    return names


def violations(path: str, text: str) -> list[str]:
    """What a module at `path` (relative to the source folder) does that it may not."""
    tree, room = ast.parse(text), room_of(path)
    found = []
    ours = set()
    for one in imports(tree):
        where = f"{path}:{one.line}"
        if one.module.startswith("."):
            found.append(f"{where} imports relatively")
        if one.module.split(".")[0] in BANNED:
            found.append(f"{where} imports {one.module}: {BANNED[one.module.split('.')[0]]}")
        if not one.module.startswith("warpgrasp."):
            continue
        other = one.module.split(".")[1]
        inner = past_the_front(path, one)
        if inner is not None:
            found.append(f"{where} imports {inner}, a module inside a package; import from the package")
        ours.add(other)
        if other not in RANK:
            found.append(f"{where} imports {other}, which has no place in the order")
        elif room in RANK and other != room and RANK[other] <= RANK[room]:
            found.append(f"{where}: {room} imports {other}, which is not to its right")
    if {"photometric", "reconstruction"} <= ours and path not in MEETING_PLACES:
        found.append(f"{path} imports both photometric and reconstruction; they meet in {sorted(MEETING_PLACES)}")
    if room not in RANK and room != "__init__":
        found.append(f"{path}: {room} has no place in the order")
    found += [f"{path}: {part} names nothing" for part in path.removesuffix(".py").split("/") if part in NAMELESS]
    return found + [f"{path}:{line} {what}" for line, what in banned_uses(tree, path)]


def banned_uses(tree: ast.Module, path: str) -> Iterator[tuple[int, str]]:
    """Calls and imports that run other people's code, and the import that turns the shape checks off."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            yield node.lineno, "imports from __future__: annotations would not be checked"
        if isinstance(node, ast.ImportFrom) and node.module == "pickle":
            yield node.lineno, "imports names from pickle: say pickle.name"
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        if not isinstance(node.func.value, ast.Name):
            continue
        called = f"{node.func.value.id}.{node.func.attr}"
        if called in ("pickle.load", "pickle.loads", "pickle.Unpickler") and path != "pickled.py":
            yield node.lineno, f"calls {called}; read pickles by pickled.load_pickle"
        safe = any(
            word.arg == "weights_only" and isinstance(word.value, ast.Constant) and word.value.value is True
            for word in node.keywords
        )
        if called == "torch.load" and not safe:
            yield node.lineno, "calls torch.load without weights_only=True"


def modules() -> list[str]:
    return sorted(path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py"))


@pytest.mark.parametrize("path", modules())
def test_the_rules_are_kept(path: str) -> None:
    assert violations(path, (SOURCE / path).read_text()) == []


@pytest.mark.parametrize(
    ("path", "text", "what"),
    [
        ("geometry/new.py", "from warpgrasp.hand import HandModel", "geometry imports hand"),
        ("render/new.py", "def f():\n    from warpgrasp.hand import JOINTS", "new.py:2: render imports hand"),
        ("data/new.py", "import warpgrasp.photometric.flow", "data imports photometric"),
        ("data/new.py", "from warpgrasp import reconstruction", "data imports reconstruction"),
        ("errors.py", "from warpgrasp.frame import Frame", "errors imports frame"),
        ("inference/new.py", "from warpgrasp.evaluation.metrics import score", "inference imports evaluation"),
        ("evaluation/new.py", "from warpgrasp.cli import main", "evaluation imports cli"),
        (
            "evaluation/new.py",
            "from warpgrasp.photometric import warp\nfrom warpgrasp.reconstruction import place",
            "both photometric and reconstruction",
        ),
        ("data/new.py", "from . import ho3d", "imports relatively"),
        ("cli/new.py", "from warpgrasp.data.recording.labels import Label", "imports warpgrasp.data.recording.labels,"),
        ("cli/new.py", "def f():\n    from warpgrasp.data.recording import labels", "data.recording.labels, a module"),
        ("cli/new.py", "import warpgrasp.data.frames", "imports warpgrasp.data.frames, a module inside"),
        (
            "data/new.py",
            "from warpgrasp.data.ho3d.dataset import Ho3d",
            "imports warpgrasp.data.ho3d.dataset, a module",
        ),
        ("data/sample/new.py", "from warpgrasp.data.ho3d.dataset import Ho3d", "data.ho3d.dataset, a module inside"),
        ("data/new.py", "from warpgrasp.kitchen import sink", "kitchen, which has no place"),
        ("kitchen/sink.py", "", "kitchen has no place"),
        ("data/utils.py", "", "utils names nothing"),
        ("hand/new.py", "import chumpy.ch", "imports chumpy.ch"),
        ("hand/new.py", "def f():\n    from torchvision import models", "imports torchvision"),
        ("hand/new.py", "import pickle\npickle.load(f)", "calls pickle.load"),
        ("hand/new.py", "from pickle import load", "imports names from pickle"),
        ("hand/new.py", "import torch\ntorch.load(f)", "without weights_only"),
        ("hand/new.py", "import torch\ntorch.load(f, weights_only=False)", "without weights_only"),
        ("hand/new.py", "from __future__ import annotations", "__future__"),
    ],
)
def test_the_checker_refuses(path: str, text: str, what: str) -> None:
    found = violations(path, text)
    assert len(found) >= 1
    assert any(what in one for one in found), found


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("training/objective.py", "from warpgrasp.photometric import warp\nfrom warpgrasp.reconstruction import place"),
        ("hand/new.py", "from warpgrasp.pickled import load_pickle\nfrom warpgrasp.frame import Frame"),
        ("data/new.py", "from warpgrasp.data.ho3d import Ho3d\nimport numpy as np\nnp.load(f)"),
        ("data/ho3d/new.py", "from warpgrasp.data.frames import draw\nfrom warpgrasp.data.ho3d.dataset import Ho3d"),
        ("cli/new.py", "from warpgrasp.photometric import warp\nfrom warpgrasp.data.recording import Label"),
        ("reconstruction/new.py", "import torch\ntorch.load(f, weights_only=True)"),
        ("__init__.py", '"""Nothing."""'),
    ],
)
def test_the_checker_lets_pass(path: str, text: str) -> None:
    assert violations(path, text) == []


def test_every_function_named_in_the_paper_map_exists() -> None:
    """docs/paper.md names code as `folder/file.py:name`; a name may be Class.method."""
    page = ROOT / "docs" / "paper.md"
    if not page.is_file():
        pytest.skip("docs/paper.md is not written yet")
    named = re.findall(r"`([\w/]+\.py):([\w.]+)`", page.read_text())
    assert named, "expected entries like `photometric/flow.py:render_flow`"
    missing = [f"{path}:{name}" for path, name in named if name not in defined_in(path)]
    assert missing == []


def defined_in(path: str) -> set[str]:
    """The functions, classes, methods and constants of a module of the source or of the tests."""
    file = next((root / path for root in (SOURCE, ROOT, ROOT / "src") if (root / path).is_file()), None)
    if file is None:
        return set()
    names: set[str] = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{inner.name}" for inner in node.body if isinstance(inner, ast.FunctionDef)}
        if isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names
