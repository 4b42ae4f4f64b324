"""One frame refined by one label, while somebody waits for it: by its colours and, where there is one, by its mask."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from warpgrasp.errors import UserError
from warpgrasp.frame import ObjectModel, Pose
from warpgrasp.geometry import Camera
from warpgrasp.hand import HandModel
from warpgrasp.photometric import MINIMAL_SHARE
from warpgrasp.refinement.cues import Cues
from warpgrasp.refinement.mask_margins import margins_px, without_margins
from warpgrasp.refinement.quality import Criterion, agreement
from warpgrasp.refinement.refine import Descent, Stage, refine
from warpgrasp.refinement.silhouettes import Silhouettes

ONE_FRAME = Descent(
    (Stage(160, 60, 0.3), Stage(320, 60, 0.15), Stage(640, 60, 0.08)),
    Criterion(contrast_share=0.0, both_directions=False),
    move_cost=3e-3,
    smallest_share=0.7,
)
OUTLINE_COST = 3e-2


@dataclass(frozen=True)
class GivenMask:
    """What each pixel of a frame shows, and of frames with labels, by which the masks' margins are known."""

    labels: UInt8[np.ndarray, "h w"]
    of_labels: tuple[tuple[UInt8[np.ndarray, "h w"], Pose], ...] = ()

    def silhouettes(self, camera: Camera, *, descent: Descent, hand: HandModel, model: ObjectModel) -> Silhouettes:
        """Those of the frame without its margins and, in a second row, of a label, of which nothing is compared."""

        def of(labels: UInt8[np.ndarray, "h w"], *widths_px: int) -> Silhouettes:
            return Silhouettes.of([labels, None], camera, widths_px=widths_px, hand=hand, model=model)

        labelled = ((of(labels, camera.width).rows(slice(0, 1)), pose) for labels, pose in self.of_labels)
        return of(without_margins(self.labels, margins_px(labelled)), *descent.widths(camera.width))


@dataclass(frozen=True)
class RefinedFrame:
    """One refined frame: its pose, and how it agrees before and after, at the finest width."""

    pose: Pose
    difference_before: float  # of the colours from the label's
    difference_after: float
    compared_share: float  # of the label's surface, after
    overlaps: Float[Tensor, "2 2"] | None = None
    """Intersection over union with the mask, before and after, of hand and object; NaN of a part that has none."""


def refine_frame(
    start: Pose,
    label: Pose,
    pictures: UInt8[Tensor, "2 3 h w"],
    *,
    camera: Camera,
    hand: HandModel,
    model: ObjectModel,
    descent: Descent = ONE_FRAME,
    mask: GivenMask | None = None,
    occluded: Sequence[Bool[np.ndarray, "h w"] | None] = (None, None),
) -> RefinedFrame:
    """Refine one frame by one label of the same camera; `pictures` shows the frame, then the label.

    With a `mask` its outlines count besides, by `OUTLINE_COST`. Where a picture is `occluded` its colours are not
    compared. Raises `UserError` when too little of the label's surface is seen, or when colours and outlines together
    do not become more alike.
    """
    if mask is not None:
        descent = replace(descent, outline_cost=OUTLINE_COST)
    parts = {"hand": hand, "model": model}
    given = None if mask is None else mask.silhouettes(camera, descent=descent, **parts)
    covered = None
    if any(pixels is not None for pixels in occluded):
        covered = [None if pixels is None else torch.from_numpy(pixels) for pixels in occluded]
    labelled = descent.pictures(pictures, camera, torch.tensor([False, True]), occluded=covered)
    width_px = descent.fitting(camera.width)[-1].width_px

    @torch.no_grad()
    def measured(poses: Pose) -> tuple[float, float, float]:
        """The difference of colours, what is compared, and the cost of both colours and outlines."""
        agreed = agreement(poses, labelled, **parts, width_px=width_px)
        difference, share = float(agreed.difference[0]), float(agreed.compared_share[0])
        single = poses.rows(slice(0, 1)).to(torch.float32)
        beside = 0.0 if given is None else float(given.cost(single, torch.zeros(1, dtype=torch.long), width_px))
        return difference, share, difference + descent.outline_cost * beside

    both = Pose.joined([start, label])
    before, share_before, cost_before = measured(both)
    if share_before < MINIMAL_SHARE:
        raise UserError(
            "expected hand and object to show some of the surface that the nearest label shows, found nearly nothing "
            "to compare; annotate by hand, or label a frame nearer to this one first"
        )
    refined = refine(both, labelled, **parts, descent=descent, cues=Cues(silhouettes=given))
    after, share_after, cost_after = measured(refined)
    if not cost_after < cost_before or share_after <= (descent.smallest_share or 0.0) * share_before:
        outlines = "" if given is None else ", and whose outlines are more like the mask's"
        raise UserError(
            f"expected poses nearby whose colours are more like the nearest label's{outlines}, found none (difference "
            f"{before:.3f}, then {after:.3f}); nothing was changed"
        )
    overlaps = None if given is None else torch.stack([given.overlap(poses, width_px)[0] for poses in (both, refined)])
    return RefinedFrame(refined.rows(slice(0, 1)), before, after, share_after, overlaps)
