"""How far a prediction is from the truth: errors of the hand's joints, of the object's pose, and their contact.

Joints are aligned to the truth first, and a metric's name says by which alignment. The share of correct keypoints (PCK)
and the share of correct frames are different metrics (paper Sec. 4.2, Fig. 5).

ADD, ADD-S and the share of ADD below a tenth of the diameter compare a predicted pose with the true one, in camera
space (Hinterstoisser et al. 2012). Penetration, shared volume and contact describe a prediction alone (Hasson et al.
2019).
"""

from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Literal, assert_never

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import ConvexHull, KDTree, QhullError
from scipy.spatial.distance import cdist

from warpgrasp.evaluation.metrics import EvaluationError, FrameMean
from warpgrasp.frame import ObjectModel
from warpgrasp.geometry import Solid
from warpgrasp.hand import JOINTS, PLACEMENT_JOINT

Alignment = Literal["camera", "wrist_relative", "middle_base_relative", "procrustes"]
WRIST = JOINTS.index("wrist")
NORM_FLOOR = 1e-8  # HO-3D's and DexYCB's scripts add it to both norms: a prediction that is one point stays finite
DIAMETER_SHARE = 0.1
ROWS = 512  # of the table of distances at a time
MM_PER_M = 1000.0
CM3_PER_M3 = 1e6
CONTACT_M = 0.005
VOXEL_M = 0.005


def aligned_joints(
    predicted: Float[np.ndarray, "b 21 3"], expected: Float[np.ndarray, "b 21 3"], alignment: Alignment
) -> Float[np.ndarray, "b 21 3"]:
    """The predicted joints (order: `JOINTS`) after an alignment to the expected ones; `camera` leaves them alone."""
    match alignment:
        case "camera":
            return predicted
        case "wrist_relative":
            return shifted(predicted, expected, WRIST)
        case "middle_base_relative":
            return shifted(predicted, expected, PLACEMENT_JOINT)
        case "procrustes":
            return procrustes_aligned(predicted, expected)
        case _:
            assert_never(alignment)


def shifted(
    predicted: Float[np.ndarray, "b n 3"], expected: Float[np.ndarray, "b n 3"], point: int
) -> Float[np.ndarray, "b n 3"]:
    """The prediction moved so that one of its points lies where it is expected."""
    return predicted - predicted[:, point : point + 1] + expected[:, point : point + 1]


def scale_translation_aligned(
    predicted: Float[np.ndarray, "b n 3"], expected: Float[np.ndarray, "b n 3"], *, root: int, tip: int
) -> Float[np.ndarray, "b n 3"]:
    """The prediction scaled to the expected length from point `root` to point `tip`, then moved to its root.

    A prediction of length zero is multiplied by the expected length all the same, as in HO-3D's script.
    """
    length = np.linalg.norm(predicted[:, tip] - predicted[:, root], axis=-1)
    expected_length = np.linalg.norm(expected[:, tip] - expected[:, root], axis=-1)
    unit = predicted / np.where(length > 0, length, 1.0)[:, None, None]
    return shifted(unit * expected_length[:, None, None], expected, root)


def procrustes_aligned(
    predicted: Float[np.ndarray, "b n 3"], expected: Float[np.ndarray, "b n 3"]
) -> Float[np.ndarray, "b n 3"]:
    """The prediction after the similarity that brings it nearest to what is expected, *reflections included*.

    As HO-3D's and DexYCB's scripts have it: both are centred and divided by their Frobenius norms; the orthogonal
    matrix R nearest to expectedᵀ·predicted and the sum of its singular values s turn and scale the prediction.
    """
    centre = expected.mean(axis=1, keepdims=True)
    target, source = expected - centre, predicted - predicted.mean(axis=1, keepdims=True)
    target_norm = np.linalg.norm(target, axis=(1, 2), keepdims=True) + NORM_FLOOR
    source_norm = np.linalg.norm(source, axis=(1, 2), keepdims=True) + NORM_FLOOR
    target, source = target / target_norm, source / source_norm
    u, singular, v_transposed = np.linalg.svd(target.transpose(0, 2, 1) @ source)
    turned = source @ (u @ v_transposed).transpose(0, 2, 1)
    return turned * singular.sum(axis=-1)[:, None, None] * target_norm + centre


