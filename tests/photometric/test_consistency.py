from dataclasses import replace

import pytest
import torch
from torch.autograd import gradcheck
from torch.testing import assert_close

from tests.photometric.scenes import BOX, CAMERA, HEIGHT, WIDTH, box, moved, picture, sheet, smooth_image
from warpgrasp.frame import FramePair
from warpgrasp.geometry.camera import Camera
from warpgrasp.geometry.mesh import Mesh, pad
from warpgrasp.photometric.consistency import photometric_consistency
from warpgrasp.photometric.flow import warp
from warpgrasp.render import rasterize
from warpgrasp.render.rasterizer import Fragments

BACK = sheet(9.5, 50.5, 7.5, 40.5)


def pair_of(reference: Mesh, *, target_image=None, reference_image=None, **valid) -> FramePair:
    target_image = smooth_image(0) if target_image is None else target_image
    reference_image = smooth_image(1) if reference_image is None else reference_image
    return FramePair(target_image, CAMERA, reference_image, CAMERA, reference, **valid)


def shifted(mesh: Mesh, u: float, v: float, depth: float = 0.5) -> Mesh:
    metres = torch.tensor([u, v], dtype=torch.float64) * depth / CAMERA.focal_px[0]
    return mesh.with_vertices(mesh.vertices + torch.cat([metres, torch.zeros(1, dtype=torch.float64)]))


def test_the_term_is_the_mean_difference_over_compared_pixels_and_channels():
    """Through the dense warp of the whole image, which shares no sampling of single pixels."""
    term = photometric_consistency(pair_of(BACK), shifted(BACK, 3.3, -1.7))
    flow_px = torch.tensor([3.3, -1.7], dtype=torch.float64).expand(1, HEIGHT, WIDTH, 2)
    difference = (warp(smooth_image(0), flow_px).image - smooth_image(1)).abs()
    assert_close(term.loss, difference[..., 8:41, 10:51].mean()[None])
    assert_close(term.compared_share, torch.ones(1))
    assert term.enough.all()


def test_a_moved_picture_and_the_true_motion_leave_nothing():
    image = smooth_image(0)
    shift = torch.tensor([4.0, 2.0], dtype=torch.float64).expand(1, HEIGHT, WIDTH, 2)
    pair = pair_of(BACK, target_image=image, reference_image=warp(image, shift).image)
    assert photometric_consistency(pair, shifted(BACK, 4, 2)).loss < 1e-9
    assert photometric_consistency(pair, shifted(BACK, 3, 2)).loss > 1e-2


def test_gradcheck_with_respect_to_the_targets_vertices():
    """The reference is brighter everywhere, so that no difference changes its sign."""
    reference = box()
    pair = pair_of(reference, reference_image=smooth_image(1) + 2)
    target = moved(reference.vertices[0] - 0.5, (0.05, -0.08, 0.06), (0.52, 0.505, 0.53))[None]

    def loss_of(vertices):
        return photometric_consistency(pair, reference.with_vertices(vertices)).loss

    vertices = target.clone().requires_grad_()
    assert gradcheck(loss_of, (vertices,))
    (gradient,) = torch.autograd.grad(loss_of(vertices).sum(), vertices)
    assert (gradient.norm(dim=-1) > 1e-6).sum() >= 6


def test_gradcheck_with_respect_to_the_references_vertices():
    """As in the way back, where the surface that moves is the one whose pixels are listed."""
    target = box()
    pair = pair_of(target, reference_image=smooth_image(1) + 2)
    reference = moved(target.vertices[0] - 0.5, (0.05, -0.08, 0.06), (0.512, 0.503, 0.525))[None]

    def loss_of(vertices):
        back = pair.reversed(target.with_vertices(vertices)).reversed(target.with_vertices(vertices))
        return photometric_consistency(back, target).loss

    vertices = reference.clone().requires_grad_()
    assert gradcheck(loss_of, (vertices,))
    (gradient,) = torch.autograd.grad(loss_of(vertices).sum(), vertices)
    assert (gradient.norm(dim=-1) > 1e-6).sum() >= 6


