"""Both rasterisers against the per-pixel loop of `tests.oracles.raycast`, where rasterisers break."""

import math

import pytest
import torch
from torch.autograd import gradcheck
from torch.testing import assert_close

from tests.oracles.raycast import raycast
from tests.render.scenes import CAMERA, EMPTY, HEIGHT, INTRINSICS, SCENES, WIDTH, arrays, hand_and_object, mesh_of, soup
from warpgrasp.geometry.camera import NEAR_M, Camera, pixel_grid
from warpgrasp.geometry.mesh import Mesh, pad
from warpgrasp.render import cpu, rasterize, reference, seen_values
from warpgrasp.render.rasterizer import (
    Fragments,
    Raster,
    barycentrics,
    compiled,
    corners_of,
    interpolate,
    surface_weights,
)

EDGE_BAND_PX = 1e-3  # float32 may decide otherwise where a pixel's centre is this near to an edge
DEPTH_BAND_M = 1e-6  # or where two surfaces are this near to each other
ROUNDING_BAND = 1e-5  # in weights or metres: the oracle's doubtful pixels for float32
SLACK_POINT_M, SLACK_PX = 1e-6, 2e-3


def single(mesh: Mesh) -> Mesh:
    return mesh.with_vertices(mesh.vertices.float())


SINGLE_CAMERA = CAMERA.to(torch.zeros(1))


@pytest.mark.parametrize("name", SCENES)
def test_reference_in_float64_sees_what_the_loop_sees(name):
    raster = reference.rasterize(SCENES[name], CAMERA)
    face_ids, depth, doubtful = raycast(*arrays(SCENES[name]), INTRINSICS, WIDTH, HEIGHT)
    assert doubtful.mean() < 0.02 or name in EMPTY
    assert (raster.face_ids[0].numpy() == face_ids)[~doubtful].all()
    both = ~doubtful & (face_ids >= 0)
    assert_close(raster.depth[0].numpy()[both], depth[both], rtol=1e-9, atol=1e-12)
    assert ((raster.face_ids < 0) == raster.depth.isinf()).all()
    assert (face_ids < 0).all() == (name in EMPTY)


@pytest.mark.parametrize("rasterizer", [cpu.rasterize, reference.rasterize], ids=["compiled", "reference"])
@pytest.mark.parametrize("name", SCENES)
def test_float32_sees_what_the_loop_sees(name, rasterizer):
    mesh = single(SCENES[name])
    raster = rasterizer(mesh, SINGLE_CAMERA)
    face_ids, depth, doubtful = raycast(*arrays(mesh), INTRINSICS.float(), WIDTH, HEIGHT, tolerance=ROUNDING_BAND)
    assert raster.depth.dtype == torch.float32
    assert doubtful.mean() < 0.03 or name in EMPTY
    assert (raster.face_ids[0].numpy() == face_ids)[~doubtful].all()
    both = ~doubtful & (face_ids >= 0)
    assert_close(raster.depth[0].double().numpy()[both], depth[both], rtol=1e-4, atol=1e-6)
    if name in EMPTY:
        assert (raster.face_ids < 0).all()


@pytest.mark.parametrize("rasterizer", [cpu.rasterize, reference.rasterize], ids=["compiled", "reference"])
def test_of_coplanar_faces_the_lower_id_wins(rasterizer):
    """Copies of a face lie at exactly its depth."""
    mesh = single(soup(3))
    faces = torch.cat([mesh.faces, mesh.faces, mesh.faces], dim=1)
    raster = rasterizer(Mesh.of(mesh.vertices, faces), SINGLE_CAMERA)
    assert torch.equal(raster.face_ids, rasterizer(mesh, SINGLE_CAMERA).face_ids)


@pytest.mark.parametrize("rasterizer", [cpu.rasterize, reference.rasterize], ids=["compiled", "reference"])
@pytest.mark.parametrize("seed", range(20))
def test_no_pixel_falls_between_faces_that_share_an_edge(rasterizer, seed):
    """Edges that run exactly through pixel centres, of a sheet that bends: the face changes, the cover does not."""
    generator = torch.Generator().manual_seed(seed)
    rim = torch.tensor([[1.0, 1], [38, 1], [38, 28], [1, 28]])
    middle = torch.randint(8, 22, (1, 2), generator=generator)
    pixels = torch.cat([rim, middle.float()])[None]
    depth = 0.5 + torch.rand(1, 5, generator=generator)
    vertices = SINGLE_CAMERA.unproject(pixels, depth)
    faces = torch.tensor([[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]])
    raster = rasterizer(Mesh.of(vertices, faces), SINGLE_CAMERA)
    inside = raster.face_ids[0, 2:28, 2:38].clone()
    inside[middle[0, 1] - 2, middle[0, 0] - 2] = 0  # where all four meet, rounding decides
    assert (inside >= 0).all()


