"""The loss of a step: what its terms weigh."""

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from warpgrasp.training.objective import StepTerms, StepWeights
from warpgrasp.training.pairs import ComparedPairs
from warpgrasp.training.recipes import toy, with_grasp

FRAMES = {"hand_joints": torch.tensor([2.0, 4.0]), "hand_pose": torch.tensor([1.0, 3.0])}
TARGETS = {"hand_pose": torch.tensor([5.0]), "grasp": torch.tensor([7.0])}
WEIGHTS = {"hand_joints": 0.5, "hand_pose": 0.1, "grasp": 0.2}
PAIRS = ComparedPairs(
    loss=torch.tensor([0.3, 0.5]),
    compared_share=torch.tensor([0.0, 0.5]),
    cycle_rejected_share=torch.tensor([0.1, 0.3]),
    enough=torch.tensor([False, True]),
)


def test_a_step_of_stage_1_by_hand() -> None:
    loss, means = StepTerms(FRAMES).minimised(StepWeights(WEIGHTS))
    assert_close(loss, torch.tensor(0.5 * 3 + 0.1 * 2))
    assert {name: value.item() for name, value in means.items()} == {"hand_joints": 3.0, "hand_pose": 2.0}


def test_a_step_of_stage_2_by_hand() -> None:
    loss, means = StepTerms(FRAMES, TARGETS, PAIRS).minimised(StepWeights(WEIGHTS, data=0.9, photometric=0.01))
    assert_close(loss, torch.tensor(0.9 * (0.5 * 3 + 0.1 * 2 + 0.1 * 5 + 0.2 * 7) + 0.01 * 0.4))
    logged = {
        "hand_joints": 3.0,
        "hand_pose": 2.0,  # of the annotated frames
        "grasp": 7.0,
        "photometric": 0.4,
        "compared_share": 0.25,
        "cycle_rejected_share": 0.2,
        "pairs_without_overlap": 0.5,
    }
    assert {name: value.item() for name, value in means.items()} == pytest.approx(logged)
    assert list(means) == list(logged)


def test_the_control_has_the_same_loss_but_for_the_term() -> None:
    weights = StepWeights(WEIGHTS, data=0.9)
    without, _ = StepTerms(FRAMES, TARGETS).minimised(weights)
    with_zero, _ = StepTerms(FRAMES, TARGETS, PAIRS).minimised(weights)
    assert torch.equal(without, with_zero)


def test_a_term_without_a_weight_is_an_error() -> None:
    with pytest.raises(KeyError, match="grasp"):
        StepTerms(FRAMES, TARGETS).minimised(StepWeights({"hand_joints": 0.5, "hand_pose": 0.1}))


def test_both_weights_of_pairs_rise_together_and_lambda_data_falls() -> None:
    recipe = with_grasp(toy())
    recipe = replace(recipe, photometric=replace(recipe.photometric, weight=0.4, ramp_steps=8))
    halfway = StepWeights.at(recipe, stage=2, step=4)
    assert (halfway.photometric, halfway.by_name["grasp"]) == pytest.approx((0.2, 0.05))
    assert halfway.data == pytest.approx(0.999 - 0.2)
