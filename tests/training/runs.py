"""Short trainings of the toy recipe."""

from dataclasses import replace
from pathlib import Path

from warpgrasp.data import open_dataset
from warpgrasp.hand.model import HandModel
from warpgrasp.hand.templates import open_hand
from warpgrasp.reconstruction.checkpoint import Checkpoint, load_checkpoint
from warpgrasp.training.loop import train_stage
from warpgrasp.training.recipes import toy
from warpgrasp.training.run import Training
from warpgrasp.training.settings import Recipe

STEPS = 6  # of each stage


def short_recipe() -> Recipe:
    """The toy recipe with few steps."""
    recipe = toy()
    return replace(recipe, stage1=replace(recipe.stage1, steps=STEPS), stage2=replace(recipe.stage2, steps=STEPS))


def prepare(root: Path, recipe: Recipe) -> Training:
    """A training with the open hand."""
    return Training.prepare(recipe, open_dataset(root, HandModel(open_hand())))


def train_both(training: Training, out: Path) -> Checkpoint:
    """Both stages; what the last one ends with."""
    first = train_stage(training, training.recipe.stage1, out / "stage1.safetensors")
    return load_checkpoint(train_stage(training, training.recipe.stage2, out / "weights.safetensors", initial=first))


def spoil(path: Path) -> None:
    """Change the last byte of a file, and neither its name nor its size."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
