"""Examines recordings: reads everything, lists it, and measures the evidence that pictures give photometry.

Texture and symmetry of the object decide whether pictures show that it moves. How far surfaces move between labels,
measured from the labels themselves and by optical flow, decides whether they can be followed.
"""

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8

from warpgrasp.data.recording.annotations import SIDES
from warpgrasp.data.recording.dataset import Recordings
from warpgrasp.data.recording.files import Recording, near_symmetries
from warpgrasp.data.recording.footage import count_as_said
from warpgrasp.data.recording.label_check import label_lines
from warpgrasp.frame import Annotation, FrameName, ObjectModel, pose_points
from warpgrasp.geometry import Camera, Mesh, join
from warpgrasp.hand import HandModel
from warpgrasp.progress import track
from warpgrasp.render import Fragments, Raster, rasterize, seen_values

LOOKED_AT_WIDTH_PX = 320  # of the pictures in which texture and motion are measured: what training sees is of this size
# An ordinary camera's noise is about two grey levels of 255: a surface whose brightness changes by less from pixel to
# pixel does not tell where it has gone.
FAINT_TEXTURE_LEVELS = 2.0
EDGE_PX = 2  # pixels beside the silhouette belong to the background in part
FEWEST_PIXELS = 25
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


def examine_recording(dataset: Recordings) -> Iterator[str]:
    """Lines about recordings; every frame and label is read. Raises `DataError` at the first that is broken."""
    dataset = dataset.as_shown()
    of_sides, annotated = [dataset.read_for(side) for side in SIDES], 0
    for name, recording in dataset.recordings.items():
        shown = [dataset] if recording.annotations.other is None else of_sides
        yield from (f"{name}: {line}" for line in _facts(recording))
        for one in shown:
            yield from (f"{name}: {line}" for line in label_lines(one, name))
        yield from (f"{name}: {line}" for line in _shape(recording))
        first = next((one for one in shown if one.recordings[name].labels), dataset)
        yield from (f"{name}: {line}" for line in _pictures(first, name, first.recordings[name]))
        annotated += sum(len(one.recordings[name].labels) for one in shown)
    yield (
        "nothing is missing"
        if annotated
        else "nothing is missing but labels (annotations.json), to train or to evaluate"
    )


def _facts(recording: Recording) -> Iterator[str]:
    footage, lens, model = recording.footage, recording.lens, recording.object.model
    numbers, times = footage.numbers, footage.times_s
    rate = ""
    if times is not None and len(times) > 1:
        steps = np.diff(times)
        steady = steps.max() - steps.min() < 0.5 * np.median(steps)
        rate = f", {times[-1]:.1f} s, {1 / np.median(steps):.2f} per second" + ("" if steady else " (varying)")
    yield f"{len(numbers)} frames, {numbers[0]} to {numbers[-1]}{rate}, in {footage.file_of(numbers[0]).name}"
    count_as_said(footage)
    yield from (f"warning: {notice}" for notice in footage.notices)
    fx, fy, cx, cy = (lens.intrinsics[row, column] for row, column in ((0, 0), (1, 1), (0, 2), (1, 2)))
    named = "" if lens.model == "opencv" else f" of the model {lens.model}"
    bent = f"; undistorted from {len(lens.distortion)} coefficients{named}" if lens.distorted else ""
    bent += "" if lens.principal_point_inside else "; the axis lies outside the picture, as of a crop"
    yield f"camera {lens.width}×{lens.height}, fx {fx:.1f}, fy {fy:.1f}, centre ({cx:.1f}, {cy:.1f}) px{bent}"
    size = " × ".join(f"{1000 * float(side):.0f}" for side in model.vertices.amax(dim=0) - model.vertices.amin(dim=0))
    yield f"object {model.name}, {size} mm, {len(model.vertices)} vertices, {len(model.faces)} faces"


def _shape(recording: Recording) -> Iterator[str]:
    symmetry = recording.object.symmetry
    if symmetry is not None:
        fold = "any angle" if symmetry.fold is None else f"1/{symmetry.fold} of a turn"
        yield (
            f"warning: the object looks the same turned by {fold} about its {symmetry.axis} axis (object.json): "
            f"neither pictures nor labels tell these turns apart, and errors of rotation mean little"
        )
    for like in near_symmetries(recording.object.model):
        if symmetry is None or symmetry.axis != like.axis:
            turn = "at any angle" if like.turn_deg is None else f"turned by {like.turn_deg:.0f}°"
            yield (
                f"warning: the object's shape is nearly the same {turn} about its {like.axis} axis: only its texture "
                f"tells these turns apart; declare the symmetry in object.json if it does not"
            )


