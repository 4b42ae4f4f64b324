"""From a few labels of a recording to hand and object in every frame, without a network."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from warpgrasp.data.recording import ANNOTATIONS_FILE, Masks, Recording
from warpgrasp.files import fingerprint_of_files, remove_leftovers
from warpgrasp.frame import Pose
from warpgrasp.hand import HandModel
from warpgrasp.predictions import (
    Postprocessing,
    Predictions,
    ShardContext,
    ShardWriter,
    doubtful,
    is_written,
    open_predictions,
    pose_of_predictions,
    read_predictions,
)
from warpgrasp.progress import progress_bar
from warpgrasp.refinement.doubt import CONTRADICTION_MM, most_helpful, runs
from warpgrasp.refinement.mask_margins import Margins
from warpgrasp.refinement.other_hand import OtherHand
from warpgrasp.refinement.quality import (
    QUALITY,
    Agreement,
    FrameQuality,
    acceleration_mm,
    agreement,
    write_quality,
)
from warpgrasp.refinement.refine import ALL_FRAMES
from warpgrasp.refinement.seen_hand import RecordedHands, Sightings
from warpgrasp.refinement.side_by_side import OnStep, side_by_side
from warpgrasp.refinement.stretch import StretchRefinement
from warpgrasp.refinement.task import SIGNS, Stretch, Task, write_labels

PREDICTIONS = "predictions.npz"
COMPANIONS = (ANNOTATIONS_FILE, QUALITY)  # the files beside it


@dataclass(frozen=True)
class Doubtful:
    """Frames that may be wrong: how many, their numbers in words, and the frame whose label would help most."""

    count: int
    frames: str
    help_by: int


@dataclass(frozen=True)
class Contradiction:
    """Two labels, of which one does not lie where it is carried to from the other."""

    first: int  # their frames' numbers
    last: int
    closure_mm: float


@dataclass(frozen=True)
class Masked:
    """What came of the masks."""

    masks: Masks
    margins: Margins | None  # None where no labelled frame has one
    overlap: Float[Tensor, "n 2"]  # of hand and object; NaN without a mask


@dataclass(frozen=True)
class Densified:
    """Hand and object in every frame, and how well they agree with the nearest label, before and after."""

    predictions: Predictions
    labelled: list[int]  # positions
    times: Float[np.ndarray, " n"]  # in usual intervals between frames
    before: Agreement
    after: Agreement
    sightings: Sightings | None  # of the hand; None where nobody looked
    masked: Masked | None = None  # None where no masks were given

    def quality(self) -> list[FrameQuality]:
        """The lines of `quality.csv`."""
        signs = {name: self.predictions.arrays[name] for name in SIGNS}
        return [
            FrameQuality(
                frame=number,
                labelled=int(position in self.labelled),
                frames_to_label=abs(position - self._nearest_label(position)),
                difference_before=float(self.before.difference[position]),
                difference_after=float(self.after.difference[position]),
                compared_share=float(self.after.compared_share[position]),
                acceleration_mm_per_frame2=float(acceleration),
                keypoints_px=None if self.sightings is None else float(self.sightings.error_px[position]),
                hand_iou=None if self.masked is None else float(self.masked.overlap[position, 0]),
                object_iou=None if self.masked is None else float(self.masked.overlap[position, 1]),
                **{name: float(signs[name][position]) for name in SIGNS},
            )
            for position, (number, acceleration) in enumerate(
                zip(self.predictions.index.tolist(), acceleration_mm(self.predictions, self.times), strict=True)
            )
        ]

    @property
    def doubtful(self) -> "Doubtful | None":
        """The frames that are flagged as doubtful; None where no frame is."""
        flagged, numbers = doubtful(self.predictions), self.predictions.index.tolist()
        if not flagged.any():
            return None
        helpful = most_helpful(self.predictions.arrays["expected_error_mm"], self.labelled)
        assert helpful is not None  # what is flagged has no label
        return Doubtful(int(flagged.sum()), runs(flagged, numbers), numbers[helpful])

    @property
    def contradictions(self) -> list[Contradiction]:
        """The labels beside each other that contradict each other by more than `CONTRADICTION_MM`, in order."""
        closures, numbers = self.predictions.arrays["closure_mm"], self.predictions.index.tolist()
        return [
            Contradiction(numbers[first], numbers[last], float(closures[first]))
            for first, last in pairwise(self.labelled)
            if closures[first] > CONTRADICTION_MM
        ]

    def _nearest_label(self, position: int) -> int:
        """The position of the label that is nearest in time; of two as near the earlier."""
        return min(self.labelled, key=lambda labelled: abs(self.times[position] - self.times[labelled]))


def densify(
    recording: Recording,
    hand: HandModel,
    out: Path,
    *,
    program: str,
    start: Predictions | None = None,
    smoothness: float = 1.0,
    look: Callable[[Recording], RecordedHands] | None = None,
    masks: Masks | None = None,
    other: OtherHand | None = None,
    show_progress: bool = True,
) -> Densified:
    """Write predictions, labels and quality of every frame into the folder `out`; an interrupted run is continued.

    Poses start between the labels, or at those of `start`, a network's. `look` finds hands in the pictures, as
    `detected_hands` does: from between the labels the hand is moved to where it is seen, and it is drawn there. The
    `masks` are silhouettes that outlines are drawn to, and `other` is the hand beside the one that is refined, where
    the recording shows both (`BothHands`). The
    recording's labels of use `train` stay as they are; those held out are not looked at. `hand` is the right hand's
    model, also where they are of a left hand. `smoothness` is by how much accelerations cost more than usual.
    Raises `DensifyError` when there are none, when two are too far apart, or when `start` lacks a frame.
    """
    task = _task(recording, hand, start=start, smoothness=smoothness, look=look, masks=masks, other=other)
    labelled, stretches = sorted(task.labels), task.stretches()
    header = {**task.header(), "commit": program}
    out.mkdir(parents=True, exist_ok=True)
    postprocessing = Postprocessing(lambda _: recording.object.model, lambda _: recording.clip.interval_s)
    parts: list[Predictions] = []

    def finished(context: ShardContext) -> Predictions:
        parts.append(postprocessing(context))
        return parts[-1]

    def densified(predictions: Predictions, poses: Pose) -> Densified:
        sightings = task.seen and Sightings.of(task.seen, poses, labelled, used=task.follows_seen)
        overlaps = [one.overlap for one in measured if one.overlap is not None]
        masked = None if task.masks is None else Masked(task.masks, task.margins, torch.cat(overlaps))
        before, after = _joined([one.before for one in measured]), _joined([one.after for one in measured])
        return Densified(predictions, labelled, task.times, before, after, sightings=sightings, masked=masked)

    def write_companions() -> dict[str, Any]:
        """Write what stands beside the predictions before these appear, so that they are there in a finished folder."""
        predictions = Predictions.joined(parts)
        poses = pose_of_predictions(predictions, task.hand)
        write_labels(out, task, poses)
        write_quality(out / QUALITY, densified(predictions, poses).quality())
        return {"companions": {name: fingerprint_of_files([out / name]) for name in COMPANIONS}}

    with ShardWriter(out / PREDICTIONS, header) as writer:
        remove_leftovers(out)
        measured = _refined_stretches(task, stretches, writer, show_progress)
        writer.finish(len(stretches), finished, write_companions)
    predictions = read_predictions(out / PREDICTIONS)[0]
    return densified(predictions, pose_of_predictions(predictions, task.hand))


def is_finished(
    recording: Recording,
    hand: HandModel,
    out: Path,
    *,
    start: Predictions | None = None,
    smoothness: float = 1.0,
    look: Callable[[Recording], RecordedHands] | None = None,
    masks: Masks | None = None,
    other: OtherHand | None = None,
) -> bool:
    """Whether `densify` has written all into `out`, of these very inputs; the program may have been another.

    Raises `PredictionsError` when what is there is of other inputs.
    """
    if not (out / PREDICTIONS).is_file() or is_unfinished(out):
        return False
    task = _task(recording, hand, start=start, smoothness=smoothness, look=look, masks=masks, other=other)
    return is_written(out / PREDICTIONS, task.header(), of="labels, pictures and options")


def _task(
    recording: Recording,
    hand: HandModel,
    *,
    start: Predictions | None,
    smoothness: float,
    look: Callable[[Recording], RecordedHands] | None,
    masks: Masks | None,
    other: OtherHand | None,
) -> Task:
    descent = replace(ALL_FRAMES, smooth_cost=smoothness * ALL_FRAMES.smooth_cost)
    return Task.of(recording, hand, start=start, descent=descent, look=look, masks=masks, other=other)


def is_unfinished(out: Path) -> bool:
    """Whether a run was interrupted in a folder: its predictions are not there, or not those of the files beside them.

    Of older predictions, which do not note those files, nobody can tell.
    """
    if not (out / f"{PREDICTIONS}.partial").is_dir():
        return False
    if not (out / PREDICTIONS).is_file():
        return True
    noted = open_predictions(out / PREDICTIONS)[1].get("companions", {})
    return any(fingerprint_of_files([out / name]) != fingerprint for name, fingerprint in noted.items())


@dataclass(frozen=True)
class _Measured:
    """How well the stored frames of a stretch agree with the pictures."""

    before: Agreement
    after: Agreement
    overlap: Float[Tensor, "n 2"] | None  # of hand and object with their masks; None without any


def _refined_stretches(
    task: Task, stretches: Sequence[Stretch], writer: ShardWriter, show_progress: bool
) -> list[_Measured]:
    """Write each stretch as a shard that is not written yet, several at once, and measure its stored frames."""
    steps, width_px = task.descent.steps, task.descent.finest_px(task.recording.lens.width)
    parts: dict[str, Any] = {"hand": task.hand, "model": task.recording.object.model}
    one_reader = Lock()  # a video's decoder stands at one frame

    def refined(shard: int, on_step: OnStep) -> _Measured:
        stretch = stretches[shard]
        with one_reader:
            pictures, silhouettes = task.pictures(stretch), task.silhouettes(stretch)
        start = task.start.rows(stretch.rows)
        if writer.has(shard):
            advance(steps)
        else:
            cues = replace(task.cues.rows(stretch.rows), silhouettes=silhouettes)
            refinement = StretchRefinement(start, pictures, **parts, descent=task.descent, cues=cues, on_step=on_step)
            writer.write(shard, task.stored(refinement.refined(), stretch))
        # As it is stored, so that an interrupted run measures what an undisturbed one does.
        stored = pose_of_predictions(writer.read(shard), task.hand)
        end = Pose.joined([stored, start.rows(stretch.beyond)])
        before, after = (agreement(pose, pictures, **parts, width_px=width_px) for pose in (start, end))
        overlap = None if silhouettes is None else silhouettes.overlap(end, width_px)[stretch.stored]
        return _Measured(before.rows(stretch.stored), after.rows(stretch.stored), overlap)

    with progress_bar(f"densify {task.sequence}", steps * len(stretches), unit="steps", shown=show_progress) as advance:
        return list(side_by_side(refined, len(stretches), lambda: advance(1)))


def _joined(parts: Sequence[Agreement]) -> Agreement:
    return Agreement(torch.cat([part.difference for part in parts]), torch.cat([part.compared_share for part in parts]))
