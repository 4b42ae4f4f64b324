"""The loss of a step: what its terms weigh."""

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from warpgrasp.frame import (
    Annotation,
    HandReconstruction,
    ObjectModel,
    ObjectReconstruction,
    Objects,
    Reconstruction,
    pose_points,
)
from warpgrasp.geometry import Symmetry, matrix_from_axis_angle
from warpgrasp.reconstruction import supervision
from warpgrasp.training.objective import StepTerms, StepWeights, _as_annotated, _joined
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


def posed(rotation: torch.Tensor, objects: Objects) -> Reconstruction:
    translation = torch.tensor([[0.0, 0.1, 0.6], [0.1, 0.0, 0.5]])
    points = (pose_points(rotation, translation, one) for one in (objects.vertices, objects.corners))
    nothing = torch.zeros(2, 3)
    hand = HandReconstruction(
        torch.eye(3).repeat(2, 1, 1),
        nothing,
        torch.zeros(2, 15),
        torch.zeros(2, 10),
        nothing[:, None],
        torch.zeros(2, 21, 3),
    )
    return Reconstruction(hand, ObjectReconstruction(rotation, translation, *points))


def test_an_object_that_looks_the_same_turned_is_compared_up_to_it() -> None:
    """Of two objects one is a jar: turned about its axis it costs nothing, tipped it does; the other costs both."""
    jar, cup = (
        ObjectModel.centred(
            name, torch.rand(20, 3, generator=torch.Generator().manual_seed(1)), torch.tensor([[0, 1, 2]])
        )
        for name in ("jar", "cup")
    )
    objects = Objects.of([replace(jar, symmetry=Symmetry("z", None)), cup])
    true = matrix_from_axis_angle(torch.tensor([[0.3, -0.5, 1.0], [0.2, 0.4, -0.7]]))
    annotation = Annotation(
        torch.zeros(2, 1, 3), torch.zeros(2, 21, 3), true, torch.tensor([[0.0, 0.1, 0.6], [0.1, 0.0, 0.5]]), None
    )
    turn, tip = (matrix_from_axis_angle(torch.tensor(vector)) for vector in ([0, 0, 2.5], [0.2, 0, 0.0]))

    def errors(moved: torch.Tensor) -> list[float]:
        found = _as_annotated(posed(true @ moved, objects), annotation, objects)
        return supervision(found, annotation, objects)["object_vertices"].tolist()

    assert errors(torch.eye(3)) == pytest.approx([0, 0], abs=1e-12)
    turned, tipped = errors(turn), errors(tip @ turn)
    assert turned[0] < 1e-10 < 1e-2 < turned[1]
    assert 1e-4 < tipped[0] < tipped[1]
    rotation = (true @ tip @ turn).requires_grad_()
    found = _as_annotated(posed(rotation, objects), annotation, objects)
    supervision(found, annotation, objects)["object_vertices"].sum().backward()
    assert rotation.grad is not None
    assert bool((rotation.grad.abs().amax(dim=(1, 2)) > 0).all())
    plain = Objects.of([jar, cup])
    reconstruction = posed(true @ turn, plain)
    assert _as_annotated(reconstruction, annotation, plain) is reconstruction


def test_batches_of_objects_of_other_sizes_are_one_after_the_other() -> None:
    vertices = torch.rand(20, 3, generator=torch.Generator().manual_seed(1))
    small, large = (
        ObjectModel.centred(name, vertices[:count], torch.arange(3 * faces).reshape(-1, 3))
        for name, count, faces in (("small", 9, 3), ("large", 20, 5))
    )
    jar = replace(small, symmetry=Symmetry("y", 4))
    joined = _joined([Objects.of([jar, small]), Objects.of([large])])
    together = Objects.of([jar, small, large])
    for name, values in vars(together).items():
        found = getattr(joined, name)
        assert torch.equal(found, values) if isinstance(values, torch.Tensor) else found == values, name
