"""What pyproject.toml allows to be installed: no version with a known advisory, no package that is not what it says.

The table is read without a network. It holds what was known when a bound was last looked at; it is no promise that
nothing has become known since.
"""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)(\[[\w,-]+\])?(>=(?P<oldest>[\w.]+))?(\s*;.*)?")
# The first version without the advisory.
ADVISORIES = {
    "filelock": ("3.20.3", "CVE-2025-68146, CVE-2026-22701: a link in a lock file's place is followed"),
    "lightning": ("2.6.6", "GHSA-w37p-236h-pfx3: 2.6.2 and 2.6.3 steal; GHSA-qqmf-gpg7-g8gw: checkpoints run code"),
    "onnx": ("1.21.0", "CVE-2026-27489, CVE-2026-34445, CVE-2026-34446: models reach files beside and outside them"),
    "opencv-python-headless": ("4.12.0.88", "CVE-2025-53644: JPEG writes where it may not"),
    "pillow": ("12.2.0", "CVE-2026-25990: PSD; CVE-2026-42308: fonts"),
    "pillow-heif": ("1.3.0", "CVE-2026-28231: sizes overflow"),
    "playwright": ("1.55.1", "CVE-2025-59288: a browser is fetched without asking from whom"),
    "pyyaml": ("5.4", "CVE-2020-14343: full_load runs code"),
    "ray": ("2.54.0", "CVE-2025-62593, CVE-2026-27482: any web page commands the dashboard"),
    "torch": ("2.6.0", "CVE-2025-32434: weights_only runs code"),
}
# Another's name, nothing behind it, or not to be had from the index (DESIGN: the user compiles nothing).
NEVER = {"chumpy", "drtk", "kaolin", "manotorch", "nvdiffrast", "pytorch3d"}


def number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def requirements() -> list[tuple[str, str | None]]:
    """Every package that the project or an extra of it asks for, with its lower bound."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    texts = [*project["dependencies"], *(text for extra in project["optional-dependencies"].values() for text in extra)]
    found = []
    for text in texts:
        match = REQUIREMENT.fullmatch(text)
        assert match is not None, text
        if match["name"] != project["name"]:
            found.append((match["name"].lower(), match["oldest"]))
    return found


def pins() -> dict[str, str]:
    rows = [row.partition("==") for row in (ROOT / "constraints.txt").read_text().splitlines() if "==" in row]
    return {name.lower(): version for name, _, version in rows}


@pytest.mark.parametrize(("name", "oldest"), requirements())
def test_no_version_with_an_advisory_is_allowed(name: str, oldest: str | None) -> None:
    clean, advisory = ADVISORIES.get(name, ("0", ""))
    assert name not in NEVER
    assert oldest is not None, f"{name} has no lower bound"
    assert number(oldest) >= number(clean), advisory


def test_the_pinned_versions_are_allowed() -> None:
    pinned = pins()
    for name, oldest in requirements():
        assert name not in pinned or number(pinned[name]) >= number(oldest or "0"), name
    assert NEVER.isdisjoint(pinned)
    for name, (clean, advisory) in ADVISORIES.items():
        assert name not in pinned or number(pinned[name]) >= number(clean), advisory
