"""The training loop: linear, resumable, and the same for the method and its control."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from warpgrasp.data import NearToFar, draw
from warpgrasp.errors import DataError
from warpgrasp.frame import FrameName, Frames, move_to
from warpgrasp.geometry import mean_rotation
from warpgrasp.reconstruction import (
    Checkpoint,
    CheckpointError,
    HandObjectNetwork,
    checkpoint_of,
    freeze_batch_norm,
    load_checkpoint,
    load_encoder_weights,
    precision_on,
    save_checkpoint,
)
from warpgrasp.training.log import LogOptions, accelerator_for, open_log
from warpgrasp.training.objective import PairFrames, StepBatch, StepLoss, StepWeights
from warpgrasp.training.processes import check_shareable, keep_freed_memory, mine, rows_of, share_batch_norm
from warpgrasp.training.run import STATE, Training
from warpgrasp.training.settings import Optimisation

SAVE_EVERY_S = 30.0


def initial_network(training: Training) -> HandObjectNetwork:
    """The untrained network of a recipe; its draws come from the recipe's seed alone."""
    recipe = training.recipe
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        network = HandObjectNetwork(recipe.network, training.hand, tuple(model.name for model in training.objects))
    config = recipe.network
    load_encoder_weights(
        network.encoder, recipe.encoder_weights, image_mean=config.image_mean, image_std=config.image_std
    )
    if recipe.base_rotations:
        _start_at_mean_rotations(network, training)
    return network


def _start_at_mean_rotations(network: HandObjectNetwork, training: Training) -> None:
    """Let the rotation outputs start at the mean annotated rotations of the hand and of each object.

    Raises `DataError` when no annotation holds the hand's rotation.
    """
    hands, by_object = [], {name: [] for name in network.object_names}
    for (frame,) in training.source.readable(training.supervised_names):
        if frame.annotation is not None and frame.annotation.hand_rotation is not None:
            hands.append(frame.annotation.hand_rotation)
            by_object[frame.object.name].append(frame.annotation.object_rotation)
    if not hands:
        raise DataError(
            "expected the rotation of the whole hand in annotations of the training frames, since the recipe starts at "
            "their mean, found none; start at the identity by --no-base-rotations"
        )
    network.set_base_rotations(
        mean_rotation(torch.stack(hands)),
        {name: mean_rotation(torch.stack(rotations)) for name, rotations in by_object.items() if rotations},
    )


def train_stage(
    training: Training,
    optimisation: Optimisation,
    out: Path,
    *,
    initial: Path | None = None,
    log: LogOptions = LogOptions(),  # noqa: B008 (frozen)
) -> Path:
    """Train one stage and return its checkpoint, `out`; `out` with a suffix holds the log and the state to resume from.

    Without `initial` this is stage 1, on annotated frames alone. With `initial`, the checkpoint of stage 1, it is stage
    2, on annotated frames and pairs, with a fresh optimiser. An interrupted stage goes on where its last state was
    saved, and ends with the weights of an undisturbed one; a finished one is returned as it is. No weight depends on
    `log`.
    """
    if out.is_file():
        return out
    recipe, stage = training.recipe, 1 if initial is None else 2
    accelerator = accelerator_for(log.tracker, out.parent, cpu=not torch.cuda.is_available())
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
    state_path = out.with_suffix(STATE)
    first_step = _resume(state_path, network, optimiser) if state_path.is_file() else 0
    network.train()
    if frozen:
        freeze_batch_norm(network)
    step_loss, optimiser = accelerator.prepare(StepLoss(network, recipe), optimiser)
    batches = StepBatches(training, optimisation, accelerator, stage=stage)
    keep_freed_memory()
    batches.read_ahead_first(first_step)
    saved_s, notes = time.monotonic(), {**training.notes(), "stage": str(stage)}

    def checkpoint(steps: int) -> Checkpoint:
        return checkpoint_of(network, training.objects, step=steps, training=notes)

    with open_log(accelerator, out, log, steps=range(first_step, optimisation.steps), notes=notes) as written:
        for step in range(first_step, optimisation.steps):
            batch = batches.read(step)
            rate = learning_rate(optimisation, step)
            for group in optimiser.param_groups:
                group["lr"] = rate
            weights = StepWeights.at(recipe, stage=stage, step=step)
            loss, terms = step_loss(batch, training.generator(stage, step), weights)

            optimiser.zero_grad(set_to_none=True)
            accelerator.backward(loss)
            if recipe.gradient_clip is not None:
                accelerator.clip_grad_norm_(network.parameters(), recipe.gradient_clip)
            optimiser.step()

            written.step(step, network, loss, terms, learning_rate=rate, lambda_c=weights.photometric)
            written.snapshot(step, checkpoint)
            if accelerator.is_main_process and time.monotonic() - saved_s > SAVE_EVERY_S:
                save_checkpoint(state_path, _state(checkpoint(step + 1), network, optimiser))
                saved_s = time.monotonic()
    if accelerator.is_main_process:
        save_checkpoint(out, checkpoint(optimisation.steps))
        state_path.unlink(missing_ok=True)
    accelerator.wait_for_everyone()
    return out


