"""How well the surfaces of frames agree with those of their labels, and `quality.csv`, which says so of every frame."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import repeat
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from warpgrasp.bounded import read_regular
from warpgrasp.errors import DataError
from warpgrasp.files import replacing
from warpgrasp.frame import FramePair, ObjectModel, Pose
from warpgrasp.geometry import Camera, Mesh
from warpgrasp.hand import HandModel
from warpgrasp.photometric import appearance, photometric_consistency
from warpgrasp.predictions import Predictions
from warpgrasp.render import Fragments, rasterize
from warpgrasp.scene import posed_surface

QUALITY = "quality.csv"
LARGEST_TABLE_BYTES = 64_000_000  # a frame takes about a hundred
WHOLE_PIXEL = 0.999  # of a smaller picture's pixel: more of it is free than any occluder's pixel leaves
AT_ONCE, AT_ONCE_PIXELS = 32, 16 * 160 * 120  # pairs that are compared together, and the pixels of their pictures


@dataclass(frozen=True)
class Criterion:
    """What of a frame and its label is compared."""

    contrast_share: float = 0.5  # of local contrast in the comparison; the rest is of colours
    both_directions: bool = True  # Eq. 1 from the label to the frame and back, or from the label alone


@dataclass(frozen=True)
class LabelledPictures:
    """The pictures of frames in order as they are compared, which of them are labelled, and when they were taken."""

    images: Mapping[int, Float[Tensor, "n k _h _w"]]  # `appearance` by width; the pictures themselves are not kept
    camera: Camera  # of one picture at its own size
    labelled: Bool[Tensor, " n"]
    times: Float[Tensor, " n"]  # in usual intervals between frames
    criterion: Criterion
    free: Mapping[int, Bool[Tensor, "n _h _w"]] | None = None  # pixels no occluder has a share in; None: all, by width
    references: Int[Tensor, " n"] | None = None  # with which label each frame is compared; None: with the nearest

    @staticmethod
    @torch.no_grad()
    def of(
        pictures: Iterable[UInt8[Tensor, "3 h w"]],
        camera: Camera,
        labelled: Bool[Tensor, " n"],
        *,
        widths_px: Iterable[int],
        criterion: Criterion = Criterion(),
        times: Float[Tensor, " n"] | None = None,
        occluded: Iterable[Bool[Tensor, "h w"] | None] | None = None,
    ) -> "LabelledPictures":
        """Take each picture at the widths of comparison, one after the other: only one lies in memory at its own size.

        Without `times` the frames follow each other evenly. `occluded` are each frame's pixels that another thing
        covers, None where there are none: their colours have no influence.
        """
        cameras = {width_px: resized_camera(camera, width_px) for width_px in widths_px}
        count, channels = len(labelled), 3 if criterion.contrast_share == 0 else 6
        images = {width_px: torch.empty(count, channels, c.height, c.width) for width_px, c in cameras.items()}
        free = None
        if occluded is not None:
            free = {width_px: torch.ones(count, c.height, c.width).bool() for width_px, c in cameras.items()}
        whole = torch.empty(1, 3, camera.height, camera.width)  # one for all: many would leave holes in memory
        for row, (picture, covered) in enumerate(zip(pictures, occluded or repeat(None), strict=False)):
            whole.copy_(picture).div_(255)  # as `colours`
            if covered is not None:
                whole[..., covered] = 0
            for width_px, c in cameras.items():
                small, seen = _resized(whole, c), None
                if covered is not None and free is not None:
                    seen = _resized((~covered).float()[None, None], c)[0] > WHOLE_PIXEL
                    free[width_px][row] = seen[0]
                images[width_px][row] = appearance(small, contrast_share=criterion.contrast_share, seen=seen)[0]
        even = torch.arange(count, dtype=torch.float64)
        return LabelledPictures(images, camera, labelled, even if times is None else times, criterion, free)

    def compared_with(self, row: int) -> "LabelledPictures":
        """The same with one label alone, with which all frames are compared."""
        count = len(self.labelled)
        return replace(
            self, labelled=torch.arange(count) == row, references=torch.full((count,), row, dtype=torch.long)
        )

    def reference(self) -> Int[Tensor, " n"]:
        """For each frame the position of the label with which it is compared."""
        return self.nearest_label() if self.references is None else self.references

    def nearest_label(self) -> Int[Tensor, " n"]:
        """For each frame the position of the label nearest in time; of two as near the earlier."""
        labels = torch.nonzero(self.labelled)[:, 0]
        apart = (self.times[:, None] - self.times[labels]).abs()
        return labels[apart.argmin(dim=1)]


def _resized(image: Float[Tensor, "1 c _h _w"], camera: Camera) -> Float[Tensor, "1 c h w"]:
    return F.interpolate(image, size=[camera.height, camera.width], mode="bilinear", antialias=True)


def resized_camera(camera: Camera, width_px: int) -> Camera:
    """The camera of pictures that are made that wide."""
    return camera.resized(width_px, max(1, round(camera.height * width_px / camera.width)))


@dataclass(frozen=True)
class Agreement:
    """How well a frame's surfaces agree with its nearest label's (Eq. 1)."""

    difference: Float[Tensor, " n"]  # mean absolute difference of what is compared; NaN where nothing was
    compared_share: Float[Tensor, " n"]  # of the surface that the label shows

    def rows(self, rows: slice) -> "Agreement":
        """Some of the frames."""
        return Agreement(self.difference[rows], self.compared_share[rows])


@torch.no_grad()
def agreement(
    pose: Pose,
    pictures: LabelledPictures,
    *,
    hand: HandModel,
    model: ObjectModel,
    width_px: int,
) -> Agreement:
    """Compare every frame with its nearest label; a label agrees with itself. The width is one of the pictures'."""
    comparison = Comparison.of(pose, pictures, width_px, hand=hand, model=model)
    every = comparison.parts(torch.arange(len(pose)))
    parts = [comparison.compare(comparison.start.rows(rows), rows) for rows in every]
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
    free: Bool[Tensor, "n h w"] | None = None  # the pixels that are compared; None: all

    @staticmethod
    @torch.no_grad()
    def of(
        start: Pose,
        pictures: LabelledPictures,
        width_px: int,
        *,
        hand: HandModel,
        model: ObjectModel,
    ) -> "Comparison":
        """`start` holds the poses of the labelled frames too; the width is one of the pictures'."""
        camera, images = resized_camera(pictures.camera, width_px), pictures.images[width_px]
        nearest, single = pictures.reference(), start.to(torch.float32)
        labels = posed_surface(single.rows(nearest), hand, model)
        free = None if pictures.free is None else pictures.free[width_px]
        return Comparison(single, images, camera, labels, nearest, hand, model, pictures.criterion, free)

    def parts(self, rows: Int[Tensor, " m"]) -> tuple[Int[Tensor, " _"], ...]:
        """The frames in parts that are compared together, small enough for memory."""
        pixels = self.camera.width * self.camera.height
        return rows.split(max(1, min(AT_ONCE, AT_ONCE_PIXELS // pixels)))

    def compare(
        self, moved: Pose, rows: Int[Tensor, " m"], seen: Fragments | None = None
    ) -> tuple[Float[Tensor, " m"], Float[Tensor, " m"]]:
        """Eq. 1 between these frames and their labels, and the share that was compared: means over the directions.

        `seen` is what the camera sees of the labels, where that is computed already.
        """
        camera, label = self._cameras(len(rows)), self._labels(rows)
        target = label.with_vertices(posed_surface(moved, self.hand, self.model).vertices)
        valid = () if self.free is None else (self.free[rows], self.free[self.nearest[rows]])
        pair = FramePair(self.images[rows], camera, self.images[self.nearest[rows]], camera, label, *valid)
        seen = Fragments.of(rasterize(label, camera)) if seen is None else seen
        target_seen = rasterize(target, camera)
        there = photometric_consistency(pair, target, seen=seen, target_face_ids=target_seen.face_ids)
        if not self.criterion.both_directions:
            return there.loss, there.compared_share
        back = photometric_consistency(
            pair.reversed(target), label, seen=Fragments.of(target_seen), target_face_ids=seen.face_id_images()
        )
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
    disagreement_mm: float = np.nan  # of what is carried from either end of a stretch
    depth_pull_mm: float = np.nan  # how much nearer or farther colours alone would have hand and object
    closure_mm: float = np.nan  # of what is carried from one label to the other, and of this label
    expected_error_mm: float = np.nan  # by all signs together (`Signs.expected_error_mm`)
    keypoints_px: float | None = None  # mean distance of the hand's joints from the detected; None: nobody looked
    hand_iou: float | None = None  # of the drawn silhouette and the given; None: no masks were given
    object_iou: float | None = None


def write_quality(path: Path, frames: Sequence[FrameQuality]) -> None:
    """Write the file, whole or not at all."""
    columns = [
        field.name
        for field in fields(FrameQuality)
        if field.default is not None or any(getattr(frame, field.name) is not None for frame in frames)
    ]
    lines = [
        {name: "" if isinstance(cell, float) and np.isnan(cell) else cell for name, cell in asdict(frame).items()}
        for frame in frames
    ]
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, columns, extrasaction="ignore")
        table.writeheader()
        table.writerows(lines)


def read_quality(path: Path, column: str) -> dict[int, float]:
    """One column, by the frames' numbers. Raises `DataError` naming the file when it has no such column of numbers."""
    try:
        lines = read_regular(path, LARGEST_TABLE_BYTES).decode().splitlines()
        return {int(line["frame"]): float(line[column] or "nan") for line in csv.DictReader(lines)}
    except (KeyError, TypeError, ValueError, OSError, csv.Error) as error:
        raise DataError(
            f"expected what `densify` wrote in {path}, but it cannot be read: {error!r}; run it again, or remove it"
        ) from error


def acceleration_mm(predictions: Predictions, times: Float[np.ndarray, " n"] | None = None) -> Float[np.ndarray, " n"]:
    """The mean second difference of hand joints and object centre from frame to frame; NaN at the ends.

    `times` are in usual intervals between frames; without them the frames follow each other evenly.
    """
    points = np.concatenate([predictions.hand_joints, predictions.object_translation[:, None]], axis=1)
    flat = torch.from_numpy(points.astype(np.float64)).flatten(1)
    even = np.arange(len(points), dtype=np.float64)
    differences = second_differences(flat, torch.from_numpy(even if times is None else times)).numpy()
    accelerations = np.full(len(points), np.nan)
    lengths = np.linalg.norm(differences.reshape(-1, *points.shape[1:]), axis=-1)
    accelerations[1:-1] = 1000 * lengths.mean(axis=1)
    return accelerations


def second_differences(values: Float[Tensor, "n k"], times: Float[Tensor, " n"]) -> Float[Tensor, "m k"]:
    """The changes of velocity per unit of time at all frames but the ends: x₂ - 2 x₁ + x₀ of even times 0, 1, 2 …"""
    gaps = times.diff().to(values)[:, None]
    before, after = gaps[:-1], gaps[1:]
    both = before + after
    return 2 / (after * both) * values[2:] - 2 / (before * after) * values[1:-1] + 2 / (before * both) * values[:-2]
