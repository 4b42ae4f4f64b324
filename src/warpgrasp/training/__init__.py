"""Recipes and the training loop: where Sec. 3.1 meets Sec. 3.2."""

from warpgrasp.training import recipes
from warpgrasp.training.log import LogOptions, Measurement, Monitor, Tracker, choose_tracker
from warpgrasp.training.loop import initial_network, train_stage
from warpgrasp.training.objective import PairFrames, StepBatch, StepLoss, StepWeights
from warpgrasp.training.pairs import FrameCache, PairBatch, compare_pairs
from warpgrasp.training.processes import is_main, keep_freed_memory
from warpgrasp.training.recipes import (
    RECIPES,
    demo,
    toy,
    with_all_that_helps,
    with_every_label,
    with_grasp,
    with_joint_input,
    with_keypoints,
    with_longer_stage2,
    with_near_to_far,
)
from warpgrasp.training.run import (
    RunError,
    Training,
    changed_inputs,
    data_fingerprint,
    fingerprint_of,
    inputs_of,
    note,
    open_run,
)
from warpgrasp.training.settings import LossWeights, Optimisation, Recipe

__all__ = [
    "RECIPES",
    "FrameCache",
    "LogOptions",
    "LossWeights",
    "Measurement",
    "Monitor",
    "Optimisation",
    "PairBatch",
    "PairFrames",
    "Recipe",
    "RunError",
    "StepBatch",
    "StepLoss",
    "StepWeights",
    "Tracker",
    "Training",
    "changed_inputs",
    "choose_tracker",
    "compare_pairs",
    "data_fingerprint",
    "demo",
    "fingerprint_of",
    "initial_network",
    "inputs_of",
    "is_main",
    "keep_freed_memory",
    "note",
    "open_run",
    "recipes",
    "toy",
    "train_stage",
    "with_all_that_helps",
    "with_every_label",
    "with_grasp",
    "with_joint_input",
    "with_keypoints",
    "with_longer_stage2",
    "with_near_to_far",
]
