"""The training loop: linear, resumable, and the same for the method and its control."""

import json
import os
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text
from torch import Tensor

from warpgrasp.data import (
    Dataset,
    FrameSource,
    Labels,
    NearToFar,
    OnBad,
    annotatable,
    choose_labels,
    draw,
    join_datasets,
)
from warpgrasp.errors import DataError
from warpgrasp.frame import FrameName, ObjectModel, move_to
from warpgrasp.geometry import mean_rotation
from warpgrasp.hand import HandModel
from warpgrasp.reconstruction import Checkpoint, HandObjectNetwork, checkpoint_of, load_checkpoint, save_checkpoint
from warpgrasp.reconstruction.encoders import freeze_batch_norm, load_encoder_weights, precision_on
from warpgrasp.training.objective import PairWeights
from warpgrasp.training.processes import (
    check_shareable,
    keep_freed_memory,
    mean_over_processes,
    mine,
    rows_of,
    share_batch_norm,
)
from warpgrasp.training.settings import Optimisation, Recipe
from warpgrasp.training.step import PairFrames, StepBatch, StepLoss
from warpgrasp.training.tracking import Measured, Tracker, accelerator_for, log_pictures, tracked

LOG_EVERY_STEPS = 10
SAVE_EVERY_S = 30.0


@dataclass(frozen=True)
class Training:
    """A recipe and the data that it trains on. Only the chosen annotations can be read through `source`.

    `labels` are those of the data set itself; the frames of data that is added to it are all annotated.
    """

    recipe: Recipe
    hand: HandModel
    labels: Labels
    source: FrameSource
    objects: list[ObjectModel]
    added_names: tuple[FrameName, ...] = ()

    @staticmethod
    def prepare(
        recipe: Recipe, dataset: Dataset, extra: Sequence[Dataset] = (), *, on_bad: OnBad = "refuse"
    ) -> "Training":
        """Choose the annotated frames of a data set; add all those of the extra ones, which are never paired.

        Raises `DataError` when the data set has none.
        """
        dataset = dataset.at_size((recipe.width, recipe.height))
        possible = annotatable(dataset, on_bad)
        if not possible:
            raise DataError(f"expected annotated training frames in {dataset.root}, found none")
        labels = choose_labels(
            dataset.sequences["train"],
            fraction=recipe.fraction,
            sampling=recipe.sampling,
            annotatable=possible,
        )
        if not extra:
            source = FrameSource(dataset, annotated=labels.annotated_names, on_bad=on_bad)
            return Training(recipe, dataset.hand, labels, source, dataset.objects("train"))
        whole = join_datasets(dataset, [one.at_size(dataset.size) for one in extra])
        possible = annotatable(whole, on_bad)
        added = tuple(name for name in whole.added_names if name in possible)
        source = FrameSource(whole, annotated=[*labels.annotated_names, *added], on_bad=on_bad)
        return Training(recipe, dataset.hand, labels, source, whole.objects("train"), added)

    @property
    def supervised_names(self) -> list[FrameName]:
        """Every frame whose annotation is used."""
        return [*self.labels.annotated_names, *self.added_names]

    def notes(self) -> dict[str, str]:
        """What a checkpoint says of its training; the size is that at which the network sees pictures."""
        recipe = self.recipe
        size = {"width": str(recipe.width), "height": str(recipe.height)}
        return {"recipe": recipe.name, "seed": str(recipe.seed), "lambda_c": str(recipe.photometric.weight), **size}

    def generator(self, stage: int, step: int) -> torch.Generator:
        """The random draws of one step, a function of the seed and the step alone."""
        seed = np.random.SeedSequence([self.recipe.seed, stage, step]).generate_state(2, np.uint64)
        return torch.Generator().manual_seed(int(seed[0] >> np.uint64(1)))


def initial_network(training: Training) -> HandObjectNetwork:
    """The untrained network of a recipe; its draws come from the recipe's seed alone."""
    recipe = training.recipe
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        network = HandObjectNetwork(recipe.network, training.hand, tuple(model.name for model in training.objects))
    load_encoder_weights(network.encoder, recipe.encoder_weights)
    if recipe.base_rotations:
        frames = [row[0] for row in training.source.readable(training.supervised_names)]
        hands, by_object = [], {name: [] for name in network.object_names}
        for frame in frames:
            if frame.annotation is not None and frame.annotation.hand_rotation is not None:
                hands.append(frame.annotation.hand_rotation)
                by_object[frame.object.name].append(frame.annotation.object_rotation)
        network.set_base_rotations(
            mean_rotation(torch.stack(hands)),
            {name: mean_rotation(torch.stack(rotations)) for name, rotations in by_object.items() if rotations},
        )
    return network


