"""A hand fitted to joints is kept until its joints or its model change."""

import importlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from warpgrasp.hand.model import HandModel

module = importlib.import_module("warpgrasp.data.fphab.hands")


def test_other_joints_and_other_hands_are_fitted_anew(
    hand: HandModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit, fitted = module.fit_hand, []

    def counted(model: HandModel, joints: torch.Tensor) -> object:
        fitted.append(len(joints))
        return fit(model, joints)

    monkeypatch.setattr(module, "fit_hand", counted)
    with torch.no_grad():
        joints = hand(torch.zeros(1, 3), torch.zeros(1, 45), torch.zeros(1, hand.shape_count)).joints
    joints = joints + torch.tensor([0.0, 0.0, 0.5])
    first = module.cached_fit(hand, joints, root=tmp_path)
    again = module.cached_fit(hand, joints, root=tmp_path)
    assert len(fitted) == 1
    assert torch.equal(first.pose, again.pose)
    moved = joints.clone()
    moved[0, 4, 0] += 1e-4
    module.cached_fit(hand, moved, root=tmp_path)
    assert len(fitted) == 2
    template = hand.template
    larger = HandModel(replace(template, vertices=1.001 * template.vertices))
    module.cached_fit(larger, joints, root=tmp_path)
    assert len(fitted) == 3


def test_nothing_is_written_through_a_link_that_came_with_the_data(hand: HandModel, tmp_path: Path) -> None:
    elsewhere, root = tmp_path / "elsewhere", tmp_path / "root"
    for folder in (elsewhere, root):
        folder.mkdir()
    (root / ".warpgrasp").symlink_to(elsewhere)
    with torch.no_grad():
        joints = hand(torch.zeros(1, 3), torch.zeros(1, 45), torch.zeros(1, hand.shape_count)).joints
    module.cached_fit(hand, joints + torch.tensor([0.0, 0.0, 0.4]), root=root)
    assert list(elsewhere.iterdir()) == []
