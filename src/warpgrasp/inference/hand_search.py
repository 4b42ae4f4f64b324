"""Where a detector sees the hand, from frame to frame: the second input of a network that is told (`joint_input`).

A hand is followed through the frames of a sequence, as in training: looked for in each picture alone, some hands are
missed and others mistaken.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache

import torch

from warpgrasp.frame import Detections, FrameName
from warpgrasp.hand import Side
from warpgrasp.inference.hand_check import Sight, StatedHands
from warpgrasp.keypoints import (
    OTHER_HAND,
    DetectorSettings,
    HandKeypoints,
    KeypointDetector,
    MediaPipeDetector,
    Picture,
    detections_of,
)


@dataclass(frozen=True)
class HandSearch:
    """Looks for the hand of one side."""

    detector: KeypointDetector
    side: Side = "right"
    stated: StatedHands | None = None
    """What another program has seen in every frame: the detector is not asked."""

    def begun(self) -> "FollowedHand":
        """A search that knows of no frame yet."""
        return FollowedHand(self)


@dataclass
class FollowedHand:
    """A search through frames that come in their order; each sequence is begun anew."""

    search: HandSearch
    _last: FrameName | None = None
    _pixels: list[Picture] = field(default_factory=list)  # the picture that is looked at
    _hands: Iterator[list[HandKeypoints]] = field(default_factory=lambda: iter(()))

    def told(self, names: Sequence[FrameName], sights: Sequence[Sight], size: tuple[int, int]) -> Detections:
        """What a network is told of the next frames, in pixels of their pictures brought to `size` (width, height)."""
        return Detections.joined([self._told(*one, size) for one in zip(names, sights, strict=True)])

    def _told(self, name: FrameName, sight: Sight, size: tuple[int, int]) -> Detections:
        side, stated = self.search.side, self.search.stated
        if stated is not None:
            return detections_of([stated[name]], side).resized((sight.camera.width, sight.camera.height), size)
        last, self._last = self._last, name
        if last is None or last.sequence != name.sequence or last.index >= name.index:
            self._hands = self.search.detector.track(self._pictures())
        self._pixels = [sight.pixels]
        height, width = sight.pixels.shape[:2]
        seen = detections_of([next(self._hands)], side, least_probability=OTHER_HAND)
        return seen.resized((width, height), size)

    def _pictures(self) -> Iterator[Picture]:
        while True:
            yield self._pixels.pop()


@cache
def usual_search(device: torch.device) -> HandSearch:
    """A search for right hands by the shipped detector."""
    return HandSearch(MediaPipeDetector(DetectorSettings(device=device)))
