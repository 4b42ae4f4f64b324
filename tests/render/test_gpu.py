"""The Triton kernels against the compiled ones of the CPU: on a GPU, or by Triton's interpreter where there is none."""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from tests.render.scenes import CAMERA, HEIGHT, SCENES, WIDTH, hand_and_object, soup
from tests.render.test_seen_values import by_loops, by_tensors, found
from warpgrasp.geometry.camera import Camera
from warpgrasp.geometry.mesh import Mesh, pad
from warpgrasp.render import cpu, rasterize, reference
from warpgrasp.render.rasterizer import Fragments, pixels_to_rays

pytest.importorskip("triton")
gpu, gpu_values = (pytest.importorskip(f"warpgrasp.render.{name}") for name in ("gpu", "gpu_values"))
# NumPy, by which the interpreter computes, warns of inf · 0.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::RuntimeWarning")]
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
SINGLE_CAMERA = CAMERA.to(torch.zeros(1, device=DEVICE))


def single(mesh: Mesh) -> Mesh:
    return Mesh(mesh.vertices.float().to(DEVICE), mesh.faces.to(DEVICE), mesh.auxiliary_faces.to(DEVICE))


def on_gpu(mesh: Mesh, camera: Camera, face_ids: Tensor, pixels: Tensor, values: Tensor) -> Tensor:
    return gpu_values.SeenValues.apply(mesh.vertices, values, mesh.faces, pixels_to_rays(camera), face_ids, pixels)


def on_cpu(mesh: Mesh) -> Mesh:
    return Mesh(mesh.vertices.cpu(), mesh.faces.cpu(), mesh.auxiliary_faces.cpu())


@pytest.mark.parametrize("name", SCENES)
def test_it_draws_what_the_compiled_one_draws(name):
    mesh = single(SCENES[name])
    ours, theirs = gpu.rasterize(mesh, SINGLE_CAMERA), cpu.rasterize(on_cpu(mesh), CAMERA.to(torch.zeros(1)))
    assert torch.equal(ours.face_ids.cpu(), theirs.face_ids)
    assert torch.equal(ours.depth.cpu(), theirs.depth)


def test_of_coplanar_faces_the_lower_id_wins():
    mesh = single(soup(3))
    faces = torch.cat([mesh.faces, mesh.faces, mesh.faces], dim=1)
    raster = gpu.rasterize(Mesh.of(mesh.vertices, faces), SINGLE_CAMERA)
    assert torch.equal(raster.face_ids, gpu.rasterize(mesh, SINGLE_CAMERA).face_ids)


@pytest.mark.parametrize("seed", range(4))
def test_no_pixel_falls_between_faces_that_share_an_edge(seed):
    """Edges that run exactly through pixel centres, of a sheet that bends."""
    generator = torch.Generator().manual_seed(seed)
    rim = torch.tensor([[1.0, 1], [38, 1], [38, 28], [1, 28]])
    middle = torch.randint(8, 22, (1, 2), generator=generator)
    depth = 0.5 + torch.rand(1, 5, generator=generator)
    vertices = CAMERA.to(torch.zeros(1)).unproject(torch.cat([rim, middle.float()])[None], depth)
    mesh = single(Mesh.of(vertices, torch.tensor([[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]])))
    inside = gpu.rasterize(mesh, SINGLE_CAMERA).face_ids[0, 2:28, 2:38].clone()
    inside[middle[0, 1] - 2, middle[0, 0] - 2] = 0  # where all four meet, rounding decides
    assert (inside >= 0).all()


def test_a_batch_of_different_sizes_draws_each_alone_and_no_padding():
    meshes = [single(soup(1, faces=25)), single(soup(2, faces=3)), single(SCENES["behind the camera"])]
    vertices, _ = pad([mesh.vertices[0] for mesh in meshes])
    faces, _ = pad([mesh.faces[0] for mesh in meshes])
    scales = torch.tensor([[[1.0, 1, 1]], [[1.3, 1, 1]], [[1, 0.8, 1]]], device=DEVICE).mT
    intrinsics = SINGLE_CAMERA.intrinsics * scales
    together = gpu.rasterize(Mesh.of(vertices, faces), Camera(intrinsics, WIDTH, HEIGHT))
    for row, mesh in enumerate(meshes):
        alone = gpu.rasterize(mesh, Camera(intrinsics[row : row + 1], WIDTH, HEIGHT))
        assert torch.equal(together.face_ids[row], alone.face_ids[0])
        assert torch.equal(together.depth[row], alone.depth[0])
    assert (together.face_ids[1] >= 0).any()
    assert (together.face_ids[2] < 0).all()


