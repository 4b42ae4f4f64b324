"""By how much masks are wider or narrower than what they show, which labels tell, and masks without that margin.

Programs and people draw around things, or inside them, by a pixel or two all around. An object of sixty pixels would be
taken to be three per cent nearer for every one of them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from warpgrasp.data.recording import BACKGROUND, Masks, Recording
from warpgrasp.frame import Pose
from warpgrasp.hand import HandModel
from warpgrasp.refinement.outlines import PARTS
from warpgrasp.refinement.silhouettes import Silhouettes
from warpgrasp.render import interpolate

LARGEST_SHARE = 1 / 60  # of the picture's width: what is farther off is another error than a margin
FEWEST_POINTS = 20  # of an outline, without which nothing is said

Labels = UInt8[np.ndarray, "h w"]
Margins = Mapping[int, int]  # of the parts that labels tell of, in pixels: by how much their masks are too wide


def given_silhouettes(
    masks: Masks,
    recording: Recording,
    hand: HandModel,
    numbers: Sequence[int],
    *,
    widths_px: Sequence[int],
    margins: Margins | None = None,
) -> Silhouettes:
    """The masks of frames of a recording, by their numbers, without margins; they are read one after the other.

    `hand` is the model of the hand that the recording shows.
    """
    labels = (masks.undistorted(number, recording.lens) for number in numbers)
    return Silhouettes.of(
        (None if one is None else without_margins(one, margins or {}) for one in labels),
        recording.lens.camera,
        widths_px=widths_px,
        hand=hand,
        model=recording.object.model,
    )


def margins_by_labels(
    masks: Masks, recording: Recording, hand: HandModel, labelled: Mapping[int, Pose]
) -> Margins | None:
    """The margins of masks by the poses of labels, by the frames' numbers; None where no such frame has a mask."""
    width_px = recording.lens.width
    numbers = [number for number in sorted(labelled) if number in masks.readers]
    if not numbers:
        return None
    return margins_px(
        (given_silhouettes(masks, recording, hand, [number], widths_px=[width_px]), labelled[number])
        for number in numbers
    )


@torch.no_grad()
def margins_px(labelled: Iterable[tuple[Silhouettes, Pose]]) -> Margins:
    """The margins of masks by labels, of the parts of which enough is seen.

    `labelled` are masks of labels' frames at the pictures' own width, with the poses; a few frames at a time bound the
    memory.
    """
    signed: dict[int, list[Tensor]] = {part: [] for part in PARTS}
    for silhouettes, poses in labelled:
        for part, away in _too_wide_px(silhouettes, poses):
            signed[part].append(away)
    joined = {part: torch.cat(values) for part, values in signed.items() if values}
    return {part: round(float(away.median())) for part, away in joined.items() if len(away) >= FEWEST_POINTS}


def _too_wide_px(silhouettes: Silhouettes, poses: Pose) -> Iterator[tuple[int, Float[Tensor, " _"]]]:
    """How far the masks reach beyond each point of the outlines, for each part; below 0 where they end inside."""
    width = silhouettes.camera.width
    edges = silhouettes.edges[width]
    every = torch.nonzero(edges.given.any(dim=1))[:, 0]
    if not len(every):
        return
    single = poses.to(torch.float32).rows(every)
    matches = silhouettes.matched(single, every, width)
    for part, mesh, found in zip(PARTS, silhouettes.posed(single)[0], matches.parts, strict=True):
        points = interpolate(mesh.vertices, mesh.faces, found.face_ids, found.weights)
        points_px = matches.camera.project(points)
        away = (points_px - found.there_px).norm(dim=-1)
        shown = edges.labels[every].flatten(1)
        at_point, at_end = (shown.gather(1, _place(pixels, width, shown)) for pixels in (points_px, found.there_px))
        used = found.counted & (at_end == part) & (away <= LARGEST_SHARE * width)
        yield part, torch.where(at_point == part, away, -away)[used]


def _place(pixels: Tensor, width: int, shown: Tensor) -> Tensor:
    u, v = pixels.round().long().unbind(dim=-1)
    return (v * width + u).clamp(0, shown.shape[1] - 1)


def without_margins(labels: Labels, margins: Margins) -> Labels:
    """The labels with masks that are narrower by their margins, where they end at the background."""
    found = labels.copy()
    for part, margin in margins.items():
        if margin > 0:
            found[(labels == part) & (_distance_px(labels != BACKGROUND) <= margin)] = BACKGROUND
        if margin < 0:
            found[(labels == BACKGROUND) & (_distance_px(labels != part) <= -margin)] = part
    return found


def _distance_px(others: np.ndarray) -> np.ndarray:
    """How far each pixel is from the nearest that is not one of the others; farther than any where all are."""
    if others.all():
        return np.full(others.shape, np.inf, np.float32)
    return cv2.distanceTransform(others.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
