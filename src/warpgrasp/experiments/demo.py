"""The demo: sparse annotations in, measured and visible reconstruction out, beside a fair control."""

import json
import multiprocessing
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from warpgrasp.data import Dataset, FrameSource, fingerprint_of_frames
from warpgrasp.evaluation import Scores, SurfaceMotion, measure_motion, score
from warpgrasp.experiments.scoring import holds_predictions
from warpgrasp.frame import FrameName
from warpgrasp.hand import HandModel
from warpgrasp.inference import predict
from warpgrasp.predictions import Predictions, read_predictions
from warpgrasp.reconstruction import load_checkpoint
from warpgrasp.report import Report, ReportedArm, ReportedProtocol, TrainingCurve
from warpgrasp.training import Recipe, RunError, Training, command_line, open_run, train_stage, write_json


@dataclass(frozen=True)
class Arm:
    """One trained network: its scores on both groups of frames, and its predictions."""

    name: str
    weights: Path
    predictions: Path
    scores: dict[str, Scores]


@dataclass(frozen=True)
class Demo:
    """Everything that the table, the results file and the report are made of."""

    recipe: Recipe
    data: Dataset  # at the size of the pictures on disk
    training: Training
    arms: dict[str, Arm]
    motion: SurfaceMotion
    seconds: float

    def results(self) -> dict[str, Any]:
        """The content of `results.json`."""
        labels = self.training.labels
        return {
            **{name: {group: scores.means for group, scores in arm.scores.items()} for name, arm in self.arms.items()},
            "labels": {
                "annotated": len(labels.annotated_names),
                "total": len(labels.annotated_names) + len(labels.unannotated_names),
                "effective_fraction": labels.effective_fraction,
            },
            "motion_px": {"median": self.motion.median, "p95": self.motion.p95},
            "seed": self.recipe.seed,
            "seconds": self.seconds,
        }

    def per_sequence(self) -> dict[str, Any]:
        """Each arm's mean errors in each sequence, for standard errors."""
        return {
            name: {group: scores.by_sequence() for group, scores in arm.scores.items()}
            for name, arm in self.arms.items()
        }


def run_demo(recipe: Recipe, data: Dataset, out: Path, *, upper_bound: bool, side_by_side: bool = False) -> Demo:
    """Train stage 1, then the method and its control from the same weights; predict; score.

    With `upper_bound`, train also on every annotation with the steps of both stages. Whatever is finished already in
    `out` is used as it is. `side_by_side` trains the control in a process of its own (the calling script must then be
    guarded by `if __name__ == "__main__"`).
    """
    started = time.monotonic()
    training = Training.prepare(recipe, data)
    control = replace(training, recipe=recipe.as_control())
    with open_run(training, out, command=command_line()):
        first = train_stage(training, recipe.stage1, out / "stage1.safetensors")
        weights = {
            "control": out / "control.safetensors",
            "photometric": out / "photometric.safetensors",
        }
        with beside(control, weights["control"], first, own_process=side_by_side):
            train_stage(training, recipe.stage2, weights["photometric"], initial=first)
        if upper_bound:
            full = fully_supervised(recipe, data)
            weights["full"] = train_stage(full, full.recipe.stage1, out / "full.safetensors")

    dataset, on_disk, hand = training.source.dataset, data.at_size(None), data.hand
    names = {"unannotated": training.labels.unannotated_names, "evaluation": on_disk.names("evaluation")}
    every = on_disk.names("train") + names["evaluation"]
    arms = {}
    for name, path in weights.items():
        arms[name] = _score_arm(name, path, dataset, on_disk, every, names, hand)
    motion = measure_motion(on_disk, training.labels, size=picture_size(on_disk))
    return Demo(recipe, on_disk, training, arms, motion, _total_seconds(out, time.monotonic() - started))


