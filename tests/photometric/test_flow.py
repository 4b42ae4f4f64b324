import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck
from torch.testing import assert_close

from tests.oracles.raycast import raycast
from tests.photometric.scenes import BOX_FACES, CAMERA, HEIGHT, INTRINSICS, WIDTH, box, moved, sheet
from tests.render.scenes import hand_and_object
from warpgrasp.geometry.camera import NEAR_M, Camera
from warpgrasp.geometry.mesh import Mesh, join
from warpgrasp.geometry.rotation import matrix_from_axis_angle
from warpgrasp.photometric.flow import RenderedFlow, render_flow
from warpgrasp.render import reference

FLOW_TOLERANCE_PX = 1e-3


def flow_between(source: Mesh, destination: Mesh, destination_camera: Camera = CAMERA) -> RenderedFlow:
    return render_flow(source, destination, source_camera=CAMERA, destination_camera=destination_camera)


ROTATION, TRANSLATION = (0.15, -0.2, 0.3), (0.02, 0.01, 0.07)


def test_rigid_motion_gives_the_analytic_flow():
    """Each pixel's depth is the ray caster's; the point it sees is moved and projected by NumPy."""
    source = box()
    destination = source.with_vertices(moved(source.vertices[0], ROTATION, TRANSLATION)[None])
    other = Camera(INTRINSICS * torch.tensor([[1.2], [0.9], [1.0]]), WIDTH, HEIGHT)
    flow_px, visible = flow_between(source, destination, other).dense()

    face_ids, depth, doubtful = raycast(source.vertices[0].numpy(), BOX_FACES.numpy(), INTRINSICS[0], WIDTH, HEIGHT)
    v, u = np.nonzero((face_ids >= 0) & ~doubtful)
    assert len(u) > 500
    assert visible[0, v, u].all()
    points = (np.linalg.inv(INTRINSICS[0].numpy()) @ np.stack([u, v, np.ones_like(u)])).T * depth[v, u][:, None]
    turn = matrix_from_axis_angle(torch.tensor(ROTATION, dtype=torch.float64)).numpy()
    landed = (other.intrinsics[0].numpy() @ (points @ turn.T + TRANSLATION).T).T
    expected = landed[:, :2] / landed[:, 2:] - np.stack([u, v], axis=1)
    assert np.abs(expected).max() > 5
    np.testing.assert_allclose(flow_px[0, v, u].numpy(), expected, atol=1e-9)


def test_rigid_motion_of_a_hand_with_an_object_in_float32():
    """The analytic flow, from the depth of the float64 reference: `render_flow` runs as in training."""
    mesh, camera = hand_and_object()
    camera = camera.resized(240, 135)
    pivot = torch.tensor([0, 0, 0.5])
    turn = matrix_from_axis_angle(torch.tensor([0.1, -0.15, 0.2]))
    shift = torch.tensor([0.02, -0.01, 0.03])
    destination = mesh.with_vertices((mesh.vertices - pivot) @ turn.T + pivot + shift)
    flow = render_flow(mesh, destination, source_camera=camera, destination_camera=camera)

    double, exact = mesh.with_vertices(mesh.vertices.double()), camera.to(mesh.vertices.double())
    raster = reference.rasterize(double, exact)
    u, v = flow.fragments.pixels[0].unbind(-1)
    same = flow.visible[0] & (raster.face_ids[0, v, u] == flow.fragments.face_ids[0])
    assert same.sum() > 0.99 * flow.visible.sum() > 1500
    pixels = flow.fragments.pixels[0].double()
    points = exact.unproject(pixels[None], raster.depth[0, v, u][None])[0]
    landed = exact.project(((points - pivot) @ turn.double().T + pivot + shift)[None])[0]
    assert (landed - pixels)[same].norm(dim=-1).median() > 5
    assert (flow.flow_px[0] - (landed - pixels))[same].abs().max() < FLOW_TOLERANCE_PX


@settings(max_examples=15, deadline=None)
@given(st.floats(-0.1, 0.1), st.floats(-0.1, 0.1), st.floats(0.3, 2))
def test_translation_of_a_sheet_is_one_flow(dx, dy, depth):
    """f·t/Z at every pixel of a surface that faces the camera."""
    source = sheet(9.5, 50.5, 7.5, 40.5, depth)
    destination = source.with_vertices(source.vertices + torch.tensor([dx, dy, 0], dtype=torch.float64))
    flow = flow_between(source, destination)
    expected = CAMERA.focal_px * torch.tensor([dx, dy], dtype=torch.float64) / depth
    assert flow.visible.sum() == 41 * 33
    assert_close(flow.flow_px[0], expected.expand(41 * 33, 2), rtol=0, atol=1e-9)


def test_no_motion_is_no_flow():
    flow = flow_between(box(), box())
    assert flow.visible.sum() > 500
    assert flow.flow_px.abs().max() < 1e-9
    assert_close(flow.landing_px, flow.fragments.pixels.double(), rtol=0, atol=1e-9)


