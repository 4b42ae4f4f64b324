"""How unsteady predictions are: the error of their acceleration (Kanazawa et al. 2019)."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from warpgrasp.evaluation.metrics import EvaluationError
from warpgrasp.frame import FrameName


@dataclass
class AccelerationError:
    """Mean distance between predicted and true acceleration of points, in camera space, per frame².

    Second differences of three consecutive frames of one sequence; a frame without both neighbours is left out.
    """

    _offsets: dict[FrameName, Float[np.ndarray, "k 3"]] = field(default_factory=dict, repr=False)

    def update(self, name: FrameName, predicted: Float[np.ndarray, "k 3"], expected: Float[np.ndarray, "k 3"]) -> None:
        """Add a frame, in any order."""
        self._offsets[name] = predicted - expected  # differences are linear: those of the offset are the error's

    @property
    def scored(self) -> list[FrameName]:
        """The frames that have both neighbours."""
        return [name for name in self._offsets if all(_beside(name, step) in self._offsets for step in (-1, 1))]

    @property
    def left_out(self) -> int:
        """How many frames have not."""
        return len(self._offsets) - len(self.scored)

    def compute(self) -> float:
        """The mean over points, then over frames, in the unit of the points per frame²."""
        errors = []
        for name in self.scored:
            before, now, after = (self._offsets[_beside(name, step)] for step in (-1, 0, 1))
            errors.append(np.linalg.norm(before - 2 * now + after, axis=-1).mean())
        if not errors:
            raise EvaluationError(
                f"expected three consecutive frames of a sequence, found none among {len(self._offsets)} frames"
            )
        return float(np.mean(errors))


def _beside(name: FrameName, step: int) -> FrameName:
    return FrameName(name.sequence, name.index + step)
