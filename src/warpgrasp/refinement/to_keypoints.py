"""Predicted poses moved to the keypoints of their own frames, each frame alone, the object with the hand.

The hand is moved until a detector's joints are where it would see them (`reprojection_loss`), against a normal prior
about the prediction. Hand and object move as one, so that a grasp is kept; besides, the hand turns a little in it and
its joints bend. Along the line of sight, of which keypoints say little, hardly anything moves. The constants were
chosen on generated sequences (docs/own_video.md has what they give). It is no part of the paper.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from warpgrasp.frame import Pose
from warpgrasp.geometry import Camera, matrix_from_axis_angle
from warpgrasp.hand import HandModel
from warpgrasp.keypoints import Detections, JointOffsets, reprojection_loss
from warpgrasp.refinement.offsets import Adam
from warpgrasp.scene import posed_hand

# Standard deviations of the prior, which are also what one unit of an offset is: Adam moves all of them alike.
TURN_RAD, ACROSS_M, ALONG_M, HAND_TURN_RAD, BEND_RAD = 0.3, 0.04, 0.01, 0.15, 0.15
LIKELIHOOD = 5.0  # by which a frame's mean over its joints counts: their errors go together
STEPS, RATE = 30, 0.3

Offsets = Mapping[str, Float[Tensor, "n k"]]
OFFSET_SIZES = {"turn": 3, "move": 3, "hand_turn": 3, "bend": 45}


def to_keypoints(pose: Pose, hand: HandModel, camera: Camera, detections: Detections, seen_at: JointOffsets) -> Pose:
    """The poses moved to what is detected; those of frames without detections stay as they are.

    `hand` is the model of the predicted side, `camera` that of the n pictures, `seen_at` says where the detector sees
    the joints of such a hand.
    """
    with torch.no_grad():
        pivot = posed_hand(pose, hand)[1].mean(dim=1)
    sight = _lines_of_sight(pivot)
    offsets = {name: pivot.new_zeros(len(pose), size, requires_grad=True) for name, size in OFFSET_SIZES.items()}
    optimiser = Adam(offsets)
    for step in range(STEPS):
        moved = _moved(pose, offsets, pivot, sight)
        joints = posed_hand(moved, hand)[1]
        misfit = LIKELIHOOD * reprojection_loss(joints, moved.hand_rotation, camera, detections, seen_at)
        cost = misfit + sum(values.square().sum(dim=1) for values in offsets.values()) / 2
        for values in offsets.values():
            values.grad = None
        cost.sum().backward()
        optimiser.step(RATE * (1 - step / STEPS))  # or it would end beside the minimum
    with torch.no_grad():
        moved = _moved(pose, offsets, pivot, sight)
    kept = (detections.confidence.sum(dim=1) == 0).to(pivot.device)

    def chosen(name: str) -> Tensor:
        before, after = pose.arrays[name], moved.arrays[name]
        return torch.where(kept.view(-1, *[1] * (before.dim() - 1)), before, after)

    return Pose(**{name: chosen(name) for name in pose.arrays})


def _lines_of_sight(points: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3 3"]:
    """Axes across and along the line of sight to each point, as columns; the last is along."""
    along = F.normalize(points, dim=-1)
    down = along.new_tensor([0.0, 1.0, 0.0]).expand_as(along)
    across = F.normalize(torch.linalg.cross(down, along), dim=-1)
    return torch.stack([across, torch.linalg.cross(along, across), along], dim=-1)


def _moved(pose: Pose, offsets: Offsets, pivot: Float[Tensor, "n 3"], sight: Float[Tensor, "n 3 3"]) -> Pose:
    """Hand and object turned about the middle of the hand and moved, the hand turned and bent besides."""
    turn = matrix_from_axis_angle(TURN_RAD * offsets["turn"])
    hand_turn = turn @ matrix_from_axis_angle(HAND_TURN_RAD * offsets["hand_turn"])
    by_axis = offsets["move"] * pivot.new_tensor([ACROSS_M, ACROSS_M, ALONG_M])
    place = pivot + (sight @ by_axis[..., None])[..., 0]
    return Pose(
        turn @ pose.object_rotation,
        place + (turn @ (pose.object_centre - pivot)[..., None])[..., 0],
        hand_turn @ pose.hand_rotation,
        place + (hand_turn @ (pose.wrist - pivot)[..., None])[..., 0],
        pose.joint_angles + BEND_RAD * offsets["bend"],
        pose.shape,
    )
