"""The hands in a recording's pictures: the shipped detector's, or another program's, and how they lie to its labels."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from warpgrasp.data.recording import Recording
from warpgrasp.errors import DataError
from warpgrasp.frame import Pose
from warpgrasp.geometry import Camera
from warpgrasp.hand import HandModel
from warpgrasp.keypoints import (
    DETECTORS,
    OTHER_HAND,
    Detections,
    DetectorSettings,
    HandKeypoints,
    Picture,
    cached_keypoints,
    fit_offsets,
    read_keypoints,
    usual_offsets,
)
from warpgrasp.progress import progress_bar
from warpgrasp.refinement.seen_hand import SeenHand
from warpgrasp.scene import posed_hand

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


def stated_hands(recording: Recording, path: Path) -> RecordedHands:
    """The hands of another program's file (`read_keypoints`), whose joints are taken to be ours until labels tell.

    Raises `DataError` when the file is none, or when the recording's pictures are undistorted, which it knows nothing
    of.
    """
    if recording.lens.distorted:
        raise DataError(
            f"expected a recording whose lens bends nothing for the keypoints in {path}, which are of the pictures as "
            f"they were taken; run that program on undistorted pictures and make them a recording of their own, or use "
            f"--keypoints detector"
        )
    footage = recording.footage
    files = {footage.file_of(number) for number in footage.numbers}
    named = len(files) == len(footage.numbers)
    names = [footage.file_of(number).name if named else str(number) for number in footage.numbers]
    hands = read_keypoints(path, names, (recording.lens.width, recording.lens.height))
    return RecordedHands(hands, path.name, torch.zeros(21, 3))


def seen_hand(recorded: RecordedHands, recording: Recording, labels: Mapping[int, Pose], hand: HandModel) -> SeenHand:
    """The recording's hand as it is seen, the program's joints adapted to ours by the labels, given by position."""
    detections = Detections.of(recorded.hands, recording.side, least_probability=OTHER_HAND)
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
