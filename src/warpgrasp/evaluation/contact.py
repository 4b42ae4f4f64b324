"""How hand and object touch in a prediction, by itself: penetration, shared volume, contact (Hasson et al. 2019)."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Float

from warpgrasp.evaluation.metrics import FrameMean
from warpgrasp.geometry import Solid

CONTACT_M = 0.005
VOXEL_M = 0.005
MM_PER_M = 1000.0
CM3_PER_M3 = 1e6


@dataclass(frozen=True)
class Grasp:
    """The closed hand in the coordinates of the object that it holds (metres)."""

    hand: Solid
    object: Solid
    object_voxels: Float[np.ndarray, "n 3"]  # centres of the object's own voxels of `VOXEL_M`

    @cached_property
    def sunken(self) -> Float[np.ndarray, "n 3"]:
        """The hand's vertices inside the object."""
        vertices = self.hand.surface.vertices
        return vertices[self.object.contains(vertices)]


@dataclass
class PenetrationDepth:
    """`penetration_depth_camera_mm`: how deep the deepest hand vertex lies inside the object; 0 where none does."""

    frames: FrameMean = field(default_factory=FrameMean)

    def update(self, grasp: Grasp) -> None:
        """Add a frame."""
        self.frames.add(MM_PER_M * float(grasp.object.distance(grasp.sunken).max(initial=0.0)))

    def compute(self) -> float:
        """The mean over frames, in millimetres."""
        return self.frames.compute()


@dataclass
class IntersectionVolume:
    """`intersection_volume_camera_cm3`: the object's voxels of 5 mm whose centres lie inside the hand."""

    frames: FrameMean = field(default_factory=FrameMean)

    def update(self, grasp: Grasp) -> None:
        """Add a frame."""
        shared = grasp.hand.contains(grasp.object_voxels).sum()
        self.frames.add(CM3_PER_M3 * VOXEL_M**3 * float(shared))

    def compute(self) -> float:
        """The mean over frames, in cubic centimetres."""
        return self.frames.compute()


@dataclass
class ContactShare:
    """`contact_5mm_camera_share`: share of the frames in which a hand vertex is inside the object or within 5 mm."""

    frames: FrameMean = field(default_factory=FrameMean)

    def update(self, grasp: Grasp) -> None:
        """Add a frame."""
        self.frames.add(float(len(grasp.sunken) > 0 or _nearest_m(grasp) <= CONTACT_M))

    def compute(self) -> float:
        """The share, between 0 and 1."""
        return self.frames.compute()


def _nearest_m(grasp: Grasp) -> float:
    """How near a hand vertex comes to the object; infinite where none comes within contact of its bounding box."""
    vertices, surface = grasp.hand.surface.vertices, grasp.object.surface.vertices
    low, high = surface.min(axis=0) - CONTACT_M, surface.max(axis=0) + CONTACT_M
    near = vertices[((vertices >= low) & (vertices <= high)).all(axis=1)]
    return float(grasp.object.distance(near).min(initial=np.inf))
