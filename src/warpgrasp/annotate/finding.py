"""Hands that a detector finds in a recording's pictures, as drafts of frames, and the actions by which a user asks.

The detector's joints are adapted to ours on the recording's labels, the hand has their size, its fingers are expected
to be bent as in the nearest of them, and an object that it holds there moves with it. `HandFinder` needs no page;
`FindActions` are those of the annotation page.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from warpgrasp.annotate.actions import Action
from warpgrasp.annotate.edited_frame import EditedFrame
from warpgrasp.annotate.page import AnnotatePage
from warpgrasp.annotate.state import AnnotationState
from warpgrasp.data.recording import Recording
from warpgrasp.errors import DataError, UserError
from warpgrasp.frame import Pose
from warpgrasp.geometry import matrix_from_axis_angle
from warpgrasp.hand import JOINTS, ExpectedHand, HandFit, Side, other_side
from warpgrasp.keypoints import (
    OTHER_HAND,
    SURE_SCORE,
    FoundHand,
    HandBox,
    HandKeypoints,
    JointOffsets,
    MediaPipeDetector,
    Picture,
    cached_keypoints,
    detections_of,
    find_hand,
    fit_offsets,
    hand_from_keypoints,
    hand_of_side,
    joint_misses_m,
    usual_offsets,
)
from warpgrasp.refinement import RecordingPictures, carried, distance_to_hand_m, solid_of
from warpgrasp.scene import posed_hand

LABELS_AT_ONCE = 4  # that are looked at for one frame, so that it does not take long; the others come with the next
HELD_M = 0.01  # an object that is nearer to the hand than this is held
# A copied pose that misses the joints which the detector sees by less is as good as a found hand: on the shipped
# sequences copies are 8 mm off three frames after a label, where they miss 9 mm, and 21 mm off after eight, where
# they miss 16 mm; found hands are 11 mm off in both (medians).
COPY_MISSES_M = 0.012
READING_SHARE = 0.2  # of the time: each picture is read once to know it again, and once to look for the hand
SMALLEST_BOX_PX = 8.0
AROUND_BOX = 1.6  # what the detector looks at, by the side of a box that is drawn tightly around a hand
PROGRESS_EVERY_S = 0.3

Read = Callable[[int], Picture]


@dataclass(frozen=True)
class HandDraft:
    """A hand found in a frame."""

    found: FoundHand
    pose: Pose  # of the hand, and of the object as the frame had it or as the hand holds it
    joints_px: tuple[tuple[str, Float[np.ndarray, " 2"]], ...]  # its joints where they are seen, as if clicked on
    label: int | None  # the nearest one, which tells the hand's size; None where there are none
    holds_object: bool  # as in that label: the object has moved with the hand
    copy_misses_m: float  # by how much the pose shown before misses the detector's joints

    def begun_from(self, frame: EditedFrame) -> EditedFrame:
        """The frame with the found hand, a draft whatever it was."""
        return replace(frame.posed(self.pose), joints_px=self.joints_px, done=False)


class HandFinder:
    """Finds the hand in the frames of one recording. The detector is loaded when it is used first."""

    def __init__(self, state: AnnotationState):
        self._state = state
        self._object = solid_of(state.recording.object.model)
        self._detector: MediaPipeDetector | None = None
        self._in_labels: dict[int, HandKeypoints | None] = {}
        self._lock = threading.Lock()

    def find(self, number: int, read: Read, *, box: HandBox | None = None) -> HandDraft | None:
        """The hand in a frame, in `box` where it is given; None where the detector sees none.

        The frame stays as it is. Raises `FitError` for a hand that is nearly
        outside of the picture.
        """
        state, side = self._state, self._state.recording.side
        with self._lock:
            self._detector = self._detector or MediaPipeDetector()
            found = find_hand(self._detector, read(number), side, box=box)
            if found is None:
                return None
            labels = sorted(set(state.labelled) - {number}, key=lambda label: abs(label - number))
            offsets = self._offsets(labels, read)
        nearest = state.pose(labels[0]) if labels else None
        expected = None if nearest is None else ExpectedHand(nearest.shape[0], nearest.joint_angles[0])
        keypoints, camera = found.keypoints, state.camera
        fit = hand_from_keypoints(state.hand, keypoints, camera=camera, offsets=offsets, expected=expected)
        before = state.edited(number)
        shown = before.pose.to(torch.float32)
        missed = joint_misses_m(self._joints(shown), shown.hand_rotation, keypoints, camera=camera, offsets=offsets)
        pose = _pose_of(fit, before.pose, nearest)
        known = number in state.begun or number in state.labelled_other  # where the object is
        holds = nearest is not None and not known and self._holds_object(labels[0])
        if holds:
            assert nearest is not None
            pose = carried(nearest, pose)
        return HandDraft(found, pose, self._pixels(fit), labels[0] if labels else None, holds, float(missed))

    def better_than_copy(self, number: int, read: Read) -> HandDraft | None:
        """The hand in a frame that nobody has begun, where it is surely seen and the pose shown there misses it."""
        draft = self.find(number, read)
        if draft is None or draft.found.score < SURE_SCORE or draft.copy_misses_m < COPY_MISSES_M:
            return None
        return draft

    def _offsets(self, labels: list[int], read: Read) -> JointOffsets:
        """Where the detector sees our joints, by the labels that it was asked about, the nearest first."""
        assert self._detector is not None
        state, side = self._state, self._state.recording.side
        for label in [label for label in labels if label not in self._in_labels][:LABELS_AT_ONCE]:
            self._in_labels[label] = hand_of_side(self._detector.detect(read(label)[None])[0], side)
        seen = [(label, hand) for label in labels if (hand := self._in_labels.get(label)) is not None]
        usual = usual_offsets(side)
        if not seen:
            return usual
        poses = Pose.joined([state.pose(label) for label, _ in seen]).to(torch.float32)
        detections = detections_of([[hand] for _, hand in seen], side)
        return fit_offsets(
            self._joints(poses),
            poses.hand_rotation,
            state.camera,
            detections.joints_px,
            detections.confidence,
            prior_m=usual.offsets_m,
        )

    def _holds_object(self, label: int) -> bool:
        state = self._state
        return distance_to_hand_m(state.pose(label).to(torch.float32), state.hand, self._object) < HELD_M

    def _joints(self, pose: Pose) -> Float[Tensor, "n 21 3"]:
        with torch.no_grad():
            return posed_hand(pose, self._state.hand)[1]

    def _pixels(self, fit: HandFit) -> tuple[tuple[str, Float[np.ndarray, " 2"]], ...]:
        camera = self._state.camera
        pixels = camera.project(fit.joints[0]).double()
        inside = ((pixels > -0.5) & (pixels < pixels.new_tensor([camera.width, camera.height]) - 0.5)).all(dim=1)
        return tuple((JOINTS[row], pixels[row].numpy()) for row in inside.nonzero()[:, 0].tolist())


def _pose_of(fit: HandFit, before: Pose, nearest: Pose | None) -> Pose:
    """The fitted hand beside the object as it was; the nearest label's shape to the last digit."""
    return replace(
        before,
        hand_rotation=matrix_from_axis_angle(fit.rotation.double()),
        wrist=fit.joints[:, 0].double(),
        joint_angles=fit.pose.double(),
        shape=fit.shape[None].double() if nearest is None else nearest.shape,
    )


