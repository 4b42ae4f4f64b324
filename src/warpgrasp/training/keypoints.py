"""Keypoints of a training's frames: where a detector that has seen photographs sees the hand. No part of the paper.

A detector sees the pictures at the data set's own size. Its idea of where joints lie is adapted on the annotated frames
(`fit_offsets`); its detections then pull the predicted hands of the unannotated ones.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from warpgrasp.data import Dataset, FrameSource, Labels, OnBad
from warpgrasp.errors import DataError
from warpgrasp.frame import Detections, FrameName, Frames, Reconstruction, stack_annotations
from warpgrasp.geometry import Camera
from warpgrasp.keypoints import (
    DETECTORS,
    OTHER_HAND,
    DetectorSettings,
    JointOffsets,
    KeypointDetector,
    Picture,
    cached_keypoints,
    detections_of,
    fit_offsets,
    reprojection_loss,
    usual_offsets,
)
from warpgrasp.training.settings import Recipe

MOST_LABELS = 500  # that the offsets are fitted on: more change nothing


@dataclass(frozen=True)
class TargetKeypoints:
    """What a detector says of a batch, in pixels of the batch's pictures."""

    detections: Detections
    offsets: JointOffsets

    def loss(
        self, reconstruction: Reconstruction, view_from_camera: Float[Tensor, "b 3 3"], camera: Camera
    ) -> Float[Tensor, " b"]:
        """The reprojection loss of hands predicted in augmented views, in the cameras that took the pictures."""
        hand = reconstruction.hand
        # Rows times R undo R: back to the camera that took the picture.
        joints, rotation = hand.joints @ view_from_camera, view_from_camera.transpose(-1, -2) @ hand.rotation
        return reprojection_loss(joints, rotation, camera, self.detections, self.offsets)


@dataclass(frozen=True)
class FrameKeypoints:
    """The detected hand of every frame of some sequences, and the offsets of the detector's joints."""

    rows: Mapping[FrameName, int]
    detections: Detections  # in pictures of one pixel: a batch may have any size
    offsets: JointOffsets

    @staticmethod
    def detected(
        source: FrameSource, labels: Labels, detector: KeypointDetector, added: Sequence[FrameName] = ()
    ) -> "FrameKeypoints":
        """Detect hands in all frames of the sequences that have labels and in the added ones, or read the cache.

        `source` reads pictures at their own size. Raises `DataError` where an annotation that is used lacks the hand's
        rotation.
        """
        rows: dict[FrameName, int] = {}
        parts = []
        for every in (*_labelled_sequences(labels), *_by_sequence(added)):
            names = [name for name in every if source.is_readable(name)]
            if not names:
                continue
            camera = source.frame(names[0]).camera
            hands = cached_keypoints(detector, SequencePictures(source, names))
            of_sequence = detections_of(hands, "right", least_probability=OTHER_HAND)
            parts.append(of_sequence.resized((camera.width, camera.height), (1, 1)))
            rows |= {name: len(rows) + row for row, name in enumerate(names)}
        detections = Detections.joined(parts)
        return FrameKeypoints(rows, detections, _fitted(source, labels, rows, detections))

    @property
    def seen_share(self) -> float:
        """The share of the frames in which a hand is seen."""
        return float((self.detections.confidence.sum(dim=1) > 0).float().mean())

    def told(self, frames: Frames) -> Frames:
        """A batch with where the hand is seen in it; nowhere in frames that nobody looked at."""
        known = torch.tensor([name in self.rows for name in frames.names])
        detections = self._in_pictures(frames, [self.rows.get(name, 0) for name in frames.names])
        return replace(frames, detections=replace(detections, confidence=detections.confidence * known[:, None]))

    def of(self, frames: Frames) -> TargetKeypoints:
        """Those of a batch of these frames."""
        return TargetKeypoints(self._in_pictures(frames, [self.rows[name] for name in frames.names]), self.offsets)

    def _in_pictures(self, frames: Frames, rows: Sequence[int]) -> Detections:
        """The detections of these rows, in pixels of the batch's pictures."""
        return self.detections.rows(torch.tensor(rows)).resized((1, 1), (frames.camera.width, frames.camera.height))


def keypoints_of(
    recipe: Recipe, dataset: Dataset, labels: Labels, on_bad: OnBad, added: Sequence[FrameName] = ()
) -> FrameKeypoints | None:
    """What the recipe's detector sees in a data set at its own size, if the recipe asks one.

    In added frames it looks for a network that is told of hands alone: they are never targets.
    """
    photometric = recipe.photometric
    are_targets = photometric.keypoint_weight > 0 and recipe.stage2.steps > 0
    if not are_targets and not recipe.network.joint_input:
        return None
    source = FrameSource(dataset, annotated=labels.annotated_names, on_bad=on_bad, cache_bytes=0)
    detector = DETECTORS[photometric.detector](DetectorSettings())
    return FrameKeypoints.detected(source, labels, detector, added if recipe.network.joint_input else ())


def _labelled_sequences(labels: Labels) -> Iterator[list[FrameName]]:
    """All frames of each sequence that has a label."""
    for sequence, annotated in labels.annotated.items():
        if annotated:
            yield [FrameName(sequence, index) for index in sorted([*annotated, *labels.unannotated[sequence]])]


def _by_sequence(names: Sequence[FrameName]) -> Iterator[list[FrameName]]:
    for _, of_sequence in groupby(names, key=attrgetter("sequence")):
        yield sorted(of_sequence, key=attrgetter("index"))


@dataclass(frozen=True)
class SequencePictures:
    """The pictures of some frames, read again each time they are gone through."""

    source: FrameSource
    names: Sequence[FrameName]

    def __iter__(self) -> Iterator[Picture]:
        for name in self.names:
            yield np.ascontiguousarray(self.source.frame(name).picture.permute(1, 2, 0).numpy())


def _fitted(source: FrameSource, labels: Labels, rows: Mapping[FrameName, int], detections: Detections) -> JointOffsets:
    """The offsets of the detector's joints, fitted on annotated frames."""
    names = [name for name in labels.annotated_names if name in rows]
    frames = [source.frame(name) for name in names[:: -(-len(names) // MOST_LABELS)]]
    annotation = stack_annotations([frame.annotation for frame in frames if frame.annotation is not None])
    if annotation.hand_rotation is None:
        raise DataError(
            "expected the rotation of the whole hand in every annotation, since a detector's joints are adapted in the "
            "hand's frame, found annotations without it; train without keypoints (--photometric.keypoint-weight 0)"
        )
    chosen = torch.tensor([rows[frame.name] for frame in frames])
    sizes = torch.tensor([(frame.camera.width, frame.camera.height) for frame in frames])[:, None]
    camera = Camera(torch.stack([frame.camera.intrinsics for frame in frames]), *sizes[0, 0].tolist())
    return fit_offsets(
        annotation.hand_joints,
        annotation.hand_rotation,
        camera,
        (detections.joints_px[chosen] + 0.5) * sizes - 0.5,
        detections.confidence[chosen],
        prior_m=usual_offsets().offsets_m,
    )
