"""Run the attacks of the tests and write what they found: docs/results/security.json, and from it docs/security.md.

python tools/security_figures.py                              # runs all of them, the slow ones too: an hour
python tools/security_figures.py tests/own_formats            # runs some, and keeps the figures of the others
python tools/security_figures.py --page                       # writes the page from the figures that are there

The attacks are the tests' own: each notes what it tried by pytest's `record_property`, and counts only if it passed.
"""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FIGURES = ROOT / "docs" / "results" / "security.json"
PAGE = ROOT / "docs" / "security.md"
ATTACKS = [
    "tests/inference/test_quantized_file.py",
    *("tests/own_formats", "tests/test_kills.py", "tests/annotate/test_kills.py", "tests/test_signals.py"),
    *("tests/test_environment.py", "tests/test_two_at_once.py", "tests/test_servers.py", "tests/test_hostile_names.py"),
]
HEAD = """--8<-- "SECURITY.md"

## What was tried

`tools/security_figures.py` runs the tests that attack, and writes this from what they note. A file that is read is one
whose change says nothing wrong. Seconds are of the processor, megabytes what the process took beyond what it had. A
killed command survives when, given again, it leaves the files of an undisturbed run and no others.
"""
Tests = dict[str, dict[str, Any]]


class Collector:
    """How each test ended, and what it noted."""

    def __init__(self) -> None:
        self.tests: Tests = {}

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Called by pytest after each part of a test."""
        if report.when == "call" and report.outcome != "skipped":
            notes: dict[str, list[Any]] = {}
            for name, value in report.user_properties:
                notes.setdefault(name, []).append(value)
            self.tests[report.nodeid] = {"outcome": report.outcome, **notes}


def run(attacks: Sequence[str]) -> Tests:
    """Run attacks."""
    import pytest

    collector = Collector()
    pytest.main(["-q", "-p", "no:cacheprovider", "--rootdir", str(ROOT), *attacks], plugins=[collector])
    return collector.tests


def table(*heads: str, rows: Sequence[Sequence[object]]) -> list[str]:
    """A table of Markdown; nothing where there is no row."""
    if not rows:
        return []
    lines = [heads, ["---"] * len(heads), *rows]
    return [f"| {' | '.join(map(str, line))} |" for line in lines] + [""]


def noted(tests: Tests, kind: str) -> list[dict[str, Any]]:
    """All notes of a kind, each with whether its test passed; those of a tenth of a corpus only where not all ran."""
    names = [name for name in tests if not ("a tenth" in name and name.replace("a tenth", "all") in tests)]
    return [
        {"passed": tests[name]["outcome"] == "passed", **note} for name in names for note in tests[name].get(kind, [])
    ]


def fuzzed(tests: Tests) -> list[list[object]]:
    """For each format how many spoilt files were tried, refused and read, and what they took at most."""
    rows, notes = [], [one for one in noted(tests, "fuzz") if one["passed"]]
    for name in dict.fromkeys(one["format"] for one in notes):
        of = [one for one in notes if one["format"] == name]
        counts = [sum(one[key] for one in of) for key in ("tried", "refused", "read")]
        rows.append([name, *counts, *(max(one[key] for one in of) for key in ("slowest_s", "largest_mb"))])
    return rows


def killed(tests: Tests) -> list[list[object]]:
    """For each command how often it was killed, and how often it survived."""
    notes = noted(tests, "kills")
    return [
        [name, *(sum(one[key] for one in notes if one["command"] == name) for key in ("tried", "survived"))]
        for name in sorted({one["command"] for one in notes})
    ]


def attacked(tests: Tests, kind: str) -> list[list[object]]:
    """What was tried how often, how often all was as promised, and what was measured."""
    rows, notes = [], [one for one in noted(tests, "attack") if one["kind"] == kind]
    for what in sorted({one["what"] for one in notes}):
        of = [one for one in notes if one["what"] == what]
        survived = sum(one["tried"] for one in of if one["passed"])
        measured = "; ".join(one["measured"] for one in of if "measured" in one)
        rows.append([what, sum(one["tried"] for one in of), survived, *([measured] if kind == "servers" else [])])
    return rows


def page(tests: Tests) -> str:
    """The policy, and what was tried."""
    keys = ("kind", "files", "refused", "done", "slowest_s", "largest_mb")
    given = [[one.get(key, 0) for key in keys] for one in noted(tests, "commands") if one["passed"]]
    ends = Counter((name.partition("::")[0], one["outcome"]) for name, one in tests.items())
    files = [[name, ends[name, "passed"], ends[name, "failed"]] for name in sorted({name for name, _ in ends})]
    measures, counts = ("slowest, s", "largest, MB"), ("tried", "survived")
    lines = [
        *table("files spoilt at random", "tried", "refused", "read", *measures, rows=fuzzed(tests)),
        *table("hostile files, in whole commands", "files", "refusals", "done", *measures, rows=given),
        *table("killed", *counts, rows=killed(tests)),
        *table("the machine lacks, or has", *counts, rows=attacked(tests, "environment")),
        *table("done to the servers", *counts, "measured", rows=attacked(tests, "servers")),
        *table("tests that attack", "passed", "failed", rows=files),
    ]
    return HEAD + "\n" + "\n".join(lines).rstrip() + "\n"


def main(arguments: Sequence[str]) -> None:
    """Run, and write figures and page."""
    new = {} if "--page" in arguments else run(arguments or ATTACKS)
    tests: Tests = (json.loads(FIGURES.read_text()) if FIGURES.exists() else {}) | new
    if new:
        FIGURES.write_text(json.dumps(dict(sorted(tests.items())), indent=1) + "\n")
    PAGE.write_text(page(tests))


if __name__ == "__main__":
    main(sys.argv[1:])
