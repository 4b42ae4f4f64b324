"""A lens fitted to views of a flat board (Zhang 2000), by OpenCV, with as few coefficients as the views need.

The smallest number of coefficients is taken that explains views to which the lens was not fitted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from jaxtyping import Float
from scipy.optimize import least_squares

from warpgrasp.data.recording.lens import Distortion, Lens

# How a lens may be described: by none of OpenCV's coefficients, k1 k2 p1 p2, k3 too, k4 k5 k6 too, or cv2.fisheye's.
Coefficients = Literal[0, 4, 5, 8, "fisheye"]
MODELS: dict[Coefficients, int] = {
    0: cv2.CALIB_ZERO_TANGENT_DIST | cv2.CALIB_FIX_K1 | cv2.CALIB_FIX_K2 | cv2.CALIB_FIX_K3,
    4: cv2.CALIB_FIX_K3,
    5: 0,
    8: cv2.CALIB_RATIONAL_MODEL,
}
FISHEYE_STARTS = (1 / np.pi, 0.6)  # focal lengths, as shares of the longer side
CLOSE_PX = 1.0  # no other start is tried after a fit this close
STOP = (cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, 60, 1e-9)
FISHEYE_FLAGS = ("CALIB_USE_INTRINSIC_GUESS", "CALIB_RECOMPUTE_EXTRINSIC", "CALIB_FIX_SKEW")


@dataclass(frozen=True)
class BoardView:
    """The inner corners of the board in one picture, row by row."""

    picture: str
    corners_px: Float[np.ndarray, "n 2"]


class NoSolution(Exception):  # noqa: N818 - it is no error of the user's
    """No lens follows from these views with this model."""


@dataclass(frozen=True)
class BoardSolution:
    """A fitted lens."""

    lens: Lens
    error_px: float  # root mean square distance of the corners from where the lens shows them
    view_errors_px: tuple[float, ...]
    focal_deviation: float  # one standard deviation of fx or fy as a share of it, the larger; NaN for fisheyes
    normals: Float[np.ndarray, "n 3"]  # of the boards, in the camera's frame


def board_points(corners: tuple[int, int]) -> Float[np.ndarray, "n 3"]:
    """The board's inner corners (columns, rows), row by row, in squares."""
    columns, rows = corners
    points = np.zeros((columns * rows, 3))
    points[:, :2] = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).reshape(-1, 2)
    return points


def facing(view: BoardView, corners: tuple[int, int]) -> BoardView:
    """The view with its corners counted so that the board is seen from its front.

    With the corners counted the other way round, a plane seen from behind fits as well; its normal would then say that
    the board was turned over.
    """
    grid = view.corners_px.reshape(corners[1], corners[0], 2)
    along, down = (grid[:, 1:] - grid[:, :-1]).mean(axis=(0, 1)), (grid[1:] - grid[:-1]).mean(axis=(0, 1))
    if along[0] * down[1] - along[1] * down[0] >= 0:
        return view
    return BoardView(view.picture, grid[:, ::-1].reshape(-1, 2))


def solve(
    views: Sequence[BoardView], corners: tuple[int, int], size: tuple[int, int], coefficients: Coefficients
) -> BoardSolution:
    """The lens of a model that sees the boards best. Raises `NoSolution` when none follows."""
    solution = (
        _fisheye(views, corners, size) if coefficients == "fisheye" else _brown(views, corners, size, coefficients)
    )
    if not (np.isfinite(solution.lens.intrinsics).all() and np.isfinite(solution.lens.distortion).all()):
        raise NoSolution
    return solution


