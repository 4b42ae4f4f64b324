"""From a few labels of a recording to hand and object in every frame, without a network."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial.transform import Rotation, Slerp
from torch import Tensor

from warpgrasp.data.recording import Recording, check_labels, label_of_pose, pose_of_label, write_annotations
from warpgrasp.errors import UserError
from warpgrasp.frame import Pose
from warpgrasp.hand import HandModel, same_hand
from warpgrasp.predictions import (
    Postprocessing,
    Predictions,
    ShardWriter,
    mesh_hashes,
    pose_of_predictions,
    predictions_of_pose,
    read_predictions,
)
from warpgrasp.progress import progress_bar
from warpgrasp.refinement.quality import (
    QUALITY,
    Agreement,
    FrameQuality,
    LabelledPictures,
    acceleration_mm,
    agreement,
    write_quality,
)
from warpgrasp.refinement.refine import ALL_FRAMES, refine

PREDICTIONS = "predictions.npz"
LONGEST_STRETCH = 2000  # frames between two labels, whose pictures lie in memory together


class DensifyError(UserError):
    """A recording's labels cannot be carried to its other frames."""


@dataclass(frozen=True)
class Densified:
    """Hand and object in every frame, and how well they agree with the nearest label, before and after."""

    predictions: Predictions
    labelled: list[int]  # positions
    before: Agreement
    after: Agreement

    def quality(self) -> list[FrameQuality]:
        """The lines of `quality.csv`."""
        return [
            FrameQuality(
                frame=number,
                labelled=int(position in self.labelled),
                frames_to_label=min(abs(position - labelled) for labelled in self.labelled),
                difference_before=float(self.before.difference[position]),
                difference_after=float(self.after.difference[position]),
                compared_share=float(self.after.compared_share[position]),
                acceleration_mm_per_frame2=float(acceleration),
            )
            for position, (number, acceleration) in enumerate(
                zip(self.predictions.index.tolist(), acceleration_mm(self.predictions), strict=True)
            )
        ]


def densify(
    recording: Recording,
    hand: HandModel,
    out: Path,
    *,
    program: str,
    start: Predictions | None = None,
    show_progress: bool = True,
) -> Densified:
    """Write predictions, labels and quality of every frame into the folder `out`; an interrupted run is continued.

    Poses start between the labels, or at those of `start`, a network's. The recording's labels of use `train` stay as
    they are; those held out are not looked at. `hand` is the right hand's model, also where they are of a left hand.
    Raises `DensifyError` when there are none, when two are too far apart, or when `start` lacks a frame.
    """
    own_hand = recording.hand(hand)
    labels, numbers = _labelled_poses(recording, own_hand), list(recording.footage.numbers)
    first = between_labels(labels, len(numbers)) if start is None else _of_start(start, labels, numbers, own_hand)
    task = _Task(recording, own_hand, numbers, labels, first)
    stretches = _stretches(sorted(labels), len(numbers))
    header: dict[str, Any] = {
        "protocol": "recording",
        "split": "all",
        "hand": hand.template.name,
        "side": recording.side,
        "method": "densify",
        "labels": [numbers[position] for position in sorted(labels)],
        "start": "labels" if start is None else "predictions",
        "objects": mesh_hashes([recording.object.model]),
        "cameras": {task.sequence: recording.lens.content},
        "commit": program,
    }
    out.mkdir(parents=True, exist_ok=True)
    writer = ShardWriter(out / PREDICTIONS, header)
    agreements = list(_refined_stretches(task, stretches, writer, show_progress))
    writer.finish(len(stretches), Postprocessing(lambda _: recording.object.model, lambda _: recording.clip.interval_s))
    predictions, _ = read_predictions(out / PREDICTIONS)
    densified = Densified(predictions, sorted(labels), *map(_joined, zip(*agreements, strict=True)))
    _write_labels(out, task, pose_of_predictions(predictions, own_hand))
    write_quality(out / QUALITY, densified.quality())
    return densified