def train_stage(
    training: Training,
    optimisation: Optimisation,
    out: Path,
    *,
    initial: Path | None = None,
    on_log: Callable[[dict[str, float]], None] | None = None,
    show_progress: bool = True,
    tracker: Tracker = "none",
    snapshots: Collection[int] = (),
    measure: Callable[[HandObjectNetwork], Measured] | None = None,
    measure_every: int = 0,
) -> Path:
    """Train one stage and return its checkpoint, `out`; `out` with a suffix holds the log and the state to resume from.

    Without `initial` this is stage 1, on annotated frames alone. With `initial`, the checkpoint of stage 1, it is stage
    2, on annotated frames and pairs, with a fresh optimiser. An interrupted stage goes on where its last state was
    saved, and ends with the weights of an undisturbed one; a finished one is returned as it is. What is logged goes to
    `tracker` as well. The weights after each of `snapshots` steps are kept (`snapshot_file`). About every
    `measure_every` steps, what `measure` says of the network is logged too, and its pictures go to the tracker; no
    weight depends on it.
    """
    if out.is_file():
        return out
    recipe, stage = training.recipe, 1 if initial is None else 2
    accelerator = accelerator_for(tracker, out.parent, cpu=not torch.cuda.is_available())
    network = initial_network(training) if initial is None else load_checkpoint(initial).network(training.hand)
    network.encoder_precision = precision_on(accelerator.device, recipe.precision)
    check_shareable(accelerator, skips_bad_frames=training.source.on_bad == "skip")
    frozen = recipe.freeze_batch_norm == "always" or (recipe.freeze_batch_norm == "stage2" and stage == 2)
    share_batch_norm(accelerator, network, frozen=frozen)
    network.to(accelerator.device)
    # As its pictures lie in memory. (The overload is missing in PyTorch's type stubs.)
    network.encoder.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    optimiser = torch.optim.Adam(
        network.parameters(), lr=optimisation.learning_rate, eps=optimisation.epsilon, fused=True
    )
    state_path, log_path = out.with_suffix(".state.safetensors"), out.with_suffix(".jsonl")
    first_step = _resume(state_path, network, optimiser) if state_path.is_file() else 0
    writes = accelerator.is_main_process
    if writes:
        _truncate_log(log_path, first_step)

    network.train()
    if frozen:
        freeze_batch_norm(network)
    step_loss, optimiser = accelerator.prepare(StepLoss(network, recipe), optimiser)
    annotated = training.supervised_names
    unannotated = NearToFar(training.labels, steps=recipe.photometric.near_to_far_steps)
    if stage == 2 and not unannotated.every:
        raise DataError("expected unannotated frames for stage 2, but every training frame is annotated")
    rows = rows_of(accelerator, optimisation.batch, what="annotated frames")
    pair_rows = rows_of(accelerator, recipe.photometric.pairs, what="pairs")

    def drawn(step: int) -> tuple[Sequence[FrameName], Sequence[FrameName], Sequence[FrameName]]:
        """The annotated frames of a step, the targets and their references."""
        names = draw(annotated, batch=optimisation.batch, step=step, seed=[recipe.seed, stage, 0])
        if stage == 1:
            return mine(rows, names), [], []
        others = draw(unannotated.names(step), batch=recipe.photometric.pairs, step=step, seed=[recipe.seed, stage, 1])
        targets = mine(pair_rows, others)
        return mine(rows, names), targets, [training.labels.reference(name) for name in targets]

    def read(step: int) -> StepBatch:
        names, targets, references = drawn(step)
        frames = training.source.frames(names)
        pairs = PairFrames(*training.source.pairs(targets, references), pair_rows) if stage == 2 else None
        return move_to(StepBatch(frames, rows, pairs), accelerator.device)

    keep_freed_memory()
    ahead = steps_ahead(accelerator.device)
    for step in range(first_step, min(first_step + ahead, optimisation.steps)):
        training.source.ahead([name for column in drawn(step) for name in column])
    started = saved = time.monotonic()
    steps, notes = range(first_step, optimisation.steps), {**training.notes(), "stage": str(stage)}
    with (
        _progress(f"stage {stage} {out.stem}", shown=show_progress and writes) as progress,
        log_path.open("a") if writes else open(os.devnull, "w") as log,
        tracked(accelerator, out, tracker=tracker, notes=notes, first_step=first_step),
    ):
        task = progress.add_task("", total=optimisation.steps, completed=first_step)
        for step in steps:
            if ahead and step + ahead < optimisation.steps:
                training.source.ahead([name for column in drawn(step + ahead) for name in column])
            batch = read(step)
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(optimisation, step)
            weights = PairWeights.at(recipe.photometric, step) if stage == 2 else PairWeights()
            loss, terms = step_loss(batch, training.generator(stage, step), weights)

            optimiser.zero_grad(set_to_none=True)
            accelerator.backward(loss)
            if recipe.gradient_clip is not None:
                accelerator.clip_grad_norm_(network.parameters(), recipe.gradient_clip)
            optimiser.step()

            progress.advance(task)
            if step % LOG_EVERY_STEPS == 0 or step == optimisation.steps - 1:
                found = torch.stack([value.detach() for value in (loss, *terms.values())])
                means = mean_over_processes(accelerator, found).tolist()
                values = dict(zip(("loss", *terms), means, strict=True))
                row = {
                    "step": step,
                    "loss": values.pop("loss"),
                    "learning_rate": learning_rate(optimisation, step),
                    "lambda_c": weights.photometric,
                    "seconds": time.monotonic() - started,
                    **values,
                }
                last = step == optimisation.steps - 1
                if measure is not None and writes and (last or step % measure_every < LOG_EVERY_STEPS):
                    measured = measure(network)
                    row |= measured.values
                    log_pictures(accelerator, measured.pictures, step)
                    network.train()
                    if frozen:
                        freeze_batch_norm(network)
                log.write(json.dumps(row) + "\n")
                log.flush()
                accelerator.log({name: value for name, value in row.items() if name != "step"}, step=step)
                if on_log is not None:
                    on_log(row)
            if writes and step + 1 in snapshots:
                file = snapshot_file(out, step + 1)
                save_checkpoint(file, checkpoint_of(network, training.objects, step=step + 1, training=notes))
            if writes and time.monotonic() - saved > SAVE_EVERY_S:
                save_checkpoint(state_path, _state(training, network, optimiser, step + 1))
                saved = time.monotonic()
    if writes:
        save_checkpoint(out, checkpoint_of(network, training.objects, step=optimisation.steps, training=notes))
        state_path.unlink(missing_ok=True)
    accelerator.wait_for_everyone()
    return out


