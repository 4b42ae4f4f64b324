import numpy as np
import pytest
import torch

from warpgrasp.geometry.camera import Camera
from warpgrasp.render.lit import Lights, Material, Shadows, Stage, Textures, draw, encoded, linear

CAMERA = Camera(torch.tensor([[[60.0, 0, 31.5], [0, 60.0, 23.5], [0, 0, 1]]]), 64, 48)
ABOVE = np.array([[1.0, 0, 0, 0], [0, -1, 0, 0], [0, 0, -1, 2.0]])  # camera_from_world of a camera 2 m above the plane
WHITE, GREY = (np.full((8, 8, 3), value, dtype=np.uint8) for value in (255, 128))


def sheet(half: float, height: float) -> tuple[np.ndarray, np.ndarray]:
    """A square that faces up."""
    corners = np.array([[-half, -half, height], [half, -half, height], [half, half, height], [-half, half, height]])
    return corners, np.array([[0, 1, 2], [0, 2, 3]])


def stage(*sheets: tuple[np.ndarray, np.ndarray]) -> Stage:
    vertices = np.concatenate([corners for corners, _ in sheets])
    faces = np.concatenate([triangles + 4 * number for number, (_, triangles) in enumerate(sheets)])
    uv = np.tile(np.array([[[0, 0], [1, 0], [1, 1]], [[0, 0], [1, 1], [0, 1]]], dtype=np.float32), (len(sheets), 1, 1))
    normals = np.tile(np.array([0, 0, 1], dtype=np.float32), (len(faces), 3, 1))
    return Stage(vertices, faces, uv, normals, np.zeros(len(faces), dtype=np.int64))


def light(place: tuple[float, float, float], radius: float = 1.0) -> Lights:
    return Lights(np.array([place]), np.ones((1, 3)), np.zeros(3), radius, np.zeros((2, 3)))


def drawn(scene: Stage, lights: Lights, material: Material, casting: np.ndarray | None = None) -> np.ndarray:
    shadows = Shadows.of(lights, scene.vertices, scene.faces if casting is None else casting)
    return draw(scene, Textures.of([material]), CAMERA, ABOVE, lights, shadows)[0]


def test_light_falls_by_the_cosine_and_the_distance() -> None:
    scene = stage(sheet(3.0, 0.0))
    picture = drawn(scene, light((0.0, 0.6, 0.8)), Material(GREY), scene.faces[:0])
    grey = linear(np.array([128 / 255]))[0]
    u, v = 40, 20
    point = 2 * np.array([(u - 31.5) / 60, -(v - 23.5) / 60, 0])  # of the plane, below the camera
    way = np.array([0.0, 0.6, 0.8]) - point
    expected = grey * way[2] / np.linalg.norm(way) / (way @ way)
    np.testing.assert_allclose(picture[v, u], expected, rtol=0.01)


def test_what_is_between_a_light_and_a_surface_casts_a_shadow() -> None:
    scene = stage(sheet(3.0, 0.0), sheet(0.1, 0.4))
    lights = light((0.5, 0.0, 1.5))  # the small sheet's shadow falls about (-0.18, 0): left of it in the picture
    with_, without = (drawn(scene, lights, Material(WHITE), casting) for casting in (scene.faces[2:], scene.faces[:0]))
    u, v = round(31.5 + 60 * -0.18 / 2), 23
    assert with_[v, u].max() < 0.02
    assert without[v, u].min() > 0.3
    np.testing.assert_allclose(with_[v, 5], without[v, 5])


def test_shadows_of_two_parts_are_those_of_both() -> None:
    scene, lights = stage(sheet(3.0, 0.0), sheet(0.1, 0.4), sheet(0.2, 0.6)), light((0.5, 0.0, 1.5))
    whole = Shadows.of(lights, scene.vertices, scene.faces[2:])
    first = Shadows.of(lights, scene.vertices, scene.faces[2:4])
    both = Shadows.of(lights, scene.vertices, scene.faces[4:], besides=first)
    np.testing.assert_array_equal(whole.depth, both.depth)
    assert (first.depth != whole.depth).any()


def test_a_fine_pattern_seen_from_afar_is_its_mean() -> None:
    row, column = np.mgrid[:512, :512]
    pattern = np.repeat((255 * ((row + column) % 2))[..., None], 3, axis=2).astype(np.uint8)
    picture = drawn(stage(sheet(0.5, 0.0)), light((0.0, 0.0, 20.0)), Material(pattern))
    np.testing.assert_allclose(picture[20:28, 25:40], 0.5, atol=0.02)


def test_a_picture_near_by_keeps_its_place() -> None:
    """u runs right and v up, as in OBJ files: the upper left quarter of the picture is red."""
    quarters = np.zeros((64, 64, 3), dtype=np.uint8)
    quarters[:32, :32, 0] = 255
    picture = drawn(stage(sheet(0.4, 0.0)), light((0.0, 0.0, 20.0)), Material(quarters))
    assert picture[23 - 6, 31 - 6, 0] > 0.9
    assert picture[23 + 6, 31 - 6, 0] < 0.1
    assert picture[23 - 6, 31 + 6, 0] < 0.1


@pytest.mark.parametrize("glow", [0.0, 0.7])
def test_what_glows_needs_no_light(glow: float) -> None:
    picture = drawn(stage(sheet(3.0, 0.0)), light((0.0, 0.0, -1.0)), Material(WHITE, glow=glow))
    np.testing.assert_allclose(picture[10, 10], glow, atol=1e-6)


def test_gloss_is_seen_in_the_mirror_direction_alone() -> None:
    glossy = drawn(stage(sheet(3.0, 0.0)), light((0.0, 0.0, 1.9)), Material(GREY, gloss=0.5, hardness=200.0))
    dull = drawn(stage(sheet(3.0, 0.0)), light((0.0, 0.0, 1.9)), Material(GREY))
    assert glossy[23, 31, 0] > dull[23, 31, 0] + 0.5
    np.testing.assert_allclose(glossy[2, 2], dull[2, 2], atol=1e-3)


def test_known_light_is_that_of_the_same_picture() -> None:
    scene, lights = stage(sheet(3.0, 0.0), sheet(0.1, 0.4)), light((0.5, 0.0, 1.5))
    shadows, textures = Shadows.of(lights, scene.vertices, scene.faces), Textures.of([Material(GREY)])
    first, known = draw(scene, textures, CAMERA, ABOVE, lights, shadows)
    again, _ = draw(scene, textures, CAMERA, ABOVE, lights, shadows, known)
    np.testing.assert_array_equal(first, again)


def test_encoding_is_the_inverse_of_decoding() -> None:
    values = np.linspace(0, 1, 256).astype(np.float32)
    np.testing.assert_allclose(encoded(linear(values)), values, atol=1e-5)
