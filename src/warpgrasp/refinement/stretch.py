"""A stretch of frames that ends at labels, refined from each of its ends alone, joined, and refined as a whole.

What either end says of a frame is compared: where they disagree the track may be lost, or the pictures do not tell. The
two begin at different depths besides, one nearer and one farther than where the stretch starts, so that they also
disagree on a depth that nothing tells. A stretch with one label is refined twice from that.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from warpgrasp.frame import ObjectModel, Pose, pose_points
from warpgrasp.hand import HandModel, joints_alone
from warpgrasp.refinement.cues import NOTHING_KNOWN, Cues
from warpgrasp.refinement.doubt import LEAST_OVERLAP, Signs
from warpgrasp.refinement.offsets import AWAY_SHARE, Offsets, moved, no_offsets
from warpgrasp.refinement.quality import AT_ONCE, LabelledPictures, agreement
from warpgrasp.refinement.refine import Descent, refined_offsets
from warpgrasp.refinement.side_by_side import OnStep, side_by_side
from warpgrasp.scene import posed_hand

APART = 0.02  # of its distance, by which each of the two begins nearer or farther
APART_FROM = 3.0  # thirtieths of a second from the label, from which on
UNSEEN_COST = 0.15  # of a surface that is not compared, as a difference of colours
SURE_COST, UNSURE_COST = 0.005, 0.02  # differences of costs that decide between the two: for the path, for its signs
STEADY_FRAMES = 1.5  # over which they are taken
PROBED = (-0.06, -0.03, 0.0, 0.03, 0.06)  # shares of the distance at which depth is probed


@dataclass(frozen=True)
class RefinedStretch:
    """The poses of a stretch, and what says how far off they may be."""

    pose: Pose
    signs: Signs


@dataclass(frozen=True)
class StretchRefinement:
    """What a stretch is refined by: poses to start from, of labels too, and all that is known of its frames."""

    start: Pose
    pictures: LabelledPictures
    hand: HandModel
    model: ObjectModel
    descent: Descent
    cues: Cues = NOTHING_KNOWN
    on_step: Callable[[], None] = lambda: None

    def refined(self) -> RefinedStretch:
        """The stretch from both ends, joined and refined as a whole."""
        if bool(self.pictures.labelled.all()):
            return RefinedStretch(self.start, self._signs(self.start, (self.start, self.start), torch.nan))
        ends = list(self._from_ends())
        poses = [self._moved(offsets) for offsets in ends]
        whole = refined_offsets(
            self.start, self.pictures, self._joined(ends, poses), descent=self.descent, **self._known
        )
        assert whole is not None
        pose = self._moved(whole)
        return RefinedStretch(pose, self._signs(pose, poses, self._closure_mm(ends)))

    @torch.no_grad()
    def _signs(self, pose: Pose, ends: Sequence[Pose], closure_mm: float) -> Signs:
        """What says how far off the poses may be; of the labels only what is carried to them does."""
        width_px = self.descent.finest_px(self.pictures.camera.width)
        agreed = agreement(pose, self.pictures, hand=self.hand, model=self.model, width_px=width_px)
        none = torch.zeros(len(pose))
        seen = self.cues.seen
        seen_px = none if seen is None else seen.error_px(pose).float().nan_to_num()
        unseen = none if seen is None else (~seen.detected).float()
        free = ~self.pictures.labelled
        return Signs(
            free * self._undecided_mm(ends),
            free * self._depth_pull_mm(pose),
            free * agreed.difference.nan_to_num(),
            torch.where(free, agreed.compared_share, 1),
            free * seen_px * 1000 * pose.wrist[:, 2].float() / float(self.pictures.camera.focal_px.mean()),
            free * unseen,
            torch.full((len(pose),), closure_mm),
            None if self.cues.silhouettes is None else free * self._unlike_masks(pose),
        )

    def _unlike_masks(self, pose: Pose) -> Float[Tensor, " n"]:
        """1 where the drawn silhouettes agree little with the given ones."""
        assert self.cues.silhouettes is not None
        overlap = self.cues.silhouettes.overlap(pose, self.descent.finest_px(self.pictures.camera.width))
        return (overlap < LEAST_OVERLAP).any(dim=1).float()

    @property
    def _labels(self) -> list[int]:
        """The rows of the labels at its ends, or twice that of the only one."""
        rows = torch.nonzero(self.pictures.labelled)[:, 0].tolist()
        return [rows[0], rows[-1]]

    @property
    def _known(self) -> dict[str, Any]:
        names = ("hand", "model", "cues", "on_step")
        return {name: getattr(self, name) for name in names}

    def _from_ends(self) -> Iterator[Offsets]:
        """What either end says, the two side by side."""

        def of_one_end(end: int, on_step: OnStep) -> Offsets:
            row, share = self._labels[end], (-APART, APART)[end]
            pictures, begin = self.pictures.compared_with(row), self._apart(row, share)
            known = {**self._known, "on_step": on_step}
            offsets = refined_offsets(self.start, pictures, begin, descent=self.descent.of_one_end, **known)
            assert offsets is not None
            return offsets

        return side_by_side(of_one_end, 2, self.on_step)

    def _apart(self, row: int, share: float) -> Offsets:
        """Offsets that move hand and object along the line of sight by a share of their distance."""
        offsets, times = no_offsets(len(self.start)), self.pictures.times
        shares = share * ((times - times[row]).abs() / APART_FROM).clamp_max(1).float()
        with torch.no_grad():
            for name in ("move", "hand_move"):
                offsets[name][:, 2] = shares / AWAY_SHARE
        return offsets

    @torch.no_grad()
    def _moved(self, offsets: Offsets) -> Pose:
        """The poses at these offsets; the labels', as they are."""
        free = ~self.pictures.labelled[:, None]
        return moved(self.start, {name: offset * free for name, offset in offsets.items()})

    @torch.no_grad()
    def _closure_mm(self, ends: Sequence[Offsets]) -> float:
        """How far what is carried from one label to the other lies from this label; NaN where there is one alone.

        It is the less of the two directions, since a track may be lost in one. Where both are far off either a label is
        wrong or neither track holds.
        """
        first, last = self._labels
        if first == last:
            return torch.nan
        missed_mm = [self.apart_mm(moved(self.start, end), self.start) for end in ends]
        return min(float(missed_mm[0][last]), float(missed_mm[1][first]))

    def _joined(self, ends: list[Offsets], poses: list[Pose]) -> Offsets:
        """What both ends say, each the more the nearer it is, and the more the pictures agree with it."""
        first, last = (self.pictures.times[row] for row in self._labels)
        share = ((self.pictures.times - first) / (last - first)).clamp(0.02, 0.98) if last > first else None
        by_time = torch.zeros(len(self.start)) if share is None else torch.logit(share.float())
        weight = torch.sigmoid(by_time + self._dearer(poses) / SURE_COST)[:, None]
        return {name: (1 - weight) * ends[0][name] + weight * ends[1][name] for name in ends[0]}

    def _dearer(self, ends: Sequence[Pose]) -> Float[Tensor, " n"]:
        """By how much the pictures agree less with the first of two paths than with the second."""
        before, after = (self._cost(pose) for pose in ends)
        return self._steady(before - after)

    def _undecided_mm(self, ends: Sequence[Pose]) -> Float[Tensor, " n"]:
        """How far two paths lie apart, as far as the pictures do not decide between them.

        That is the deviation of a draw of either, times two. Where one label says both, they do not decide.
        """
        apart_mm = self.apart_mm(*ends)
        if len(set(self._labels)) == 1:
            return apart_mm
        weight = torch.sigmoid(self._dearer(ends) / UNSURE_COST)
        return 2 * (weight * (1 - weight)).sqrt() * apart_mm

    def _steady(self, values: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Means over neighbouring frames."""
        times = self.pictures.times.float()
        weights = torch.exp(-0.5 * ((times[:, None] - times) / STEADY_FRAMES) ** 2)
        return weights @ values / weights.sum(dim=1)

    def _cost(self, pose: Pose) -> Float[Tensor, " n"]:
        """How little the pictures agree with the poses: the mean over the labels at the ends."""
        cost = torch.stack([self._difference(pose, row) for row in dict.fromkeys(self._labels)]).mean(dim=0)
        single = pose.to(torch.float32)
        if self.cues.seen is not None:
            with torch.no_grad():
                cost = cost + self.descent.keypoint_cost * self.cues.seen.cost(single).float()
        return cost + self._outline_cost(single)

    @torch.no_grad()
    def _outline_cost(self, pose: Pose) -> Float[Tensor, " n"] | float:
        """What outlines cost that are not the masks', at the width at which ends are compared."""
        if self.cues.silhouettes is None:
            return 0.0
        width_px = self.descent.of_one_end.fitting(self.pictures.camera.width)[-1].width_px
        every = torch.arange(len(pose)).split(AT_ONCE)
        costs = [self.cues.silhouettes.cost(pose.rows(rows), rows, width_px) for rows in every]
        return self.descent.outline_cost * torch.cat(costs)

    def _difference(self, pose: Pose, row: int | None = None) -> Float[Tensor, " n"]:
        """The difference of colours to a label, or to the nearest; what is not compared counts as different too."""
        pictures = self.pictures if row is None else self.pictures.compared_with(row)
        width_px = self.descent.of_one_end.fitting(self.pictures.camera.width)[-1].width_px
        agreed = agreement(pose, pictures, hand=self.hand, model=self.model, width_px=width_px)
        share = agreed.compared_share.clamp(0, 1)
        return share * agreed.difference.nan_to_num() + (1 - share) * UNSEEN_COST

    @torch.no_grad()
    def apart_mm(self, one: Pose, other: Pose) -> Float[Tensor, " n"]:
        """How far two paths lie apart: the mean distance of the joints or of the object's corners, the larger."""
        joints_only = joints_alone(self.hand)
        joints = [posed_hand(pose.to(torch.float32), joints_only)[1] for pose in (one, other)]
        of_object = self.model.corners.float().expand(len(one), -1, -1)
        corners = [
            pose_points(pose.object_rotation.float(), pose.object_centre.float(), of_object) for pose in (one, other)
        ]
        distances = [(a - b).norm(dim=-1).mean(dim=1) for a, b in (joints, corners)]
        return 1000 * torch.stack(distances).amax(dim=0)

    def _depth_pull_mm(self, pose: Pose) -> Float[Tensor, " n"]:
        """How far along the line of sight the least difference of colours is, up to the ends of what is probed."""
        costs, free = [], ~self.pictures.labelled
        of_object = free if self.cues.objects is None else free & ~self.cues.objects
        for share in PROBED:
            wrist, centre = (
                (1 + share * free)[:, None] * pose.wrist,
                (1 + share * of_object)[:, None] * pose.object_centre,
            )
            costs.append(self._difference(replace(pose, object_centre=centre, wrist=wrist)))
        return 1000 * _least(torch.stack(costs), torch.tensor(PROBED)).abs() * pose.object_centre[:, 2].float()


def _least(costs: Float[Tensor, "p n"], places: Float[Tensor, " p"]) -> Float[Tensor, " n"]:
    """Where the parabola through the least of evenly spaced costs and its neighbours has its minimum."""
    step, middle = places[1] - places[0], costs[1:-1].argmin(dim=0) + 1
    before, there, after = (costs.gather(0, (middle + by)[None])[0] for by in (-1, 0, 1))
    bend = (before - 2 * there + after).clamp_min(1e-9)
    return places[middle] + step * ((before - after) / 2 / bend).clamp(-1, 1)
