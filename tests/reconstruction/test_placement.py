"""Eq. 2, its inverse, its gradient, and the two scales of the outputs."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from warpgrasp.geometry.camera import Camera
from warpgrasp.reconstruction.network import OutputScales, place, placement_of


def camera(focal_x: float, focal_y: float, *, width: int = 640, height: int = 480, off: float = 0.0) -> Camera:
    cx, cy = (width - 1) / 2 + off, (height - 1) / 2 - off
    intrinsics = torch.tensor([[[focal_x, 0, cx], [0, focal_y, cy], [0, 0, 1]]], dtype=torch.float64)
    return Camera(intrinsics, width, height)


def test_by_hand() -> None:
    # f = 500, d_f = 2e-4: Z = 0.1 + 0.4 = 0.5 m. t = (50, -20) px from the image's centre; the principal point lies
    # 10 px right of it and 10 px above: X = (50 - 10)·0.5/500 = 0.04, Y = (-20 + 10)·0.5/400 = -0.0125.
    depth = torch.tensor([2e-4], dtype=torch.float64)
    point = place(depth, torch.tensor([[50.0, -20.0]], dtype=torch.float64), camera(500.0, 400.0, off=10.0))
    assert_close(point, torch.tensor([[0.04, -0.0125, 0.5]], dtype=torch.float64))


@given(
    focal=st.floats(50, 3000),
    ratio=st.floats(0.8, 1.25),
    off=st.floats(-30, 30),
    point=st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.floats(0.05, 5)),
)
def test_the_inverse(focal: float, ratio: float, off: float, point: tuple[float, float, float]) -> None:
    one, where = camera(focal, focal * ratio, off=off), torch.tensor([point], dtype=torch.float64)
    assert_close(place(*placement_of(where, one), one), where, rtol=1e-9, atol=1e-9)


def test_the_point_is_seen_where_it_was_placed() -> None:
    one = camera(600.0, 610.0, off=7.0)
    offset = torch.tensor([[33.0, -12.0]], dtype=torch.float64)
    point = place(torch.tensor([1e-4], dtype=torch.float64), offset, one)
    assert_close(one.project(point[:, None])[:, 0], offset + one.image_centre_px)


@pytest.mark.parametrize("kind", ["paper", "metric"])
def test_gradient(kind) -> None:
    one = camera(600.0, 610.0, off=7.0)
    raw = torch.tensor([[0.3, -0.2, 0.7]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda outputs: OutputScales(kind=kind).place(outputs, one), (raw,))


def sensitivity(scales: OutputScales, one: Camera) -> tuple[float, float]:
    """Metres per unit of raw output, in depth and sideways, at 0.4 m."""
    jacobian = torch.autograd.functional.jacobian(
        lambda raw: scales.place(raw, one)[0], torch.zeros(1, 3, dtype=torch.float64)
    )
    return float(jacobian[2, 0, 0]), float(jacobian[0, 0, 1])


def test_the_papers_scales_are_equal_near_632_px_alone() -> None:
    depth, sideways = sensitivity(OutputScales(kind="paper"), camera(math.sqrt(4e5), math.sqrt(4e5)))
    assert math.isclose(depth, sideways, rel_tol=1e-9)
    assert math.isclose(depth, 0.0632, rel_tol=1e-3)
    depth, sideways = sensitivity(OutputScales(kind="paper"), camera(153.5, 153.5, width=160, height=120))
    assert 16 < sideways / depth < 18  # Sec. 4 of the design: "they differ by 17×"


@pytest.mark.parametrize("focal", [150.0, 632.0, 2000.0])
def test_the_metric_scales_are_equal_everywhere(focal: float) -> None:
    depth, sideways = sensitivity(OutputScales(kind="metric"), camera(focal, focal))
    assert math.isclose(depth, 0.0625, rel_tol=1e-9)
    assert math.isclose(sideways, 0.0625, rel_tol=1e-9)
