"""`camera.json`: the camera that took a recording, and the pinhole that its pictures are turned into."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8

from warpgrasp.checked import Entry, read_json_object
from warpgrasp.data.recording.distortion import COUNTS, MODELS, ORDERS, Distortion, DistortionModel
from warpgrasp.errors import DataError
from warpgrasp.files import write_document
from warpgrasp.geometry import Camera

FORMAT = "warpgrasp-camera-1"
FILE = "camera.json"
RECORDING_PAGE = "docs/datasets.md#your-own-recording"
LARGEST_SIDE_PX = 16384
LONGEST_SOURCE = 1000  # characters
ROWS_AT_ONCE = 64  # what is computed for a picture of any size fits into some megabytes
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
    distortion: tuple[float, ...] = ()  # in the order of the model
    model: DistortionModel = "opencv"
    source: str | None = None  # where the camera comes from, in words

    @property
    def camera(self) -> Camera:
        """The pinhole of the pictures as they are read."""
        return Camera(torch.from_numpy(self.intrinsics).float(), self.width, self.height)

    @property
    def distorted(self) -> bool:
        """Whether pictures are undistorted."""
        return self._bending.bends

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
        stated |= {"distortion": list(self.distortion)} if self.distortion else {}
        stated |= {"model": self.model} if self.model != "opencv" else {}
        return {**stated, "source": self.source} if self.source else stated

    def cropped(self, left: int, top: int, width: int, height: int) -> "Lens":
        """The lens of a part of the picture, whose top-left pixel is (left, top)."""
        shift = np.array([[0, 0, left], [0, 0, top], [0, 0, 0]], dtype=np.float64)
        return replace(self, intrinsics=self.intrinsics - shift, width=width, height=height)

    def resized(self, width: int, height: int) -> "Lens":
        """The lens of the picture at another size: a point x moves to s(x + 0.5) − 0.5."""
        across, down = width / self.width, height / self.height
        change = np.array([[across, 0, (across - 1) / 2], [0, down, (down - 1) / 2], [0, 0, 1]])
        return replace(self, intrinsics=change @ self.intrinsics, width=width, height=height)

    def turned(self, clockwise_deg: int) -> "Lens":
        """The lens of the picture turned clockwise by a multiple of 90°. Raises `ValueError` for a tilted sensor."""
        lens = replace(self, distortion=self._bending.turned(clockwise_deg // 90).coefficients)
        for _ in range(clockwise_deg // 90 % 4):
            (fx, _, cx), (_, fy, cy) = lens.intrinsics[:2].tolist()
            turned = np.array([[fy, 0, lens.height - 1 - cy], [0, fx, cx], [0, 0, 1]], dtype=np.float64)
            lens = replace(lens, intrinsics=turned, width=lens.height, height=lens.width)
        return lens

    @property
    def principal_point_inside(self) -> bool:
        """Whether the axis meets the picture; it does not in a crop from beside the axis."""
        across, down = self.intrinsics[:2, 2]
        return bool(-0.5 <= across <= self.width - 0.5 and -0.5 <= down <= self.height - 0.5)

    @property
    def fisheye_field_deg(self) -> tuple[float, float]:
        """What a fisheye sees along the row and the column of the principal point; NaN where its circle ends before."""
        fields = []
        for axis, size in enumerate((self.width, self.height)):
            focal_px, centre_px = self.intrinsics[axis, axis], self.intrinsics[axis, 2]
            ends = [(edge - centre_px) / focal_px for edge in (-0.5, size - 0.5)]
            angles = [np.sign(end) * self._bending.fisheye_angle(abs(end)) for end in ends]
            fields.append(float(np.degrees(angles[1] - angles[0])))
        return fields[0], fields[1]

    @property
    def _bending(self) -> Distortion:
        return Distortion(self.model, self.distortion)

    @cached_property
    def _source_px(self) -> tuple[np.ndarray, np.ndarray]:
        """Where each pixel of the pinhole's picture lies in the camera's own: u and v, (h, w) each."""
        if self.model == "opencv":
            size = (self.width, self.height)
            source_u, source_v = cv2.initUndistortRectifyMap(
                self.intrinsics, np.array(self.distortion), np.eye(3), self.intrinsics, size, cv2.CV_32FC1
            )
            return np.asarray(source_u), np.asarray(source_v)
        source_u, source_v = (np.empty((self.height, self.width), np.float32) for _ in range(2))
        for top in range(0, self.height, ROWS_AT_ONCE):
            rows = np.arange(top, min(top + ROWS_AT_ONCE, self.height), dtype=np.float64)
            u, v = np.meshgrid(np.arange(self.width, dtype=np.float64), rows)
            # cv2.remap leaves black what is asked for outside of the picture; NaN is nowhere.
            source_px = np.nan_to_num(self._bent_px(u, v), nan=-1e6).clip(-1e6, 1e6)
            source_u[top : top + len(rows)], source_v[top : top + len(rows)] = source_px[..., 0], source_px[..., 1]
        return source_u, source_v

    def _bent_px(self, u: Float[np.ndarray, "h w"], v: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w 2"]:
        """Where the lens shows what the pinhole shows at pixels (u, v)."""
        focal_px, centre_px = self.intrinsics[[0, 1], [0, 1]], self.intrinsics[:2, 2]
        straight = (np.stack([u, v], axis=-1).reshape(-1, 2) - centre_px) / focal_px
        return (self._bending.bent(straight) * focal_px + centre_px).reshape(*u.shape, 2)

    def folds(self) -> bool:
        """Whether the distortion turns the picture back on itself somewhere, as wrong coefficients do."""
        u, v = np.meshgrid(np.linspace(-0.5, self.width - 0.5, 65), np.linspace(-0.5, self.height - 0.5, 65))
        with np.errstate(all="ignore"):
            points = self._bent_px(u, v)
            across, down = np.diff(points, axis=1)[1:], np.diff(points, axis=0)[:, 1:]
            area = across[..., 0] * down[..., 1] - across[..., 1] * down[..., 0]
        return not (np.isfinite(points).all() and (area > 0).all())


def read_lens(path: Path) -> Lens:
    """Read a camera file, or that of a recording's folder. Raises `DataError` naming the file and the fact."""
    return lens_of(read_json_object(path / FILE if path.is_dir() else path, FORMAT, see=RECORDING_PAGE))


