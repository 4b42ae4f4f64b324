"""All figures beside the paper's six errors (`metrics.score`): aligned hand errors, PCK, ADD, steadiness, contact.

A figure's name says the quantity, its alignment, its limit and its unit (docs/scoring.md). `MEASURES` is the registry;
packages join by the entry-point group `warpgrasp.metrics`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float

from warpgrasp.data import Dataset, Truth
from warpgrasp.evaluation.accuracy import (
    VOXEL_M,
    AddAccuracy,
    AddError,
    AddSError,
    Alignment,
    ContactShare,
    FramePck,
    Grasp,
    IntersectionVolume,
    KeypointError,
    ObjectPoints,
    ObjectPose,
    PenetrationDepth,
    Thresholds,
    aligned_joints,
    procrustes_aligned,
)
from warpgrasp.evaluation.metrics import AccelerationError, EvaluationError, FrameMean
from warpgrasp.frame import FrameName
from warpgrasp.geometry import Camera, Solid, Surface
from warpgrasp.hand import HandModel
from warpgrasp.predictions import Predictions
from warpgrasp.progress import track
from warpgrasp.registry import Registry

MM_PER_M = 1000.0
DEXYCB_MM = Thresholds(50.0, 100)  # DexYCB's evaluation, in each of its alignments
RELEASED_MM = Thresholds(500.0, 20)  # the paper's released evaluation, in camera space
RELEASED_RELATIVE_MM = Thresholds(200.0, 20)  # the same relative to the base of the middle finger
RELEASED_PX = Thresholds(100.0, 100)


@dataclass(frozen=True)
class Figure:
    """A figure over all frames; `value` is None when it is defined in no frame."""

    name: str
    value: float | None
    frames: int
    left_out: int = 0


class Measure(Protocol):
    """Figures of one kind, collected frame by frame. The registry holds functions that make one for a hand model."""

    def update(self, name: FrameName, predictions: Predictions, row: int, truth: Truth) -> None:
        """Add a frame: `row` of the predictions against the truth, in camera space and metres."""
        ...

    def figures(self) -> Iterator[Figure]:
        """The figures of all frames."""
        ...


@dataclass(frozen=True)
class PckCurve:
    """Share of the frames whose mean error in pixels lies below each threshold (Fig. 5)."""

    name: str
    thresholds_px: tuple[float, ...]
    shares: tuple[float, ...]


@dataclass(frozen=True)
class Assessment:
    """Figures in the order in which they are printed, and the curves of Fig. 5."""

    figures: list[Figure]
    curves: list[PckCurve]
    open_objects: list[str]  # their meshes are not closed: solid angles decide there what lies inside


@dataclass
class JointError:
    """Hand joints after an alignment: their mean error, and the areas under the per-keypoint PCK up to limits."""

    alignment: Alignment
    ranges_mm: tuple[Thresholds, ...]
    keypoints: list[KeypointError] = field(init=False)

    def __post_init__(self) -> None:
        self.keypoints = [KeypointError(thresholds) for thresholds in self.ranges_mm]

    def update(self, predicted: Float[np.ndarray, "b 21 3"], expected: Float[np.ndarray, "b 21 3"]) -> None:
        """Add the joints of a batch of frames, in metres and camera space."""
        aligned = aligned_joints(predicted, expected, self.alignment)
        for keypoints in self.keypoints:
            keypoints.update(MM_PER_M * np.linalg.norm(aligned - expected, axis=-1))

    def figures(self) -> Iterator[Figure]:
        """The mean error, except in camera space where `metrics.score` has it, and the areas."""
        frames = self.keypoints[0].frames
        if self.alignment != "camera":
            yield Figure(f"hand_joint_error_{self.alignment}_mm", self.keypoints[0].mean(), frames)
        for keypoints in self.keypoints:
            name = f"hand_joint_pck_auc_{self.alignment}_{keypoints.thresholds.limit:g}mm"
            yield Figure(name, keypoints.compute(), frames)


@dataclass
class PixelPck:
    """Points seen in the picture: the per-keypoint PCK's area, and the per-frame PCK with its area."""

    points: str
    keypoints: KeypointError = field(default_factory=lambda: KeypointError(RELEASED_PX))
    frames: FramePck = field(default_factory=lambda: FramePck(RELEASED_PX))

    def update(self, distances_px: Float[np.ndarray, "b k"]) -> None:
        """Add the distances of a batch of frames."""
        self.keypoints.update(distances_px)
        self.frames.update(distances_px.mean(axis=1))

    def figures(self) -> Iterator[Figure]:
        """Both areas."""
        limit, frames = f"{RELEASED_PX.limit:g}px", self.keypoints.frames
        yield Figure(f"{self.points}_pck_auc_image_{limit}", self.keypoints.compute(), frames)
        yield Figure(f"{self.points}_frame_pck_auc_image_{limit}", self.frames.compute(), frames)

    def curve(self) -> PckCurve:
        """The curve of Fig. 5."""
        name = f"{self.points}_frame_pck_image"
        return PckCurve(name, tuple(RELEASED_PX.values.tolist()), tuple(self.frames.curve().tolist()))