@pytest.mark.parametrize("wrong", [torch.nan, torch.inf, -torch.inf])
def test_numbers_that_are_not_finite_draw_nothing(wrong):
    mesh = single(soup(1, faces=10))
    vertices = mesh.vertices.clone()
    vertices[0, 0, 0] = wrong
    clean = gpu.rasterize(Mesh.of(mesh.vertices, mesh.faces[:, 1:]), SINGLE_CAMERA)
    raster = gpu.rasterize(Mesh.of(vertices, mesh.faces), SINGLE_CAMERA)
    assert torch.equal(raster.face_ids, torch.where(clean.face_ids >= 0, clean.face_ids + 1, -1))


def test_a_hand_with_an_object_looks_the_same():
    mesh, camera = hand_and_object()
    camera = camera.resized(96, 54)
    theirs = cpu.rasterize(mesh, camera)
    ours = gpu.rasterize(single(mesh), camera.to(torch.zeros(1, device=DEVICE)))
    assert (theirs.face_ids >= 0).sum() > 300
    assert torch.equal(ours.face_ids.cpu(), theirs.face_ids)
    assert torch.equal(ours.depth.cpu(), theirs.depth)


def test_nothing_at_all():
    nothing = Mesh.of(torch.zeros(2, 3, 3, device=DEVICE), torch.zeros(2, 0, 3, dtype=torch.long, device=DEVICE))
    raster = gpu.rasterize(nothing, SINGLE_CAMERA)
    assert raster.face_ids.shape == (2, HEIGHT, WIDTH)
    assert (raster.face_ids == -1).all()
    assert raster.depth.isinf().all()


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_values_and_their_gradients_are_those_of_tensor_operations(channels):
    mesh = soup(5)
    mesh = Mesh.of(torch.cat([mesh.vertices, mesh.vertices + 0.01]), mesh.faces[0])
    values = torch.rand(2, mesh.vertices.shape[1], channels, dtype=torch.float64)
    seen = Fragments.of(reference.rasterize(mesh, CAMERA))

    def on_device(mesh: Mesh, camera: Camera, face_ids: Tensor, pixels: Tensor, values: Tensor) -> Tensor:
        moved = Mesh(mesh.vertices.to(DEVICE), mesh.faces.to(DEVICE), mesh.auxiliary_faces.to(DEVICE))
        placed = [tensor.to(DEVICE) for tensor in (face_ids, pixels, values)]
        return on_gpu(moved, camera.to(moved.vertices), *placed).cpu()

    ours, theirs = (found(way, mesh, CAMERA, seen, values) for way in (on_device, by_tensors))
    for one, other in zip(ours, theirs, strict=True):
        assert other.abs().max() > 0
        assert_close(one, other, rtol=1e-9, atol=1e-12)


def test_in_float32_values_and_gradients_are_those_of_the_compiled_ones():
    mesh, camera = hand_and_object()
    camera = camera.resized(96, 54)
    seen = Fragments.of(rasterize(mesh, camera))

    def on_device(mesh: Mesh, camera: Camera, face_ids: Tensor, pixels: Tensor, values: Tensor) -> Tensor:
        placed = [tensor.to(DEVICE) for tensor in (face_ids, pixels, values)]
        return on_gpu(single(mesh), camera.to(placed[2]), *placed).cpu()

    ours, theirs = (found(way, mesh, camera, seen, mesh.vertices + 0.01) for way in (on_device, by_loops))
    for one, other in zip(ours, theirs, strict=True):
        assert_close(one, other, rtol=1e-5, atol=1e-5 * float(other.abs().max()))


@pytest.mark.parametrize("wanted", ["vertices", "values"])
def test_a_gradient_that_nobody_asks_for_is_not_computed(wanted):
    mesh = single(soup(6, faces=4))
    seen = Fragments.of(gpu.rasterize(mesh, SINGLE_CAMERA))
    vertices = mesh.vertices.clone().requires_grad_(wanted == "vertices")
    values = torch.rand_like(vertices).requires_grad_(wanted == "values")
    moved = mesh.with_vertices(vertices)
    out = on_gpu(moved, SINGLE_CAMERA, seen.face_ids, seen.pixels, values)
    out.sum().backward()
    asked, other = (vertices, values) if wanted == "vertices" else (values, vertices)
    assert other.grad is None
    assert asked.grad is not None
    assert asked.grad.abs().max() > 0
