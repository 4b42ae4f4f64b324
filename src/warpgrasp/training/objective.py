"""What a training step minimises: where the photometric term (Sec. 3.1) meets the network (Sec. 3.2)."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from warpgrasp.data import View
from warpgrasp.frame import FrameName, FramePair, Frames, Reconstruction, pose_points
from warpgrasp.geometry import Camera, Mesh
from warpgrasp.photometric import PhotometricConsistency, SeenSurface, appearance, photometric_consistency
from warpgrasp.reconstruction import HandObjectNetwork, regularisation, supervision, surface
from warpgrasp.render import Fragments, Raster, Rasterizer, rasterize
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


class SeenReferences:
    """What the cameras of annotated frames see of their surfaces, by the frame's name: constants of a training.

    They are computed once, each frame alone, so that no bit depends on the batch in which a frame came first.
    """

    def __init__(self, *, limit_bytes: int = 500_000_000):
        self._kept: dict[FrameName, SeenSurface] = {}
        self._free_bytes = limit_bytes

    def of(self, names: Sequence[FrameName], surfaces: Mesh, camera: Camera) -> SeenSurface:
        """What is seen of the surfaces of a batch of frames."""
        return _stack([self._one(name, surfaces, camera, row) for row, name in enumerate(names)])

    def _one(self, name: FrameName, surfaces: Mesh, camera: Camera, row: int) -> SeenSurface:
        if name in self._kept:
            return self._kept[name]
        one = slice(row, row + 1)
        mesh = Mesh(surfaces.vertices[one], surfaces.faces[one], surfaces.auxiliary_faces[one])
        seen = SeenSurface.of(mesh, replace(camera, intrinsics=camera.intrinsics[one]))
        tensors = (seen.weights, *vars(seen.fragments).values())
        size = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        if size <= self._free_bytes:
            self._free_bytes -= size
            self._kept[name] = seen
        return seen


def _stack(parts: Sequence[SeenSurface]) -> SeenSurface:
    """One batch, padded to the longest."""
    longest = max(part.weights.shape[1] for part in parts)

    def padded(tensors: Sequence[Tensor]) -> Tensor:
        stacked = tensors[0].new_zeros((len(tensors), longest, *tensors[0].shape[2:]))
        for row, tensor in enumerate(tensors):
            stacked[row, : tensor.shape[1]] = tensor[0]
        return stacked

    fragments = Fragments(
        padded([part.fragments.pixels for part in parts]),
        padded([part.fragments.face_ids for part in parts]),
        padded([part.fragments.covered for part in parts]),
    )
    return replace(parts[0], fragments=fragments, weights=padded([part.weights for part in parts]))


@dataclass(frozen=True)
class ComparedPairs:
    """The photometric term of each pair; where both directions are compared, the mean of the two."""

    loss: Float[Tensor, " b"]
    compared_share: Float[Tensor, " b"]
    enough: Bool[Tensor, " b"]  # whether any direction kept enough pixels to be compared

    @staticmethod
    def mean_of(directions: Sequence[PhotometricConsistency]) -> "ComparedPairs":
        """The mean over directions."""
        return ComparedPairs(
            torch.stack([one.loss for one in directions]).mean(dim=0),
            torch.stack([one.compared_share for one in directions]).mean(dim=0),
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
    seen: SeenReferences | None = None,
) -> tuple[Objective, ComparedPairs | None]:
    """The regularisers on the targets and, if `compare`, the photometric term of the pairs.

    `features` are the encoder's of the targets as the network sees them. The control forwards and regularises the same
    pictures; it differs in the photometric term alone.
    """
    reconstruction = network.reconstruct(features, batch.target_view.camera, batch.targets.objects)
    objective = weighted(regularisation(reconstruction), weights)
    if not compare:
        return objective, None
    return objective, compare_pairs(network, batch, reconstruction, photometric, seen=seen)


class RasterizeOnce:
    """Rasterises a surface for a camera once, though both directions ask for it."""

    def __init__(self, rasterizer: Rasterizer = rasterize):
        self._rasterizer = rasterizer
        self._known: list[tuple[Mesh, Camera, Raster]] = []

    def __call__(self, mesh: Mesh, camera: Camera) -> Raster:
        """What the camera sees of the mesh."""
        for known_mesh, known_camera, raster in self._known:
            if known_mesh is mesh and known_camera is camera:
                return raster
        self._known.append((mesh, camera, self._rasterizer(mesh, camera)))
        return self._known[-1][2]


def compare_pairs(
    network: HandObjectNetwork,
    batch: PairBatch,
    reconstruction: Reconstruction,
    photometric: Photometric,
    *,
    seen: SeenReferences | None = None,
) -> ComparedPairs:
    """Eq. 1 between the targets' predicted surfaces and the references' annotated ones, in one direction or both.

    `seen` remembers what is seen of the references from call to call, of use where the original pictures are compared.
    """
    pair, target_surface = _surfaces_to_compare(network, batch, reconstruction, photometric)
    known = None
    if seen is not None and photometric.compare == "original":
        known = seen.of(batch.references.names, pair.reference_surface, pair.reference_camera)
    tolerance_px, once = photometric.cycle_tolerance_px, RasterizeOnce()
    directions = [photometric_consistency(pair, target_surface, tolerance_px=tolerance_px, seen=known, rasterizer=once)]
    if photometric.directions == "both":
        # The pixels of the target are those where its predicted surface is seen: outlines count from both sides.
        back = pair.reversed(target_surface)
        directions.append(
            photometric_consistency(back, pair.reference_surface, tolerance_px=tolerance_px, rasterizer=once)
        )
    return ComparedPairs.mean_of(directions)


def _surfaces_to_compare(
    network: HandObjectNetwork, batch: PairBatch, reconstruction: Reconstruction, photometric: Photometric
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

    def compared(image: Tensor) -> Tensor:
        return appearance(image, contrast_share=photometric.contrast_share)

    if photometric.compare == "original":
        targets, references = batch.targets, batch.references
        images = compared(targets.image), compared(references.image)
        return FramePair(images[0], targets.camera, images[1], references.camera, reference_surface), target_surface
    if other is None:
        raise ValueError("expected the references as the network sees them")
    images = compared(view.image), compared(other.image)
    pair = FramePair(images[0], view.camera, images[1], other.camera, reference_surface, view.valid, other.valid)
    return pair, target_surface


def photometric_weight(photometric: Photometric, step: int) -> float:
    """λ_c at a step of stage 2: a linear ramp."""
    return photometric.weight * min(1.0, step / max(photometric.ramp_steps, 1))
