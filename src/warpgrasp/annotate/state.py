"""The annotation of a recording without any page: the frame at hand, its pose, undo and redo, saving.

Every method may be called from any thread.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch

from warpgrasp.annotate.clicked_joints import FittedHand, expected_hand, kept_fingers, seen_joints
from warpgrasp.annotate.edited_frame import EditedFrame, check_pose, first_pose
from warpgrasp.annotate.masks import FrameMasks, Mask
from warpgrasp.annotate.other_hand import OtherHand
from warpgrasp.annotate.pairs import PlacedObject, object_pose_from_pairs
from warpgrasp.annotate.store import AnnotationStore
from warpgrasp.data.recording import Masks, Recording
from warpgrasp.errors import UserError
from warpgrasp.frame import Annotation, Pose
from warpgrasp.geometry import Camera, matrix_from_axis_angle
from warpgrasp.hand import HandModel, fit_hand_to_pixels

LARGEST_UNDO = 500


class ReadOnlyError(UserError):
    """The recording may only be looked at."""


@dataclass
class _History:
    past: list[EditedFrame] = field(default_factory=list)
    future: list[EditedFrame] = field(default_factory=list)
    gesture: str | None = None  # changes of one gesture are undone together


class AnnotationState:
    """The annotation of one recording.

    A frame that nobody has begun has the pose of the last begun frame before it, with the object where a label of the
    other hand has it, unless another one is offered; nothing of it is kept until it is changed. `read_only` says why
    nothing may be changed, where that is so.
    """

    def __init__(
        self, recording: Recording, hand: HandModel, *, read_only: str | None = None, masks: Masks | None = None
    ):
        """Read the recording's labels, drafts and painted masks; `masks` are given besides.

        Raises `DataError` when a label or a draft is broken.
        """
        self.recording = recording
        self.hand = hand
        self.read_only = read_only
        self.numbers: Sequence[int] = recording.footage.numbers
        self.masks = FrameMasks(recording, masks)
        self._store = AnnotationStore(recording, hand, self.masks)
        self.other_hand = OtherHand(recording, hand)
        self._lock = threading.RLock()
        self._saving = threading.Lock()
        self._histories: dict[int, _History] = {}
        self._first = EditedFrame(first_pose(recording, hand))
        self._frame = min(self.begun or self.labelled_other, default=self.numbers[0])
        self._offer: tuple[int, EditedFrame] | None = None  # a frame that nobody has begun, as it might begin

    @property
    def camera(self) -> Camera:
        """The camera of the frames."""
        return self.recording.lens.camera

    @property
    def frame(self) -> int:
        """The number of the frame at hand."""
        return self._frame

    @property
    def current(self) -> EditedFrame:
        """The frame at hand."""
        with self._lock:
            return self.edited(self._frame)

    @property
    def first_pose(self) -> Pose:
        """Where hand and object lie before anybody has moved them in any frame."""
        return self._first.pose

    @property
    def labelled(self) -> list[int]:
        """The frames with a label, ascending."""
        with self._lock:
            return self._store.labelled

    @property
    def drafted(self) -> list[int]:
        """The frames that are begun and not finished, ascending."""
        with self._lock:
            return self._store.drafted

    @property
    def is_of_both(self) -> bool:
        """Whether the other hand is labelled too, or is to be."""
        with self._lock:
            return self._store.other is not None

    @property
    def labelled_other(self) -> list[int]:
        """The frames with a label of the other hand, ascending."""
        with self._lock:
            return sorted(self._store.beside)

    def other_annotation(self, number: int) -> Annotation | None:
        """The other hand of a frame, and the object, in camera space; None where it has no label that can be shown."""
        with self._lock:
            other, label = self._store.other, self._store.beside.get(number)
            return None if other is None or label is None else self.other_hand.annotation(other, label)

    @property
    def begun(self) -> set[int]:
        """The frames with a label or a draft."""
        with self._lock:
            return {*self._store.labelled, *self._store.drafted}

    @property
    def unsaved(self) -> frozenset[int]:
        """The frames whose last change is not on disk."""
        with self._lock:
            return self._store.unsaved

    def go_to(self, frame: int) -> None:
        """Turn to a frame. Raises `UserError` when there is none of that number, or its label is of no hand."""
        with self._lock:
            if frame not in self.numbers:
                raise UserError(f"expected a frame from {self.numbers[0]} to {self.numbers[-1]}, got {frame}")
            self._store.get(frame)
            self.end_gesture()
            self._frame, self._offer = frame, None

    def change(self, frame: EditedFrame, *, gesture: str | None = None) -> None:
        """Change the frame at hand. Changes that follow each other in one gesture are undone together.

        Raises `ReadOnlyError`, and `UserError` for a pose that no label can have.
        """
        with self._lock:
            self.require_writable()
            check_pose(frame)
            history, before = self._history, self.current
            if gesture is None or gesture != history.gesture:
                history.past = [*history.past, before][-LARGEST_UNDO:]
            history.future, history.gesture = [], gesture
            self._store.put(self._frame, frame)

    def end_gesture(self) -> None:
        """Let the next change be the first of another gesture."""
        with self._lock:
            self._history.gesture = None

    def undo(self) -> bool:
        """Take back the last change of the frame at hand; False when there is none."""
        return self._travel(backwards=True)

    def redo(self) -> bool:
        """Make again what was taken back; False when there is nothing."""
        return self._travel(backwards=False)

    def _travel(self, *, backwards: bool) -> bool:
        with self._lock:
            self.require_writable()
            history = self._history
            source, destination = (history.past, history.future) if backwards else (history.future, history.past)
            if not source:
                return False
            destination.append(self.current)
            self._store.put(self._frame, source.pop())
            history.gesture = None
            return True

    def copy_from_previous(self) -> int | None:
        """Take the pose of the last begun frame before this one, or of the first after it; its number is returned.

        The object stays where the other hand's label has it.
        """
        with self._lock:
            source = self._neighbour(self._frame)
            if source is None:
                return None
            other = self._store.get(source)
            assert other is not None
            copied = self._store.beside_other(self._frame, self.current.posed(other.pose))
            self.change(replace(copied, use=self.current.use))
            return source

    def set_done(self, done: bool) -> None:
        """Make the frame at hand a label, or a draft again.

        Raises `UserError` for a label one part of which nobody has placed: another program's labels lack it.
        """
        with self._lock:
            if done and self.current.missing is not None:
                raise UserError(
                    f"expected hand and object in place for a label, but nobody has placed the {self.current.missing}: "
                    "place it first"
                )
            self.change(replace(self.current, done=done))

    def place_object_by_pairs(self, *, coupled: bool = False) -> PlacedObject:
        """Put the object where its points are seen, with the hand where they are `coupled`.

        Raises `UserError` when they fix no pose.
        """
        with self._lock:
            placed = object_pose_from_pairs(self.current.pairs, self.camera)
            self.change(self.current.carried("object", placed.rotation, placed.centre, coupled=coupled))
            return placed

    @property
    def shape_is_unknown(self) -> bool:
        """Whether nothing says yet what shape the hand of this frame has: no label, and nobody who has set it."""
        others = any(number != self._frame for number in self.labelled)
        return not others and torch.equal(self.current.pose.shape, self._first.pose.shape)

    def fit_hand_to_joints(self, *, shape_too: bool | None = None) -> FittedHand:
        """Put the hand where its joints are seen, beginning with the hand as it is shown.

        What the joints do not say stays: fingers none of whose joints is seen, the shape unless it is to be fitted too
        (None: where nothing says it yet), and, of a hand that somebody has placed, where it is. Raises `UserError` when
        the joints fix no hand.
        """
        with self._lock:
            fits_shape = self.shape_is_unknown if shape_too is None else shape_too
            current, seen = self.current, seen_joints(self.current.joints_px)
            expected = expected_hand(current.pose, self._first.pose, seen.seen, shape_known=not fits_shape)
            fit = fit_hand_to_pixels(self.hand, seen, camera=self.camera, expected=expected)
            rotation = matrix_from_axis_angle(fit.rotation[0].double())
            angles = fit.pose[0].double()
            if expected.held is not None:
                angles = torch.where(expected.held, current.pose.joint_angles[0], angles)
            parts = {"hand_rotation": rotation, "wrist": fit.joints[0, 0], "joint_angles": angles}
            parts |= {"shape": fit.shape} if fits_shape else {}
            self.change(current.moved(**{name: part.double().numpy() for name, part in parts.items()}))
            missed_px = float((self.camera.project(fit.joints[0]) - seen.pixels)[seen.seen].norm(dim=-1).mean())
            return FittedHand(missed_px, kept_fingers(expected), not fits_shape)

    def annotation(self, number: int, frame: EditedFrame | None = None) -> Annotation:
        """Hand and object in camera space, of a frame as it is, or as `frame` has it."""
        with self._lock:
            return self._store.annotation(number, frame or self.edited(number))

    def edited(self, number: int) -> EditedFrame:
        """A frame as it is."""
        with self._lock:
            return self._store.get(number) or self._proposal(number)

    def pose(self, number: int) -> Pose:
        """The pose of a frame."""
        return self.edited(number).pose

    def seen(self, number: int) -> Mask | None:
        """What is known of each pixel of a frame: its mask, in which the other hand, where it is labelled, occludes."""
        mask, annotation = self.edited(number).mask, self.other_annotation(number)
        if annotation is None:
            return mask
        pixels = self.other_hand.pixels(annotation)
        return (mask or Mask.empty(*pixels.shape)).painted(pixels, "occluder", erasing=False)

    def offer(self, frame: EditedFrame) -> None:
        """Let the frame at hand, which nobody has begun, look so until it is changed or left; nothing is kept of it."""
        with self._lock:
            self._offer = (self._frame, frame)

    def save(self) -> None:
        """Write what has changed. Raises `OSError` or `DataError` when that is impossible; then nothing is lost."""
        with self._saving, self._lock:
            if self.read_only is None and self._store.unsaved:
                self._store.save()

    @property
    def _history(self) -> _History:
        return self._histories.setdefault(self._frame, _History())

    def require_unchanged(self, number: int, pose: Pose, meanwhile: str) -> None:
        """Raise `UserError` when another frame is shown than this one, or when its pose is another by now."""
        if self.frame != number or self.current.pose is not pose:
            raise UserError(f"the frame was changed while {meanwhile}")

    def require_writable(self) -> None:
        """Raise `ReadOnlyError` when the recording may only be looked at."""
        if self.read_only is not None:
            raise ReadOnlyError(f"this recording is open for reading only: {self.read_only}")

    def _neighbour(self, frame: int) -> int | None:
        begun = sorted(self.begun - {frame})
        before = [number for number in begun if number < frame]
        return before[-1] if before else begun[0] if begun else None

    def _proposal(self, frame: int) -> EditedFrame:
        """A frame that nobody has begun: as it was offered, else with the pose of its neighbour."""
        if self._offer is not None and self._offer[0] == frame:
            return self._offer[1]
        source = self._neighbour(frame)
        other = None if source is None else self._store.get(source)
        first, mask = self._first if other is None else EditedFrame(other.pose), self.masks.get(frame)
        first = self._store.beside_other(frame, first)
        return first if mask is None else replace(first, mask=mask)
