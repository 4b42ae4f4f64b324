"""Schedules, ramps, weights: numbers that recipes promise."""

import math
from dataclasses import fields

import pytest
import torch
from torch.testing import assert_close

from warpgrasp.training.loop import learning_rate
from warpgrasp.training.objective import photometric_weight, weighted
from warpgrasp.training.recipes import RECIPES, LossWeights, Optimisation, Photometric, ho3d_sparse


def test_one_cycle_by_hand() -> None:
    schedule = Optimisation(steps=100, learning_rate=1e-3, schedule="one-cycle")
    # Up from a tenth over 25 steps; then down a cosine: at half of the fall 1 % + 99 %/2 of the peak.
    expected = {0: 1e-4, 10: 1e-3 * (0.1 + 0.9 * 0.4), 25: 1e-3}
    for step, value in expected.items():
        assert math.isclose(learning_rate(schedule, step), value)
    middle = (learning_rate(schedule, 62) + learning_rate(schedule, 63)) / 2
    assert math.isclose(middle, 1e-3 * (0.01 + 0.99 / 2), rel_tol=1e-3)
    assert learning_rate(schedule, 99) < 0.015e-3
    rates = [learning_rate(schedule, step) for step in range(100)]
    assert max(rates) == rates[25]
    assert min(rates) > 0


def test_constant_is_constant() -> None:
    schedule = Optimisation(steps=100, learning_rate=5e-5, schedule="constant")
    assert {learning_rate(schedule, step) for step in range(100)} == {5e-5}


def test_short_schedules_are_whole() -> None:
    for steps in (1, 2, 3):
        schedule = Optimisation(steps=steps, learning_rate=1.0, schedule="one-cycle")
        assert all(0 < learning_rate(schedule, step) <= 1 for step in range(steps))


def test_the_ramp() -> None:
    photometric = Photometric(weight=1e-3, ramp_steps=1000)
    values = [photometric_weight(photometric, step) for step in (0, 250, 1000, 5000)]
    assert values == pytest.approx([0, 2.5e-4, 1e-3, 1e-3])
    assert photometric_weight(Photometric(weight=1e-3, ramp_steps=0), 1) == 1e-3


def test_terms_are_weighted_by_name_and_an_unknown_one_is_an_error() -> None:
    terms = {"hand_joints": torch.tensor([2.0, 4.0]), "hand_pose": torch.tensor([1.0, 3.0])}
    objective = weighted(terms, LossWeights(hand_joints=0.5, hand_pose=0.1))
    assert_close(objective.loss, torch.tensor(0.5 * 3 + 0.1 * 2))
    assert_close(objective.terms["hand_joints"], torch.tensor(3.0))
    with pytest.raises(KeyError, match="surprise"):
        weighted({"surprise": torch.ones(2)}, LossWeights())


def test_the_papers_settings() -> None:
    recipe = ho3d_sparse()
    assert (recipe.width, recipe.height) == (640, 480)
    assert (recipe.stage1.learning_rate, recipe.stage1.schedule) == (5e-5, "constant")
    assert (recipe.stage2.batch, recipe.photometric.pairs) == (8, 8)
    assert (recipe.photometric.weight, recipe.photometric.ramp_steps, recipe.data_weight) == (1e-3, 1000, 0.999)
    assert recipe.loss == LossWeights(hand_joints=0.5, object_vertices=0.5, hand_pose=5e-6, hand_shape=5e-7)
    assert (recipe.network.width, recipe.network.pose_coefficients) == (64, 15)
    assert (recipe.network.image_mean, recipe.network.image_std) == (0.5, 1.0)
    assert (recipe.network.scales.depth_scale, recipe.network.scales.translation_scale_px) == (1e-4, 100)
    assert (recipe.freeze_batch_norm, recipe.encoder_weights) == ("always", "imagenet")


@pytest.mark.parametrize("name", list(RECIPES))
def test_every_recipe_says_its_name_and_what_it_is(name: str) -> None:
    make = RECIPES[name]
    assert make().name == name
    assert make.__doc__
    assert f"`warpgrasp {name}`" in make.__doc__ or f"`warpgrasp train {name}`" in make.__doc__
    assert len(fields(make())) > 10
