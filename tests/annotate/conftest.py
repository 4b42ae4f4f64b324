"""A small recording to annotate."""

from pathlib import Path

import pytest

from tests.data.recording.recording_files import write_recording
from warpgrasp.annotate.state import AnnotationState
from warpgrasp.data.recording.files import Recording
from warpgrasp.hand.model import HandModel


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
