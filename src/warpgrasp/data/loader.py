"""Batches of frames, by name: read once where memory allows."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from warpgrasp.data.dataset import Dataset
from warpgrasp.frame import Frame, FrameName, Frames

T = TypeVar("T")


class FrameSource:
    """Reads frames of a data set; only the annotations of `annotated` frames are ever looked at."""

    def __init__(self, dataset: Dataset, *, annotated: Sequence[FrameName], cache_bytes: int = 2_000_000_000):
        self.dataset = dataset
        self._annotated = frozenset(annotated)
        self._cache: dict[FrameName, Frame] = {}
        self._free_bytes = cache_bytes

    def frame(self, name: FrameName) -> Frame:
        """One frame, with its annotation if it is among the annotated."""
        if name in self._cache:
            return self._cache[name]
        frame = self.dataset.frame(name, annotated=name in self._annotated)
        size = frame.picture.numel()
        if size <= self._free_bytes:
            self._free_bytes -= size
            self._cache[name] = frame
        return frame

    def frames(self, names: Sequence[FrameName]) -> Frames:
        """A batch."""
        return Frames.of([self.frame(name) for name in names])


def draw(items: Sequence[T], *, batch: int, step: int, seed: Sequence[int]) -> list[T]:
    """The batch of one step: a shuffle of all items again and again, cut into batches across its repetitions.

    A function of the step alone, so that a resumed training draws what an undisturbed one would have drawn.
    """
    orders: dict[int, np.ndarray] = {}
    chosen = []
    for position in range(step * batch, (step + 1) * batch):
        epoch, within = divmod(position, len(items))
        if epoch not in orders:
            orders[epoch] = np.random.default_rng([*seed, epoch]).permutation(len(items))
        chosen.append(items[orders[epoch][within]])
    return chosen