@dataclass(frozen=True)
class Thresholds:
    """Evenly spaced thresholds from 0 to `limit`, both included, in the unit of the distances."""

    limit: float
    count: int

    @cached_property
    def values(self) -> Float[np.ndarray, " t"]:
        """The thresholds."""
        return np.linspace(0, self.limit, self.count)

    def area(self, shares: Float[np.ndarray, "*k t"]) -> Float[np.ndarray, "*k"]:
        """The normalised area under curves of shares, by the trapezoid rule: 1 when everything is correct."""
        return np.asarray(np.trapezoid(shares, self.values, axis=-1) / self.limit)


@dataclass
class KeypointError:
    """Mean distance and PCK with its area, over frames for each keypoint, then over keypoints.

    A keypoint is correct up to a threshold that it does not exceed (<=). Nothing is kept of single frames, so that
    any number of them can be scored.
    """

    thresholds: Thresholds
    frames: int = 0
    _sums: Float[np.ndarray, " k"] | None = field(default=None, repr=False)
    _first_correct: Int[np.ndarray, "k t"] | None = field(default=None, repr=False)

    def update(self, distances: Float[np.ndarray, "b k"]) -> None:
        """Add the distances of the keypoints of a batch of frames. Raises `EvaluationError` when one is not finite."""
        if not np.isfinite(distances).all():
            raise EvaluationError("expected finite predictions and annotations, found NaN or infinity")
        keypoints, bins = distances.shape[1], self.thresholds.count + 1
        first = np.searchsorted(self.thresholds.values, distances, side="left")  # the first threshold >= distance
        counts = np.bincount((first + bins * np.arange(keypoints)).ravel(), minlength=bins * keypoints)
        if self._sums is None or self._first_correct is None:
            self._sums, self._first_correct = np.zeros(keypoints), np.zeros((keypoints, bins), dtype=np.int64)
        self._sums += distances.sum(axis=0)
        self._first_correct += counts.reshape(keypoints, bins)
        self.frames += len(distances)

    def mean(self) -> float:
        """The mean over keypoints of each keypoint's mean distance over frames."""
        self._check()
        assert self._sums is not None
        return float((self._sums / self.frames).mean())

    def curve(self) -> Float[np.ndarray, " t"]:
        """The PCK at each threshold: the mean over keypoints."""
        return self._shares().mean(axis=0)

    def compute(self) -> float:
        """The area under the PCK of each keypoint, averaged over keypoints."""
        return float(self.thresholds.area(self._shares()).mean())

    def _shares(self) -> Float[np.ndarray, "k t"]:
        self._check()
        assert self._first_correct is not None
        return self._first_correct.cumsum(axis=1)[:, :-1] / self.frames

    def _check(self) -> None:
        if not self.frames:
            raise EvaluationError("expected at least one frame to score, got none")


@dataclass
class FramePck:
    """Share of the *frames* whose mean error lies below a threshold (<): the curves of Fig. 5, and their area."""

    thresholds: Thresholds
    frame_errors: list[float] = field(default_factory=list)

    def update(self, frame_errors: Float[np.ndarray, " b"]) -> None:
        """Add the mean errors of a batch of frames."""
        self.frame_errors += frame_errors.tolist()

    def curve(self) -> Float[np.ndarray, " t"]:
        """The share at each threshold."""
        if not self.frame_errors:
            raise EvaluationError("expected at least one frame to score, got none")
        below = np.searchsorted(np.sort(self.frame_errors), self.thresholds.values, side="left")
        return below / len(self.frame_errors)

    def compute(self) -> float:
        """The area under the curve."""
        return float(self.thresholds.area(self.curve()))


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