def _brown(
    views: Sequence[BoardView], corners: tuple[int, int], size: tuple[int, int], coefficients: Literal[0, 4, 5, 8]
) -> BoardSolution:
    points = [view.corners_px.astype(np.float32)[:, None] for view in views]
    board = board_points(corners).astype(np.float32)
    # Start from a usual field of view: OpenCV's own start divides by a number that is zero for boards that lie alike.
    start = np.array([[size[0], 0, (size[0] - 1) / 2], [0, size[0], (size[1] - 1) / 2], [0, 0, 1]], dtype=np.float64)
    flags = MODELS[coefficients] | cv2.CALIB_USE_INTRINSIC_GUESS
    try:
        error, matrix, distortion, turns, _, deviations, _, errors = cv2.calibrateCameraExtended(
            [board] * len(views), points, size, start, np.zeros(8), flags=flags, criteria=STOP
        )
    except cv2.error as failure:
        raise NoSolution from failure
    lens = Lens(matrix, *size, tuple(map(float, distortion.ravel()[:coefficients])))
    deviation = float(np.max(deviations[:2, 0] / matrix[[0, 1], [0, 1]]))
    return BoardSolution(lens, float(error), tuple(map(float, errors.ravel())), deviation, _normals(turns))


def _fisheye(views: Sequence[BoardView], corners: tuple[int, int], size: tuple[int, int]) -> BoardSolution:
    """The better of two fits by OpenCV, which needs a start near the truth."""
    board = board_points(corners)
    flags = sum(getattr(cv2.fisheye, name, None) or getattr(cv2, name) for name in FISHEYE_FLAGS)
    results = []
    for share in FISHEYE_STARTS:
        focal_px = share * max(size)
        start = np.array([[focal_px, 0, (size[0] - 1) / 2], [0, focal_px, (size[1] - 1) / 2], [0, 0, 1]])
        points = [view.corners_px[None].astype(np.float64) for view in views]
        try:
            result = cv2.fisheye.calibrate(
                [board[None]] * len(views), points, size, start, np.zeros((4, 1)), flags=flags
            )
        except cv2.error:
            continue
        if np.isfinite(result[0]):
            results.append(result)
            if result[0] < CLOSE_PX:
                break
    if not results:
        raise NoSolution
    _, matrix, distortion, turns, places = min(results, key=lambda result: result[0])
    lens = Lens(np.asarray(matrix), *size, tuple(map(float, np.ravel(distortion))), "fisheye")
    poses = [np.concatenate([np.ravel(turn), np.ravel(place)]) for turn, place in zip(turns, places, strict=True)]
    errors = tuple(_error_px(lens, board, view, pose) for view, pose in zip(views, poses, strict=True))
    return BoardSolution(lens, float(np.sqrt(np.mean(np.square(errors)))), errors, float("nan"), _normals(turns))


def _normals(turns: Sequence[np.ndarray]) -> Float[np.ndarray, "n 3"]:
    return np.array([cv2.Rodrigues(np.asarray(turn))[0][:, 2] for turn in turns])


def held_out_error_px(lens: Lens, corners: tuple[int, int], view: BoardView) -> float:
    """The root mean square distance of a view's corners from where the lens shows the board in its best pose."""
    board = board_points(corners)
    intrinsics, distortion = lens.intrinsics, np.array(lens.distortion)
    points = view.corners_px[:, None].astype(np.float64)
    if lens.model == "fisheye":
        points = cv2.fisheye.undistortPoints(points, intrinsics, distortion)
        intrinsics, distortion = np.eye(3), np.zeros(0)
    try:
        done, turn, place = cv2.solvePnP(board, points, intrinsics, distortion if distortion.size else None)
    except cv2.error:
        return float("nan")
    pose = np.concatenate([turn.ravel(), place.ravel()])
    if not done or not np.isfinite(pose).all():
        return float("nan")
    if lens.model == "fisheye":
        pose = least_squares(lambda values: _residuals_px(lens, board, view, values), pose, method="lm").x
    return _error_px(lens, board, view, pose)


def _residuals_px(
    lens: Lens, board: Float[np.ndarray, "n 3"], view: BoardView, pose: Float[np.ndarray, " 6"]
) -> Float[np.ndarray, " m"]:
    """The corners' distances from where the lens shows them: u and v of each."""
    points = board @ cv2.Rodrigues(pose[:3])[0].T + pose[3:]
    straight = points[:, :2] / np.maximum(points[:, 2:], 1e-6)
    bent = Distortion(lens.model, lens.distortion).bent(straight)
    shown_px = bent * lens.intrinsics[[0, 1], [0, 1]] + lens.intrinsics[:2, 2]
    return (shown_px - view.corners_px).ravel()


