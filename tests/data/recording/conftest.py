"""Recordings made of the tiny sample, and a small one of its own."""

from pathlib import Path

import pytest

from tests.data.recording.recording_files import hand_parameters, write_recording
from warpgrasp.data.ho3d.dataset import Ho3d
from warpgrasp.export.datasets import RecordingOptions, export_recording


@pytest.fixture(scope="session")
def exported(sample, hand, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sequence A1 as pictures, B1 as a video: labelled at 0, 3 and 7, and at 5 for evaluation. Read only."""
    root = tmp_path_factory.mktemp("recordings")
    for sequence, pictures in (("A1", "frames"), ("B1", "video")):
        written = sample.sequences["train"][sequence]
        hands = {index: hand_parameters(written, index) for index in range(8)}
        export = RecordingOptions(train=(0, 3, 7), evaluation=(5,), hands=hands, pictures=pictures)
        export_recording(Ho3d(sample.root, hand), "train", sequence, root / sequence, export)
    return root


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A recording of five tiny frames, labelled at 0 and 3, that a test may spoil."""
    return write_recording(tmp_path / "small")