class ScanStoppedError(Exception):
    """The page is closed before every frame was looked at."""


def hand_scores(
    folder: Path, side: Side, progress: Callable[[float], None], stop: threading.Event
) -> Float[np.ndarray, " n"]:
    """How surely a hand of this side is seen in each frame, 0 to 1: tracked, or from the cache of keypoints.

    The pictures are read by a decoder of its own; `progress` is told the share of the work that is done.
    Raises `DataError` for a picture that cannot be read, and `ScanStoppedError` once `stop` is set.
    """
    recording, gone_through = Recording.read(folder), 0.0

    def advance(pictures: int) -> None:
        nonlocal gone_through
        if stop.is_set():
            raise ScanStoppedError
        gone_through += pictures
        share = gone_through / len(recording.footage.numbers)  # up to 2: they may be gone through twice
        progress(READING_SHARE * min(share, 1) + (1 - READING_SHARE) * max(share - 1, 0))

    try:
        tracked = cached_keypoints(MediaPipeDetector(), RecordingPictures(recording, advance))
    finally:
        recording.footage.close()
    scores = []
    for hands in tracked:
        hand = hand_of_side(hands, side)
        scores.append(hand.presence if hand is not None and hand.probability_of(side) >= OTHER_HAND else 0.0)
    return np.array(scores)