def test_the_way_back_exchanges_the_roles():
    valid = torch.zeros(1, HEIGHT, WIDTH, dtype=torch.bool)
    pair = pair_of(BACK, reference_valid=valid)
    target = shifted(BACK, 3, 0)
    back = pair.reversed(target)
    assert back.reference_surface is target
    assert back.target_image is pair.reference_image
    assert back.target_valid is valid
    assert back.reference_valid is None
    again = back.reversed(pair.reference_surface)
    assert all(one is other for one, other in zip(vars(again).values(), vars(pair).values(), strict=True))


def test_the_gradient_of_a_shift_is_the_pictures_own():
    """d loss / d shift = mean of sign · dI/du: the bilinear slope between the two columns that are blended."""
    image = smooth_image(0)
    pair = pair_of(BACK, target_image=image, reference_image=smooth_image(1) + 2)
    shift = torch.tensor([2.4], dtype=torch.float64, requires_grad=True)
    target = BACK.with_vertices(BACK.vertices + torch.stack([shift[0] * 0.5 / 80, 0 * shift[0], 0 * shift[0]]))
    photometric_consistency(pair, target).loss.sum().backward()
    slope = (image[..., 1:] - image[..., :-1])[..., 8:41, 12:53]
    assert_close(shift.grad, -slope.mean()[None])


@pytest.mark.parametrize(("down", "enough"), [(30.0, False), (25.0, True)])
def test_a_pair_that_keeps_fewer_than_one_percent_contributes_nothing(down, enough):
    """Only column 10 stays in the image: 10 or 15 of 1353 pixels."""
    target = shifted(BACK, 53.0 - 1e-9, down - 1e-9)
    vertices = target.vertices.clone().requires_grad_()
    term = photometric_consistency(pair_of(BACK), BACK.with_vertices(vertices))
    assert_close(term.compared_share, torch.tensor([(15 if enough else 10) / 1353]))
    assert term.enough.tolist() == [enough]
    assert (term.loss > 0).tolist() == [enough]
    term.loss.sum().backward()
    assert vertices.grad is not None
    assert vertices.grad.any() == enough


def test_a_pair_without_any_surface_in_sight_contributes_nothing():
    behind = BACK.with_vertices(-BACK.vertices)
    vertices = BACK.vertices.clone().requires_grad_()
    term = photometric_consistency(pair_of(behind), BACK.with_vertices(vertices))
    term.loss.sum().backward()
    assert term.loss.tolist() == [0]
    assert term.compared_share.tolist() == [0]
    assert vertices.grad is None or not vertices.grad.any()


def test_pixels_that_are_masked_send_no_nan_back():
    """A target half of which lies behind the camera, before pictures that hold NaN where nothing is compared."""
    image = smooth_image(0)
    image[..., :5, :] = torch.nan
    corners = [[-0.3, 0.05, 0.5], [0.3, 0.05, 0.5], [0.3, 0.2, 0.0], [-0.3, 0.2, -0.4]]
    vertices = torch.tensor([corners], dtype=torch.float64, requires_grad=True)
    valid = torch.ones(1, HEIGHT, WIDTH, dtype=torch.bool)
    valid[:, :6] = False
    pair = pair_of(BACK, target_image=image, target_valid=valid)
    term = photometric_consistency(pair, BACK.with_vertices(vertices), tolerance_px=100.0)
    term.loss.sum().backward()
    assert 0 < term.compared_share < 1
    assert term.loss.isfinite().all()
    assert vertices.grad is not None
    assert vertices.grad.isfinite().all()
    assert vertices.grad.any()


def test_padding_of_either_picture_is_not_compared():
    """Nor is a landing that would blend in a padded pixel."""
    valid = torch.ones(1, HEIGHT, WIDTH, dtype=torch.bool)
    valid[..., :20] = False
    target = shifted(BACK, 2.5, 0)
    for masks, first in [({"reference_valid": valid}, 20), ({"target_valid": valid}, 18)]:
        term = photometric_consistency(pair_of(BACK, **masks), target)
        compared = term.flow.fragments.pixels[0, term.compared[0], 0]
        assert compared.min() == first
        assert_close(term.compared_share, torch.tensor([(51 - first) / 41]))


