"""Offsets move poses as their units say, and accelerations cost what is worked out by hand."""

import pytest
import torch
from torch.testing import assert_close

from warpgrasp.frame import Pose
from warpgrasp.refinement.offsets import AWAY_SHARE, MOVE_M, accelerations, moved_places


def at(centres: torch.Tensor) -> Pose:
    """Hand and object that do not turn, the object at these places."""
    count = len(centres)
    still = torch.eye(3).to(centres).expand(count, 3, 3)
    far = torch.tensor([0.0, 0.0, 0.5]).to(centres).expand(count, 3)
    return Pose(still, centres, still, far, torch.zeros(count, 45).to(centres), torch.zeros(count, 10).to(centres))


def braking(step_m: float, direction: tuple[float, float, float], count: int = 9) -> torch.Tensor:
    """Places far away that move evenly up to the middle frame, and not from there on."""
    way = step_m * torch.arange(count, dtype=torch.float64).clamp_max(count // 2)
    return torch.tensor([0.0, 0.0, 50.0]).double() + way[:, None] * torch.tensor(direction).double()


def test_a_move_away_keeps_the_place_in_the_picture() -> None:
    places = torch.tensor([[0.1, -0.05, 0.5], [0.02, 0.08, 0.7]])
    away = moved_places(places, torch.tensor([[0.0, 0.0, 2.0]]).expand(2, 3))
    assert_close(away, places * (1 + 2 * AWAY_SHARE))
    across = moved_places(places, torch.tensor([[1.0, -2.0, 0.0]]).expand(2, 3))
    assert_close(across - places, torch.tensor([[MOVE_M, -2 * MOVE_M, 0.0]]).expand(2, 3), atol=1e-6, rtol=0)


@pytest.mark.parametrize("direction", [(1.0, 0.0, 0.0), (0.0, 0.0, 1.0)])
def test_accelerations_cost_their_squares_where_they_are_small(direction: tuple[float, float, float]) -> None:
    times = torch.arange(9.0).double()
    slow, fast = (at(braking(step_m, direction)) for step_m in (0.1 * MOVE_M, 5 * MOVE_M))
    assert float(accelerations(fast, times)) == pytest.approx(25, rel=1e-3)
    assert float(accelerations(slow, times, tail=1.0)) == pytest.approx(0.01, rel=0.02)
    # log(1 + 25): braking is left to the pictures.
    assert float(accelerations(fast, times, tail=1.0)) == pytest.approx(3.258, rel=1e-3)


def test_along_and_across_the_line_of_sight_cost_each_for_itself() -> None:
    """Braking along both at once costs as much as along one and across the other, one after the other."""
    times = torch.arange(9.0).double()
    along, across, both = (
        float(accelerations(at(braking(0.02, direction)), times, tail=1.0))
        for direction in ((0.0, 0.0, 1.0), (1.0, 0.0, 0.0), (1.0, 0.0, 1.0))
    )
    assert both == pytest.approx(along + across, rel=0.02)


def test_the_rate_of_the_pictures_does_not_matter() -> None:
    """An even acceleration costs as much in a second of 30 frames as in one of 120."""
    costs = []
    for rate in (1, 4):
        times = torch.arange(0, 30 * rate + 1, dtype=torch.float64) / rate  # thirtieths of a second
        place = torch.zeros(len(times), 3, dtype=torch.float64)
        place[:, 0], place[:, 2] = 0.001 * times**2, 0.5
        costs.append(float(accelerations(at(place), times, tail=1.0)))
    assert costs[1] == pytest.approx(costs[0], rel=0.05)
