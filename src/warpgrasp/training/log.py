"""What a stage of training writes beside its weights: log, progress bar, tracked curves, snapshots, measured errors.

The log (JSONL) and the bar need no tracker. Curves go to TensorBoard, Weights & Biases or MLflow through Accelerate. No
weight depends on any of this.
"""

import json
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, TextIO, assert_never

import numpy as np
import torch
from accelerate import Accelerator
from jaxtyping import Float, UInt8
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text
from torch import Tensor

from warpgrasp.bounded import parse_json
from warpgrasp.data import Dataset, Labels
from warpgrasp.errors import UserError
from warpgrasp.evaluation import score
from warpgrasp.files import appending, write_text
from warpgrasp.frame import FrameName
from warpgrasp.inference import predict_few
from warpgrasp.reconstruction import Checkpoint, HandObjectNetwork, save_checkpoint
from warpgrasp.report import Window, choose_frames, compare_pair, labels_of, pixels_of, predicted_scene
from warpgrasp.scene import Scene
from warpgrasp.terminal import Terminal
from warpgrasp.training.processes import mean_over_processes
from warpgrasp.training.run import TRACKING_FOLDER, Training

LOG_EVERY_STEPS = 10
Tracker = Literal["tensorboard", "wandb", "mlflow", "none"]
INSTALLED_BY: Mapping[str, str] = {
    "tensorboard": "pip install 'warpgrasp[tracking]'",
    "wandb": "pip install wandb",
    "mlflow": "pip install mlflow",
}
MONITORED_FRAMES = 48  # of each group, evenly chosen
PICTURED_FRAMES = 2
Picture = UInt8[np.ndarray, "h w 3"]
LogRow = dict[str, float | int]


@dataclass(frozen=True)
class Measurement:
    """What is measured of a network while it trains."""

    values: dict[str, float] = field(default_factory=dict)
    pictures: dict[str, Picture] = field(default_factory=dict)  # by name; they go to the tracker alone


@dataclass(frozen=True)
class LogOptions:
    """What is written and shown of a stage."""

    tracker: Tracker = "none"
    snapshots: Collection[int] = ()  # after how many steps the weights are kept (`snapshot_file`)
    measure: Callable[[HandObjectNetwork], Measurement] | None = None  # leaves the network as it was
    measure_every: int = 0  # steps, about
    show_progress: bool = True
    on_row: Callable[[LogRow], None] | None = None  # called with each row of the log


class TrainingLog:
    """The writer of one stage. In a training of several processes the main one writes and the others take part."""

    def __init__(
        self,
        accelerator: Accelerator,
        file: TextIO,
        progress: Progress,
        options: LogOptions,
        *,
        out: Path,
        steps: range,
    ):
        self._accelerator, self._file, self._progress, self._options = accelerator, file, progress, options
        self._out, self._steps = out, steps
        self._task = progress.add_task("", total=steps.stop, completed=steps.start)
        self._started_s = time.monotonic()

    def step(
        self,
        step: int,
        network: HandObjectNetwork,
        loss: Float[Tensor, ""],
        terms: Mapping[str, Float[Tensor, ""]],
        **settings: float,
    ) -> None:
        """Count a step; every ten steps and at the last one, log its loss, its settings and the terms of its loss."""
        self._progress.advance(self._task)
        is_last = step == self._steps.stop - 1
        if step % LOG_EVERY_STEPS and not is_last:
            return
        stacked = torch.stack([value.detach() for value in (loss, *terms.values())])
        means = mean_over_processes(self._accelerator, stacked).tolist()
        seconds = time.monotonic() - self._started_s
        row: LogRow = {"step": step, "loss": means[0], **settings, "seconds": seconds}
        row |= dict(zip(terms, means[1:], strict=True))
        self._write(row | self._measured(network, step, is_last=is_last))

    def _measured(self, network: HandObjectNetwork, step: int, *, is_last: bool) -> dict[str, float]:
        options = self._options
        if options.measure is None or not self._accelerator.is_main_process:
            return {}
        if not is_last and step % options.measure_every >= LOG_EVERY_STEPS:
            return {}
        measurement = options.measure(network)
        _track_pictures(self._accelerator, measurement.pictures, step)
        return measurement.values

    def _write(self, row: LogRow) -> None:
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()
        values = {name: value for name, value in row.items() if name != "step"}
        self._accelerator.log(values, step=int(row["step"]))
        if self._options.on_row is not None:
            self._options.on_row(row)

    def snapshot(self, step: int, checkpoint: Callable[[int], Checkpoint]) -> None:
        """Keep the weights after a step, where they are asked for; `checkpoint` gives those of a number of steps."""
        if self._accelerator.is_main_process and step + 1 in self._options.snapshots:
            save_checkpoint(snapshot_file(self._out, step + 1), checkpoint(step + 1))


