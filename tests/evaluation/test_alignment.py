"""Alignments against SciPy, and what they do not see."""

import numpy as np
import pytest
from scipy.linalg import orthogonal_procrustes
from scipy.spatial.transform import Rotation

from warpgrasp.evaluation.accuracy import aligned_joints, procrustes_aligned, scale_translation_aligned, shifted

FRAMES, POINTS = 6, 21


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    expected = 0.05 * generator.standard_normal((FRAMES, POINTS, 3)) + [0.1, 0.0, 0.5]
    return expected + 0.01 * generator.standard_normal(expected.shape), expected


def similar(points: np.ndarray, *, reflected: bool) -> np.ndarray:
    """Every frame turned, scaled and moved differently."""
    turns = Rotation.random(len(points), rng=1).as_matrix() @ np.diag([1, 1, -1 if reflected else 1])
    scales = np.linspace(0.3, 3, len(points))[:, None, None]
    return scales * points @ turns.transpose(0, 2, 1) + np.linspace(-1, 1, 3)


def test_procrustes_is_scipys(pair) -> None:
    predicted, expected = pair
    for source, target, found in zip(predicted, expected, procrustes_aligned(predicted, expected), strict=True):
        a, b = target - target.mean(axis=0), source - source.mean(axis=0)
        rotation, scale = orthogonal_procrustes(a / np.linalg.norm(a), b / np.linalg.norm(b))
        by_hand = b / np.linalg.norm(b) @ rotation.T * scale * np.linalg.norm(a) + target.mean(axis=0)
        np.testing.assert_allclose(found, by_hand, atol=1e-8)


@pytest.mark.parametrize("reflected", [False, True])
def test_procrustes_undoes_any_similarity(pair, reflected: bool) -> None:
    predicted, expected = pair
    np.testing.assert_allclose(
        procrustes_aligned(similar(expected, reflected=reflected), expected), expected, atol=1e-7
    )
    same = procrustes_aligned(similar(predicted, reflected=reflected), expected)
    np.testing.assert_allclose(same, procrustes_aligned(predicted, expected), atol=1e-7)


def test_a_prediction_that_is_one_point_stays_finite(pair) -> None:
    _, expected = pair
    found = procrustes_aligned(np.zeros_like(expected), expected)
    np.testing.assert_allclose(found, np.broadcast_to(expected.mean(axis=1, keepdims=True), found.shape), atol=1e-12)
    scaled = scale_translation_aligned(np.zeros_like(expected), expected, root=0, tip=4)
    np.testing.assert_allclose(scaled, np.broadcast_to(expected[:, :1], scaled.shape), atol=1e-12)


def test_scale_and_translation_are_undone_but_no_rotation(pair) -> None:
    predicted, expected = pair
    same = scale_translation_aligned(2.5 * predicted + [0.1, -0.3, 1.0], expected, root=0, tip=4)
    once = scale_translation_aligned(predicted, expected, root=0, tip=4)
    np.testing.assert_allclose(same, once, atol=1e-12)
    np.testing.assert_allclose(once[:, 0], expected[:, 0], atol=1e-12)
    lengths = [np.linalg.norm(points[:, 4] - points[:, 0], axis=-1) for points in (once, expected)]
    np.testing.assert_allclose(*lengths, rtol=1e-12)
    turned = scale_translation_aligned(
        predicted @ Rotation.from_rotvec([0, 0, 0.5]).as_matrix(), expected, root=0, tip=4
    )
    assert np.linalg.norm(turned - once, axis=-1).max() > 0.01


@pytest.mark.parametrize(("alignment", "point"), [("wrist_relative", 0), ("middle_base_relative", 9)])
def test_relative_to_a_joint(pair, alignment, point: int) -> None:
    predicted, expected = pair
    found = aligned_joints(predicted, expected, alignment)
    np.testing.assert_allclose(found - expected[:, [point]], predicted - predicted[:, [point]], atol=1e-15)
    np.testing.assert_allclose(aligned_joints(predicted + 0.2, expected, alignment), found, atol=1e-12)
    np.testing.assert_array_equal(shifted(predicted, expected, point), found)
    # not to scale:
    assert np.abs(aligned_joints(1.1 * predicted, expected, alignment) - found).max() > 1e-3


def test_camera_space_is_left_alone(pair) -> None:
    np.testing.assert_array_equal(aligned_joints(*pair, "camera"), pair[0])
