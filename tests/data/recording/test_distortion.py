"""The distortion models against OpenCV's own functions, finite differences and numbers worked by hand."""

import cv2
import numpy as np
import pytest

from warpgrasp.data.recording.lens import Distortion, Lens

K = np.array([[160.0, 0, 161.25], [0, 158.0, 118.5], [0, 0, 1]])
FISHEYE = (-0.012, 0.008, -0.004, 0.0009)
INVERSE = (0.12, -0.05, 0.003, -0.002, 0.01)
POINTS = np.stack(np.meshgrid(np.linspace(-0.9, 0.8, 9), np.linspace(-0.7, 0.75, 7)), axis=-1).reshape(-1, 2)


def straightened(bent: np.ndarray, coefficients: tuple[float, ...]) -> np.ndarray:
    """Brown's polynomial, from bent to straight, as librealsense's documentation has it."""
    k1, k2, p1, p2, k3 = coefficients
    x, y = bent.T
    r2 = x * x + y * y
    radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
    return np.stack(
        [x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x), y * radial + 2 * p2 * x * y + p1 * (r2 + 2 * y * y)],
        axis=1,
    )


def test_fisheye_bends_as_opencv_does() -> None:
    rays = np.concatenate([POINTS, np.ones((len(POINTS), 1))], axis=1)[:, None]
    expected, _ = cv2.fisheye.projectPoints(rays, np.zeros(3), np.zeros(3), np.eye(3), np.array(FISHEYE))
    bent = Distortion("fisheye", FISHEYE).bent(POINTS)
    np.testing.assert_allclose(bent, expected.reshape(-1, 2), atol=1e-12)
    assert np.abs(bent - POINTS).max() > 0.1


def test_a_fisheye_without_coefficients_is_equidistant() -> None:
    """At 45° a pinhole's picture ends at f, a fisheye's at f·π/4."""
    distortion = Distortion("fisheye", (0.0, 0.0, 0.0, 0.0))
    assert distortion.bends
    np.testing.assert_allclose(
        distortion.bent(np.array([[1.0, 0.0], [0.0, 0.0]])), [[np.pi / 4, 0], [0, 0]], atol=1e-15
    )


def test_the_inverse_model_is_the_polynomials_inverse() -> None:
    bent = Distortion("inverse-brown-conrady", INVERSE).bent(POINTS)
    np.testing.assert_allclose(straightened(bent, INVERSE), POINTS, atol=1e-9)
    assert np.abs(bent - POINTS).max() > 0.02


def test_the_inverse_models_slope_is_the_polynomials_inverse_slope() -> None:
    step, distortion = 1e-5, Distortion("inverse-brown-conrady", INVERSE)
    bent = distortion.bent(POINTS)
    for axis in range(2):
        shift = step * np.eye(2)[axis]
        slope = (distortion.bent(POINTS + shift) - distortion.bent(POINTS - shift)) / (2 * step)
        # Moved along that slope, the polynomial's value moves by the step.
        moved = straightened(bent + step * slope, INVERSE) - straightened(bent - step * slope, INVERSE)
        np.testing.assert_allclose(moved, np.broadcast_to(2 * shift, moved.shape), atol=1e-9)


def test_the_inverse_model_says_where_there_is_nothing() -> None:
    """r(1 − r²) reaches 0.385 at most: a straight radius of 0.5 is seen nowhere."""
    bent = Distortion("inverse-brown-conrady", (-1.0, 0.0, 0.0, 0.0, 0.0)).bent(np.array([[0.3, 0.0], [0.5, 0.0]]))
    assert np.isfinite(bent[0]).all()
    assert np.isnan(bent[1]).all()
    assert not Lens(K, 320, 240, INVERSE, "inverse-brown-conrady").folds()
    assert Lens(K, 320, 240, (-1.0, 0.0, 0.0, 0.0, 0.0), "inverse-brown-conrady").folds()


