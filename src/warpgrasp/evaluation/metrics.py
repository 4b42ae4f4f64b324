"""The paper's six errors, the acceleration error (Kanazawa et al. 2019), and the motion of the surfaces.

A metric is updated with a batch and computes its mean at the end. Its name carries its unit; nothing is aligned unless
the name says so.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from warpgrasp.data import SPLITS, Dataset, Labels
from warpgrasp.errors import UserError
from warpgrasp.frame import FrameName, pose_points
from warpgrasp.geometry import Camera, Mesh
from warpgrasp.photometric import render_flow
from warpgrasp.predictions import Predictions, read_predictions
from warpgrasp.scene import Scene


class EvaluationError(UserError):
    """Predictions cannot be scored."""


@dataclass
class MeanPointError:
    """Mean distance between corresponding points: over the points of a frame, then over frames."""

    frame_errors: list[float] = field(default_factory=list)

    def update(
        self,
        predicted: Float[Tensor, "b n d"],
        expected: Float[Tensor, "b n d"],
        real: Bool[Tensor, "b n"] | None = None,
    ) -> None:
        """Add the frames of a batch; `real` leaves out padding."""
        distance = (predicted - expected).norm(dim=-1)
        real = torch.ones_like(distance, dtype=torch.bool) if real is None else real
        self.frame_errors += ((distance * real).sum(-1) / real.sum(-1)).tolist()

    def compute(self) -> float:
        """The mean over all frames seen."""
        if not self.frame_errors:
            raise EvaluationError("expected at least one frame to score, got none")
        return sum(self.frame_errors) / len(self.frame_errors)


@dataclass
class FrameMean:
    """The mean over frames of one figure per frame. A frame that has none is left out, and counted."""

    values: list[float] = field(default_factory=list)
    left_out: int = 0

    def add(self, value: float | None) -> None:
        """Add a frame's figure; None where the frame has none."""
        if value is None:
            self.left_out += 1
        else:
            self.values.append(value)

    def compute(self) -> float:
        """The mean over the frames that have a figure."""
        if not self.values:
            raise EvaluationError(f"expected at least one frame to score, got none ({self.left_out} left out)")
        return sum(self.values) / len(self.values)


# Camera space, no alignment. Pixels are those of the pictures on disk.
METRICS = (
    "hand_joint_error_mm",
    "hand_joint_error_px",
    "object_vertex_error_mm",
    "object_vertex_error_px",
    "object_corner_error_mm",
    "object_corner_error_px",
)


@dataclass(frozen=True)
class Scores:
    """Each metric's mean over frames, and its value in every frame (for curves and standard errors)."""

    names: list[FrameName]
    per_frame: dict[str, list[float]]

    @property
    def means(self) -> dict[str, float]:
        """The mean of each metric over all frames."""
        return {name: sum(values) / len(values) for name, values in self.per_frame.items()}

    def by_sequence(self) -> dict[str, dict[str, float]]:
        """The mean of each metric over the frames of each sequence."""
        rows: dict[str, list[int]] = {}
        for row, name in enumerate(self.names):
            rows.setdefault(name.sequence, []).append(row)
        return {
            sequence: {
                name: sum(values[row] for row in chosen) / len(chosen) for name, values in self.per_frame.items()
            }
            for sequence, chosen in rows.items()
        }


def evaluate(predictions: Predictions | Path | str, dataset: Dataset) -> Scores:
    """Score a predictions file, or predictions in memory, against a data set's annotations.

    A file that names its split is scored on all annotated frames of that split, other predictions on those of their
    frames that are annotated. Raises `PredictionsError` when the file cannot be read, and `EvaluationError` when a
    frame of the split was not predicted, or no predicted frame is annotated.
    """
    header: dict[str, Any] = {}
    if not isinstance(predictions, Predictions):
        predictions, header = read_predictions(Path(predictions))
    split = header.get("split")
    candidates = dataset.names(split) if split in SPLITS else predictions.names
    names = [name for name in candidates if dataset.is_annotated(name)]
    if not names:
        raise EvaluationError(f"expected predictions of annotated frames of {dataset.root}, got none to score")
    return score(predictions, dataset, names)


