"""The frames of a training: which are annotated, which are drawn at each step, and reading them in batches.

A data set annotates every frame; `choose_labels` leaves a few of each sequence, and each other frame is compared with
the nearest of them. A step draws its frames as a function of the step alone.
"""

from bisect import bisect_left
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal, TypeVar

import numpy as np

from warpgrasp.data.dataset import Dataset
from warpgrasp.data.pictures import decode_ahead
from warpgrasp.errors import DataError
from warpgrasp.files import fingerprint_of_files, fingerprint_of_values
from warpgrasp.frame import Frame, FrameName, Frames

T = TypeVar("T")
OnBad = Literal["refuse", "skip"]
Sampling = Literal["paper", "released"]
VIDEO_PROTOCOL = "recording"  # whose frames are decoded in their order
NEAR_FRAMES = 5  # pairs are at first at most so many frames apart


@dataclass(frozen=True)
class Share:
    """How many of some frames are annotated."""

    annotated: int
    frames: int

    @property
    def fraction(self) -> float:
        """The annotated frames' share of all; 0 of an empty sequence."""
        return self.annotated / max(1, self.frames)


@dataclass(frozen=True)
class Labels:
    """The annotated frames of each sequence, and the unannotated rest."""

    annotated: dict[str, tuple[int, ...]]  # ascending
    unannotated: dict[str, tuple[int, ...]]

    @property
    def annotated_names(self) -> list[FrameName]:
        """Every annotated frame."""
        return [FrameName(sequence, index) for sequence, chosen in self.annotated.items() for index in chosen]

    @property
    def unannotated_names(self) -> list[FrameName]:
        """Every frame without annotation."""
        return [FrameName(sequence, index) for sequence, rest in self.unannotated.items() for index in rest]

    @property
    def comparable_names(self) -> list[FrameName]:
        """The unannotated frames of sequences that have an annotated frame to compare them with."""
        return [name for name in self.unannotated_names if self.annotated[name.sequence]]

    @property
    def shares(self) -> dict[str, Share]:
        """How many frames of each sequence are really annotated."""
        return {
            sequence: Share(len(chosen), len(chosen) + len(self.unannotated[sequence]))
            for sequence, chosen in self.annotated.items()
        }

    @property
    def share(self) -> Share:
        """How many of all frames are really annotated."""
        shares = self.shares.values()
        return Share(sum(share.annotated for share in shares), sum(share.frames for share in shares))

    @property
    def effective_fraction(self) -> float:
        """The share of frames that are really annotated."""
        return self.share.fraction

    def reference(self, name: FrameName) -> FrameName:
        """The nearest annotated frame of the same sequence; of two equally near, the earlier."""
        candidates = self.annotated[name.sequence]  # in ascending order
        after = bisect_left(candidates, name.index)
        nearest = candidates[max(0, after - 1) : after + 1]
        return FrameName(name.sequence, min(nearest, key=lambda index: (abs(index - name.index), index)))


def choose_labels(
    sequences: Mapping[str, Sequence[int]],
    *,
    fraction: float,
    sampling: Sampling,
    annotatable: Collection[FrameName] | None = None,
) -> Labels:
    """Annotate one frame in int(1 / fraction) of each sequence, counted over the frames that can be annotated.

    `paper`: the first of each such period. `released`: these, and the last of the others, as the released code does
    (`get_seq_map`), so that the effective fraction is larger than the nominal one; of the last sequence it is the last
    frame, whether it begins a period or not. `annotatable` leaves out the frames that the data set gives no annotation
    for; they are unannotated, and not counted. Raises `DataError` unless 0 < fraction ≤ 1.
    """
    if not 0 < fraction <= 1:
        raise DataError(f"expected a fraction of annotated frames above 0 and at most 1, got {fraction:g}")
    period = int(1 / fraction + 1e-9)
    annotated, unannotated = {}, {}
    for number, (sequence, indices) in enumerate(sequences.items(), start=1):
        ordered = sorted(indices)
        possible = [index for index in ordered if annotatable is None or FrameName(sequence, index) in annotatable]
        chosen = set(possible[::period])
        if sampling == "released":
            others = [index for index in possible if index not in chosen or number == len(sequences)]
            chosen.update(others[-1:])
        annotated[sequence] = tuple(index for index in ordered if index in chosen)
        unannotated[sequence] = tuple(index for index in ordered if index not in chosen)
    return Labels(annotated, unannotated)


def annotatable(dataset: Dataset, on_bad: OnBad) -> set[FrameName]:
    """The training frames whose annotation could be used. Raises `DataError` at a bad one unless those are left out.

    A bad frame that will be left out counts as if it were whole: otherwise it would move every choice after it.
    """
    names = set()
    for name in dataset.names("train"):
        try:
            if dataset.is_annotated(name):
                names.add(name)
        except DataError:
            if on_bad == "refuse":
                raise
            names.add(name)
    return names