def test_pictures_of_a_fisheye_are_straightened_as_opencv_does() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (30, 40, 3), dtype=np.uint8)
    picture = np.asarray(cv2.resize(picture, (320, 240), interpolation=cv2.INTER_CUBIC))
    maps = cv2.fisheye.initUndistortRectifyMap(K, np.array(FISHEYE), np.eye(3), K, (320, 240), cv2.CV_32FC1)
    expected = np.asarray(cv2.remap(picture, maps[0], maps[1], cv2.INTER_LINEAR)).astype(int)
    away = np.abs(Lens(K, 320, 240, FISHEYE, "fisheye").undistorted(picture).astype(int) - expected)
    assert away.max() <= 3  # OpenCV's maps are rounded to single precision on the way
    assert away.mean() < 0.05


def test_pictures_of_the_inverse_model_are_straightened() -> None:
    """A dot drawn where the polynomial's inverse puts it is moved to where the polynomial says."""
    v, u = np.mgrid[:240, :320]
    for bent in ((-0.7, -0.5), (0.6, 0.4), (0.2, -0.6)):
        seen = np.array(bent) * K[[0, 1], [0, 1]] + K[:2, 2]
        target = straightened(np.array([bent]), INVERSE)[0] * K[[0, 1], [0, 1]] + K[:2, 2]
        grey = np.exp(-((u - seen[0]) ** 2 + (v - seen[1]) ** 2) / (2 * 2.0**2))
        picture = np.repeat((255 * grey).round().astype(np.uint8)[..., None], 3, axis=2)
        shown = Lens(K, 320, 240, INVERSE, "inverse-brown-conrady").undistorted(picture)[..., 0].astype(float)
        centre = np.array([(shown * u).sum(), (shown * v).sum()]) / shown.sum()
        assert np.linalg.norm(centre - target) < 0.1
        assert np.linalg.norm(seen - target) > 1


def test_a_fisheyes_field_of_view() -> None:
    """Equidistant, 100 px for a radian: 314.16 px are 180°."""
    fisheye = np.array([[100.0, 0, 199.5], [0, 100.0, 49.5], [0, 0, 1]])
    across, down = Lens(fisheye, 400, 100, (0.0, 0.0, 0.0, 0.0), "fisheye").fisheye_field_deg
    assert across == pytest.approx(np.degrees(4), abs=0.1)
    assert down == pytest.approx(np.degrees(1), abs=0.1)
    # θ − θ³/3 turns back at one radian, 66.7 px: what lies farther out is black.
    assert np.isnan(Lens(fisheye, 400, 100, (-1 / 3, 0.0, 0.0, 0.0), "fisheye").fisheye_field_deg[0])
    assert Lens(fisheye, 400, 100, (-1 / 3, 0.0, 0.0, 0.0), "fisheye").folds()


@pytest.mark.parametrize(
    ("model", "coefficients"),
    [
        ("opencv", (-0.2, 0.05, 0.004, -0.003)),
        ("opencv", (-0.2, 0.05, 0.004, -0.003, 0.01, 0.1, 0.02, 0.01, 0.003, -0.001, 0.002, 0.0005)),
        ("inverse-brown-conrady", INVERSE),
        ("fisheye", FISHEYE),
    ],
)
@pytest.mark.parametrize("quarter_turns", [1, 2, 3])
def test_a_turned_lens_bends_turned_points(model, coefficients: tuple[float, ...], quarter_turns: int) -> None:
    """Turning clockwise by 90° carries (x, y) to (−y, x)."""
    distortion, turned = Distortion(model, coefficients), POINTS
    bent = distortion.bent(POINTS)
    for _ in range(quarter_turns):
        turned, bent = turned[:, ::-1] * [-1, 1], bent[:, ::-1] * [-1, 1]
    np.testing.assert_allclose(distortion.turned(quarter_turns).bent(turned), bent, atol=1e-8)
