"""The signs of a bad frame: agreement with labels by hand, accelerations, and `quality.csv`."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from warpgrasp.errors import DataError
from warpgrasp.geometry.camera import Camera
from warpgrasp.predictions.file import Predictions
from warpgrasp.refinement.quality import FrameQuality, LabelledPictures, acceleration_mm, read_quality, write_quality

LINES = [
    FrameQuality(3, 1, 0, 0.0, 0.0, 1.0, math.nan),
    FrameQuality(4, 0, 1, 0.25, 0.125, 0.5, 1.5),
    FrameQuality(6, 0, 2, 0.5, math.nan, 0.0, math.nan),
]


def test_the_nearest_label_is_the_earlier_of_two() -> None:
    camera = Camera(torch.eye(3), 4, 4)
    labelled = torch.tensor([False, True, False, False, False, True, False])
    pictures = LabelledPictures(torch.zeros(7, 3, 4, 4, dtype=torch.uint8), camera, labelled)
    assert pictures.nearest_label().tolist() == [1, 1, 1, 1, 5, 5, 5]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "quality.csv"
    write_quality(path, LINES)
    assert path.read_bytes() == (
        b"frame,labelled,frames_to_label,difference_before,difference_after,compared_share,acceleration_mm_per_frame2\r\n"
        b"3,1,0,0.0,0.0,1.0,\r\n4,0,1,0.25,0.125,0.5,1.5\r\n6,0,2,0.5,,0.0,\r\n"
    )
    assert read_quality(path, "difference_before") == {3: 0.0, 4: 0.25, 6: 0.5}
    differences = read_quality(path, "difference_after")
    assert (differences[4], math.isnan(differences[6])) == (0.125, True)


@pytest.mark.parametrize("content", ["frame,other\n0,1\n", "frame,labelled\n0,much\n", "frame,labelled\nx,1\n"])
def test_other_tables_are_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "quality.csv"
    path.write_text(content)
    with pytest.raises(DataError, match=r"expected what `densify` wrote in .*quality\.csv"):
        read_quality(path, "labelled")


def test_accelerations() -> None:
    """Along x = 0, 1, 4, 9 mm the second difference is 2 mm for all points but the object's centre, which rests."""
    places_m = np.array([0.0, 0.001, 0.004, 0.009], np.float32)
    joints = np.zeros((4, 21, 3), np.float32)
    joints[:, :, 0] = places_m[:, None]
    still = {name: np.zeros((4, 1), np.float32) for name in ("hand_pose", "hand_shape")}
    predictions = Predictions(
        sequence=np.array(["S1"] * 4),
        index=np.arange(4),
        object_name=np.array(["wedge"] * 4),
        hand_vertices=joints,
        hand_joints=joints,
        hand_rotation=np.zeros((4, 3, 3), np.float32),
        hand_translation=joints[:, 0],
        object_rotation=np.zeros((4, 3, 3), np.float32),
        object_translation=np.zeros((4, 3), np.float32),
        **still,
    )
    np.testing.assert_allclose(acceleration_mm(predictions), [np.nan, 2 * 21 / 22, 2 * 21 / 22, np.nan], atol=1e-4)
