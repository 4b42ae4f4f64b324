"""The next frame: the one that brings all others nearest to a label, counted in motion."""

import numpy as np
import pytest

from warpgrasp.refinement.suggest import SCANNED_FRAMES, scanned_positions, small_grey, suggested_position, travelled_px

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
    assert suggested_position(labelled, travelled) == wanted


def test_one_after_the_other_they_spread() -> None:
    labelled: list[int] = []
    for _ in range(3):
        position = suggested_position(labelled, np.arange(60.0))
        assert position is not None
        labelled.append(position)
    assert labelled[0] in (29, 30)
    assert sorted(labelled)[0] in range(8, 13)
    assert sorted(labelled)[2] in range(47, 52)
    last = suggested_position([*range(0, 700, 2)], np.arange(700.0))
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
    positions = list(range(0, 13, 2))
    travelled = travelled_px(positions, [greys[position] for position in positions], 13)
    assert travelled.shape == (13,)
    assert (np.diff(travelled) > 0).all()
    np.testing.assert_allclose(travelled, offsets, atol=1.2)


def test_a_long_video_is_looked_at_here_and_there() -> None:
    assert scanned_positions(7) == list(range(7))
    positions = scanned_positions(10_000)
    assert len(positions) == SCANNED_FRAMES
    assert (positions[0], positions[-1]) == (0, 9999)
    assert small_grey(np.zeros((720, 1280, 3), np.uint8)).shape == (90, 160)
