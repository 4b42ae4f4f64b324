"""Skeleton adaptation: where it starts, what stays, and its invariances."""

import numpy as np
import torch
from torch.testing import assert_close

from warpgrasp.hand.model import FINGERTIPS, JOINTS, MANO_JOINTS, HandModel
from warpgrasp.reconstruction.network import SkeletonAdaptation

FIXED = [i for i, name in enumerate(JOINTS) if name == "wrist" or name in FINGERTIPS]


def test_it_starts_at_the_hand_models_own_regressor(hand: HandModel) -> None:
    adaptation = SkeletonAdaptation(hand)
    own = hand.template.joint_regressor
    learned = [name for name in JOINTS if name != "wrist" and name not in FINGERTIPS]
    expected = np.stack([own[MANO_JOINTS.index(name)] for name in learned])
    assert_close(adaptation.regressor.detach(), torch.from_numpy(expected).float())


def test_at_rest_nothing_moves(hand: HandModel) -> None:
    # In the rest pose the articulated joints *are* the regressed ones.
    shape = torch.linspace(-1, 1, 10)[None]
    posed = hand(torch.zeros(1, 3), torch.zeros(1, 45), shape)
    assert_close(SkeletonAdaptation(hand)(posed.vertices, posed.joints), posed.joints, rtol=0, atol=2e-6)


def test_wrist_and_fingertips_stay(hand: HandModel) -> None:
    adaptation = SkeletonAdaptation(hand)
    with torch.no_grad():
        adaptation.regressor.mul_(1.5)
    posed = hand(torch.zeros(1, 3), hand.mean_pose[None], torch.zeros(1, 10))
    adapted = adaptation(posed.vertices, posed.joints)
    assert torch.equal(adapted[:, FIXED], posed.joints[:, FIXED])
    others = [i for i in range(21) if i not in FIXED]
    assert ((adapted - posed.joints)[:, others].norm(dim=-1) > 1e-3).all()


def test_it_follows_translations_whatever_its_rows_sum_to(hand: HandModel) -> None:
    adaptation = SkeletonAdaptation(hand)
    with torch.no_grad():
        adaptation.regressor.mul_(1.04)
    posed = hand(torch.zeros(1, 3), hand.mean_pose[None], torch.zeros(1, 10))
    shift = torch.tensor([0.1, -0.2, 0.4])
    moved = adaptation(posed.vertices + shift, posed.joints + shift)
    assert_close(moved, adaptation(posed.vertices, posed.joints) + shift, rtol=0, atol=1e-6)
