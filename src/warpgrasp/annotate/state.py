"""What annotating a recording is, without any page: the frame at hand, its poses, undo and redo, what is saved.

Every method may be called from any thread.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from warpgrasp.annotate.poses import FrameState, HandPose, ObjectPose, pose_from_pairs
from warpgrasp.annotate.store import AnnotationStore
from warpgrasp.data.recording import LARGEST_DISTANCE_M, LARGEST_SHAPE, Recording
from warpgrasp.errors import UserError
from warpgrasp.frame import Annotation
from warpgrasp.geometry import Camera
from warpgrasp.hand import JOINTS, MANO_JOINTS, HandModel, fit_hand_to_pixels

NEAREST_M = 0.05  # no hand is held nearer to a camera
LARGEST_UNDO = 500
FIRST_DEPTH_M = 0.5  # where hand and object lie before anybody moved them
# The hand before anybody turned it: fingers up, its back to the camera, as one sees one's own.
ROW = ("middle", "index", "little")
FIRST_HAND_UP, FIRST_HAND_BACK = np.array([0.0, -1.0, 0.0]), np.array([0.0, 0.0, -1.0])


class ReadOnlyError(UserError):
    """The recording may only be looked at."""


@dataclass
class _History:
    past: list[FrameState] = field(default_factory=list)
    future: list[FrameState] = field(default_factory=list)
    gesture: str | None = None  # changes of one gesture are undone together


class AnnotationState:
    """The annotation of one recording.

    A frame that nobody has begun shows the poses of the frame before it that was; nothing of it is kept until it is
    changed. `read_only` says why nothing may be changed, where that is so.
    """

    def __init__(self, recording: Recording, hand: HandModel, *, read_only: str | None = None):
        """Read the recording's labels and drafts. Raises `DataError` when one is broken."""
        self.recording = recording
        self.hand = hand
        self.read_only = read_only
        self.numbers: Sequence[int] = recording.footage.numbers
        self._store = AnnotationStore(recording, hand)
        self._lock = threading.RLock()
        self._saving = threading.Lock()
        self._histories: dict[int, _History] = {}
        self._first = first_poses(recording, hand)
        begun = sorted({*self.labelled, *self.drafted})
        self._frame = begun[0] if begun else self.numbers[0]

    @property
    def camera(self) -> Camera:
        """The camera of the frames."""
        return self.recording.lens.camera

    @property
    def frame(self) -> int:
        """The number of the frame at hand."""
        return self._frame

    @property
    def current(self) -> FrameState:
        """The frame at hand."""
        with self._lock:
            return self._store.get(self._frame) or self._proposal(self._frame)

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
            self._frame = frame

    def change(self, state: FrameState, *, gesture: str | None = None) -> None:
        """Change the frame at hand. Changes that follow each other in one gesture are undone together.

        Raises `ReadOnlyError`, and `UserError` for poses that no label can have.
        """
        with self._lock:
            self._require_writable()
            check_state(state)
            history, before = self._history, self.current
            if gesture is None or gesture != history.gesture:
                history.past = [*history.past, before][-LARGEST_UNDO:]
            history.future, history.gesture = [], gesture
            self._store.put(self._frame, state)

    def end_gesture(self) -> None:
        """What follows is a gesture of its own."""
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
            self._require_writable()
            history = self._history
            source, destination = (history.past, history.future) if backwards else (history.future, history.past)
            if not source:
                return False
            destination.append(self.current)
            self._store.put(self._frame, source.pop())
            history.gesture = None
            return True

    def copy_from_previous(self) -> int | None:
        """Take the poses of the last frame before this one that was begun, or of the first after it; says which."""
        with self._lock:
            source = self._neighbour(self._frame)
            if source is None:
                return None
            other = self._store.get(source)
            assert other is not None
            self.change(replace(self.current, object=other.object, hand=other.hand, stated_hand=None))
            return source

    def set_done(self, done: bool) -> None:
        """Make the frame at hand a label, or a draft again."""
        with self._lock:
            self.change(replace(self.current, done=done))

    def place_object_by_pairs(self) -> None:
        """Put the object where its points are seen. Raises `UserError` when they fix no pose."""
        with self._lock:
            state = self.current
            self.change(replace(state, object=pose_from_pairs(state.pairs, self.camera)))

    def fit_hand_to_joints(self) -> float:
        """Put the hand where its joints are seen, and say how far they are missed (pixels, mean).

        With labels in other frames the hand keeps its shape: it is the same person's. Raises `UserError` when the
        joints fix no hand.
        """
        with self._lock:
            state = self.current
            joints_px, seen = torch.full((21, 2), torch.nan), torch.zeros(21, dtype=torch.bool)
            for name, pixel in state.joints_px:
                joints_px[JOINTS.index(name)], seen[JOINTS.index(name)] = torch.from_numpy(pixel).float(), True
            others = [frame for frame in self.labelled if frame != self._frame]
            shape = torch.from_numpy(state.hand.shape).float() if others else None
            fit = fit_hand_to_pixels(self.hand, joints_px, seen, camera=self.camera, shape=shape)
            rotation, wrist, joints, fitted_shape = (
                part.double().numpy() for part in (fit.rotation[0], fit.joints[0, 0], fit.pose[0], fit.shape)
            )
            kept = state.hand.shape if others else fitted_shape
            self.change(state.with_hand(rotation=rotation, wrist=wrist, joints=joints, shape=kept))
            missed = (self.camera.project(fit.joints[0]) - joints_px)[seen].norm(dim=-1).mean()
            return float(missed)

    def annotation(self, frame: int, state: FrameState | None = None) -> Annotation:
        """Hand and object of a frame, as it is or as `state` has it, in camera space."""
        with self._lock:
            shown = state or self._store.get(frame) or self._proposal(frame)
            return self._store.annotation(frame, shown)

    def save(self) -> None:
        """Write what has changed. Raises `OSError` or `DataError` when that is impossible; then nothing is lost."""
        with self._saving, self._lock:
            if self.read_only is None and self._store.unsaved:
                self._store.save()

    @property
    def _history(self) -> _History:
        return self._histories.setdefault(self._frame, _History())

    def _require_writable(self) -> None:
        if self.read_only is not None:
            raise ReadOnlyError(f"this recording is open for reading only: {self.read_only}")

    def _neighbour(self, frame: int) -> int | None:
        begun = sorted({*self.labelled, *self.drafted} - {frame})
        before = [one for one in begun if one < frame]
        return before[-1] if before else begun[0] if begun else None

    def _proposal(self, frame: int) -> FrameState:
        """What is shown of a frame that nobody has begun."""
        source = self._neighbour(frame)
        other = None if source is None else self._store.get(source)
        return self._first if other is None else FrameState(other.object, other.hand)


