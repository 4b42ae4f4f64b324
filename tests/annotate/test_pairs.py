"""The object placed by pairs of a point and a pixel: a wrong pair is found, named, and counts for nothing."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from warpgrasp.annotate.edited_frame import PointPair
from warpgrasp.annotate.pairs import PairCheck, PlacedObject, object_pose_from_pairs, says_misfits
from warpgrasp.errors import UserError
from warpgrasp.geometry import Camera

CAMERA = Camera(torch.tensor([[600.0, 0.0, 319.5], [0.0, 600.0, 239.5], [0.0, 0.0, 1.0]]), 640, 480)
TURN, CENTRE = Rotation.from_rotvec([0.4, -0.9, 0.3]), np.array([0.02, -0.01, 0.5])


def clicked(count: int, *, wrong: dict[int, tuple[float, float]] | None = None) -> tuple[PointPair, ...]:
    """Points of a box of 10 cm, clicked on to about a pixel; those of `wrong` are shifted so far."""
    random = np.random.default_rng(2)
    points = random.uniform(-0.05, 0.05, (count, 3))
    seen = TURN.apply(points) + CENTRE
    pixels = 600 * seen[:, :2] / seen[:, 2:] + [319.5, 239.5] + random.normal(0, 1, (count, 2))
    for number, shift in (wrong or {}).items():
        pixels[number] += shift
    return tuple(PointPair(point, pixel) for point, pixel in zip(points, pixels, strict=True))


def assert_found(placed: PlacedObject) -> None:
    assert np.linalg.norm(placed.centre - CENTRE) < 0.01
    assert (Rotation.from_matrix(placed.rotation) * TURN.inv()).magnitude() < 0.05


@pytest.mark.parametrize("count", [4, 5, 6, 8, 12])
def test_right_pairs_all_fit(count: int) -> None:
    placed = object_pose_from_pairs(clicked(count), CAMERA)
    assert placed.misfits == ()
    assert placed.misses_px.max() < 4
    assert_found(placed)
    assert says_misfits(placed) == ""


@pytest.mark.parametrize(
    ("count", "wrong"),
    [
        (5, {1: (60, 20)}),
        (6, {5: (-40, 30)}),
        (8, {2: (0, 50), 6: (45, 0)}),
        (10, {0: (40, 0), 3: (0, 40), 7: (-40, 0)}),
    ],
)
def test_wrong_pairs_are_named_and_count_for_nothing(count: int, wrong: dict[int, tuple[float, float]]) -> None:
    placed = object_pose_from_pairs(clicked(count, wrong=wrong), CAMERA)
    assert placed.misfits == tuple(wrong)
    for number, shift in wrong.items():
        assert placed.misses_px[number] == pytest.approx(np.linalg.norm(shift), abs=12)
    assert_found(placed)
    for number in wrong:
        assert f"pair {number + 1} (" in says_misfits(placed)


def test_of_four_pairs_none_is_told_to_be_wrong() -> None:
    placed = object_pose_from_pairs(clicked(4, wrong={2: (12, 0)}), CAMERA)
    assert placed.misfits == ()


def test_pairs_are_gone_through_once() -> None:
    check, pairs = PairCheck(CAMERA), clicked(6)
    assert check.of(pairs[:3]) is None
    placed = check.of(pairs)
    assert placed is not None
    assert check.of(pairs) is placed


def test_pairs_of_no_pose_are_refused() -> None:
    line = tuple(PointPair(np.array([0.01 * n, 0.0, 0.0]), np.array([37.0 * n % 90, 300.0 - 61 * n])) for n in range(4))
    with pytest.raises(UserError, match=r"expected points of one pose .* found none that fits.*; is a pair wrong"):
        object_pose_from_pairs(line, CAMERA)
    with pytest.raises(UserError, match=r"at least 4 points of the object with their pixels, got 2"):
        object_pose_from_pairs(line[:2], CAMERA)
