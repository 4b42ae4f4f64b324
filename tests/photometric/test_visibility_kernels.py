"""The compiled loop against tensor operations, on triangles on which rasterisers break and landings of any kind."""

import pytest
import torch

from tests.render.scenes import CAMERA, HEIGHT, WIDTH, soup
from warpgrasp.geometry.mesh import Mesh
from warpgrasp.photometric import visibility
from warpgrasp.photometric.visibility import RoundTrips, Visibility
from warpgrasp.render import reference as rasterizer


def found_by(way, seed: int, count: int = 4000) -> Visibility:
    """Which of random landings are kept, and which go astray."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> torch.Tensor:
        return torch.rand(shape, generator=generator, dtype=torch.float64)

    surfaces = [soup(10 + seed), soup(20 + seed)]
    target = Mesh(
        torch.cat([surface.vertices for surface in surfaces]),
        torch.cat([surface.faces for surface in surfaces]),
        random(2, surfaces[0].faces.shape[1]) < 0.2,
    )
    # Moved by about as much as the tolerance, some of it behind the camera.
    before = target.with_vertices(target.vertices + 0.03 * (random(2, 1, 3) - 0.5) - torch.tensor([0, 0, 0.4]))
    started_px = (random(2, count, 2) * torch.tensor([WIDTH, HEIGHT])).long()
    landing_px = started_px + 6 * (random(2, count, 2) - 0.5)
    landing_px[:, ::50] = torch.nan
    landing_px[:, 1::50] = 1e30
    landing_px[:, 2::50] = landing_px[:, 2::50].round() + 0.5  # as near to one pixel as to the next
    return way(
        RoundTrips(
            torch.arange(count).expand(2, -1) % 7 > 0,
            started_px,
            landing_px,
            before,
            target,
            reference_camera=CAMERA,
            target_camera=CAMERA,
            target_face_ids=rasterizer.rasterize(target, CAMERA).face_ids,
            tolerance_px=40.0,
        )
    )


@pytest.mark.parametrize("seed", range(4))
def test_it_keeps_the_same_pixels(seed: int):
    found, expected = (found_by(way, seed) for way in (RoundTrips.by_compiled_loop, RoundTrips.by_tensors))
    assert torch.equal(found.mutual, expected.mutual)
    assert torch.equal(found.astray, expected.astray)
    assert not (found.mutual & found.astray).any()
    for some in (found.mutual, found.astray):
        assert 0.02 < some.float().mean() < 0.95


def test_the_uncompiled_kernel_is_the_compiled_one(monkeypatch):
    compiled = found_by(RoundTrips.by_compiled_loop, 0, 500)
    monkeypatch.setattr(visibility, "_round_trips", visibility.round_trips_kernel)
    plain = found_by(RoundTrips.by_compiled_loop, 0, 500)
    assert torch.equal(plain.mutual, compiled.mutual)
    assert torch.equal(plain.astray, compiled.astray)
