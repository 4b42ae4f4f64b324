"""The lens of a camera, and how it bends pictures: three models, on coordinates at depth 1.

* `opencv`: Brown's model and its extensions (OpenCV, "Camera Calibration and 3D Reconstruction": k1 k2 p1 p2 k3 k4 k5
  k6 s1 s2 s3 s4 τx τy), of 4, 5, 8, 12 or 14 coefficients.
* `fisheye`: Kannala and Brandt's model (2006) as `cv2.fisheye` has it: θ_d = θ(1 + k1 θ² + k2 θ⁴ + k3 θ⁶ + k4 θ⁸).
* `inverse-brown-conrady`: Brown's polynomial (k1 k2 p1 p2 k3) from the bent picture to the straight one, the other way
  round than in OpenCV (librealsense, `rs2_distortion`: "undistorts image instead of distorting it").
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, get_args

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8

from warpgrasp.geometry import Camera

CAMERA_FORMAT = "warpgrasp-camera-1"  # of `camera.json`
OFF_CENTRE = 0.2  # of the picture's side: no whole sensor's principal point is so far from the middle
ROWS_AT_ONCE = 64  # what is computed for a picture of any size fits into some megabytes
DistortionModel = Literal["opencv", "fisheye", "inverse-brown-conrady"]
MODELS: tuple[DistortionModel, ...] = get_args(DistortionModel)
COUNTS: dict[DistortionModel, tuple[int, ...]] = {
    "opencv": (4, 5, 8, 12, 14),
    "fisheye": (4,),
    "inverse-brown-conrady": (5,),
}
ORDERS: dict[DistortionModel, str] = {
    "opencv": "OpenCV's order (k1 k2 p1 p2 k3 …)",
    "fisheye": "the order of cv2.fisheye (k1 k2 k3 k4)",
    "inverse-brown-conrady": "RealSense's order (k1 k2 p1 p2 k3)",
}
NEWTON_STEPS = 30
CONVERGED = 1e-14
SLOPE_STEP_PX, FOUND_PX = 0.01, 1e-4  # of the inverse in pixels: by which slopes are measured, and that it may miss
SOLVED = 1e-9  # at depth 1: a hundred-thousandth of a pixel


@dataclass(frozen=True)
class Distortion:
    """A model and its coefficients."""

    model: DistortionModel = "opencv"
    coefficients: tuple[float, ...] = ()

    @property
    def bends(self) -> bool:
        """Whether pictures change at all; a fisheye's do even when its coefficients are 0."""
        return self.model == "fisheye" or any(self.coefficients)

    def bent(self, straight: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
        """Where the lens puts points that a pinhole would put at `straight`, both at depth 1; NaN if it cannot."""
        match self.model:
            case "opencv":
                return self._bent_by_opencv(straight)
            case "fisheye":
                radius = np.linalg.norm(straight, axis=1)
                ratio = np.divide(self._fisheye(np.arctan(radius)), radius, out=np.ones_like(radius), where=radius > 0)
                return straight * ratio[:, None]
            case "inverse-brown-conrady":
                return self._solved_for_bent(straight)

    def turned(self, quarter_turns: int) -> "Distortion":
        """The distortion of the picture turned clockwise by quarter turns.

        A quarter turn carries (x, y) to (−y, x), so that (p1, p2) become (p2, −p1), and the thin prism's
        (s1, s2, s3, s4) become (−s3, −s4, s1, s2); the radial part stays. Raises `ValueError` for a tilted sensor.
        """
        if self.model == "fisheye" or not self.coefficients:
            return self
        k1, k2, p1, p2, *more = self.coefficients
        if len(more) == 10 and any(more[8:]):
            raise ValueError("a tilted sensor (14 coefficients) cannot be turned")
        for _ in range(quarter_turns % 4):
            p1, p2 = p2, -p1
            if len(more) >= 8:
                more[4:8] = [-more[6], -more[7], more[4], more[5]]
        return Distortion(self.model, (k1, k2, p1, p2, *more))

    def fisheye_angle(self, bent_radius: float) -> float:
        """The angle from the axis (radians) that a fisheye shows at that radius, at depth 1; NaN beyond its circle."""
        angles = np.linspace(0, np.pi, 3001)
        with np.errstate(all="ignore"):
            radii = self._fisheye(angles)
        rising = int(np.argmax(np.append(np.diff(radii) <= 0, True)))  # the last angle before it turns back
        if bent_radius > radii[rising]:
            return float("nan")
        return float(np.interp(bent_radius, radii[: rising + 1], angles[: rising + 1]))

    def _bent_by_opencv(self, straight: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
        rays = np.concatenate([straight, np.ones((len(straight), 1))], axis=1)[:, None]
        coefficients = np.array(self.coefficients) if self.coefficients else None
        points, _ = cv2.projectPoints(rays, np.zeros(3), np.zeros(3), np.eye(3), coefficients)
        return np.asarray(points, dtype=np.float64).reshape(-1, 2)

    def _fisheye(self, angle: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        k1, k2, k3, k4 = self.coefficients
        square = angle**2
        return angle * (1 + square * (k1 + square * (k2 + square * (k3 + square * k4))))

    def _solved_for_bent(self, straight: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
        """Newton's method on Brown's polynomial, from the straight points."""
        bent = straight.copy()
        with np.errstate(all="ignore"):
            for _ in range(NEWTON_STEPS):
                value, slope = _brown(bent, self.coefficients)
                missing, (xx, xy, yy) = straight - value, slope
                if np.abs(missing).max(initial=0) < CONVERGED:
                    break
                determinant = xx * yy - xy**2
                bent = (
                    bent
                    + np.stack(
                        [yy * missing[:, 0] - xy * missing[:, 1], xx * missing[:, 1] - xy * missing[:, 0]], axis=1
                    )
                    / determinant[:, None]
                )
            off = np.abs(_brown(bent, self.coefficients)[0] - straight).max(axis=1)
        return np.where((off < SOLVED * (1 + np.abs(straight).max(axis=1)))[:, None], bent, np.nan)


def _brown(
    points: Float[np.ndarray, "n 2"], coefficients: tuple[float, ...]
) -> tuple[Float[np.ndarray, "n 2"], tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Brown's polynomial (k1 k2 p1 p2 k3) and its derivatives ∂x/∂x, ∂x/∂y = ∂y/∂x, ∂y/∂y."""
    k1, k2, p1, p2, k3 = coefficients
    x, y = points[:, 0], points[:, 1]
    r2 = x**2 + y**2
    radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    rate = k1 + r2 * (2 * k2 + r2 * 3 * k3)  # by r²
    value_x = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x**2)
    value_y = y * radial + p1 * (r2 + 2 * y**2) + 2 * p2 * x * y
    slope_xx = radial + 2 * x**2 * rate + 2 * p1 * y + 6 * p2 * x
    slope_xy = 2 * x * y * rate + 2 * p1 * x + 2 * p2 * y
    slope_yy = radial + 2 * y**2 * rate + 6 * p1 * y + 2 * p2 * x
    return np.stack([value_x, value_y], axis=1), (slope_xx, slope_xy, slope_yy)


@dataclass(frozen=True)
class Lens:
    """A camera as calibrated, in OpenCV's conventions: pixel (0, 0) is the centre of the top-left pixel.

    Distorted pictures are undistorted on reading, to the pinhole with the *same* intrinsics: the middle of the picture
    stays as it is, and a barrel-shaped picture loses some of its corners.
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
    def size_by_centre(self) -> tuple[int, int] | None:
        """The (width, height) in whose middle the principal point lies; None where that is about the lens's own."""
        across, down = (max(1, round(2 * place + 1)) for place in self.intrinsics[:2, 2])
        off = max(abs(across / self.width - 1), abs(down / self.height - 1)) / 2
        return (across, down) if off > OFF_CENTRE else None

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
        stated: dict[str, Any] = {"format": CAMERA_FORMAT, "width": self.width, "height": self.height}
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
        """Whether the axis meets the picture; it does not in a crop that lies beside the axis."""
        across, down = self.intrinsics[:2, 2]
        return bool(-0.5 <= across <= self.width - 0.5 and -0.5 <= down <= self.height - 0.5)

    @property
    def fisheye_field_deg(self) -> tuple[float, float]:
        """A fisheye's angles of view along the principal point's row and column; NaN if its circle ends earlier."""
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
            # Pixels whose source is NaN get a place outside of the picture, where cv2.remap leaves black.
            source_px = np.nan_to_num(self._bent_px(u, v), nan=-1e6).clip(-1e6, 1e6)
            source_u[top : top + len(rows)], source_v[top : top + len(rows)] = source_px[..., 0], source_px[..., 1]
        return source_u, source_v

    def _bent_px(self, u: Float[np.ndarray, "h w"], v: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w 2"]:
        """Where the lens shows what the pinhole shows at pixels (u, v)."""
        focal_px, centre_px = self.intrinsics[[0, 1], [0, 1]], self.intrinsics[:2, 2]
        straight = (np.stack([u, v], axis=-1).reshape(-1, 2) - centre_px) / focal_px
        return (self._bending.bent(straight) * focal_px + centre_px).reshape(*u.shape, 2)

    def bent_px(self, straight_px: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
        """The pixels of the camera's own picture that show what the pinhole's shows at others; NaN if it shows none."""
        if not self.distorted:
            return straight_px
        return self._bent_px(straight_px[:, :1], straight_px[:, 1:])[:, 0]

    def straight_px(self, bent_px: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
        """The pixels of the pinhole's picture that show what the camera's own shows at others; NaN if it shows none.

        The inverse of `bent_px`, by Newton's method from the same pixels.
        """
        if not self.distorted:
            return bent_px
        straight, steps = bent_px.astype(np.float64), SLOPE_STEP_PX * np.eye(2)
        with np.errstate(all="ignore"):
            for _ in range(NEWTON_STEPS):
                missing = self.bent_px(straight) - bent_px
                sides = [(self.bent_px(straight + step) - self.bent_px(straight - step)) for step in steps]
                (xx, yx), (xy, yy) = (side.T / (2 * SLOPE_STEP_PX) for side in sides)
                change = np.stack([yy * missing[:, 0] - xy * missing[:, 1], xx * missing[:, 1] - yx * missing[:, 0]])
                straight = straight - (change / (xx * yy - xy * yx)).T
            off_px = np.abs(self.bent_px(straight) - bent_px).max(axis=1)
        return np.where((off_px < FOUND_PX)[:, None], straight, np.nan)

    def folds(self) -> bool:
        """Whether the distortion turns the picture back on itself somewhere, as wrong coefficients do."""
        u, v = np.meshgrid(np.linspace(-0.5, self.width - 0.5, 65), np.linspace(-0.5, self.height - 0.5, 65))
        with np.errstate(all="ignore"):
            points = self._bent_px(u, v)
            across, down = np.diff(points, axis=1)[1:], np.diff(points, axis=0)[:, 1:]
            area = across[..., 0] * down[..., 1] - across[..., 1] * down[..., 0]
        return not (np.isfinite(points).all() and (area > 0).all())