@pytest.mark.parametrize("rasterizer", [cpu.rasterize, reference.rasterize], ids=["compiled", "reference"])
def test_a_closed_surface_has_no_holes(rasterizer):
    """A hand's silhouette has no uncovered pixel whose eight neighbours are all covered."""
    mesh, camera = hand_and_object()
    covered = (rasterizer(mesh, camera).face_ids[:, None] >= 0).float()
    neighbours = torch.nn.functional.avg_pool2d(covered, 3, stride=1, padding=1) * 9 - covered
    assert covered.mean() > 0.03
    assert not ((neighbours > 7.5) & (covered == 0)).any()


@pytest.mark.parametrize("rasterizer", [cpu.rasterize, reference.rasterize], ids=["compiled", "reference"])
def test_a_batch_of_different_sizes_draws_each_alone_and_no_padding(rasterizer):
    meshes = [single(soup(1, faces=25)), single(soup(2, faces=3)), single(SCENES["behind the camera"])]
    vertices, _ = pad([mesh.vertices[0] for mesh in meshes])
    faces, _ = pad([mesh.faces[0] for mesh in meshes])
    intrinsics = SINGLE_CAMERA.intrinsics * torch.tensor([[[1.0, 1, 1]], [[1.3, 1, 1]], [[1, 0.8, 1]]]).mT
    together = rasterizer(Mesh.of(vertices, faces), Camera(intrinsics, WIDTH, HEIGHT))
    for row, mesh in enumerate(meshes):
        alone = rasterizer(mesh, Camera(intrinsics[row : row + 1], WIDTH, HEIGHT))
        assert torch.equal(together.face_ids[row], alone.face_ids[0])
        assert torch.equal(together.depth[row], alone.depth[0])
    assert (together.face_ids[1] >= 0).any()
    assert (together.face_ids[2] < 0).all()


@pytest.mark.parametrize("rasterizer", [cpu.rasterize, reference.rasterize], ids=["compiled", "reference"])
def test_one_camera_serves_a_whole_batch(rasterizer):
    mesh = single(soup(1, faces=5))
    twice = Mesh.of(torch.cat([mesh.vertices, mesh.vertices]), mesh.faces[0])
    raster = rasterizer(twice, SINGLE_CAMERA)
    assert torch.equal(raster.face_ids[0], raster.face_ids[1])
    assert (raster.face_ids >= 0).any()


@pytest.mark.parametrize("rasterizer", [cpu.rasterize, reference.rasterize], ids=["compiled", "reference"])
@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_draw_nothing_and_do_not_hang(rasterizer, wrong):
    mesh = single(soup(1, faces=10))
    vertices = mesh.vertices.clone()
    vertices[0, 0, 0] = wrong
    clean = rasterizer(Mesh.of(mesh.vertices, mesh.faces[:, 1:]), SINGLE_CAMERA)
    raster = rasterizer(Mesh.of(vertices, mesh.faces), SINGLE_CAMERA)
    assert torch.equal(raster.face_ids, torch.where(clean.face_ids >= 0, clean.face_ids + 1, -1))


def test_compiled_and_reference_agree_on_a_hand_with_an_object_away_from_edges():
    disagreements = covered = 0
    for name, seed in [("006_mustard_bottle", 0), ("003_cracker_box", 1), ("006_mustard_bottle", 2)]:
        mesh, camera = hand_and_object(name, seed=seed)
        fast, slow = cpu.rasterize(mesh, camera), reference.rasterize(mesh, camera)
        differs = fast.face_ids != slow.face_ids
        doubtful = doubtful_pixels(mesh, camera, fast, slow)
        assert (~differs | doubtful).all()
        disagreements, covered = disagreements + int(differs.sum()), covered + int((slow.face_ids >= 0).sum())
    assert covered > 10_000
    assert disagreements <= 1e-3 * covered