class StepBatches:
    """The batches of a stage's steps, as far as this process computes them; each a function of the step alone."""

    def __init__(self, training: Training, optimisation: Optimisation, accelerator: Accelerator, *, stage: int):
        """Raises `DataError` for a stage 2 without unannotated frames, unless it is a control's: it compares none."""
        photometric = training.recipe.photometric
        self._training, self._optimisation, self._stage = training, optimisation, stage
        self._own, self._annotated = training.labels.annotated_names, training.supervised_names
        self._unannotated = NearToFar(training.labels, steps=photometric.near_to_far_steps)
        self._has_pairs = stage == 2 and bool(self._unannotated.every)
        if stage == 2 and not self._has_pairs and training.recipe.photometric.weight > 0:
            raise DataError("expected unannotated frames for stage 2, but every training frame is annotated")
        self._rows = rows_of(accelerator, optimisation.batch, items="annotated frames")
        self._pair_rows = rows_of(accelerator, photometric.pairs, items="pairs")
        self._device = accelerator.device
        self._ahead = steps_ahead(accelerator.device)

    def read(self, step: int) -> StepBatch:
        """The batch of a step, on the device. The pictures of the steps that follow are asked for."""
        if self._ahead:
            self._read_ahead(step + self._ahead)
        names, targets, references = self._drawn(step)
        source = self._training.source
        frames = self._told(source.frames(names))
        pairs = self._pairs(targets, references) if self._has_pairs else None
        return move_to(StepBatch(frames, self._rows, pairs), self._device)

    def _pairs(self, targets: Sequence[FrameName], references: Sequence[FrameName]) -> PairFrames:
        pair, keypoints = self._training.source.pairs(targets, references), self._training.keypoints
        weighed = self._training.recipe.photometric.keypoint_weight > 0
        seen = keypoints.of(pair[0]) if keypoints is not None and weighed else None
        masks = self._training.masks
        of_masks = None if masks is None else masks.of_pairs(*pair)
        return PairFrames(self._told(pair[0]), pair[1], self._pair_rows, seen, of_masks)

    def _told(self, frames: Frames) -> Frames:
        """The frames with where a detector sees the hand, for a network that is told of it."""
        keypoints, joint_input = self._training.keypoints, self._training.recipe.network.joint_input
        return keypoints.told(frames) if keypoints is not None and joint_input else frames

    def read_ahead_first(self, first_step: int) -> None:
        """Ask for the pictures of the first steps."""
        for step in range(first_step, first_step + self._ahead):
            self._read_ahead(step)

    def _read_ahead(self, step: int) -> None:
        if step < self._optimisation.steps:
            self._training.source.ahead([name for column in self._drawn(step) for name in column])

    def _drawn(self, step: int) -> tuple[Sequence[FrameName], Sequence[FrameName], Sequence[FrameName]]:
        """The annotated frames of a step, the targets and their references."""
        training, recipe, stage = self._training, self._training.recipe, self._stage
        batch, pairs = self._optimisation.batch, recipe.photometric.pairs
        names = mine(self._rows, self._drawn_annotated(step, batch))
        if not self._has_pairs:
            return names, [], []
        others = draw(self._unannotated.names(step), batch=pairs, step=step, seed=[recipe.seed, stage, 1])
        targets = mine(self._pair_rows, others)
        return names, targets, [training.labels.reference(name) for name in targets]

    def _drawn_annotated(self, step: int, batch: int) -> list[FrameName]:
        """The annotated frames of a step: the data set's own, then the share of the added ones if there is one."""
        recipe = self._training.recipe
        seed, share = [recipe.seed, self._stage], recipe.added_share
        if share is None or not self._training.added_names:
            return draw(self._annotated, batch=batch, step=step, seed=[*seed, 0])
        added = round(share * batch)
        own = draw(self._own, batch=batch - added, step=step, seed=[*seed, 0])
        return [*own, *draw(self._training.added_names, batch=added, step=step, seed=[*seed, 2])]


def steps_ahead(device: torch.device) -> int:
    """For how many steps pictures are read ahead: on a GPU, whose host has time; a CPU's cores are busy training."""
    return 2 if device.type == "cuda" else 0


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


def _state(checkpoint: Checkpoint, network: HandObjectNetwork, optimiser: torch.optim.Optimizer) -> Checkpoint:
    """Everything that the steps still to come depend on: weights, the optimiser's moments, the step."""
    moments: dict[str, Tensor] = {}
    for name, parameter in network.named_parameters():
        for key, value in optimiser.state.get(parameter, {}).items():
            moments[f"optimiser.{key}.{name}"] = value.detach().cpu()
    return replace(checkpoint, tensors={**checkpoint.tensors, **moments})


def _resume(path: Path, network: HandObjectNetwork, optimiser: torch.optim.Optimizer) -> int:
    """Set network and optimiser to a saved state, and return the step to go on with.

    Raises `CheckpointError` when it is no state, or of another network.
    """
    checkpoint = load_checkpoint(path)
    try:
        network.load_state_dict(checkpoint.network_tensors)
    except RuntimeError as error:
        raise CheckpointError(
            f"expected the state of this training in {path}, but: {' '.join(str(error).split())[:300]}"
        ) from error
    for name, parameter in network.named_parameters():
        keys = [key for key in checkpoint.tensors if key.startswith("optimiser.") and key.split(".", 2)[2] == name]
        # The step counter stays on the CPU, where Adam keeps it; moments lie in memory as their parameters do.
        optimiser.state[parameter] = {
            (kind := key.split(".", 2)[1]): value if kind == "step" else torch.empty_like(parameter).copy_(value)
            for key, value in ((key, checkpoint.tensors[key]) for key in keys)
        }
    return checkpoint.step