@contextmanager
def open_log(
    accelerator: Accelerator, out: Path, options: LogOptions, *, steps: range, notes: Mapping[str, str]
) -> Iterator[TrainingLog]:
    """Write the log of a stage while the body trains the `steps` that are left; `out` will be its checkpoint.

    What was logged of these steps before the stage was interrupted is forgotten.
    """
    path, writes = out.with_suffix(".jsonl"), accelerator.is_main_process
    if writes:
        _truncate_log(path, steps.start)
    with (
        _progress_bar(f"stage {notes['stage']} {out.stem}", shown=options.show_progress and writes) as progress,
        appending(path) if writes else open(os.devnull, "w") as file,
        _tracked(accelerator, out, options.tracker, notes=notes, first_step=steps.start),
    ):
        yield TrainingLog(accelerator, file, progress, options, out=out, steps=steps)


def snapshot_file(out: Path, steps: int) -> Path:
    """The file of the weights after a number of steps, beside the checkpoint `out` of the stage."""
    return out.with_suffix(f".step{steps:07d}.safetensors")


def _truncate_log(path: Path, first_step: int) -> None:
    """Forget what was logged after the state that the training goes on from."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file():
        return
    kept = []
    for line in path.read_text().splitlines():
        try:
            if parse_json(line)["step"] < first_step:
                kept.append(line + "\n")
        except (ValueError, LookupError, TypeError):  # the line that was being written when the process was killed
            break
    write_text(path, "".join(kept))


class _Rate(ProgressColumn):
    """Steps per second."""

    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:.1f} steps/s")


def _progress_bar(description: str, *, shown: bool) -> Progress:
    columns = (TextColumn(description, markup=False), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    return Progress(*columns, console=Terminal(), disable=not shown)


class TrackerError(UserError):
    """A tracker that was asked for is not installed."""


def choose_tracker(asked: Tracker | None) -> Tracker:
    """The tracker that was asked for; where none was, TensorBoard if it is installed, and otherwise none.

    Raises `TrackerError` when the one asked for is not installed.
    """
    if asked is None:
        return "tensorboard" if find_spec("tensorboard") is not None else "none"
    if asked != "none" and find_spec(asked) is None:
        raise TrackerError(
            f"expected {asked} to be installed for --tracker {asked}, found no such package; "
            f"install it by `{INSTALLED_BY[asked]}`, or choose --tracker none"
        )
    return asked


def accelerator_for(tracker: Tracker, run: Path, *, cpu: bool) -> Accelerator:
    """Accelerate's devices, with a tracker that writes into the folder of a run."""
    if tracker == "none":
        return Accelerator(cpu=cpu)
    return Accelerator(cpu=cpu, log_with=tracker, project_dir=run / TRACKING_FOLDER)


@contextmanager
def _tracked(
    accelerator: Accelerator, out: Path, tracker: Tracker, *, notes: Mapping[str, str], first_step: int
) -> Iterator[None]:
    """Let `accelerator.log` reach the tracker while the body trains a stage, whose checkpoint will be `out`.

    Where a stage goes on, TensorBoard hides what it showed of the steps that are made again, and Weights & Biases goes
    on with the same run; MLflow gets another run of the same name.
    """
    name, folder = f"{out.parent.resolve().name}-{out.stem}", out.parent / TRACKING_FOLDER
    match tracker:
        case "tensorboard":  # without the notes, for which it would write a file more at each start
            options = {"purge_step": first_step}
            accelerator.init_trackers(out.stem, init_kwargs={tracker: options})
        case "wandb":
            options = {"name": name, "id": name, "resume": "allow", "dir": str(folder)}
            accelerator.init_trackers("warpgrasp", config=dict(notes), init_kwargs={tracker: options})
        case "mlflow":
            accelerator.init_trackers("warpgrasp", config=dict(notes), init_kwargs={tracker: {"run_name": name}})
        case "none":
            pass
        case _:
            assert_never(tracker)
    try:
        yield
    finally:
        for opened in accelerator.trackers:
            opened.finish()


