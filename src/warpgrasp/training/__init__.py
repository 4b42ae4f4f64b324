"""Recipes and the training loop: where Sec. 3.1 meets Sec. 3.2."""

from warpgrasp.training.frame_cache import FrameConstants
from warpgrasp.training.loop import Training, initial_network, train_stage
from warpgrasp.training.measurements import Measuring
from warpgrasp.training.objective import PairBatch, compare_pairs, on_pairs, supervised
from warpgrasp.training.processes import is_main, keep_freed_memory
from warpgrasp.training.recipes import RECIPES, demo, toy, with_grasp, with_near_to_far
from warpgrasp.training.run import (
    RunError,
    changed_inputs,
    command_line,
    commit,
    data_fingerprint,
    fingerprint_of,
    inputs_of,
    note,
    open_run,
    write_json,
)
from warpgrasp.training.settings import LossWeights, Recipe
from warpgrasp.training.tracking import Tracker, choose_tracker

__all__ = [
    "RECIPES",
    "FrameConstants",
    "LossWeights",
    "Measuring",
    "PairBatch",
    "Recipe",
    "RunError",
    "Tracker",
    "Training",
    "changed_inputs",
    "choose_tracker",
    "command_line",
    "commit",
    "compare_pairs",
    "data_fingerprint",
    "demo",
    "fingerprint_of",
    "initial_network",
    "inputs_of",
    "is_main",
    "keep_freed_memory",
    "note",
    "on_pairs",
    "open_run",
    "supervised",
    "toy",
    "train_stage",
    "with_grasp",
    "with_near_to_far",
    "write_json",
]
