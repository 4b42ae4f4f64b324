"""What a training step minimises: the terms of Sec. 3.1 and Sec. 3.2, and the one place that weights them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from warpgrasp.data import Augmentation, Rows, View
from warpgrasp.frame import (
    Annotation,
    Detections,
    Frames,
    HandReconstruction,
    ObjectReconstruction,
    Objects,
    Reconstruction,
    pose_points,
)
from warpgrasp.geometry import nearest_of_each
from warpgrasp.hand import HandModel
from warpgrasp.reconstruction import HandObjectNetwork, grasp_change, regularisation, reprojection, supervision
from warpgrasp.training.keypoints import TargetKeypoints
from warpgrasp.training.pairs import ComparedPairs, FrameCache, PairBatch, compare_pairs
from warpgrasp.training.settings import Photometric, Recipe
from warpgrasp.training.silhouettes import PairMasks

Part = TypeVar("Part", HandReconstruction, ObjectReconstruction)
UNTOLD_SHARE = 0.2  # of the frames of a network that is told of hands

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
        by_name["silhouettes"] = photometric.silhouette_weight * ramp
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
    means = dict(zip(terms, torch.stack(list(terms.values())).mean(dim=1).unbind(), strict=True))
    return torch.stack([weights[name] * mean for name, mean in means.items()]).sum(), means


def supervised(reconstruction: Reconstruction, frames: Frames, view: View, *, in_picture: bool = False) -> Terms:
    """The terms of Eq. 3 on annotated frames, in the space of the augmented camera; if asked, `reprojection` too."""
    if frames.annotation is None:
        raise ValueError("expected annotated frames")
    annotation = view.annotated(frames.annotation)
    reconstruction = _as_annotated(reconstruction, annotation, frames.objects)
    terms = supervision(reconstruction, annotation, frames.objects) | regularisation(reconstruction)
    return terms | {"reprojection": reprojection(reconstruction, annotation, frames.objects)} if in_picture else terms


def on_pairs(
    hand: HandModel,
    reconstruction: Reconstruction,
    batch: PairBatch,
    photometric: Photometric,
    *,
    compare: bool,
    cache: FrameCache | None = None,
) -> tuple[Terms, ComparedPairs | None]:
    """The terms of the targets, and the photometric term of the pairs if they are to be compared.

    The terms of the targets are the regularisers and, where the recipe weighs them, the change of the grasp since the
    references, the reprojection of keypoints and the outlines of masks. The control forwards and regularises the same
    pictures; it differs in the photometric term and in seeing no keypoints and no masks.
    """
    terms = regularisation(reconstruction)
    if any(batch.targets.objects.symmetries) and batch.references.annotation is not None:
        annotation = batch.references.annotation.turned(batch.target_view.view_from_camera)
        reconstruction = _as_annotated(reconstruction, annotation, batch.targets.objects)
    if photometric.grasp_weight > 0:
        assert batch.references.annotation is not None
        terms["grasp"] = grasp_change(reconstruction, batch.references.annotation)
    if batch.keypoints is not None:
        view = batch.target_view
        terms["keypoints"] = batch.keypoints.loss(reconstruction, view.view_from_camera, batch.targets.camera)
    if batch.masks is not None:
        turn, parts = batch.target_view.view_from_camera, {"hand": hand, "faces": batch.targets.objects.faces}
        terms["silhouettes"] = batch.masks.loss(reconstruction, turn, batch.targets.camera, **parts)
    if not compare:
        return terms, None
    return terms, compare_pairs(hand, batch, reconstruction, photometric, cache=cache)


def _as_annotated(reconstruction: Reconstruction, annotation: Annotation, objects: Objects) -> Reconstruction:
    """The same with each object that looks alike turned in the one of these poses that is nearest to an annotation's.

    What compares corresponding points of the surface, colours among them, then compares up to the symmetry.
    """
    if not any(objects.symmetries):
        return reconstruction
    posed = reconstruction.object
    rotation = nearest_of_each(objects.symmetries, posed.rotation, annotation.object_rotation)
    points = (pose_points(rotation, posed.translation, one) for one in (objects.vertices, objects.corners))
    return replace(reconstruction, object=ObjectReconstruction(rotation, posed.translation, *points))


@dataclass(frozen=True)
class PairFrames:
    """Unannotated targets, each with the annotated frame that it is compared with."""

    targets: Frames
    references: Frames
    rows: Rows | None
    keypoints: TargetKeypoints | None = None  # of the targets
    masks: PairMasks | None = None


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
        network, recipe, frames, pairs = self.network, self._recipe, batch.frames, batch.pairs
        in_picture = recipe.loss.reprojection > 0
        own = _Draw.of(frames, recipe, generator, batch.frame_rows, zooms=True)
        if pairs is None:
            view = own.augmentation.of(frames.image, frames.camera)
            reconstruction = network(view.image, view.camera, frames.objects, _told(frames, view, own))
            return StepTerms(supervised(reconstruction, frames, view, in_picture=in_picture))
        targets, references = pairs.targets, pairs.references
        drawn = _Draw.of(targets, recipe, generator, pairs.rows)
        (view, of_frames), (target_view, of_targets) = _reconstructed(network, [frames, targets], [own, drawn])
        augmented = recipe.photometric.compare == "augmented"
        reference_view = drawn.augmentation.of(references.image, references.camera) if augmented else None
        of_annotated = supervised(of_frames, frames, view, in_picture=in_picture)
        of_unannotated, compared = on_pairs(
            network.hand,
            of_targets,
            PairBatch(targets, references, target_view, reference_view, pairs.keypoints, pairs.masks),
            recipe.photometric,
            compare=recipe.photometric.weight > 0,
            cache=self._cache,
        )
        return StepTerms(of_annotated, of_unannotated, compared)


@dataclass(frozen=True)
class _Draw:
    """What a step draws for a batch."""

    augmentation: Augmentation
    told: Bool[Tensor, "b 1"] | None  # the frames of which the network is told where the hand is seen

    @staticmethod
    def of(
        frames: Frames, recipe: Recipe, generator: torch.Generator, rows: Rows | None, *, zooms: bool = False
    ) -> "_Draw":
        """Of some frames the network is told nothing, so that it learns to do without."""
        rows = Rows(0, len(frames.image), len(frames.image)) if rows is None else rows
        augmentation = Augmentation.draw(recipe.augment, generator, rows, height=frames.camera.height, zooms=zooms)
        if frames.detections is None:
            return _Draw(augmentation, None)
        return _Draw(augmentation, (torch.rand(rows.total, generator=generator)[rows.own] >= UNTOLD_SHARE)[:, None])


def _reconstructed(
    network: HandObjectNetwork, batches: Sequence[Frames], draws: Sequence[_Draw]
) -> list[tuple[View, Reconstruction]]:
    """The views of several batches and their reconstructions, by one pass: much of its cost is that of any batch."""
    first, sizes = batches[0].camera, [len(batch.image) for batch in batches]
    camera = replace(first, intrinsics=torch.cat([batch.camera.intrinsics for batch in batches]))
    augmentation = Augmentation.joined([draw.augmentation for draw in draws])
    every = augmentation.of(torch.cat([batch.image for batch in batches]), camera)
    views = every.split(sizes)
    told = [_told(*one) for one in zip(batches, views, draws, strict=True)]
    detections = [one for one in told if one is not None]
    joined = Detections.joined(detections) if len(detections) == len(views) else None
    found = network(every.image, every.camera, _joined([batch.objects for batch in batches]), joined)
    hands, posed = (_split(part, sizes) for part in (found.hand, found.object))
    own = [
        replace(one, vertices=one.vertices[:, : batch.objects.vertices.shape[1]])
        for one, batch in zip(posed, batches, strict=True)
    ]
    return [(view, Reconstruction(hand, one)) for view, hand, one in zip(views, hands, own, strict=True)]


def _joined(parts: Sequence[Objects]) -> Objects:
    """The objects of several batches, one after the other."""
    names = tuple(name for one in parts for name in one.names)
    symmetries = tuple(symmetry for one in parts for symmetry in one.symmetries)
    vertices, real, faces, corners = (
        _padded([getattr(one, name) for one in parts]) for name in ("vertices", "real", "faces", "corners")
    )
    return Objects(names, vertices, real, faces, corners, symmetries)


def _padded(batches: Sequence[Tensor]) -> Tensor:
    """Batches one after the other, the shorter padded with zeros."""
    missing = [max(other.shape[1] for other in batches) - batch.shape[1] for batch in batches]
    padded = (
        F.pad(batch, (0, 0) * (batch.ndim - 2) + (0, count)) if count else batch
        for batch, count in zip(batches, missing, strict=True)
    )
    return torch.cat(list(padded))


def _split(part: Part, sizes: Sequence[int]) -> list[Part]:
    """The batches of a dataclass of tensors."""
    columns = [getattr(part, one.name).split(sizes) for one in fields(part)]
    return [type(part)(*rows) for rows in zip(*columns, strict=True)]


def _told(frames: Frames, view: View, draw: _Draw) -> Detections | None:
    """Where a view shows the hand, as the network is told."""
    detections = frames.detections
    if detections is None or draw.told is None:
        return None
    joints_px = view.seen(detections.joints_px, frames.camera)
    return Detections(joints_px, detections.confidence * draw.told.to(joints_px, non_blocking=True))
