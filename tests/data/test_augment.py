"""Augmentation: equal draws of equal colours give equal colours; the camera follows the pixels."""

from dataclasses import fields, replace

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from warpgrasp.data import AugmentConfig, augment
from warpgrasp.geometry import Camera

STILL = AugmentConfig(**{one.name: 0.0 for one in fields(AugmentConfig)})
HEIGHT, WIDTH = 60, 80


def camera(batch: int) -> Camera:
    intrinsics = torch.tensor([[90.0, 0, 41.3], [0, 88.0, 27.9], [0, 0, 1]])
    return Camera(intrinsics.expand(batch, 3, 3), WIDTH, HEIGHT)


def blobs(pixels: Tensor) -> Tensor:
    """A picture per row, dark but for a soft dot at each place."""
    v, u = torch.meshgrid(torch.arange(float(HEIGHT)), torch.arange(float(WIDTH)), indexing="ij")
    distance = (u - pixels[:, 0, None, None]) ** 2 + (v - pixels[:, 1, None, None]) ** 2
    return torch.exp(-distance / (2 * 2.5**2))[:, None].expand(-1, 3, -1, -1)


def centre_of(image: Tensor) -> Tensor:
    v, u = torch.meshgrid(torch.arange(float(HEIGHT)), torch.arange(float(WIDTH)), indexing="ij")
    weight = image[:, 0] / image[:, 0].sum(dim=(1, 2), keepdim=True)
    return torch.stack([(u * weight).sum(dim=(1, 2)), (v * weight).sum(dim=(1, 2))], dim=-1)


@pytest.mark.parametrize(("shift", "roll"), [(0.1, 0.0), (0.0, 0.3), (0.1, 0.3)])
def test_a_point_lands_where_the_picture_went(shift: float, roll: float) -> None:
    points = torch.tensor([[0.05, 0.03, 0.5], [-0.08, 0.04, 0.6], [0.0, -0.05, 0.4], [0.06, -0.02, 0.7]])
    cameras = camera(len(points))
    image = blobs(cameras.project(points[:, None])[:, 0])
    config = replace(STILL, shift=shift, roll=roll)
    view = augment(image, cameras, config, torch.Generator().manual_seed(3))
    moved = (view.view_from_camera @ points[..., None])[..., 0]
    expected_px = view.camera.project(moved[:, None])[:, 0]
    assert (expected_px - cameras.project(points[:, None])[:, 0]).norm(dim=-1).mean() > 1
    assert_close(centre_of(view.image), expected_px, rtol=0, atol=0.05)


def test_nothing_is_changed_when_nothing_is_drawn() -> None:
    image = torch.rand(2, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))
    view = augment(image, camera(2), STILL, torch.Generator().manual_seed(0))
    assert_close(view.image, image, rtol=0, atol=2e-5)
    assert_close(view.camera.intrinsics, camera(2).intrinsics)
    assert_close(view.view_from_camera, torch.eye(3).expand(2, 3, 3))


def test_padding_is_marked() -> None:
    image = torch.rand(8, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))
    config = replace(STILL, shift=0.2)
    view = augment(image, camera(8), config, torch.Generator().manual_seed(1))
    shift = view.camera.principal_point_px - camera(8).principal_point_px
    for row in range(8):
        expected = (WIDTH - shift[row, 0].abs()) * (HEIGHT - shift[row, 1].abs()) / (WIDTH * HEIGHT)
        assert abs(float(view.valid[row].float().mean()) - float(expected)) < 0.05


@pytest.mark.parametrize("seed", range(5))
def test_equal_draws_of_equal_colours_give_equal_colours(seed: int) -> None:
    # Two pictures of the same colours at other places: what one colour becomes must not depend on the picture.
    first = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(seed)).repeat_interleave(4, 2)
    first = first.repeat_interleave(4, 3)
    second = first.flip(-1)
    small = Camera(torch.eye(3).expand(3, 3, 3), 32, 32)
    config = AugmentConfig(blur_px=0.0, shift=0.0)
    seen = [augment(image, small, config, torch.Generator().manual_seed(seed)).image for image in (first, second)]
    assert_close(seen[0], seen[1].flip(-1), rtol=0, atol=2e-5)
    assert (seen[0] - first).abs().max() > 0.05
    # And when the rest of the picture is something else: no statistics of the whole picture enter.
    other = first.clone()
    other[..., 16:] = 0.5
    changed = augment(other, small, config, torch.Generator().manual_seed(seed)).image
    assert_close(changed[..., :16], seen[0][..., :16], rtol=0, atol=2e-5)


def test_the_same_seed_is_the_same_view_and_each_frame_has_its_own_draw() -> None:
    image = torch.rand(1, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0)).expand(2, -1, -1, -1)
    views = [augment(image, camera(2), AugmentConfig(roll=0.1), torch.Generator().manual_seed(7)) for _ in range(2)]
    assert torch.equal(views[0].image, views[1].image)
    assert (views[0].image[0] - views[0].image[1]).abs().max() > 0.05


@pytest.mark.parametrize("name", [one.name for one in fields(AugmentConfig)])
def test_every_field_does_something(name: str) -> None:
    image = torch.rand(8, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))
    config = replace(STILL, **{name: 1.0 if name == "blur_px" else 0.3})
    view = augment(image, camera(8), config, torch.Generator().manual_seed(1))
    assert (view.image - image).abs().max() > 0.01
    assert view.image.min() >= 0
    assert view.image.max() <= 1 + 1e-5
