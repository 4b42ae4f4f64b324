"""Where masks of hand and object may end, the outlines of surfaces, and what it costs that these lie elsewhere.

The outline of each posed surface is drawn alone. It has to lie where the mask ends, and the mask has to end where it
lies: both ways, so that the size in the picture tells the distance. A mask says nothing of a part where the other part,
an occluder, or what is unknown, lies before it: there it ends without the part's doing so. Nor is anything said of the
hand on the arm's side of the wrist, where its surface ends and its mask may go on.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from warpgrasp.data.recording import BACKGROUND, HAND, OBJECT, UNKNOWN
from warpgrasp.geometry import Camera, Mesh
from warpgrasp.hand import PLACEMENT_JOINT
from warpgrasp.render import Fragments, Raster, interpolate, rasterize, surface_weights

PARTS: tuple[int, ...] = (HAND, OBJECT)
SCALE_SHARE = 1 / 160  # of the picture's width: an outline so far off costs log 2, and more by the logarithm
WRIST_SHARE = 0.15  # of the way from the wrist to the middle finger's base, up to which nothing is said of the hand
BESIDE_SHARE = 1 / 80  # of the picture's width around a part that has no mask, within which the other's may end
NOWHERE = -1


@dataclass(frozen=True)
class Edges:
    """The masks of n frames at one width, and where each part's may end."""

    labels: UInt8[Tensor, "n h w"]
    given: Bool[Tensor, "n 2"]  # which parts have a mask
    nearest: Int[Tensor, "n 2 p"]  # for each pixel and part the nearest where the part's outline may be, or `NOWHERE`
    ends: tuple[tuple[Int[Tensor, " _"], ...], ...]  # for each frame and part the pixels where its mask ends

    @staticmethod
    def of(labels: UInt8[Tensor, "n h w"]) -> "Edges":
        """Find them."""
        nearest = torch.full((len(labels), 2, labels[0].numel()), NOWHERE, dtype=torch.int32)
        ends = []
        for row, shown in enumerate(labels):
            found = []
            for number, part in enumerate(PARTS):
                inside, outside = shown == part, shown == BACKGROUND
                ending = inside & beside(outside[None])[0]
                found.append(torch.nonzero(ending.flatten())[:, 0])
                if bool(inside.any()):
                    nearest[row, number] = _nearest((ending | ~(inside | outside)).numpy())
            ends.append(tuple(found))
        given = torch.stack([(labels == part).flatten(1).any(dim=1) for part in PARTS], dim=1)
        return Edges(labels, given, nearest, tuple(ends))

    @staticmethod
    def joined(parts: "Sequence[Edges]") -> "Edges":
        """Those of several sets of frames, one after the other."""
        labels, given, nearest = (
            torch.cat([getattr(part, name) for part in parts]) for name in ("labels", "given", "nearest")
        )
        return Edges(labels, given, nearest, tuple(ends for part in parts for ends in part.ends))

    def rows(self, rows: slice) -> "Edges":
        """Those of some frames."""
        return Edges(self.labels[rows], self.given[rows], self.nearest[rows], self.ends[rows])

    @torch.no_grad()
    def matched(
        self, meshes: tuple[Mesh, Mesh], joints: Float[Tensor, "m 21 3"], camera: Camera, rows: Int[Tensor, " m"]
    ) -> "Matches":
        """The outlines of hand and object in the frames at `rows`, and the ends of the masks that belong to them.

        `joints` are the hand's. All is in the space of the camera, which has the masks' size.
        """
        given, width_px = self.given[rows], camera.width
        rasters = [rasterize(mesh, camera) for mesh in meshes]
        drawn = [raster.face_ids >= 0 for raster in rasters]
        # A part without a mask hides the other where it is drawn, as far as anybody knows.
        around_px = round(BESIDE_SHARE * width_px)
        before = [_wide(one, around_px, ~there) for one, there in zip(drawn, given.unbind(dim=1), strict=True)]
        ignored = before[1] | arm_side(joints, camera), before[0]
        parts = []
        for number, (mesh, raster) in enumerate(zip(meshes, rasters, strict=True)):
            outline = drawn[number] & beside(~drawn[number]) & given[:, number, None, None]
            seen = Fragments.of(Raster(torch.where(outline, raster.face_ids, -1), raster.depth))
            weights = surface_weights(mesh, camera, seen.face_ids, seen.pixels)
            ends = [self.ends[int(row)][number] for row in rows]
            parts.append(_matches(seen, weights, self.nearest[rows, number], ends, ignored[number]))
        return Matches(tuple(parts), camera)


