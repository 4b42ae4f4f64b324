"""A camera from pictures of a flat chequerboard (Zhang 2000), by OpenCV; refused where the pictures do not tell it.

The size of the squares is not needed: it would scale the boards' distances alone.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from warpgrasp.data.errors import DataError
from warpgrasp.data.picture_file import read_upright
from warpgrasp.data.recording.camera_file import Lens
from warpgrasp.data.recording.footage import picture_names, say_notices
from warpgrasp.data.recording.video import FORMAT_OF, Video

Coefficients = Literal[0, 4, 5, 8]  # k1 k2 p1 p2 | k3 | k4 k5 k6: OpenCV's models
MODELS: dict[Coefficients, int] = {
    0: cv2.CALIB_ZERO_TANGENT_DIST | cv2.CALIB_FIX_K1 | cv2.CALIB_FIX_K2 | cv2.CALIB_FIX_K3,
    4: cv2.CALIB_FIX_K3,
    5: 0,
    8: cv2.CALIB_RATIONAL_MODEL,
}
LOOKED_AT = 90  # pictures of a video, evenly spread
MOST_VIEWS = 45  # what is added by more changes nothing but the time
FEWEST_VIEWS = 6
SAME_VIEW_SHARE = 0.02  # of the width: a board whose corners moved less, on average, is the same view once more
# Boards that all lie alike tell the focal length and their distance only together.
SMALLEST_TURN_DEG = 20.0
LARGEST_FOCAL_DEVIATION = 0.01
OUTLIER = 3.0  # times the median error: a blurred picture


@dataclass(frozen=True)
class BoardView:
    """The inner corners of the board in one picture, row by row."""

    picture: str
    corners_px: Float[np.ndarray, "n 2"]


@dataclass(frozen=True)
class Calibration:
    """A calibrated camera, and how well the pictures tell it."""

    lens: Lens
    views: tuple[BoardView, ...]
    error_px: float  # root mean square distance of the corners from where the camera projects them
    view_errors_px: tuple[float, ...]
    focal_deviation: float  # one standard deviation of the focal lengths, as a share of them: the larger of fx and fy
    largest_turn_deg: float  # between two boards
    covered: float  # share of the picture, in sixteenths, that holds corners


def board_pictures(path: Path) -> Iterator[tuple[str, UInt8[np.ndarray, "h w 3"]]]:
    """The pictures of a folder, or some of a video's, by name. Raises `DataError` when there are none."""
    if path.is_dir():
        for name in picture_names(path):
            yield name, read_upright(path / name)
    elif path.suffix.lower() in FORMAT_OF:
        video = Video(path)
        say_notices(video)
        count = len(video.numbers)
        for number in np.unique(np.linspace(0, count - 1, min(count, LOOKED_AT)).round().astype(int)).tolist():
            yield f"frame {number}", video.picture(number)
        video.close()
    else:
        raise DataError(
            f"expected a video ({', '.join(FORMAT_OF)}) or a folder of pictures of a chequerboard, found {path}"
        )


def find_board(picture: UInt8[np.ndarray, "h w 3"], corners: tuple[int, int]) -> Float[np.ndarray, "n 2"] | None:
    """The inner corners (columns, rows) of a chequerboard to a fraction of a pixel (Duda and Frese 2018), or None."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    found, points = cv2.findChessboardCornersSB(grey, corners, flags=cv2.CALIB_CB_ACCURACY)
    return points.reshape(-1, 2).astype(np.float64) if found else None


def distinct_views(views: Iterable[BoardView], width: int) -> list[BoardView]:
    """The views in which the board lies where it lay in none before; at most `MOST_VIEWS`, evenly spread."""
    kept: list[BoardView] = []
    for view in views:
        if all(_apart_px(view, other) > SAME_VIEW_SHARE * width for other in kept):
            kept.append(view)
    if len(kept) <= MOST_VIEWS:
        return kept
    return [kept[index] for index in np.linspace(0, len(kept) - 1, MOST_VIEWS).round().astype(int)]


def _apart_px(first: BoardView, second: BoardView) -> float:
    """The mean distance of the corners, whichever of a board's two ends is counted first."""
    ways = (second.corners_px, second.corners_px[::-1])
    return min(float(np.linalg.norm(first.corners_px - way, axis=1).mean()) for way in ways)


