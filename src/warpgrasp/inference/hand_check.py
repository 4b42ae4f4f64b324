"""Whether a hand is seen where a network has put one, and where: a detector that has seen photographs is asked.

A network answers every picture with a hand, an empty one too. The detector looks into the square around the projected
joints; where it sees no hand there, it searches the whole picture. It looks at one frame in so many, and at the frames
between two of which one shows a hand and the other does not: hands seldom come and go within a sixth of a second.
With a refinement it looks at all, and predictions are moved to what it sees (`refinement/keypoint_fit.py`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from warpgrasp.data import resized_pixels
from warpgrasp.data.recording import Reel
from warpgrasp.errors import DataError
from warpgrasp.files import fingerprint_of_files
from warpgrasp.frame import Detections, FrameName
from warpgrasp.geometry import Camera
from warpgrasp.hand import HandModel, Side
from warpgrasp.keypoints import (
    HandBox,
    HandKeypoints,
    JointOffsets,
    KeypointDetector,
    detections_of,
    hand_of_side,
    no_offsets,
    usual_offsets,
)
from warpgrasp.predictions import HandPosing, Predictions, coefficients_of_angles, finite, pose_of_predictions
from warpgrasp.refinement import stated_hands, to_keypoints
from warpgrasp.scene import posed_hand

StatedHands = Mapping[FrameName, Sequence[HandKeypoints]]  # of each frame, in pixels of the stored picture

LARGEST_SIDE_PX = 640  # of what the detector looks at; it makes 224 pixels of the square around a hand


@dataclass(frozen=True)
class Sight:
    """A picture that is looked at, and the camera of the picture as it is stored, which may be larger."""

    pixels: UInt8[np.ndarray, "h w 3"]
    camera: Camera

    @property
    def camera_of_pixels(self) -> Camera:
        """The camera of `pixels`."""
        height, width = self.pixels.shape[:2]
        return self.camera.resized(width, height)


def shrunk(pixels: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "small_h small_w 3"]:
    """The picture, no longer than `LARGEST_SIDE_PX` on either side; no PyTorch is involved."""
    height, width = pixels.shape[:2]
    scale = min(1.0, LARGEST_SIDE_PX / max(width, height))
    return resized_pixels(pixels, (max(1, round(scale * width)), max(1, round(scale * height))))


@dataclass(frozen=True)
class Look:
    """What was seen in a frame: a hand, in stored pixels, or none; and the camera of the stored picture."""

    presence: float
    detections: Detections
    camera: Camera

    @staticmethod
    def of(hand: HandKeypoints | None, sight: Sight, side: Side) -> "Look":
        """Of a hand that was seen in the pixels of a sight."""
        height, width = sight.pixels.shape[:2]
        stored = sight.camera.width, sight.camera.height
        detections = detections_of([[] if hand is None else [hand]], side).resized((width, height), stored)
        return Look(0.0 if hand is None else hand.presence, detections, sight.camera)

    @staticmethod
    def stated(hands: Sequence[HandKeypoints], camera: Camera, side: Side) -> "Look":
        """Of the hands that somebody else has seen in the stored picture."""
        hand = hand_of_side(hands, side)
        detections = detections_of([[] if hand is None else [hand]], side)
        return Look(0.0 if hand is None else hand.presence, detections, camera)

    def distance_px(self, joints: Float[Tensor, "21 3"]) -> float:
        """The mean distance of the seen joints from others, where the detector would see them; NaN without a hand."""
        if not self.presence:
            return float("nan")
        return float((self.camera.project(joints) - self.detections.joints_px[0]).norm(dim=-1).mean())


def distances_px(predictions: Predictions, looks: Mapping[int, Look], seen_at: JointOffsets) -> Float[np.ndarray, " n"]:
    """How far the joints of each frame lie from the seen ones, in stored pixels; NaN without such."""
    found = np.full(len(predictions), np.nan, np.float32)
    for row, look in looks.items():
        rotation = torch.from_numpy(predictions.hand_rotation[row])
        found[row] = look.distance_px(seen_at.apply(joints_of(predictions, row), rotation))
    return found


def joints_of(predictions: Predictions, row: int) -> Float[Tensor, "21 3"]:
    """The predicted joints of a frame."""
    return torch.from_numpy(predictions.hand_joints[row])


@dataclass(frozen=True)
class KeypointRefinement:
    """Moves predictions to the keypoints that are seen in their frames."""

    hand: HandModel
    """The hand model of the predicted side."""
    pose_hand: HandPosing
    """How the network poses such a hand."""

    def refined(self, predictions: Predictions, looks: Mapping[int, Look], seen_at: JointOffsets) -> Predictions:
        """The predictions with `refined_distance_px`, NaN where nothing was seen and all stays as it was.

        `hand_pose` gets all coefficients: what joints do beyond the network's few.
        """
        is_finite = finite(predictions)
        rows = [row for row, look in sorted(looks.items()) if look.presence and is_finite[row]]
        missing = len(self.hand.pose_components) - predictions.hand_pose.shape[1]
        arrays = dict(predictions.arrays)
        arrays["hand_pose"] = np.pad(predictions.hand_pose, ((0, 0), (0, missing)))
        if rows:
            for name, values in self._moved(predictions.rows(np.array(rows)), [looks[row] for row in rows], seen_at):
                arrays[name] = arrays[name].copy()
                arrays[name][rows] = values.numpy()
        moved = Predictions(**arrays)
        distance_px = distances_px(moved, {row: looks[row] for row in rows}, seen_at)
        return replace(moved, refined_distance_px=distance_px)

    def _moved(self, part: Predictions, looks: Sequence[Look], seen_at: JointOffsets) -> Iterator[tuple[str, Tensor]]:
        """The fields of some predictions that change."""
        pictures = Camera(torch.stack([look.camera.intrinsics for look in looks]), 1, 1)  # projecting needs no size
        detections = Detections.joined([look.detections for look in looks])
        pose = pose_of_predictions(part, self.hand)
        pose = to_keypoints(pose, self.hand, pictures, detections, seen_at)
        coefficients = coefficients_of_angles(pose.joint_angles, self.hand)
        # The network's skeleton says where in the hand its placement is.
        nowhere = torch.zeros_like(pose.wrist)
        with torch.no_grad():
            vertices, joints = self.pose_hand(pose.hand_rotation, nowhere, coefficients, pose.shape)
            place = (posed_hand(pose, self.hand)[0] - vertices).mean(dim=1)
        yield "hand_vertices", vertices + place[:, None]
        yield "hand_joints", joints + place[:, None]
        yield "hand_rotation", pose.hand_rotation
        yield "hand_translation", place
        yield "hand_pose", coefficients
        yield "object_rotation", pose.object_rotation
        yield "object_translation", pose.object_centre


@dataclass(frozen=True)
class HandCheck:
    """Looks for the predicted hand in one frame of `every`; with a refinement, in all, and moves it there."""

    detector: KeypointDetector
    every: int
    side: Side
    refinement: KeypointRefinement | None = None
    stated: StatedHands | None = None
    """What another program has seen in every frame: the detector is not asked."""

    def checked(self, predictions: Predictions, sight: Callable[[int], Sight]) -> Predictions:
        """Consecutive predictions with `hand_presence` and `keypoint_distance_px`; `sight` gives the picture of a row.

        Both are NaN in frames that nobody looked at: the frames before and after these show a hand alike.
        """
        every = 1 if self.refinement is not None or self.stated is not None else self.every
        rows = looked_at(predictions.names, every)
        looks = self._looks(predictions, rows, sight)
        unlike = [pair for pair in pairwise(rows) if (looks[pair[0]].presence > 0) != (looks[pair[1]].presence > 0)]
        between = [row for first, last in unlike for row in range(first + 1, last)]
        looks |= self._looks(predictions, between, sight)
        presence = np.full(len(predictions), np.nan, np.float32)
        for row, look in looks.items():
            presence[row] = look.presence
        seen_at = usual_offsets(self.side) if self.stated is None else no_offsets()
        distance_px = distances_px(predictions, looks, seen_at)
        measured = replace(predictions, hand_presence=presence, keypoint_distance_px=distance_px)
        return measured if self.refinement is None else self.refinement.refined(measured, looks, seen_at)

    def _looks(self, predictions: Predictions, rows: Sequence[int], sight: Callable[[int], Sight]) -> dict[int, Look]:
        """What is seen in some frames."""
        if self.stated is not None:
            names = predictions.names
            return {row: Look.stated(self.stated[names[row]], sight(row).camera, self.side) for row in rows}
        sights = [sight(row) for row in rows]
        boxes = [_boxes(one, joints_of(predictions, row)) for row, one in zip(rows, sights, strict=True)]
        hands: list[HandKeypoints | None] = []
        for _, group in groupby(range(len(sights)), lambda place: sights[place].pixels.shape):
            places = list(group)
            hands += self._hands([sights[place].pixels for place in places], [boxes[place] for place in places])
        return {row: Look.of(hand, one, self.side) for row, hand, one in zip(rows, hands, sights, strict=True)}

    def _hands(
        self, pictures: Sequence[UInt8[np.ndarray, "h w 3"]], boxes: Sequence[Sequence[HandBox]]
    ) -> list[HandKeypoints | None]:
        """The hand in each picture: that in the square around the predicted one, or else one that is found."""
        batch = np.stack(pictures)
        there = self.detector.detect(batch, boxes)
        missing = [place for place, hands in enumerate(there) if not hands]
        searched = dict(zip(missing, self.detector.detect(batch[missing]) if missing else [], strict=True))
        return [hand_of_side(searched.get(place, hands), self.side) for place, hands in enumerate(there)]


def stated_by_frame(reel: Reel, file: Path) -> StatedHands:
    """The hands of another program's file, by frame of a single clip.

    Raises `DataError` when the file is none, and for several clips, whose pictures' names do not tell them apart.
    """
    if len(reel.clips) != 1:
        raise DataError(
            f"expected one video, folder of pictures or recording with --keypoints {file}, whose hands are told by the "
            f"names of pictures, got {len(reel.clips)} recordings; predict one after the other"
        )
    ((sequence, clip),) = reel.clips.items()
    hands = stated_hands(clip, file).hands
    return {FrameName(sequence, index): one for index, one in zip(clip.footage.numbers, hands, strict=True)}


def stated_header(file: Path) -> dict[str, str]:
    """What predictions say of another program's file: a hash of it, or of the files of a folder."""
    return {"keypoints": fingerprint_of_files(sorted(file.iterdir()) if file.is_dir() else [file])}


def looked_at(names: Sequence[FrameName], every: int) -> list[int]:
    """The rows that are looked at first: the ends of each stretch of a sequence, and between them one in `every`."""
    rows: list[int] = []
    for row, name in enumerate(names):
        last = names[rows[-1]] if rows else None
        near = last is not None and last.sequence == name.sequence and 0 <= name.index - last.index < every
        ends = row + 1 == len(names) or names[row + 1].sequence != name.sequence
        if ends or not near:
            rows.append(row)
    return rows


def _boxes(sight: Sight, joints: Float[Tensor, "21 3"]) -> list[HandBox]:
    """The square around a predicted hand; none where it is not before the camera, or no number."""
    camera = sight.camera_of_pixels
    if not bool(torch.isfinite(joints).all()) or not bool(camera.sees(joints).all()):
        return []
    return [HandBox.around(camera.project(joints))]
