"""By how much masks are wider or narrower than what they show, which labels tell, and masks without that margin.

Programs and people draw around things, or inside them, by a pixel or two all around. An object of sixty pixels would be
taken to be three per cent nearer for every one of them.
"""

from collections.abc import Mapping

import cv2
import numpy as np
import torch
from jaxtyping import UInt8

from warpgrasp.data.recording import BACKGROUND
from warpgrasp.frame import Pose
from warpgrasp.refinement.silhouettes import PARTS, Silhouettes
from warpgrasp.render import interpolate

LARGEST_SHARE = 1 / 60  # of the picture's width: what is farther off is another error than a margin
FEWEST_POINTS = 20  # of an outline, without which nothing is said

Labels = UInt8[np.ndarray, "h w"]
Margins = Mapping[int, int]  # of each part, in pixels: by how much its masks are too wide


@torch.no_grad()
def margins_px(labelled: Silhouettes, poses: Pose) -> Margins:
    """The margins of masks by labels: `labelled` are the masks of the labels' frames at the pictures' own width."""
    width = labelled.camera.width
    single = poses.to(torch.float32)
    edges = labelled.edges[width]
    margins: dict[int, int] = dict.fromkeys(PARTS, 0)
    every = torch.nonzero(edges.given.any(dim=1))[:, 0]
    if not len(every):
        return margins
    single = single.rows(every)
    matches = labelled.matched(single, every, width)
    for part, mesh, found in zip(PARTS, labelled.meshes(single), matches.parts, strict=True):
        points = interpolate(mesh.vertices, mesh.faces, found.face_ids, found.weights)
        points_px = matches.camera.project(points)
        away = (points_px - found.there_px).norm(dim=-1)
        shown = edges.labels[every].flatten(1)
        at_point, at_end = (shown.gather(1, _place(pixels, width, shown)) for pixels in (points_px, found.there_px))
        used = found.counted & (at_end == part) & (away <= LARGEST_SHARE * width)
        if int(used.sum()) >= FEWEST_POINTS:
            margins[part] = round(float(torch.where(at_point == part, away, -away)[used].median()))
    return margins


def _place(pixels: torch.Tensor, width: int, shown: torch.Tensor) -> torch.Tensor:
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
