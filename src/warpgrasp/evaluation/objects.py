"""Metrics of the object: its pose (Hinterstoisser et al. 2012), and its contact with the hand (Hasson et al. 2019).

ADD, ADD-S and the share of ADD below a tenth of the diameter compare a predicted pose with the true one, in camera
space. Penetration, shared volume and contact describe a prediction alone.
"""

from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np
from jaxtyping import Float
from scipy.spatial import ConvexHull, KDTree, QhullError
from scipy.spatial.distance import cdist

from warpgrasp.evaluation.metrics import FrameMean
from warpgrasp.frame import ObjectModel
from warpgrasp.geometry import Solid

DIAMETER_SHARE = 0.1
ROWS = 512  # of the table of distances at a time
MM_PER_M = 1000.0
CM3_PER_M3 = 1e6
CONTACT_M = 0.005
VOXEL_M = 0.005


@dataclass(frozen=True)
class ObjectPose:
    """Where an object's centred coordinates lie in camera space (metres)."""

    rotation: Float[np.ndarray, "3 3"]
    translation: Float[np.ndarray, " 3"]

    def placed(self, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Points of the object, in camera space."""
        return points @ self.rotation.T + self.translation

    def local(self, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Points of camera space, in the object's coordinates."""
        return (points - self.translation) @ self.rotation


@dataclass(frozen=True)
class ObjectPoints:
    """An object's vertices, their k-d tree and their diameter, computed once per object."""

    vertices: Float[np.ndarray, "v 3"]

    @staticmethod
    def of(model: ObjectModel) -> "ObjectPoints":
        """The distinct vertices of a model."""
        return ObjectPoints(model.vertices.double().numpy())

    @cached_property
    def tree(self) -> KDTree:
        """The k-d tree of the vertices."""
        return KDTree(self.vertices)

    @cached_property
    def diameter_m(self) -> float:
        """The greatest distance between two vertices: exact, since both lie on the convex hull."""
        try:
            points = self.vertices[ConvexHull(self.vertices).vertices]
        except QhullError:  # a flat object has no hull in space
            points = self.vertices
        starts = [*range(0, len(points), ROWS), len(points)]
        return max(float(cdist(points[low:high], points).max()) for low, high in pairwise(starts))


@dataclass
class AddError:
    """`object_add_camera_mm`: mean distance of corresponding vertices (ADD)."""

    frames: FrameMean = field(default_factory=FrameMean)

    def update(self, points: ObjectPoints, predicted: ObjectPose, expected: ObjectPose) -> None:
        """Add a frame."""
        self.frames.add(MM_PER_M * add_m(points, predicted, expected))

    def compute(self) -> float:
        """The mean over frames, in millimetres."""
        return self.frames.compute()


@dataclass
class AddSError:
    """`object_add_s_camera_mm`: mean distance of each true vertex to the nearest predicted one (ADD-S)."""

    frames: FrameMean = field(default_factory=FrameMean)

    def update(self, points: ObjectPoints, predicted: ObjectPose, expected: ObjectPose) -> None:
        """Add a frame. True vertices are looked up in the predicted object's coordinates, whose tree is built once."""
        distance, _ = points.tree.query(predicted.local(expected.placed(points.vertices)), workers=-1)
        self.frames.add(MM_PER_M * float(distance.mean()))

    def compute(self) -> float:
        """The mean over frames, in millimetres."""
        return self.frames.compute()


@dataclass
class AddAccuracy:
    """`object_add_0.1d_camera_share`: share of the frames whose ADD is below (<) a tenth of the object's diameter."""

    frames: FrameMean = field(default_factory=FrameMean)

    def update(self, points: ObjectPoints, predicted: ObjectPose, expected: ObjectPose) -> None:
        """Add a frame."""
        self.frames.add(float(add_m(points, predicted, expected) < DIAMETER_SHARE * points.diameter_m))

    def compute(self) -> float:
        """The share, between 0 and 1."""
        return self.frames.compute()


def add_m(points: ObjectPoints, predicted: ObjectPose, expected: ObjectPose) -> float:
    """The mean distance of corresponding vertices of one frame, in metres."""
    apart = predicted.placed(points.vertices) - expected.placed(points.vertices)
    return float(np.linalg.norm(apart, axis=-1).mean())


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
