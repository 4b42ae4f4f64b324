"""Pairs of frames compared photometrically: Eq. 1 between predicted and annotated surfaces, with a cache of frames."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from warpgrasp.data import View
from warpgrasp.errors import DataError
from warpgrasp.frame import FrameName, FramePair, Frames, Reconstruction, pose_points
from warpgrasp.geometry import Camera, Mesh
from warpgrasp.hand import HandModel
from warpgrasp.photometric import PHOTOMETRIC_TERMS, PhotometricConsistency, photometric_consistency
from warpgrasp.render import Fragments, Raster, rasterize
from warpgrasp.scene import surface
from warpgrasp.training.keypoints import TargetKeypoints
from warpgrasp.training.settings import Photometric
from warpgrasp.training.silhouettes import PairMasks

Key = TypeVar("Key")
Constant = TypeVar("Constant")


@dataclass(frozen=True)
class PairBatch:
    """Unannotated target frames, each with the annotated frame that it is compared with, as the network sees them."""

    targets: Frames
    references: Frames
    target_view: View
    reference_view: View | None  # made by the same draw; only when augmented pictures are compared
    keypoints: TargetKeypoints | None = None  # of the targets
    masks: PairMasks | None = None


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
            torch.stack([direction.loss for direction in directions]).mean(dim=0),
            torch.stack([direction.compared_share for direction in directions]).mean(dim=0),
            torch.stack([direction.cycle_rejected_share for direction in directions]).mean(dim=0),
            torch.stack([direction.enough for direction in directions]).any(dim=0),
        )

    def shares(self) -> dict[str, Float[Tensor, ""]]:
        """How much was compared, as means over the pairs, for the log."""
        return {
            "compared_share": self.compared_share.mean(),
            "cycle_rejected_share": self.cycle_rejected_share.mean(),
            "pairs_without_overlap": (~self.enough).float().mean(),
        }


def compare_pairs(
    hand: HandModel,
    batch: PairBatch,
    reconstruction: Reconstruction,
    photometric: Photometric,
    *,
    cache: "FrameCache | None" = None,
) -> ComparedPairs:
    """Eq. 1 between the targets' predicted surfaces and the references' annotated ones, in one direction or both.

    `cache` keeps constants of frames from call to call; it is of use where the original pictures are compared.
    """
    cache = FrameCache() if cache is None else cache
    pair, target_surface = _surfaces_to_compare(hand, batch, reconstruction, photometric, cache)
    if photometric.compare == "original":
        reference_seen = cache.seen(batch.references.names, pair.reference_surface, pair.reference_camera)
    else:
        reference_seen = Fragments.of(rasterize(pair.reference_surface, pair.reference_camera))
    target_seen = rasterize(target_surface, pair.target_camera)
    directions = [_from_reference(pair, target_surface, photometric, reference_seen, target_seen)]
    if photometric.directions == "both":
        directions.append(_from_target(pair, target_surface, photometric, reference_seen, target_seen))
    return ComparedPairs.mean_of(directions)


def _from_reference(
    pair: FramePair, target_surface: Mesh, photometric: Photometric, reference_seen: Fragments, target_seen: Raster
) -> PhotometricConsistency:
    """The target's picture warped to the reference, as in the paper."""
    return photometric_consistency(
        pair,
        target_surface,
        tolerance_px=photometric.cycle_tolerance_px,
        seen=reference_seen,
        target_face_ids=target_seen.face_ids,
    )


def _from_target(
    pair: FramePair, target_surface: Mesh, photometric: Photometric, reference_seen: Fragments, target_seen: Raster
) -> PhotometricConsistency:
    """The reference's picture warped to the target.

    The pixels of the target are those where its predicted surface is seen: outlines count from both sides.
    """
    return photometric_consistency(
        pair.reversed(target_surface),
        pair.reference_surface,
        tolerance_px=photometric.cycle_tolerance_px,
        seen=Fragments.of(target_seen),
        target_face_ids=reference_seen.face_id_images(),
    )


def _surfaces_to_compare(
    hand: HandModel, batch: PairBatch, reconstruction: Reconstruction, photometric: Photometric, cache: "FrameCache"
) -> tuple[FramePair, Mesh]:
    """The pictures that are compared with their cameras and surfaces, and the targets' surface."""
    annotation, objects = batch.references.annotation, batch.references.objects
    if annotation is None:
        raise ValueError("expected annotated references")
    hand_vertices, object_vertices = reconstruction.hand.vertices, reconstruction.object.vertices
    turn = batch.target_view.view_from_camera
    if photometric.compare == "original":
        # Rows times R undo R: back to the camera that took the picture.
        hand_vertices, object_vertices = hand_vertices @ turn, object_vertices @ turn
    else:
        annotation = annotation.turned(turn)
    reference_objects = pose_points(annotation.object_rotation, annotation.object_translation, objects.vertices)
    reference_surface = surface(hand, annotation.hand_vertices, reference_objects, objects)
    target_surface = reference_surface.with_vertices(torch.cat([hand_vertices, object_vertices], dim=1))
    return _pictures_to_compare(batch, reference_surface, photometric, cache), target_surface


