"""Points of the object with the pixels in which they are seen: the pose that they fix, and those that do not fit it."""

from dataclasses import dataclass
from itertools import combinations

import cv2
import numpy as np
import torch
from jaxtyping import Float

from warpgrasp.annotate.edited_frame import PointPair
from warpgrasp.errors import UserError
from warpgrasp.geometry import Camera, matrix_from_axis_angle

FEWEST_PAIRS = 4
FEWEST_TO_DOUBT = 5  # with four, each of them may be the wrong one
MOST_WRONG = 3  # so many are looked for
CLICK_ERROR_SHARE = 0.004  # of the picture's width: how well a person clicks on the same point of mesh and picture
# In standard deviations of where the other pairs put a pair. On a box of 8 by 12 by 20 cm at half a metre, turned at
# random and clicked on 2.5 px off (640 px wide), 4 of 1000 right pairs of eight lie beyond, 22 of six and 10 of five;
# of 100 that are off by a tenth of the picture's width 98, 90 and 93.
LARGEST_DEVIATION = 5.0
# A pose that misses its own points by more than this share of the picture's width is no start.
LARGEST_MISS_SHARE = 0.05
UNKNOWNS = 6  # of a pose


@dataclass(frozen=True)
class PlacedObject:
    """The pose that pairs fix."""

    rotation: Float[np.ndarray, "3 3"]  # camera_from_object
    centre: Float[np.ndarray, " 3"]
    misses_px: Float[np.ndarray, " n"]  # how far each pair's point is seen from its pixel
    misfits: tuple[int, ...]  # the pairs, by position, that fit no pose that the others fit, and count for nothing


@dataclass(frozen=True)
class _Fit:
    turn: Float[np.ndarray, "3 1"]
    place: Float[np.ndarray, "3 1"]
    residuals_px: Float[np.ndarray, "n 2"]  # of all pairs
    jacobian: Float[np.ndarray, "n 2 6"]

    @property
    def misses_px(self) -> Float[np.ndarray, " n"]:
        return np.linalg.norm(self.residuals_px, axis=1)


@dataclass(frozen=True)
class _Pairs:
    points: Float[np.ndarray, "n 3"]
    pixels: Float[np.ndarray, "n 2"]
    matrix: Float[np.ndarray, "3 3"]

    def fit(self, chosen: list[int], *, refined: bool = True) -> _Fit | None:
        """Perspective-n-point by some of the pairs (OpenCV); None where it finds nothing in front of the camera."""
        points, pixels = self.points[chosen], self.pixels[chosen]
        try:
            solved, turn, place = cv2.solvePnP(points, pixels, self.matrix, None, flags=cv2.SOLVEPNP_SQPNP)
            if solved and refined:
                turn, place = cv2.solvePnPRefineLM(points, pixels, self.matrix, None, turn, place)
        except cv2.error:
            return None
        if not solved or not place[2, 0] > 0:
            return None
        projected, jacobian = cv2.projectPoints(self.points, turn, place, self.matrix, None)
        residuals = projected.reshape(-1, 2) - self.pixels
        return _Fit(turn, place, residuals, jacobian[:, :UNKNOWNS].reshape(-1, 2, UNKNOWNS))


def object_pose_from_pairs(pairs: tuple[PointPair, ...], camera: Camera) -> PlacedObject:
    """The object's rotation and centre from points of it and their pixels; pairs that do not fit the others are named.

    Raises `UserError` when there are fewer than four, or when no pose fits them.
    """
    if len(pairs) < FEWEST_PAIRS:
        raise UserError(f"expected at least {FEWEST_PAIRS} points of the object with their pixels, got {len(pairs)}")
    points, pixels = np.stack([pair.point for pair in pairs]), np.stack([pair.pixel for pair in pairs])
    clicked = _Pairs(points, pixels, camera.intrinsics.double().numpy())
    misfits = _misfits(clicked, CLICK_ERROR_SHARE * camera.width)
    kept = [number for number in range(len(pairs)) if number not in misfits]
    fit = clicked.fit(kept)
    if fit is None or not fit.misses_px[kept].mean() < LARGEST_MISS_SHARE * camera.width:
        away = "" if fit is None else f" ({fit.misses_px[kept].mean():.0f} px away on average)"
        raise UserError(
            f"expected points of one pose in front of the camera, found none that fits{away}; is a pair wrong, or are "
            f"all points in a line?"
        )
    rotation = matrix_from_axis_angle(torch.from_numpy(fit.turn[:, 0])).numpy()
    return PlacedObject(rotation, fit.place[:, 0], fit.misses_px, misfits)


