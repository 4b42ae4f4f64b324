"""Signed distances, exact and on a grid, against those of a box."""

import numpy as np
import pytest

from tests.sample_set import HELD
from warpgrasp.data.sample.grasp import OBJECT_NAMES, object_distance, object_surface
from warpgrasp.geometry.solid import SignedDistance, Solid, Surface, surface_samples

HALF = np.array([0.02, 0.03, 0.05])


def box() -> Surface:
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * HALF
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    return Surface(corners, np.array([triangle for a, b, c, d in quads for triangle in ((a, b, c), (a, c, d))]))


def box_distance(points: np.ndarray) -> np.ndarray:
    beyond = np.abs(points) - HALF
    return np.linalg.norm(np.maximum(beyond, 0), axis=-1) + np.minimum(beyond.max(axis=-1), 0)


@pytest.fixture
def points() -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.07, 0.07, (2000, 3))


def test_exact_distance_is_that_of_a_box(points):
    np.testing.assert_allclose(Solid(box()).signed_distance(points), box_distance(points), atol=1e-12)


def test_grid_distance_is_that_of_a_box(points):
    truth = box_distance(points)
    error = np.abs(SignedDistance.of(box())(points) - truth)
    assert error[np.abs(truth) < 0.015].max() < 0.0008  # along the edges, where distance is not linear
    assert np.percentile(error[np.abs(truth) < 0.015], 90) < 0.0004
    assert error.max() < 0.008  # beyond the grid, where only "far" matters


@pytest.mark.parametrize("name", HELD)
def test_grid_agrees_with_exact_distance_near_the_objects(name):
    generator, (samples, _) = np.random.default_rng(1), surface_samples(object_surface(name))
    points = samples[generator.integers(len(samples), size=300)] + generator.normal(0, 0.003, (300, 3))
    error = np.abs(object_distance(name)(points) - Solid(object_surface(name)).signed_distance(points))
    assert error.max() < 0.0008
    assert np.percentile(error, 90) < 0.0002


@pytest.mark.parametrize("name", OBJECT_NAMES)
def test_samples_lie_on_the_surface_and_leave_no_gap(name):
    surface = object_surface(name)
    samples, owners = surface_samples(surface, 0.004)
    offset = ((samples - surface.triangles[owners, 0]) * surface.normals[owners]).sum(axis=1)
    assert np.abs(offset).max() < 1e-9
    assert set(owners) == set(range(len(surface.faces)))
