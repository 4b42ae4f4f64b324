"""A camera from pictures of a flat chequerboard (Zhang 2000), by OpenCV; refused where the pictures are too alike.

The size of the squares is not needed: only the boards' distances depend on it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from warpgrasp.data.pictures import read_upright
from warpgrasp.data.recording.board_solution import (
    BoardSolution,
    BoardView,
    Candidate,
    Coefficients,
    NoSolution,
    facing,
    fitted_candidates,
    model_deviation,
    simplest,
    solve,
)
from warpgrasp.data.recording.footage import picture_names, say_notices
from warpgrasp.data.recording.lens import Lens
from warpgrasp.data.recording.video import FORMAT_OF, Video
from warpgrasp.errors import DataError

LOOKED_AT = 90  # pictures of a video, evenly spread
MOST_VIEWS = 45  # more views only take more time
FEWEST_VIEWS = 6
SAME_VIEW_SHARE = 0.02  # of the width: if the corners moved less, on average, the view repeats an earlier one
# From boards that all lie alike, the focal length cannot be told apart from their distance.
SMALLEST_TURN_DEG = 20.0
LARGEST_FOCAL_DEVIATION = 0.01
MOST_FOCAL_DEVIATION = 0.03  # between fits to parts of the views, which are less certain
OUTLIER = 3.0  # times the median error: a blurred picture
DECIMALS_OF_PIXELS, DECIMALS_OF_DISTORTION = 6, 9  # far below what is measured


@dataclass(frozen=True)
class Calibration:
    """A calibrated camera, and how certain it is."""

    lens: Lens
    views: tuple[BoardView, ...]
    error_px: float  # root mean square distance of the corners from where the camera projects them
    view_errors_px: tuple[float, ...]
    focal_deviation: (
        float  # one standard deviation of the focal length as a share of it; includes that the model may be wrong
    )
    largest_turn_deg: float  # between two boards
    covered: float  # share of the picture, in sixteenths, that holds corners
    coefficients: Coefficients
    held_out_px: dict[Coefficients, float]  # the error in views that a model was not fitted to
    better: Candidate | None = None  # a model that explains such views better than the one that was asked for


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
    is_whole, points = cv2.findChessboardCornersSB(grey, corners, flags=cv2.CALIB_CB_ACCURACY)
    return points.reshape(-1, 2).astype(np.float64) if is_whole else None


def distinct_views(views: Iterable[BoardView], width: int) -> list[BoardView]:
    """The views without those that repeat an earlier place of the board; at most `MOST_VIEWS`, evenly spread."""
    kept: list[BoardView] = []
    for view in views:
        if all(_apart_px(view, other) > SAME_VIEW_SHARE * width for other in kept):
            kept.append(view)
    if len(kept) <= MOST_VIEWS:
        return kept
    return [kept[index] for index in np.linspace(0, len(kept) - 1, MOST_VIEWS).round().astype(int)]


def _apart_px(first: BoardView, second: BoardView) -> float:
    """The mean distance of the corners, counted from whichever end of the board makes it smaller."""
    ways = (second.corners_px, second.corners_px[::-1])
    return min(float(np.linalg.norm(first.corners_px - way, axis=1).mean()) for way in ways)


def calibrate(
    views: Sequence[BoardView],
    corners: tuple[int, int],
    *,
    size: tuple[int, int],
    coefficients: Coefficients | None = None,
) -> Calibration:
    """The camera of pictures of `size` (width, height) that sees the board's corners where they were found.

    Without `coefficients` the simplest model is taken that explains held-out views as well as the best one does. Views
    that even a camera of many coefficients misses by more than `OUTLIER` times the median error are left out. Raises
    `DataError` when too few views are left, when they are too alike to tell the focal length, or when the distortion
    folds the picture.
    """
    chosen = distinct_views([facing(view, corners) for view in views], size[0])
    _require_views(chosen)
    sharp = _sharp(chosen, corners, size, coefficients)
    _require_views(sharp)
    _require_tilted(sharp, corners, size)
    candidates = fitted_candidates(sharp, corners, size)
    if not candidates or (coefficients is not None and coefficients not in candidates):
        raise _unfitted(coefficients)
    best = simplest(candidates)
    taken = best if coefficients is None else candidates[coefficients]
    solution = taken.solution
    deviation = float(np.hypot(taken.sampling_deviation, model_deviation(taken, candidates)))
    if not taken.sampling_deviation < MOST_FOCAL_DEVIATION:
        if taken.explains_less(best):
            raise DataError(
                f"expected a lens of --coefficients {taken.coefficients}, found one that needs {best.coefficients}: "
                f"{best.error_px:.2f} instead of {taken.error_px:.2f} px in views not fitted to"
            )
        raise _too_flat(f"boards that differ by {_largest_turn_deg(solution):.0f}° at most", taken.sampling_deviation)
    return Calibration(
        _rounded(solution.lens),
        tuple(sharp),
        solution.error_px,
        solution.view_errors_px,
        deviation,
        _largest_turn_deg(solution),
        _covered(sharp, size),
        taken.coefficients,
        {name: candidate.error_px for name, candidate in candidates.items()},
        best if taken.explains_less(best) else None,
    )


def _rounded(lens: Lens) -> Lens:
    """A lens to the digits in which each run of OpenCV agrees with the next: its sums end differently by chance."""
    distortion = tuple(round(value, DECIMALS_OF_DISTORTION) for value in lens.distortion)
    return replace(lens, intrinsics=np.round(lens.intrinsics, DECIMALS_OF_PIXELS), distortion=distortion)


def _sharp(
    views: Sequence[BoardView], corners: tuple[int, int], size: tuple[int, int], coefficients: Coefficients | None
) -> list[BoardView]:
    """The views whose error under a camera of many coefficients, or of those asked for, is no outlier."""
    for model in (8, 5, 4, 0, "fisheye") if coefficients is None else (coefficients, 5, 4, 0):
        try:
            errors = np.array(solve(views, corners, size, model).view_errors_px)
        except NoSolution:
            continue
        return [view for view, error in zip(views, errors, strict=True) if error <= OUTLIER * np.median(errors)]
    raise _too_flat("boards from which no camera follows")


def _require_tilted(views: Sequence[BoardView], corners: tuple[int, int], size: tuple[int, int]) -> None:
    """Refuse boards that lie alike according to every model that can be fitted to them."""
    told: list[tuple[float, float]] = []  # the widest turn in degrees, and how well the focal length is known
    least_px = np.inf
    for model in (4, 5, 8, "fisheye"):
        try:
            solution = solve(views, corners, size, model)
        except NoSolution:
            continue
        # A fisheye's deviation is unknown: it decides only where no other model fits the boards.
        deviation = solution.focal_deviation if model != "fisheye" else np.inf * (solution.error_px > 0.5 * least_px)
        least_px = min(least_px, solution.error_px)
        told.append((_largest_turn_deg(solution), deviation))
        if told[-1][0] >= SMALLEST_TURN_DEG and not deviation >= LARGEST_FOCAL_DEVIATION:
            return
    if not told:
        raise _too_flat("boards from which no camera follows")
    raise _too_flat(f"boards that differ by {told[0][0]:.0f}° at most", told[0][1])


def _largest_turn_deg(solution: BoardSolution) -> float:
    cosines = solution.normals @ solution.normals.T
    return float(np.degrees(np.arccos(np.clip(cosines.min(), -1, 1))))


def _covered(views: Sequence[BoardView], size: tuple[int, int]) -> float:
    seen = np.concatenate([view.corners_px for view in views])
    return len(np.unique((4 * seen / np.array(size)).astype(int).clip(0, 3), axis=0)) / 16


def _unfitted(coefficients: Coefficients | None) -> DataError:
    model = "any model" if coefficients is None else f"--coefficients {coefficients}"
    return DataError(
        f"expected views from which a lens of {model} follows that keeps the picture in order, found that it folds it "
        f"beyond the corners that were seen, or sees no such board; show the board in the corners of the picture too, "
        f"or take fewer coefficients"
    )


def _require_views(views: Sequence[BoardView]) -> None:
    if len(views) < FEWEST_VIEWS:
        raise DataError(
            f"expected the whole board in at least {FEWEST_VIEWS} different places of the picture, found it in "
            f"{len(views)}; move it about, tilt it, and count its inner corners: a board of 10×7 squares has 9×6"
        )


def _too_flat(boards: str, deviation: float = float("nan")) -> DataError:
    known = f" (the focal length is known to ±{100 * deviation:.1f} %)" if np.isfinite(deviation) else ""
    return DataError(
        f"expected boards tilted against each other, which alone tells the focal length from the distance, found "
        f"{boards}{known}; tilt the board by 30° to 45° to every side, and fill the picture with it"
    )
