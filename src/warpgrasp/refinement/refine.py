"""Poses refined until their surfaces have the colours that labelled frames show on them, all frames together.

The photometric term of the paper (Eq. 1) is minimised not over the weights of a network but over the poses themselves.
Coarse pictures come first, in which a displacement is a smaller number of pixels: a start that is off by more than some
hundredths of the picture's width is not corrected.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor
from torch.optim.adam import adam

from warpgrasp.errors import UserError
from warpgrasp.frame import ObjectModel, Pose
from warpgrasp.geometry import Camera, matrix_from_axis_angle
from warpgrasp.hand import HandModel
from warpgrasp.photometric import MINIMAL_SHARE
from warpgrasp.refinement.quality import (
    AT_ONCE,
    Comparison,
    Criterion,
    LabelledPictures,
    agreement,
    second_differences,
)

# What one unit of an offset is: Adam moves all of them alike.
TURN_RAD, MOVE_M, BEND_RAD = 0.02, 0.004, 0.03
# Colours say little of single joints, and of depth: a bend by BENT_RAD in every joint costs BEND_COST, and a move of
# hand and object by MOVED_M the `move_cost`, both as mean colour differences.
BEND_COST, BENT_RAD, MOVED_M = 5e-3, 0.15, 0.02

Offsets = Mapping[str, Float[Tensor, "n k"]]
OFFSET_SIZES = {"turn": 3, "move": 3, "hand_turn": 3, "hand_move": 3, "bend": 45}


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
    smooth_cost: float = 0.0  # of a change of velocity by one unit from frame to frame
    move_cost: float = 0.0  # of moving hand and object by `MOVED_M`
    smallest_share: float | None = None
    """Each stage ends at each frame's least cost among the steps that compare more than this share of what its first
    step compares, since to compare less is a way to hide instead of to fit. None: it ends at the last step.
    """

    def fitting(self, width_px: int) -> list[Stage]:
        """The stages for pictures of this width, which are never enlarged."""
        fitting = [stage for stage in self.stages if stage.width_px <= width_px]
        return fitting or [replace(self.stages[0], width_px=width_px)]

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
    ) -> LabelledPictures:
        """Pictures of one camera as this descent compares them; `times` as in `LabelledPictures.of`."""
        widths = {self.finest_px(camera.width), *(stage.width_px for stage in self.fitting(camera.width))}
        return LabelledPictures.of(
            pictures, camera, labelled, widths_px=sorted(widths), criterion=self.criterion, times=times
        )


# All frames of a recording together, and one frame that somebody waits for.
ALL_FRAMES = Descent(
    (Stage(80, 80, 0.4), Stage(160, 80, 0.2), Stage(320, 40, 0.08)),
    Criterion(),
    smooth_cost=3e-3,
)
ONE_FRAME = Descent(
    (Stage(160, 60, 0.3), Stage(320, 60, 0.15), Stage(640, 60, 0.08)),
    Criterion(contrast_share=0.0, both_directions=False),
    move_cost=3e-3,
    smallest_share=0.7,
)


@dataclass(frozen=True)
class RefinedFrame:
    """One refined frame: its pose, and the agreement with its label before and after, at the finest width."""

    pose: Pose
    difference_before: float
    difference_after: float
    compared_share: float  # of the label's surface, after


def refine(
    start: Pose,
    pictures: LabelledPictures,
    *,
    hand: HandModel,
    model: ObjectModel,
    descent: Descent = ALL_FRAMES,
    on_step: Callable[[], None] = lambda: None,
) -> Pose:
    """Refine all frames but the labelled ones, which stay as they are and which the others are compared with.

    `pictures` are those of the `descent` (`Descent.pictures`). The result has the precision of `start`; pictures are
    compared in float32.
    """
    free = torch.nonzero(~pictures.labelled)[:, 0]
    if not len(free):
        return start
    offsets = {name: torch.zeros(len(start), size, requires_grad=True) for name, size in OFFSET_SIZES.items()}
    for stage in descent.fitting(pictures.camera.width):
        comparison = Comparison.of(start, pictures, stage.width_px, hand=hand, model=model)
        _descend(offsets, comparison, free, pictures.times, descent, stage, on_step)
    with torch.no_grad():
        return _moved(start, {name: offset.to(start.wrist) for name, offset in offsets.items()})


def refine_frame(
    start: Pose,
    label: Pose,
    pictures: UInt8[Tensor, "2 3 h w"],
    *,
    camera: Camera,
    hand: HandModel,
    model: ObjectModel,
    descent: Descent = ONE_FRAME,
) -> RefinedFrame:
    """Refine one frame by one label of the same camera; `pictures` shows the frame, then the label.

    Raises `UserError` when too little of the label's surface is seen, or when the colours do not become more alike.
    """
    labelled = descent.pictures(pictures, camera, torch.tensor([False, True]))
    width_px = descent.fitting(camera.width)[-1].width_px

    def measured(pose: Pose) -> tuple[float, float]:
        agreed = agreement(pose, labelled, hand=hand, model=model, width_px=width_px)
        return float(agreed.difference[0]), float(agreed.compared_share[0])

    both = Pose.joined([start, label])
    before, share_before = measured(both)
    if share_before < MINIMAL_SHARE:
        raise UserError(
            "expected hand and object to show some of the surface that the nearest label shows, found nearly nothing "
            "to compare; annotate by hand, or label a frame nearer to this one first"
        )
    refined = refine(both, labelled, hand=hand, model=model, descent=descent)
    after, share_after = measured(refined)
    if not after < before or share_after <= (descent.smallest_share or 0.0) * share_before:
        raise UserError(
            f"expected poses nearby whose colours are more like the nearest label's, found none (difference "
            f"{before:.3f}, then {after:.3f}); nothing was changed"
        )
    return RefinedFrame(refined.rows(slice(0, 1)), before, after, share_after)


def _descend(
    offsets: Offsets,
    comparison: Comparison,
    free: Int[Tensor, " m"],
    times: Float[Tensor, " n"],
    descent: Descent,
    stage: Stage,
    on_step: Callable[[], None],
) -> None:
    """Move the offsets of the `free` frames by Adam."""
    start, parts = comparison.start, comparison.parts(free)
    # What is seen of the labels is the same at every step, but of many frames it would fill the memory.
    seen = [comparison.seen_labels(rows) if len(free) <= AT_ONCE else None for rows in parts]
    best = None if descent.smallest_share is None else _BestOffsets(offsets, descent.smallest_share)
    optimiser = _Adam(list(offsets.values()), stage.rate)
    labelled = torch.ones(len(start), dtype=torch.bool).index_fill_(0, free, False)
    for _ in range(stage.steps):
        for offset in offsets.values():
            offset.grad = None
        for rows, seen_labels in zip(parts, seen, strict=True):
            chosen = {name: offset[rows] for name, offset in offsets.items()}
            difference, share = comparison.compare(_moved(start.rows(rows), chosen), rows, seen_labels)
            cost = difference + _offset_cost(chosen, descent)
            cost.sum().backward()
            if best is not None:
                best.keep(rows, chosen, cost, share)
        _smooth_cost(_moved(start, offsets), times, descent).backward()
        for offset in offsets.values():
            assert offset.grad is not None
            offset.grad[labelled] = 0
        optimiser.step()
        on_step()
    if best is not None:
        best.restore(offsets)


class _Adam:
    """Adam as `torch.optim.Adam` takes its steps, whose class would load a compiler: 70 MB, and seconds of waiting."""

    def __init__(self, parameters: list[Tensor], rate: float):
        self._parameters, self._rate = parameters, rate
        self._means, self._squares = ([torch.zeros_like(values) for values in parameters] for _ in range(2))
        self._steps = [torch.tensor(0.0) for _ in parameters]

    @torch.no_grad()
    def step(self) -> None:
        """Move all parameters along their gradients."""
        gradients = [values.grad for values in self._parameters if values.grad is not None]
        assert len(gradients) == len(self._parameters)
        adam(
            self._parameters,
            gradients,
            self._means,
            self._squares,
            [],
            self._steps,
            foreach=False,
            fused=False,
            amsgrad=False,
            maximize=False,
            lr=self._rate,
            beta1=0.9,
            beta2=0.999,
            eps=1e-8,
            weight_decay=0.0,
        )


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


def _moved(start: Pose, offsets: Offsets) -> Pose:
    return Pose(
        matrix_from_axis_angle(TURN_RAD * offsets["turn"]) @ start.object_rotation,
        start.object_centre + MOVE_M * offsets["move"],
        matrix_from_axis_angle(TURN_RAD * offsets["hand_turn"]) @ start.hand_rotation,
        start.wrist + MOVE_M * offsets["hand_move"],
        start.joint_angles + BEND_RAD * offsets["bend"],
        start.shape,
    )


def _offset_cost(offsets: Offsets, descent: Descent) -> Float[Tensor, " n"]:
    """What leaving the start costs."""
    bent = (BEND_RAD * offsets["bend"] / BENT_RAD).square().mean(dim=1)
    moves = torch.cat([offsets["move"], offsets["hand_move"]], dim=1)
    return BEND_COST * bent + descent.move_cost * (MOVE_M * moves / MOVED_M).square().sum(dim=1) / 2


def _smooth_cost(moved: Pose, times: Float[Tensor, " n"], descent: Descent) -> Float[Tensor, ""]:
    """The integral over time of squared accelerations, each part in units of its offsets."""
    span = ((times[2:] - times[:-2]) / 2).to(moved.wrist)[:, None]

    def changes(values: Tensor, unit: float, share: float = 1.0) -> Tensor:
        return share * (span * (second_differences(values.flatten(1), times) / unit).square()).sum()

    return descent.smooth_cost * (
        changes(moved.object_centre, MOVE_M)
        + changes(moved.wrist, MOVE_M)
        # A small turn shows twice in the nine numbers of its matrix.
        + changes(moved.object_rotation, TURN_RAD, 1 / 2)
        + changes(moved.hand_rotation, TURN_RAD, 1 / 2)
        + changes(moved.joint_angles, BEND_RAD, 1 / 15)
    )
