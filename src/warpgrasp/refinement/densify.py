"""From a few labels of a recording to hand and object in every frame, without a network."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from warpgrasp.data.recording import (
    ANNOTATIONS_FILE,
    Recording,
    label_of_pose,
    write_annotations,
)
from warpgrasp.files import fingerprint_of_files, fingerprint_of_values
from warpgrasp.frame import Pose
from warpgrasp.hand import HandModel
from warpgrasp.predictions import (
    Postprocessing,
    Predictions,
    ShardContext,
    ShardWriter,
    mesh_hashes,
    open_predictions,
    pose_of_predictions,
    predictions_of_pose,
    read_predictions,
)
from warpgrasp.progress import progress_bar
from warpgrasp.refinement.grasp import Grasp
from warpgrasp.refinement.hand_start import moved_to_seen_hand
from warpgrasp.refinement.quality import (
    QUALITY,
    Agreement,
    FrameQuality,
    LabelledPictures,
    acceleration_mm,
    agreement,
    write_quality,
)
from warpgrasp.refinement.recorded_hands import RecordedHands, seen_hand
from warpgrasp.refinement.refine import ALL_FRAMES, refine
from warpgrasp.refinement.seen_hand import SeenHand, Sightings
from warpgrasp.refinement.start_poses import DensifyError, between_labels, labelled_poses, poses_of_predictions

PREDICTIONS = "predictions.npz"
COMPANIONS = (ANNOTATIONS_FILE, QUALITY)  # the files beside it
LONGEST_STRETCH = 2000  # frames between two labels, whose pictures lie in memory together


@dataclass(frozen=True)
class Densified:
    """Hand and object in every frame, and how well they agree with the nearest label, before and after."""

    predictions: Predictions
    labelled: list[int]  # positions
    times: Float[np.ndarray, " n"]  # in usual intervals between frames
    before: Agreement
    after: Agreement
    sightings: Sightings | None  # of the hand; None where nobody looked

    def quality(self) -> list[FrameQuality]:
        """The lines of `quality.csv`."""
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
            )
            for position, (number, acceleration) in enumerate(
                zip(self.predictions.index.tolist(), acceleration_mm(self.predictions, self.times), strict=True)
            )
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
    look: Callable[[Recording], RecordedHands] | None = None,
    show_progress: bool = True,
) -> Densified:
    """Write predictions, labels and quality of every frame into the folder `out`; an interrupted run is continued.

    Poses start between the labels, or at those of `start`, a network's. `look` finds hands in the pictures, as
    `detected_hands` does: from between the labels the hand is moved to where it is seen, and it is drawn there. The
    recording's labels of use `train` stay as they are; those held out are not looked at. `hand` is the right hand's
    model, also where they are of a left hand.
    Raises `DensifyError` when there are none, when two are too far apart, or when `start` lacks a frame.
    """
    own_hand = recording.hand(hand)
    labels, numbers = labelled_poses(recording, own_hand), list(recording.footage.numbers)
    stretches = _stretches(sorted(labels), len(numbers))
    times = recording.clip.times_in_intervals(numbers)
    first = between_labels(labels, times) if start is None else poses_of_predictions(start, labels, numbers, own_hand)
    task = _Task(recording, own_hand, numbers, times, labels, first)
    if look is not None:
        task = task.with_hands(look(recording), start_there=start is None)
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
        **({} if task.seen is None else {"keypoints": task.seen.source}),
        "inputs": task.inputs(),
        "commit": program,
    }
    out.mkdir(parents=True, exist_ok=True)
    writer = ShardWriter(out / PREDICTIONS, header)
    agreements = list(_refined_stretches(task, stretches, writer, show_progress))
    postprocessing = Postprocessing(lambda _: recording.object.model, lambda _: recording.clip.interval_s)
    parts: list[Predictions] = []

    def finished(context: ShardContext) -> Predictions:
        parts.append(postprocessing(context))
        return parts[-1]

    def densified(predictions: Predictions, poses: Pose) -> Densified:
        sightings = task.seen and Sightings.of(task.seen, poses, sorted(labels), used=task.follows_seen)
        return Densified(predictions, sorted(labels), times, *agreed, sightings=sightings)

    def write_companions() -> dict[str, Any]:
        """Write what stands beside the predictions before these appear, so that they are there in a finished folder."""
        predictions = Predictions.joined(parts)
        poses = pose_of_predictions(predictions, own_hand)
        _write_labels(out, task, poses)
        write_quality(out / QUALITY, densified(predictions, poses).quality())
        return {"companions": {name: fingerprint_of_files([out / name]) for name in COMPANIONS}}

    agreed = tuple(map(_joined, zip(*agreements, strict=True)))
    writer.finish(len(stretches), finished, write_companions)
    predictions = read_predictions(out / PREDICTIONS)[0]
    return densified(predictions, pose_of_predictions(predictions, own_hand))


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
    """A recording, its own hand, its frames' numbers and times, its labels by position, and where all poses start."""

    recording: Recording
    hand: HandModel
    numbers: list[int]
    times: Float[np.ndarray, " n"]  # in usual intervals between frames
    labels: Mapping[int, Pose]
    start: Pose
    seen: SeenHand | None = None
    grasp: Grasp | None = None
    follows_seen: bool = True  # False where what is seen contradicts the labels: it is reported alone

    def with_hands(self, hands: RecordedHands, *, start_there: bool) -> "_Task":
        """The same with what is seen of the hand and, unless that contradicts the labels, with their grasp."""
        seen = seen_hand(hands, self.recording, self.labels, self.hand)
        if seen.contradicts(self.labels):
            return replace(self, seen=seen, follows_seen=False)
        grasp = Grasp.of(self.labels, self.times, self.hand, self.recording.object.model)
        start = self.start
        if start_there:
            start = grasp.carried(moved_to_seen_hand(start, seen, grasp.labelled, torch.from_numpy(self.times)))
        return replace(self, start=start, seen=seen, grasp=grasp)

    @property
    def followed(self) -> SeenHand | None:
        """What is seen of the hand, where the refinement goes by it."""
        return self.seen if self.follows_seen else None

    @property
    def sequence(self) -> str:
        """The name of the recording's folder."""
        return self.recording.folder.resolve().name

    def inputs(self) -> dict[str, str]:
        """Fingerprints of what decides the poses, by which a run that goes on is known to be of the same.

        They are of values rather than of files, where files say more than is used: labels that are held out.
        """
        footage, model = self.recording.footage, self.recording.object.model
        used = [self.recording.labels[self.numbers[position]] for position in sorted(self.labels)]
        return {
            "labels": fingerprint_of_values(used),
            "object": fingerprint_of_values(model),
            "pictures": fingerprint_of_files(footage.file_of(number) for number in self.numbers),
            "hand": fingerprint_of_values(self.hand.template),
            "start": fingerprint_of_values(self.start),
            "options": fingerprint_of_values(ALL_FRAMES),
            **({} if self.seen is None else {"keypoints": self.seen.fingerprint}),
        }

    def pictures(self, stretch: _Stretch) -> LabelledPictures:
        """The pictures of a stretch, read one after the other."""
        numbers = self.numbers[stretch.rows]
        pictures = (torch.from_numpy(self.recording.picture(number)).permute(2, 0, 1) for number in numbers)
        labelled = torch.tensor([position in self.labels for position in range(stretch.first, stretch.last + 1)])
        times = torch.from_numpy(self.times[stretch.rows])
        kept = ALL_FRAMES.pictures(pictures, self.recording.lens.camera, labelled, times=times)
        self.recording.footage.close()  # a decoder holds several pictures, which are not needed while poses are refined
        return kept

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
    steps, width_px = sum(stage.steps for stage in ALL_FRAMES.stages), ALL_FRAMES.finest_px(task.recording.lens.width)
    with progress_bar(f"densify {task.sequence}", steps * len(stretches), unit="steps", shown=show_progress) as advance:
        for shard, stretch in enumerate(stretches):
            pictures, start = task.pictures(stretch), task.start.rows(stretch.rows)
            if writer.has(shard):
                advance(steps)
            else:
                seen, grasp = (known and known.rows(stretch.rows) for known in (task.followed, task.grasp))
                beyond: dict[str, Any] = {"seen": seen, "grasp": grasp, "on_step": lambda: advance(1)}
                refined = refine(start, pictures, **parts, descent=ALL_FRAMES, **beyond)
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
