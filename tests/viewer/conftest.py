"""A small recording to annotate: five tiny frames, the wedge, labels at 0 and 3."""

from pathlib import Path

import pytest

from tests.data.recording.recording_files import write_recording
from warpgrasp.data.recording.folder import Recording
from warpgrasp.hand import HandModel
from warpgrasp.viewer.annotation_state import AnnotationState


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_recording(tmp_path / "small")


@pytest.fixture
def state(folder: Path, hand: HandModel) -> AnnotationState:
    return opened(folder, hand)


def opened(folder: Path, hand: HandModel, *, read_only: str | None = None) -> AnnotationState:
    return AnnotationState(Recording.read(folder), hand, read_only=read_only)
