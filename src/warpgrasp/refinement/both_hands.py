"""Recordings of both hands: each is densified as if it were alone, one after the other, around one object.

The first is the hand that says most of where the object is: the one with more labels, of as many the one that is
nearer to the object in them. It decides the object's path, which keeps to the labels of the other hand alone, too. The
second is refined with the object held on that path. Either hand covers the other in pictures, and is drawn there: the
first as it is refined, the second, while the first is refined, where its labels and the detector have it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from warpgrasp.data.recording import (
    ANNOTATIONS_FILE,
    SIDES,
    Label,
    Masks,
    Recording,
    read_annotations,
    write_annotations,
)
from warpgrasp.frame import Pose
from warpgrasp.hand import HandModel, Side
from warpgrasp.predictions import pose_of_predictions, read_predictions
from warpgrasp.refinement.densify import PREDICTIONS, Densified, densify, is_finished, is_unfinished
from warpgrasp.refinement.labels import DensifyError, between_labels, distance_to_hand_m, labelled_poses, solid_of
from warpgrasp.refinement.other_hand import OtherHand
from warpgrasp.refinement.refine import ALL_FRAMES
from warpgrasp.refinement.seen_hand import RecordedHands
from warpgrasp.refinement.task import Task


@dataclass(frozen=True)
class BothHands:
    """A recording of both hands to densify, and how; `hand` is the right one's model, masks are those of each hand."""

    recording: Recording
    hand: HandModel
    out: Path
    smoothness: float = 1.0
    look: Callable[[Recording], RecordedHands] | None = None
    masks: Mapping[Side, Masks] = field(default_factory=dict)

    def densified(self, *, program: str, show_progress: bool = True) -> dict[Side, Densified | None]:
        """Write into `out` the folders `right` and `left`, each as `densify` does, and annotations.json of both hands.

        An interrupted run is continued: None stands for a hand that it had finished. Raises `DensifyError` when a hand
        has no labels to start from, and `PredictionsError` when what is there is of other inputs.
        """
        found: dict[Side, Densified | None] = {}
        for side, options in self._passes():
            recording, out = self.recording.of_side(side), self.out / side
            kept = is_finished(recording, self.hand, out, **options)
            progress = {"program": program, "show_progress": show_progress}
            found[side] = None if kept else densify(recording, self.hand, out, **progress, **options)
        self._write_labels()
        return found

    def is_finished(self) -> bool:
        """Whether all is written, of these very inputs. Raises `PredictionsError` when it is of other inputs."""
        return self.is_whole and all(
            is_finished(self.recording.of_side(side), self.hand, self.out / side, **options)
            for side, options in self._passes()
        )

    @property
    def is_whole(self) -> bool:
        """Whether all files are there, of whatever inputs."""
        folders = [self.out / side for side in SIDES]
        whole = all((folder / PREDICTIONS).is_file() and not is_unfinished(folder) for folder in folders)
        return whole and (self.out / ANNOTATIONS_FILE).is_file()

    def remove(self) -> None:
        """Remove what would be taken for finished."""
        for path in (self.out / ANNOTATIONS_FILE, *(self.out / side / PREDICTIONS for side in SIDES)):
            path.unlink(missing_ok=True)

    def _passes(self) -> Iterator[tuple[Side, dict[str, Any]]]:
        """Each hand in its turn with its options; the second's are known once the first is densified."""
        first, second = self.order
        yield first, {**self._options(first), "other": self._begun(second, first)}
        yield second, {**self._options(second), "other": self._refined(first)}

    def _options(self, side: Side) -> dict[str, Any]:
        return {"smoothness": self.smoothness, "look": self.look, "masks": self.masks.get(side)}

    @cached_property
    def order(self) -> tuple[Side, Side]:
        """The hand that decides the object's path, then the other. Raises `DensifyError` when either has no labels."""
        solid = solid_of(self.recording.object.model)

        def rank(side: Side) -> tuple[int, float]:
            model, labels = self._model(side), self._labels[side].values()
            return -len(labels), float(np.mean([distance_to_hand_m(pose, model, solid) for pose in labels]))

        first, second = sorted(SIDES, key=rank)
        return first, second

    def _model(self, side: Side) -> HandModel:
        return self.recording.of_side(side).hand(self.hand)

    @cached_property
    def _labels(self) -> dict[Side, dict[int, Pose]]:
        """The labels of each hand that may be used, by their positions."""
        usable: dict[Side, dict[int, Pose]] = {}
        for side in SIDES:
            recording = self.recording.of_side(side)
            if not any(label.use == "train" for label in recording.labels.values()):
                raise DensifyError(
                    f"expected labels of both hands to start from in {recording.folder / ANNOTATIONS_FILE}, found none "
                    f"of the {side} one; label a few frames by `warpgrasp annotate {recording.folder} --side {side}`"
                )
            usable[side] = labelled_poses(recording, self._model(side))
        return usable

    def _begun(self, side: Side, refined: Side) -> OtherHand:
        """A hand before it is refined, and what its labels say of the object where the refined hand has none."""
        how = {"start": None, "descent": ALL_FRAMES, "look": self.look, "masks": self.masks.get(side)}
        task = Task.of(self.recording.of_side(side), self.hand, **how)
        poses, known = task.start, torch.zeros(len(task.numbers), dtype=torch.bool)
        known[sorted(task.labels.keys() - self._labels[refined].keys())] = True
        symmetry = self.recording.object.symmetry
        if symmetry is not None:
            along = between_labels(self._labels[refined], task.times)
            alike = symmetry.nearest(poses.object_rotation, along.object_rotation)
            poses = replace(poses, object_rotation=alike)
        return OtherHand(task.hand, poses, known)

    def _refined(self, side: Side) -> OtherHand:
        """A hand that is densified, with the path of the object."""
        model, predictions = self._model(side), read_predictions(self.out / side / PREDICTIONS)[0]
        return OtherHand(model, pose_of_predictions(predictions, model), torch.ones(len(predictions), dtype=torch.bool))

    def _write_labels(self) -> None:
        """Write the labels of both hands in every frame, with the object's poses as they are labelled, or refined."""
        first, second = self.order
        recording, labels = self.recording.of_side(second), self._labels
        numbers = recording.footage.numbers
        stated = [recording.labels[numbers[position]] for position in labels[second].keys() - labels[first].keys()]
        files = {side: read_annotations(self.out / side) for side in SIDES}
        place_of = {label.frame: label for label in (*files[first].labels, *stated)}

        def placed(label: Label) -> Label:
            there = place_of[label.frame]
            turn, move = there.object_rotation, there.object_translation
            return replace(label, object_rotation=turn, object_translation=move)

        right, left = (replace(files[side], labels=tuple(map(placed, files[side].labels))) for side in SIDES)
        write_annotations(self.out, right.labels, hand_model=right.hand_model, other=left)