@contextmanager
def beside(training: Training, out: Path, first: Path, *, own_process: bool) -> Iterator[None]:
    """Train stage 2 of the control while the body trains the other arm.

    On a CPU each arm gets a process and half of the threads, since two trainings side by side are faster than one after
    the other with all threads each (docs/performance.md). On a GPU they take turns.
    """
    threads = torch.get_num_threads()
    if out.is_file() or torch.cuda.is_available() or threads < 2 or not own_process:
        train_stage(training, training.recipe.stage2, out, initial=first)
        yield
        return
    arguments = (training.recipe, training.source.dataset, out, first, threads // 2, os.getpid())
    process = multiprocessing.get_context("spawn").Process(target=_train_beside, args=arguments, daemon=True)
    process.start()
    torch.set_num_threads(threads - threads // 2)
    try:
        yield
        process.join()
    finally:
        torch.set_num_threads(threads)
        process.terminate()
    if process.exitcode != 0:
        raise RunError(f"expected {out.name} from its own process, which ended with status {process.exitcode}")


def _train_beside(recipe: Recipe, data: Dataset, out: Path, first: Path, threads: int, parent: int) -> None:
    torch.set_num_threads(threads)

    def end_with_the_parent(_: dict[str, float]) -> None:
        if os.getppid() != parent:  # killed: whoever goes on with the run must find it alone
            os._exit(1)

    training = Training.prepare(recipe, data)
    train_stage(training, recipe.stage2, out, initial=first, on_log=end_with_the_parent, show_progress=False)


def fully_supervised(recipe: Recipe, data: Dataset) -> Training:
    """Training on every annotation, with the steps of both stages."""
    steps = recipe.stage1.steps + recipe.stage2.steps
    full = replace(recipe, fraction=1.0, stage1=replace(recipe.stage1, steps=steps))
    return Training.prepare(full, data)


def _score_arm(
    name: str,
    weights: Path,
    dataset: Dataset,
    on_disk: Dataset,
    every: list[FrameName],
    groups: dict[str, list[FrameName]],
    hand: HandModel,
) -> Arm:
    file = weights.with_suffix(".npz")
    checkpoint = load_checkpoint(weights)
    seen = {"weights_sha256": checkpoint.sha256, "input": fingerprint_of_frames(dataset, every)}
    header = {"weights": weights.name, "hand": checkpoint.hand, **checkpoint.training, **seen}
    if not holds_predictions(file, header):
        predict(checkpoint.network(hand), dataset, every, file, header=header)
    predictions: Predictions = read_predictions(file)[0]
    scores = {group: score(predictions, on_disk, names) for group, names in groups.items()}
    return Arm(name, weights, file, scores)


def picture_size(dataset: Dataset) -> tuple[int, int]:
    """(width, height) of the pictures on disk."""
    source = FrameSource(dataset.at_size(None), annotated=[])
    camera = source.frame(dataset.names("train")[0]).camera
    return camera.width, camera.height


def _total_seconds(out: Path, seconds: float) -> float:
    """Seconds of this run and of the interrupted ones that it goes on from; a finished demo keeps what it took."""
    path = out / "seconds.json"
    before = json.loads(path.read_text()) if path.is_file() else 0.0
    if (out / "results.json").is_file():
        return before
    total = before + seconds
    write_json(path, total)
    return total


def report_of(demo: Demo) -> Report:
    """What the report shows of a finished demo."""
    recipe = demo.recipe
    protocol = ReportedProtocol(
        recipe=recipe.name,
        seed=recipe.seed,
        width=recipe.width,
        height=recipe.height,
        encoder_width=recipe.network.width,
        stage1_steps=recipe.stage1.steps,
        stage2_steps=recipe.stage2.steps,
        stage1_batch=recipe.stage1.batch,
        batch=recipe.stage2.batch,
        pairs=recipe.photometric.pairs,
        lambda_c=recipe.photometric.weight,
        ramp_steps=recipe.photometric.ramp_steps,
        both_directions=recipe.photometric.directions == "both",
        contrast_share=recipe.photometric.contrast_share,
    )
    arms = {name: ReportedArm(read_predictions(arm.predictions)[0], arm.scores) for name, arm in demo.arms.items()}
    curves = {"stage 1": _read_curve(demo.arms["control"].weights.with_name("stage1.jsonl"), 0)}
    for name, arm in demo.arms.items():
        before = 0 if name == "full" else recipe.stage1.steps  # full supervision starts from scratch
        curves[name] = _read_curve(arm.weights.with_suffix(".jsonl"), before)
    return Report(demo.data, demo.training.labels, arms, curves, demo.motion, protocol, demo.seconds)


def _read_curve(log: Path, steps_before: int) -> TrainingCurve:
    """The log of a stage; empty where it was removed."""
    lines = log.read_text().splitlines() if log.is_file() else []
    return TrainingCurve([json.loads(line) for line in lines], steps_before)
