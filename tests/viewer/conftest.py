"""What is shown: predictions of a small video, and a small recording to annotate."""

from pathlib import Path

import numpy as np
import pytest

from tests.data.recording.recording_files import write_recording
from tests.inference.footage_files import Brought, bring, write_video
from warpgrasp.cli import main
from warpgrasp.data.recording.folder import Recording
from warpgrasp.hand import HandModel
from warpgrasp.viewer.annotation_state import AnnotationState

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


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A recording of five tiny frames, the wedge, labels at 0 and 3."""
    return write_recording(tmp_path / "small")


@pytest.fixture
def state(folder: Path, hand: HandModel) -> AnnotationState:
    """That recording, being annotated."""
    return opened(folder, hand)


def opened(folder: Path, hand: HandModel, *, read_only: str | None = None) -> AnnotationState:
    """A recording, being annotated."""
    return AnnotationState(Recording.read(folder), hand, read_only=read_only)


def turned_about_x(points: np.ndarray) -> np.ndarray:
    """From OpenCV's camera axes to glTF's."""
    return points * [1, -1, -1]
