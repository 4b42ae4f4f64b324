"""How many coefficients a lens needs: as few as explain views that the lens was not fitted to."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from warpgrasp.data.recording.board_solution import (
    BoardSolution,
    BoardView,
    Coefficients,
    NoSolution,
    held_out_error_px,
    solve,
)

# From the simplest on: of two that explain as much the earlier is taken.
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
        """The geometric mean of the held-out errors: one view near an edge that no other shows does not decide."""
        return float(np.exp(np.log(self.held_out_px).mean()))

    @property
    def focal_px(self) -> float:
        """The mean of both focal lengths."""
        return float(self.solution.lens.intrinsics[[0, 1], [0, 1]].mean())

    @property
    def sampling_deviation(self) -> float:
        """One standard deviation of the focal length as a share of it, had other views been taken.

        The larger of what OpenCV derives from the corners' scatter and of the jackknife over groups of views (Efron
        1982), which sees how the views disagree when the model is wrong.
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
    found: dict[Coefficients, Candidate] = {}
    for coefficients in CANDIDATES:
        try:
            candidate = _candidate(views, corners, size, coefficients)
        except NoSolution:
            continue
        judged = np.isfinite(candidate.held_out_px).all() and (candidate.held_out_px > 0).all()
        if judged and not candidate.solution.lens.folds():
            found[coefficients] = candidate
    return found


def simplest(candidates: dict[Coefficients, Candidate]) -> Candidate:
    """The first that explains held-out views as well as the best does, up to chance."""
    best = min(candidates.values(), key=lambda candidate: candidate.error_px)
    return next(candidate for candidate in candidates.values() if not candidate.explains_less(best))


def model_deviation(chosen: Candidate, candidates: dict[Coefficients, Candidate]) -> float:
    """How far the focal length lies from those of the models that explain as much or more, as a share of it."""
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
