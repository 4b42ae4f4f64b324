"""What is densified: a recording with its labels, where all poses start, and the stretches between the labels."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from warpgrasp.data.recording import Masks, Recording, label_of_pose, write_annotations
from warpgrasp.files import fingerprint_of_files, fingerprint_of_values
from warpgrasp.frame import Pose
from warpgrasp.hand import HandModel
from warpgrasp.predictions import Predictions, mesh_hashes, predictions_of_pose
from warpgrasp.refinement.cues import Cues, PredictedHand
from warpgrasp.refinement.keypoint_fit import moved_to_seen_hand
from warpgrasp.refinement.labels import DensifyError, HeldObject, between_labels, labelled_poses, poses_of_predictions
from warpgrasp.refinement.mask_margins import Margins, given_silhouettes, margins_by_labels
from warpgrasp.refinement.other_hand import OtherHand
from warpgrasp.refinement.quality import LabelledPictures
from warpgrasp.refinement.refine import Descent
from warpgrasp.refinement.seen_hand import RecordedHands, SeenHand, seen_hand
from warpgrasp.refinement.silhouettes import Silhouettes
from warpgrasp.refinement.stretch import RefinedStretch

SIGNS = ("disagreement_mm", "depth_pull_mm", "closure_mm", "expected_error_mm")
SMOOTH_S = 1 / 30  # the unit of time in which accelerations are weighed, at any rate of pictures
PREDICTED_COST = 3e-3  # chosen on generated sequences, among 0 and 3e-3
OUTLINE_COST = 1e-2  # chosen on generated recordings that are not reported, among 1e-3, 3e-3 and 1e-2
LONGEST_STRETCH = 2000  # frames between two labels, whose pictures lie in memory together


@dataclass(frozen=True)
class Stretch:
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


def stretches_between(labelled: Sequence[int], count: int) -> list[Stretch]:
    """The frames before the first label, between each two, and after the last. Each label is stored once."""
    ends = sorted({0, *labelled, count - 1})
    pairs = list(pairwise(ends)) or [(0, 0)]
    longest = max(last - first for first, last in pairs)
    if longest > LONGEST_STRETCH:
        raise DensifyError(
            f"expected at most {LONGEST_STRETCH} frames between two labels, found {longest}; label a frame between them"
        )
    return [Stretch(first, last, last == count - 1) for first, last in pairs]


@dataclass(frozen=True)
class Task:
    """A recording, its own hand, its frames' numbers and times, its labels by position, and where all poses start."""

    recording: Recording
    hand: HandModel
    numbers: list[int]
    times: Float[np.ndarray, " n"]  # in usual intervals between frames
    labels: Mapping[int, Pose]
    start: Pose
    starts_at: Literal["labels", "predictions"]
    right_hand: str  # the name of the right hand's model, as files have it
    descent: Descent
    seen: SeenHand | None = None
    grasp: HeldObject | None = None
    follows_seen: bool = True  # False where what is seen contradicts the labels: it is reported alone
    masks: Masks | None = None
    margins: Margins | None = None  # of the masks, as the labels tell them
    other: OtherHand | None = None  # of a recording of both hands the one that is not refined

    @staticmethod
    def of(
        recording: Recording,
        hand: HandModel,
        *,
        start: Predictions | None,
        descent: Descent,
        look: Callable[[Recording], RecordedHands] | None,
        masks: Masks | None = None,
        other: OtherHand | None = None,
    ) -> "Task":
        """What `densify` is asked for. `hand` is the right hand's model.

        Raises `DensifyError` when there are no labels, when two are too far apart, or when `start` lacks a frame.
        """
        own_hand = recording.hand(hand)
        labels, numbers = labelled_poses(recording, own_hand), list(recording.footage.numbers)
        times = recording.clip.times_in_intervals(numbers)
        labels = labels if other is None else other.placed_labels(labels)
        first, starts_at = (between_labels if other is None else other.between)(labels, times), "labels"
        if start is not None:
            first = poses_of_predictions(start, labels, numbers, own_hand, symmetry=recording.object.symmetry)
            starts_at = "predictions"
        right_hand = hand.template.name
        own = {"masks": masks, "other": other}
        task = Task(recording, own_hand, numbers, times, labels, first, starts_at, right_hand, descent, **own)
        _ = task.stretches()  # refused before hands are looked for
        seen = (task if look is None else task.with_hands(look(recording)))._near_prediction()
        return seen if masks is None else seen._with_margins(masks)

    def stretches(self) -> "list[Stretch]":
        """Its frames from label to label."""
        return stretches_between(sorted(self.labels), len(self.numbers))

    def header(self) -> dict[str, Any]:
        """What predictions say of where they come from, and by which a run that goes on is known to be of the same."""
        recording = self.recording
        return {
            "protocol": "recording",
            "split": "all",
            "hand": self.right_hand,
            "side": recording.side,
            "method": "densify",
            "labels": [self.numbers[position] for position in sorted(self.labels)],
            "start": self.starts_at,
            "objects": mesh_hashes([recording.object.model]),
            "cameras": {self.sequence: recording.lens.content},
            **({} if self.seen is None else {"keypoints": self.seen.source}),
            **({} if self.masks is None else {"masks": self.masks.path.name}),
            "inputs": self.inputs(),
        }

    def with_hands(self, hands: RecordedHands) -> "Task":
        """The same with what is seen of the hand and, unless that contradicts the labels, with their grasp."""
        every = slice(0, len(self.numbers))
        seen = seen_hand(hands, self.recording, self.labels, self.hand, occluded=self._occluded(every))
        if seen.contradicts(self.labels):
            return replace(self, seen=seen, follows_seen=False)
        grasp = HeldObject.of(self.labels, self.times, self.hand, self.recording.object.model)
        start = self.start
        if self.starts_at == "labels":
            start = grasp.carried(moved_to_seen_hand(start, seen, grasp.labelled, torch.from_numpy(self.times)))
            start = start if self.other is None else self.other.placed(start)
        return replace(self, start=start, seen=seen, grasp=grasp)

    def _with_margins(self, masks: Masks) -> "Task":
        """The same with outlines that cost where they are not the masks', whose margins the labels tell."""
        task = replace(self, descent=replace(self.descent, outline_cost=OUTLINE_COST))
        labelled = {self.numbers[position]: pose for position, pose in self.labels.items()}
        return replace(task, margins=margins_by_labels(masks, self.recording, self.hand, labelled))

    def silhouettes(self, stretch: Stretch) -> Silhouettes | None:
        """The masks of a stretch, read one after the other; None where none are given."""
        if self.masks is None:
            return None
        widths_px = self.descent.widths(self.recording.lens.width)
        numbers = self.numbers[stretch.rows]
        return given_silhouettes(
            self.masks, self.recording, self.hand, numbers, widths_px=widths_px, margins=self.margins
        )

    def _occluded(self, rows: slice) -> Iterator[Bool[Tensor, "h w"] | None] | None:
        """The pixels of each of these frames that an occluder or the other hand covers; None where there is neither."""
        of_masks = None
        if self.masks is not None and self.masks.occluders:
            covered = (self.masks.occluded(number, self.recording.lens) for number in self.numbers[rows])
            of_masks = (None if one is None else torch.from_numpy(one) for one in covered)
        if self.other is None:
            return of_masks
        camera, model = self.recording.lens.camera, self.recording.object.model
        drawn = self.other.covers(self.start, self.hand, rows=rows, model=model, camera=camera)
        if of_masks is None:
            return drawn
        return (one if mask is None else one | mask for one, mask in zip(drawn, of_masks, strict=True))

    def _near_prediction(self) -> "Task":
        """The same with a hand that stays near a network's, where nobody sees it: colours alone pull it away."""
        if self.starts_at == "labels" or self.cues.seen is not None:
            return self
        return replace(self, descent=replace(self.descent, predicted_cost=PREDICTED_COST))

    @property
    def cues(self) -> Cues:
        """What the refinement goes by besides colours."""
        predicted = PredictedHand.of(self.start, self.hand) if self.descent.predicted_cost else None
        objects = None if self.other is None else self.other.knows_object
        return Cues(self.seen if self.follows_seen else None, self.grasp, predicted, objects=objects)

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
            "options": fingerprint_of_values(self.descent),
            **({} if self.seen is None else {"keypoints": self.seen.fingerprint}),
            **({} if self.masks is None else {"masks": self.masks.fingerprint}),
            **({} if self.other is None else {"other_hand": self.other.fingerprint}),
        }

    def pictures(self, stretch: Stretch) -> LabelledPictures:
        """The pictures of a stretch, read one after the other."""
        numbers = self.numbers[stretch.rows]
        pictures = (torch.from_numpy(self.recording.picture(number)).permute(2, 0, 1) for number in numbers)
        labelled = torch.tensor([position in self.labels for position in range(stretch.first, stretch.last + 1)])
        times = torch.from_numpy(self.times[stretch.rows]) * (self.recording.clip.interval_s / SMOOTH_S)
        camera, occluded = self.recording.lens.camera, self._occluded(stretch.rows)
        kept = self.descent.pictures(pictures, camera, labelled, times=times, occluded=occluded)
        self.recording.footage.close()  # a decoder holds several pictures, which are not needed while poses are refined
        return kept

    def stored(self, refined: RefinedStretch, stretch: Stretch) -> Predictions:
        """The predictions of the frames that are stored of a stretch, with what is expected of them."""
        numbers = self.numbers[stretch.rows][stretch.stored]
        times_s = np.array([self.recording.clip.time_s(number) for number in numbers])
        signs = refined.signs
        measured = (signs.disagreement_mm, signs.depth_pull_mm, signs.closure_mm, signs.expected_error_mm())
        predictions = predictions_of_pose(
            refined.pose.rows(stretch.stored),
            sequence=self.sequence,
            indices=numbers,
            times_s=times_s,
            hand=self.hand,
            model=self.recording.object.model,
            camera=self.recording.lens.camera,
        )
        columns = (values[stretch.stored].numpy().astype(np.float32) for values in measured)
        return replace(predictions, **dict(zip(SIGNS, columns, strict=True)))


def write_labels(out: Path, task: Task, pose: Pose) -> None:
    """Write a label for every frame; the recording's own that were used stay as they are."""
    recording, model = task.recording, task.recording.object.model
    labels = [
        recording.labels[number]
        if position in task.labels
        else label_of_pose(number, pose.rows(slice(position, position + 1)), task.hand, model)
        for position, number in enumerate(task.numbers)
    ]
    write_annotations(out, labels, hand_model=task.hand.template.name, side=recording.side)
