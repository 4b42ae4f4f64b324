"""The hand as it is seen in a recording's pictures, which says where it is without any label nearby.

The shipped detector sees it, or another program; its joints are adapted to ours by the labels.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from warpgrasp.data.recording import Clip, Recording
from warpgrasp.errors import DataError
from warpgrasp.files import fingerprint_of_values
from warpgrasp.frame import Detections, Pose
from warpgrasp.geometry import Camera
from warpgrasp.hand import HandModel, joints_alone
from warpgrasp.keypoints import (
    DETECTORS,
    OTHER_HAND,
    DetectorSettings,
    HandKeypoints,
    JointOffsets,
    Picture,
    cached_keypoints,
    detections_of,
    fit_offsets,
    read_keypoints,
    reprojection_loss,
    usual_offsets,
)
from warpgrasp.progress import progress_bar
from warpgrasp.scene import posed_hand

LEAST_LABELS, CONTRADICTION_SHARE = 2, 1 / 80  # of the picture's width: 4 px of 320
MOST_OCCLUDED = 0.5  # of a hand's joints, beyond which the others are not followed either
FRAME_LOSS = 1.0  # the mean loss of a hand's joints from which on its cost grows as the logarithm does


@dataclass(frozen=True)
class SeenHand:
    """Where a detector sees the joints of the hand in n frames, and what is known of the detector."""

    detections: Detections
    offsets: JointOffsets
    camera: Camera  # of one picture at its own size
    hand: HandModel  # its joints alone
    source: str  # who says so

    @staticmethod
    def of(
        detections: Detections, offsets: JointOffsets, *, camera: Camera, hand: HandModel, source: str
    ) -> "SeenHand":
        """What is seen of a hand of this model."""
        return SeenHand(detections, offsets, camera, joints_alone(hand), source)

    def contradicts(self, labels: Mapping[int, Pose]) -> bool:
        """Whether the joints lie far from those of the labelled hands, by position, even once adapted to them.

        Then they are not to be followed in between either. A single label cannot tell: the offsets fit it.
        """
        if len(labels) < LEAST_LABELS:
            return False
        errors_px = self.rows(torch.tensor(list(labels))).error_px(Pose.joined(list(labels.values())))
        return bool(errors_px.nanmean() > CONTRADICTION_SHARE * self.camera.width)

    def rows(self, rows: slice | Int[Tensor, " m"]) -> "SeenHand":
        """What is seen in some of the frames."""
        return replace(self, detections=self.detections.rows(rows))

    def cost(self, pose: Pose) -> Float[Tensor, " n"]:
        """What the distances of the hand's joints from the detected ones cost: 0 in frames where nothing is detected.

        `reprojection_loss` leaves single joints alone that are mistaken. A hand that is mistaken altogether would still
        pull by all its joints, so the logarithm is taken once more, of the frame as a whole: F log(1 + loss / F), with
        F the `FRAME_LOSS`.
        """
        count = len(pose)
        camera = Camera(
            self.camera.intrinsics.to(pose.wrist).expand(count, 3, 3), self.camera.width, self.camera.height
        )
        loss = reprojection_loss(self._joints(pose), pose.hand_rotation, camera, self.detections, self.offsets)
        return FRAME_LOSS * torch.log1p(loss / FRAME_LOSS)

    @property
    def fingerprint(self) -> str:
        """Of what decides the cost, but for the hand model and the camera."""
        return fingerprint_of_values([self.detections, self.offsets])

    @property
    def detected(self) -> Bool[Tensor, " n"]:
        """In which frames the hand is seen."""
        return (self.detections.confidence > 0).any(dim=1)

    @torch.no_grad()
    def away_px(self, pose: Pose) -> Float[Tensor, "n 2"]:
        """From the middle of the hand's joints to that of the detected ones; 0 in frames without any."""
        weights = self.detections.confidence.to(pose.wrist)[..., None]
        joints_px = self.camera.project(self.offsets.apply(self._joints(pose), pose.hand_rotation))
        away = (weights * (self.detections.joints_px.to(joints_px) - joints_px)).sum(dim=1)
        return away / weights.sum(dim=1).clamp_min(1e-9)

    @torch.no_grad()
    def error_px(self, pose: Pose) -> Float[Tensor, " n"]:
        """The mean distance of the hand's joints, where the detector sees them, from the detected; NaN without any."""
        seen = self.camera.project(self.offsets.apply(self._joints(pose), pose.hand_rotation))
        return self._mean_distance(seen)

    @torch.no_grad()
    def unadapted_error_px(self, pose: Pose) -> Float[Tensor, " n"]:
        """The same of the hand's own joints."""
        return self._mean_distance(self.camera.project(self._joints(pose)))

    def _joints(self, pose: Pose) -> Float[Tensor, "n 21 3"]:
        return posed_hand(pose, self.hand)[1]

    def _mean_distance(self, joints_px: Float[Tensor, "n 21 2"]) -> Float[Tensor, " n"]:
        weights = self.detections.confidence.to(joints_px)
        distances = (joints_px - self.detections.joints_px.to(joints_px)).norm(dim=-1)
        return (weights * distances).sum(dim=1) / weights.sum(dim=1)  # 0 / 0 is NaN


