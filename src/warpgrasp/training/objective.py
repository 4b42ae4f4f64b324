"""What a training step minimises: where the photometric term (Sec. 3.1) meets the network (Sec. 3.2)."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from warpgrasp.data import View
from warpgrasp.frame import FramePair, Frames, Reconstruction, pose_points
from warpgrasp.geometry import Mesh
from warpgrasp.photometric import PhotometricConsistency, appearance, photometric_consistency
from warpgrasp.reconstruction import HandObjectNetwork, grasp_change, regularisation, supervision
from warpgrasp.render import Fragments, rasterize
from warpgrasp.scene import surface
from warpgrasp.training.frame_cache import FrameConstants
from warpgrasp.training.settings import LossWeights, Photometric


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


@dataclass(frozen=True)
class ComparedPairs:
    """The photometric term of each pair; where both directions are compared, the mean of the two."""

    loss: Float[Tensor, " b"]
    compared_share: Float[Tensor, " b"]
    cycle_rejected_share: Float[Tensor, " b"]
    enough: Bool[Tensor, " b"]  # whether any direction kept enough pixels to be compared

    @staticmethod
    def mean_of(directions: Sequence[PhotometricConsistency]) -> "ComparedPairs":
        """The mean over directions."""
        return ComparedPairs(
            torch.stack([one.loss for one in directions]).mean(dim=0),
            torch.stack([one.compared_share for one in directions]).mean(dim=0),
            torch.stack([one.cycle_rejected_share for one in directions]).mean(dim=0),
            torch.stack([one.enough for one in directions]).any(dim=0),
        )


def on_pairs(
    network: HandObjectNetwork,
    batch: PairBatch,
    weights: LossWeights,
    photometric: Photometric,
    *,
    features: Float[Tensor, "b f"],
    compare: bool,
    grasp_weight: float = 0.0,
    constants: FrameConstants | None = None,
) -> tuple[Objective, ComparedPairs | None]:
    """The regularisers on the targets and, if `compare`, the photometric term of the pairs.

    `features` are the encoder's of the targets as the network sees them, `grasp_weight` is that of a grasp as in the
    references at this step. The control forwards and regularises the same pictures; it differs in the photometric term
    alone.
    """
    reconstruction = network.reconstruct(features, batch.target_view.camera, batch.targets.objects)
    objective = weighted(regularisation(reconstruction), weights)
    if photometric.grasp_weight > 0:
        assert batch.references.annotation is not None
        change = grasp_change(reconstruction, batch.references.annotation).mean()
        objective = Objective(objective.loss + grasp_weight * change, objective.terms | {"grasp": change})
    if not compare:
        return objective, None
    return objective, compare_pairs(network, batch, reconstruction, photometric, constants=constants)


def compare_pairs(
    network: HandObjectNetwork,
    batch: PairBatch,
    reconstruction: Reconstruction,
    photometric: Photometric,
    *,
    constants: FrameConstants | None = None,
) -> ComparedPairs:
    """Eq. 1 between the targets' predicted surfaces and the references' annotated ones, in one direction or both.

    `constants` remembers from call to call, of use where the original pictures are compared.
    """
    constants = FrameConstants() if constants is None else constants
    pair, target_surface = _surfaces_to_compare(network, batch, reconstruction, photometric, constants)
    if photometric.compare == "original":
        reference_seen = constants.seen(batch.references.names, pair.reference_surface, pair.reference_camera)
    else:
        reference_seen = Fragments.of(rasterize(pair.reference_surface, pair.reference_camera))
    target_seen = rasterize(target_surface, pair.target_camera)
    tolerance_px = photometric.cycle_tolerance_px
    directions = [
        photometric_consistency(
            pair,
            target_surface,
            tolerance_px=tolerance_px,
            seen=reference_seen,
            target_face_ids=target_seen.face_ids,
        )
    ]
    if photometric.directions == "both":
        # The pixels of the target are those where its predicted surface is seen: outlines count from both sides.
        directions.append(
            photometric_consistency(
                pair.reversed(target_surface),
                pair.reference_surface,
                tolerance_px=tolerance_px,
                seen=Fragments.of(target_seen),
                target_face_ids=reference_seen.face_id_images(),
            )
        )
    return ComparedPairs.mean_of(directions)


def _surfaces_to_compare(
    network: HandObjectNetwork,
    batch: PairBatch,
    reconstruction: Reconstruction,
    photometric: Photometric,
    constants: FrameConstants,
) -> tuple[FramePair, Mesh]:
    """The pictures that are compared with their cameras and surfaces, and the targets' surface."""
    annotation, objects = batch.references.annotation, batch.references.objects
    if annotation is None:
        raise ValueError("expected annotated references")
    hand_vertices, object_vertices = reconstruction.hand.vertices, reconstruction.object.vertices
    view, other = batch.target_view, batch.reference_view
    if photometric.compare == "original":
        turn = view.view_from_camera  # rows times R undo R: back to the camera that took the picture
        hand_vertices, object_vertices = hand_vertices @ turn, object_vertices @ turn
    elif other is not None:
        annotation = annotation.turned(view.view_from_camera)
    reference_objects = pose_points(annotation.object_rotation, annotation.object_translation, objects.vertices)
    reference_surface = surface(network.hand, annotation.hand_vertices, reference_objects, objects)
    target_surface = reference_surface.with_vertices(torch.cat([hand_vertices, object_vertices], dim=1))

    share = photometric.contrast_share
    if photometric.compare == "original":
        targets, references = batch.targets, batch.references
        images = [constants.appearance(frames, contrast_share=share) for frames in (targets, references)]
        return FramePair(images[0], targets.camera, images[1], references.camera, reference_surface), target_surface
    if other is None:
        raise ValueError("expected the references as the network sees them")
    images = [appearance(seen.image, contrast_share=share) for seen in (view, other)]
    pair = FramePair(images[0], view.camera, images[1], other.camera, reference_surface, view.valid, other.valid)
    return pair, target_surface


@dataclass(frozen=True)
class PairWeights:
    """What the terms of pairs weigh at a step of stage 2."""

    photometric: float = 0.0  # λ_c
    grasp: float = 0.0

    @staticmethod
    def at(photometric: Photometric, step: int) -> "PairWeights":
        """Both rise along one linear ramp."""
        ramp = min(1.0, step / max(photometric.ramp_steps, 1))
        return PairWeights(photometric.weight * ramp, photometric.grasp_weight * ramp)
