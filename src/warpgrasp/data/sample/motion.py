"""How things move in a sample sequence: smooth, band-limited curves, and fingers that lift and come back."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

PERIODS_FRAMES = (90.0, 200.0)  # of the sinusoids: nothing faster than a person turning something in the hand
WINDOW_FRAMES = 60  # a curve reaches its amplitude within this many frames
LIFT_FRAMES = (16, 26)


def wander(
    generator: np.random.Generator, frames: int, amplitude: Sequence[float] | Float[np.ndarray, " n"]
) -> Float[np.ndarray, "t n"]:
    """Smooth curves around zero, one for each amplitude, that they about reach."""
    amplitude = np.asarray(amplitude, dtype=np.float64)
    time = np.arange(max(frames, WINDOW_FRAMES))[:, None, None]
    period = generator.uniform(*PERIODS_FRAMES, (len(amplitude), 3))
    phase = generator.uniform(0, 2 * np.pi, period.shape)
    weight = generator.uniform(0.3, 1.0, period.shape)
    curves = (weight * np.sin(2 * np.pi * time / period + phase)).sum(axis=2)
    window = curves[:WINDOW_FRAMES]
    middle, reach = (window.max(axis=0) + window.min(axis=0)) / 2, np.ptp(window, axis=0) / 2
    return ((curves - middle) / reach * amplitude * generator.uniform(0.8, 1.1, len(amplitude)))[:frames]


def lifts(generator: np.random.Generator, frames: int, fingers: Sequence[int]) -> Float[np.ndarray, "t 5"]:
    """How far, from 0 to 1, each finger is lifted; one or two of `fingers` at a time."""
    lifted = np.zeros((frames, 5))
    start = int(generator.integers(-8, 10))
    while start < frames:
        length = int(generator.integers(*LIFT_FRAMES))
        bump = np.sin(np.pi * (np.arange(length) + 0.5) / length) ** 2
        inside = slice(max(start, 0), min(start + length, frames))
        for finger in generator.choice(fingers, size=generator.integers(1, 3), replace=False):
            size = generator.uniform(0.6, 1.0)
            lifted[inside, finger] = size * bump[inside.start - start : inside.stop - start]
        start += length + int(generator.integers(0, 8))
    return lifted


def smoothed(curves: Float[np.ndarray, "t ..."], sigma_frames: float) -> Float[np.ndarray, "t ..."]:
    """A light Gaussian smoothing along time."""
    return gaussian_filter1d(curves, sigma_frames, axis=0, mode="nearest")


def rotated(rotation: Float[np.ndarray, "3 3"], turns: Float[np.ndarray, "t 3"]) -> Float[np.ndarray, "t 3 3"]:
    """`rotation`, turned by each of the axis-angle vectors."""
    return Rotation.from_rotvec(turns).as_matrix() @ rotation


def rigid(rotation: Float[np.ndarray, "t 3 3"], translation: Float[np.ndarray, "t 3"]) -> Float[np.ndarray, "t 4 4"]:
    """Rotations and translations as homogeneous matrices."""
    matrices = np.zeros((len(rotation), 4, 4))
    matrices[:, :3, :3], matrices[:, :3, 3], matrices[:, 3, 3] = rotation, translation, 1
    return matrices
