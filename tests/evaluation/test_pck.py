"""Shares of keypoints and of frames, worked by hand and by loops."""

from itertools import pairwise

import numpy as np
import pytest

from warpgrasp.evaluation.accuracy import FramePck, KeypointError, Thresholds
from warpgrasp.evaluation.metrics import EvaluationError


def test_thresholds_are_evenly_spaced_with_both_ends() -> None:
    np.testing.assert_array_equal(Thresholds(0.05, 100).values, np.linspace(0, 0.05, 100))


def test_keypoints_by_hand() -> None:
    metric = KeypointError(Thresholds(4.0, 5))  # 0, 1, 2, 3, 4
    metric.update(np.array([[1.0, 9.0], [3.0, 0.0]]))
    # First keypoint: 0, ½, ½, 1, 1, of area (¼ + ½ + ¾ + 1)/4; second: ½ throughout. A distance *on* a threshold
    # counts.
    np.testing.assert_array_equal(metric.curve(), [0.25, 0.5, 0.5, 0.75, 0.75])
    assert metric.compute() == pytest.approx((2.5 / 4 + 0.5) / 2, abs=1e-15)
    assert metric.mean() == pytest.approx((2.0 + 4.5) / 2, abs=1e-15)


def test_keypoints_against_loops_in_batches_of_any_size() -> None:
    distances = np.random.default_rng(0).gamma(2.0, 10.0, (40, 7))
    distances[::5, 2] = 25.0  # on a threshold
    thresholds, metric = np.linspace(0, 50, 101), KeypointError(Thresholds(50.0, 101))
    for batch in np.array_split(distances, [1, 1, 13]):
        metric.update(batch)
    shares = np.array([[sum(value <= t for value in column) / 40 for t in thresholds] for column in distances.T])
    np.testing.assert_allclose(metric.curve(), shares.mean(axis=0), atol=1e-15)
    areas = [sum((a + b) / 2 for a, b in pairwise(row)) / 100 for row in shares]
    assert metric.compute() == pytest.approx(np.mean(areas), abs=1e-13)
    assert metric.mean() == pytest.approx(distances.mean(), abs=1e-12)
    assert metric.frames == 40


def test_frames_by_hand() -> None:
    metric = FramePck(Thresholds(4.0, 5))
    metric.update(np.array([1.0, 5.0]))
    metric.update(np.array([2.5, 0.5]))
    np.testing.assert_array_equal(metric.curve(), [0, 0.25, 0.5, 0.75, 0.75])  # an error *on* a threshold is not below
    assert metric.compute() == pytest.approx((0.125 + 0.375 + 0.625 + 0.75) / 4)


def test_frames_and_keypoints_differ() -> None:
    """One bad joint spoils its frame, not the other joints."""
    distances = np.array([[0.0, 0.0, 9.0]])
    keypoints, frames = KeypointError(Thresholds(2.0, 3)), FramePck(Thresholds(2.0, 3))
    keypoints.update(distances)
    frames.update(distances.mean(axis=1))
    assert keypoints.compute() == pytest.approx(2 / 3)
    assert frames.compute() == 0


def test_nothing_and_nan_are_errors() -> None:
    for metric in (KeypointError(Thresholds(1.0, 2)), FramePck(Thresholds(1.0, 2))):
        with pytest.raises(EvaluationError, match="at least one frame"):
            metric.compute()
    with pytest.raises(EvaluationError, match="finite"):
        KeypointError(Thresholds(1.0, 2)).update(np.array([[np.nan]]))
