"""Clips one after the other, frame by frame, for whoever goes through them once from the beginning to the end."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from warpgrasp.data.dataset import Split
from warpgrasp.data.recording.clip import Clip
from warpgrasp.data.recording.dataset import Recordings
from warpgrasp.files import fingerprint_of_files, fingerprint_of_values
from warpgrasp.frame import FrameName, ObjectModel
from warpgrasp.geometry import Camera


@dataclass(frozen=True)
class Reel:
    """Which frames of which clips, the object that each clip shows, and the (width, height) that a network sees.

    Everything is by the name of the clip's sequence. Frames are counted through from 0: nothing is listed that grows
    with the frames of a video.
    """

    clips: Mapping[str, Clip]
    objects: Mapping[str, ObjectModel]
    numbers: Mapping[str, Sequence[int]]
    size: tuple[int, int]

    @staticmethod
    def of_clip(sequence: str, clip: Clip, model: ObjectModel, size: tuple[int, int]) -> "Reel":
        """Every frame of one clip."""
        return Reel({sequence: clip}, {sequence: model}, {sequence: clip.footage.numbers}, size)

    @staticmethod
    def of_recordings(dataset: Recordings, splits: Sequence[Split], size: tuple[int, int]) -> "Reel":
        """The frames of recordings that belong to one of the splits, recording by recording in the order of showing."""
        every = {
            name: sorted(number for split in splits for number in dataset.sequences[split].get(name, ()))
            for name in dataset.recordings
        }
        numbers = {name: frames for name, frames in every.items() if frames}
        recordings = {name: dataset.recordings[name] for name in numbers}
        clips = {name: recording.clip for name, recording in recordings.items()}
        models = {name: recording.object.model for name, recording in recordings.items()}
        return Reel(clips, models, numbers, size)

    @property
    def models(self) -> dict[str, ObjectModel]:
        """The objects by their own names."""
        return {model.name: model for model in self.objects.values()}

    def __len__(self) -> int:
        """How many frames there are."""
        return self._ends[-1] if self._ends else 0

    def name(self, position: int) -> FrameName:
        """The frame at a position."""
        clip = bisect_right(self._ends, position)
        sequence = self._sequences[clip]
        return FrameName(sequence, self.numbers[sequence][position - (self._ends[clip - 1] if clip else 0)])

    def picture(self, name: FrameName) -> UInt8[np.ndarray, "h w 3"]:
        """A frame's colours, from 0 to 255, undistorted and at their own size; no PyTorch is involved."""
        return self.clips[name.sequence].picture(name.index)

    def camera(self, sequence: str) -> Camera:
        """The camera of a clip's pictures at their own size."""
        return self.clips[sequence].lens.camera

    def file_of(self, name: FrameName) -> Path:
        """The file that holds a frame."""
        return self.clips[name.sequence].footage.file_of(name.index)

    def fingerprint(self) -> str:
        """A short hash of what the clips are: their frames' numbers, their size, and the files of their pictures."""
        clips = {
            sequence: (
                np.asarray(numbers),
                fingerprint_of_files(self.clips[sequence].footage.file_of(number) for number in numbers),
            )
            for sequence, numbers in self.numbers.items()
        }
        return fingerprint_of_values((self.size, clips))

    @cached_property
    def _sequences(self) -> list[str]:
        return list(self.numbers)

    @cached_property
    def _ends(self) -> list[int]:
        return list(accumulate(len(self.numbers[sequence]) for sequence in self._sequences))