def _error_px(lens: Lens, board: Float[np.ndarray, "n 3"], view: BoardView, pose: Float[np.ndarray, " 6"]) -> float:
    squares = _residuals_px(lens, board, view, pose).reshape(-1, 2) ** 2
    return float(np.sqrt(squares.sum(axis=1).mean()))


# The simplest first: of two that explain as much, the earlier is taken.
CANDIDATES: tuple[Coefficients, ...] = (0, 4, 5, "fisheye", 8)
MOST_FOLDS = 5
ALIKE = 1.02  # held-out errors that differ by less count as the same


@dataclass(frozen=True)
class Candidate:
    """A model fitted to all views, and judged on views left out of fits to the others."""

    coefficients: Coefficients
    solution: BoardSolution
    held_out_px: Float[np.ndarray, " n"]  # of each view
    fold_focal_px: Float[np.ndarray, " folds"]  # of the fits to the others

    @property
    def error_px(self) -> float:
        """The geometric mean of the held-out errors, so that a single view near the picture's edge does not decide."""
        return float(np.exp(np.log(self.held_out_px).mean()))

    @property
    def focal_px(self) -> float:
        """The mean of both focal lengths."""
        return float(self.solution.lens.intrinsics[[0, 1], [0, 1]].mean())

    @property
    def sampling_deviation(self) -> float:
        """One standard deviation of the focal length over other choices of views, as a share of the focal length.

        It is the larger of two estimates: OpenCV's from the corners' scatter, and the jackknife over groups of views
        (Efron 1982), which also grows when the model is wrong and the views disagree.
        """
        folds = len(self.fold_focal_px)
        jackknife = np.sqrt((folds - 1) * np.var(self.fold_focal_px)) / self.focal_px
        return float(np.nanmax([jackknife, self.solution.focal_deviation]))

    def explains_less(self, other: "Candidate") -> bool:
        """Whether another's held-out errors are smaller by more than chance: one standard error, and by 2 %."""
        more = np.log(self.held_out_px / other.held_out_px)
        chance = more.std(ddof=1) / np.sqrt(len(more))
        return bool(more.mean() > max(chance, np.log(ALIKE)))


def fitted_candidates(
    views: Sequence[BoardView], corners: tuple[int, int], size: tuple[int, int]
) -> dict[Coefficients, Candidate]:
    """Every model that these views can be fitted with, and that keeps the picture in order."""
    candidates: dict[Coefficients, Candidate] = {}
    for coefficients in CANDIDATES:
        try:
            candidate = _candidate(views, corners, size, coefficients)
        except NoSolution:
            continue
        judged = np.isfinite(candidate.held_out_px).all() and (candidate.held_out_px > 0).all()
        if judged and not candidate.solution.lens.folds():
            candidates[coefficients] = candidate
    return candidates


def simplest(candidates: dict[Coefficients, Candidate]) -> Candidate:
    """The first that explains held-out views as well as the best does, up to chance."""
    best = min(candidates.values(), key=lambda candidate: candidate.error_px)
    return next(candidate for candidate in candidates.values() if not candidate.explains_less(best))


def model_deviation(chosen: Candidate, candidates: dict[Coefficients, Candidate]) -> float:
    """The largest difference to the focal lengths of models that explain as much or more, as a share of this one."""
    rivals = [rival for rival in candidates.values() if not rival.explains_less(chosen)]
    return max((abs(rival.focal_px / chosen.focal_px - 1) for rival in rivals), default=0.0)


def _candidate(
    views: Sequence[BoardView], corners: tuple[int, int], size: tuple[int, int], coefficients: Coefficients
) -> Candidate:
    folds = min(MOST_FOLDS, len(views) // 2)
    errors, focal_px = np.zeros(len(views)), []
    for fold in range(folds):
        fitted = [view for number, view in enumerate(views) if number % folds != fold]
        lens = solve(fitted, corners, size, coefficients).lens
        focal_px.append(lens.intrinsics[[0, 1], [0, 1]].mean())
        for number in range(fold, len(views), folds):
            errors[number] = held_out_error_px(lens, corners, views[number])
    return Candidate(coefficients, solve(views, corners, size, coefficients), errors, np.array(focal_px))