class FindActions:
    """The actions on one page. None of them holds the page's lock while it looks for a hand."""

    def __init__(self, page: AnnotatePage):
        self.page, self.finder = page, HandFinder(page.state)
        self._beginning = threading.Lock()
        page.after_turning = self.begin_with_found

    def find(self, box: HandBox | None = None) -> None:
        """Find the hand in the frame at hand, in a box where one is drawn; where there is none, ask for a box."""
        self.page.act_after("looking for the hand …", lambda: self._found(box))

    def _found(self, box: HandBox | None) -> Action:
        """Look for the hand; the action that is to follow, under the page's lock, is returned."""
        page, state = self.page, self.page.state
        with page.lock:
            page.clicking = "nothing"
            page.await_nothing()
        number, before = state.frame, state.current.pose
        state.require_writable()
        draft = self.finder.find(number, page.read, box=box)

        def apply() -> None:
            state.require_unchanged(number, before, "the hand was looked for; what was found was dropped")
            if draft is None:
                self._ask_for_box(again=box is not None)
                return
            page.moved = "hand"
            page.change(draft.begun_from(state.current))
            page.show_note(says(draft))

        return apply

    def _ask_for_box(self, *, again: bool) -> None:
        self.page.clicking = "box"
        self.page.await_nothing()
        self.page.show()
        where = "in this box either; draw another one, or click its joints (I)" if again else "in this picture"
        self.page.show_note(f"⚠️ no hand is found {where}")

    def clicked(self, origin: Float[np.ndarray, " 3"], direction: Float[np.ndarray, " 3"]) -> None:
        """Take a click on a corner of a box; with the second one, look for the hand in it."""
        page = self.page
        with page.lock:
            pixel, first = page.scene.pixel_of_ray(origin, direction), page.corner
            if pixel is None:
                return
            if first is None:
                page.corner = pixel
                page.show()
                return
            page.corner = None
            page.show()
            side_px = float(np.abs(pixel - first).max())
            if side_px < SMALLEST_BOX_PX:
                page.show_note(f"⚠️ expected a box of at least {SMALLEST_BOX_PX:.0f} px, got one of {side_px:.0f} px")
                return
        x, y = ((pixel + first) / 2).tolist()
        self.find(HandBox((x, y), AROUND_BOX * side_px, None))

    def begin_with_found(self, frame: int) -> None:
        """Offer the hand that is found in a frame that nobody has begun, where a copy of its neighbour misses it."""
        page, state = self.page, self.page.state

        def awaited() -> bool:
            return page.wanted == state.frame == frame and frame not in state.begun and not page.busy

        wanted = page.panel.find_in_new.value and state.read_only is None and bool(state.labelled)
        with self._beginning:  # of many frames that are passed by only the last is looked at
            if not wanted or not awaited():
                return
            try:
                draft = self.finder.better_than_copy(frame, page.read)
            except UserError:  # the copy stays
                return
        with page.lock:
            if draft is not None and awaited():
                state.offer(draft.begun_from(state.current))
                page.show()
                page.show_note(f"{says(draft)}; a copy would miss it by {1000 * draft.copy_misses_m:.0f} mm")

    def find_everywhere(self) -> None:
        """Look for the hand in every frame, in a thread of its own, and show where it is seen."""
        page = self.page
        with page.lock:
            if page.scanning:
                return
            page.scanning = True
            page.panel.progress.value, page.panel.progress.visible = 0.0, True
        threading.Thread(target=self._scan, name="find everywhere", daemon=True).start()

    def _scan(self) -> None:
        page, recording = self.page, self.page.state.recording
        shown_s = 0.0

        def progress(share: float) -> None:
            nonlocal shown_s
            if time.monotonic() - shown_s > PROGRESS_EVERY_S:
                shown_s = time.monotonic()
                page.panel.progress.value = 100 * share

        try:
            scores = hand_scores(recording.folder, recording.side, progress, page.stop)
            page.act(lambda: page.set_scores(scores))
        except (DataError, OSError) as error:
            trouble = str(error)
            page.act(lambda: page.show_note(f"⚠️ {trouble}"))
        except ScanStoppedError:
            return
        finally:
            page.scanning = False
            page.panel.progress.visible = False


def says(draft: HandDraft) -> str:
    """What the page says of a hand that was found."""
    found, other = draft.found, other_side(draft.found.side)
    lines = [f"hand found, score {found.score:.2f}, {found.side}"]
    if draft.label is None:
        lines.append("its size, and with it its depth, is a guess until a label tells")
    else:
        lines.append(f"of the size in frame {draft.label}")
    if draft.holds_object:
        lines.append(f"the object moved with it, held as in frame {draft.label}")
    if found.looks_like_the_other:
        lines.append(f"⚠️ it looks like a {other} hand (score {found.other_score:.2f})")
    elif found.score < SURE_SCORE:
        lines.append("⚠️ it is hardly seen: look at it closely")
    return "; ".join(lines)
