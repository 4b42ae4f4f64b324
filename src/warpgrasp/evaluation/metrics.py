"""Metrics: `update` with a batch, `compute` the mean. A name carries its unit; nothing is aligned unless it says so."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from warpgrasp.data import Dataset
from warpgrasp.errors import UserError
from warpgrasp.frame import FrameName, pose_points
from warpgrasp.geometry import Camera
from warpgrasp.inference import Predictions


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


def score(predictions: Predictions, dataset: Dataset, names: Iterable[FrameName]) -> Scores:
    """Score predictions against a data set's annotations on the named frames.

    Raises `EvaluationError` when a frame was not predicted: it is never left out silently.
    """
    row_of = {name: row for row, name in enumerate(predictions.names)}
    wanted = list(names)
    missing = [name for name in wanted if name not in row_of]
    if missing:
        raise EvaluationError(
            f"expected a prediction of each of {len(wanted)} frames, missing {len(missing)}, the first "
            f"{missing[0].sequence}/{missing[0].index:04d}; predict the split that you evaluate"
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
