"""`camera.json`: the camera that took a recording, and the pinhole that its pictures are turned into."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8

from warpgrasp.data.recording.document import Entry, read_document, write_document
from warpgrasp.errors import DataError
from warpgrasp.geometry import Camera

FORMAT = "warpgrasp-camera-1"
FILE = "camera.json"
DISTORTION_COUNTS = (4, 5, 8, 12, 14)  # OpenCV's models
LARGEST_SIDE_PX = 16384
# Focal lengths outside these shares of the picture's width are fields of view of 1.4° and 157°: no hand is filmed so.
FOCAL_RANGE = (0.1, 40.0)


@dataclass(frozen=True)
class Lens:
    """A camera as calibrated, in OpenCV's conventions: pixel (0, 0) is the centre of the top-left pixel.

    Distorted pictures are undistorted on reading, to the pinhole with the *same* intrinsics: the middle of the picture
    stays as it is, and a barrel-shaped one loses some of its corners.
    """

    intrinsics: Float[np.ndarray, "3 3"]  # pixels
    width: int
    height: int
    distortion: tuple[float, ...] = ()  # k1 k2 p1 p2 k3 …, OpenCV's order

    @property
    def camera(self) -> Camera:
        """The pinhole of the pictures as they are read."""
        return Camera(torch.from_numpy(self.intrinsics).float(), self.width, self.height)

    @property
    def distorted(self) -> bool:
        """Whether pictures are undistorted."""
        return any(self.distortion)

    def undistorted(self, picture: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
        """The picture that the pinhole would have taken; black where the lens saw nothing."""
        if not self.distorted:
            return picture
        return np.asarray(cv2.remap(picture, *self._source_px, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT))

    @property
    def content(self) -> dict[str, Any]:
        """What `camera.json` says."""
        (fx, _, cx), (_, fy, cy) = self.intrinsics[:2].tolist()
        stated: dict[str, Any] = {"format": FORMAT, "width": self.width, "height": self.height}
        stated |= {"fx": fx, "fy": fy, "cx": cx, "cy": cy}
        return {**stated, "distortion": list(self.distortion)} if self.distortion else stated

    @cached_property
    def _source_px(self) -> tuple[np.ndarray, np.ndarray]:
        """Where each pixel of the pinhole's picture lies in the camera's own: u and v, (h, w) each."""
        size = (self.width, self.height)
        source_u, source_v = cv2.initUndistortRectifyMap(
            self.intrinsics, np.array(self.distortion), np.eye(3), self.intrinsics, size, cv2.CV_32FC1
        )
        return np.asarray(source_u), np.asarray(source_v)

    def folds(self) -> bool:
        """Whether the distortion turns the picture back on itself somewhere, as wrong coefficients do."""
        u, v = np.meshgrid(np.linspace(-0.5, self.width - 0.5, 65), np.linspace(-0.5, self.height - 0.5, 65))
        rays = np.stack([u, v, np.ones_like(u)], axis=-1) @ np.linalg.inv(self.intrinsics).T
        with np.errstate(all="ignore"):
            points, _ = cv2.projectPoints(
                rays.reshape(-1, 1, 3), np.zeros(3), np.zeros(3), self.intrinsics, np.array(self.distortion)
            )
            across, down = (
                np.diff(points.reshape(65, 65, 2), axis=1)[1:],
                np.diff(points.reshape(65, 65, 2), axis=0)[:, 1:],
            )
            area = across[..., 0] * down[..., 1] - across[..., 1] * down[..., 0]
        return not (np.isfinite(points).all() and (area > 0).all())


def read_lens(path: Path) -> Lens:
    """Read a camera file, or that of a recording's folder. Raises `DataError` naming the file and the fact."""
    return lens_of(read_document(path / FILE if path.is_dir() else path, FORMAT))


def lens_of(entry: Entry) -> Lens:
    """The lens that a camera file, or a part of another file, describes. Raises `DataError` naming it and the fact."""
    entry.only("format", "width", "height", "fx", "fy", "cx", "cy", "matrix", "distortion")
    width, height = (entry.whole(key, least=1, most=LARGEST_SIDE_PX) for key in ("width", "height"))
    distortion = tuple(float(value) for value in entry.numbers("distortion", (-1,))) if entry.has("distortion") else ()
    if distortion and len(distortion) not in DISTORTION_COUNTS:
        raise DataError(
            f"expected {', '.join(map(str, DISTORTION_COUNTS))} coefficients in OpenCV's order (k1 k2 p1 p2 k3 …) for "
            f"{entry.where('distortion')}, found {len(distortion)}"
        )
    lens = Lens(_intrinsics(entry), width, height, distortion)
    _check(lens, entry.path)
    return lens


def _intrinsics(entry: Entry) -> Float[np.ndarray, "3 3"]:
    names = ("fx", "fy", "cx", "cy")
    if not entry.has("matrix"):
        fx, fy, cx, cy = (entry.number(name) for name in names)
        return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], dtype=np.float64)
    if any(entry.has(name) for name in names):
        raise DataError(f"expected either matrix or fx, fy, cx, cy in {entry.path}, found both")
    matrix = entry.numbers("matrix", (3, 3))
    if matrix[0, 1] or matrix[1, 0] or (matrix[2] != [0, 0, 1]).any():
        raise DataError(
            f"expected a matrix [[fx, 0, cx], [0, fy, cy], [0, 0, 1]] in {entry.path}, found {matrix.tolist()}"
        )
    return matrix


def _check(lens: Lens, path: Path) -> None:
    focal_px = lens.intrinsics[[0, 1], [0, 1]]
    low, high = (share * lens.width for share in FOCAL_RANGE)
    if not ((focal_px > low) & (focal_px < high)).all():
        raise DataError(
            f"expected focal lengths in pixels between {low:g} and {high:g} for a picture {lens.width} wide in {path}, "
            f"found {focal_px[0]:g} and {focal_px[1]:g}"
        )
    centre_px = lens.intrinsics[:2, 2]
    if not ((centre_px > [0, 0]) & (centre_px < [lens.width, lens.height])).all():
        raise DataError(
            f"expected the principal point inside the picture of {lens.width}×{lens.height} in {path}, found "
            f"({centre_px[0]:g}, {centre_px[1]:g})"
        )
    if lens.distorted and lens.folds():
        raise DataError(
            f"expected a distortion that keeps the picture in order in {path}, found one that folds it; are the "
            f"coefficients in OpenCV's order (k1 k2 p1 p2 k3 …), and of this camera?"
        )


def write_lens(folder: Path, lens: Lens) -> None:
    """Write a recording's `camera.json`, whole or not at all."""
    write_document(folder / FILE, lens.content)