def check_state(state: FrameState) -> None:
    """Raise `UserError` for poses that no label can have."""
    for what, place in (("the object's centre", state.object.centre), ("the wrist", state.hand.wrist)):
        if not (place[2] >= NEAREST_M and (np.abs(place) < LARGEST_DISTANCE_M).all()):
            raise UserError(
                f"expected {what} in front of the camera, {NEAREST_M:g} to {LARGEST_DISTANCE_M:g} m away, got a depth "
                f"of {place[2]:.2f} m"
            )
    if (np.abs(state.hand.shape) > LARGEST_SHAPE).any():
        raise UserError(f"expected shape parameters within ±{LARGEST_SHAPE:g}")


def first_poses(recording: Recording, hand: HandModel) -> FrameState:
    """Hand and object side by side in the middle of the picture."""
    lens, template = recording.lens, hand.template
    middle = np.linalg.inv(lens.intrinsics) @ np.array([(lens.width - 1) / 2, (lens.height - 1) / 2, 1.0])
    centre = FIRST_DEPTH_M * middle
    shape = np.zeros(hand.shape_count)
    wrist = template.rest_wrist(shape)
    joints = np.asarray(template.joint_regressor, dtype=np.float64) @ template.vertices
    middle_base, index_base, little_base = (joints[MANO_JOINTS.index(f"{finger}_1")] for finger in ROW)
    up = middle_base - wrist
    back = np.cross(little_base - index_base, up)
    back = back if recording.side == "right" else -back
    rotation = Rotation.align_vectors(
        np.stack([FIRST_HAND_UP, FIRST_HAND_BACK]), np.stack([up, back]) / np.linalg.norm([up, back], axis=1)[:, None]
    )[0]
    beside = np.array([0.1, 0.06, 0.0])
    return FrameState(
        ObjectPose(np.zeros(3), centre - beside * [1, 0, 0]),
        HandPose(rotation.as_rotvec(), centre + beside, np.asarray(template.mean_pose, dtype=np.float64), shape),
    )
