"""Predictions of a small video."""

from pathlib import Path

import numpy as np
import pytest

from tests.footage_files import Brought, bring, write_video
from warpgrasp.cli import main

TIMES_S = [0.0, 0.04, 0.08, 0.2, 0.24, 0.4]


@pytest.fixture(scope="session")
def predicted(tmp_path_factory: pytest.TempPathFactory) -> Brought:
    """Six frames of a varying rate, predicted. Read only."""
    brought = bring(tmp_path_factory.mktemp("predicted"))
    write_video(brought.video, TIMES_S)
    assert main(brought.words()) == 0
    return brought


@pytest.fixture
def words(predicted: Brought, tmp_path: Path) -> list[str]:
    """The beginning of an `export` command."""
    return ["export", str(predicted.out), "--object", str(predicted.mesh)]


def turned_about_x(points: np.ndarray) -> np.ndarray:
    """From OpenCV's camera axes to glTF's."""
    return points * [1, -1, -1]
