"""Silhouettes that a user gives, and what it costs that the outlines of hand and object lie elsewhere.

The outline of each posed surface is drawn alone. It has to lie where the mask ends, and the mask has to end where it
lies: both ways, so that the size in the picture tells the distance. A mask says nothing of a part where the other part,
an occluder, or what is unknown, lies before it: there it ends without the part's doing so. Nor is anything said of the
hand on the arm's side of the wrist, where its surface ends and its mask may go on.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from warpgrasp.data.recording import BACKGROUND, HAND, OBJECT, OCCLUDER, UNKNOWN
from warpgrasp.frame import ObjectModel, Pose
from warpgrasp.geometry import Camera, Mesh
from warpgrasp.hand import PLACEMENT_JOINT, HandModel
from warpgrasp.refinement.quality import resized_camera
from warpgrasp.render import Fragments, Raster, interpolate, rasterize, surface_weights
from warpgrasp.scene import posed_hand, posed_object, surface

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

    def rows(self, rows: slice) -> "Edges":
        """Those of some frames."""
        return Edges(self.labels[rows], self.given[rows], self.nearest[rows], self.ends[rows])


@dataclass(frozen=True)
class Silhouettes:
    """Which pixels of n frames show the hand and which the object, and the surfaces that are compared with them."""

    edges: Mapping[int, Edges]  # by the pictures' width
    camera: Camera  # of one picture at its own size
    hand: HandModel
    model: ObjectModel

    @staticmethod
    def of(
        labels: Iterable[UInt8[np.ndarray, "h w"] | None],
        camera: Camera,
        *,
        widths_px: Sequence[int],
        hand: HandModel,
        model: ObjectModel,
    ) -> "Silhouettes":
        """The masks of frames in order, None where there is none, at the widths of comparison."""
        none = np.full((camera.height, camera.width), UNKNOWN, np.uint8)
        small: dict[int, list[Tensor]] = {width_px: [] for width_px in widths_px}
        for one in labels:
            whole = torch.from_numpy(none if one is None else np.where(one == OCCLUDER, none, one))
            for width_px, kept in small.items():
                kept.append(resized_labels(whole, resized_camera(camera, width_px).height, width_px))
        edges = {width_px: Edges.of(torch.stack(kept)) for width_px, kept in small.items()}
        return Silhouettes(edges, camera, hand, model)

    def rows(self, rows: slice) -> "Silhouettes":
        """Those of some frames."""
        return replace(self, edges={width: edges.rows(rows) for width, edges in self.edges.items()})

    def cost(self, pose: Pose, rows: Int[Tensor, " m"], width_px: int) -> Float[Tensor, " m"]:
        """What it costs that the outlines of the poses, which are of the frames at `rows`, are not their masks'.

        0 in frames without masks.
        """
        edges = self.edges[width_px]
        given = edges.given[rows]
        chosen = torch.nonzero(given.any(dim=1))[:, 0]
        cost = pose.wrist.new_zeros(len(rows))
        if not len(chosen):
            return cost
        matches = self.matched(pose.rows(chosen), rows[chosen], width_px)
        return cost.index_put((chosen,), matches.cost(pose.rows(chosen), self))

    @torch.no_grad()
    def matched(self, pose: Pose, rows: Int[Tensor, " m"], width_px: int) -> "Matches":
        """The outlines as the poses have them, and the ends of the masks that belong to them."""
        edges, camera = self.edges[width_px], self.camera_at(width_px, len(rows), pose.wrist)
        given = edges.given[rows]
        meshes = self.meshes(pose)
        rasters = [rasterize(mesh, camera) for mesh in meshes]
        drawn = [raster.face_ids >= 0 for raster in rasters]
        # A part without a mask hides the other where it is drawn, as far as anybody knows.
        around_px = round(BESIDE_SHARE * width_px)
        before = [_wide(one, around_px, ~there) for one, there in zip(drawn, given.unbind(dim=1), strict=True)]
        ignored = before[1] | self._arm(pose, camera), before[0]
        parts = []
        for number, (mesh, raster) in enumerate(zip(meshes, rasters, strict=True)):
            outline = drawn[number] & beside(~drawn[number]) & given[:, number, None, None]
            seen = Fragments.of(Raster(torch.where(outline, raster.face_ids, -1), raster.depth))
            weights = surface_weights(mesh, camera, seen.face_ids, seen.pixels)
            ends = [edges.ends[int(row)][number] for row in rows]
            parts.append(_matches(seen, weights, edges.nearest[rows, number], ends, ignored[number]))
        return Matches(tuple(parts), camera)

    def camera_at(self, width_px: int, count: int, like: Tensor) -> Camera:
        """The camera of so many pictures of a width."""
        camera = resized_camera(self.camera, width_px).to(like)
        return Camera(camera.intrinsics.expand(count, 3, 3), camera.width, camera.height)

    def meshes(self, pose: Pose) -> tuple[Mesh, Mesh]:
        """Hand and object, each for itself."""
        hand = self.hand.closed_mesh(posed_hand(pose, self.hand)[0])
        return hand, Mesh.of(posed_object(pose, self.model), self.model.faces)

    @torch.no_grad()
    def overlap(self, pose: Pose, width_px: int) -> Float[Tensor, "n 2"]:
        """Intersection over union of the drawn and the given silhouettes of hand and object; NaN without a mask.

        What is unknown, and the hand on the arm's side of the wrist, counts neither here nor there.
        """
        edges, found = self.edges[width_px], []
        for start in range(0, len(pose), 16):
            rows = slice(start, min(start + 16, len(pose)))
            some = pose.rows(rows).to(torch.float32)
            camera = self.camera_at(width_px, len(some), some.wrist)
            hand_mesh, _ = meshes = self.meshes(some)
            joint = surface(self.hand, meshes[0].vertices, meshes[1].vertices, self.model)
            face_ids = rasterize(joint, camera).face_ids
            of_hand = (face_ids >= 0) & (face_ids < hand_mesh.faces.shape[1])
            drawn = of_hand, face_ids >= hand_mesh.faces.shape[1]
            labels, given = edges.labels[rows], edges.given[rows]
            counted = (labels != UNKNOWN) & ~self._arm(some, camera), labels != UNKNOWN
            shares = []
            for part, is_drawn, counts in zip(PARTS, drawn, counted, strict=True):
                stated = labels == part
                both, either = ((one & counts).flatten(1).sum(dim=1) for one in (is_drawn & stated, is_drawn | stated))
                shares.append(both / either.clamp_min(1))
            found.append(torch.where(given, torch.stack(shares, dim=1), torch.nan))
        return torch.cat(found)

    def _arm(self, pose: Pose, camera: Camera) -> Bool[Tensor, "n h w"]:
        """The pixels on the arm's side of the line across the hand that lies a little before the wrist."""
        joints_px = camera.project(posed_hand(pose, self.hand)[1])
        wrist, knuckle = joints_px[:, 0], joints_px[:, PLACEMENT_JOINT]
        along = knuckle - wrist
        v = torch.arange(camera.height).to(along)[:, None]
        u = torch.arange(camera.width).to(along)
        x, y = along[:, 0, None, None], along[:, 1, None, None]
        beyond = (u - wrist[:, 0, None, None]) * x + (v - wrist[:, 1, None, None]) * y
        return beyond < WRIST_SHARE * along.square().sum(dim=1)[:, None, None]


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

    def cost(self, pose: Pose, silhouettes: Silhouettes) -> Float[Tensor, " m"]:
        """The mean of log(1 + d² / s²) over points and ends of both parts, half of it from either side."""
        costs = []
        square = (SCALE_SHARE * self.camera.width) ** 2
        for mesh, part in zip(silhouettes.meshes(pose), self.parts, strict=True):
            points = interpolate(mesh.vertices, mesh.faces, part.face_ids, part.weights.to(mesh.vertices))
            points_px = self.camera.project(points)
            matched_px = points_px.gather(1, part.points[..., None].expand(-1, -1, 2))
            there = torch.log1p((points_px - part.there_px).square().sum(dim=-1) / square)
            back = torch.log1p((matched_px - part.ends_px).square().sum(dim=-1) / square)
            both = torch.where(part.counted, there, 0).sum(dim=1) + torch.where(part.ends_counted, back, 0).sum(dim=1)
            costs.append(both / part.size / 2)
        return torch.stack(costs).sum(dim=0)


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