def test_flow_is_of_the_moved_point_not_of_interpolated_projections():
    """Towards a camera the inner part of a leaning face moves otherwise than the blend of its corners' pixels."""
    corners = torch.tensor([[[-0.2, -0.1, 0.4], [0.25, -0.1, 1.2], [0.0, 0.2, 0.6]]], dtype=torch.float64)
    source = Mesh.of(corners, torch.tensor([[0, 1, 2]]))
    destination = source.with_vertices(corners + torch.tensor([0.05, 0, -0.1], dtype=torch.float64))
    flow = flow_between(source, destination)
    inverse = torch.linalg.inv(torch.cat([CAMERA.project(corners)[0], torch.ones(3, 1)], dim=1))
    pixels = flow.fragments.pixels[0].double()
    affine = torch.cat([pixels, torch.ones(len(pixels), 1)], dim=1) @ inverse
    blended = affine @ (CAMERA.project(destination.vertices) - CAMERA.project(corners))[0]
    assert (flow.flow_px[0] - blended).norm(dim=-1).max() > 2

    inverse_depth = affine @ (1 / corners[0, :, 2])  # 1/Z is affine in the image
    points = CAMERA.unproject(pixels[None], 1 / inverse_depth[None])[0] + torch.tensor(
        [0.05, 0, -0.1], dtype=torch.float64
    )
    assert_close(flow.flow_px[0], CAMERA.project(points[None])[0] - pixels, rtol=0, atol=1e-9)


def test_flow_passes_gradcheck_with_respect_to_both_meshes():
    """At pixels two away from every change of the face, which is constant in the derivative."""
    source = box()
    destination = source.with_vertices(moved(source.vertices[0], ROTATION, TRANSLATION)[None])
    face_ids = reference.rasterize(source, CAMERA).face_ids[0]
    windows = face_ids.unfold(0, 5, 1).unfold(1, 5, 1).flatten(2)
    v, u = torch.nonzero((windows == windows[..., :1]).all(-1) & (windows[..., 0] >= 0), as_tuple=True)
    chosen = torch.linspace(0, len(u) - 1, 12).long()
    v, u = v[chosen] + 2, u[chosen] + 2
    assert len(face_ids[v, u].unique()) >= 3

    def flow_of(source_vertices, destination_vertices):
        flow = flow_between(source.with_vertices(source_vertices), destination.with_vertices(destination_vertices))
        return flow.dense()[0][0, v, u]

    inputs = (source.vertices.clone().requires_grad_(), destination.vertices.clone().requires_grad_())
    assert gradcheck(flow_of, inputs)
    for gradient in torch.autograd.grad(flow_of(*inputs).square().sum(), inputs):
        seen = BOX_FACES[face_ids[v, u].unique()].unique()
        assert (gradient[0, seen].norm(dim=-1) > 1e-6).all()


def test_auxiliary_faces_hide_and_are_not_visible_themselves():
    plain = sheet(9.5, 50.5, 7.5, 40.5)
    front = sheet(19.5, 30.5, 9.5, 20.5, depth=0.4)
    cover = Mesh(front.vertices, front.faces, torch.ones(1, 2, dtype=torch.bool))
    mesh = join(cover, plain)
    flow = flow_between(mesh, mesh)
    _, visible = flow.dense()
    expected = torch.zeros(1, HEIGHT, WIDTH, dtype=torch.bool)
    expected[:, 8:41, 10:51] = True
    expected[:, 10:21, 20:31] = False
    assert torch.equal(visible, expected)


@pytest.mark.parametrize(("depth", "seen"), [(NEAR_M * 0.5, False), (-0.3, False), (NEAR_M * 2, True)])
def test_points_that_land_behind_the_camera_are_not_visible_and_send_no_nan(depth, seen):
    source = sheet(9.5, 50.5, 7.5, 40.5)
    vertices = (source.vertices * torch.tensor([1, 1, 0]) + torch.tensor([0, 0, depth])).requires_grad_()
    flow = flow_between(source, source.with_vertices(vertices))
    assert flow.visible.any() == seen
    flow.flow_px.sum().backward()
    assert vertices.grad is not None
    assert vertices.grad.isfinite().all()


def test_a_batch_pads_and_its_padding_is_not_visible():
    one, two = box(), sheet(59.5, 70, 7.5, 40.5)
    faces = torch.stack([BOX_FACES, torch.cat([two.faces[0], torch.zeros(10, 3, dtype=torch.int64)])])
    vertices = torch.stack([one.vertices[0], torch.cat([two.vertices[0], torch.zeros(4, 3)])])
    both = Mesh.of(vertices, faces)
    flow = flow_between(both, both)
    assert flow.visible[1].sum() == 4 * 33  # columns 60 to 63 of rows 8 to 40
    assert flow.visible[0].sum() == flow_between(one, one).visible.sum()
    assert torch.equal(flow.visible, flow.fragments.covered)


def test_dense_carries_the_gradient():
    source = box()
    vertices = source.vertices.clone().requires_grad_()
    flow = flow_between(source, source.with_vertices(vertices))
    dense, listed = (
        torch.autograd.grad(values.square().sum() + values.sum(), vertices, retain_graph=True)[0]
        for values in (flow.dense()[0], flow.flow_px)
    )
    assert_close(dense, listed)
