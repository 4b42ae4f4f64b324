"""Polygons become triangles that cover them."""

from pathlib import Path

import numpy as np
import pytest

from tests.data.meshes.mesh_files import CLAMP_AREA_M2, CLAMP_M, area_m2, obj_text, ply_text, surface_of, volume_m3
from warpgrasp.data.meshes.obj import Polygons
from warpgrasp.errors import DataError

TURNED = np.array([[0.36, 0.48, -0.8], [-0.8, 0.6, 0.0], [0.48, 0.64, 0.6]])  # a rotation


def clamp(first: int) -> tuple[np.ndarray, list[list[int]]]:
    """The clamp, 20 mm thick, turned in space: two C's that begin at this corner, and eight quads between them."""
    outline = np.roll(CLAMP_M, -first, axis=0)
    outline = outline if _signed(outline) > 0 else outline[::-1]
    n = len(outline)
    vertices = np.concatenate([np.c_[outline, np.full(n, -0.01)], np.c_[outline, np.full(n, 0.01)]]) @ TURNED.T
    sides = [[i, (i + 1) % n, n + (i + 1) % n, n + i] for i in range(n)]
    return vertices, [list(range(n))[::-1], [n + i for i in range(n)], *sides]


def _signed(outline: np.ndarray) -> float:
    x, y = outline.T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


@pytest.mark.parametrize("first", range(8))
@pytest.mark.parametrize("name", ["clamp.obj", "clamp.ply"])
def test_a_gap_stays_open(tmp_path: Path, first: int, name: str) -> None:
    """The clamp's volume is its area times 20 mm; its surface twice its area, and 20 mm times its outline of 540 mm."""
    vertices, polygons = clamp(first)
    content = obj_text(vertices, polygons) if name.endswith("obj") else ply_text(vertices, polygons)
    vertices, faces = surface_of(tmp_path, name, content)
    assert (len(vertices), len(faces)) == (16, 2 * 6 + 8 * 2)
    np.testing.assert_allclose(volume_m3(vertices, faces), CLAMP_AREA_M2 * 0.02, rtol=1e-6)
    np.testing.assert_allclose(area_m2(vertices, faces), 2 * CLAMP_AREA_M2 + 0.02 * 0.54, rtol=1e-6)


def test_a_convex_polygon_is_a_fan_from_its_first_corner(tmp_path: Path) -> None:
    square = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    polygons = Polygons(np.array([0, 1, 2, 3, 2, 1, 0]), np.array([4, 3]))
    np.testing.assert_array_equal(polygons.triangles(square, tmp_path), [[0, 1, 2], [0, 2, 3], [2, 1, 0]])


@pytest.mark.parametrize("first", range(4))
def test_an_arrow_is_cut_at_its_notch(tmp_path: Path, first: int) -> None:
    """Of a quad with a corner that points inwards, only the diagonal from that corner covers it: area 1, not 3."""
    corners = np.array([[0.0, 0, 0], [2, -1, 0], [1, 0, 0], [2, 1, 0]])
    order = np.roll(np.arange(4), first)
    triangles = Polygons(order, np.array([4])).triangles(corners, tmp_path)
    assert sorted(map(sorted, triangles.tolist())) == [[0, 1, 2], [0, 2, 3]]
    normals = np.cross(
        corners[triangles[:, 1]] - corners[triangles[:, 0]], corners[triangles[:, 2]] - corners[triangles[:, 0]]
    )
    np.testing.assert_allclose(normals, [[0, 0, 1], [0, 0, 1]], atol=1e-12)


def test_a_warped_quad_and_a_line_are_kept(tmp_path: Path) -> None:
    warped = np.array([[0.0, 0, 0], [1, 0, 0.1], [1, 1, 0], [0, 1, 0.1], [2, 0, 0], [3, 0, 0], [4, 0, 0], [5, 0, 0]])
    polygons = Polygons(np.arange(8), np.array([4, 4]))
    np.testing.assert_array_equal(polygons.triangles(warped, tmp_path)[:2], [[0, 1, 2], [0, 2, 3]])
    assert len(polygons.triangles(warped, tmp_path)) == 4


@pytest.mark.parametrize("corners", [[[0, 0], [1, 1], [1, 0], [0, 1]], [[0, 0], [2, 1], [2, 0], [0, 2]]])
def test_a_polygon_that_crosses_itself_is_refused(tmp_path: Path, corners: list[list[float]]) -> None:
    vertices = np.c_[np.array(corners, dtype=float), np.zeros(4)]
    with pytest.raises(DataError, match=r"do not cross themselves in .*, found one of 4 corners that does"):
        Polygons(np.arange(4), np.array([4])).triangles(vertices, tmp_path / "mesh.obj")


def test_a_large_polygon_is_cut_in_no_time(tmp_path: Path) -> None:
    """A gear of 2000 corners: radius 1 and 2 by turns, 1000 kites of area sin(2π / 2000) · 2 each."""
    angle = np.arange(2000) * np.pi / 1000
    radius = np.where(np.arange(2000) % 2, 1.0, 2.0)
    vertices = np.stack([radius * np.cos(angle), radius * np.sin(angle), np.zeros(2000)], axis=1)
    triangles = Polygons(np.arange(2000), np.array([2000])).triangles(vertices, tmp_path)
    np.testing.assert_allclose(area_m2(vertices, triangles), 2000 * np.sin(np.pi / 1000), rtol=1e-9)
