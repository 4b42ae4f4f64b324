import numpy as np
import pytest
import torch
from torch.autograd import gradcheck
from torch.testing import assert_close

from tests.oracles.bilinear import bilinear
from tests.photometric.scenes import smooth_image
from warpgrasp.photometric.flow import inside_image, mean_over, sample, warp

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("size", [(7, 9), (1, 5), (5, 1), (1, 1)])
def test_sample_is_the_textbooks_formula(size):
    image = RANDOM.random((2, 3, *size))
    positions = RANDOM.uniform(-3, 11, (2, 40, 2))
    positions[:, :10] = positions[:, :10].round()
    ours = sample(torch.from_numpy(image), torch.from_numpy(positions))
    for row in range(2):
        np.testing.assert_allclose(ours[row].numpy(), bilinear(image[row], positions[row]), atol=1e-12)


def test_warp_by_no_flow_is_the_image():
    image = torch.from_numpy(RANDOM.random((2, 3, 6, 8)))
    warped = warp(image, torch.zeros(2, 6, 8, 2, dtype=torch.float64))
    assert_close(warped.image, image, rtol=0, atol=1e-12)
    assert warped.inside.all()


def test_warp_by_whole_pixels_shifts_the_image():
    """W(I)(x) = I(x + flow): a flow to the right brings what lies to the right."""
    image = torch.from_numpy(RANDOM.random((1, 3, 6, 8)))
    flow_px = torch.tensor([3.0, -2.0], dtype=torch.float64).expand(1, 6, 8, 2)
    warped = warp(image, flow_px)
    assert_close(warped.image[..., 2:, :5], image[..., :4, 3:])
    expected = torch.zeros(1, 6, 8, dtype=torch.bool)
    expected[:, 2:, :5] = True
    assert torch.equal(warped.inside, expected)


def test_warp_of_a_ramp_gives_its_positions():
    v, u = torch.meshgrid(torch.arange(6.0), torch.arange(8.0), indexing="ij")
    flow_px = torch.rand(1, 6, 8, 2) * 2 - 1
    warped = warp(torch.stack([u, v])[None], flow_px)
    expected = torch.stack([u, v]) + flow_px[0].permute(2, 0, 1)
    assert_close(warped.image[0][:, warped.inside[0]], expected[:, warped.inside[0]], rtol=0, atol=1e-5)


def test_inside_is_between_the_outermost_centres():
    positions = torch.tensor([[0.0, 0], [7, 5], [7.01, 5], [7, 5.01], [-0.01, 0], [0, -0.01], [torch.nan, 0]])
    assert inside_image(positions, height=6, width=8).tolist() == [True, True, False, False, False, False, False]


def test_warp_passes_gradcheck():
    """With respect to the image and, away from the kinks at whole pixels, to the flow."""
    image = smooth_image(width=6, height=5).requires_grad_()
    flow_px = (0.2 + 0.6 * torch.rand(1, 5, 6, 2, dtype=torch.float64)).requires_grad_()
    assert gradcheck(lambda image, flow_px: warp(image, flow_px).image, (image, flow_px))


def test_means_are_of_the_masked_entries_row_by_row():
    values = torch.tensor([[1.0, 2, 6], [5, 5, 5]])
    mask = torch.tensor([[True, False, True], [False] * 3])
    assert mean_over(values, mask).tolist() == [3.5, 0]


def test_masked_out_nan_sends_no_nan_back():
    values = torch.tensor([[1.0, torch.nan, 3]], requires_grad=True)
    mean_over(values * 2, torch.tensor([[True, False, True]])).sum().backward()
    assert values.grad is not None
    assert values.grad.tolist() == [[1, 0, 1]]
