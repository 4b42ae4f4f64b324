"""The evidence that a recording gives photometry, measured: texture, symmetry, and motion between labels.

Texture and symmetry of the object decide whether pictures show that it moves. How far surfaces move between labels,
measured from the labels themselves and by optical flow, decides whether they can be followed.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from warpgrasp.data.recording.files import Axis
from warpgrasp.frame import Annotation, ObjectModel, pose_points
from warpgrasp.geometry import Camera, Mesh, join
from warpgrasp.hand import HandModel
from warpgrasp.render import Fragments, Raster, rasterize, seen_values

# An ordinary camera's noise is about two grey levels of 255: a surface whose brightness changes by less from pixel to
# pixel does not tell where it has gone.
FAINT_TEXTURE_LEVELS = 2.0
EDGE_PX = 2  # pixels beside the silhouette belong to the background in part
FEWEST_PIXELS = 25
# Turned about an axis of its mesh, a shape is taken for the same when it lies within this share of its diagonal: in
# pictures, where the object is some hundred pixels long, this is the accuracy of an outline.
ALIKE_SHARE = 0.02
TURNS_DEG = (180.0, 90.0, 37.0)  # the last stands for any
SAMPLED_POINTS = (2000, 20000)  # turned, and compared with
FOLLOWED_POINTS = 300
# Frames before the first label are followed backwards, from memory: at most this many, 60 kB each.
LEADING_FRAMES = 600
# Photometry halves the object's error in the sample, where surface points move by up to a tenth of the picture's width
# (95th percentile) from their label, and hardly gains where they move farther (docs/results.md).
LARGEST_SHARE_OF_WIDTH = 0.1


@dataclass(frozen=True)
class LabelledSurface:
    """Hand, closed at the wrist, and object of a label, as a camera sees them."""

    mesh: Mesh  # a batch of one, the hand's faces first
    face_ids: Int[np.ndarray, "h w"]  # -1 where nothing is seen, or what closes the wrist
    hand_face_count: int  # with those that close the wrist

    @staticmethod
    def of(annotation: Annotation, model: ObjectModel, hand: HandModel, camera: Camera) -> "LabelledSurface":
        """Rasterise a label."""
        closed = hand.closed_mesh(annotation.hand_vertices[None])
        vertices = pose_points(annotation.object_rotation, annotation.object_translation, model.vertices)
        mesh = join(closed, Mesh.of(vertices[None], model.faces))
        face_ids = rasterize(mesh, Camera(camera.intrinsics[None], camera.width, camera.height)).face_ids[0]
        auxiliary = mesh.auxiliary_faces[0][face_ids.clamp_min(0)]
        seen = face_ids.masked_fill(auxiliary, -1)
        return LabelledSurface(mesh, seen.numpy(), closed.faces.shape[1])

    @property
    def shows_object(self) -> Bool[np.ndarray, "h w"]:
        """The pixels that see the object."""
        return self.face_ids >= self.hand_face_count


def texture_levels(grey: UInt8[np.ndarray, "h w"], surface: Bool[np.ndarray, "h w"]) -> float | None:
    """The root mean square change of brightness from pixel to pixel (levels of 255) on a surface, off its outline.

    None when too little of the surface is seen.
    """
    inside = cv2.erode(surface.astype(np.uint8), np.ones((2 * EDGE_PX + 1, 2 * EDGE_PX + 1), np.uint8)) > 0
    if inside.sum() < FEWEST_PIXELS:
        return None
    smooth = np.asarray(cv2.GaussianBlur(grey.astype(np.float32), (3, 3), 0))
    across, down = (smooth[1:-1, 2:] - smooth[1:-1, :-2]) / 2, (smooth[2:, 1:-1] - smooth[:-2, 1:-1]) / 2
    energy = across**2 + down**2
    return float(np.sqrt(energy[inside[1:-1, 1:-1]].mean()))


@dataclass(frozen=True)
class LikeTurn:
    """A turn about an axis of the mesh after which the shape is nearly the same."""

    axis: Axis
    turn_deg: float | None  # None for any


def near_symmetries(model: ObjectModel) -> list[LikeTurn]:
    """The turns about the mesh's axes (through the box's centre) that leave its outline alike: at most one per axis."""
    random = np.random.default_rng(0)
    few, many = (_sampled(model, count, random) for count in SAMPLED_POINTS)
    tree, largest_m = KDTree(many), ALIKE_SHARE * float(np.linalg.norm(np.ptp(many, axis=0)))
    axes: tuple[Axis, ...] = ("x", "y", "z")
    turns = []
    for number, axis in enumerate(axes):
        like = []
        for turn in TURNS_DEG:
            turned = Rotation.from_rotvec(np.radians(turn) * np.eye(3)[number]).apply(few)
            if np.sqrt((tree.query(turned)[0] ** 2).mean()) < largest_m:
                like.append(turn)
        if TURNS_DEG[-1] in like:
            turns.append(LikeTurn(axis, None))
        elif like:
            turns.append(LikeTurn(axis, min(like)))
    return turns


def mirror_symmetry(model: ObjectModel) -> tuple[Axis, float]:
    """The axis of the mesh along which mirroring (in the plane through the box's centre) changes the shape least.

    The second value is by how much: the root mean square distance as a share of the diagonal, to be compared with
    `ALIKE_SHARE`.
    """
    random = np.random.default_rng(0)
    few, many = (_sampled(model, count, random) for count in SAMPLED_POINTS)
    tree, diagonal_m = KDTree(many), float(np.linalg.norm(np.ptp(many, axis=0)))
    unlike: dict[Axis, float] = {}
    axes: tuple[Axis, ...] = ("x", "y", "z")
    for number, axis in enumerate(axes):
        mirrored = few * (1 - 2 * np.eye(3)[number])
        unlike[axis] = float(np.sqrt((tree.query(mirrored)[0] ** 2).mean())) / diagonal_m
    best = min(axes, key=lambda axis: unlike[axis])
    return best, unlike[best]


def _sampled(model: ObjectModel, count: int, random: np.random.Generator) -> Float[np.ndarray, "n 3"]:
    """Points spread evenly over the surface."""
    corners = model.vertices.double().numpy()[model.faces.numpy()]
    edges = corners[:, 1:] - corners[:, :1]
    area = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1)
    face = random.choice(len(area), count, p=area / area.sum())
    along = random.random((count, 2))
    along = np.where(along.sum(axis=1, keepdims=True) > 1, 1 - along, along)
    return corners[face, 0] + (along[..., None] * edges[face]).sum(axis=1)


@dataclass(frozen=True)
class Gap:
    """The frames between two labels, or before the first, or after the last."""

    before: int | None  # the label that it follows
    after: int | None  # the label that it leads to
    frames: int  # without a label
    farthest_px: float  # from the nearer label, of the median surface point, in pixels as wide as the flow's pictures


def surface_motion_px(here: LabelledSurface, there: LabelledSurface, camera: Camera) -> float:
    """How far the median surface point that one label sees moves to another label, in pixels."""
    batched = Camera(camera.intrinsics[None], camera.width, camera.height)
    face_ids = torch.from_numpy(here.face_ids)[None]
    fragments = Fragments.of(Raster(face_ids, torch.zeros(face_ids.shape)))
    if not fragments.covered.any():
        return 0.0
    points = seen_values(here.mesh, batched, fragments.face_ids, fragments.pixels, there.mesh.vertices)
    moved = (batched.project(points) - fragments.pixels).norm(dim=-1)
    return float(moved[fragments.covered].median())


class GapFollower:
    """Follows surface points from label to label through pictures that are given one after the other."""

    def __init__(self) -> None:
        self.gaps: list[Gap] = []
        self._leading: deque[UInt8[np.ndarray, "h w"]] = deque(maxlen=LEADING_FRAMES)
        self._label: int | None = None
        self._paths: list[Float[np.ndarray, "n 2"]] = []
        self._last: UInt8[np.ndarray, "h w"] | None = None
        self._passed = 0

    def add(self, number: int, grey: UInt8[np.ndarray, "h w"], label: LabelledSurface | None) -> None:
        """The next picture, and its label where it has one."""
        if self._label is not None and self._last is not None:
            self._paths.append(_moved(self._paths[-1], self._last, grey))
        if label is not None:
            self._end(after=number)
            points = _points_of(label)
            if self._label is None and self._leading:
                self.gaps[-1] = Gap(None, number, self._passed, self._backwards(points, grey))
            self._label, self._paths, self._passed = number, [points], 0
            self._leading.clear()
        else:
            self._passed += 1
            if self._label is None:
                self._leading.append(grey)
        self._last = grey

    def finish(self) -> None:
        """Close the gap after the last label, if there is one."""
        self._end(after=None)

    def _end(self, *, after: int | None) -> None:
        if self._passed:
            self.gaps.append(Gap(self._label, after, self._passed, _farthest(self._paths, between=after is not None)))

    def _backwards(self, points: Float[np.ndarray, "n 2"], grey: UInt8[np.ndarray, "h w"]) -> float:
        paths, last = [points], grey
        for earlier in reversed(self._leading):
            paths.append(_moved(paths[-1], last, earlier))
            last = earlier
        return _farthest(paths, between=False)


def _points_of(label: LabelledSurface) -> Float[np.ndarray, "n 2"]:
    v, u = np.nonzero(label.face_ids >= 0)
    chosen = np.linspace(0, max(len(u) - 1, 0), min(len(u), FOLLOWED_POINTS)).astype(int)
    return np.stack([u[chosen], v[chosen]], axis=-1).astype(np.float32)


def _moved(
    points: Float[np.ndarray, "n 2"], source: UInt8[np.ndarray, "h w"], destination: UInt8[np.ndarray, "h w"]
) -> Float[np.ndarray, "n 2"]:
    """Points moved along the optical flow between two pictures (dense inverse search, Kroeger et al. 2016)."""
    if not len(points):
        return points
    flow = np.asarray(
        cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST).calc(source, destination, np.array([]))
    )
    at = np.asarray(cv2.remap(flow, points[:, None, 0], points[:, None, 1], cv2.INTER_LINEAR))
    size = np.array([source.shape[1] - 1, source.shape[0] - 1], dtype=np.float32)
    return np.clip(points + at.reshape(-1, 2), 0, size).astype(np.float32)


def _farthest(paths: Sequence[Float[np.ndarray, "n 2"]], *, between: bool) -> float:
    """The largest median distance of the points from their places in the nearer label; `between`: of two labels."""
    if len(paths) < 2 or not len(paths[0]):
        return 0.0
    farthest = 0.0
    for number, points in enumerate(paths):
        label = paths[-1] if between and 2 * number > len(paths) - 1 else paths[0]
        farthest = max(farthest, float(np.median(np.linalg.norm(points - label, axis=-1))))
    return farthest
