"""How far off a refined frame is expected to be, by its signs; which frames are doubtful, and which label helps most.

The expected error grows with every sign alone: its square is a sum of squares, each sign by a weight in millimetres per
unit. The weights were fitted on generated recordings (tools/hard_recordings.py, the half that is not reported).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

FLOOR_MM = 2.0  # of a frame of which no sign says anything
DISAGREEMENT, DEPTH_PULL, KEYPOINTS = 0.4, 1.5, 0.6  # mm of error for a millimetre
DIFFERENCE_MM, NOT_COMPARED_MM = 150.0, 100.0  # for a difference of colours of 1; where nothing is compared
UNSEEN_HAND_MM = 10.0
UNLIKE_MASK_MM, LEAST_OVERLAP = 20.0, 0.7  # where a silhouette's overlap with its mask is less: doubtful by itself
CONTRADICTION_MM, CONTRADICTED = 40.0, 0.6  # a closure from which on labels contradict each other; mm for a mm of it
HELPED = 5.0  # frames to both sides that a label helps


@dataclass(frozen=True)
class Signs:
    """What says how far off n frames may be; 0 where a sign says nothing."""

    disagreement_mm: Float[Tensor, " n"]  # of what is carried from either label
    depth_pull_mm: Float[Tensor, " n"]  # how much nearer or farther colours alone would have hand and object
    difference: Float[Tensor, " n"]  # of colours, to the nearest label
    compared_share: Float[Tensor, " n"]  # of the surface that this label shows
    keypoints_mm: Float[Tensor, " n"]  # of the hand's joints from the detected, across the line of sight
    unseen_hand: Float[Tensor, " n"]  # 1 where a detector has looked and sees no hand
    closure_mm: Float[Tensor, " n"]  # of what is carried from one label to the other, and of this label; NaN with one
    unlike_masks: Float[Tensor, " n"] | None = None  # 1 where a silhouette is not its mask's; None: no masks

    def expected_error_mm(self) -> Float[Tensor, " n"]:
        """How far off hand or object, whichever is more, are expected to be."""
        terms = [
            DISAGREEMENT * self.disagreement_mm,
            DEPTH_PULL * self.depth_pull_mm,
            KEYPOINTS * self.keypoints_mm,
            DIFFERENCE_MM * self.difference,
            NOT_COMPARED_MM * (1 - self.compared_share).clamp_min(0),
            UNSEEN_HAND_MM * self.unseen_hand,
            CONTRADICTED * self.closure_mm * (self.closure_mm > CONTRADICTION_MM),
        ]
        if self.unlike_masks is not None:
            terms.append(UNLIKE_MASK_MM * self.unlike_masks)
        return (FLOOR_MM**2 + torch.stack(terms).nan_to_num().square().sum(dim=0)).sqrt()


def most_helpful(expected_mm: Float[np.ndarray, " n"], labelled: Sequence[int]) -> int | None:
    """The position of the frame whose label would take away most of what is expected; None when all are labelled.

    A label takes away the squared error of its own frame, and e^(-d / `HELPED`) of that of a frame d frames away.
    """
    positions = np.arange(len(expected_mm))
    others = np.setdiff1d(positions, labelled)
    if not len(others):
        return None
    helped = np.exp(-np.abs(others[:, None] - positions) / HELPED)
    return int(others[np.argmax(helped @ np.nan_to_num(expected_mm) ** 2)])


def runs(flagged: Bool[np.ndarray, " n"], numbers: Sequence[int]) -> str:
    """The numbers of flagged frames in words, those in a row as one: `3-9, 31`."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flagged, [False]]).astype(int)))
    parts = [(numbers[first], numbers[end - 1]) for first, end in zip(edges[::2], edges[1::2], strict=True)]
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)
