"""Hands that a detector finds in a recording's pictures, as drafts of frames; no page is needed.

The detector's joints are adapted to ours on the recording's labels, the hand has their size, its fingers are expected
to be bent as in the nearest of them, and an object that it holds there moves with it.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from warpgrasp.annotate.edited_frame import EditedFrame
from warpgrasp.annotate.state import AnnotationState
from warpgrasp.frame import Pose
from warpgrasp.geometry import matrix_from_axis_angle
from warpgrasp.hand import JOINTS, ExpectedHand, HandFit
from warpgrasp.keypoints import (
    SURE_SCORE,
    Detections,
    FoundHand,
    HandBox,
    HandKeypoints,
    JointOffsets,
    MediaPipeDetector,
    Picture,
    find_hand,
    fit_offsets,
    hand_from_keypoints,
    hand_of_side,
    joint_misses_m,
    usual_offsets,
)
from warpgrasp.refinement import carried, distance_to_hand_m, solid_of
from warpgrasp.scene import posed_hand

LABELS_AT_ONCE = 4  # that are looked at for one frame, so that it does not take long; the others come with the next
HELD_M = 0.01  # an object that is nearer to the hand than this is held
# A copied pose that misses the joints which the detector sees by less is as good as a found hand: on the shipped
# sequences copies are 8 mm off three frames after a label, where they miss 9 mm, and 21 mm off after eight, where
# they miss 16 mm; found hands are 11 mm off in both (medians).
COPY_MISSES_M = 0.012

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
        holds = nearest is not None and number not in state.begun and self._holds_object(labels[0])
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
        detections = Detections.of([[hand] for _, hand in seen], side)
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
