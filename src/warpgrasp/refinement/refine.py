"""Poses refined until their surfaces have the colours that labelled frames show on them, all frames together.

The photometric term of the paper (Eq. 1) is minimised not over the weights of a network but over the poses themselves:
over offsets from where they start, in units that Adam moves alike.
Coarse pictures come first, in which a displacement is a smaller number of pixels: a start that is off by more than some
hundredths of the picture's width is not corrected.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from warpgrasp.files import YOUNGER
from warpgrasp.frame import ObjectModel, Pose
from warpgrasp.geometry import Camera
from warpgrasp.hand import HandModel
from warpgrasp.refinement.cues import NOTHING_KNOWN, Cues
from warpgrasp.refinement.offsets import (
    AWAY_SHARE,
    MOVE_M,
    OFFSETS_OF,
    Adam,
    Offsets,
    accelerations,
    bends,
    moved,
    no_offsets,
)
from warpgrasp.refinement.quality import AT_ONCE, Comparison, Criterion, LabelledPictures

# Colours say little of single joints, and of depth: a bend by BENT_RAD in every joint costs BEND_COST, and a move of
# hand and object by MOVED_M the `move_cost`, both as mean colour differences.
BEND_COST, MOVED_M = 5e-3, 0.02
USUAL_DISTANCE_M = 0.5  # of a hand from the camera


@dataclass(frozen=True)
class Stage:
    """A part of the descent: at which width, how many steps, at which rate of Adam."""

    width_px: int
    steps: int
    rate: float


@dataclass(frozen=True)
class Descent:
    """How poses are moved: in which stages, by which comparison, and what else costs."""

    stages: tuple[Stage, ...]  # from coarse to fine
    criterion: Criterion
    end_stages: tuple[Stage, ...] = ()  # before them, from either end of a stretch alone (`StretchRefinement`)
    smooth_cost: float = 0.0  # of a change of velocity by one unit in a thirtieth of a second, thirty times a second
    smooth_tail: float | None = None  # of `accelerations`
    steadier_fingers: float = 1.0  # by how much the fingers' accelerations cost more: hands brake, their fingers hardly
    move_cost: float = 0.0  # of moving hand and object by `MOVED_M`
    keypoint_cost: float = 0.0  # of a hand that a detector sees elsewhere (`SeenHand.cost`)
    grasp_cost: float = 0.0  # of an object that lies elsewhere in the hand than in the labels (`HeldObject.cost`)
    predicted_cost: float = field(default=0.0, metadata=YOUNGER)  # of a hand that leaves a network's
    outline_cost: float = field(default=0.0, metadata=YOUNGER)  # of outlines beside their masks' (`Silhouettes.cost`)
    still: tuple[str, ...] = field(default=(), metadata=YOUNGER)  # the offsets that stay 0
    smallest_share: float | None = None
    """Each stage ends at each frame's least cost among the steps that compare more than this share of what its first
    step compares, since to compare less is a way to hide instead of to fit. None: it ends at the last step.
    """

    def fitting(self, width_px: int) -> list[Stage]:
        """The stages for pictures of this width, which are never enlarged."""
        return _fitting(self.stages, width_px)

    @property
    def steps(self) -> int:
        """How many steps a stretch takes."""
        return sum(stage.steps for stage in self.stages) + 2 * sum(stage.steps for stage in self.end_stages)

    def of_part(self, part: Literal["object", "hand"]) -> "Descent":
        """The descent that moves the object alone, or the hand alone."""
        return replace(self, still=OFFSETS_OF["hand" if part == "object" else "object"])

    @property
    def of_one_end(self) -> "Descent":
        """The descent from one end of a stretch."""
        return replace(self, stages=self.end_stages, end_stages=())

    def finest_px(self, width_px: int) -> int:
        """The width at which the agreement of pictures of this width is measured."""
        return min(self.stages[-1].width_px, width_px)

    def pictures(
        self,
        pictures: Iterable[UInt8[Tensor, "3 h w"]],
        camera: Camera,
        labelled: Bool[Tensor, " n"],
        *,
        times: Float[Tensor, " n"] | None = None,
        occluded: Iterable[Bool[Tensor, "h w"] | None] | None = None,
    ) -> LabelledPictures:
        """Pictures of one camera as this descent compares them; the rest as in `LabelledPictures.of`."""
        compared: dict[str, Any] = {"widths_px": self.widths(camera.width), "criterion": self.criterion}
        return LabelledPictures.of(pictures, camera, labelled, **compared, times=times, occluded=occluded)

    def widths(self, width_px: int) -> list[int]:
        """All widths at which pictures of this width are compared."""
        stages = [*self.fitting(width_px), *_fitting(self.end_stages, width_px)]
        return sorted({self.finest_px(width_px), *(stage.width_px for stage in stages)})


def _fitting(stages: Sequence[Stage], width_px: int) -> list[Stage]:
    fitting = [stage for stage in stages if stage.width_px <= width_px]
    return fitting or [replace(stage, width_px=width_px) for stage in stages[:1]]


# All frames of a recording together.
ALL_FRAMES = Descent(
    (Stage(160, 24, 0.2), Stage(320, 24, 0.08)),
    Criterion(),
    end_stages=(Stage(80, 40, 0.4), Stage(160, 20, 0.2)),
    smooth_cost=3e-4,
    smooth_tail=1.0,
    steadier_fingers=10.0,
    # Chosen on generated sequences of a seed of their own, each among 0, 1e-3, 3e-3 and more.
    keypoint_cost=1e-3,
    grasp_cost=1e-3,
)


def refine(
    start: Pose,
    pictures: LabelledPictures,
    *,
    hand: HandModel,
    model: ObjectModel,
    descent: Descent = ALL_FRAMES,
    cues: Cues = NOTHING_KNOWN,
    on_step: Callable[[], None] = lambda: None,
) -> Pose:
    """Refine all frames but the labelled ones, which stay as they are and which the others are compared with.

    `pictures` are those of the `descent` (`Descent.pictures`), `cues` are of the same frames. The result has
    the precision of `start`; pictures are compared in float32.
    """
    parts: dict[str, Any] = {"hand": hand, "model": model, "cues": cues, "on_step": on_step}
    offsets = refined_offsets(start, pictures, descent=descent, **parts)
    return start if offsets is None else moved(start, offsets)


def refined_offsets(
    start: Pose,
    pictures: LabelledPictures,
    begin: Offsets | None = None,
    *,
    hand: HandModel,
    model: ObjectModel,
    descent: Descent,
    cues: Cues = NOTHING_KNOWN,
    on_step: Callable[[], None] = lambda: None,
) -> Offsets | None:
    """The offsets by which `refine` moves poses, in float32, from those it begins with; None without a free frame."""
    free = torch.nonzero(~pictures.labelled)[:, 0]
    if not len(free):
        return None
    offsets, held = no_offsets(len(start)), _held(pictures.labelled, cues, descent)
    if begin is not None:
        with torch.no_grad():
            for name, offset in offsets.items():
                offset[~held[name]] = begin[name][~held[name]]
    for stage in descent.fitting(pictures.camera.width):
        comparison = Comparison.of(start, pictures, stage.width_px, hand=hand, model=model)
        _descend(offsets, comparison, free, held, cues, pictures.times, descent, stage, on_step)
    return {name: offset.detach() for name, offset in offsets.items()}


def _held(labelled: Bool[Tensor, " n"], cues: Cues, descent: Descent) -> dict[str, Bool[Tensor, " n"]]:
    """In which frames each offset stays 0: at labels, of an object that is known, and where the descent says so."""
    of_object = labelled if cues.objects is None else labelled | cues.objects
    of_part = {"object": of_object, "hand": labelled}
    held = {name: of_part[part] for part, names in OFFSETS_OF.items() for name in names}
    return {name: torch.ones_like(rows) if name in descent.still else rows for name, rows in held.items()}


def _descend(
    offsets: Offsets,
    comparison: Comparison,
    free: Int[Tensor, " m"],
    held: Mapping[str, Bool[Tensor, " n"]],
    cues: Cues,
    times: Float[Tensor, " n"],
    descent: Descent,
    stage: Stage,
    on_step: Callable[[], None],
) -> None:
    """Move the offsets of the `free` frames by Adam, but for those that are `held`."""
    start, parts = comparison.start, comparison.parts(free)
    # What is seen of the labels is the same at every step, but of many frames it would fill the memory.
    shown = [comparison.seen_labels(rows) if len(free) <= AT_ONCE else None for rows in parts]
    best = None if descent.smallest_share is None else _BestOffsets(offsets, descent.smallest_share)
    optimiser = Adam(offsets)
    for _ in range(stage.steps):
        for offset in offsets.values():
            offset.grad = None
        for rows, shown_labels in zip(parts, shown, strict=True):
            chosen = {name: offset[rows] for name, offset in offsets.items()}
            there = moved(start.rows(rows), chosen)
            difference, share = comparison.compare(there, rows, shown_labels)
            cost = difference + _offset_cost(chosen, descent)
            if cues.silhouettes is not None:
                cost = cost + descent.outline_cost * cues.silhouettes.cost(there, rows, stage.width_px)
            cost.sum().backward()
            if best is not None:
                best.keep(rows, chosen, cost, share)
        poses = moved(start, offsets)
        beyond = descent.smooth_cost * accelerations(
            poses, times, tail=descent.smooth_tail, fingers=descent.steadier_fingers
        )
        for known, cost in (
            (cues.grasp, descent.grasp_cost),
            (cues.seen, descent.keypoint_cost),
            (cues.predicted, descent.predicted_cost),
        ):
            if known is not None:
                beyond = beyond + cost * known.cost(poses)[free].sum()
        beyond.backward()
        for name, offset in offsets.items():
            assert offset.grad is not None
            offset.grad[held[name]] = 0
        optimiser.step(stage.rate)
        on_step()
    if best is not None:
        best.restore(offsets)


class _BestOffsets:
    """The offsets of each frame's least cost so far."""

    def __init__(self, offsets: Offsets, smallest_share: float):
        self._offsets = {name: offset.detach().clone() for name, offset in offsets.items()}
        count = len(self._offsets["turn"])
        self._least, self._smallest_share = torch.full((count,), torch.inf), smallest_share
        self._first_share = torch.full((count,), torch.nan)

    @torch.no_grad()
    def keep(
        self, rows: Int[Tensor, " m"], chosen: Offsets, cost: Float[Tensor, " m"], share: Float[Tensor, " m"]
    ) -> None:
        """Keep the offsets of the frames at `rows` whose cost is less than before, and enough of which is compared."""
        first = self._first_share[rows]
        first = self._first_share[rows] = torch.where(first.isnan(), share, first)
        better = (share > self._smallest_share * first) & (cost < self._least[rows])
        self._least[rows[better]] = cost[better]
        for name, offset in chosen.items():
            self._offsets[name][rows[better]] = offset[better]

    @torch.no_grad()
    def restore(self, offsets: Offsets) -> None:
        """Set all offsets to the kept ones."""
        for name, offset in offsets.items():
            offset.copy_(self._offsets[name])


def _offset_cost(offsets: Offsets, descent: Descent) -> Float[Tensor, " n"]:
    """What leaving the start costs."""
    moves = torch.stack([offsets["move"], offsets["hand_move"]], dim=1)
    moves_m = moves * moves.new_tensor([MOVE_M, MOVE_M, AWAY_SHARE * USUAL_DISTANCE_M])
    return BEND_COST * bends(offsets) + descent.move_cost * (moves_m / MOVED_M).square().sum(dim=(1, 2)) / 2
