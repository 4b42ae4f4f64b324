"""How well the surfaces of frames agree with those of their labels, and `quality.csv`, which says so of every frame."""

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from warpgrasp.errors import DataError
from warpgrasp.files import replacing
from warpgrasp.frame import FramePair, ObjectModel, Pose, colours
from warpgrasp.geometry import Camera, Mesh
from warpgrasp.hand import HandModel
from warpgrasp.photometric import appearance, photometric_consistency
from warpgrasp.predictions import Predictions
from warpgrasp.render import Fragments, rasterize
from warpgrasp.scene import posed_surface

QUALITY = "quality.csv"
AT_ONCE = 32  # pairs that are compared together


@dataclass(frozen=True)
class LabelledPictures:
    """The pictures of frames in order, and which of them are labelled."""

    pictures: UInt8[Tensor, "n 3 h w"]
    camera: Camera  # of one picture
    labelled: Bool[Tensor, " n"]

    def nearest_label(self) -> Int[Tensor, " n"]:
        """For each frame the position of its nearest label; of two as near the earlier."""
        labels = torch.nonzero(self.labelled)[:, 0]
        apart = (torch.arange(len(self.labelled))[:, None] - labels).abs()
        return labels[apart.argmin(dim=1)]


@dataclass(frozen=True)
class Agreement:
    """How well a frame's surfaces agree with its nearest label's (Eq. 1)."""

    difference: Float[Tensor, " n"]  # mean absolute difference of what is compared; NaN where nothing was
    compared_share: Float[Tensor, " n"]  # of the surface that the label shows

    def rows(self, rows: slice) -> "Agreement":
        """Some of the frames."""
        return Agreement(self.difference[rows], self.compared_share[rows])


@dataclass(frozen=True)
class Criterion:
    """What of a frame and its label is compared."""

    contrast_share: float = 0.5  # of local contrast in the comparison; the rest is of colours
    both_directions: bool = True  # Eq. 1 from the label to the frame and back, or from the label alone


@torch.no_grad()
def agreement(
    pose: Pose,
    pictures: LabelledPictures,
    *,
    hand: HandModel,
    model: ObjectModel,
    width_px: int,
    criterion: Criterion = Criterion(),
) -> Agreement:
    """Compare every frame with its nearest label; a label agrees with itself."""
    width_px = min(width_px, pictures.camera.width)
    comparison = Comparison.of(pose, pictures, width_px, hand=hand, model=model, criterion=criterion)
    parts = [comparison.compare(comparison.start.rows(rows), rows) for rows in torch.arange(len(pose)).split(AT_ONCE)]
    difference, share = (torch.cat(values) for values in zip(*parts, strict=True))
    return Agreement(torch.where(share > 0, difference, torch.nan), share)


@dataclass(frozen=True)
class Comparison:
    """The pictures at one width as they are compared, and the surfaces of every frame's nearest label."""

    start: Pose  # in float32
    images: Float[Tensor, "n c h w"]
    camera: Camera
    label_surfaces: Mesh
    nearest: Int[Tensor, " n"]
    hand: HandModel
    model: ObjectModel
    criterion: Criterion

    @staticmethod
    @torch.no_grad()
    def of(
        start: Pose,
        pictures: LabelledPictures,
        width_px: int,
        *,
        hand: HandModel,
        model: ObjectModel,
        criterion: Criterion,
    ) -> "Comparison":
        """`start` holds the poses of the labelled frames too."""
        full = pictures.camera
        camera = full.resized(width_px, max(1, round(full.height * width_px / full.width)))
        size = [camera.height, camera.width]
        images = [
            appearance(
                F.interpolate(colours(part), size=size, mode="bilinear", antialias=True),
                contrast_share=criterion.contrast_share,
            )
            for part in pictures.pictures.split(AT_ONCE)
        ]
        nearest, single = pictures.nearest_label(), start.to(torch.float32)
        labels = posed_surface(single.rows(nearest), hand, model)
        return Comparison(single, torch.cat(images), camera, labels, nearest, hand, model, criterion)

    def compare(
        self, moved: Pose, rows: Int[Tensor, " m"], seen: Fragments | None = None
    ) -> tuple[Float[Tensor, " m"], Float[Tensor, " m"]]:
        """Eq. 1 between these frames and their labels, and the share that was compared: means over the directions.

        `seen` is what the camera sees of the labels, where that is computed already.
        """
        camera, label = self._cameras(len(rows)), self._labels(rows)
        target = label.with_vertices(posed_surface(moved, self.hand, self.model).vertices)
        pair = FramePair(self.images[rows], camera, self.images[self.nearest[rows]], camera, label)
        there = photometric_consistency(pair, target, seen=seen)
        if not self.criterion.both_directions:
            return there.loss, there.compared_share
        back = photometric_consistency(pair.reversed(target), label)
        return (there.loss + back.loss) / 2, (there.compared_share + back.compared_share) / 2

    @torch.no_grad()
    def seen_labels(self, rows: Int[Tensor, " m"]) -> Fragments:
        """What the camera sees of the labels of these frames: the same at every step."""
        return Fragments.of(rasterize(self._labels(rows), self._cameras(len(rows))))

    def _labels(self, rows: Int[Tensor, " m"]) -> Mesh:
        surfaces = self.label_surfaces
        return Mesh(surfaces.vertices[rows], surfaces.faces[rows], surfaces.auxiliary_faces[rows])

    def _cameras(self, count: int) -> Camera:
        return Camera(self.camera.intrinsics.expand(count, 3, 3), self.camera.width, self.camera.height)


@dataclass(frozen=True)
class FrameQuality:
    """One line; its fields are the columns. What was not measured is NaN, and an empty cell."""

    frame: int
    labelled: int  # 1 or 0
    frames_to_label: int
    difference_before: float  # mean absolute difference to the nearest label where the refinement started
    difference_after: float
    compared_share: float  # of the surface that the label shows, after
    acceleration_mm_per_frame2: float


def write_quality(path: Path, frames: Sequence[FrameQuality]) -> None:
    """Write the file, whole or not at all."""
    lines = [
        {name: "" if isinstance(cell, float) and np.isnan(cell) else cell for name, cell in asdict(frame).items()}
        for frame in frames
    ]
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, [field.name for field in fields(FrameQuality)])
        table.writeheader()
        table.writerows(lines)


def read_quality(path: Path, column: str) -> dict[int, float]:
    """One column, by the frames' numbers. Raises `DataError` naming the file when it has no such column of numbers."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return {int(line["frame"]): float(line[column] or "nan") for line in csv.DictReader(file)}
    except (KeyError, TypeError, ValueError, OSError, csv.Error) as error:
        raise DataError(
            f"expected what `densify` wrote in {path}, but it cannot be read: {error!r}; run it again, or remove it"
        ) from error


def acceleration_mm(predictions: Predictions) -> Float[np.ndarray, " n"]:
    """The mean second difference of hand joints and object centre from frame to frame; NaN at the ends."""
    points = np.concatenate([predictions.hand_joints, predictions.object_translation[:, None]], axis=1)
    points = points.astype(np.float64)
    accelerations = np.full(len(points), np.nan)
    second_differences = points[2:] - 2 * points[1:-1] + points[:-2]
    accelerations[1:-1] = 1000 * np.linalg.norm(second_differences, axis=-1).mean(axis=1)
    return accelerations
