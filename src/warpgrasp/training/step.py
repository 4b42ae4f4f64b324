"""The loss of one training step: the part of the loop that several processes share."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from warpgrasp.data import Rows, augment
from warpgrasp.frame import Frames
from warpgrasp.reconstruction import HandObjectNetwork
from warpgrasp.training.frame_cache import FrameConstants
from warpgrasp.training.objective import PairBatch, PairWeights, on_pairs, supervised
from warpgrasp.training.settings import Recipe


@dataclass(frozen=True)
class StepBatch:
    """What one process computes a step on: its rows of the annotated frames, in stage 2 also of the pairs."""

    frames: Frames
    frame_rows: Rows | None  # None: all of a batch
    pairs: "PairFrames | None" = None


@dataclass(frozen=True)
class PairFrames:
    """Unannotated targets, each with the annotated frame that it is compared with."""

    targets: Frames
    references: Frames
    rows: Rows | None


class StepLoss(nn.Module):
    """A network and what its steps minimise. As a module, it can be distributed by Accelerate as any other is."""

    def __init__(self, network: HandObjectNetwork, recipe: Recipe):
        super().__init__()
        self.network = network
        self._recipe = recipe
        self._constants = FrameConstants()

    def forward(
        self, batch: StepBatch, generator: torch.Generator, weights: PairWeights
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, and the means of its terms. `generator` must stand alike in all processes."""
        network, recipe = self.network, self._recipe
        frames = batch.frames
        view = augment(frames.image, frames.camera, recipe.augment, generator, rows=batch.frame_rows)
        if batch.pairs is None:
            objective = supervised(network, frames, view, recipe.loss, features=network.features(view.image))
            return objective.loss, dict(objective.terms)
        pairs = _view_pairs(batch.pairs, recipe, generator)
        # One pass of the encoder for both batches: its cost has a large part that the batch does not change.
        features = network.features(torch.cat([view.image, pairs.target_view.image]))
        of_frames, of_targets = features.split([len(view.image), len(pairs.target_view.image)])
        objective = supervised(network, frames, view, recipe.loss, features=of_frames)
        regularisers, photometric = on_pairs(
            network,
            pairs,
            recipe.loss,
            recipe.photometric,
            features=of_targets,
            compare=recipe.photometric.weight > 0,
            grasp_weight=weights.grasp,
            constants=self._constants,
        )
        loss, terms = objective.loss + regularisers.loss, dict(objective.terms)
        if "grasp" in regularisers.terms:
            terms["grasp"] = regularisers.terms["grasp"]
        loss = (recipe.data_weight - weights.photometric) * loss
        if photometric is not None:
            term = photometric.loss.mean()
            loss = loss + weights.photometric * term
            terms |= {
                "photometric": term,
                "compared_share": photometric.compared_share.mean(),
                "cycle_rejected_share": photometric.cycle_rejected_share.mean(),
                "pairs_without_overlap": (~photometric.enough).float().mean(),
            }
        return loss, terms


def _view_pairs(pairs: PairFrames, recipe: Recipe, generator: torch.Generator) -> PairBatch:
    """What the network sees of the targets; and of the references, by the same draw, when that is what is compared."""
    targets, references, rows = pairs.targets, pairs.references, pairs.rows
    before = generator.get_state()
    target_view = augment(targets.image, targets.camera, recipe.augment, generator, rows=rows)
    if recipe.photometric.compare == "original":
        return PairBatch(targets, references, target_view, None)
    generator.set_state(before)
    reference_view = augment(references.image, references.camera, recipe.augment, generator, rows=rows)
    return PairBatch(targets, references, target_view, reference_view)
