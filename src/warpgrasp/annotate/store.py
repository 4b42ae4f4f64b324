"""The labels and drafts of one recording: those on disk, those changed since, and how they get there.

Labels are in `annotations.json`. `annotation_drafts.json` holds frames that are not finished, and the points clicked
on, so that a restart loses nothing. Only `warpgrasp annotate` reads this file; deleting it deletes unfinished work and
no label.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import torch

from warpgrasp.annotate.edited_frame import EditedFrame, Part, PointPair, float64_rows
from warpgrasp.annotate.masks import FrameMasks
from warpgrasp.checked import Entry, read_json_object
from warpgrasp.data.recording import ANNOTATIONS_FILE as FILE
from warpgrasp.data.recording import (
    LARGEST_FRAME,
    LARGEST_LABELS_BYTES,
    MASKS_FOLDER,
    USES,
    AnnotationFile,
    HandParameters,
    Label,
    Recording,
    annotation_of,
    label_of_pose,
    pose_of_label,
    read_annotations,
    write_annotations,
)
from warpgrasp.errors import DataError
from warpgrasp.files import remove_leftovers, write_document
from warpgrasp.frame import Annotation, Pose
from warpgrasp.geometry import axis_angle_from_matrix, matrix_from_axis_angle
from warpgrasp.hand import JOINTS, HandModel, same_hand
from warpgrasp.locks import exclusive

FORMAT = "warpgrasp-drafts-1"
DRAFTS_FILE = "annotation_drafts.json"
LOCK_FILE = ".annotate.lock"  # held by whoever writes either file
PARTS: tuple[Part, ...] = get_args(Part)


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

        Raises `DataError` when one is broken or was made with another hand model.
        """
        # New labels are of the hand model at hand, whatever the file said before there were any.
        self.recording = replace(recording, annotations=AnnotationFile(hand.template.name, (), recording.side))
        self.hand, self._masks = hand, masks
        self._labels: dict[int, Label] = {}
        self._unchanged: dict[int, EditedFrame] = {}
        self._label_frames: dict[int, EditedFrame] = {}  # those that labels on disk were written from
        self._signature: tuple[int, ...] | None = None
        self._read_labels()
        self._drafts = _Drafts.read(recording.folder, hand)
        self._changed: dict[int, EditedFrame] = {}  # since the files were read
        self._unsaved: set[int] = set()

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

        A label that somebody else changed in the meantime is kept, unless the same frame was changed here. Raises
        `OSError` when a file cannot be written, and `DataError` when somebody else broke the labels' file.
        """
        if self._signature != _signature(self.recording.folder / FILE):
            self._read_labels()
        written = dict(self._changed)
        if self._masks is not None:
            for number in self._unsaved:
                self._masks.write(number, written[number].mask)
        labels = self._labels_with(written)
        begun = {**self._drafts.frames, **written}
        drafts = {
            number: frame for number, frame in begun.items() if number not in labels or frame.pairs or frame.joints_px
        }
        if labels.keys() != self._labels.keys() or any(labels[number] is not self._labels[number] for number in labels):
            gained = {number: frame for number, frame in written.items() if number not in self._labels}
            self._drafts.write({**drafts, **gained})
            model, side = self._model_of(labels), self.recording.side
            write_annotations(self.recording.folder, list(labels.values()), hand_model=model, side=side)
            self._signature = _signature(self.recording.folder / FILE)
            self._labels = labels
            self._label_frames = {number: frame for number, frame in written.items() if frame.done}
        self._drafts.write(drafts)
        self._unsaved -= {number for number, frame in written.items() if self._changed[number] is frame}

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
        file = read_annotations(folder)
        if file.labels and file.side != self.recording.side:
            raise DataError(f"expected labels of a {self.recording.side} hand in {folder / FILE}, found {file.side}")
        by_parameters = any(isinstance(label.hand, HandParameters) for label in file.labels)
        if by_parameters and not same_hand(str(file.hand_model), self.hand.template.name):
            raise DataError(
                f"expected the hand model that {folder / FILE} names ({file.hand_model}), got "
                f"{self.hand.template.name}; choose it by --hand open|mano"
            )
        self._labels = {label.frame: label for label in file.labels}
        self._unchanged, self._label_frames = {}, {}


def _signature(path: Path) -> tuple[int, ...] | None:
    """Numbers that change when a file is written anew."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return (status.st_ino, status.st_size, status.st_mtime_ns)


