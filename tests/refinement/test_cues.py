"""A network's hand is left the more dearly, the farther it is left, and along the line of sight more cheaply."""

from dataclasses import replace
from math import log

import pytest
import torch

from warpgrasp.frame import ObjectModel, Pose
from warpgrasp.geometry import Camera
from warpgrasp.hand.model import HandModel
from warpgrasp.refinement.cues import ACROSS_SHARE, ALONG_SHARE, Cues, PredictedHand
from warpgrasp.refinement.offsets import no_offsets
from warpgrasp.refinement.refine import ALL_FRAMES, Stage, refined_offsets

CORNERS = torch.tensor([[0.0, 0.0, 0.0], [0.06, 0.0, 0.0], [0.0, 0.09, 0.0], [0.0, 0.0, 0.04]])
MODEL = ObjectModel.centred("wedge", CORNERS, torch.tensor([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]))
SIZE = (80, 60)


@pytest.fixture
def poses() -> Pose:
    """Three times an open hand before the camera, and the wedge beside it."""
    upright, place = torch.eye(3).expand(3, 3, 3), torch.tensor([[0.0, 0.0, 0.5]]).expand(3, 3)
    beside = place + torch.tensor([0.05, 0.0, 0.0])
    return Pose(upright, beside, upright, place, torch.zeros(3, 45), torch.zeros(3, 10))


def test_what_it_costs_to_leave_it(poses: Pose, hand: HandModel) -> None:
    far = replace(poses, wrist=10 * poses.wrist)  # all its joints lie in nearly one direction
    predicted = PredictedHand.of(far, hand)
    distance = predicted.joints.norm(dim=-1).mean()
    left = [torch.zeros(3), torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 0.0, 1.0])]
    moves = distance * torch.stack(left) * torch.tensor([ACROSS_SHARE, 0.0, ALONG_SHARE])
    cost = predicted.cost(replace(far, wrist=far.wrist + moves))
    assert cost[0] == 0
    torch.testing.assert_close(cost[1:], torch.full((2,), log(2)), rtol=0.05, atol=0)
    lost = predicted.cost(replace(far, wrist=far.wrist + 100 * moves))
    assert float(lost.max()) < 20 * log(2)  # where a network is lost, other cues may say more


@pytest.mark.slow
def test_a_hand_without_any_other_cue_comes_back(poses: Pose, hand: HandModel) -> None:
    """In grey pictures, in which no colour tells anything."""
    grey = torch.full((3, SIZE[1], SIZE[0]), 128, dtype=torch.uint8)
    camera = Camera(torch.tensor([[80.0, 0, 40], [0, 80, 30], [0, 0, 1]]), *SIZE)
    descent = replace(ALL_FRAMES, stages=(Stage(SIZE[0], 30, 0.2),), smooth_cost=0.0, predicted_cost=1e-3)
    pictures = descent.pictures([grey] * 3, camera, torch.tensor([True, False, False]))
    begun = no_offsets(3)
    with torch.no_grad():
        begun["hand_move"][1:, 0] = 3.0

    def away(cues: Cues) -> float:
        offsets = refined_offsets(poses, pictures, begun, hand=hand, model=MODEL, descent=descent, cues=cues)
        assert offsets is not None
        return float(offsets["hand_move"][1:, 0].abs().max())

    assert away(Cues()) > 2.5
    assert away(Cues(predicted=PredictedHand.of(poses, hand)).rows(slice(0, 3))) < 0.5