def _pictures_to_compare(
    batch: PairBatch, reference_surface: Mesh, photometric: Photometric, cache: "FrameCache"
) -> FramePair:
    if photometric.compare == "original":
        targets, references = batch.targets, batch.references
        images = [cache.compared_channels(frames, photometric) for frames in (targets, references)]
        pair = FramePair(images[0], targets.camera, images[1], references.camera, reference_surface)
        masks = batch.masks
        if masks is None:
            return pair
        return replace(pair, target_valid=masks.target_valid, reference_valid=masks.reference_valid)
    view, other = batch.target_view, batch.reference_view
    if other is None:
        raise ValueError("expected the references as the network sees them")
    images = [compared_channels(seen.image, photometric) for seen in (view, other)]
    return FramePair(images[0], view.camera, images[1], other.camera, reference_surface, view.valid, other.valid)


def compared_channels(image: Float[Tensor, "b 3 h w"], photometric: Photometric) -> Float[Tensor, "b k h w"]:
    """The channels that pictures are compared by, after the recipe's photometric term.

    Raises `RegistryError` for an unknown term, and `DataError` for a term of another package that changes the size.
    """
    channels = PHOTOMETRIC_TERMS[photometric.term](image, contrast_share=photometric.contrast_share)
    if channels.ndim != 4 or channels.shape[0] != image.shape[0] or channels.shape[2:] != image.shape[2:]:
        raise DataError(
            f"expected channels of pictures of the shape {tuple(image.shape)} from the photometric term "
            f"{photometric.term}, in the same number and size, got the shape {tuple(channels.shape)}"
        )
    return channels


class FrameCache:
    """Constants of frames by their names, within a limit of memory; beyond it they are computed each time.

    Each frame is computed alone, so that no bit depends on the batch in which it came first. On a GPU nothing is kept:
    a GPU computes a whole batch in less time than the host takes to gather the kept parts.
    """

    def __init__(self, *, limit_bytes: int = 500_000_000):
        self._seen: dict[FrameName, Fragments] = {}
        self._channels: dict[tuple[FrameName, str, float], Tensor] = {}
        self._free_bytes = limit_bytes

    def seen(self, names: Sequence[FrameName], surfaces: Mesh, camera: Camera) -> Fragments:
        """What the frames' cameras see of their annotated surfaces."""
        if surfaces.vertices.is_cuda:
            return Fragments.of(rasterize(surfaces, camera))

        def seen_alone(row: int) -> Fragments:
            rows = slice(row, row + 1)
            mesh = Mesh(surfaces.vertices[rows], surfaces.faces[rows], surfaces.auxiliary_faces[rows])
            return Fragments.of(rasterize(mesh, replace(camera, intrinsics=camera.intrinsics[rows])))

        def tensors(seen: Fragments) -> Sequence[Tensor]:
            return seen.pixels, seen.face_ids, seen.covered

        return _stacked([self._kept(self._seen, name, row, seen_alone, tensors) for row, name in enumerate(names)])

    def compared_channels(self, frames: Frames, photometric: Photometric) -> Float[Tensor, "b k h w"]:
        """The channels that the frames' pictures are compared by (`compared_channels`)."""
        # Without a share of contrast the terms of this package are the pictures themselves: nothing to keep.
        if frames.image.is_cuda or photometric.contrast_share == 0:
            return compared_channels(frames.image, photometric)

        def channels_alone(row: int) -> Tensor:
            return compared_channels(frames.image[row : row + 1], photometric)

        def tensors(channels: Tensor) -> Sequence[Tensor]:
            return [channels]

        keys = [(name, photometric.term, photometric.contrast_share) for name in frames.names]
        return torch.cat(
            [self._kept(self._channels, key, row, channels_alone, tensors) for row, key in enumerate(keys)]
        )

    def _kept(
        self,
        constants: dict[Key, Constant],
        key: Key,
        row: int,
        computed_alone: Callable[[int], Constant],
        tensors: Callable[[Constant], Sequence[Tensor]],
    ) -> Constant:
        if key in constants:
            return constants[key]
        constant = computed_alone(row)
        size = sum(tensor.numel() * tensor.element_size() for tensor in tensors(constant))
        if size <= self._free_bytes:
            self._free_bytes -= size
            constants[key] = constant
        return constant


def _stacked(parts: Sequence[Fragments]) -> Fragments:
    """One batch, padded to the longest."""
    counts = [part.face_ids.shape[1] for part in parts]
    real = torch.arange(max(counts)) < torch.tensor(counts)[:, None]

    def padded(tensors: Sequence[Tensor]) -> Tensor:
        every = torch.cat(list(tensors), dim=1)[0]
        stacked = every.new_zeros((*real.shape, *every.shape[1:]))
        return stacked.masked_scatter_(real.view(*real.shape, *[1] * (every.ndim - 1)), every)

    return replace(
        parts[0],
        pixels=padded([part.pixels for part in parts]),
        face_ids=padded([part.face_ids for part in parts]),
        covered=padded([part.covered for part in parts]),
    )