class _Drafts:
    """`annotation_drafts.json`: frames as they were read, and as the file holds them now."""

    def __init__(self, path: Path, hand_model: str, frames: Mapping[int, EditedFrame], entries: Mapping[int, Any]):
        self.frames = frames
        self._path, self._hand_model, self._entries = path, hand_model, entries
        self._on_disk = [entries[number] for number in sorted(entries)]

    @staticmethod
    def read(folder: Path, hand: HandModel) -> "_Drafts":
        """Read the drafts of a recording; none where there is no file.

        Raises `DataError` naming the file and the fact, also when they were made with another hand model.
        """
        path, hand_model = folder / DRAFTS_FILE, hand.template.name
        if not path.exists():
            return _Drafts(path, hand_model, {}, {})
        document = read_json_object(path, FORMAT, largest_bytes=LARGEST_LABELS_BYTES)
        document.only("format", "hand_model", "frames")
        if document.text("hand_model") != hand_model:
            raise DataError(
                f"expected drafts made with {hand_model} in {path}, found {document.text('hand_model')}; choose it by "
                f"--hand open|mano and --side right|left, or delete the file"
            )
        frames, entries = {}, {}
        for entry in document.entries("frames"):
            entry.only("frame", "use", "hand", "object", "object_points", "hand_joints", "missing")
            number = entry.whole("frame", least=0, most=LARGEST_FRAME)
            frames[number], entries[number] = _frame_of(entry, hand.shape_count), dict(entry.values)
        return _Drafts(path, hand_model, frames, entries)

    def write(self, drafts: Mapping[int, EditedFrame]) -> None:
        """Write drafts, whole or not at all; without any, no file. Nothing is written when nothing has changed."""
        entries = [
            self._entries[number] if frame is self.frames.get(number) else _entry_of(number, frame)
            for number, frame in sorted(drafts.items())
        ]
        if entries == self._on_disk:
            return
        if entries or self._path.exists():
            write_document(self._path, {"format": FORMAT, "hand_model": self._hand_model, "frames": entries})
        self._on_disk = entries


def _frame_of(entry: Entry, shape_count: int) -> EditedFrame:
    hand, target, joints = entry.entry("hand"), entry.entry("object"), entry.entry("hand_joints")
    joints.only(*JOINTS)
    pose = Pose(
        matrix_from_axis_angle(float64_rows(target.numbers("rotation", (3,)))),
        float64_rows(target.numbers("centre", (3,))),
        matrix_from_axis_angle(float64_rows(hand.numbers("rotation", (3,)))),
        float64_rows(hand.numbers("wrist", (3,))),
        float64_rows(hand.numbers("joints", (45,))),
        float64_rows(hand.numbers("shape", (shape_count,))),
    )
    pairs = (
        PointPair(pair.numbers("point", (3,)), pair.numbers("pixel", (2,))) for pair in entry.entries("object_points")
    )
    joints_px = tuple((name, joints.numbers(name, (2,))) for name in JOINTS if joints.has(name))
    missing = entry.choice("missing", PARTS) if entry.has("missing") else None
    return EditedFrame(pose, tuple(pairs), joints_px, use=entry.choice("use", USES), missing=missing)


def _entry_of(number: int, frame: EditedFrame) -> dict[str, Any]:
    pose = frame.pose
    hand_rotation, object_rotation = (
        axis_angle_from_matrix(matrix)[0].tolist() for matrix in (pose.hand_rotation, pose.object_rotation)
    )
    return {
        "frame": number,
        "use": frame.use,
        "hand": {
            "rotation": hand_rotation,
            "wrist": frame.wrist.tolist(),
            "joints": frame.joint_angles.tolist(),
            "shape": frame.shape.tolist(),
        },
        "object": {"rotation": object_rotation, "centre": frame.object_centre.tolist()},
        "object_points": [{"point": pair.point.tolist(), "pixel": pair.pixel.tolist()} for pair in frame.pairs],
        "hand_joints": {name: pixel.tolist() for name, pixel in frame.joints_px},
        **({} if frame.missing is None or frame.done else {"missing": frame.missing}),
    }
