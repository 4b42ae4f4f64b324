"""How large hands are: lengths by hand, effects that are measured, the shape of a measured length."""

import numpy as np
import pytest
import torch

from warpgrasp.errors import UserError
from warpgrasp.hand.model import JOINTS, HandModel
from warpgrasp.hand.sizes import HandSizes, ShapeEffect

MIDDLE = ("wrist", "middle_1", "middle_2", "middle_3", "middle_tip")


@pytest.fixture(scope="module")
def sizes(hand: HandModel) -> HandSizes:
    return HandSizes(hand)


def test_the_length_is_that_of_the_bones_whatever_the_pose(hand: HandModel, sizes: HandSizes) -> None:
    shape = torch.tensor(np.random.default_rng(0).normal(size=10), dtype=torch.float32)
    joints = hand(torch.ones(1, 3), hand.mean_pose[None], shape[None]).joints[0]
    way = joints[[JOINTS.index(name) for name in MIDDLE]].diff(dim=0).norm(dim=-1)
    assert sizes.length_m(shape.double().numpy()) == pytest.approx(float(way.sum()), abs=2e-3)  # the tip is skin
    assert sizes.length_m(np.zeros(10)) == pytest.approx(0.185, abs=0.001)


@pytest.mark.parametrize("length_mm", [160.0, 185.0, 215.0])
def test_a_measured_length_gives_the_nearest_shape(sizes: HandSizes, length_mm: float) -> None:
    start = np.random.default_rng(1).normal(size=10)
    shape = sizes.shape_of_length(start, length_mm / 1000)
    assert 1000 * sizes.length_m(shape) == pytest.approx(length_mm, abs=0.01)
    # No other one is nearer: the change is along the slope of the length, by finite differences.
    slope = [sizes.length_m(shape + 1e-4 * step) - sizes.length_m(shape - 1e-4 * step) for step in np.eye(10)]
    change = shape - start
    assert abs(change @ slope) == pytest.approx(np.linalg.norm(change) * np.linalg.norm(slope), rel=1e-3)


def test_a_length_of_no_hand_is_refused(sizes: HandSizes) -> None:
    with pytest.raises(UserError, match="expected a positive length of the hand, got -10 mm"):
        sizes.shape_of_length(np.zeros(10), -0.01)


def test_what_parameters_change_is_measured(sizes: HandSizes) -> None:
    first, second, *_, last = sizes.effects()
    grown = sizes.length_m(np.eye(10)[0]) - sizes.length_m(-np.eye(10)[0])
    assert first.percent["length"] == pytest.approx(50 * grown / sizes.length_m(np.zeros(10)))
    assert first.name == "volume +13 %, fingers +9 %"
    assert second.percent["palm"] > 2
    assert second.percent["fingers"] < -2
    assert last.name == "hardly anything"
    assert "length +6.4 %" in first.details


def test_a_name_tells_the_largest_changes() -> None:
    assert ShapeEffect({"length": 0.6, "fingers": -2.2, "palm": 3.1, "width": 0.1}).name == "palm +3 %, fingers -2 %"