def doubtful_pixels(mesh: Mesh, camera: Camera, fast: Raster, slow: Raster) -> torch.Tensor:
    """The named band: pixels within EDGE_BAND_PX of an edge of either face, or with faces within DEPTH_BAND_M."""
    double = mesh.with_vertices(mesh.vertices.double())
    exact = camera.to(double.vertices)
    pixels = pixel_grid(camera.height, camera.width, like=double.vertices)[None].expand(len(mesh.vertices), -1, -1, -1)
    near_edge = torch.zeros_like(fast.face_ids, dtype=torch.bool)
    projected = exact.project(double.vertices)
    for raster in (fast, slow):
        corners = corners_of(projected, mesh.faces, raster.face_ids.clamp_min(0).flatten(1))
        start, end = corners, corners.roll(-1, dims=2)
        along = end - start
        offset = pixels.flatten(1, 2)[:, :, None] - start
        share = ((offset * along).sum(-1) / along.square().sum(-1).clamp_min(1e-30)).clamp(0, 1)
        distance = (offset - share[..., None] * along).norm(dim=-1).amin(-1).view(fast.face_ids.shape)
        near_edge |= (distance < EDGE_BAND_PX) & (raster.face_ids >= 0)
    return near_edge | ((fast.depth - slow.depth).abs() < DEPTH_BAND_M)


def test_compiled_points_are_those_of_the_reference():
    """Interpolated points and their pixels in float32 against float64, where both see the same face."""
    for name, seed in [("006_mustard_bottle", 0), ("003_cracker_box", 1)]:
        mesh, camera = hand_and_object(name, seed=seed)
        double = mesh.with_vertices(mesh.vertices.double())
        exact_camera = camera.to(double.vertices)
        fast, slow = cpu.rasterize(mesh, camera), reference.rasterize(double, exact_camera)
        fragments = Fragments.of(fast)
        u, v = fragments.pixels[0].unbind(-1)
        same = fast.face_ids[0, v, u] == slow.face_ids[0, v, u]
        assert same.float().mean() > 0.999
        points = seen_values(mesh, camera, fragments.face_ids, fragments.pixels, mesh.vertices)[0]
        rays = exact_camera.rays(fragments.pixels[0].double()[None])[0]
        exact = rays * slow.depth[0, v, u][:, None]
        assert (points - exact)[same].norm(dim=-1).max() < SLACK_POINT_M
        assert (camera.project(points[None])[0] - fragments.pixels[0])[same].abs().max() < SLACK_PX
        assert (fast.depth[0, v, u] - slow.depth[0, v, u])[same].abs().max() < SLACK_POINT_M


@pytest.mark.parametrize("name", ["soup 0", "soup through the camera", "degenerate", "far larger than the image"])
def test_uncompiled_kernel_is_the_compiled_one(name):
    """Numba compiles what Python would run: the same faces and depths, bit for bit."""
    mesh, camera = single(SCENES[name]), Camera(SINGLE_CAMERA.intrinsics * torch.tensor([[0.3], [0.3], [1]]), 12, 9)
    fast = cpu.rasterize(mesh, camera)
    face_ids = torch.full((1, 9, 12), -1).numpy()
    depth = torch.full((1, 9, 12), torch.inf).numpy()
    vertices, intrinsics = mesh.vertices.numpy(), camera.intrinsics.double()
    boxes = torch.zeros(*mesh.vertices.shape[:2], 4, dtype=torch.int32).numpy()
    cpu.boxes_kernel(vertices, intrinsics.numpy(), boxes, 12, 9)
    cpu.fill_kernel(vertices, mesh.faces.numpy(), boxes, torch.linalg.inv(intrinsics).numpy(), face_ids, depth)
    assert torch.equal(torch.from_numpy(face_ids), fast.face_ids)
    assert torch.equal(torch.from_numpy(depth), fast.depth)


def test_rasterize_chooses_by_precision():
    mesh = SCENES["soup 0"]
    assert rasterize(mesh, CAMERA).depth.dtype == torch.float64
    fast = rasterize(single(mesh), SINGLE_CAMERA)
    assert torch.equal(fast.depth, cpu.rasterize(single(mesh), SINGLE_CAMERA).depth)


def test_fragments_list_the_covered_pixels_row_by_row():
    face_ids = torch.tensor([[[-1, 4, -1], [2, -1, 0]], [[-1, -1, -1], [-1, -1, 7]]])
    fragments = Fragments.of(Raster(face_ids, torch.zeros(2, 2, 3)))
    assert fragments.covered.tolist() == [[True] * 3, [True, False, False]]
    assert fragments.pixels[0].tolist() == [[1, 0], [0, 1], [2, 1]]
    assert fragments.face_ids[0].tolist() == [4, 2, 0]
    assert fragments.pixels[1, 0].tolist() == [2, 1]
    assert fragments.face_ids[1].tolist() == [7, 0, 0]


def test_fragments_keep_the_images_they_list():
    raster = cpu.rasterize(single(soup(3)), SINGLE_CAMERA)
    assert (raster.face_ids >= 0).any()
    assert (raster.face_ids < 0).any()
    assert torch.equal(Fragments.of(raster).face_id_images(), raster.face_ids)


