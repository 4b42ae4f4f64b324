import numpy as np
import pytest

from warpgrasp.data.benchmark.objects import MADE, NAMES, held_object
from warpgrasp.data.benchmark.shapes import box, tube, turned
from warpgrasp.data.meshes import read_surface
from warpgrasp.data.sample.grasp import closed, contact, open_gripper, opened
from warpgrasp.geometry.solid import Solid, Surface

QUICK = ["soup_can", *(pytest.param(name, marks=pytest.mark.slow) for name in MADE if name != "soup_can")]


def volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    a, b, c = vertices[faces].transpose(1, 0, 2)
    return float(np.einsum("fk,fk->", a, np.cross(b, c)) / 6)


@pytest.mark.parametrize("name", MADE)
def test_an_object_is_closed_with_its_faces_outward(name: str) -> None:
    for part in MADE[name].parts():
        assert Solid(Surface(part.vertices, part.faces)).closed
        assert volume(part.vertices, part.faces) > 0
    thing = held_object(name)
    assert thing.shape.corner_uv.min() >= 0
    assert thing.shape.corner_uv.max() <= 1
    assert 0.05 < np.ptp(thing.shape.vertices, axis=0).max() < 0.35


@pytest.mark.parametrize("name", NAMES)
def test_a_written_object_is_read_as_the_same_surface(name: str, tmp_path) -> None:
    thing = held_object(name)
    thing.write(tmp_path)
    vertices, faces = read_surface(tmp_path / "textured_simple.obj")
    np.testing.assert_allclose(vertices[faces], thing.surface.triangles, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK)
def test_every_stored_grasp_holds(name: str) -> None:
    thing, gripper = held_object(name), open_gripper()
    grip = closed(gripper, thing.distance, opened(thing.grips))
    touch = contact(gripper, thing.distance, grip)
    assert (touch.touching().sum(axis=1) >= 4).all()
    assert touch.touching()[:, 4].all()  # the thumb
    assert touch.hand.min() > -0.0025


@pytest.mark.parametrize("name", QUICK)
def test_the_grid_of_distances_is_that_of_all_parts(name: str) -> None:
    thing, generator = held_object(name), np.random.default_rng(0)
    low, high = thing.shape.vertices.min(axis=0) - 0.01, thing.shape.vertices.max(axis=0) + 0.01
    points = generator.uniform(low, high, (400, 3))
    exact = Solid(thing.surface).signed_distance(points)
    outside = (exact > 0.002) & (exact < 0.015)  # further away than the parts' margins it is an upper bound
    np.testing.assert_allclose(thing.distance(points)[outside], exact[outside], atol=0.002)
    assert (thing.distance(points)[exact < -0.003] < 0).all()


def test_a_turned_body_has_its_volume() -> None:
    cylinder = turned([(0, 0), (0.03, 0), (0.03, 0.1), (0, 0.1)], around=200)
    np.testing.assert_allclose(volume(cylinder.vertices, cylinder.faces), np.pi * 0.03**2 * 0.1, rtol=1e-3)


def test_a_box_has_its_volume_and_a_cell_for_each_side() -> None:
    shape = box((0.1, 0.2, 0.3), cuts=3)
    np.testing.assert_allclose(volume(shape.vertices, shape.faces), 0.006)
    assert len(shape.vertices) == 4**3 - 2**3
    cells = {tuple(np.floor(uv * [3, 2]).astype(int)) for uv in shape.corner_uv.mean(axis=1)}
    assert len(cells) == 6


def test_a_straight_tube_is_a_cylinder() -> None:
    path = np.linspace([0, 0, 0], [0, 0, 0.5], 5)
    shape = tube(path, np.full((5, 2), 0.02), across=np.array([1.0, 0, 0]), around=200)
    np.testing.assert_allclose(volume(shape.vertices, shape.faces), np.pi * 0.02**2 * 0.5, rtol=1e-3)
    assert Solid(Surface(shape.vertices, shape.faces)).closed


def test_normals_are_smooth_round_a_body_and_sharp_at_its_edge() -> None:
    cylinder = turned([(0, 0), (0.03, 0), (0.03, 0.1), (0, 0.1)], around=60)
    for face, normals in zip(cylinder.faces, cylinder.corner_normals, strict=True):
        points = cylinder.vertices[face]
        if np.ptp(points[:, 2]) > 0.001:  # of the wall
            radial = points * [1, 1, 0] / np.linalg.norm(points[:, :2], axis=1, keepdims=True)
            np.testing.assert_allclose(normals, radial, atol=0.06)
        else:
            np.testing.assert_allclose(np.abs(normals[:, 2]), 1, atol=1e-9)