def calibrate(
    views: Sequence[BoardView], corners: tuple[int, int], *, size: tuple[int, int], coefficients: Coefficients = 4
) -> Calibration:
    """The camera of pictures of `size` (width, height) that sees the board's corners where they were found.

    Views that the camera misses by more than `OUTLIER` times the median are left out. Raises `DataError` when what is
    left are too few views, or views too alike to tell the focal length, or a distortion that folds the picture.
    """
    chosen = list(distinct_views(views, size[0]))
    _require_views(chosen)
    solved = _solve(chosen, corners, size, coefficients)
    errors = np.array(solved.view_errors_px)
    sharp = [view for view, error in zip(chosen, errors, strict=True) if error <= OUTLIER * np.median(errors)]
    if len(sharp) < len(chosen):
        _require_views(sharp)
        solved = _solve(sharp, corners, size, coefficients)
    if solved.largest_turn_deg < SMALLEST_TURN_DEG or not solved.focal_deviation < LARGEST_FOCAL_DEVIATION:
        raise _too_flat(f"boards that differ by {solved.largest_turn_deg:.0f}° at most", solved.focal_deviation)
    if solved.lens.distorted and solved.lens.folds():
        raise DataError(
            f"expected a distortion that keeps the picture in order, found one of {coefficients} coefficients that "
            f"folds it beyond the corners that were seen; show the board in the corners of the picture too, or take "
            f"fewer coefficients"
        )
    return solved


def _require_views(views: Sequence[BoardView]) -> None:
    if len(views) < FEWEST_VIEWS:
        raise DataError(
            f"expected the whole board in at least {FEWEST_VIEWS} different places of the picture, found it in "
            f"{len(views)}; move it about, tilt it, and count its inner corners: a board of 10×7 squares has 9×6"
        )


def _too_flat(found: str, deviation: float = float("nan")) -> DataError:
    known = f" (the focal length is known to ±{100 * deviation:.1f} %)" if np.isfinite(deviation) else ""
    return DataError(
        f"expected boards tilted against each other, which alone tells the focal length from the distance, found "
        f"{found}{known}; tilt the board by 30° to 45° to every side, and fill the picture with it"
    )


def _solve(
    views: Sequence[BoardView], corners: tuple[int, int], size: tuple[int, int], coefficients: Coefficients
) -> Calibration:
    columns, rows = corners
    board = np.zeros((columns * rows, 3), np.float32)
    board[:, :2] = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).reshape(-1, 2)
    points = [view.corners_px.astype(np.float32)[:, None] for view in views]
    # From a usual field of view: OpenCV's own start divides by what boards that lie alike make zero.
    start = np.array([[size[0], 0, (size[0] - 1) / 2], [0, size[0], (size[1] - 1) / 2], [0, 0, 1]], dtype=np.float64)
    flags = MODELS[coefficients] | cv2.CALIB_USE_INTRINSIC_GUESS
    try:
        error, matrix, distortion, turns, _, deviations, _, errors = cv2.calibrateCameraExtended(
            [board] * len(views), points, size, start, np.zeros(8), flags=flags
        )
    except cv2.error as failure:
        raise _too_flat("boards from which no camera follows") from failure
    deviation = float(np.max(deviations[:2, 0] / matrix[[0, 1], [0, 1]]))
    if not (np.isfinite(matrix).all() and np.isfinite(distortion).all()):
        raise _too_flat("boards from which no camera follows")
    lens = Lens(matrix, *size, tuple(map(float, distortion.ravel()[:coefficients])))
    normals = np.array([cv2.Rodrigues(turn)[0][:, 2] for turn in turns])
    widest = float(np.degrees(np.arccos(np.clip(np.min(normals @ normals.T), -1, 1))))
    seen = np.concatenate([view.corners_px for view in views])
    sixteenths = np.unique((4 * seen / np.array(size)).astype(int).clip(0, 3), axis=0)
    view_errors = tuple(map(float, errors.ravel()))
    return Calibration(lens, tuple(views), float(error), view_errors, deviation, widest, len(sixteenths) / 16)
