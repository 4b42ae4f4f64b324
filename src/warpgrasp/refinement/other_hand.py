"""The other hand of a recording that shows both: what of the pictures it covers, and where it says the object is."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from warpgrasp.files import fingerprint_of_values
from warpgrasp.frame import ObjectModel, Pose
from warpgrasp.geometry import Camera, join
from warpgrasp.hand import HandModel
from warpgrasp.refinement.labels import between_labels
from warpgrasp.render import rasterize
from warpgrasp.scene import posed_hand, posed_surface

AT_ONCE = 16  # pictures that are drawn together


@dataclass(frozen=True)
class OtherHand:
    """The hand that is not refined, in all n frames of a recording, with the object as it is known by it."""

    hand: HandModel
    poses: Pose
    knows_object: Bool[Tensor, " n"]  # in which frames the object stays where these poses have it

    @property
    def fingerprint(self) -> str:
        """Of what decides anything of the hand that is refined."""
        return fingerprint_of_values([self.hand.template, self.poses, self.knows_object])

    def between(self, labels: Mapping[int, Pose], times: Float[np.ndarray, " n"]) -> Pose:
        """The poses `between_labels`, by their positions, with the object between all places at which it is known."""
        start = between_labels(labels, times)
        known = torch.nonzero(self.knows_object)[:, 0].tolist()
        if known and len(known) < len(start):
            placed = self.placed(start)
            stated = {position: placed.rows(slice(position, position + 1)) for position in known}
            along = between_labels({**stated, **labels}, times)
            start = replace(start, object_rotation=along.object_rotation, object_centre=along.object_centre)
        return self.placed(start)

    def placed(self, poses: Pose) -> Pose:
        """The poses of all frames with the object where it is known, to the last digit."""
        known, there = self.knows_object, self.poses
        rotation = torch.where(known[:, None, None], there.object_rotation.to(poses.wrist), poses.object_rotation)
        centre = torch.where(known[:, None], there.object_centre.to(poses.wrist), poses.object_centre)
        return replace(poses, object_rotation=rotation, object_centre=centre)

    def placed_labels(self, labels: Mapping[int, Pose]) -> dict[int, Pose]:
        """The same of labels, by their positions: of an object that looks alike turned they may state another turn."""
        known = self.knows_object.tolist()
        return {
            position: replace(
                pose,
                object_rotation=self.poses.object_rotation[position, None] if known[position] else pose.object_rotation,
                object_centre=self.poses.object_centre[position, None] if known[position] else pose.object_centre,
            )
            for position, pose in labels.items()
        }

    @torch.no_grad()
    def covers(
        self, own: Pose, own_hand: HandModel, *, rows: slice, model: ObjectModel, camera: Camera
    ) -> Iterator[Bool[Tensor, "h w"]]:
        """The pixels of the frames at `rows` in which this hand is before the object and before the refined hand.

        `own` are the poses of that hand, and of the object, in all frames; `camera` is that of one picture.
        """
        for some in torch.arange(len(own))[rows].split(AT_ONCE):
            other = self.hand.closed_mesh(posed_hand(self.poses.rows(some).to(torch.float32), self.hand)[0])
            surface = join(other, posed_surface(own.rows(some).to(torch.float32), own_hand, model))
            cameras = Camera(camera.intrinsics.expand(len(some), 3, 3), camera.width, camera.height)
            face_ids = rasterize(surface, cameras).face_ids
            yield from (face_ids >= 0) & (face_ids < other.faces.shape[1])
