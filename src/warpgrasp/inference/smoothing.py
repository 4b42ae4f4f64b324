"""The temporal filter: parameters averaged over neighbouring frames by a Gaussian of time.

Translations, pose coefficients and shape are averaged as numbers, rotations by the chordal mean (Hartley et al. 2013,
Sec. 5.3). A frame's weight is exp(-(Δt)²/(2 σ²)) up to 3 σ. Towards the ends of a sequence the window shrinks, so that
it reaches equally far to both sides and a steady motion stays what it is. Nothing is averaged across sequences.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

REACH = 3.0  # standard deviations
LONGEST_FRAMES = 50.0  # of the standard deviation: the window must lie within the neighbouring shards


@dataclass(frozen=True)
class Timeline:
    """Frames in order: their sequence, when they are shown, and whether they may have a part in others."""

    sequence: np.ndarray
    times_s: Float[np.ndarray, " n"]
    usable: Bool[np.ndarray, " n"]

    def shares(self, rows: slice, sigma_s: Float[np.ndarray, " n"]) -> Float[np.ndarray, "m n"]:
        """The share that each frame (column) has in each of the filtered `rows`; they sum to 1.

        `sigma_s` is the standard deviation for each frame, in seconds. A frame with nothing usable in its window stays
        what it is.
        """
        apart = self.times_s[None] - self.times_s[rows, None]
        same = self.sequence[None] == self.sequence[rows, None]
        before = np.where(same, -apart, -np.inf).max(axis=1)  # seconds back to the sequence's first frame
        after = np.where(same, apart, -np.inf).max(axis=1)
        reach = np.minimum(np.minimum(before, after), REACH * sigma_s[rows])[:, None]
        inside = same & (np.abs(apart) <= reach * (1 + 1e-9)) & self.usable[None]
        shares = np.where(inside, np.exp(-0.5 * (apart / sigma_s[rows, None]) ** 2), 0.0)
        alone = np.flatnonzero(~inside.any(axis=1))
        shares[alone, alone + (rows.start or 0)] = 1.0
        return shares / shares.sum(axis=1, keepdims=True)


def mean_numbers(shares: Float[np.ndarray, "m n"], values: Float[np.ndarray, "n *k"]) -> Float[np.ndarray, "m *k"]:
    """Averages of numbers."""
    known = np.where(np.isfinite(values), values, 0).reshape(len(values), -1)
    return (shares @ known).reshape(len(shares), *values.shape[1:]).astype(values.dtype)


def mean_rotations(shares: Float[np.ndarray, "m n"], values: Float[np.ndarray, "n 3 3"]) -> Float[np.ndarray, "m 3 3"]:
    """Chordal means of rotations: the rotations nearest to their averages."""
    u, _, vt = np.linalg.svd(mean_numbers(shares, values.astype(np.float64)))
    u[..., -1] *= np.linalg.det(u @ vt)[..., None]
    return (u @ vt).astype(values.dtype)
