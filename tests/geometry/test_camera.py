import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck
from torch.testing import assert_close

from warpgrasp.geometry.camera import NEAR_M, Camera, inverse_by_cross_products, pixel_grid

sizes = st.integers(2, 2000)
numbers = st.floats(-500, 2500)
focal = st.floats(50, 3000)


def camera_of(fx=300.0, fy=280.0, cx=140.0, cy=90.0, *, width=320, height=240, skew=0.0):
    intrinsics = torch.tensor([[fx, skew, cx], [0, fy, cy], [0, 0, 1]], dtype=torch.float64)
    return Camera(intrinsics, width, height)


@settings(max_examples=50, deadline=None)
@given(focal, focal, numbers, numbers, st.floats(-5, 5), st.floats(-5, 5), st.floats(0.02, 50))
def test_project_is_the_pinhole_formula(fx, fy, cx, cy, x, y, z):
    point = torch.tensor([[x, y, z]], dtype=torch.float64)
    pixel = camera_of(fx, fy, cx, cy).project(point)[0]
    assert_close(pixel, torch.tensor([fx * x / z + cx, fy * y / z + cy], dtype=torch.float64))


@settings(max_examples=50, deadline=None)
@given(focal, focal, numbers, numbers, numbers, numbers, st.floats(0.02, 50))
def test_unproject_undoes_project_and_the_other_way_round(fx, fy, cx, cy, u, v, depth):
    camera = camera_of(fx, fy, cx, cy, skew=3.0)
    pixels = torch.tensor([[u, v]], dtype=torch.float64)
    points = camera.unproject(pixels, torch.tensor([depth], dtype=torch.float64))
    assert_close(points[0, 2], torch.tensor(depth, dtype=torch.float64))
    assert_close(camera.project(points), pixels, rtol=0, atol=1e-7)
    assert_close(camera.unproject(camera.project(points), points[:, 2]), points)


@settings(max_examples=50, deadline=None)
@given(sizes, sizes, sizes, sizes, st.floats(-1, 1), st.floats(-1, 1), st.floats(0.1, 5))
def test_resizing_moves_a_point_as_it_moves_the_picture(width, height, new_width, new_height, x, y, z):
    camera = camera_of(width=width, height=height)
    point = torch.tensor([[x, y, z]], dtype=torch.float64)
    old, new = camera.project(point)[0], camera.resized(new_width, new_height).project(point)[0]
    scale = torch.tensor([new_width / width, new_height / height], dtype=torch.float64)
    assert_close(new, scale * (old + 0.5) - 0.5, rtol=1e-9, atol=1e-7)


def test_resizing_keeps_a_centred_principal_point_in_the_centre():
    camera = camera_of(cx=319 / 2, cy=239 / 2)
    small = camera.resized(160, 90)
    assert (small.width, small.height) == (160, 90)
    assert_close(small.principal_point_px, torch.tensor([159 / 2, 89 / 2], dtype=torch.float64))
    assert_close(small.image_centre_px, small.principal_point_px)
    assert_close(small.focal_px, torch.tensor([150.0, 280 * 90 / 240], dtype=torch.float64))


def test_resizing_a_picture_of_a_ramp_agrees_with_resizing_its_camera():
    """Area-averaging a picture of u by two gives at each new pixel the old u that the law says."""
    old_u = pixel_grid(4, 8, like=torch.zeros(1, dtype=torch.float64))[..., 0]
    averaged = old_u.view(2, 2, 4, 2).mean(dim=(1, 3))
    new_u = pixel_grid(2, 4, like=old_u)[..., 0]
    camera = camera_of(width=8, height=4)
    depth = torch.ones(8, dtype=torch.float64)
    points = camera.unproject(torch.stack([averaged, torch.zeros_like(averaged)], -1).view(8, 2), depth)
    assert_close(camera.resized(4, 2).project(points)[:, 0], new_u.flatten())


def test_transformed_by_a_crop_shifts_pixels_and_keeps_the_size_when_none_is_given():
    camera = camera_of()
    crop = torch.tensor([[1.0, 0, -30], [0, 1, -20], [0, 0, 1]], dtype=torch.float64)
    point = torch.tensor([[0.1, -0.05, 0.7]], dtype=torch.float64)
    moved = camera.transformed(crop, width=100)
    assert (moved.width, moved.height) == (100, 240)
    assert_close(moved.project(point), camera.project(point) - torch.tensor([30.0, 20], dtype=torch.float64))


def test_a_batch_of_cameras_projects_each_with_its_own():
    intrinsics = torch.stack([camera_of(fx=100.0).intrinsics, camera_of(fx=500.0).intrinsics])
    points = torch.rand(2, 5, 3, dtype=torch.float64) + 0.5
    both = Camera(intrinsics, 320, 240).project(points)
    for row, fx in enumerate((100.0, 500.0)):
        assert_close(both[row], camera_of(fx=fx).project(points[row]))
    assert Camera(intrinsics, 320, 240).focal_px.tolist() == [[100, 280], [500, 280]]


@pytest.mark.parametrize("depth", [NEAR_M / 2, 0.0, -1e-30, -1.0])
def test_points_behind_the_camera_are_told_and_send_no_nan_back(depth):
    camera = camera_of()
    points = torch.tensor([[0.1, 0.2, depth]], dtype=torch.float64, requires_grad=True)
    assert not camera.sees(points).any()
    camera.project(points).sum().backward()
    assert points.grad is not None
    assert points.grad[0, 0].item() == pytest.approx(300.0 / NEAR_M)
    assert points.grad[0, 2] == 0


def test_projection_passes_gradcheck():
    points = torch.tensor([[0.1, 0.2, 0.6], [-0.3, 0.1, 2.0]], dtype=torch.float64, requires_grad=True)
    assert gradcheck(camera_of(skew=2.0).project, (points,))


def test_pixel_grid_counts_columns_first_and_follows_its_model():
    grid = pixel_grid(2, 3, like=torch.zeros(1, dtype=torch.float64))
    assert grid.dtype == torch.float64
    assert grid.tolist() == [[[0, 0], [1, 0], [2, 0]], [[0, 1], [1, 1], [2, 1]]]


def test_to_follows_its_model():
    assert camera_of().to(torch.zeros(1)).intrinsics.dtype == torch.float32


def test_opencv_axes():
    """+X is right, +Y down: both make pixel coordinates grow."""
    right, down = camera_of().project(torch.tensor([[0.1, 0, 1], [0, 0.1, 1]], dtype=torch.float64)).numpy()
    np.testing.assert_allclose(right, [170, 90])
    np.testing.assert_allclose(down, [140, 118])


def test_the_inverse_by_cross_products_is_the_inverse():
    generator = torch.Generator().manual_seed(0)
    matrices = torch.randn(50, 3, 3, generator=generator, dtype=torch.float64)
    assert_close(inverse_by_cross_products(matrices), torch.linalg.inv(matrices))
    intrinsics = torch.tensor([[613.2, 0.4, 318.1], [0, 611.9, 243.7], [0, 0, 1]])
    assert_close(inverse_by_cross_products(intrinsics) @ intrinsics, torch.eye(3), rtol=0, atol=1e-5)
    assert not inverse_by_cross_products(torch.zeros(3, 3)).isfinite().any()


def test_intrinsics_without_an_inverse_are_refused():
    with pytest.raises(torch.linalg.LinAlgError):
        _ = Camera(torch.zeros(1, 3, 3), 4, 3).rays_from_pixels
