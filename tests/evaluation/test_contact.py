"""Solids against boxes, spheres and slower methods; penetration, volume and contact by hand."""

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from tests.oracles import ray_parity
from warpgrasp.data.sample.grasp import object_surface
from warpgrasp.evaluation.accuracy import ContactShare, Grasp, IntersectionVolume, PenetrationDepth
from warpgrasp.evaluation.metrics import EvaluationError
from warpgrasp.geometry.solid import Solid, Surface, exact_distance
from warpgrasp.hand.model import HandModel

SIDES = np.array([0.04, 0.06, 0.10])


def box(sides: np.ndarray = SIDES, at: tuple[float, float, float] = (0, 0, 0)) -> Solid:
    mesh = trimesh.creation.box(sides)
    return Solid(Surface(np.asarray(mesh.vertices) + np.array(at), np.asarray(mesh.faces)))


def joined(*solids: Solid) -> Solid:
    counts = np.cumsum([0, *(len(one.surface.vertices) for one in solids)])
    faces = [one.surface.faces + count for one, count in zip(solids, counts, strict=False)]
    return Solid(Surface(np.concatenate([one.surface.vertices for one in solids]), np.concatenate(faces)))


def within(points: np.ndarray, half: np.ndarray) -> np.ndarray:
    return (np.abs(points) < half).all(axis=1)


@pytest.fixture
def points() -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.07, 0.07, (3000, 3))


def test_inside_a_box(points) -> None:
    np.testing.assert_array_equal(box().contains(points), within(points, SIDES / 2))
    inward = Solid(Surface(box().surface.vertices, box().surface.faces[:, ::-1].copy()))
    np.testing.assert_array_equal(inward.contains(points), within(points, SIDES / 2))


def test_inside_a_scan_as_by_the_ray_against_every_face(points) -> None:
    surface = object_surface("006_mustard_bottle")
    middle, size = surface.vertices.mean(axis=0), np.ptp(surface.vertices, axis=0)
    points = middle + points[:1000] / 0.14 * size
    inside = Solid(surface).contains(points)
    np.testing.assert_array_equal(inside, ray_parity.inside(surface.triangles, points))
    assert 0.2 < inside.mean() < 0.8


def test_inside_a_hand_by_three_methods(hand: HandModel) -> None:
    """The columns, the ray against every face, and the solid angles."""
    vertices = hand.template_vertices.double().numpy()
    solid = Solid(Surface(vertices, hand.closed_mesh(hand.template_vertices[None]).faces[0].numpy()))
    assert solid.closed
    points = np.random.default_rng(1).uniform(vertices.min(axis=0), vertices.max(axis=0), (400, 3))
    inside = solid.contains(points)
    np.testing.assert_array_equal(inside, ray_parity.inside(solid.surface.triangles, points))
    np.testing.assert_allclose(solid._solid_angles(points), inside, atol=1e-9)
    assert inside.sum() > 50


def test_parts_that_overlap_are_one_and_hollows_are_outside(points) -> None:
    both = joined(box(), box(at=(0.02, 0, 0)))
    expected = within(points, SIDES / 2) | within(points - [0.02, 0, 0], SIDES / 2)
    np.testing.assert_array_equal(both.contains(points), expected)
    inner = box(SIDES / 2)
    hollow = joined(box(), Solid(Surface(inner.surface.vertices, inner.surface.faces[:, ::-1].copy())))
    expected = within(points, SIDES / 2) & ~within(points, SIDES / 4)
    np.testing.assert_array_equal(hollow.contains(points), expected)


def test_a_small_hole_hardly_matters(points) -> None:
    whole = trimesh.creation.icosphere(subdivisions=2, radius=0.05)
    with_hole = Solid(Surface(np.asarray(whole.vertices), np.asarray(whole.faces)[1:]))
    assert not with_hole.closed
    closed = Solid(Surface(np.asarray(whole.vertices), np.asarray(whole.faces)))
    assert closed.closed
    points = points[:600]
    differ = with_hole.contains(points) != closed.contains(points)
    hole = whole.triangles_center[0]
    assert (np.linalg.norm(points[differ] - hole, axis=1) < 0.01).all()


def test_solid_angles_of_a_closed_surface_count_like_crossings(points) -> None:
    np.testing.assert_allclose(box()._solid_angles(points[:200]), within(points[:200], SIDES / 2), atol=1e-12)


