"""Acceleration errors by hand: only consecutive frames of one sequence count."""

import numpy as np
import pytest

from warpgrasp.evaluation.metrics import AccelerationError, EvaluationError
from warpgrasp.frame import FrameName

RNG = np.random.default_rng(0)


def test_against_loops_over_paths() -> None:
    true, predicted = RNG.standard_normal((2, 9, 5, 3))
    metric = AccelerationError()
    for t in RNG.permutation(9):
        metric.update(FrameName("A", int(t)), predicted[t], true[t])
    errors = []
    for t in range(1, 8):
        for k in range(5):
            ours = predicted[t + 1, k] - predicted[t, k] - (predicted[t, k] - predicted[t - 1, k])
            theirs = true[t + 1, k] - true[t, k] - (true[t, k] - true[t - 1, k])
            errors.append(np.linalg.norm(ours - theirs))
    assert metric.compute() == pytest.approx(np.mean(errors), rel=1e-12)
    assert metric.left_out == 2


def test_an_offset_that_drifts_evenly_costs_nothing() -> None:
    metric = AccelerationError()
    for t in range(6):
        truth = RNG.standard_normal((4, 3))
        metric.update(FrameName("A", t), truth + np.array([0.1, 0.01 * t, -0.3]), truth)
    assert metric.compute() == pytest.approx(0, abs=1e-12)


def test_a_jump_by_hand() -> None:
    """One frame of five off by 3: second differences 3, 6 and 3."""
    metric = AccelerationError()
    for t in range(5):
        metric.update(FrameName("A", t), np.array([[3.0 if t == 2 else 0.0, 0, 0]]), np.zeros((1, 3)))
    assert metric.compute() == 4


def test_gaps_and_borders_between_sequences_are_left_out_and_counted() -> None:
    metric = AccelerationError()
    # B follows A as if its numbers went on; A has a gap after 3.
    frames = [("A", 0), ("A", 1), ("A", 2), ("A", 3), ("A", 5), ("A", 6), ("B", 7), ("B", 8), ("B", 9)]
    for sequence, index in frames:
        metric.update(FrameName(sequence, index), RNG.standard_normal((2, 3)), np.zeros((2, 3)))
    assert metric.scored == [FrameName("A", 1), FrameName("A", 2), FrameName("B", 8)]
    assert metric.left_out == 6


def test_no_three_in_a_row_is_an_error() -> None:
    metric = AccelerationError()
    for index in (0, 1, 3, 4):
        metric.update(FrameName("A", index), np.zeros((1, 3)), np.zeros((1, 3)))
    with pytest.raises(EvaluationError, match="three consecutive frames of a sequence, found none among 4 frames"):
        metric.compute()
