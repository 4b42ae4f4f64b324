"""Print the oldest versions that pyproject.toml allows, as constraints of pip (`make test-oldest`).

    python tools/oldest.py dev tracking > constraints.txt

names the lower bounds of the dependencies and of the extras `dev` and `tracking`. No release satisfies
`==4.12` where the only one is 4.12.0.88, so each bound names an existing version in full; only zeros at its end may be
missing.
"""

import re
import sys
import tomllib
from pathlib import Path

PROJECT_FILE = Path(__file__).resolve().parents[1] / "pyproject.toml"
REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)(\[[\w,-]+\])?>=(?P<oldest>[\w.]+)(\s*;.*)?")


def oldest_versions(project: dict, extras: list[str]) -> dict[str, str]:
    """The lower bound of each package that the project and these extras require.

    Raises:
        SystemExit: a requirement has no lower bound, two of one package differ, or an extra does not exist.
    """
    oldest: dict[str, str] = {}
    for requirement in project["dependencies"] + [text for extra in extras for text in requirements_of(project, extra)]:
        match = REQUIREMENT.fullmatch(requirement)
        if match is None:
            raise SystemExit(f"pyproject.toml: expected NAME>=VERSION, got {requirement!r}; give it a lower bound.")
        if oldest.setdefault(match["name"], match["oldest"]) != match["oldest"]:
            raise SystemExit(f"pyproject.toml: {match['name']} has two lower bounds; give it the same one everywhere.")
    return oldest


def requirements_of(project: dict, extra: str) -> list[str]:
    """The requirements of one extra.

    Raises:
        SystemExit: there is no such extra.
    """
    extras = project["optional-dependencies"]
    if extra not in extras:
        raise SystemExit(f"pyproject.toml has no extra {extra!r}; it has {', '.join(extras)}.")
    return extras[extra]


if __name__ == "__main__":
    versions = oldest_versions(tomllib.loads(PROJECT_FILE.read_text())["project"], sys.argv[1:])
    print("\n".join(f"{name}=={version}" for name, version in versions.items()))