@dataclass(frozen=True)
class PartMatches:
    """Points of a part's outline and the ends of its mask, matched."""

    face_ids: Int[Tensor, "m n"]
    weights: Float[Tensor, "m n 3"]
    there_px: Float[Tensor, "m n 2"]  # where the mask ends next to each point
    counted: Bool[Tensor, "m n"]
    ends_px: Float[Tensor, "m k 2"]
    points: Int[Tensor, "m k"]  # the outline's point next to each end
    ends_counted: Bool[Tensor, "m k"]
    size: Float[Tensor, " m"]  # how many points there are, or ends


@dataclass(frozen=True)
class Matches:
    """The outlines of poses matched with masks: which points belong together is constant, where they are is not."""

    parts: tuple[PartMatches, ...]  # of the hand, of the object
    camera: Camera

    def cost(self, meshes: Sequence[Mesh], *, scale_share: float = SCALE_SHARE) -> Float[Tensor, " m"]:
        """The mean of log(1 + d² / s²) over points and ends of both parts, half of it from either side.

        `meshes` are hand and object, each for itself; s is a share of the picture's width.
        """
        costs = []
        square = (scale_share * self.camera.width) ** 2
        for mesh, part in zip(meshes, self.parts, strict=True):
            points = interpolate(mesh.vertices, mesh.faces, part.face_ids, part.weights.to(mesh.vertices))
            points_px = self.camera.project(points)
            matched_px = points_px.gather(1, part.points[..., None].expand(-1, -1, 2))
            there = torch.log1p((points_px - part.there_px).square().sum(dim=-1) / square)
            back = torch.log1p((matched_px - part.ends_px).square().sum(dim=-1) / square)
            both = torch.where(part.counted, there, 0).sum(dim=1) + torch.where(part.ends_counted, back, 0).sum(dim=1)
            costs.append(both / part.size / 2)
        return torch.stack(costs).sum(dim=0)


def arm_side(joints: Float[Tensor, "n 21 3"], camera: Camera) -> Bool[Tensor, "n h w"]:
    """The pixels on the arm's side of the line across the hand that lies a little before the wrist."""
    joints_px = camera.project(joints)
    wrist, knuckle = joints_px[:, 0], joints_px[:, PLACEMENT_JOINT]
    along = knuckle - wrist
    v = torch.arange(camera.height).to(along)[:, None]
    u = torch.arange(camera.width).to(along)
    x, y = along[:, 0, None, None], along[:, 1, None, None]
    beyond = (u - wrist[:, 0, None, None]) * x + (v - wrist[:, 1, None, None]) * y
    return beyond < WRIST_SHARE * along.square().sum(dim=1)[:, None, None]


