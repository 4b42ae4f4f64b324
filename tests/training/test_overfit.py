"""A network that cannot learn four pictures by heart cannot learn."""

from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest
import torch

from tests.training.runs import prepare
from warpgrasp.data.augment import AugmentConfig, augment
from warpgrasp.frame import pose_points
from warpgrasp.reconstruction.network import NetworkConfig
from warpgrasp.training.loop import initial_network, learning_rate
from warpgrasp.training.objective import supervised, weighted
from warpgrasp.training.recipes import toy
from warpgrasp.training.settings import Optimisation

STEPS = 1200


@pytest.mark.slow
def test_one_batch_to_under_a_millimetre(sample_root: Path) -> None:
    recipe = replace(toy(), network=NetworkConfig(width=16))
    training = prepare(sample_root, recipe)
    frames = training.source.frames(training.labels.annotated_names)
    still = AugmentConfig(**{one.name: 0.0 for one in fields(AugmentConfig)})
    view = augment(frames.image, frames.camera, still, torch.Generator())
    network = initial_network(training).train()
    optimiser = torch.optim.Adam(network.parameters())
    schedule = Optimisation(steps=STEPS, learning_rate=2e-3, schedule="one-cycle")
    for step in range(STEPS):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(schedule, step)
        optimiser.zero_grad(set_to_none=True)
        weights = replace(recipe.loss, hand_pose=0.0, hand_shape=0.0)
        terms = supervised(network(view.image, view.camera, frames.objects), frames, view)
        weighted(terms, asdict(weights))[0].backward()
        optimiser.step()
    with torch.no_grad():
        result = network(view.image, view.camera, frames.objects)
    annotation = frames.annotation
    assert annotation is not None
    joint_mm = 1000 * (result.hand.joints - annotation.hand_joints).norm(dim=-1)
    expected = pose_points(annotation.object_rotation, annotation.object_translation, frames.objects.vertices)
    vertex_mm = 1000 * (result.object.vertices - expected).norm(dim=-1)[frames.objects.real]
    assert joint_mm.mean() < 1
    assert vertex_mm.mean() < 1