def _labelled_poses(recording: Recording, hand: HandModel) -> dict[int, Pose]:
    """The poses of the labels that may be used, by their positions."""
    stated = recording.annotations.hand_model
    usable = {
        position: recording.labels[number]
        for position, number in enumerate(recording.footage.numbers)
        if number in recording.labels and recording.labels[number].use == "train"
    }
    if not usable:
        raise DensifyError(
            f"expected labels to start from in {recording.folder}, found none; label a few frames by "
            f"`warpgrasp annotate {recording.folder}`"
        )
    if stated is not None and not same_hand(stated, hand.template.name):
        raise DensifyError(
            f"expected the hand model that the labels name ({stated}), got {hand.template.name}; choose it by --hand"
        )
    check_labels(recording, list(usable.values()), hand)
    return {position: pose_of_label(label, hand, recording.object.model) for position, label in usable.items()}


def between_labels(labels: Mapping[int, Pose], count: int) -> Pose:
    """The poses of `count` frames from the labelled ones, by their positions.

    Between two labels the motion is even, before the first and beyond the last there is none. The hand has one shape
    in all frames without a label: the mean of the labels'.
    """
    positions = sorted(labels)
    labelled = Pose.joined([labels[position] for position in positions])
    every = np.arange(count)
    inside = np.clip(every, positions[0], positions[-1])

    def numbers(values: Float[Tensor, "k c"]) -> Float[Tensor, "n c"]:
        columns = [np.interp(every, positions, column) for column in values.double().numpy().T]
        return torch.from_numpy(np.stack(columns, axis=-1)).float()

    def rotations(values: Float[Tensor, "k 3 3"]) -> Float[Tensor, "n 3 3"]:
        if len(positions) == 1:
            return values.expand(count, -1, -1).clone()
        turns = Rotation.from_matrix(values.double().numpy())
        return torch.from_numpy(Slerp(positions, turns)(inside).as_matrix()).float()

    shape = labelled.shape.mean(dim=0).expand(count, -1).clone()
    shape[positions] = labelled.shape
    return Pose(
        rotations(labelled.object_rotation),
        numbers(labelled.object_centre),
        rotations(labelled.hand_rotation),
        numbers(labelled.wrist),
        numbers(labelled.joint_angles),
        shape,
    )


def _of_start(start: Predictions, labels: Mapping[int, Pose], numbers: Sequence[int], hand: HandModel) -> Pose:
    """The poses of predictions in the recording's order, the labelled frames' replaced by their labels'.

    The hand has one shape in all other frames: the mean of the labels', which say more of it.
    """
    row_of = {int(index): row for row, index in enumerate(start.index)}
    missing = [number for number in numbers if number not in row_of]
    if missing:
        raise DensifyError(
            f"expected predictions of every frame to start from, missing {len(missing)}, the first frame {missing[0]}; "
            f"predict them by `warpgrasp predict --split all`"
        )
    pose = pose_of_predictions(start.rows(np.array([row_of[number] for number in numbers])), hand)
    pose.shape[:] = torch.cat([label.shape for label in labels.values()]).mean(dim=0)
    for position, label in labels.items():
        for name, values in pose.arrays.items():
            values[position] = label.arrays[name][0]
    return pose


@dataclass(frozen=True)
class _Stretch:
    """Frames that are refined together, by their positions: from one label to the next, or to an end."""

    first: int
    last: int
    ends: bool  # with the recording: else the next stretch stores the label that both share

    @property
    def rows(self) -> slice:
        """Its frames, in the recording."""
        return slice(self.first, self.last + 1)

    @property
    def stored(self) -> slice:
        """The frames that are stored from this stretch, counted within it."""
        return slice(0, self.last - self.first + int(self.ends))

    @property
    def beyond(self) -> slice:
        """The frames that the next stretch stores, counted within this one."""
        return slice(self.last - self.first + int(self.ends), None)


