"""A lens for cropped, resized and turned pictures, by numbers worked by hand; and how other sizes are refused."""

import numpy as np
import pytest

from warpgrasp.data.recording.camera import LensMapping, require_size
from warpgrasp.data.recording.lens import Lens
from warpgrasp.errors import DataError

LENS = Lens(np.array([[800.0, 0, 639.5], [0, 790.0, 350.0], [0, 0, 1]]), 1280, 720, (-0.1, 0.01, 0.002, -0.001))


def numbers(lens: Lens) -> list[float]:
    return [*lens.intrinsics[[0, 1, 0, 1], [0, 1, 2, 2]].tolist(), lens.width, lens.height]


def test_a_crop_moves_the_axis_and_nothing_else() -> None:
    cropped = LensMapping(crop=(700, 100, 320, 240)).apply(LENS)
    assert numbers(cropped) == [800, 790, -60.5, 250, 320, 240]
    assert not cropped.principal_point_inside
    assert cropped.distortion == LENS.distortion


def test_half_the_size_keeps_the_pixels_corner_in_place() -> None:
    """0.5·(639.5 + 0.5) − 0.5 = 319.5; 0.25·(350 + 0.5) − 0.5 = 87.125."""
    assert numbers(LensMapping(resize=(640, 180)).apply(LENS)) == [400, 197.5, 319.5, 87.125, 640, 180]


def test_turned_then_cropped_then_resized() -> None:
    """Clockwise: x' = 719 − y, y' = x; then (219, 500) off; then half."""
    mapping = LensMapping(90, (219, 500, 400, 600), (200, 300))
    assert numbers(mapping.apply(LENS)) == [395, 400, 0.5 * (719 - 350 - 219 + 0.5) - 0.5, 69.5, 200, 300]
    assert mapping.words == "--turn 90 --crop 219 500 400 600 --resize 200 300"


@pytest.mark.parametrize(
    ("turn", "expected"), [(180, [800, 790, 639.5, 369, 1280, 720]), (270, [790, 800, 350, 639.5, 720, 1280])]
)
def test_other_turns(turn: int, expected: list[float]) -> None:
    assert numbers(LensMapping(turn).apply(LENS)) == expected


@pytest.mark.parametrize("crop", [(-1, 0, 10, 10), (0, 0, 0, 10), (1000, 0, 281, 10), (0, 700, 10, 21)])
def test_a_crop_beyond_the_picture_is_refused(crop: tuple[int, int, int, int]) -> None:
    with pytest.raises(DataError, match=r"a part of the calibrated picture of 1280×720 for --crop"):
        LensMapping(crop=crop).apply(LENS)


def test_a_tilted_sensor_is_not_turned() -> None:
    tilted = Lens(LENS.intrinsics, 1280, 720, (*[0.0] * 12, 0.01, 0.0))
    with pytest.raises(DataError, match=r"a camera that can be turned for --turn: a tilted sensor"):
        LensMapping(90).apply(tilted)


def test_a_stretched_picture_is_told() -> None:
    assert LensMapping(resize=(640, 360)).stretch(LENS) is None
    assert LensMapping(90, resize=(360, 640)).stretch(LENS) is None
    assert "1.333 times as much across as down; is a --crop" in str(LensMapping(resize=(640, 270)).stretch(LENS))
    assert LensMapping(crop=(0, 0, 960, 720), resize=(640, 480)).stretch(LENS) is None


@pytest.mark.parametrize(
    ("size", "option"),
    [
        ((640, 360), r"--resize 640 360 where the whole picture"),
        ((720, 1280), r"--turn 90 \(or 270\)"),
        ((1080, 1920), r"--turn 90 \(or 270\) .*; --resize 1080 1920"),
        ((480, 800), r"--turn 90 \(or 270\) .*; --crop"),
        ((640, 480), r"--crop X Y WIDTH HEIGHT where a part was cut out"),
    ],
)
def test_another_size_is_refused_with_the_option_that_maps_it(size: tuple[int, int], option: str) -> None:
    with pytest.raises(
        DataError, match=rf"pictures of {size[0]}×{size[1]}, .*found one for 1280×720 in a\.yml; .*{option}"
    ):
        require_size(LENS, size, "a.yml")


def test_the_right_size_passes() -> None:
    require_size(LENS, (1280, 720), "a.yml")
    require_size(LENS, None, "a.yml")
