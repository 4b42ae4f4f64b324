"""What a training step minimises: the terms of Sec. 3.1 and Sec. 3.2, and the one place that weights them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from warpgrasp.data import Rows, View, augment
from warpgrasp.frame import Frames
from warpgrasp.reconstruction import HandObjectNetwork, grasp_change, regularisation, supervision
from warpgrasp.training.keypoints import TargetKeypoints
from warpgrasp.training.pairs import ComparedPairs, FrameCache, PairBatch, compare_pairs
from warpgrasp.training.settings import Photometric, Recipe

Terms = Mapping[str, Float[Tensor, " _"]]  # by name, each of as many frames or pairs


@dataclass(frozen=True)
class StepWeights:
    """What the terms of a step weigh."""

    by_name: Mapping[str, float]  # of each term of annotated frames and of targets
    data: float = 1.0  # λ_data, a factor of all of them
    photometric: float = 0.0  # λ_c

    @staticmethod
    def at(recipe: Recipe, *, stage: int, step: int) -> "StepWeights":
        """Stage 1 has Eq. 3 alone. In stage 2 the weights of pairs rise along one linear ramp."""
        by_name, photometric = asdict(recipe.loss), recipe.photometric
        if stage == 1:
            return StepWeights(by_name)
        ramp = min(1.0, step / max(photometric.ramp_steps, 1))
        lambda_c = photometric.weight * ramp
        by_name["grasp"] = photometric.grasp_weight * ramp
        by_name["keypoints"] = photometric.keypoint_weight * ramp
        return StepWeights(by_name, recipe.data_weight - lambda_c, lambda_c)


@dataclass(frozen=True)
class StepTerms:
    """The terms of a step, of each frame or pair and unweighted."""

    frames: Terms  # Eq. 3 of the annotated frames
    targets: Terms = field(default_factory=dict)  # the regularisers of unannotated frames, and their grasp
    pairs: ComparedPairs | None = None  # Eq. 1; None in stage 1 and for the control

    def minimised(self, weights: StepWeights) -> tuple[Float[Tensor, ""], dict[str, Float[Tensor, ""]]]:
        """The loss, λ_data (terms of frames + terms of targets) + λ_c · Eq. 1, and the means of its terms, for the log.

        A regulariser is logged for the annotated frames alone. Raises `KeyError` for a term without a weight.
        """
        loss, means = weighted(self.frames, weights.by_name)
        if self.targets:
            loss_of_targets, means_of_targets = weighted(self.targets, weights.by_name)
            loss = loss + loss_of_targets
            means |= {name: mean for name, mean in means_of_targets.items() if name not in means}
        loss = weights.data * loss
        if self.pairs is not None:
            photometric = self.pairs.loss.mean()
            loss = loss + weights.photometric * photometric
            means |= {"photometric": photometric, **self.pairs.shares()}
        return loss, means


def weighted(terms: Terms, weights: Mapping[str, float]) -> tuple[Float[Tensor, ""], dict[str, Float[Tensor, ""]]]:
    """The weighted sum of the terms' means, and the means. Raises `KeyError` for a term without a weight."""
    means = {name: term.mean() for name, term in terms.items()}
    return torch.stack([weights[name] * mean for name, mean in means.items()]).sum(), means


def supervised(network: HandObjectNetwork, frames: Frames, view: View, *, features: Float[Tensor, "b f"]) -> Terms:
    """The terms of Eq. 3 on annotated frames, in the space of the augmented camera.

    `features` are the encoder's of `view`.
    """
    if frames.annotation is None:
        raise ValueError("expected annotated frames")
    reconstruction = network.reconstruct(features, view.camera, frames.objects)
    annotation = frames.annotation.turned(view.view_from_camera)
    return supervision(reconstruction, annotation, frames.objects) | regularisation(reconstruction)