def test_wrist_closing_pixels_do_not_count_in_the_share():
    half = replace(BACK, auxiliary_faces=torch.tensor([[True, False]]))
    term = photometric_consistency(pair_of(half), half)
    assert_close(term.compared_share, torch.ones(1))
    assert 0 < term.compared.sum() < 0.6 * 1353


def test_a_batch_of_objects_of_different_size_gives_each_pairs_own_term():
    meshes = [box(), BACK]
    targets = [box(translation=(0.02, -0.02, 0.5)), shifted(BACK, 3.3, 1.2)]
    faces, _ = pad([mesh.faces[0] for mesh in meshes])
    together = Mesh.of(pad([mesh.vertices[0] for mesh in meshes])[0], faces)
    target = together.with_vertices(pad([mesh.vertices[0] for mesh in targets])[0])
    camera = Camera(CAMERA.intrinsics.expand(2, 3, 3), WIDTH, HEIGHT)
    images = smooth_image(0, batch=2), smooth_image(1, batch=2)
    term = photometric_consistency(FramePair(images[0], camera, images[1], camera, together), target)
    for row, (mesh, one) in enumerate(zip(meshes, targets, strict=True)):
        pair = FramePair(images[0][row : row + 1], CAMERA, images[1][row : row + 1], CAMERA, mesh)
        alone = photometric_consistency(pair, one)
        assert_close(term.loss[row], alone.loss[0])
        assert_close(term.compared_share[row], alone.compared_share[0])


def test_adam_on_the_term_recovers_a_shift_and_a_turn_of_two_pixels():
    """Six degrees of freedom of a textured box, in float32 as in training, to a twentieth of the initial error."""
    places = BOX * 0.5  # longer waves: two pixels are a sixth of one
    reference = box()
    true_pose = ((0.43, 0.55, 0.18), (0.025, -0.01, 0.505))
    target_image = picture(box(*true_pose), places).float()
    camera = CAMERA.to(target_image)
    single = reference.with_vertices(reference.vertices.float())
    pair = FramePair(target_image, camera, picture(reference, places).float(), camera, single)

    start = torch.tensor([*true_pose[0], *true_pose[1]])
    wrong = torch.tensor([0.05, -0.06, 0.08, 0.0125, -0.0125, 0.0])  # 2 px = 0.0125 m sideways at 0.5 m
    pose = (start + wrong).requires_grad_()
    corners = BOX.float()

    def surface(numbers):
        from warpgrasp.geometry.rotation import matrix_from_axis_angle

        return (corners @ matrix_from_axis_angle(numbers[:3]).T + numbers[3:])[None]

    def error_px():
        with torch.no_grad():
            difference = camera.project(surface(pose)) - camera.project(surface(start))
            return difference.norm(dim=-1).mean().item()

    assert error_px() > 2
    optimiser = torch.optim.Adam([pose], lr=6e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 70, eta_min=1e-5)
    for _ in range(70):
        optimiser.zero_grad()
        photometric_consistency(pair, single.with_vertices(surface(pose))).loss.sum().backward()
        optimiser.step()
        schedule.step()
    assert error_px() < 0.1


def test_the_term_is_the_same_whether_covered_or_all_pixels_are_listed():
    """On a GPU all are (`Fragments.of`): the same loss, share and gradient."""
    reference = box()
    target = moved(reference.vertices[0] - 0.5, (0.05, -0.08, 0.06), (0.52, 0.505, 0.53))[None]
    pair, found = pair_of(reference), []
    raster = rasterize(reference, CAMERA)
    for seen in (Fragments.of(raster), Fragments.of_every_pixel(raster)):
        vertices = target.clone().requires_grad_()
        term = photometric_consistency(pair, reference.with_vertices(vertices), seen=seen)
        term.loss.sum().backward()
        assert vertices.grad is not None
        found.append((term.loss.detach(), term.compared_share, vertices.grad))
    assert found[0][0] > 0
    for one, other in zip(*found, strict=True):
        assert_close(one, other)