@dataclass(frozen=True)
class HandFigures:
    """The figures of hands beside the errors of `metrics.score`."""

    joints: tuple[JointError, ...] = field(
        default_factory=lambda: (
            JointError("camera", (DEXYCB_MM, RELEASED_MM)),
            JointError("wrist_relative", (DEXYCB_MM,)),
            JointError("middle_base_relative", (RELEASED_RELATIVE_MM,)),
            JointError("procrustes", (DEXYCB_MM,)),
        )
    )
    vertices: FrameMean = field(default_factory=FrameMean)
    vertices_procrustes: FrameMean = field(default_factory=FrameMean)
    pixels: PixelPck = field(default_factory=lambda: PixelPck("hand_joint"))
    acceleration: AccelerationError = field(default_factory=AccelerationError)

    def update(self, name: FrameName, predictions: Predictions, row: int, truth: Truth) -> None:
        """Add a frame."""
        predicted, expected = _double(predictions.hand_joints[row]), _double(truth.annotation.hand_joints)
        for joint_error in self.joints:
            joint_error.update(predicted[None], expected[None])
        self.pixels.update(_pixel_distances(truth, predicted, expected)[None])
        self.acceleration.update(name, predicted, expected)
        surface, true_surface = predictions.hand_vertices[row], _double(truth.annotation.hand_vertices)
        if surface.shape != true_surface.shape:  # another hand model: vertices do not correspond
            self.vertices.add(None)
            self.vertices_procrustes.add(None)
            return
        aligned = procrustes_aligned(_double(surface)[None], true_surface[None])[0]
        self.vertices.add(MM_PER_M * _mean_distance(_double(surface), true_surface))
        self.vertices_procrustes.add(MM_PER_M * _mean_distance(aligned, true_surface))

    def figures(self) -> Iterator[Figure]:
        """The figures, named as in docs/scoring.md."""
        for joint_error in self.joints:
            yield from joint_error.figures()
        yield _mean("hand_vertex_error_camera_mm", self.vertices)
        yield _mean("hand_vertex_error_procrustes_mm", self.vertices_procrustes)
        yield from self.pixels.figures()
        yield _acceleration("hand_joint", self.acceleration)


@dataclass(frozen=True)
class ObjectFigures:
    """The figures of objects beside the errors of `metrics.score`."""

    add: AddError = field(default_factory=AddError)
    add_s: AddSError = field(default_factory=AddSError)
    accuracy: AddAccuracy = field(default_factory=AddAccuracy)
    rotation: FrameMean = field(default_factory=FrameMean)  # of objects that look the same turned
    vertices: FramePck = field(default_factory=lambda: FramePck(RELEASED_PX))
    corners: PixelPck = field(default_factory=lambda: PixelPck("object_corner"))
    acceleration: AccelerationError = field(default_factory=AccelerationError)
    _points: dict[str, ObjectPoints] = field(default_factory=dict, repr=False)

    def update(self, name: FrameName, predictions: Predictions, row: int, truth: Truth) -> None:
        """Add a frame."""
        if truth.object.name not in self._points:
            self._points[truth.object.name] = ObjectPoints.of(truth.object)
        points = self._points[truth.object.name]
        predicted, expected = _predicted_pose(predictions, row), _true_pose(truth)
        for metric in (self.add, self.add_s, self.accuracy):
            metric.update(points, predicted, expected)
        symmetry = truth.object.symmetry
        if symmetry is not None:
            apart_deg = symmetry.apart_deg(*(torch.from_numpy(pose.rotation) for pose in (predicted, expected)))
            self.rotation.add(float(apart_deg))
        corners = _double(truth.object.corners)
        pairs = [(predicted.placed(local), expected.placed(local)) for local in (points.vertices, corners)]
        self.vertices.update(_pixel_distances(truth, *pairs[0]).mean(keepdims=True))
        self.corners.update(_pixel_distances(truth, *pairs[1])[None])
        self.acceleration.update(name, *pairs[1])

    def figures(self) -> Iterator[Figure]:
        """The figures, named as in docs/scoring.md."""
        yield _mean("object_add_camera_mm", self.add.frames)
        yield _mean("object_add_s_camera_mm", self.add_s.frames)
        yield _mean("object_add_0.1d_camera_share", self.accuracy.frames)
        if self.rotation.values:
            yield _mean("object_rotation_up_to_symmetry_deg", self.rotation)
        yield from self.corners.figures()
        name = f"object_vertex_frame_pck_auc_image_{RELEASED_PX.limit:g}px"
        yield Figure(name, self.vertices.compute(), len(self.vertices.frame_errors))
        yield _acceleration("object_corner", self.acceleration)

    def vertex_curve(self) -> PckCurve:
        """The curve of Fig. 5 over all vertices."""
        shares = tuple(self.vertices.curve().tolist())
        return PckCurve("object_vertex_frame_pck_image", tuple(RELEASED_PX.values.tolist()), shares)