def _misfits(clicked: _Pairs, error_px: float) -> tuple[int, ...]:
    """The pairs that lie far from where the others put them, of the fit that misses the fewest and those least.

    Up to `MOST_WRONG` of a third of the pairs are left out (least trimmed squares, all choices tried).
    """
    count = len(clicked.points)
    if count < FEWEST_TO_DOUBT:
        return ()
    left_out = min(count - FEWEST_PAIRS, max(count // 3, 1), MOST_WRONG)
    best, least = None, np.inf
    for chosen in combinations(range(count), count - left_out):
        fit = clicked.fit(list(chosen), refined=False)  # there are many
        if fit is not None and (cost := float(np.square(fit.misses_px[list(chosen)]).sum())) < least:
            best, least = list(chosen), cost
    if best is None:
        return ()
    return _far_off(clicked, best, error_px)


def _far_off(clicked: _Pairs, kept: list[int], error_px: float) -> tuple[int, ...]:
    """Take pairs that lie where the kept ones put them back in, the nearest first; those that remain are far off."""
    left = [number for number in range(len(clicked.points)) if number not in kept]
    while left:
        fit = clicked.fit(kept)
        if fit is None:
            return ()
        deviations = _deviations(fit, kept, left, error_px)
        nearest = int(np.argmin(deviations))
        if deviations[nearest] > LARGEST_DEVIATION:
            break
        kept = [*kept, left.pop(nearest)]
    return tuple(sorted(left))


def _deviations(fit: _Fit, kept: list[int], left: list[int], error_px: float) -> Float[np.ndarray, " m"]:
    """How far the left pairs are off, by what clicks on them and on the kept ones may miss (Mahalanobis)."""
    freedom = 2 * len(kept) - UNKNOWNS
    variance = max(error_px**2, float(np.square(fit.residuals_px[kept]).sum()) / freedom)
    jacobian = fit.jacobian[kept].reshape(-1, UNKNOWNS)
    spread = np.linalg.pinv(jacobian.T @ jacobian)
    covariance = variance * (np.eye(2) + fit.jacobian[left] @ spread @ fit.jacobian[left].transpose(0, 2, 1))
    residuals = fit.residuals_px[left]
    return np.sqrt(np.einsum("ni,ni->n", residuals, np.linalg.solve(covariance, residuals[..., None])[..., 0]))


class PairCheck:
    """What a frame's pairs fix, found once for the same pairs."""

    def __init__(self, camera: Camera):
        self._camera = camera
        self._of: tuple[PointPair, ...] = ()
        self._found: PlacedObject | None = None

    def of(self, pairs: tuple[PointPair, ...]) -> PlacedObject | None:
        """The pose that the pairs fix, or None where they fix none yet."""
        if pairs is not self._of:
            self._of = pairs
            try:
                self._found = object_pose_from_pairs(pairs, self._camera)
            except UserError:
                self._found = None
        return self._found


def says_misfits(placed: PlacedObject) -> str:
    """Which pairs do not fit, counted from 1, and how far they are off; nothing where all do."""
    if not placed.misfits:
        return ""
    fitting = np.delete(placed.misses_px, placed.misfits).mean()
    named = ", ".join(f"pair {number + 1} ({placed.misses_px[number]:.0f} px off)" for number in placed.misfits)
    verb = "does" if len(placed.misfits) == 1 else "do"
    return f"⚠️ {named} {verb} not fit the others ({fitting:.1f} px off on average)"
