import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from torch.autograd import gradcheck
from torch.testing import assert_close

from warpgrasp.geometry.rotation import (
    axis_angle_from_matrix,
    matrix_from_axis_angle,
    mean_rotation,
    nearest_rotation,
)

ANGLES = [0.0, 1e-300, 1e-12, 1e-8, 1e-4, 0.1, 1.0, 3.0, np.pi - 1e-4, np.pi - 1e-8, np.pi]
AXES = np.array([[1.0, 0, 0], [0, -1, 0], [0, 0, 1], [0.6, 0, -0.8], [0.48, 0.6, 0.64], [-0.48, 0.6, -0.64]])


@pytest.mark.parametrize("angle", [*ANGLES, np.pi + 0.3, 7.0])
def test_matrices_are_those_of_scipy(angle):
    vectors = angle * AXES
    expected = Rotation.from_rotvec(vectors).as_matrix()
    np.testing.assert_allclose(matrix_from_axis_angle(torch.from_numpy(vectors)).numpy(), expected, atol=1e-14)


@pytest.mark.parametrize("angle", ANGLES)
def test_vectors_are_those_of_scipy(angle):
    matrices = Rotation.from_rotvec(angle * AXES).as_matrix()
    ours = axis_angle_from_matrix(torch.from_numpy(matrices)).numpy()
    assert (np.linalg.norm(ours, axis=1) <= np.pi + 1e-12).all()
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), angle, atol=1e-7)
    np.testing.assert_allclose(Rotation.from_rotvec(ours).as_matrix(), matrices, atol=1e-12)


@settings(max_examples=50, deadline=None)
@given(st.tuples(*[st.floats(-3, 3)] * 3))
def test_there_and_back_is_the_same_rotation(vector):
    matrix = matrix_from_axis_angle(torch.tensor(vector, dtype=torch.float64))
    assert_close(matrix @ matrix.T, torch.eye(3, dtype=torch.float64))
    assert torch.linalg.det(matrix).item() == pytest.approx(1)
    assert_close(matrix_from_axis_angle(axis_angle_from_matrix(matrix)), matrix)


def test_float32_keeps_single_precision_near_zero_and_near_half_a_turn():
    for angle in (1e-6, 1e-3, np.pi - 1e-3, np.pi - 1e-6):
        vectors = torch.from_numpy(angle * AXES)
        single = matrix_from_axis_angle(axis_angle_from_matrix(matrix_from_axis_angle(vectors.float())))
        assert_close(single.double(), matrix_from_axis_angle(vectors), rtol=0, atol=2e-6)


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-5, 1.0, np.pi - 1e-3, np.pi, 4.0])
def test_matrix_passes_gradcheck(angle):
    vectors = torch.from_numpy(angle * AXES).requires_grad_()
    assert gradcheck(matrix_from_axis_angle, (vectors,))


def test_derivative_at_zero_is_the_cross_product():
    jacobian = torch.autograd.functional.jacobian(matrix_from_axis_angle, torch.zeros(3, dtype=torch.float64))
    for axis in range(3):
        generator = np.cross(np.eye(3)[axis], np.eye(3)).T  # column j is e_axis × e_j
        np.testing.assert_allclose(jacobian[..., axis].numpy(), generator, atol=1e-12)


@pytest.mark.parametrize("angle", [0.01, 1.0, 3.0])
def test_vector_from_matrix_passes_gradcheck_along_rotations(angle):
    def there_and_back(vectors):
        return axis_angle_from_matrix(matrix_from_axis_angle(vectors))

    assert gradcheck(there_and_back, (torch.from_numpy(angle * AXES).requires_grad_(),))


def test_mean_rotation_is_scipys_and_has_no_reflection():
    rotations = Rotation.random(20, random_state=0)
    ours = mean_rotation(torch.from_numpy(rotations.as_matrix()))
    np.testing.assert_allclose(ours.numpy(), rotations.mean().as_matrix(), atol=1e-10)
    assert torch.linalg.det(ours).item() == pytest.approx(1)


def test_the_vector_of_a_rotation_nearly_one_is_that_of_scipy():
    matrices = Rotation.random(50, random_state=1).as_matrix() + 1e-9 * np.random.default_rng(0).normal(size=(50, 3, 3))
    ours = axis_angle_from_matrix(torch.from_numpy(matrices)).numpy()
    np.testing.assert_allclose(ours, Rotation.from_matrix(matrices).as_rotvec(), atol=1e-7)


def test_nearest_rotation_is_scipys_for_reflections_too():
    matrices = np.random.default_rng(2).normal(size=(40, 3, 3))
    assert (np.linalg.det(matrices) < 0).sum() > 10
    ours = nearest_rotation(torch.from_numpy(matrices)).numpy()
    for matrix, rotation in zip(matrices, ours, strict=True):  # the rotation R that makes R eᵢ most alike to M eᵢ
        expected, _ = Rotation.align_vectors(matrix.T, np.eye(3))
        np.testing.assert_allclose(rotation, expected.as_matrix(), atol=1e-6)


def test_what_is_not_finite_has_no_nearest_rotation_and_spoils_no_other():
    matrices = torch.eye(3).repeat(3, 1, 1)
    matrices[1, 0, 2] = torch.nan
    found = nearest_rotation(matrices)
    assert found[1].isnan().all()
    assert_close(found[::2], matrices[::2])


def test_mean_of_two_is_half_way():
    two = Rotation.from_rotvec([[0, 0, 0], [0, 0, 1.0]])
    half = Rotation.from_rotvec([0, 0, 0.5]).as_matrix()
    np.testing.assert_allclose(mean_rotation(torch.from_numpy(two.as_matrix())).numpy(), half, atol=1e-12)
