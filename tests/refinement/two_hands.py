"""A tiny recording of both hands and one object, whose left hand passes behind the right one."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from tests.sample_set import simple_sequence
from tools.both_hands import TwoHands
from warpgrasp.hand import Side

FRAMES = 8
LABELS: dict[Side, Sequence[int]] = {"right": (1, 6), "left": (1, 6)}
PASSING_M = 0.02


def two_hands(*, passing_m: float = PASSING_M) -> TwoHands:
    """The first tiny sequence with a left hand behind the right one, that moves to the left and back."""
    sequence = simple_sequence("006_mustard_bottle", FRAMES, 0.0)
    scene = TwoHands.of(sequence, sequence, axis=1, away_m=0.0, seed=1)
    left, time = scene.poses["left"], torch.linspace(0, torch.pi, FRAMES)
    passing = torch.stack([-passing_m * torch.sin(time), 0.02 + 0 * time, 0 * time], dim=1)
    moved = replace(left, wrist=left.wrist + passing)
    return replace(scene, poses={**scene.poses, "left": moved})


def write_two_hands(folder: Path, labels: dict[Side, Sequence[int]] | None = None) -> TwoHands:
    """Write the recording to a folder."""
    scene = two_hands()
    scene.write(folder, LABELS if labels is None else labels)
    return scene
