"""ADD, ADD-S and diameters against loops, and by hand."""

from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from warpgrasp.evaluation.accuracy import AddAccuracy, AddError, AddSError, ObjectPoints, ObjectPose
from warpgrasp.evaluation.metrics import EvaluationError
from warpgrasp.frame import ObjectModel

STILL = ObjectPose(np.eye(3), np.zeros(3))


def random_pose(seed: int) -> ObjectPose:
    generator = np.random.default_rng(seed)
    return ObjectPose(Rotation.random(rng=seed).as_matrix(), 0.05 * generator.standard_normal(3) + [0, 0, 0.5])


def random_points(count: int = 60) -> ObjectPoints:
    return ObjectPoints(0.05 * np.random.default_rng(0).standard_normal((count, 3)))


def test_local_undoes_placed() -> None:
    points, pose = random_points().vertices, random_pose(1)
    np.testing.assert_allclose(pose.placed(points)[3], pose.rotation @ points[3] + pose.translation, atol=1e-15)
    np.testing.assert_allclose(pose.local(pose.placed(points)), points, atol=1e-15)


def test_against_loops() -> None:
    points, expected = random_points(), random_pose(1)
    add, add_s, accuracy, by_loops = AddError(), AddSError(), AddAccuracy(), []
    for seed in range(2, 7):
        predicted = random_pose(seed)
        for metric in (add, add_s, accuracy):
            metric.update(points, predicted, expected)
        true = [expected.rotation @ x + expected.translation for x in points.vertices]
        found = [predicted.rotation @ x + predicted.translation for x in points.vertices]
        corresponding = np.mean([np.linalg.norm(a - b) for a, b in zip(true, found, strict=True)])
        nearest = np.mean([min(np.linalg.norm(a - b) for b in found) for a in true])
        by_loops.append((1000 * corresponding, 1000 * nearest))
    np.testing.assert_allclose(add.frames.values, [row[0] for row in by_loops], rtol=1e-12)
    np.testing.assert_allclose(add_s.frames.values, [row[1] for row in by_loops], rtol=1e-9)
    assert add.compute() == pytest.approx(np.mean([row[0] for row in by_loops]))
    assert add_s.compute() == pytest.approx(np.mean([row[1] for row in by_loops]))


def test_add_s_is_measured_from_the_true_vertices() -> None:
    """Three points on a line, the prediction 1 m along it: from the truth 1, 0, 0; from the prediction 0, 0, 2."""
    points = ObjectPoints(np.array([[0.0, 0, 0], [1, 0, 0], [3, 0, 0]]))
    metric = AddSError()
    metric.update(points, ObjectPose(np.eye(3), np.array([1.0, 0, 0])), STILL)  # at 1, 2, 4
    assert metric.compute() == pytest.approx(1000 * (1 + 0 + 1) / 3)
    metric = AddSError()
    metric.update(points, STILL, ObjectPose(np.eye(3), np.array([0.0, 0, 0])))
    assert metric.compute() == 0


def test_a_symmetric_object_turned_by_its_symmetry() -> None:
    corners = np.array([[x, y, z] for x in (-1.0, 1) for y in (-1.0, 1) for z in (-1.0, 1)])
    turned = ObjectPose(np.diag([-1.0, -1.0, 1.0]), np.zeros(3))
    add, add_s = AddError(), AddSError()
    for metric in (add, add_s):
        metric.update(ObjectPoints(corners), turned, STILL)
    assert add.compute() == pytest.approx(1000 * 2 * np.sqrt(2))
    assert add_s.compute() == pytest.approx(0, abs=1e-9)


def test_a_tenth_of_the_diameter_is_not_below_it() -> None:
    points = ObjectPoints(np.array([[0.0, 0, 0], [0, 0, 4], [1, 0, 2], [0, 1, 2]]))
    assert points.diameter_m == 4
    metric = AddAccuracy()
    for offset in (0.4, 0.399, 0.401, 0.0):
        metric.update(points, ObjectPose(np.eye(3), np.array([0, offset, 0])), STILL)
    assert metric.frames.values == [0, 1, 0, 1]
    assert metric.compute() == 0.5


@pytest.mark.parametrize("kind", ["cloud", "plane", "line"])
def test_diameters_are_exact(kind: str) -> None:
    vertices = random_points(600 if kind == "cloud" else 80).vertices.copy()
    vertices[:, {"cloud": 3, "plane": 2, "line": 1}[kind] :] = 0
    longest = max(np.linalg.norm(a - b) for a, b in combinations(vertices[:: 1 if kind != "cloud" else 2], 2))
    if kind == "cloud":
        vertices = vertices[::2]
    assert ObjectPoints(vertices).diameter_m == pytest.approx(longest, rel=1e-12)


def test_points_of_a_model() -> None:
    model = ObjectModel.centred("thing", torch.tensor([[0.0, 0, 0], [0, 0, 4]]), torch.zeros((0, 3), dtype=torch.int64))
    np.testing.assert_array_equal(ObjectPoints.of(model).vertices, [[0, 0, -2], [0, 0, 2]])


@pytest.mark.parametrize("metric", [AddError(), AddSError(), AddAccuracy()])
def test_nothing_is_an_error(metric) -> None:
    with pytest.raises(EvaluationError, match="at least one frame"):
        metric.compute()
