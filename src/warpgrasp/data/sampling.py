"""Which frames are annotated, and which of them each other frame is compared with."""

from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from warpgrasp.data.errors import DataError
from warpgrasp.frame import FrameName

Sampling = Literal["paper", "released"]


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
        return Share(sum(one.annotated for one in shares), sum(one.frames for one in shares))

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

    `paper`: the first of each such period. `released`: these, and the last frame, as the released code does (so that
    the effective fraction is larger than the nominal one). `annotatable` leaves out the frames that the data set gives
    no annotation for; they are unannotated, and not counted. Raises `DataError` unless 0 < fraction ≤ 1.
    """
    if not 0 < fraction <= 1:
        raise DataError(f"expected a fraction of annotated frames above 0 and at most 1, got {fraction:g}")
    period = int(1 / fraction + 1e-9)
    annotated, unannotated = {}, {}
    for sequence, indices in sequences.items():
        ordered = sorted(indices)
        possible = [index for index in ordered if annotatable is None or FrameName(sequence, index) in annotatable]
        chosen = set(possible[::period])
        if sampling == "released":
            chosen.update(possible[-1:])
        annotated[sequence] = tuple(index for index in ordered if index in chosen)
        unannotated[sequence] = tuple(index for index in ordered if index not in chosen)
    return Labels(annotated, unannotated)
