"""The benchmark as files, in HO-3D version 3's layout: the sequences are made and filmed in several processes.

What a sequence shows is decided by the seed and its number alone, so neither the number of processes nor that of the
sequences changes it.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from rich.progress import Progress

from warpgrasp.data.benchmark.action import KINDS, ON_THE_TABLE, Kind
from warpgrasp.data.benchmark.film import Skin, Take
from warpgrasp.data.benchmark.objects import NAMES, held_object
from warpgrasp.data.benchmark.view import make_scene
from warpgrasp.data.dataset import Split
from warpgrasp.data.sample import check_new, evaluation_count, save_picture, write_lists, write_sequence
from warpgrasp.errors import DataError
from warpgrasp.files import replacing_folder, write_json
from warpgrasp.hand import HandModel, open_hand
from warpgrasp.terminal import Terminal

TRAINING_SKINS, EVALUATION_SKINS = (0, 1, 2, 3), (4, 5)
TRAINED_ALONE = ("bowl", "hammer")  # objects that no evaluation sequence shows
TRIES = 4  # of other seeds, where one finds no sequence that keeps the rules
FACTS = "benchmark.json"


@dataclass(frozen=True)
class Order:
    """A sequence that is wanted."""

    split: Split
    name: str
    object_name: str
    kind: Kind
    frames: int
    seed: tuple[int, int, int]  # of the set, of the split, of the sequence


@dataclass(frozen=True)
class Filmed:
    """A sequence that has been written."""

    order: Order
    joints: list[np.ndarray]
    vertices: list[np.ndarray]


def orders(sequences: int, frames: int, seed: int) -> list[Order]:
    """The training sequences, and a quarter as many for evaluation, whose objects are among the trained ones."""
    evaluated = tuple(name for name in NAMES if name not in TRAINED_ALONE)
    listed: list[Order] = []
    splits: tuple[tuple[Split, int, tuple[str, ...], str], ...] = (
        ("train", sequences, NAMES, "B"),
        ("evaluation", evaluation_count(sequences), evaluated, "BE"),
    )
    for split, count, names, prefix in splits:
        for number in range(count):
            name = names[number % len(names)]
            kind: Kind = KINDS[(number + number // len(names)) % len(KINDS)]
            if kind in ON_THE_TABLE and not held_object(name).stands:
                kind = "slide"
            own = (seed, 0 if split == "train" else 1, number)
            listed.append(Order(split, f"{prefix}{number + 1:03d}", name, kind, frames, own))
    trained = {order.object_name for order in listed if order.split == "train"}
    first = min(trained, key=NAMES.index)
    return [
        order if order.object_name in trained else replace(order, object_name=first, kind="turn") for order in listed
    ]


def is_benchmark(root: Path) -> bool:
    """Whether a folder holds the benchmark, of whatever size."""
    return (root / FACTS).is_file()


def generate_benchmark(root: Path, *, sequences: int, frames: int, seed: int, processes: int | None = None) -> None:
    """Write the benchmark: `sequences` training sequences of `frames` frames, and a quarter as many for evaluation.

    The folder appears under its name only when it is whole. `processes` are as many as the machine has processors
    unless they are given. Raises `DataError` when `root` is there already or there is nothing to write.
    """
    if sequences < 1 or frames < 2:
        raise DataError(f"expected at least 1 sequence of at least 2 frames, got {sequences} of {frames}")
    check_new(root)
    wanted = orders(sequences, frames, seed)
    with replacing_folder(root) as folder, Progress(console=Terminal(), transient=True) as progress:
        for name in NAMES:
            (folder / "models" / name).mkdir(parents=True)
            held_object(name).write(folder / "models" / name)
        filmed = {}
        workers = min(processes or _processors(), len(wanted))
        for done in progress.track(_filmed(folder, wanted, workers), len(wanted), description="sequences"):
            filmed[done.order.name] = done
        for split in ("train", "evaluation"):
            mine = [filmed[order.name] for order in wanted if order.split == split]
            lengths = {done.order.name: frames for done in mine}
            joints = [row for done in mine for row in done.joints]
            vertices = [row for done in mine for row in done.vertices]
            write_lists(folder, split, lengths, joints, vertices)
        facts = {
            done.order.name: {"object": done.order.object_name, "kind": done.order.kind} for done in filmed.values()
        }
        write_json(folder / FACTS, {"seed": seed, "frames": frames, "sequences": dict(sorted(facts.items()))})


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _filmed(folder: Path, wanted: list[Order], workers: int) -> Iterator[Filmed]:
    """The sequences as they are finished; in this process where one is enough."""
    if workers <= 1:
        yield from (film(folder, order) for order in wanted)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        waiting = [pool.submit(film, folder, order) for order in wanted]
        try:
            for done in as_completed(waiting):
                yield done.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _one_thread() -> None:
    torch.set_num_threads(1)


def film(root: Path, order: Order) -> Filmed:
    """Make a sequence and write its files."""
    sequence, generator = _made(order)
    skins = TRAINING_SKINS if order.split == "train" else EVALUATION_SKINS
    tint = generator.uniform(0.82, 1.05) * (1 + generator.uniform(-0.04, 0.04, 3))
    red, green, blue = map(float, tint)
    take = Take(sequence, Skin(int(generator.choice(skins)), (red, green, blue)), generator)

    def paint(index: int, path: Path) -> None:
        image = torch.from_numpy(take.picture(index)).permute(2, 0, 1).float()
        save_picture(image, path, quality=take.lens.quality)

    thing = held_object(order.object_name)
    joints, vertices = write_sequence(
        root,
        order.split,
        order.name,
        sequence,
        paint,
        label=NAMES.index(thing.name) + 1,
        surface=thing.surface,
        hand=HandModel(open_hand()),
    )
    return Filmed(order, joints, vertices)


def _made(order: Order):
    for attempt in range(TRIES):
        generator = np.random.default_rng([*order.seed, attempt])
        try:
            return make_scene(generator, held_object(order.object_name), order.kind, order.frames), generator
        except RuntimeError:
            continue
    raise RuntimeError(f"no sequence of {order.object_name} ({order.kind}) kept the rules from seed {order.seed}")