@dataclass(frozen=True)
class ContactFigures:
    """Contact and penetration of the predicted hands and objects. The annotation is not used."""

    hand: HandModel
    depth: PenetrationDepth = field(default_factory=PenetrationDepth)
    volume: IntersectionVolume = field(default_factory=IntersectionVolume)
    share: ContactShare = field(default_factory=ContactShare)
    _objects: dict[str, tuple[Solid, Float[np.ndarray, "n 3"]]] = field(default_factory=dict, repr=False)

    def update(self, name: FrameName, predictions: Predictions, row: int, truth: Truth) -> None:
        """Add a frame. Raises `EvaluationError` when the vertices are not of the hand model."""
        faces = torch.cat([self.hand.faces, self.hand.closing_faces]).numpy()
        vertices = _double(predictions.hand_vertices[row])
        if len(vertices) != len(self.hand.template_vertices):
            raise EvaluationError(
                f"expected predictions of the hand {self.hand.template.name} ({len(self.hand.template_vertices)} "
                f"vertices), found {len(vertices)} vertices; choose the hand model by --hand open|mano"
            )
        local = _predicted_pose(predictions, row).local(vertices)
        grasp = Grasp(Solid(Surface(local, faces)), *self._solid(truth))
        for metric in (self.depth, self.volume, self.share):
            metric.update(grasp)

    def _solid(self, truth: Truth) -> tuple[Solid, Float[np.ndarray, "n 3"]]:
        model = truth.object
        if model.name not in self._objects:
            solid = Solid(Surface(_double(model.vertices), model.faces.numpy()))
            self._objects[model.name] = solid, solid.voxels(VOXEL_M)
        return self._objects[model.name]

    @property
    def open_objects(self) -> list[str]:
        """The objects whose meshes are not closed."""
        return sorted(name for name, (solid, _) in self._objects.items() if not solid.closed)

    def figures(self) -> Iterator[Figure]:
        """The figures, named as in docs/scoring.md."""
        yield _mean("penetration_depth_camera_mm", self.depth.frames)
        yield _mean("intersection_volume_camera_cm3", self.volume.frames)
        yield _mean("contact_5mm_camera_share", self.share.frames)


def assess(
    predictions: Predictions,
    dataset: Dataset,
    names: Sequence[FrameName],
    *,
    contact: bool,
    show_progress: bool = True,
) -> Assessment:
    """Measure the named frames, each of which must be predicted, by every measure of `MEASURES`.

    `contact` adds the contact figures, which take longer.
    """
    row_of = {name: row for row, name in enumerate(predictions.names)}
    hands, objects, grasps = HandFigures(), ObjectFigures(), ContactFigures(dataset.hand)
    measures: list[Measure] = [hands, objects, *([grasps] if contact else [])]
    measures += [MEASURES[name](dataset.hand) for name in MEASURES if name not in OWN_MEASURES]
    for name in track(names, description="further measures", transient=True, disable=not show_progress):
        truth = dataset.truth(name)
        for measure in measures:
            measure.update(name, predictions, row_of[name], truth)
    figures = [figure for measure in measures for figure in measure.figures()]
    curves = [hands.pixels.curve(), objects.corners.curve(), objects.vertex_curve()]
    return Assessment(figures, curves, grasps.open_objects)


OWN_MEASURES: dict[str, Callable[[HandModel], Measure]] = {
    "hands": lambda hand: HandFigures(),
    "objects": lambda hand: ObjectFigures(),
    "contact": ContactFigures,
}
MEASURES = Registry("metric", "warpgrasp.metrics", OWN_MEASURES)


def _mean(name: str, frames: FrameMean) -> Figure:
    return Figure(name, frames.compute() if frames.values else None, len(frames.values), frames.left_out)


def _acceleration(points: str, metric: AccelerationError) -> Figure:
    name, scored = f"{points}_acceleration_error_camera_mm_per_frame2", len(metric.scored)
    return Figure(name, MM_PER_M * metric.compute() if scored else None, scored, metric.left_out)


def _double(array: np.ndarray | torch.Tensor) -> np.ndarray:
    return np.asarray(array, dtype=np.float64)


def _mean_distance(a: Float[np.ndarray, "n 3"], b: Float[np.ndarray, "n 3"]) -> float:
    return float(np.linalg.norm(a - b, axis=-1).mean())


def _pixel_distances(
    truth: Truth, predicted: Float[np.ndarray, "k 3"], expected: Float[np.ndarray, "k 3"]
) -> Float[np.ndarray, " k"]:
    """The distances in pixels of the picture on disk."""
    camera = Camera(truth.intrinsics.double(), 1, 1)  # projecting needs no size
    pixels = [camera.project(torch.from_numpy(points)).numpy() for points in (predicted, expected)]
    return np.linalg.norm(pixels[0] - pixels[1], axis=-1)


def _predicted_pose(predictions: Predictions, row: int) -> ObjectPose:
    return ObjectPose(_double(predictions.object_rotation[row]), _double(predictions.object_translation[row]))


def _true_pose(truth: Truth) -> ObjectPose:
    annotation = truth.annotation
    return ObjectPose(_double(annotation.object_rotation), _double(annotation.object_translation))
