"""`annotation_drafts.json`: frames that are not finished, and the points clicked on, so that a restart loses nothing.

Only `warpgrasp annotate` reads this file; deleting it deletes unfinished work and no label.

The labels and drafts of one recording: what is on disk, what has changed since, and how it gets there.
"""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from warpgrasp.annotate.poses import FrameState, HandPose, ObjectPose, PointPair, hand_of_parameters, label_of, state_of
from warpgrasp.data.recording import ANNOTATIONS_FILE as FILE
from warpgrasp.data.recording import (
    LARGEST_FRAME,
    USES,
    AnnotationFile,
    Entry,
    HandJoints,
    HandParameters,
    Label,
    Recording,
    annotation_of,
    fitted_hand,
    read_annotations,
    read_document,
    write_annotations,
    write_document,
)
from warpgrasp.errors import DataError
from warpgrasp.frame import Annotation
from warpgrasp.hand import JOINTS, HandModel, same_hand

FORMAT = "warpgrasp-drafts-1"
DRAFTS_FILE = "annotation_drafts.json"


def read_drafts(folder: Path, *, hand_model: str, shape_count: int) -> dict[int, FrameState]:
    """The drafts of a recording by frame; none where there is no file.

    Raises `DataError` naming the file and the fact, also when they were made with another hand model.
    """
    path = folder / DRAFTS_FILE
    if not path.exists():
        return {}
    entry = read_document(path, FORMAT)
    entry.only("format", "hand_model", "frames")
    if entry.text("hand_model") != hand_model:
        raise DataError(
            f"expected drafts made with {hand_model} in {path}, found {entry.text('hand_model')}; choose it by --hand "
            f"open|mano and --side right|left, or delete the file"
        )
    drafts = {}
    for one in entry.entries("frames"):
        one.only("frame", "use", "hand", "object", "object_points", "hand_joints")
        drafts[one.whole("frame", least=0, most=LARGEST_FRAME)] = _state(one, shape_count)
    return drafts


def _state(entry: Entry, shape_count: int) -> FrameState:
    hand, thing, joints = entry.entry("hand"), entry.entry("object"), entry.entry("hand_joints")
    joints.only(*JOINTS)
    pairs = entry.entries("object_points")
    return FrameState(
        ObjectPose(thing.numbers("rotation", (3,)), thing.numbers("centre", (3,))),
        HandPose(
            hand.numbers("rotation", (3,)),
            hand.numbers("wrist", (3,)),
            hand.numbers("joints", (45,)),
            hand.numbers("shape", (shape_count,)),
        ),
        tuple(PointPair(one.numbers("point", (3,)), one.numbers("pixel", (2,))) for one in pairs),
        tuple((name, joints.numbers(name, (2,))) for name in JOINTS if joints.has(name)),
        use=entry.choice("use", USES),
    )


def drafts_document(drafts: Mapping[int, FrameState], *, hand_model: str) -> dict[str, Any]:
    """The file's content for these frames."""
    return {
        "format": FORMAT,
        "hand_model": hand_model,
        "frames": [_written(frame, drafts[frame]) for frame in sorted(drafts)],
    }


def _written(frame: int, state: FrameState) -> dict[str, Any]:
    hand = {name: np.asarray(value).tolist() for name, value in vars(state.hand).items()}
    return {
        "frame": frame,
        "use": state.use,
        "hand": hand,
        "object": {"rotation": state.object.rotation.tolist(), "centre": state.object.centre.tolist()},
        "object_points": [{"point": pair.point.tolist(), "pixel": pair.pixel.tolist()} for pair in state.pairs],
        "hand_joints": {name: pixel.tolist() for name, pixel in state.joints_px},
    }


def write_drafts(folder: Path, content: dict[str, Any]) -> None:
    """Write the drafts, whole or not at all; without any, no file."""
    path = folder / DRAFTS_FILE
    if content["frames"] or path.exists():
        write_document(path, content)


