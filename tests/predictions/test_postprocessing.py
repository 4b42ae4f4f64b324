"""The temporal filter, against a loop over frames and SciPy's mean of rotations; and what it is applied to."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from tests.predictions.test_file import predictions
from warpgrasp.frame import ObjectModel
from warpgrasp.predictions.file import Predictions
from warpgrasp.predictions.postprocessing import Postprocessing, Smoothing, Timeline, mean_numbers, mean_rotations
from warpgrasp.predictions.shards import ShardContext

TIMES_S = np.array([0.0, 0.03, 0.07, 0.1, 0.2, 0.21, 0.24, 0.3, 0.33, 0.36])
SIGMA_S = 0.03


def timeline(*, usable: np.ndarray | None = None, sequence: np.ndarray | None = None) -> Timeline:
    count = len(TIMES_S)
    return Timeline(
        np.array(["A"] * count) if sequence is None else sequence,
        TIMES_S,
        np.ones(count, bool) if usable is None else usable,
    )


def by_hand(values: np.ndarray, frame: int, usable: np.ndarray) -> np.ndarray:
    reach = min(3 * SIGMA_S, TIMES_S[frame] - TIMES_S[0], TIMES_S[-1] - TIMES_S[frame])
    total, weight = 0.0, 0.0
    for other in range(len(TIMES_S)):
        apart = TIMES_S[other] - TIMES_S[frame]
        if usable[other] and abs(apart) <= reach + 1e-12:
            share = np.exp(-(apart**2) / (2 * SIGMA_S**2))
            total, weight = total + share * values[other], weight + share
    return total / weight


@pytest.mark.parametrize("left_out", [[], [4], [3, 5]])
def test_numbers_against_a_loop(left_out: list[int]) -> None:
    values = np.random.default_rng(0).normal(size=(10, 2, 3))
    usable = np.ones(10, bool)
    usable[left_out] = False
    values[left_out] = np.nan
    shares = timeline(usable=usable).shares(slice(2, 8), np.full(10, SIGMA_S))
    found = mean_numbers(shares, values)
    for row, frame in enumerate(range(2, 8)):
        np.testing.assert_allclose(found[row], by_hand(values, frame, usable), rtol=1e-12)


def test_rotations_against_scipy() -> None:
    rotations = Rotation.from_rotvec(np.random.default_rng(1).normal(size=(10, 3)) * 0.5)
    shares = timeline().shares(slice(0, 10), np.full(10, SIGMA_S))
    found = mean_rotations(shares, rotations.as_matrix().astype(np.float32))
    assert found.dtype == np.float32
    for row in range(10):
        expected = rotations.mean(weights=shares[row]).as_matrix()
        np.testing.assert_allclose(found[row], expected, atol=1e-6)


def test_a_steady_motion_stays_what_it_is() -> None:
    times = np.arange(12) / 30
    steady = times[:, None] * [1.0, -2.0, 0.5]
    line = Timeline(np.array(["A"] * 12), times, np.ones(12, bool))
    shares = line.shares(slice(0, 12), np.full(12, 0.1))
    np.testing.assert_allclose(mean_numbers(shares, steady), steady, atol=1e-12)


def test_nothing_is_averaged_across_sequences() -> None:
    sequence = np.array(["A"] * 5 + ["B"] * 5)
    shares = timeline(sequence=sequence).shares(slice(0, 10), np.full(10, SIGMA_S))
    assert not shares[:5, 5:].any()
    assert not shares[5:, :5].any()
    np.testing.assert_allclose(shares.sum(axis=1), 1)


def test_a_frame_alone_stays_what_it_is() -> None:
    usable = np.zeros(10, bool)
    shares = timeline(usable=usable).shares(slice(3, 6), np.full(10, SIGMA_S))
    np.testing.assert_array_equal(shares, np.eye(10)[3:6])


BOX = ObjectModel.centred("box", torch.tensor([[0.0, 0, 0], [0.1, 0.2, 0.3]]), torch.zeros(0, 3, dtype=torch.int64))
INTERVAL_S = 0.04


def steady(count: int, first: int = 0) -> Predictions:
    """Random hands and an object that moves by 1 cm a frame along Z without turning."""
    made = predictions(count, first)
    place = np.array([0, 0, 0.01]) * np.arange(first, first + count)[:, None]
    turn = np.tile(np.eye(3, dtype=np.float32), (count, 1, 1))
    return replace(made, object_translation=place.astype(np.float32), object_rotation=turn, hand_rotation=turn)


def test_without_smoothing_only_jumps_and_flags_are_added() -> None:
    before, shard, after = steady(2), steady(3, 2), steady(1, 5)
    shard.object_translation[1, 0] = 0.05  # of frame 3
    stored = Postprocessing(lambda _: BOX, lambda _: INTERVAL_S)(ShardContext(before, shard, after))
    for name, array in shard.arrays.items():
        assert np.array_equal(getattr(stored, name), array), name
    np.testing.assert_allclose(stored.object_jump, [0.025, 0.05, 0.025], atol=1e-6)
    joints = np.concatenate([part.hand_joints for part in (before, shard, after)])
    beside = np.linalg.norm(joints[1:-1] - (joints[:-2] + joints[2:]) / 2, axis=-1).mean(axis=1)
    np.testing.assert_allclose(stored.hand_jump, beside[1:4], rtol=1e-5)


def test_smoothed_hands_are_posed_by_the_averaged_parameters() -> None:
    before, shard, after = steady(2), steady(3, 2), steady(2, 5)

    def pose_hand(rotation: Tensor, translation: Tensor, pose: Tensor, shape: Tensor) -> tuple[Tensor, Tensor]:
        return (translation + pose[:, :3])[:, None].expand(-1, 7, -1), (rotation @ shape[:, :3, None]).mT.repeat(
            1, 21, 1
        )

    smoothing = Smoothing(1.0, pose_hand)
    stored = Postprocessing(lambda _: BOX, lambda _: INTERVAL_S, smoothing)(ShardContext(before, shard, after))
    weights = np.exp(-0.5 * np.arange(-3, 4) ** 2)
    frames = [
        np.concatenate([getattr(part, name) for part in (before, shard, after)])
        for name in ("hand_translation", "hand_pose", "hand_shape")
    ]
    translation, pose, shape = (np.average(values, axis=0, weights=weights) for values in frames)
    np.testing.assert_allclose(stored.hand_translation[1], translation, atol=1e-6)
    np.testing.assert_allclose(stored.hand_vertices[1], np.tile(translation + pose[:3], (7, 1)), atol=1e-6)
    np.testing.assert_allclose(stored.hand_joints[1], np.tile(shape[:3], (21, 1)), atol=1e-6)
    np.testing.assert_allclose(stored.object_translation, shard.object_translation, atol=1e-6)  # a steady motion
    assert np.array_equal(stored.flags & 2, [0, 0, 0])
