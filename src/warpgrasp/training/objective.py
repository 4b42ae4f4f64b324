"""What a training step minimises: where the photometric term (Sec. 3.1) meets the network (Sec. 3.2)."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from warpgrasp.data import View
from warpgrasp.frame import FramePair, Frames, Reconstruction, pose_points
from warpgrasp.photometric import PhotometricConsistency, photometric_consistency
from warpgrasp.reconstruction import HandObjectNetwork, regularisation, supervision, surface
from warpgrasp.training.recipes import LossWeights, Photometric


@dataclass(frozen=True)
class Objective:
    """A loss and the means of its terms, for the log."""

    loss: Float[Tensor, ""]
    terms: dict[str, Float[Tensor, ""]]


def supervised(
    network: HandObjectNetwork, frames: Frames, view: View, weights: LossWeights, *, features: Float[Tensor, "b f"]
) -> Objective:
    """Eq. 3 on annotated frames, in the space of the augmented camera; `features` are the encoder's of `view`."""
    if frames.annotation is None:
        raise ValueError("expected annotated frames")
    reconstruction = network.reconstruct(features, view.camera, frames.objects)
    annotation = frames.annotation.turned(view.view_from_camera)
    terms = supervision(reconstruction, annotation, frames.objects) | regularisation(reconstruction)
    return weighted(terms, weights)


def weighted(terms: Mapping[str, Float[Tensor, " b"]], weights: LossWeights) -> Objective:
    """The weighted sum of the terms' means; a term without a weight is a `KeyError`."""
    by_name = asdict(weights)
    means = {name: term.mean() for name, term in terms.items()}
    return Objective(torch.stack([by_name[name] * mean for name, mean in means.items()]).sum(), means)


@dataclass(frozen=True)
class PairBatch:
    """Unannotated target frames, each with the annotated frame that it is compared with, as the network sees them."""

    targets: Frames
    references: Frames
    target_view: View
    reference_view: View | None  # made by the same draw; only when augmented pictures are compared


def on_pairs(
    network: HandObjectNetwork,
    batch: PairBatch,
    weights: LossWeights,
    photometric: Photometric,
    *,
    features: Float[Tensor, "b f"],
    compare: bool,
) -> tuple[Objective, PhotometricConsistency | None]:
    """The regularisers on the targets and, if `compare`, the photometric term of the pairs.

    `features` are the encoder's of the targets as the network sees them. The control forwards and regularises the same
    pictures; it differs in the photometric term alone.
    """
    reconstruction = network.reconstruct(features, batch.target_view.camera, batch.targets.objects)
    objective = weighted(regularisation(reconstruction), weights)
    if not compare:
        return objective, None
    return objective, compare_pairs(network, batch, reconstruction, photometric)


def compare_pairs(
    network: HandObjectNetwork, batch: PairBatch, reconstruction: Reconstruction, photometric: Photometric
) -> PhotometricConsistency:
    """Eq. 1 between the targets' predicted surfaces and the references' annotated ones."""
    annotation, objects = batch.references.annotation, batch.references.objects
    if annotation is None:
        raise ValueError("expected annotated references")
    hand_vertices, object_vertices = reconstruction.hand.vertices, reconstruction.object.vertices
    view = batch.target_view
    if photometric.compare == "original":
        turn = view.view_from_camera  # rows times R undo R: back to the camera that took the picture
        hand_vertices, object_vertices = hand_vertices @ turn, object_vertices @ turn
    elif batch.reference_view is not None:
        annotation = annotation.turned(view.view_from_camera)
    reference_objects = pose_points(annotation.object_rotation, annotation.object_translation, objects.vertices)
    reference_surface = surface(network.hand, annotation.hand_vertices, reference_objects, objects)
    target_surface = surface(network.hand, hand_vertices, object_vertices, objects)
    if photometric.compare == "original":
        pair = FramePair(
            batch.targets.image,
            batch.targets.camera,
            batch.references.image,
            batch.references.camera,
            reference_surface,
        )
    else:
        seen = batch.reference_view
        if seen is None:
            raise ValueError("expected the references as the network sees them")
        pair = FramePair(view.image, view.camera, seen.image, seen.camera, reference_surface, view.valid, seen.valid)
    return photometric_consistency(pair, target_surface, tolerance_px=photometric.cycle_tolerance_px)


def photometric_weight(photometric: Photometric, step: int) -> float:
    """λ_c at a step of stage 2: a linear ramp."""
    return photometric.weight * min(1.0, step / max(photometric.ramp_steps, 1))