def steps_ahead(device: torch.device) -> int:
    """For how many steps pictures are read ahead: on a GPU, whose host has time; a CPU's cores are busy training."""
    return 2 if device.type == "cuda" else 0


def snapshot_file(out: Path, step: int) -> Path:
    """Where the weights after a step are kept, beside the checkpoint `out` of the stage."""
    return out.with_suffix(f".step{step:07d}.safetensors")


def learning_rate(optimisation: Optimisation, step: int) -> float:
    """The learning rate of a step."""
    peak = optimisation.learning_rate
    if optimisation.schedule == "constant":
        return peak
    rise = max(1, optimisation.steps // 4)
    if step < rise:
        return peak * (0.1 + 0.9 * step / rise)
    fall = (step - rise) / max(1, optimisation.steps - rise)
    return peak * (0.01 + 0.99 * (0.5 + 0.5 * float(np.cos(np.pi * fall))))


def _state(training: Training, network: HandObjectNetwork, optimiser: torch.optim.Optimizer, step: int) -> Checkpoint:
    """Everything that the steps still to come depend on: weights, the optimiser's moments, the step."""
    moments: dict[str, Tensor] = {}
    for name, parameter in network.named_parameters():
        for key, value in optimiser.state.get(parameter, {}).items():
            moments[f"optimiser.{key}.{name}"] = value.detach().cpu()
    notes = training.notes()
    checkpoint = checkpoint_of(network, training.objects, step=step, training=notes)
    return Checkpoint(
        checkpoint.config, checkpoint.hand, checkpoint.objects, step, notes, {**checkpoint.tensors, **moments}
    )


def _resume(path: Path, network: HandObjectNetwork, optimiser: torch.optim.Optimizer) -> int:
    checkpoint = load_checkpoint(path)
    network.load_state_dict(checkpoint.network_tensors)
    for name, parameter in network.named_parameters():
        keys = [key for key in checkpoint.tensors if key.startswith("optimiser.") and key.split(".", 2)[2] == name]
        # The step counter stays on the CPU, where Adam keeps it; moments lie in memory as their parameters do.
        optimiser.state[parameter] = {
            (kind := key.split(".", 2)[1]): value if kind == "step" else torch.empty_like(parameter).copy_(value)
            for key, value in ((key, checkpoint.tensors[key]) for key in keys)
        }
    return checkpoint.step


def _truncate_log(path: Path, first_step: int) -> None:
    """Forget what was logged after the state that the training goes on from."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file():
        return
    kept = []
    for line in path.read_text().splitlines():
        try:
            if json.loads(line)["step"] < first_step:
                kept.append(line + "\n")
        except json.JSONDecodeError:  # the line that was being written when the process was killed
            break
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text("".join(kept))
    temporary.replace(path)


class _Rate(ProgressColumn):
    """Steps per second."""

    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:.1f} steps/s")


def _progress(description: str, *, shown: bool) -> Progress:
    return Progress(
        TextColumn(description),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
        disable=not shown,
    )