def lens_of(entry: Entry) -> Lens:
    """The lens that a camera file, or a part of another file, describes. Raises `DataError` naming it and the fact."""
    lens = stated_lens(entry)
    check_lens(lens, entry.path)
    return lens


def stated_lens(entry: Entry) -> Lens:
    """The lens as it is stated, of which a part may be one for us where the whole is not (`check_lens`)."""
    entry.only("format", "width", "height", "fx", "fy", "cx", "cy", "matrix", "distortion", "model", "source")
    width, height = (entry.whole(key, least=1, most=LARGEST_SIDE_PX) for key in ("width", "height"))
    model = entry.choice("model", MODELS) if entry.has("model") else "opencv"
    source = entry.text("source")[:LONGEST_SOURCE] if entry.has("source") else None
    return Lens(_intrinsics(entry), width, height, _coefficients(entry, model), model, source)


def _coefficients(entry: Entry, model: DistortionModel) -> tuple[float, ...]:
    # A fisheye without coefficients would still be no pinhole: they are stated, or the file is incomplete.
    stated = entry.has("distortion") or model != "opencv"
    coefficients = tuple(float(value) for value in entry.numbers("distortion", (-1,))) if stated else ()
    if (coefficients or model != "opencv") and len(coefficients) not in COUNTS[model]:
        raise DataError(
            f"expected {', '.join(map(str, COUNTS[model]))} coefficients in {ORDERS[model]} for "
            f"{entry.where('distortion')}, found {len(coefficients)}"
        )
    return coefficients


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


def check_lens(lens: Lens, path: Path) -> None:
    """Refuse what no lens is. Raises `DataError` naming the file it comes from and the fact."""
    focal_px = lens.intrinsics[[0, 1], [0, 1]]
    low, high = (share * lens.width for share in FOCAL_RANGE)
    if not ((focal_px > low) & (focal_px < high)).all():
        raise DataError(
            f"expected focal lengths in pixels between {low:g} and {high:g} for a picture {lens.width} wide in {path}, "
            f"found {focal_px[0]:g} and {focal_px[1]:g}"
        )
    centre_px = lens.intrinsics[:2, 2]
    if not (np.abs(centre_px) <= LARGEST_SIDE_PX).all():  # outside the picture it is that of a crop
        raise DataError(
            f"expected a principal point within {LARGEST_SIDE_PX} pixels of the picture in {path}, found "
            f"({centre_px[0]:g}, {centre_px[1]:g})"
        )
    if lens.model == "fisheye":
        _check_field(lens, path)
    if lens.distorted and lens.folds():
        raise DataError(
            f"expected a distortion that keeps the picture in order in {path}, found one that folds it; are the "
            f"coefficients in {ORDERS[lens.model]}, and of this camera?"
        )


def _check_field(lens: Lens, path: Path) -> None:
    fields_deg = [field for field in lens.fisheye_field_deg if field > 180]
    if fields_deg:
        raise DataError(
            f"expected a fisheye that sees at most 180° across in {path}, found {fields_deg[0]:.0f}°: pictures are "
            f"turned into a pinhole's, which sees less; crop the video to its middle, and its camera by `warpgrasp "
            f"camera --from {path.name} --crop X Y WIDTH HEIGHT`"
        )


def write_lens(folder: Path, lens: Lens) -> None:
    """Write a recording's `camera.json`, whole or not at all."""
    write_document(folder / FILE, lens.content)
