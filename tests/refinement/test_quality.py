"""The signs of a bad frame: agreement with labels by hand, accelerations, and `quality.csv`."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from warpgrasp.errors import DataError
from warpgrasp.geometry.camera import Camera
from warpgrasp.photometric.consistency import appearance
from warpgrasp.predictions.file import Predictions
from warpgrasp.refinement.quality import (
    Criterion,
    FrameQuality,
    LabelledPictures,
    acceleration_mm,
    read_quality,
    second_differences,
    write_quality,
)

LINES = [
    FrameQuality(3, 1, 0, 0.0, 0.0, 1.0, math.nan),
    FrameQuality(4, 0, 1, 0.25, 0.125, 0.5, 1.5, 4.0, 2.0, 3.0, 8.5),
    FrameQuality(6, 0, 2, 0.5, math.nan, 0.0, math.nan),
]


def test_the_nearest_label_is_the_earlier_of_two() -> None:
    camera = Camera(torch.eye(3), 4, 4)
    labelled = torch.tensor([False, True, False, False, False, True, False])
    black = torch.zeros(7, 3, 4, 4, dtype=torch.uint8)
    pictures = LabelledPictures.of(black, camera, labelled, widths_px=[4])
    assert pictures.nearest_label().tolist() == [1, 1, 1, 1, 5, 5, 5]


def test_the_nearest_label_is_the_one_nearest_in_time() -> None:
    """Frame 3 is two frames from either label, but taken just before the second."""
    black, labelled = torch.zeros(6, 3, 4, 4, dtype=torch.uint8), torch.tensor([0, 1, 0, 0, 0, 1]).bool()
    times = torch.tensor([0.0, 1.0, 2.0, 15.0, 16.0, 17.0], dtype=torch.float64)
    camera = Camera(torch.eye(3), 4, 4)
    pictures = LabelledPictures.of(black, camera, labelled, widths_px=[4], times=times)
    assert pictures.nearest_label().tolist() == [1, 1, 1, 5, 5, 5]


@pytest.mark.parametrize("contrast_share", [0.0, 0.5])
def test_pictures_are_kept_at_the_widths_of_comparison_alone(contrast_share: float) -> None:
    """One after the other gives bit for bit what resizing all of them together gives."""
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randint(0, 256, (35, 3, 54, 96), generator=generator, dtype=torch.uint8)  # more than one part
    camera, read = Camera(torch.eye(3), 96, 54), []

    def one_by_one() -> Iterator[torch.Tensor]:
        for number, picture in enumerate(pictures):
            read.append(number)
            yield picture.permute(1, 2, 0).contiguous().permute(2, 0, 1)  # as a decoder lays it out

    labelled = torch.arange(35) == 0
    criterion = Criterion(contrast_share)
    kept = LabelledPictures.of(one_by_one(), camera, labelled, widths_px=[16, 32], criterion=criterion)
    assert read == list(range(35))
    assert {width: image.shape[2:] for width, image in kept.images.items()} == {16: (9, 16), 32: (18, 32)}
    for width, images in kept.images.items():
        size = [round(54 * width / 96), width]
        together = F.interpolate(pictures.float() / 255, size=size, mode="bilinear", antialias=True)
        expected = [appearance(part, contrast_share=contrast_share) for part in together.split(32)]
        assert torch.equal(images, torch.cat(expected))


def test_second_differences_are_changes_of_velocity_over_time() -> None:
    """Of x = t² it is 2 wherever the frames are taken; of even frames it is x₂ - 2 x₁ + x₀ bit for bit."""
    times = torch.tensor([0.0, 1.0, 1.5, 4.0, 16.0], dtype=torch.float64)
    values = torch.stack([times.square(), 3 * times], dim=1)
    torch.testing.assert_close(
        second_differences(values, times), torch.tensor([[2.0, 0.0]] * 3, dtype=torch.float64), rtol=0, atol=1e-12
    )
    noise = torch.randn(50, 4, generator=torch.Generator().manual_seed(1))
    even = second_differences(noise, torch.arange(50, dtype=torch.float64))
    assert torch.equal(even, noise[2:] - 2 * noise[1:-1] + noise[:-2])


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "quality.csv"
    write_quality(path, LINES)
    assert path.read_bytes() == (
        b"frame,labelled,frames_to_label,difference_before,difference_after,compared_share,acceleration_mm_per_frame2,"
        b"disagreement_mm,depth_pull_mm,closure_mm,expected_error_mm\r\n"
        b"3,1,0,0.0,0.0,1.0,,,,,\r\n4,0,1,0.25,0.125,0.5,1.5,4.0,2.0,3.0,8.5\r\n6,0,2,0.5,,0.0,,,,,\r\n"
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