def _pictures(dataset: Recordings, name: str, recording: Recording) -> Iterator[str]:
    """Read every picture once, in order; look at the labelled ones, and follow their surfaces through the others."""
    width = min(LOOKED_AT_WIDTH_PX, recording.lens.width)
    height = max(1, round(recording.lens.height * width / recording.lens.width))
    camera, scale = recording.lens.camera.resized(width, height), recording.lens.width / width
    follower, textures = GapFollower(), []
    before: tuple[int, LabelledSurface] | None = None
    moves: list[tuple[float, int, int]] = []
    pictures: dict[bytes, int] = {}
    repeated: list[tuple[int, int]] = []
    for number in track(recording.footage.numbers, description=f"read {name}", transient=True):
        picture = recording.picture(number)
        same = pictures.setdefault(hashlib.blake2b(picture.tobytes(), digest_size=16).digest(), number)
        repeated += [(same, number)] if same != number else []
        grey = _grey(picture, width, height)
        label = None
        if number in recording.labels:
            truth = dataset.truth(FrameName(name, number))
            label = LabelledSurface.of(truth.annotation, truth.object, dataset.hand_of(name), camera)
            textures.append((texture_levels(grey, label.shows_object), number))
            if before is not None:
                moves.append((scale * surface_motion_px(before[1], label, camera), before[0], number))
            before = (number, label)
        follower.add(number, grey, label)
    follower.finish()
    if repeated and recording.footage.times_s is None:
        yield (
            f"warning: copies of other pictures: {len(repeated)}, the first frame {repeated[0][1]}, a copy of "
            f"{repeated[0][0]}; if frames were repeated to keep a rate, remove the copies and keep the other numbers, "
            f"which tell the time"
        )
    if recording.labels:
        yield from _texture_lines(textures)
        yield from _motion_lines(follower, moves, camera, scale)


def _grey(picture: UInt8[np.ndarray, "h w 3"], width: int, height: int) -> UInt8[np.ndarray, "h w"]:
    small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY))


def _texture_lines(textures: list[tuple[float | None, int]]) -> Iterator[str]:
    hidden = [frame for levels, frame in textures if levels is None]
    seen = [levels for levels, _ in textures if levels is not None]
    if hidden:
        yield f"warning: nearly nothing of the object is seen in {len(hidden)} labelled frames, the first {hidden[0]}"
    if seen:
        typical = float(np.median(seen))
        yield f"texture on the object: brightness changes by {typical:.1f} of 255 levels from pixel to pixel"
        if typical < FAINT_TEXTURE_LEVELS:
            yield (
                f"warning: the object has hardly any texture (below {FAINT_TEXTURE_LEVELS:g} levels): photometry does "
                f"not see it move; stick a pattern on it, or label more frames"
            )


def _motion_lines(
    follower: GapFollower, moves: list[tuple[float, int, int]], camera: Camera, scale: float
) -> Iterator[str]:
    limit_px = LARGEST_SHARE_OF_WIDTH * camera.width * scale
    if moves:
        farthest, first, second = max(moves)
        typical = float(np.median([move for move, _, _ in moves]))
        yield (
            f"between neighbouring labels surfaces move by {typical:.0f} px (median), "
            f"{farthest:.0f} px at most (frames {first} to {second})"
        )
    gaps = [(scale * gap.farthest_px, gap) for gap in follower.gaps]
    if gaps:
        longest = max(gap.frames for _, gap in gaps)
        yield (
            f"gaps between labels: {len(gaps)}, at most {longest} frames; followed by optical flow, surfaces "
            f"go at most {max(distance for distance, _ in gaps):.0f} px from the nearer label"
        )
    for distance, gap in gaps:
        if distance > limit_px:
            place = (
                f"before frame {gap.after}"
                if gap.before is None
                else f"after frame {gap.before}"
                if gap.after is None
                else f"between frames {gap.before} and {gap.after}"
            )
            yield (
                f"warning: {place} surfaces go about {distance:.0f} px from the nearer label, more than photometry "
                f"bridges well ({limit_px:.0f} px, a tenth of the width): label a frame there"
            )
