"""How lenses bend pictures: the three models that `camera.json` names, on coordinates at depth 1.

* `opencv`: Brown's model and its extensions (OpenCV, "Camera Calibration and 3D Reconstruction": k1 k2 p1 p2 k3 k4 k5
  k6 s1 s2 s3 s4 τx τy), of 4, 5, 8, 12 or 14 coefficients.
* `fisheye`: Kannala and Brandt's model (2006) as `cv2.fisheye` has it: θ_d = θ(1 + k1 θ² + k2 θ⁴ + k3 θ⁶ + k4 θ⁸).
* `inverse-brown-conrady`: Brown's polynomial (k1 k2 p1 p2 k3) from the bent picture to the straight one, the other way
  round than in OpenCV (librealsense, `rs2_distortion`: "undistorts image instead of distorting it").
"""

from dataclasses import dataclass
from typing import Literal, get_args

import cv2
import numpy as np
from jaxtyping import Float

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
SOLVED = 1e-9  # at depth 1: a hundred-thousandth of a pixel
RIGHT_ANGLE = np.pi / 2


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
        """Where the lens puts points that a pinhole would put at `straight`, both at depth 1; NaN where nowhere."""
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
        """The angle from the axis (radians) of what a fisheye shows at that radius, at depth 1; NaN where nothing."""
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
