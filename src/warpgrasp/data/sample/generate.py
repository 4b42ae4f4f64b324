"""Generates any amount of sample data in seconds, drawn by the built-in z-buffer."""

from pathlib import Path

import numpy as np
from rich.progress import Progress

from warpgrasp.data.dataset import Split
from warpgrasp.data.errors import DataError
from warpgrasp.data.sample.layout import PosedSequence, write_layout
from warpgrasp.data.sample.objects import OBJECT_NAMES
from warpgrasp.data.sample.paint import Scene, paint, save_picture
from warpgrasp.data.sample.sequence import GraspSequence, make_sequence
from warpgrasp.hand import HandModel, open_hand


def generate(root: Path, *, sequences: int, frames: int, seed: int) -> None:
    """Write a data set of `sequences` training sequences of `frames` frames, and a quarter as many for evaluation.

    Raises `DataError` when `root` is there already or there is nothing to write.
    """
    if sequences < 1 or frames < 2:
        raise DataError(f"expected at least 1 sequence of at least 2 frames, got {sequences} of {frames}")
    evaluation = max(1, sequences // 4)
    total = sequences + evaluation
    with Progress(transient=True) as progress:
        task = progress.add_task("grasps", total=total)
        made: dict[str, GraspSequence] = {}
        for number in range(total):
            name = f"G{number + 1}" if number < sequences else f"GE{number - sequences + 1}"
            made[name] = make_sequence(
                seed=int(np.random.SeedSequence([seed, number]).generate_state(1)[0]),
                frames=frames,
                object_name=OBJECT_NAMES[number % len(OBJECT_NAMES)],
                moving_camera=number // 2 % 2 == 1,
            )
            progress.advance(task)
        names = list(made)
        hand = HandModel(open_hand())
        posed = {name: PosedSequence.of(sequence, hand) for name, sequence in made.items()}
        scenes = {name: Scene.random(np.random.default_rng([seed, number])) for number, name in enumerate(names)}
        task = progress.add_task("pictures", total=total * frames)

        def painter(split: Split, name: str, index: int, path: Path) -> None:
            save_picture(paint(made[name], posed[name], hand, scenes[name], index), path)
            progress.advance(task)

        train = {name: made[name] for name in names[:sequences]}
        write_layout(root, train, {name: made[name] for name in names[sequences:]}, painter)
