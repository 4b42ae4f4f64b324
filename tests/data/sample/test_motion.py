import numpy as np

from warpgrasp.data.sample.sequence import LIFT_FRAMES, WINDOW_FRAMES, lifts, wander


def test_curves_reach_about_their_amplitude_and_are_smooth():
    curves = wander(np.random.default_rng(0), 60, [1.0, 1.0, 5.0])
    reach = np.abs(curves).max(axis=0) / [1, 1, 5]
    assert (reach > 0.79).all()
    assert (reach < 1.11).all()
    # The fastest sinusoid has a period of 90 frames; none of three weighted ones turns faster than this.
    acceleration = np.abs(np.diff(curves, n=2, axis=0)).max(axis=0) / [1, 1, 5]
    assert acceleration.max() < 0.05


def test_a_short_curve_is_the_beginning_of_a_long_one():
    long, short = (wander(np.random.default_rng(3), n, [1.0]) for n in (WINDOW_FRAMES, 20))
    np.testing.assert_array_equal(long[:20], short)


def test_at_most_two_fingers_lift_at_a_time_and_they_come_back():
    for seed in range(20):
        lifted = lifts(np.random.default_rng(seed), 120, range(4))
        assert (lifted > 0).sum(axis=1).max() <= 2
        assert (lifted[:, 4] == 0).all()
        assert lifted.max() <= 1
        assert (lifted[:, :4].max(axis=1) > 0.3).any()
        assert np.abs(np.diff(lifted, axis=0)).max() < np.pi / LIFT_FRAMES[0]