def score(predictions: Predictions, dataset: Dataset, names: Iterable[FrameName]) -> Scores:
    """Score predictions against a data set's annotations on the named frames.

    Raises `EvaluationError` when a frame was not predicted: it is never left out silently.
    """
    row_of = {name: row for row, name in enumerate(predictions.names)}
    wanted = list(names)
    missing = [name for name in wanted if name not in row_of]
    if missing:
        raise EvaluationError(
            f"expected a prediction of each of {len(wanted)} frames, missing {len(missing)}, the first {missing[0]}; "
            f"predict the split that you evaluate"
        )
    metrics = {name: MeanPointError() for name in METRICS}
    for name in wanted:
        row, truth = row_of[name], dataset.truth(name)
        rotation = torch.from_numpy(predictions.object_rotation[row])
        translation = torch.from_numpy(predictions.object_translation[row])
        camera = Camera(truth.intrinsics, 1, 1)  # projecting needs no size
        annotation, model = truth.annotation, truth.object
        points = {
            "hand_joint": (torch.from_numpy(predictions.hand_joints[row]), annotation.hand_joints),
            **{
                f"object_{kind}": (
                    pose_points(rotation, translation, local),
                    pose_points(annotation.object_rotation, annotation.object_translation, local),
                )
                for kind, local in (("vertex", model.vertices), ("corner", model.corners))
            },
        }
        for kind, (predicted, expected) in points.items():
            metrics[f"{kind}_error_mm"].update(1000 * predicted[None], 1000 * expected[None])
            metrics[f"{kind}_error_px"].update(camera.project(predicted)[None], camera.project(expected)[None])
    return Scores(wanted, {name: metric.frame_errors for name, metric in metrics.items()})


@dataclass
class AccelerationError:
    """Mean distance between predicted and true acceleration of points, in camera space, per frame².

    Second differences of three consecutive frames of one sequence; a frame without both neighbours is left out.
    """

    _offsets: dict[FrameName, Float[np.ndarray, "k 3"]] = field(default_factory=dict, repr=False)

    def update(self, name: FrameName, predicted: Float[np.ndarray, "k 3"], expected: Float[np.ndarray, "k 3"]) -> None:
        """Add a frame, in any order."""
        self._offsets[name] = predicted - expected  # differences are linear: those of the offset are the error's

    @property
    def scored(self) -> list[FrameName]:
        """The frames that have both neighbours."""
        return [name for name in self._offsets if all(_beside(name, step) in self._offsets for step in (-1, 1))]

    @property
    def left_out(self) -> int:
        """The number of frames that lack a neighbour."""
        return len(self._offsets) - len(self.scored)

    def compute(self) -> float:
        """The mean over points, then over frames, in the unit of the points per frame²."""
        errors = []
        for name in self.scored:
            before, now, after = (self._offsets[_beside(name, step)] for step in (-1, 0, 1))
            errors.append(np.linalg.norm(before - 2 * now + after, axis=-1).mean())
        if not errors:
            raise EvaluationError(
                f"expected three consecutive frames of a sequence, found none among {len(self._offsets)} frames"
            )
        return float(np.mean(errors))


def _beside(name: FrameName, step: int) -> FrameName:
    return FrameName(name.sequence, name.index + step)


@dataclass(frozen=True)
class SurfaceMotion:
    """Displacement of the surface points that the reference sees, in pixels of the pictures on disk."""

    median: float
    p95: float


def measure_motion(dataset: Dataset, labels: Labels, *, size: tuple[int, int], every: int = 1) -> SurfaceMotion:
    """Measure the motion from each unannotated frame to its label, by the annotations of all frames.

    The report says it; training never sees these annotations.

    `size` is (width, height) of the pictures on disk; of `every` unannotated frames one is measured.
    """
    displacements = []
    for name in labels.unannotated_names[::every]:
        source, camera = _surface(dataset, labels.reference(name), size)
        destination, destination_camera = _surface(dataset, name, size)
        flow = render_flow(source, destination, source_camera=camera, destination_camera=destination_camera)
        displacements.append(flow.flow_px[flow.visible].norm(dim=-1).numpy())
    if not displacements:
        return SurfaceMotion(0.0, 0.0)
    median, p95 = np.percentile(np.concatenate(displacements), [50, 95])
    return SurfaceMotion(float(median), float(p95))


def _surface(dataset: Dataset, name: FrameName, size: tuple[int, int]) -> tuple[Mesh, Camera]:
    truth = dataset.truth(name)
    scene = Scene.annotated(dataset.hand, truth.annotation, truth.object)
    return scene.mesh, Camera(truth.intrinsics, *size).batched