def draw(items: Sequence[T], *, batch: int, step: int, seed: Sequence[int]) -> list[T]:
    """The batch of one step: a shuffle of all items again and again, cut into batches across its repetitions.

    A function of the step alone, so that a resumed training draws what an undisturbed one would have drawn.
    """
    chosen = []
    for position in range(step * batch, (step + 1) * batch):
        epoch, within = divmod(position, len(items))
        chosen.append(items[_order((*seed, epoch), len(items))[within]])
    return chosen


@lru_cache(maxsize=8)  # a step draws from two or three; a shuffle of 100,000 names takes as long as a picture
def _order(seed: tuple[int, ...], count: int) -> np.ndarray:
    return np.random.default_rng(seed).permutation(count)


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


class FrameSource:
    """Reads frames of a data set; only the annotations of `annotated` frames are ever looked at.

    A frame that cannot be read is a `DataError` where `on_bad` is `refuse`. Where it is `skip`, such a frame is left
    out of its batch, never replaced, and stands in `bad` with its error; `when_bad` is called whenever one is found.
    """

    def __init__(
        self,
        dataset: Dataset,
        *,
        annotated: Sequence[FrameName],
        on_bad: OnBad = "refuse",
        cache_bytes: int = 2_000_000_000,
    ):
        self.dataset = dataset
        self.on_bad: OnBad = on_bad
        self.bad: dict[FrameName, str] = {}
        self.when_bad: Callable[[], None] | None = None
        self._annotated = frozenset(annotated)
        self._cache: dict[FrameName, Frame] = {}
        self._free_bytes = cache_bytes

    def frame(self, name: FrameName) -> Frame:
        """One frame, with its annotation if it is among the annotated. Raises `DataError` when it cannot be read."""
        if name in self._cache:
            return self._cache[name]
        frame = self.dataset.frame(name, annotated=name in self._annotated)
        size = frame.picture.numel()
        if size <= self._free_bytes:
            self._free_bytes -= size
            self._cache[name] = frame
        return frame

    def ahead(self, names: Sequence[FrameName]) -> None:
        """Let threads read the pictures of frames that will soon be asked for, where pictures are files of their own.

        A picture that cannot be read raises when its frame is asked for.
        """
        if self.dataset.protocol == VIDEO_PROTOCOL:
            return
        unread = [name for name in names if name not in self._cache and name not in self.bad]
        decode_ahead([self.dataset.picture_file(name) for name in unread], self.dataset.size)

    def frames(self, names: Sequence[FrameName]) -> Frames:
        """A batch. Raises `DataError` when every frame of it is bad."""
        return Frames.of([row[0] for row in self.readable(names)])

    def pairs(self, names: Sequence[FrameName], others: Sequence[FrameName]) -> tuple[Frames, Frames]:
        """Two batches, row by row; a pair is left out when either of its frames is bad.

        Raises `DataError` when no pair is left.
        """
        first, second = zip(*self.readable(names, others), strict=True)
        return Frames.of(first), Frames.of(second)

    def readable(self, *columns: Sequence[FrameName]) -> list[tuple[Frame, ...]]:
        """The frames of these names, row by row; a row with a bad frame in it is left out.

        Raises `DataError` when no row is left.
        """
        rows = [tuple(self._frame_or_none(name) for name in row) for row in zip(*columns, strict=True)]
        whole = [tuple(frame for frame in row if frame is not None) for row in rows if None not in row]
        if not whole:
            first = next(self.bad[name] for column in columns for name in column if name in self.bad)
            raise DataError(
                f"expected a readable frame or pair in a batch of {len(rows)}, found only bad ones, the first: "
                f"{first}; mend the files or train on larger batches"
            )
        return whole

    def is_readable(self, name: FrameName) -> bool:
        """Whether a frame may be asked for: always, where a bad one is an error."""
        return self.on_bad == "refuse" or self._frame_or_none(name) is not None

    def _frame_or_none(self, name: FrameName) -> Frame | None:
        """None for a bad frame that may be left out."""
        if name in self.bad:
            return None
        try:
            return self.frame(name)
        except DataError as error:
            if self.on_bad == "refuse":
                raise
            self.bad[name] = " ".join(str(error).split())
            if self.when_bad is not None:
                self.when_bad()
            return None


def fingerprint_of_frames(dataset: Dataset, names: Sequence[FrameName]) -> str:
    """A short hash of what frames are read from: their names, the files of their pictures and of their annotations.

    A camera may stand beside an annotation; therefore the files count whether the annotation is used or not.
    """
    pictures = fingerprint_of_files(dataset.picture_file(name) for name in names)
    annotations = fingerprint_of_files(path for name in names for path in dataset.annotation_files(name))
    return fingerprint_of_values((dataset.protocol, [str(name) for name in names], pictures, annotations))