@dataclass(frozen=True)
class Sightings:
    """What became of a detector's keypoints."""

    frames: int  # in which the hand is seen
    unadapted_px: float  # mean distance of the labels' joints from the detected ones; NaN where it sees no label's
    adapted_px: float  # the same of where the labels taught to expect them
    error_px: Float[Tensor, " n"]  # of each frame's final hand; NaN where it is not seen
    used: bool  # False where they contradict the labels

    @staticmethod
    def of(seen: SeenHand, poses: Pose, labelled: Sequence[int], *, used: bool) -> "Sightings":
        """Of the final poses of all frames, those of the labels at their positions."""
        error_px, rows = seen.error_px(poses), list(labelled)
        unadapted_px, adapted_px = (float(one[rows].nanmean()) for one in (seen.unadapted_error_px(poses), error_px))
        return Sightings(int(seen.detected.sum()), unadapted_px, adapted_px, error_px, used)


DETECTOR = "mediapipe"  # the shipped one


@dataclass(frozen=True)
class RecordedHands:
    """The hands in every picture of a recording."""

    hands: Sequence[Sequence[HandKeypoints]]
    source: str  # who says so
    usual_offsets_m: Float[Tensor, "21 3"]  # from our joints to those of the program that says so, before any label


@dataclass(frozen=True)
class RecordingPictures:
    """A recording's pictures, read anew each time that they are gone through: only one lies in memory.

    `advance` is told of each picture once it was dealt with.
    """

    recording: Recording
    advance: Callable[[int], None]

    def __iter__(self) -> Iterator[Picture]:
        for number in self.recording.footage.numbers:
            yield self.recording.picture(number)
            self.advance(1)


def detected_hands(recording: Recording, *, show_progress: bool = True) -> RecordedHands:
    """The hands that the shipped detector sees in a recording, from the cache where it has seen these pictures."""
    count = len(recording.footage.numbers)
    detector = DETECTORS[DETECTOR](DetectorSettings())
    # They are gone through for their hash, and again for the hands where these are not kept.
    with progress_bar("hands in the pictures", 2 * count, unit="pictures", shown=show_progress) as advance:
        hands = cached_keypoints(detector, RecordingPictures(recording, advance), mode="track")
    recording.footage.close()
    return RecordedHands(hands, detector.identity, usual_offsets(recording.side).offsets_m)


def stated_hands(clip: Recording | Clip, path: Path) -> RecordedHands:
    """The hands of another program's file (`read_keypoints`), whose joints are taken to be ours until labels tell.

    They are of every frame of the footage, in the order of its numbers. Raises `DataError` when the file is none, or
    when the clip's pictures are undistorted, which it knows nothing of.
    """
    if clip.lens.distorted:
        raise DataError(
            f"expected footage whose lens bends nothing for the keypoints in {path}, which are of the pictures as "
            f"they were taken; run that program on undistorted pictures and make them a recording of their own, or use "
            f"--keypoints detector"
        )
    footage = clip.footage
    files = {footage.file_of(number) for number in footage.numbers}
    named = len(files) == len(footage.numbers)
    names = [footage.file_of(number).name if named else str(number) for number in footage.numbers]
    size, numbered = (clip.lens.width, clip.lens.height), not named or footage.times_s is None
    hands = read_keypoints(path, names, size, numbers=footage.numbers, numbered=numbered)
    return RecordedHands(hands, path.name, torch.zeros(21, 3))


def unoccluded(detections: Detections, occluded: Iterable[Bool[Tensor, "h w"] | None]) -> Detections:
    """The same without the joints that lie on an occluder, and without hands that mostly do: they are its own."""
    confidence = detections.confidence.clone()
    for row, covered in enumerate(occluded):
        if covered is None:
            continue
        height, width = covered.shape
        u, v = detections.joints_px[row].nan_to_num().round().long().unbind(dim=-1)
        inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
        hidden = inside & covered[v.clamp(0, height - 1), u.clamp(0, width - 1)]
        confidence[row, hidden] = 0
        if hidden.float().mean() > MOST_OCCLUDED:
            confidence[row] = 0
    return replace(detections, confidence=confidence)


def seen_hand(
    recorded: RecordedHands,
    recording: Recording,
    labels: Mapping[int, Pose],
    hand: HandModel,
    *,
    occluded: Iterable[Bool[Tensor, "h w"] | None] | None = None,
) -> SeenHand:
    """The recording's hand as it is seen, the program's joints adapted to ours by the labels, given by position.

    `occluded` are the pixels of each frame that an occluder covers, None where there are none.
    """
    detections = detections_of(recorded.hands, recording.side, least_probability=OTHER_HAND)
    if occluded is not None:
        detections = unoccluded(detections, occluded)
    positions = sorted(labels)
    labelled, camera = Pose.joined([labels[position] for position in positions]), recording.lens.camera
    of_labels = detections.rows(torch.tensor(positions))
    offsets = fit_offsets(
        posed_hand(labelled, hand)[1],
        labelled.hand_rotation,
        Camera(camera.intrinsics.expand(len(positions), 3, 3), camera.width, camera.height),
        of_labels.joints_px,
        of_labels.confidence,
        prior_m=recorded.usual_offsets_m,
    )
    return SeenHand.of(detections, offsets, camera=camera, hand=hand, source=recorded.source)
