"""How far surfaces move in the pictures between labels: from the labels themselves, and followed by optical flow."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8

from warpgrasp.data.recording.sight import LabelledSurface
from warpgrasp.geometry import Camera
from warpgrasp.render import Fragments, Raster, seen_values

FOLLOWED_POINTS = 300
# Frames before the first label are followed backwards, from memory: at most this many, 60 kB each.
LEADING_FRAMES = 600
# Photometry halves the object's error in the sample, where surface points move by up to a tenth of the picture's width
# (95th percentile) from their label, and hardly gains where they move farther (docs/results.md).
LARGEST_SHARE_OF_WIDTH = 0.1


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
        """No picture follows."""
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
    """Points carried along by dense inverse search flow (Kroeger et al. 2016)."""
    if not len(points):
        return points
    flow = np.asarray(
        cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST).calc(source, destination, np.array([]))
    )
    at = np.asarray(cv2.remap(flow, points[:, None, 0], points[:, None, 1], cv2.INTER_LINEAR))
    size = np.array([source.shape[1] - 1, source.shape[0] - 1], dtype=np.float32)
    return np.clip(points + at.reshape(-1, 2), 0, size).astype(np.float32)


def _farthest(paths: Sequence[Float[np.ndarray, "n 2"]], *, between: bool) -> float:
    """How far the median point goes from where it is in the nearer label: at the first place, or also at the last."""
    if len(paths) < 2 or not len(paths[0]):
        return 0.0
    farthest = 0.0
    for number, points in enumerate(paths):
        label = paths[-1] if between and 2 * number > len(paths) - 1 else paths[0]
        farthest = max(farthest, float(np.median(np.linalg.norm(points - label, axis=-1))))
    return farthest
