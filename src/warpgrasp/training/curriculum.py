"""Which unannotated frames are paired with their label: first those near it, in the end all."""

from collections.abc import Sequence
from functools import cached_property

from warpgrasp.data import Labels
from warpgrasp.frame import FrameName

NEAR_FRAMES = 5  # pairs are at first at most so many frames apart


class NearToFar:
    """The frames of sequences that have a label, by how far their nearest label is.

    Colours tell the way to a label only where the prediction starts near enough. Frames near one are soon right, and
    the network then starts nearer at the next ones.
    """

    def __init__(self, labels: Labels, *, steps: int):
        """Over `steps` steps the farthest frames join; with 0 all are there from the start."""
        self._labels, self._steps = labels, steps
        self._reached: tuple[int, list[FrameName]] = -1, []
        self.every = labels.comparable_names

    def names(self, step: int) -> Sequence[FrameName]:
        """The frames that pairs are drawn from at a step, in the labels' order."""
        if step >= self._steps:
            return self.every
        farthest = max(self._apart)
        reach = NEAR_FRAMES + int(step / self._steps * max(0, farthest - NEAR_FRAMES))
        if self._reached[0] != reach:
            near = [name for name, apart in zip(self.every, self._apart, strict=True) if apart <= reach]
            self._reached = reach, near or self.every
        return self._reached[1]

    @cached_property
    def _apart(self) -> list[int]:
        return [abs(name.index - self._labels.reference(name).index) for name in self.every]
