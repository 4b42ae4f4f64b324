"""The demo: sparse annotations in, measured and visible reconstruction out, beside a fair control."""

import multiprocessing
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from warpgrasp.bounded import parse_json, read_json
from warpgrasp.data import Dataset
from warpgrasp.errors import DataError
from warpgrasp.evaluation import Scores, SurfaceMotion, measure_motion
from warpgrasp.experiments.scoring import picture_size, predict_and_score
from warpgrasp.experiments.sweep import Job, Network, Setting, plan, train_job
from warpgrasp.files import command_line, write_json
from warpgrasp.predictions import read_predictions
from warpgrasp.reconstruction import load_checkpoint
from warpgrasp.report import Report, ReportedArm, ReportedProtocol, TrainingCurve
from warpgrasp.signals import kept_from_new_processes
from warpgrasp.training import LogOptions, Recipe, RunError, Training, open_run, with_every_label


@dataclass(frozen=True)
class DemoSetting(Setting):
    """The jobs of the demo in one folder, with the files of each named by its stage or arm."""

    stems: Mapping[str, str] = field(default_factory=dict)  # by the jobs' fingerprints

    def weights(self, fingerprint: str) -> Path:
        """The file of the weights that a job ends with."""
        return self.out / f"{self.stems[fingerprint]}.safetensors"


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

    With `upper_bound`, train also on every annotation, by the control's protocol. Whatever is finished already in
    `out` is used as it is. `side_by_side` trains the control in a process of its own (the calling script must then be
    guarded by `if __name__ == "__main__"`).
    """
    started_s = time.monotonic()
    arms = {"control": recipe.as_control(), "photometric": recipe}
    if upper_bound:
        arms["full"] = with_every_label(recipe)
    sweep = plan([Network("", arm, chosen) for arm, chosen in arms.items()], Setting(data, out))
    jobs = {network.arm: sweep.jobs[fingerprint] for network, fingerprint in sweep.networks}
    stems = {job.after: "full-stage1" if arm == "full" else "stage1" for arm, job in jobs.items() if job.after}
    setting = DemoSetting(data, out, stems=stems | {job.fingerprint: arm for arm, job in jobs.items()})
    training = setting.training(recipe)
    with open_run(training, out, command=command_line()):
        _train(jobs, sweep.jobs, training, setting, side_by_side=side_by_side)
    on_disk = data.at_size(None)
    motion = measure_motion(on_disk, training.labels, size=picture_size(data))
    scored = {arm: _scored_arm(arm, setting.weights(job.fingerprint), training, data) for arm, job in jobs.items()}
    return Demo(recipe, on_disk, training, scored, motion, _total_seconds(out, time.monotonic() - started_s))


def _train(
    arms: Mapping[str, Job], jobs: Mapping[str, Job], training: Training, setting: Setting, *, side_by_side: bool
) -> None:
    """Train the jobs of the plan, those of stage 2 beside each other."""
    method, log = arms["photometric"], LogOptions()
    if method.after is not None:
        train_job(jobs[method.after], training, setting, log)
    with beside(arms["control"], training, setting, own_process=side_by_side):
        train_job(method, training, setting, log)
    if "full" in arms:
        full, every_label = arms["full"], setting.training(arms["full"].recipe)
        if full.after is not None:
            train_job(jobs[full.after], every_label, setting, log)
        train_job(full, every_label, setting, log)


@contextmanager
def beside(job: Job, training: Training, setting: Setting, *, own_process: bool) -> Iterator[None]:
    """Train the control's stage 2 while the body trains the other arm.

    On a CPU each arm gets a process and half of the threads, since two trainings side by side are faster than one after
    the other with all threads each (docs/performance.md). On a GPU they take turns.
    """
    threads, out = torch.get_num_threads(), setting.weights(job.fingerprint)
    if out.is_file() or torch.cuda.is_available() or threads < 2 or not own_process:
        train_job(job, training, setting, LogOptions())
        yield
        return
    arguments = (job, setting, threads // 2)
    process = multiprocessing.get_context("spawn").Process(target=_train_beside, args=arguments, daemon=True)
    with kept_from_new_processes():
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


def _train_beside(job: Job, setting: Setting, threads: int) -> None:
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    torch.set_num_threads(threads)
    train_job(job, setting.training(job.recipe), setting, LogOptions(show_progress=False))


def _end_with_the_parent() -> None:
    """End this process at once when its parent was killed: the one that goes on with the run must find it alone."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _scored_arm(name: str, weights: Path, training: Training, data: Dataset) -> Arm:
    """Predict every frame, and score those that were never annotated."""
    checkpoint, file = load_checkpoint(weights), weights.with_suffix(".npz")
    groups = {"unannotated": training.labels.unannotated_names, "evaluation": data.names("evaluation")}
    scores = predict_and_score(
        checkpoint,
        data,
        data.names("train") + groups["evaluation"],
        file,
        groups=groups,
        header={"weights": weights.name, "hand": checkpoint.hand},
        show_progress=True,
    )
    return Arm(name, weights, file, scores)


def _total_seconds(out: Path, seconds: float) -> float:
    """Seconds of this run and of the interrupted ones that it goes on from; a finished demo keeps what it took."""
    path = out / "seconds.json"
    before = read_json(path) if path.is_file() else 0.0
    if (out / "results.json").is_file():
        return before
    total = before + seconds
    write_json(path, total)
    return total


def report_of(demo: Demo) -> Report:
    """The content of a finished demo's report."""
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
        curves[name] = _read_curve(arm.weights.with_suffix(".jsonl"), recipe.stage1.steps)
    return Report(demo.data, demo.training.labels, arms, curves, demo.motion, protocol, demo.seconds)


def _read_curve(log: Path, steps_before: int) -> TrainingCurve:
    """The log of a stage; empty where it was removed."""
    lines = log.read_text().splitlines() if log.is_file() else []
    try:
        return TrainingCurve([parse_json(line) for line in lines], steps_before)
    except ValueError as error:
        raise DataError(f"expected a line of JSON for each step in {log}: {str(error)[:200]}") from error
