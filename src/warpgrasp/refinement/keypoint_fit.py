"""Poses moved to where a detector sees the hand: all frames of a recording together, or each predicted frame alone.

`moved_to_seen_hand` moves the hand alone, smoothly from frame to frame, from where the labels put it: far from any
label, too. That is where the refinement of a recording starts.
`to_keypoints` moves predictions, hand and object as one, so that a grasp is kept, until the detector's joints are where
it would see them (`reprojection_loss`), against a normal prior about the prediction; besides, the hand turns a little
and its joints bend. Along the line of sight, of which keypoints say little, hardly anything moves. The constants were
chosen on generated sequences (docs/own_video.md has what they give). Neither is part of the paper.
"""

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from scipy.ndimage import median_filter
from torch import Tensor

from warpgrasp.frame import Detections, Pose
from warpgrasp.geometry import Camera, matrix_from_axis_angle
from warpgrasp.hand import HandModel
from warpgrasp.keypoints import JointOffsets, reprojection_loss
from warpgrasp.refinement.offsets import MOVE_M, Adam, Offsets, accelerations, bends, moved, no_offsets
from warpgrasp.refinement.seen_hand import SeenHand
from warpgrasp.scene import posed_hand

# `moved_to_seen_hand`.
SMOOTH_COST, BEND_COST = 0.02, 0.5  # of accelerations and of bends from the labels', beside `SeenHand.cost`
RATES = ((0.6, 150), (0.2, 70), (0.06, 30))  # of Adam, and for how many steps
STILL_COST = 2e-4  # of a unit's motion from frame to frame where the hand is not seen: it comes to rest in ten or so
FRAMES_AT_ONCE = 512  # whose joints are computed together, which bounds memory
MEDIAN_FRAMES = 9  # a hand that is mistaken in at most four frames in a row does not move the start
# `to_keypoints`: standard deviations of the prior, which are also what one unit of an offset is: Adam moves all of them
# alike.
TURN_RAD, ACROSS_M, ALONG_M, HAND_TURN_RAD, BEND_RAD = 0.3, 0.04, 0.01, 0.15, 0.15
LIKELIHOOD = 5.0  # by which a frame's mean over its joints counts: their errors go together
STEPS, RATE = 30, 0.3
OFFSET_SIZES = {"turn": 3, "move": 3, "hand_turn": 3, "bend": 45}


def moved_to_seen_hand(start: Pose, seen: SeenHand, labelled: Bool[Tensor, " n"], times: Float[Tensor, " n"]) -> Pose:
    """The poses with the hand of every frame but the labelled ones where it is seen; the object stays.

    Where it is seen in no frame, nothing is changed.
    """
    if not bool((seen.detected & ~labelled).any()):
        return start
    single = start.to(torch.float32)
    offsets = no_offsets(len(start))
    with torch.no_grad():
        offsets["hand_move"][:, :2] = _moves_across(single, seen, labelled, times) / MOVE_M
    optimiser = Adam(offsets)
    for rate, steps in RATES:
        for _ in range(steps):
            _gradients(offsets, single, seen, labelled, times)
            optimiser.step(rate)
    with torch.no_grad():
        return moved(start, offsets)


def _gradients(
    offsets: Offsets, start: Pose, seen: SeenHand, labelled: Bool[Tensor, " n"], times: Float[Tensor, " n"]
) -> None:
    for offset in offsets.values():
        offset.grad = None
    for rows in torch.arange(len(start)).split(FRAMES_AT_ONCE):
        poses = moved(start.rows(rows), {name: offset[rows] for name, offset in offsets.items()})
        seen.rows(rows).cost(poses)[~labelled[rows]].sum().backward()
    unseen = (~seen.detected[1:] / times.diff()).float()
    steps = (offsets[name].diff(dim=0).square().sum(dim=1) for name in ("hand_turn", "hand_move"))
    strayed = sum((unseen * step).sum() for step in steps)
    smooth = SMOOTH_COST * accelerations(moved(start, offsets), times)
    (smooth + BEND_COST * bends(offsets).sum() + STILL_COST * strayed).backward()
    for offset in offsets.values():
        assert offset.grad is not None
        offset.grad[labelled] = 0


@torch.no_grad()
def _moves_across(
    start: Pose, seen: SeenHand, labelled: Bool[Tensor, " n"], times: Float[Tensor, " n"]
) -> Float[Tensor, "n 2"]:
    """The moves across the line of sight that bring the middle of the hand to where it is seen."""
    away_px, known = seen.away_px(start), seen.detected | labelled
    away_px[labelled] = 0
    at, between = times[known].numpy(), times.numpy()
    curves = [np.interp(between, at, column) for column in away_px[known].double().numpy().T]
    smooth = median_filter(np.stack(curves, axis=1), size=(MEDIAN_FRAMES, 1), mode="nearest")
    moves = torch.from_numpy(smooth).to(start.wrist) * start.wrist[:, 2:] / seen.camera.focal_px
    moves[labelled] = 0
    return moves


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
        there = _moved_with_object(pose, offsets, pivot, sight)
        joints = posed_hand(there, hand)[1]
        misfit = LIKELIHOOD * reprojection_loss(joints, there.hand_rotation, camera, detections, seen_at)
        cost = misfit + sum(values.square().sum(dim=1) for values in offsets.values()) / 2
        for values in offsets.values():
            values.grad = None
        cost.sum().backward()
        optimiser.step(RATE * (1 - step / STEPS))  # or it would end beside the minimum
    with torch.no_grad():
        there = _moved_with_object(pose, offsets, pivot, sight)
    kept = (detections.confidence.sum(dim=1) == 0).to(pivot.device)

    def chosen(name: str) -> Tensor:
        before, after = pose.arrays[name], there.arrays[name]
        return torch.where(kept.view(-1, *[1] * (before.dim() - 1)), before, after)

    return Pose(**{name: chosen(name) for name in pose.arrays})


def _lines_of_sight(points: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3 3"]:
    """Axes across and along the line of sight to each point, as columns; the last is along."""
    along = F.normalize(points, dim=-1)
    down = along.new_tensor([0.0, 1.0, 0.0]).expand_as(along)
    across = F.normalize(torch.linalg.cross(down, along), dim=-1)
    return torch.stack([across, torch.linalg.cross(along, across), along], dim=-1)


def _moved_with_object(
    pose: Pose, offsets: Offsets, pivot: Float[Tensor, "n 3"], sight: Float[Tensor, "n 3 3"]
) -> Pose:
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
