"""Times of frames in usual intervals: whole numbers of a steady rate, true distances of any other."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from warpgrasp.data.recording.footage import Clip, PictureFolder
from warpgrasp.data.recording.lens import Lens


class Timed(PictureFolder):
    """Frames at some times, without pictures."""

    times_s: Sequence[float] | None = None

    def __init__(self, times_s: Sequence[float] | None):
        self.times_s, self._numbers = times_s, []


def intervals(times_s: Sequence[float] | None, numbers: Sequence[int]) -> list[float]:
    return Clip(Lens(np.eye(3), 64, 48), Timed(times_s), Path("camera.json")).times_in_intervals(numbers).tolist()


@pytest.mark.parametrize("rate", [24, 25, 30, 30000 / 1001, 60])
def test_a_steady_rate_is_counted(rate: float) -> None:
    """Also where the container rounds its times to milliseconds."""
    exact = [number / rate for number in range(900)]
    for times_s in (exact, [round(time, 3) for time in exact]):
        assert intervals(times_s, range(900)) == list(range(900))


def test_a_varying_rate_is_measured() -> None:
    found = intervals([0.0, 0.04, 0.08, 0.48, 0.52, 0.56], range(6))
    np.testing.assert_allclose(found, [0, 1, 2, 12, 13, 14], rtol=0, atol=1e-12)
    drifting = [0.0, 0.033, 0.066, 0.1, 0.143, 0.176]  # ten milliseconds too late from the fifth on
    np.testing.assert_allclose(intervals(drifting, range(6)), np.array(drifting) / 0.033, rtol=0, atol=1e-12)


def test_numbered_pictures_are_as_far_apart_as_their_numbers() -> None:
    assert intervals(None, [3, 4, 5, 6, 18, 19]) == [0, 1, 2, 3, 15, 16]
    assert intervals(None, range(0, 50, 5)) == list(range(10))
    assert intervals(None, [7]) == [0]
