"""Schedules, ramps, weights: numbers that recipes promise."""

import math
from dataclasses import asdict, fields, replace

import pytest
import torch
from torch.testing import assert_close

from warpgrasp.training.loop import learning_rate
from warpgrasp.training.objective import StepWeights, weighted
from warpgrasp.training.recipes import RECIPES, fphab_sparse, ho3d_sparse, toy
from warpgrasp.training.settings import LossWeights, Optimisation, Photometric


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
    recipe = replace(toy(), photometric=photometric)
    values = [StepWeights.at(recipe, stage=2, step=step) for step in (0, 250, 1000, 5000)]
    assert [weights.photometric for weights in values] == pytest.approx([0, 2.5e-4, 1e-3, 1e-3])
    assert [weights.data for weights in values] == pytest.approx([0.999, 0.99875, 0.998, 0.998], rel=1e-12)
    at_once = replace(recipe, photometric=Photometric(weight=1e-3, ramp_steps=0))
    assert StepWeights.at(at_once, stage=2, step=1).photometric == 1e-3
    held = replace(recipe, photometric=replace(photometric, grasp_weight=0.1))
    assert StepWeights.at(held, stage=2, step=250).by_name["grasp"] == pytest.approx(0.025)
    first = StepWeights.at(held, stage=1, step=250)
    assert (first.data, first.photometric, first.by_name) == (1.0, 0.0, asdict(recipe.loss))


def test_terms_are_weighted_by_name_and_an_unknown_one_is_an_error() -> None:
    terms = {"hand_joints": torch.tensor([2.0, 4.0]), "hand_pose": torch.tensor([1.0, 3.0])}
    loss, means = weighted(terms, asdict(LossWeights(hand_joints=0.5, hand_pose=0.1)))
    assert_close(loss, torch.tensor(0.5 * 3 + 0.1 * 2))
    assert_close(means["hand_joints"], torch.tensor(3.0))
    with pytest.raises(KeyError, match="surprise"):
        weighted({"surprise": torch.ones(2)}, asdict(LossWeights()))


PAPER = [name for name in RECIPES if name.startswith(("fphab", "ho3d", "dexycb"))]


@pytest.mark.parametrize("name", PAPER)
def test_the_papers_settings(name: str) -> None:
    recipe = RECIPES[name]()
    assert (recipe.width, recipe.height) == ((480, 270) if name.startswith("fphab") else (640, 480))
    for stage in (recipe.stage1, recipe.stage2):
        assert (stage.learning_rate, stage.schedule, stage.batch, stage.epsilon) == (5e-5, "constant", 8, 1e-8)
    assert recipe.photometric.pairs == 8
    assert (recipe.photometric.weight, recipe.photometric.ramp_steps, recipe.data_weight) == (1e-3, 1000, 0.999)
    assert (recipe.photometric.compare, recipe.photometric.cycle_tolerance_px) == ("augmented", 2.0)
    assert (recipe.photometric.directions, recipe.photometric.contrast_share) == ("one", 0.0)
    assert (recipe.network.width, recipe.network.pose_coefficients) == (64, 15)
    assert (recipe.network.image_mean, recipe.network.image_std) == (0.5, 1.0)
    assert (recipe.network.scales.kind, recipe.network.scales.depth_scale) == ("paper", 1e-4)
    assert recipe.network.scales.translation_scale_px == 100
    assert (recipe.freeze_batch_norm, recipe.encoder_weights, recipe.sampling) == ("always", "imagenet", "released")
    assert (recipe.base_rotations, recipe.gradient_clip, recipe.precision) == (False, None, "fp32")
    changes = recipe.augment
    assert (changes.brightness, changes.contrast, changes.saturation, changes.hue) == (0.5, 0.5, 0.5, 0.15)
    assert (changes.blur_px, changes.shift, changes.roll) == (0.5, 0.1, 0.0)
    adapted = name.startswith("fphab") and not name.endswith("unadapted")
    assert recipe.network.skeleton_adaptation == adapted


def test_what_tells_the_papers_recipes_apart() -> None:
    def facts(name: str) -> tuple[str | None, float, bool]:
        recipe = RECIPES[name]()
        return recipe.splits, recipe.fraction, recipe.stage2.steps > 0

    assert {name: facts(name) for name in PAPER} == {
        "fphab-full": ("fphab/actions", 1.0, False),
        "fphab-sparse": ("fphab/actions", 0.00625, True),
        "fphab-hand": ("fphab/actions", 1.0, False),
        "fphab-object": ("fphab/actions", 1.0, False),
        "fphab-subjects": ("fphab/subjects", 1.0, False),
        "fphab-subjects-unadapted": ("fphab/subjects", 1.0, False),
        "ho3d-sparse": (None, 0.00625, True),
        "ho3d-appendix-b": ("ho3d/paper-appendix-b", 0.00625, True),
        "ho3d-appendix-b-full": ("ho3d/paper-appendix-b", 1.0, False),
        "ho3d-full": ("ho3d/official", 1.0, False),
        "dexycb": ("dexycb/s0", 1.0, False),
    }
    weights = {name: RECIPES[name]().loss for name in PAPER}
    usual = LossWeights(hand_joints=0.5, object_vertices=0.5, hand_pose=5e-6, hand_shape=5e-7)
    assert weights.pop("fphab-hand") == LossWeights(0.5, 0.0, 5e-6, 5e-7)
    assert weights.pop("fphab-object") == LossWeights(0.0, 0.5, 0.0, 0.0)
    assert set(weights.values()) == {usual}


def test_fphabs_steps_by_hand() -> None:
    # An epoch is a pass over the annotated frames, eight at a time: 10,503 of them, or a share and two a sequence.
    assert RECIPES["fphab-full"]().stage1.steps == 200 * 1312
    steps = {percent: fphab_sparse(percent / 100) for percent in (0.625, 5, 20)}
    found = {percent: (recipe.stage1.steps, recipe.stage2.steps) for percent, recipe in steps.items()}
    assert found == {0.625: (1000 * 33, 200 * 33), 5: (1000 * 33, 200 * 90), 20: (200 * 287, 200 * 287)}


def test_first_stages_are_the_same_where_stage_2_differs() -> None:
    recipe = ho3d_sparse()
    longer = replace(recipe, stage2=Optimisation(steps=7), data_weight=1.0)
    assert recipe.first_stage() == recipe.as_control().first_stage() == longer.first_stage()
    assert recipe.first_stage() != replace(recipe, seed=1).first_stage()
    assert recipe.first_stage().stage2.steps == 0


@pytest.mark.parametrize("name", list(RECIPES))
def test_every_recipe_says_its_name_and_what_it_is(name: str) -> None:
    make = RECIPES[name]
    assert make().name == name
    assert make.__doc__
    assert f"`warpgrasp {name}`" in make.__doc__ or f"`warpgrasp train {name}`" in make.__doc__
    assert len(fields(make())) > 10
