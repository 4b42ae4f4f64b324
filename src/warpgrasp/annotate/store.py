"""The labels and drafts of one recording: those on disk, those changed since, and how they get there.

Labels are in `annotations.json`. `annotation_drafts.json` holds frames that are not finished, and the points clicked
on, so that a restart loses nothing. Only `warpgrasp annotate` reads this file; deleting it deletes unfinished work and
no label.

In a recording of both hands one of them is edited, and the other's labels stay what they are on disk. A frame that both
label has one object, and one use: what is said here of a label counts for both.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from warpgrasp.annotate.drafts import Drafts
from warpgrasp.annotate.edited_frame import EditedFrame
from warpgrasp.annotate.masks import FrameMasks
from warpgrasp.data.recording import ANNOTATIONS_FILE as FILE
from warpgrasp.data.recording import (
    MASKS_FOLDER,
    AnnotationFile,
    HandParameters,
    Label,
    Recording,
    annotation_of,
    label_of_pose,
    object_pose,
    pose_of_label,
    read_annotations,
    write_annotations,
)
from warpgrasp.errors import DataError
from warpgrasp.files import remove_leftovers
from warpgrasp.frame import Annotation
from warpgrasp.hand import HandModel, same_hand
from warpgrasp.locks import exclusive

LOCK_FILE = ".annotate.lock"  # held by whoever writes either file


@contextmanager
def writing_alone(folder: Path, held: str) -> Iterator[None]:
    """Be the only one to write a recording's labels; what a killed one left half written is removed.

    Raises `LockedError` with the sentence `held`, in which `{holder}` stands for whoever does so already.
    """
    with exclusive(folder / LOCK_FILE, held):
        remove_leftovers(folder)
        remove_leftovers(folder / MASKS_FOLDER)
        yield


class AnnotationStore:
    """Frames by number, as they are on disk and as they have been changed. Not for several threads at once.

    A finished frame is a label in `annotations.json`; an unfinished one, and every point that was clicked on, is in
    `annotation_drafts.json`. Labels and drafts of frames that were not changed are written again as they were read.
    """

    def __init__(self, recording: Recording, hand: HandModel, masks: FrameMasks | None = None):
        """Read both files; `hand` is the model of the recording's own hand, right or left. `masks` are their frames'.

        The recording is of both hands where its `annotations` are, also when there are none of one. Raises `DataError`
        when a file is broken or was made with another hand model.
        """
        # New labels are of the hand model at hand, whatever the file said before there were any.
        self.recording = replace(recording, annotations=AnnotationFile(hand.template.name, (), recording.side))
        self.hand, self._masks, self._of_both = hand, masks, recording.annotations.other is not None
        self.other: AnnotationFile | None = None
        """The other hand's labels, as they are on disk, in a recording of both."""
        self.beside: dict[int, Label] = {}
        """The same by frame."""
        self._labels: dict[int, Label] = {}
        self._unchanged: dict[int, EditedFrame] = {}
        self._label_frames: dict[int, EditedFrame] = {}  # those that labels on disk were written from
        self._signature: tuple[int, ...] | None = None
        self._changed: dict[int, EditedFrame] = {}  # since the files were read
        self._unsaved: set[int] = set()
        self._read_labels()
        self._drafts = Drafts.read(recording.folder, hand, of_both=self.other is not None)

    @property
    def unsaved(self) -> frozenset[int]:
        """The frames whose last change is not on disk."""
        return frozenset(self._unsaved)

    @property
    def labelled(self) -> list[int]:
        """The frames that have a label, or get one with the next save, ascending."""
        kept = {number for number in self._labels if number not in self._changed}
        return sorted(kept | {number for number, frame in self._changed.items() if frame.done})

    @property
    def drafted(self) -> list[int]:
        """The frames that somebody began and has not finished, ascending."""
        numbers = {number for number in self._drafts.frames if number not in self._changed}
        numbers |= {number for number, frame in self._changed.items() if not frame.done}
        return sorted(numbers - set(self.labelled))

    def get(self, number: int) -> EditedFrame | None:
        """A frame by its number, or None when nobody has begun it.

        Raises `DataError` when its label's joints are no hand's.
        """
        if number in self._changed:
            return self._changed[number]
        if number not in self._unchanged and (number in self._labels or number in self._drafts.frames):
            self._unchanged[number] = self._loaded(number)
        return self._unchanged.get(number)

    def _loaded(self, number: int) -> EditedFrame:
        draft, label = self._drafts.frames.get(number), self._labels.get(number)
        mask = None if self._masks is None else self._masks.get(number)
        if label is None:
            assert draft is not None
            if number in self._drafts.placed_by_other or draft.missing == "object":
                draft = self.beside_other(number, draft)
            return draft if mask is None else replace(draft, mask=mask)
        annotation_of(self.recording, label, self.hand)  # raises for what is no hand and object in front of the camera
        return EditedFrame(
            pose_of_label(label, self.hand, self.recording.object.model, dtype=torch.float64),
            () if draft is None else draft.pairs,
            () if draft is None else draft.joints_px,
            done=True,
            use=label.use,
            stated_hand=label.hand,
            stated_object=(label.object_rotation, label.object_translation),
            mask=mask,
        )

    def beside_other(self, number: int, frame: EditedFrame) -> EditedFrame:
        """The frame with the object, and the use, of the other hand's label, where there is one."""
        label = self.beside.get(number)
        if label is None:
            return frame
        rotation, centre = object_pose(label, self.recording.object.model)
        moved = frame.moved(object_rotation=rotation.numpy(), object_centre=centre.numpy())
        return replace(moved, stated_object=(label.object_rotation, label.object_translation), use=label.use)

    def put(self, number: int, frame: EditedFrame) -> None:
        """Change a frame; `save` writes it."""
        self._changed[number] = frame
        self._unsaved.add(number)

    def annotation(self, number: int, frame: EditedFrame) -> Annotation:
        """Hand and object in camera space, as the label of that frame means them."""
        return annotation_of(self.recording, self._label(number, frame), self.hand)

    def _label(self, number: int, frame: EditedFrame) -> Label:
        label = label_of_pose(number, frame.pose, self.hand, self.recording.object.model, use=frame.use)
        rotation, translation = frame.stated_object or (label.object_rotation, label.object_translation)
        hand = frame.stated_hand or label.hand
        return replace(label, hand=hand, object_rotation=rotation, object_translation=translation)

    def save(self) -> None:
        """Write what has changed, so that no moment exists in which neither file holds it.

        A label that somebody else changed in the meantime is kept, unless the same frame was changed here. Where both
        hands are labelled, the other's label gets the object and the use that they have here. Raises
        `OSError` when a file cannot be written, and `DataError` when somebody else broke the labels' file.
        """
        if self._signature != _signature(self.recording.folder / FILE):
            self._read_labels()
        written = dict(self._changed)
        if self._masks is not None:
            for number in self._unsaved:
                self._masks.write(number, written[number].mask)
        labels = self._labels_with(written)
        beside = {number for number, frame in written.items() if self._is_beside(number, frame, self.beside)}
        begun = {**self._drafts.frames, **written}
        drafts = {
            number: frame for number, frame in begun.items() if number not in labels or frame.pairs or frame.joints_px
        }
        if labels.keys() != self._labels.keys() or any(labels[number] is not self._labels[number] for number in labels):
            gained = {number: frame for number, frame in written.items() if number not in self._labels}
            self._drafts.write({**drafts, **gained}, beside)
            self._write_labels(labels)
            self._label_frames = {number: frame for number, frame in written.items() if frame.done}
        self._drafts.write(drafts, beside)
        self._unsaved -= {number for number, frame in written.items() if self._changed[number] is frame}

    def _write_labels(self, labels: dict[int, Label]) -> None:
        """Write these labels, with those of the other hand."""
        others = {number: _with_object(label, labels.get(number, label)) for number, label in self.beside.items()}
        other = None if self.other is None else replace(self.other, labels=tuple(others.values()))
        folder, own = self.recording.folder, list(labels.values())
        write_annotations(folder, own, hand_model=self._model_of(labels), side=self.recording.side, other=other)
        self._signature = _signature(folder / FILE)
        self._labels, self.beside, self.other = labels, others, other

    def _is_beside(self, number: int, frame: EditedFrame, others: Mapping[int, Label]) -> bool:
        """Whether object and use of a frame are those of the other hand's label."""
        return number in others and _with_object(others[number], self._label(number, frame)) is others[number]

    def _labels_with(self, changed: Mapping[int, EditedFrame]) -> dict[int, Label]:
        labels = dict(self._labels)
        for number, frame in changed.items():
            if not frame.done:
                labels.pop(number, None)
            elif self._label_frames.get(number) is not frame:
                labels[number] = self._label(number, frame)
        return labels

    def _model_of(self, labels: Mapping[int, Label]) -> str | None:
        by_parameters = any(isinstance(label.hand, HandParameters) for label in labels.values())
        return self.hand.template.name if by_parameters else None

    def _read_labels(self) -> None:
        folder = self.recording.folder
        self._signature = _signature(folder / FILE)
        file = self._of_own_side(read_annotations(folder))
        by_parameters = any(isinstance(label.hand, HandParameters) for label in file.labels)
        if by_parameters and not same_hand(str(file.hand_model), self.hand.template.name):
            raise DataError(
                f"expected the hand model that {folder / FILE} names ({file.hand_model}), got "
                f"{self.hand.template.name}; choose it by --hand open|mano"
            )
        self._labels = {label.frame: label for label in file.labels}
        self._unchanged, self._label_frames = {}, {}
        before, self.other = self.beside, file.other
        self.beside = {} if file.other is None else {label.frame: label for label in file.other.labels}
        for number, frame in self._changed.items():  # whose object somebody else has moved, and nobody here
            if self._is_beside(number, frame, before):
                self._changed[number] = self.beside_other(number, frame)

    def _of_own_side(self, file: AnnotationFile) -> AnnotationFile:
        """The labels of the own hand, with the other's in a recording of both. Raises `DataError` without that."""
        side = self.recording.side
        if self._of_both or file.other is not None:
            return file.of_both(side)
        if file.labels and file.side != side:
            raise DataError(f"expected labels of a {side} hand in {self.recording.folder / FILE}, found {file.side}")
        return file


def _with_object(label: Label, other: Label) -> Label:
    """A label with the object and the use of another one; the same label where it has them."""
    parts = "object_rotation", "object_translation"
    if label.use == other.use and all(np.array_equal(getattr(label, part), getattr(other, part)) for part in parts):
        return label
    return replace(
        label, object_rotation=other.object_rotation, object_translation=other.object_translation, use=other.use
    )


def _signature(path: Path) -> tuple[int, ...] | None:
    """Numbers that change when a file is written anew."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return (status.st_ino, status.st_size, status.st_mtime_ns)