def test_all_pixels_may_be_listed_instead():
    """As on a GPU: the same pixels are covered by the same faces, and the images come back."""
    raster = cpu.rasterize(single(soup(3)), SINGLE_CAMERA)
    lists, every = Fragments.of(raster), Fragments.of_every_pixel(raster)
    assert every.pixels.shape == (1, HEIGHT * WIDTH, 2)
    assert torch.equal(every.pixels[every.covered], lists.pixels[lists.covered])
    assert torch.equal(every.face_ids[every.covered], lists.face_ids[lists.covered])
    assert every.face_ids.min() >= 0
    assert torch.equal(every.face_id_images(), raster.face_ids)


def test_fragments_of_nothing_are_empty():
    fragments = Fragments.of(Raster(torch.full((2, 3, 4), -1), torch.full((2, 3, 4), torch.inf)))
    assert fragments.pixels.shape == (2, 0, 2)
    mesh = single(soup(0, faces=2))
    mesh = Mesh.of(mesh.vertices.expand(2, -1, -1), mesh.faces[0])
    assert (fragments.face_id_images() == -1).all()
    for camera in (SINGLE_CAMERA, CAMERA):
        same = mesh.with_vertices(mesh.vertices.to(camera.intrinsics))
        assert seen_values(same, camera, fragments.face_ids, fragments.pixels, same.vertices).shape == (2, 0, 3)


def test_weights_are_perspective_correct():
    """On a face that leans away, the middle between two corners' pixels is not the middle of the edge."""
    mesh = mesh_of([[-0.3, 0, 1], [0.9, 0, 3], [0, 0.5, 1]], [0, 1, 2])
    middle = CAMERA.project(mesh.vertices)[:, :2].mean(dim=1, keepdim=True)
    weights, defined = barycentrics(mesh.vertices[:, None], CAMERA.rays(middle))
    # With 1/z linear in the image, the far corner weighs 1 where the near one weighs 3.
    assert defined.all()
    assert_close(weights[0, 0], torch.tensor([0.75, 0.25, 0], dtype=torch.float64))


def test_points_of_weights_project_to_their_pixels():
    mesh = soup(5)
    fragments = Fragments.of(reference.rasterize(mesh, CAMERA))
    weights = surface_weights(mesh, CAMERA, fragments.face_ids, fragments.pixels)
    points = interpolate(mesh.vertices, mesh.faces, fragments.face_ids, weights)
    assert_close(weights.sum(-1), torch.ones_like(weights[..., 0]))
    assert_close(CAMERA.project(points), fragments.pixels.double(), rtol=0, atol=1e-9)


def test_weights_pass_gradcheck():
    mesh = soup(6, faces=4)
    fragments = Fragments.of(reference.rasterize(mesh, CAMERA))
    few = slice(None, None, 37)

    def weights_of(vertices):
        return surface_weights(
            mesh.with_vertices(vertices), CAMERA, fragments.face_ids[:, few], fragments.pixels[:, few]
        )

    assert gradcheck(weights_of, (mesh.vertices.clone().requires_grad_(),))


def test_edge_on_weights_are_zero_undefined_and_send_no_nan_back():
    corners = torch.tensor([[[[0.0, 0, 1], [0, 0, 2], [0, 0, 3]]]], dtype=torch.float64, requires_grad=True)
    weights, defined = barycentrics(corners, torch.tensor([[[0.1, 0.2, 1.0]]], dtype=torch.float64))
    assert not defined.any()
    assert weights.abs().sum() == 0
    weights.sum().backward()
    assert corners.grad is not None
    assert corners.grad.isfinite().all()


def test_nothing_nearer_than_the_near_plane_is_drawn():
    for depth, drawn in [(NEAR_M * 0.999, False), (NEAR_M * 1.001, True)]:
        mesh = mesh_of([[-1, -1, depth], [1, -1, depth], [0, 1, depth]], [0, 1, 2])
        assert (reference.rasterize(mesh, CAMERA).face_ids >= 0).any() == drawn
        assert (cpu.rasterize(single(mesh), SINGLE_CAMERA).face_ids >= 0).any() == drawn


def test_kernels_compile_where_nothing_can_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("numba.core.config.CACHE_LOCATOR_CLASSES", "IPythonCacheLocator")  # none that fits a file
    normal = compiled(cpu.normal_kernel)
    assert normal(1.0, 0.0, 0.0, 0.0, 1.0, 0.0) == (0.0, 0.0, 2.0)  # (s + e) × (e - s) = 2 s × e
