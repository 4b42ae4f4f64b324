"""`import warpgrasp`: the public names, and that nothing heavy is imported before one is used."""

import ast
import subprocess
import sys
import tomllib
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest

import warpgrasp as wg

FRONT = Path(wg.__file__)
LONGEST_IMPORT_S = 0.5


def in_a_new_process(code: str) -> str:
    run = subprocess.run([sys.executable, "-c", code], check=True, timeout=300, capture_output=True, text=True)
    return run.stdout.strip()


def imports_for_type_checkers() -> dict[str, str]:
    """The module of each name that a type checker sees."""
    (block,) = [node for node in ast.parse(FRONT.read_text()).body if isinstance(node, ast.If)]
    lines = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: str(line.module) for line in lines for alias in line.names}


def test_importing_the_package_imports_nothing_but_python_itself() -> None:
    code = "import sys; before = set(sys.modules); import warpgrasp; print(*sorted(set(sys.modules) - before))"
    modules = in_a_new_process(code).split()
    assert [name for name in modules if name.partition(".")[0] not in sys.stdlib_module_names] == ["warpgrasp"]


def test_the_command_line_loads_pytorch_only_for_a_command() -> None:
    assert in_a_new_process("import sys, warpgrasp.cli; print('torch' in sys.modules)") == "False"


def test_the_import_takes_less_than_half_a_second() -> None:
    code = "import time; started = time.process_time(); import warpgrasp; print(time.process_time() - started)"
    assert float(in_a_new_process(code)) < LONGEST_IMPORT_S


@pytest.mark.parametrize("name", [name for name in wg.__all__ if name != "__version__"])
def test_a_name_is_what_a_type_checker_sees(name: str) -> None:
    assert getattr(wg, name) is getattr(import_module(imports_for_type_checkers()[name]), name)


def test_a_type_checker_sees_exactly_the_public_names() -> None:
    assert sorted([*imports_for_type_checkers(), "__version__"]) == sorted(wg.__all__)
    assert set(wg.__all__) <= set(dir(wg))
    assert (FRONT.parent / "py.typed").read_bytes() == b""


def test_every_public_name_has_a_docstring_that_begins_with_a_sentence() -> None:
    for name in wg.__all__:
        if name != "__version__":
            assert (getattr(wg, name).__doc__ or "").strip().splitlines()[0].endswith((".", ":")), name


def test_the_version_is_that_of_the_package() -> None:
    project = tomllib.loads((FRONT.parents[2] / "pyproject.toml").read_text())["project"]
    assert wg.__version__ == version("warpgrasp") == project["version"]


def test_an_unknown_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="module 'warpgrasp' has no attribute 'fly'"):
        wg.fly  # noqa: B018