def _stretches(labelled: Sequence[int], count: int) -> list[_Stretch]:
    """The frames before the first label, between each two, and after the last. Each label is stored once."""
    ends = sorted({0, *labelled, count - 1})
    pairs = list(pairwise(ends)) or [(0, 0)]
    longest = max(last - first for first, last in pairs)
    if longest > LONGEST_STRETCH:
        raise DensifyError(
            f"expected at most {LONGEST_STRETCH} frames between two labels, found {longest}; label a frame between them"
        )
    return [_Stretch(first, last, last == count - 1) for first, last in pairs]


@dataclass(frozen=True)
class _Task:
    """A recording, its own hand, the numbers of its frames, its labels by position, and where all poses start."""

    recording: Recording
    hand: HandModel
    numbers: list[int]
    labels: Mapping[int, Pose]
    start: Pose

    @property
    def sequence(self) -> str:
        """The name of the recording's folder."""
        return self.recording.folder.resolve().name

    def pictures(self, stretch: _Stretch) -> LabelledPictures:
        """The pictures of a stretch."""
        numbers = self.numbers[stretch.rows]
        pictures = [torch.from_numpy(self.recording.picture(number)).permute(2, 0, 1) for number in numbers]
        labelled = torch.tensor([position in self.labels for position in range(stretch.first, stretch.last + 1)])
        return LabelledPictures(torch.stack(pictures), self.recording.lens.camera, labelled)

    def predictions(self, pose: Pose, numbers: Sequence[int]) -> Predictions:
        """The predictions of the frames of these numbers."""
        times_s = np.array([self.recording.clip.time_s(number) for number in numbers])
        return predictions_of_pose(
            pose,
            sequence=self.sequence,
            indices=numbers,
            times_s=times_s,
            hand=self.hand,
            model=self.recording.object.model,
            camera=self.recording.lens.camera,
        )


def _refined_stretches(
    task: _Task, stretches: Sequence[_Stretch], writer: ShardWriter, show_progress: bool
) -> Iterator[tuple[Agreement, Agreement]]:
    """Write each stretch as a shard that is not written yet, and measure its stored frames before and after."""
    parts: dict[str, Any] = {"hand": task.hand, "model": task.recording.object.model}
    steps, width_px = sum(stage.steps for stage in ALL_FRAMES.stages), ALL_FRAMES.stages[-1].width_px
    with progress_bar(f"densify {task.sequence}", steps * len(stretches), unit="steps", shown=show_progress) as advance:
        for shard, stretch in enumerate(stretches):
            pictures, start = task.pictures(stretch), task.start.rows(stretch.rows)
            if writer.has(shard):
                advance(steps)
            else:
                refined = refine(start, pictures, **parts, descent=ALL_FRAMES, on_step=lambda: advance(1))
                numbers = task.numbers[stretch.rows][stretch.stored]
                writer.write(shard, task.predictions(refined.rows(stretch.stored), numbers))
            # As it is stored, so that an interrupted run measures what an undisturbed one does.
            stored = pose_of_predictions(writer.read(shard), task.hand)
            end = Pose.joined([stored, start.rows(stretch.beyond)])
            before, after = (agreement(pose, pictures, **parts, width_px=width_px) for pose in (start, end))
            yield before.rows(stretch.stored), after.rows(stretch.stored)


def _joined(parts: Sequence[Agreement]) -> Agreement:
    return Agreement(torch.cat([part.difference for part in parts]), torch.cat([part.compared_share for part in parts]))


def _write_labels(out: Path, task: _Task, pose: Pose) -> None:
    """Write a label for every frame; the recording's own that were used stay as they are."""
    recording, model = task.recording, task.recording.object.model
    labels = [
        recording.labels[number]
        if position in task.labels
        else label_of_pose(number, pose.rows(slice(position, position + 1)), task.hand, model)
        for position, number in enumerate(task.numbers)
    ]
    write_annotations(out, labels, hand_model=task.hand.template.name, side=recording.side)
