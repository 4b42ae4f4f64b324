"""Where the hand starts when a detector sees the hand in every frame: far from any label, too.

The hand is moved, in all frames together and smoothly, from where the labels put it to where its joints are seen.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.ndimage import median_filter
from torch import Tensor

from warpgrasp.frame import Pose
from warpgrasp.refinement.offsets import MOVE_M, Adam, Offsets, accelerations, bends, moved, no_offsets
from warpgrasp.refinement.seen_hand import SeenHand

SMOOTH_COST, BEND_COST = 0.02, 0.5  # of accelerations and of bends from the labels', beside `SeenHand.cost`
RATES = ((0.6, 150), (0.2, 70), (0.06, 30))  # of Adam, and for how many steps
STILL_COST = 2e-4  # of a unit's motion from frame to frame where the hand is not seen: it comes to rest in ten or so
FRAMES_AT_ONCE = 512  # whose joints are computed together, which bounds memory
MEDIAN_FRAMES = 9  # a hand that is mistaken in at most four frames in a row does not move the start


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
        return moved(start, {name: offset.to(start.wrist) for name, offset in offsets.items()})


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