def _matches(
    seen: Fragments,
    weights: Float[Tensor, "m n 3"],
    nearest: Int[Tensor, "m p"],
    ends: Sequence[Int[Tensor, " _"]],
    ignored: Bool[Tensor, "m h w"],
) -> PartMatches:
    """Each point of an outline with the nearest end of the mask, and each end with the nearest point."""
    width = seen.width
    place = seen.pixels[..., 1] * width + seen.pixels[..., 0]
    target = nearest.gather(1, place).long()
    passed_over = ignored.flatten(1)
    longest = max(map(len, ends))
    if not seen.pixels.shape[1]:  # no part is in any picture: one point that is not counted stands for all
        longest, seen, weights = 0, _no_fragments(seen), weights.new_zeros(len(ends), 1, 3)
        target, place = (torch.zeros(len(ends), 1, dtype=torch.long) for _ in range(2))
    padded = torch.stack([F.pad(one, (0, longest - len(one))) for one in ends])
    real = torch.arange(longest) < torch.tensor(list(map(len, ends)))[:, None]
    points = torch.zeros_like(padded)
    for row, some in enumerate(padded):
        listed = place[row][seen.covered[row]]
        if len(listed) and longest:
            outline = np.zeros((seen.height, width), bool)
            outline.reshape(-1)[listed.numpy()] = True
            next_to = _nearest(outline)[some].long()
            points[row] = torch.searchsorted(listed, next_to)
        else:
            real[row] = False
    counted = seen.covered & (target >= 0) & ~passed_over.gather(1, place)
    size = torch.maximum(seen.covered.sum(dim=1), real.sum(dim=1)).clamp_min(1)
    return PartMatches(
        seen.face_ids,
        weights,
        _pixels(target.clamp_min(0), width, weights),
        counted,
        _pixels(padded, width, weights),
        points,
        real & ~passed_over.gather(1, padded),
        size.to(weights),
    )


def _no_fragments(seen: Fragments) -> Fragments:
    one = torch.zeros(len(seen.pixels), 1, dtype=torch.long)
    return Fragments(one[..., None].expand(-1, -1, 2), one, one.bool(), seen.height, seen.width)


def _pixels(place: Int[Tensor, "m n"], width: int, like: Tensor) -> Float[Tensor, "m n 2"]:
    return torch.stack([place % width, place // width], dim=-1).to(like)


def _nearest(sources: Bool[np.ndarray, "h w"]) -> Int[Tensor, " p"]:
    """For each pixel the place of the nearest source, in the order of rows; `NOWHERE` without any."""
    if not sources.any():
        return torch.full((sources.size,), NOWHERE, dtype=torch.int32)
    _, found = cv2.distanceTransformWithLabels(
        (~sources).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    labels = np.asarray(found, np.int32)
    place_of = np.zeros(int(labels.max()) + 1, np.int32)
    place_of[labels[sources]] = np.flatnonzero(sources)
    return torch.from_numpy(place_of[labels].reshape(-1))


def beside(marked: Bool[Tensor, "n h w"]) -> Bool[Tensor, "n h w"]:
    """The pixels that have a marked one above, below, to the left or to the right of them."""
    found = torch.zeros_like(marked)
    found[:, 1:] |= marked[:, :-1]
    found[:, :-1] |= marked[:, 1:]
    found[:, :, 1:] |= marked[:, :, :-1]
    found[:, :, :-1] |= marked[:, :, 1:]
    return found


def _wide(marked: Bool[Tensor, "n h w"], by_px: int, which: Bool[Tensor, " n"]) -> Bool[Tensor, "n h w"]:
    """Some of the pictures with what is marked wider; nothing is marked in the others."""
    wide = torch.zeros_like(marked)
    if bool(which.any()):
        pooled = F.max_pool2d(marked[which, None].float(), 2 * by_px + 1, stride=1, padding=by_px)
        wide[which] = pooled[:, 0] > 0
    return wide


def resized_labels(labels: UInt8[Tensor, "h w"], height_px: int, width_px: int) -> UInt8[Tensor, "_h _w"]:
    """Labels of a smaller picture: of each pixel, what most of it shows."""
    if labels.shape == (height_px, width_px):
        return labels
    values = torch.tensor([HAND, OBJECT, BACKGROUND, UNKNOWN], dtype=torch.uint8)
    shares = F.interpolate(
        (labels == values[:, None, None]).float()[None], size=[height_px, width_px], mode="bilinear", antialias=True
    )
    return values[shares[0].argmax(dim=0)]
