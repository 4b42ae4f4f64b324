"""The next frame: the one that brings all others nearest to a label, counted in motion."""

import cv2
import numpy as np
import pytest

from warpgrasp.refinement.suggest import (
    SCANNED_FRAMES,
    ScannedVideo,
    scanned_positions,
    scanned_video,
    small_grey,
    suggested_position,
)

EVEN = np.arange(11.0)


@pytest.mark.parametrize(
    ("labelled", "travelled", "wanted"),
    [
        ([], EVEN, 5),
        ([0, 10], EVEN, 5),
        ([0], EVEN, 7),
        ([5], EVEN, 1),
        ([0, 4, 10], EVEN, 7),
        ([0, 10], np.array([0, 0, 0, 0, 0, 0, 0, 1, 5, 9, 10.0]), 8),  # all motion is at the end
        ([2, 0, 1], np.arange(3.0), None),
    ],
)
def test_the_frame_that_brings_all_nearest_to_a_label(
    labelled: list[int], travelled: np.ndarray, wanted: int | None
) -> None:
    assert suggested_position(labelled, ScannedVideo(travelled, np.full(len(travelled), np.nan))) == wanted


def test_one_after_the_other_they_spread() -> None:
    labelled: list[int] = []
    for _ in range(3):
        position = suggested_position(labelled, ScannedVideo.even(60))
        assert position is not None
        labelled.append(position)
    assert labelled[0] in (29, 30)
    assert sorted(labelled)[0] in range(8, 13)
    assert sorted(labelled)[2] in range(47, 52)
    last = suggested_position([*range(0, 700, 2)], ScannedVideo.even(700))
    assert last is not None
    assert last % 2 == 1


def test_motion_is_measured() -> None:
    """A pattern that moves 2 px a frame, rests, and moves 1 px a frame; every other frame is looked at."""
    texture = np.random.default_rng(0).uniform(0, 255, (60, 140))
    texture = np.clip(
        np.apply_along_axis(lambda row: np.convolve(row, np.ones(9) / 9, "same"), 1, texture) * 2 - 128, 0, 255
    )
    steps = np.array([0, 2, 2, 2, 2, 0, 0, 0, 0, 1, 1, 1, 1])
    offsets = np.cumsum(steps)
    greys = [np.ascontiguousarray(texture[:, offset : offset + 100].astype(np.uint8)) for offset in offsets]
    pictures = [np.repeat(grey[..., None], 3, axis=2) for grey in greys]
    positions = list(range(0, 13, 2))
    travelled = scanned_video(positions, [pictures[position] for position in positions], 13).travelled_px
    assert travelled.shape == (13,)
    assert (np.diff(travelled) > 0).all()
    np.testing.assert_allclose(travelled, 1.6 * offsets, atol=2.0)  # in pictures 160 px wide


def test_of_nearby_frames_that_are_nearly_as_good_the_sharpest_is_taken() -> None:
    travelled = np.arange(101.0)
    sharpness = np.ones(101)
    sharpness[[47, 52, 62, 80]] = 2, 3, 9, 9  # 62 and 80 lie farther off, or bring the others less near to a label
    assert suggested_position([0, 100], ScannedVideo(travelled, np.ones(101))) == 49
    assert suggested_position([0, 100], ScannedVideo(travelled, sharpness)) == 52
    sharpness[52] = np.nan  # not looked at
    assert suggested_position([0, 100], ScannedVideo(travelled, sharpness)) == 47
    sharpness[47] = 1.05  # nobody sees that
    assert suggested_position([0, 100], ScannedVideo(travelled, sharpness)) == 49


def test_a_blurred_hand_before_a_sharp_background_is_told() -> None:
    """A textured patch wanders over a still texture; in some frames the patch alone is smeared."""
    random = np.random.default_rng(0)
    background, patch = (random.integers(0, 255, size, dtype=np.uint8) for size in ((120, 160, 3), (30, 40, 3)))
    smeared, pictures = {4, 5, 6, 9}, []
    for number in range(12):
        picture = background.copy()
        shown = cv2.blur(patch, (9, 1)) if number in smeared else patch
        picture[40:70, 20 + 6 * number : 60 + 6 * number] = shown
        pictures.append(picture)
    sharpness = scanned_video(range(12), pictures, 12).sharpness
    sharp = [number for number in range(12) if number not in smeared]
    assert sharpness[sharp].min() > 1.1 * sharpness[list(smeared)].max()
    assert suggested_position([0, 11], ScannedVideo(np.arange(12.0), sharpness)) not in smeared


def test_a_long_video_is_looked_at_here_and_there() -> None:
    assert scanned_positions(7) == list(range(7))
    positions = scanned_positions(10_000)
    assert len(positions) == SCANNED_FRAMES
    assert (positions[0], positions[-1]) == (0, 9999)
    assert small_grey(np.zeros((720, 1280, 3), np.uint8)).shape == (90, 160)