def on_pairs(
    network: HandObjectNetwork,
    batch: PairBatch,
    photometric: Photometric,
    *,
    features: Float[Tensor, "b f"],
    compare: bool,
    cache: FrameCache | None = None,
) -> tuple[Terms, ComparedPairs | None]:
    """The terms of the targets, and the photometric term of the pairs if they are to be compared.

    `features` are the encoder's of the targets as the network sees them. The terms of the targets are the regularisers
    and, where the recipe weighs them, the change of the grasp since the references and the reprojection of keypoints.
    The control forwards and regularises the same pictures; it differs in the photometric term and in seeing no
    keypoints.
    """
    reconstruction = network.reconstruct(features, batch.target_view.camera, batch.targets.objects)
    terms = regularisation(reconstruction)
    if photometric.grasp_weight > 0:
        assert batch.references.annotation is not None
        terms["grasp"] = grasp_change(reconstruction, batch.references.annotation)
    if batch.keypoints is not None:
        view = batch.target_view
        terms["keypoints"] = batch.keypoints.loss(reconstruction, view.view_from_camera, batch.targets.camera)
    if not compare:
        return terms, None
    return terms, compare_pairs(network.hand, batch, reconstruction, photometric, cache=cache)


@dataclass(frozen=True)
class PairFrames:
    """Unannotated targets, each with the annotated frame that it is compared with."""

    targets: Frames
    references: Frames
    rows: Rows | None
    keypoints: TargetKeypoints | None = None  # of the targets


@dataclass(frozen=True)
class StepBatch:
    """What one process computes a step on: its rows of the annotated frames, in stage 2 also of the pairs."""

    frames: Frames
    frame_rows: Rows | None  # None: all of a batch
    pairs: PairFrames | None = None


class StepLoss(nn.Module):
    """A network and what its steps minimise. As a module, it can be distributed by Accelerate as any other is."""

    def __init__(self, network: HandObjectNetwork, recipe: Recipe):
        super().__init__()
        self.network = network
        self._recipe = recipe
        self._cache = FrameCache()

    def forward(
        self, batch: StepBatch, generator: torch.Generator, weights: StepWeights
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, and the means of its terms. `generator` must stand alike in all processes."""
        return self._terms(batch, generator).minimised(weights)

    def _terms(self, batch: StepBatch, generator: torch.Generator) -> StepTerms:
        network, recipe, frames = self.network, self._recipe, batch.frames
        view = augment(frames.image, frames.camera, recipe.augment, generator, rows=batch.frame_rows)
        if batch.pairs is None:
            return StepTerms(supervised(network, frames, view, features=network.features(view.image)))
        pairs = _view_pairs(batch.pairs, recipe, generator)
        # One pass of the encoder for both batches: its cost has a large part that the batch does not change.
        features = network.features(torch.cat([view.image, pairs.target_view.image]))
        of_frames, of_targets = features.split([len(view.image), len(pairs.target_view.image)])
        of_annotated = supervised(network, frames, view, features=of_frames)
        targets, compared = on_pairs(
            network,
            pairs,
            recipe.photometric,
            features=of_targets,
            compare=recipe.photometric.weight > 0,
            cache=self._cache,
        )
        return StepTerms(of_annotated, targets, compared)


def _view_pairs(pairs: PairFrames, recipe: Recipe, generator: torch.Generator) -> PairBatch:
    """The targets as the network sees them; and the references, by the same draw, where augmented ones are compared."""
    targets, references, rows = pairs.targets, pairs.references, pairs.rows
    before = generator.get_state()
    target_view = augment(targets.image, targets.camera, recipe.augment, generator, rows=rows)
    if recipe.photometric.compare == "original":
        return PairBatch(targets, references, target_view, None, pairs.keypoints)
    generator.set_state(before)
    reference_view = augment(references.image, references.camera, recipe.augment, generator, rows=rows)
    return PairBatch(targets, references, target_view, reference_view, pairs.keypoints)