class AnnotationStore:
    """Frames by number, as they are on disk and as they have been changed. Not for several threads at once.

    A finished frame is a label in `annotations.json`; an unfinished one, and every point that was clicked on, is in
    `annotation_drafts.json`. Labels of frames that were not changed are written again as they were read.
    """

    def __init__(self, recording: Recording, hand: HandModel):
        """Read both files; `hand` is the model of the recording's own hand, right or left.

        Raises `DataError` when one is broken or was made with another hand model.
        """
        # Labels that are new are of the hand model at hand, whatever the file said before there were any.
        self.recording = replace(recording, annotations=AnnotationFile(hand.template.name, (), recording.side))
        self.hand = hand
        self.object_centre_m = recording.object.model.centre_m.double().numpy()
        self._labels: dict[int, Label] = {}
        self._seen: dict[int, FrameState] = {}  # unchanged ones
        self._label_states: dict[int, FrameState] = {}  # the states that labels on disk were written from
        self._signature: tuple[int, ...] | None = None
        self._read_labels()
        model = hand.template.name
        self._drafts = read_drafts(recording.folder, hand_model=model, shape_count=hand.shape_count)
        self._drafts_on_disk = drafts_document(self._drafts, hand_model=model)
        self._changed: dict[int, FrameState] = {}  # since the files were read
        self._unsaved: set[int] = set()

    @property
    def unsaved(self) -> frozenset[int]:
        """The frames whose last change is not on disk."""
        return frozenset(self._unsaved)

    @property
    def labelled(self) -> list[int]:
        """The frames that have a label, or get one with the next save, ascending."""
        kept = {frame for frame in self._labels if frame not in self._changed}
        return sorted(kept | {frame for frame, state in self._changed.items() if state.done})

    @property
    def drafted(self) -> list[int]:
        """The frames that somebody began and has not finished, ascending."""
        frames = {frame for frame in self._drafts if frame not in self._changed}
        frames |= {frame for frame, state in self._changed.items() if not state.done}
        return sorted(frames - set(self.labelled))

    def get(self, frame: int) -> FrameState | None:
        """A frame's state, or None when nobody has begun it.

        Raises `DataError` when its label's joints are no hand's.
        """
        if frame in self._changed:
            return self._changed[frame]
        if frame not in self._seen and (frame in self._labels or frame in self._drafts):
            self._seen[frame] = self._loaded(frame)
        return self._seen.get(frame)

    def _loaded(self, frame: int) -> FrameState:
        draft = self._drafts.get(frame)
        if frame not in self._labels:
            assert draft is not None
            return draft
        label = self._labels[frame]
        annotation_of(self.recording, label, self.hand)  # raises for what is no hand and object in front of the camera
        match label.hand:
            case HandParameters():
                hand = hand_of_parameters(label.hand, self.hand.template)
            case HandJoints():
                hand = _fitted(label.hand, self.hand)
        state = state_of(label, hand, self.object_centre_m)
        if draft is None:
            return state
        return replace(state, pairs=draft.pairs, joints_px=draft.joints_px)

    def put(self, frame: int, state: FrameState) -> None:
        """Change a frame; `save` writes it."""
        self._changed[frame] = state
        self._unsaved.add(frame)

    def annotation(self, frame: int, state: FrameState) -> Annotation:
        """Hand and object in camera space, as the label of that state means them."""
        label = label_of(frame, state, self.hand.template, self.object_centre_m)
        return annotation_of(self.recording, label, self.hand)

    def save(self) -> None:
        """Write what has changed, so that no moment exists in which neither file holds it.

        A label that somebody else changed in the meantime is kept, unless the same frame was changed here. Raises
        `OSError` when a file cannot be written, and `DataError` when somebody else broke the labels' file.
        """
        if self._signature != _signature(self.recording.folder / FILE):
            self._read_labels()
        written = dict(self._changed)
        labels = self._labels_with(written)
        begun = {**self._drafts, **written}
        drafts = {
            frame: state for frame, state in begun.items() if frame not in labels or state.pairs or state.joints_px
        }
        if labels.keys() != self._labels.keys() or any(labels[frame] is not self._labels[frame] for frame in labels):
            gained = {frame: state for frame, state in written.items() if frame not in self._labels}
            self._write_drafts({**drafts, **gained})
            model, side = self._model_of(labels), self.recording.side
            write_annotations(self.recording.folder, list(labels.values()), hand_model=model, side=side)
            self._signature = _signature(self.recording.folder / FILE)
            self._labels = labels
            self._label_states = {frame: state for frame, state in written.items() if state.done}
        self._write_drafts(drafts)
        self._unsaved -= {frame for frame, state in written.items() if self._changed[frame] is state}

    def _labels_with(self, changed: Mapping[int, FrameState]) -> dict[int, Label]:
        labels = dict(self._labels)
        for frame, state in changed.items():
            if not state.done:
                labels.pop(frame, None)
            elif self._label_states.get(frame) is not state:
                labels[frame] = label_of(frame, state, self.hand.template, self.object_centre_m)
        return labels

    def _write_drafts(self, drafts: Mapping[int, FrameState]) -> None:
        content = drafts_document(drafts, hand_model=self.hand.template.name)
        if content != self._drafts_on_disk:
            write_drafts(self.recording.folder, content)
            self._drafts_on_disk = content

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
        self._seen, self._label_states = {}, {}


def _signature(path: Path) -> tuple[int, ...] | None:
    """What changes when a file is written anew."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return (found.st_ino, found.st_size, found.st_mtime_ns)


def _fitted(stated: HandJoints, hand: HandModel) -> HandPose:
    fit = fitted_hand(stated, hand)
    rotation, wrist, joints = (part.double().numpy() for part in (fit.rotation[0], fit.joints[0, 0], fit.pose[0]))
    return HandPose(rotation, wrist, joints, fit.shape.double().numpy())