def test_distance_is_that_of_a_box(points) -> None:
    beyond = np.abs(points) - SIDES / 2
    signed = np.linalg.norm(np.maximum(beyond, 0), axis=-1) + np.minimum(beyond.max(axis=-1), 0)
    np.testing.assert_allclose(box().distance(points), np.abs(signed), atol=1e-12)
    assert exact_distance(box().surface, np.empty((0, 3))).shape == (0,)


def test_voxels_fill_a_box() -> None:
    voxels = box().voxels(0.005)
    assert len(voxels) == 8 * 12 * 20
    assert len(np.unique(voxels.round(6), axis=0)) == len(voxels)
    np.testing.assert_allclose(voxels.min(axis=0), -SIDES / 2 + 0.0025)
    sphere = trimesh.creation.icosphere(subdivisions=3, radius=0.05)
    count = len(Solid(Surface(np.asarray(sphere.vertices), np.asarray(sphere.faces))).voxels(0.005))
    assert count * 0.005**3 == pytest.approx(sphere.volume, rel=0.02)


def grasp(hand: Solid, thing: Solid | None = None) -> Grasp:
    thing = thing or box()
    return Grasp(hand, thing, thing.voxels(0.005))


def figures(one: Grasp) -> tuple[float, float, float]:
    metrics = PenetrationDepth(), IntersectionVolume(), ContactShare()
    for metric in metrics:
        metric.update(one)
    return metrics[0].compute(), metrics[1].compute(), metrics[2].compute()


def test_a_block_pushed_into_a_box() -> None:
    """A block 20 × 20 × 20 mm, 12 mm deep in the face y = 30 mm: 20 · 20 · 12 mm³; by voxels 10 mm, 4 · 4 · 2."""
    block = box(np.full(3, 0.02), at=(0, 0.03 - 0.012 + 0.01, 0))
    depth, volume, contact = figures(grasp(block))
    assert depth == pytest.approx(10)  # its corners lie 10 mm from the faces x = ± 20 mm, which are nearer
    assert volume == pytest.approx(4 * 4 * 2 * 0.125)
    assert contact == 1


def test_shared_volume_of_two_spheres_is_that_of_a_lens() -> None:
    radius, apart = 0.05, 0.06
    sphere = trimesh.creation.icosphere(subdivisions=4, radius=radius)
    first = Solid(Surface(np.asarray(sphere.vertices), np.asarray(sphere.faces)))
    turned = Rotation.from_rotvec([0.3, 0.2, 0.1]).apply(sphere.vertices)
    second = Solid(Surface(turned + np.array([apart, 0.0, 0.0]), np.asarray(sphere.faces)))
    depth, volume, _ = figures(grasp(second, first))
    lens = np.pi * (4 * radius + apart) * (2 * radius - apart) ** 2 / 12
    assert volume == pytest.approx(1e6 * lens, rel=0.03)
    assert depth == pytest.approx(40, abs=0.5)


@pytest.mark.parametrize(("gap_m", "expected"), [(0.0049, 1.0), (0.0051, 0.0), (-0.002, 1.0)])
def test_contact_within_five_millimetres(gap_m: float, expected: float) -> None:
    block = box(np.full(3, 0.02), at=(0, 0.04 + gap_m, 0))
    depth, volume, contact = figures(grasp(block))
    assert contact == expected
    assert depth == pytest.approx(max(0.0, -1000 * gap_m), abs=1e-9)
    assert volume == 0  # the first layer of voxels lies 2.5 mm deep


def test_deep_inside_is_contact_too() -> None:
    thing = box(np.full(3, 0.1))
    depth, volume, contact = figures(grasp(box(np.full(3, 0.02)), thing))
    assert (contact, depth) == (1, pytest.approx(40))
    assert volume == pytest.approx(8)


def test_far_away_is_nothing() -> None:
    assert figures(grasp(box(at=(1, 0, 0)))) == (0, 0, 0)


@pytest.mark.parametrize("metric", [PenetrationDepth(), IntersectionVolume(), ContactShare()])
def test_nothing_is_an_error(metric) -> None:
    with pytest.raises(EvaluationError, match="at least one frame"):
        metric.compute()
