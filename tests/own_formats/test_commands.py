"""Hundreds of files that ask for trouble, in whole commands: done, or one sentence, in 20 s and a gigabyte."""

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.footage_files import Brought, bring
from tests.forked import Forks
from tests.own_formats.commands import MOST_MB, answers, commanding
from tests.own_formats.hostile_files import Case, checkpoint_cases, predictions_cases
from tests.own_formats.hostile_recordings import keypoints_cases, recording_cases
from warpgrasp.cli import main

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of processes are Linux's")


@pytest.fixture(scope="module")
def brought(tmp_path_factory: pytest.TempPathFactory) -> Brought:
    made = bring(tmp_path_factory.mktemp("brought"))
    assert main(made.words("--check-hands", "0")) == 0
    return made


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    with commanding(tmp_path_factory.mktemp("printed")) as processes:
        yield processes


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["predictions", "checkpoints", "keypoints", "recordings"])
def test_hostile_files(kind: str, brought: Brought, running: Forks, tmp_path: Path, record_property) -> None:
    cases = list(
        {
            "predictions": lambda: predictions_cases(brought),
            "checkpoints": lambda: checkpoint_cases(brought),
            "keypoints": lambda: keypoints_cases(brought, tmp_path),
            "recordings": recording_cases,
        }[kind]()
    )
    outside = {path: path.read_bytes() for path in brought.folder.rglob("*") if path.is_file()}
    commands = {f"{case.name}: {name}": words for case in cases for name, words in written(case, tmp_path).items()}
    found = answers(running, tmp_path, commands)
    wrong = {one.name: one.wrong() for one in found if one.wrong() is not None}
    assert wrong == {}
    assert {path: path.read_bytes() for path in brought.folder.rglob("*") if path.is_file()} == outside
    counts = Counter("done" if one.status == 0 else "refused" for one in found)
    most = {"largest_mb": max(one.mb for one in found), "slowest_s": max(one.s for one in found)}
    record_property("commands", {"kind": kind, "files": len(cases), **counts, **most})
    assert most["largest_mb"] < MOST_MB


def written(case: Case, folder: Path) -> dict[str, list[str]]:
    own = folder / f"{len(list(folder.iterdir())):04d}"
    own.mkdir()
    return {name: list(words) for name, words in case.write(own).items()}
