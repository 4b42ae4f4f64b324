"""Object poses: ADD, ADD-S, share of ADD below a tenth of the diameter (Hinterstoisser et al. 2012); camera space."""

from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np
from jaxtyping import Float
from scipy.spatial import ConvexHull, KDTree, QhullError
from scipy.spatial.distance import cdist

from warpgrasp.evaluation.metrics import FrameMean
from warpgrasp.frame import ObjectModel

DIAMETER_SHARE = 0.1
ROWS = 512  # of the table of distances at a time
MM_PER_M = 1000.0


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
