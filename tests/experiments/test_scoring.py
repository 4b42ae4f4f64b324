"""Stored predictions are scored again only where they are of the same weights and frames."""

from pathlib import Path

import numpy as np
import pytest

from warpgrasp.experiments.scoring import holds_predictions
from warpgrasp.predictions.file import Predictions, write_predictions

HEADER = {"weights_sha256": "ab", "split": "evaluation", "input": "12"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    points = np.zeros((2, 21, 3), np.float32)
    rotations, rows = np.tile(np.eye(3, dtype=np.float32), (2, 1, 1)), np.zeros((2, 3), np.float32)
    predictions = Predictions(
        sequence=np.array(["S1"] * 2),
        index=np.arange(2),
        object_name=np.array(["box"] * 2),
        hand_vertices=points,
        hand_joints=points,
        hand_rotation=rotations,
        hand_translation=rows,
        hand_pose=rows,
        hand_shape=rows,
        object_rotation=rotations,
        object_translation=rows,
    )
    write_predictions(tmp_path / "p.npz", predictions, HEADER)
    return tmp_path / "p.npz"


def test_only_those_of_the_same_weights_and_frames_are_taken(file: Path) -> None:
    assert holds_predictions(file, HEADER)
    for name in HEADER:
        assert not holds_predictions(file, {**HEADER, name: "other"}), name
    assert not holds_predictions(file.with_name("none.npz"), HEADER)


def test_an_older_file_does_not_tell(file: Path) -> None:
    assert holds_predictions(file, {**HEADER, "what is noted since": "x"})
