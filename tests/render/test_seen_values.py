"""The compiled interpolation and its derivative against the one by tensor operations."""

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck
from torch.testing import assert_close

from tests.render.scenes import CAMERA, hand_and_object, soup
from warpgrasp.geometry.camera import Camera
from warpgrasp.geometry.mesh import Mesh
from warpgrasp.render import cpu, rasterize, reference, seen_values
from warpgrasp.render.rasterizer import Fragments, interpolate, pixels_to_rays, surface_weights


def by_tensors(mesh: Mesh, camera: Camera, face_ids: Tensor, pixels: Tensor, values: Tensor) -> Tensor:
    return interpolate(values, mesh.faces, face_ids, surface_weights(mesh, camera, face_ids, pixels))


def by_loops(mesh: Mesh, camera: Camera, face_ids: Tensor, pixels: Tensor, values: Tensor) -> Tensor:
    """By the compiled loops, in any precision."""
    return cpu.SeenValues.apply(mesh.vertices, values, mesh.faces, pixels_to_rays(camera), face_ids, pixels)


def found(way, mesh: Mesh, camera: Camera, seen: Fragments, values: Tensor) -> list[Tensor]:
    """What is seen, and the gradients of a sum of it, differently weighted, to the vertices and to the values."""
    vertices, values = mesh.vertices.clone().requires_grad_(), values.clone().requires_grad_()
    out = way(mesh.with_vertices(vertices), camera, seen.face_ids, seen.pixels, values)
    weights = torch.cos(torch.arange(out.numel(), dtype=torch.float64)).view(out.shape).to(out)
    weights[:, ::3] = 0  # pixels that are not compared
    (out * weights).sum().backward()
    assert vertices.grad is not None
    assert values.grad is not None
    return [out.detach(), vertices.grad, values.grad]


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_in_float64_it_is_the_same(channels: int):
    mesh = soup(5)
    mesh = Mesh.of(torch.cat([mesh.vertices, mesh.vertices + 0.01]), mesh.faces[0])
    values = torch.rand(2, mesh.vertices.shape[1], channels, dtype=torch.float64)
    seen = Fragments.of(reference.rasterize(mesh, CAMERA))
    ours, theirs = (found(way, mesh, CAMERA, seen, values) for way in (by_loops, by_tensors))
    for one, other in zip(ours, theirs, strict=True):
        assert other.abs().max() > 0
        assert_close(one, other, rtol=1e-9, atol=1e-12)


def test_in_float32_it_is_nearer_the_truth():
    mesh, camera = hand_and_object("006_mustard_bottle", seed=0)
    seen = Fragments.of(rasterize(mesh, camera))
    double = mesh.with_vertices(mesh.vertices.double())
    exact = by_tensors(double, camera.to(double.vertices), seen.face_ids, seen.pixels, double.vertices)
    errors_m = [
        (way(mesh, camera, seen.face_ids, seen.pixels, mesh.vertices) - exact).norm(dim=-1).max()
        for way in (seen_values, by_tensors)
    ]
    assert errors_m[0] < 1e-6
    assert errors_m[0] < errors_m[1]


@pytest.mark.parametrize("wanted", ["vertices", "values", "both"])
def test_gradcheck(wanted: str):
    mesh = soup(6, faces=4)
    seen = Fragments.of(reference.rasterize(mesh, CAMERA))
    face_ids, pixels = seen.face_ids[:, ::37], seen.pixels[:, ::37]
    vertices = mesh.vertices.clone().requires_grad_(wanted != "values")
    values = torch.rand(*mesh.vertices.shape[:2], 2, dtype=torch.float64).requires_grad_(wanted != "vertices")

    def of(vertices: Tensor, values: Tensor) -> Tensor:
        return by_loops(mesh.with_vertices(vertices), CAMERA, face_ids, pixels, values)

    assert gradcheck(of, (vertices, values))


def test_a_face_seen_edge_on_gives_and_sends_nothing():
    vertices = torch.tensor([[[0.0, 0, 1], [0, 0, 2], [0, 0, 3]]], dtype=torch.float64, requires_grad=True)
    mesh = Mesh.of(vertices, torch.tensor([[0, 1, 2]]))
    face_ids, pixels = torch.zeros(1, 1, dtype=torch.long), torch.tensor([[[5, 6]]])
    out = by_loops(mesh, CAMERA, face_ids, pixels, torch.ones(1, 3, 1, dtype=torch.float64))
    assert out.abs().sum() == 0
    out.sum().backward()
    assert vertices.grad is not None
    assert vertices.grad.abs().sum() == 0


def test_uncompiled_kernels_are_the_compiled_ones():
    """Numba compiles what Python would run, but may contract a product and a sum into one rounding."""
    mesh = soup(7, faces=3)
    seen = Fragments.of(reference.rasterize(mesh, CAMERA))
    few = Fragments(seen.pixels[:, ::50], seen.face_ids[:, ::50], seen.covered[:, ::50], seen.height, seen.width)
    values = torch.rand(*mesh.vertices.shape[:2], 2, dtype=torch.float64)
    out, to_vertices, to_values = found(by_loops, mesh, CAMERA, few, values)
    directions = torch.linalg.inv(CAMERA.intrinsics.double()).expand(1, 3, 3)
    given = [tensor.numpy() for tensor in (mesh.vertices, values, mesh.faces, directions, few.face_ids, few.pixels)]
    plain = torch.zeros_like(out)
    cpu.seen_kernel(*given, plain.numpy())
    assert_close(plain, out)
    gradient = torch.cos(torch.arange(out.numel(), dtype=torch.float64)).view(out.shape)
    gradient[:, ::3] = 0
    plain_vertices, plain_values = torch.zeros_like(to_vertices), torch.zeros_like(to_values)
    cpu.seen_backward_kernel(*given, gradient.numpy(), plain_vertices.numpy(), plain_values.numpy())
    assert_close(plain_vertices, to_vertices)
    assert_close(plain_values, to_values)
