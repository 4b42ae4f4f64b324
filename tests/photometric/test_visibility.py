"""Sheets that face the camera, with borders between pixels: every mask is known exactly."""

import pytest
import torch

from tests.photometric.scenes import CAMERA, HEIGHT, WIDTH, sheet
from warpgrasp.geometry.mesh import Mesh, join
from warpgrasp.photometric.flow import render_flow
from warpgrasp.photometric.visibility import RoundTrips, mutually_visible


@pytest.fixture(autouse=True, params=["compiled", "tensors"])
def way(request, monkeypatch):
    """Every test holds for the compiled loop of CPUs and for the tensor operations of other devices."""
    if request.param == "tensors":
        monkeypatch.setattr(RoundTrips, "by_compiled_loop", RoundTrips.by_tensors)


def mask_of(reference: Mesh, target: Mesh, *, of: str = "mutual", **options) -> torch.Tensor:
    """The compared pixels, or those that go astray, as an image (h, w)."""
    there = render_flow(reference, target, source_camera=CAMERA, destination_camera=CAMERA)
    found = mutually_visible(there, reference, target, reference_camera=CAMERA, target_camera=CAMERA, **options)
    image = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
    u, v = there.fragments.pixels[0, getattr(found, of)[0]].unbind(-1)
    image[v, u] = True
    return image


def block(left, right, top, bottom) -> torch.Tensor:
    """True from column `left` to `right` and row `top` to `bottom`, both included."""
    image = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
    image[top : bottom + 1, left : right + 1] = True
    return image


BACK = sheet(9.5, 50.5, 7.5, 40.5)
ALL = block(10, 50, 8, 40)


def auxiliary(mesh: Mesh) -> Mesh:
    return Mesh(mesh.vertices, mesh.faces, torch.ones_like(mesh.auxiliary_faces))


def test_what_stays_is_compared_everywhere():
    assert torch.equal(mask_of(BACK, BACK), ALL)


def test_what_another_surface_hides_in_the_target_is_not_compared():
    before = join(BACK, sheet(52.5, 62.5, 9.5, 19.5, depth=0.4))
    after = join(BACK, sheet(32.5, 42.5, 9.5, 19.5, depth=0.4))
    assert torch.equal(mask_of(before, after), ALL & ~block(33, 42, 10, 19) | block(53, 62, 10, 19))
    assert torch.equal(mask_of(before, after, of="astray"), block(33, 42, 10, 19))


def test_what_another_surface_hides_in_the_reference_is_not_compared():
    before = join(BACK, sheet(32.5, 42.5, 9.5, 19.5, depth=0.4))
    after = join(BACK, sheet(52.5, 62.5, 9.5, 19.5, depth=0.4))
    assert torch.equal(mask_of(before, after), ALL)  # of the front sheet, which moved out of the way


def test_what_leaves_the_image_is_not_compared():
    assert torch.equal(mask_of(BACK, sheet(29.5, 70.5, 7.5, 40.5)), block(10, 43, 8, 40))
    assert not mask_of(BACK, sheet(29.5, 70.5, 7.5, 40.5), of="astray").any()
    assert torch.equal(mask_of(BACK, sheet(9.5, 50.5, -12.5, 20.5)), block(10, 50, 20, 40))


def test_what_lands_behind_the_camera_is_not_compared():
    assert not mask_of(BACK, BACK.with_vertices(BACK.vertices - torch.tensor([0, 0, 0.6]))).any()


def test_the_nearest_pixel_of_the_target_must_be_covered():
    """Column 30 lands at 30.6; the target's border is at 30.65, so that column 31 is not covered."""
    reference, target = sheet(9.5, 30.05, 7.5, 40.5), sheet(10.1, 30.65, 7.5, 40.5)
    assert torch.equal(mask_of(reference, target), block(10, 29, 8, 40))


@pytest.mark.parametrize(("in_front", "kept"), [(False, True), (True, False)])
def test_wrist_closing_faces_of_the_target_are_never_compared(in_front, kept):
    """They stand still, so that following the flow back would not tell."""
    before = join(BACK, auxiliary(sheet(19.5, 29.5, 9.5, 19.5, depth=0.51)))
    after = join(BACK, auxiliary(sheet(19.5, 29.5, 9.5, 19.5, depth=0.49 if in_front else 0.51)))
    assert torch.equal(mask_of(before, after), ALL if kept else ALL & ~block(20, 29, 10, 19))


def test_wrist_closing_faces_of_the_reference_are_never_compared():
    cover = auxiliary(sheet(19.5, 29.5, 9.5, 19.5, depth=0.4))
    assert torch.equal(mask_of(join(cover, BACK), join(cover, BACK)), ALL & ~block(20, 29, 10, 19))


@pytest.mark.parametrize(("offset", "kept"), [(1.9, True), (2.1, False)])
def test_the_round_trip_may_miss_by_two_pixels(offset, kept):
    """A cover appears in front of the sheet; its own flow back misses the start by `offset`."""
    before = join(BACK, sheet(19.5 + offset, 29.5 + offset, 9.5, 19.5, depth=0.51))
    after = join(BACK, sheet(19.5, 29.5, 9.5, 19.5, depth=0.49))
    assert torch.equal(mask_of(before, after), ALL if kept else ALL & ~block(20, 29, 10, 19))
    assert torch.equal(mask_of(before, after, tolerance_px=offset + 0.01), ALL)


def test_a_batch_masks_each_pair_alone():
    from dataclasses import replace

    from warpgrasp.geometry.camera import Camera

    targets = [BACK, sheet(29.5, 70.5, 7.5, 40.5)]
    both = replace(BACK, vertices=BACK.vertices.expand(2, -1, -1), faces=BACK.faces.expand(2, -1, -1),
                   auxiliary_faces=BACK.auxiliary_faces.expand(2, -1))  # fmt: skip
    target = both.with_vertices(torch.cat([one.vertices for one in targets]))
    camera = Camera(CAMERA.intrinsics.expand(2, 3, 3), WIDTH, HEIGHT)
    there = render_flow(both, target, source_camera=camera, destination_camera=camera)
    kept = mutually_visible(there, both, target, reference_camera=camera, target_camera=camera).mutual
    assert kept.sum(dim=1).tolist() == [int(mask_of(BACK, one).sum()) for one in targets]