def _track_pictures(accelerator: Accelerator, pictures: Mapping[str, Picture], step: int) -> None:
    for tracker in accelerator.trackers:
        for name, picture in pictures.items():
            match tracker.name:
                case "tensorboard":
                    tracker.log_images({name: picture[None]}, step=step, dataformats="NHWC")  # pyright: ignore[reportAttributeAccessIssue]
                case "wandb":
                    tracker.log_images({name: [picture]}, step=step)  # pyright: ignore[reportAttributeAccessIssue]
                case "mlflow":
                    import mlflow  # pyright: ignore[reportMissingImports]

                    mlflow.log_image(picture, key=name.replace("/", "."), step=step)


@dataclass(frozen=True)
class Monitor:
    """Measures a network on a few frames of each group: mean errors, and pictures of the photometric term."""

    dataset: Dataset  # at the size that the network sees
    groups: dict[str, list[FrameName]]
    labels: Labels
    pictured: list[FrameName]  # unannotated frames, near to their label and far from it

    @staticmethod
    def of(training: Training) -> "Monitor":
        """Choose annotated, never-annotated and evaluation frames, as far as their truth is known on disk."""
        labels, dataset = training.labels, training.source.dataset
        groups = {
            "annotated": labels.annotated_names,
            "unannotated": labels.unannotated_names,
            "evaluation": dataset.names("evaluation"),
        }
        monitored = {group: _evenly_chosen(dataset, names) for group, names in groups.items()}
        # Pictures compare a frame with its label, so that sequences without a label have none.
        unannotated = {name: rest for name, rest in labels.unannotated.items() if labels.annotated[name]}
        pictured = choose_frames(replace(labels, unannotated=unannotated), {}, training_count=PICTURED_FRAMES)
        return Monitor(dataset, monitored, labels, pictured)

    def __call__(self, network: HandObjectNetwork) -> Measurement:
        """Mean errors by `group/metric`, and pictures. The network is left as it was."""
        modes = {module: module.training for module in network.modules()}
        values, on_disk = {}, self.dataset.at_size(None)
        for group, names in self.groups.items():
            if names:
                means = score(predict_few(network, self.dataset, names), on_disk, names).means
                values |= {f"{group}/{metric}": value for metric, value in means.items()}
        pictures = {f"warp/{name}": self._warp(network, name) for name in self.pictured}
        for module, mode in modes.items():
            module.training = mode
        return Measurement(values, pictures)

    def _warp(self, network: HandObjectNetwork, name: FrameName) -> Picture:
        """The labelled reference, the frame warped to it by the prediction, and the residual, side by side."""
        on_disk = self.dataset.at_size(None)
        predicted = predicted_scene(on_disk, predict_few(network, self.dataset, [name]), name)
        frame = on_disk.frame(name, annotated=False)
        reference = on_disk.frame(self.labels.reference(name), annotated=True)
        assert reference.annotation is not None
        annotated = Scene.annotated(on_disk.hand, reference.annotation, reference.object)
        window = Window.around(labels_of(annotated, reference.camera) > 0, margin=0.15)
        compared = compare_pair(frame, predicted, reference, annotated, window)
        return pixels_of(torch.cat([window.of(reference.image), compared.warped, compared.residual], dim=2))


def _evenly_chosen(dataset: Dataset, names: Sequence[FrameName]) -> list[FrameName]:
    """At most so many frames, evenly spread, without those that have no truth."""
    stride = max(1, -(-len(names) // MONITORED_FRAMES))
    return [name for name in names[::stride] if dataset.is_annotated(name)]
