"""Silhouettes of the frames of a recording that a user gives, and the surfaces that are compared with them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from warpgrasp.data.recording import OCCLUDER, UNKNOWN
from warpgrasp.frame import ObjectModel, Pose
from warpgrasp.geometry import Camera, Mesh
from warpgrasp.hand import HandModel
from warpgrasp.refinement.outlines import PARTS, Edges, Matches, arm_side, resized_labels
from warpgrasp.refinement.quality import resized_camera
from warpgrasp.render import rasterize
from warpgrasp.scene import posed_hand, posed_object, surface


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
        meshes, joints = self.posed(pose.rows(chosen))
        matches = self._matched(meshes, joints, rows[chosen], width_px)
        return cost.index_put((chosen,), matches.cost(meshes))

    @torch.no_grad()
    def matched(self, pose: Pose, rows: Int[Tensor, " m"], width_px: int) -> Matches:
        """The outlines as the poses have them, and the ends of the masks that belong to them."""
        return self._matched(*self.posed(pose), rows, width_px)

    @torch.no_grad()
    def _matched(
        self, meshes: tuple[Mesh, Mesh], joints: Float[Tensor, "m 21 3"], rows: Int[Tensor, " m"], width_px: int
    ) -> Matches:
        return self.edges[width_px].matched(meshes, joints, self.camera_at(width_px, len(rows), joints), rows)

    def camera_at(self, width_px: int, count: int, like: Tensor) -> Camera:
        """The camera of so many pictures of a width."""
        camera = resized_camera(self.camera, width_px).to(like)
        return Camera(camera.intrinsics.expand(count, 3, 3), camera.width, camera.height)

    def posed(self, pose: Pose) -> tuple[tuple[Mesh, Mesh], Float[Tensor, "n 21 3"]]:
        """The surfaces of hand and object, each for itself, and the hand's joints."""
        vertices, joints = posed_hand(pose, self.hand)
        of_object = Mesh.of(posed_object(pose, self.model), self.model.faces)
        return (self.hand.closed_mesh(vertices), of_object), joints

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
            meshes, joints = self.posed(some)
            hand_mesh = meshes[0]
            joint = surface(self.hand, meshes[0].vertices, meshes[1].vertices, self.model)
            face_ids = rasterize(joint, camera).face_ids
            of_hand = (face_ids >= 0) & (face_ids < hand_mesh.faces.shape[1])
            drawn = of_hand, face_ids >= hand_mesh.faces.shape[1]
            labels, given = edges.labels[rows], edges.given[rows]
            counted = (labels != UNKNOWN) & ~arm_side(joints, camera), labels != UNKNOWN
            shares = []
            for part, is_drawn, counts in zip(PARTS, drawn, counted, strict=True):
                stated = labels == part
                both, either = ((one & counts).flatten(1).sum(dim=1) for one in (is_drawn & stated, is_drawn | stated))
                shares.append(both / either.clamp_min(1))
            found.append(torch.where(given, torch.stack(shares, dim=1), torch.nan))
        return torch.cat(found)
