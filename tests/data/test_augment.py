"""Augmentation: equal draws of equal colours give equal colours; the camera follows the pixels."""

from dataclasses import fields, replace

import kornia.enhance
import kornia.filters
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from warpgrasp.data.augment import AugmentConfig, augment
from warpgrasp.frame import Annotation
from warpgrasp.geometry.camera import Camera, pixel_grid

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


@pytest.mark.parametrize("seed", range(5))
def test_one_colour_in_two_different_pictures_becomes_one_colour(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    shared = torch.rand(3, 3, 1, 1, generator=generator)
    dark = 0.2 * torch.rand(3, 3, 32, 32, generator=generator)
    bright = 0.7 + 0.3 * torch.rand(3, 3, 32, 32, generator=generator)
    dark[..., 2:12, 3:13] = bright[..., 18:28, 14:24] = shared
    small = Camera(torch.eye(3).expand(3, 3, 3), 32, 32)
    config = AugmentConfig(blur_px=1.0, shift=0.0)
    seen = [augment(image, small, config, torch.Generator().manual_seed(seed)).image for image in (dark, bright)]
    # Two pixels from the patch's border, where the blur does not look beyond it.
    assert_close(seen[0][..., 4:10, 5:11], seen[1][..., 20:26, 16:22], rtol=0, atol=2e-6)
    assert (seen[0][..., 6, 8] - shared[..., 0, 0]).abs().max() > 0.02


@pytest.mark.parametrize("hue", [0.0, 0.15])
def test_colour_and_blur_are_those_of_kornia(hue: float) -> None:
    batch = 6
    image = torch.rand(batch, 3, 20, 30, generator=torch.Generator().manual_seed(0))
    config = AugmentConfig(hue=hue, shift=0.0, blur_px=1.0)
    small = Camera(torch.eye(3).expand(batch, 3, 3), 30, 20)
    seen = augment(image, small, config, torch.Generator().manual_seed(5)).image
    generator = torch.Generator().manual_seed(5)
    drawn = [
        (2 * torch.rand(batch, generator=generator) - 1) * largest
        for largest in (config.brightness, config.contrast, config.saturation, config.hue, config.blur_px)
    ]
    expected = kornia.enhance.adjust_brightness_accumulative(image, 1 + drawn[0])
    expected = (0.5 + (1 + drawn[1])[:, None, None, None] * (expected - 0.5)).clamp(0, 1)
    expected = kornia.enhance.adjust_saturation_with_gray_subtraction(expected, 1 + drawn[2])
    if hue:
        expected = kornia.enhance.adjust_hue(expected, 2 * torch.pi * drawn[3])
    sigma = drawn[4].abs()[:, None].expand(-1, 2)
    expected = kornia.filters.gaussian_blur2d(expected, (5, 5), sigma, border_type="replicate")
    # A picture that is not moved is still sampled, at places that are off by their last bit.
    assert_close(seen, expected, rtol=0, atol=1e-5)
    assert (image[:, :, 1:-1] - seen[:, :, 1:-1]).abs().amax(dim=(1, 2, 3)).min() > 0.05


def test_the_picture_is_sampled_where_the_rays_of_the_new_camera_meet_it() -> None:
    old = camera(4)
    old = Camera(old.intrinsics + torch.tensor([[0, 1.5, 0], [0, 0, 0], [0, 0, 0]]), WIDTH, HEIGHT)  # skewed, too
    grid = pixel_grid(HEIGHT, WIDTH, like=old.intrinsics)
    places = torch.cat([grid / 100, torch.zeros(HEIGHT, WIDTH, 1)], dim=-1)  # a picture that says where it is
    image = places.permute(2, 0, 1).expand(4, -1, -1, -1)
    config = replace(STILL, shift=0.1, roll=0.4)
    view = augment(image, old, config, torch.Generator().manual_seed(2))
    rays = view.camera.rays(grid.view(1, -1, 2).expand(4, -1, -1))
    expected_px = old.project(rays @ view.view_from_camera).view(4, HEIGHT, WIDTH, 2)
    seen_px = 100 * view.image[:, :2].permute(0, 2, 3, 1)
    assert_close(seen_px[view.valid], expected_px[view.valid], rtol=0, atol=1e-4)
    size = torch.tensor([WIDTH - 1, HEIGHT - 1])
    near = ((expected_px.abs() < 1e-3) | ((expected_px - size).abs() < 1e-3)).any(-1)
    inside = ((expected_px >= 0) & (expected_px <= size)).all(-1)
    assert torch.equal(view.valid | near, inside | near)
    assert 0.5 < view.valid.float().mean() < 0.99


def test_the_same_seed_is_the_same_view_and_each_frame_has_its_own_draw() -> None:
    image = torch.rand(1, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0)).expand(2, -1, -1, -1)
    views = [augment(image, camera(2), AugmentConfig(roll=0.1), torch.Generator().manual_seed(7)) for _ in range(2)]
    assert torch.equal(views[0].image, views[1].image)
    assert (views[0].image[0] - views[0].image[1]).abs().max() > 0.05


@pytest.mark.parametrize("name", [one.name for one in fields(AugmentConfig)])
def test_every_field_does_something(name: str) -> None:
    image = torch.rand(8, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))
    config = replace(STILL, **{name: 1.0 if name == "blur_px" else 0.3})
    view = augment(image, camera(8), config, torch.Generator().manual_seed(1), zooms=True)
    assert (view.image - image).abs().max() > 0.01
    assert view.image.min() >= 0
    assert view.image.max() <= 1 + 1e-5


def test_what_is_zoomed_is_annotated_nearer() -> None:
    """Joints between hand and object are shown where the annotation has them; size and depth change by one factor."""
    random = torch.Generator().manual_seed(5)
    joints = torch.tensor([0.02, -0.01, 0.5]) + 0.05 * torch.rand(6, 21, 3, generator=random)
    centre = joints.mean(dim=1)
    truth = Annotation(joints[:, :7], joints, torch.eye(3).expand(6, 3, 3), centre, torch.eye(3).expand(6, 3, 3))
    config = replace(STILL, zoom=0.3, roll=0.4, shift=0.1)
    image = torch.rand(6, 3, HEIGHT, WIDTH, generator=random)
    view = augment(image, camera(6), config, torch.Generator().manual_seed(3), zooms=True)
    assert view.zoom is not None
    assert 0.74 < float(view.zoom.min()) < 0.9 < 1.1 < float(view.zoom.max()) < 1.36
    moved = view.annotated(truth)
    shown = view.seen(camera(6).project(centre[:, None]), camera(6))
    assert_close(view.camera.project(moved.object_translation[:, None]), shown, rtol=0, atol=1e-4)
    assert_close(moved.object_translation[:, 2], centre[:, 2] / view.zoom)
    turned = truth.turned(view.view_from_camera)
    between = turned.hand_joints - turned.object_translation[:, None]
    assert_close(moved.hand_joints - moved.object_translation[:, None], between)
    off_px = (view.camera.project(moved.hand_joints) - view.seen(camera(6).project(joints), camera(6))).norm(dim=-1)
    from_centre_px = (view.camera.project(moved.hand_joints) - shown).norm(dim=-1)
    assert float(off_px.max()) < 0.1 * float(from_centre_px.mean())  # perspective within the hand
    unmoved = augment(image, camera(6), config, torch.Generator().manual_seed(3))
    assert unmoved.zoom is None
    assert_close(unmoved.annotated(truth).hand_joints, truth.turned(unmoved.view_from_camera).hand_joints)
