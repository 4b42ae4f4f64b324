import numpy as np
import pytest

from warpgrasp.data.benchmark.action import Action
from warpgrasp.data.benchmark.objects import held_object
from warpgrasp.data.benchmark.view import LEAST_SHARE, make_scene
from warpgrasp.data.sample.grasp import DEEPEST_M, open_gripper
from warpgrasp.data.sample.sequence import HEIGHT_PX, TOUCHING_FINGERS, WIDTH_PX, GraspSequence
from warpgrasp.geometry.solid import Solid

FRAMES = 24
THING = "soup_can"


@pytest.fixture(scope="module", params=["turn", "slide", "pick", "put", "regrasp", "enter", "leave"])
def scene(request) -> tuple[str, GraspSequence]:
    return request.param, make_scene(np.random.default_rng(3), held_object(THING), request.param, FRAMES)


def distances(sequence: GraspSequence) -> np.ndarray:
    """Exact signed distances of the hand's vertices, (t, v)."""
    rotation, origin = sequence.camera_from_object[:, :3, :3], sequence.camera_from_object[:, None, :3, 3]
    vertices = (sequence.hand().vertices.double().numpy() - origin) @ rotation
    return Solid(held_object(THING).surface).signed_distance(vertices.reshape(-1, 3)).reshape(len(sequence), -1)


def touching(values: np.ndarray) -> np.ndarray:
    """How many fingers touch in each frame."""
    return np.sum([values[:, own].min(axis=1) < 0.002 for own in open_gripper().own[0]], axis=0)


def moves(sequence: GraspSequence) -> np.ndarray:
    """How far the object's points move in the world from frame to frame, at most."""
    points = held_object(THING).shape.vertices[::20]
    poses = sequence.world_from_object
    world = points @ poses[:, :3, :3].transpose(0, 2, 1) + poses[:, None, :3, 3]
    return np.linalg.norm(np.diff(world, axis=0), axis=-1).max(axis=1)


@pytest.mark.slow
def test_nothing_goes_through_anything(scene) -> None:
    _, sequence = scene
    assert distances(sequence).min() > -DEEPEST_M
    world = sequence.world_from_camera
    hand = sequence.hand().vertices.double().numpy() @ world[:, :3, :3].transpose(0, 2, 1) + world[:, None, :3, 3]
    assert hand[..., 2].min() > 0
    poses = sequence.world_from_object
    solid = held_object(THING).shape.vertices @ poses[:, :3, :3].transpose(0, 2, 1) + poses[:, None, :3, 3]
    assert solid[..., 2].min() > -1e-6


@pytest.mark.slow
def test_an_object_that_moves_is_held_and_one_that_is_not_stands_on_the_table(scene) -> None:
    _, sequence = scene
    fingers, moved = touching(distances(sequence)), moves(sequence)
    carried = np.flatnonzero(moved > 1e-4)
    assert (fingers[carried] >= TOUCHING_FINGERS).all()
    poses = sequence.world_from_object
    loose = np.flatnonzero(fingers < TOUCHING_FINGERS)
    solid = held_object(THING).shape.vertices @ poses[:, :3, :3].transpose(0, 2, 1) + poses[:, None, :3, 3]
    np.testing.assert_allclose(solid[loose][..., 2].min(axis=1), 0, atol=1e-6)


@pytest.mark.slow
def test_each_kind_is_what_it_says(scene) -> None:
    kind, sequence = scene
    fingers = touching(distances(sequence))
    held = fingers >= TOUCHING_FINGERS
    match kind:
        case "pick":
            assert not held[0]
            assert held[-1]
        case "put":
            assert held[0]
            assert not held[-1]
        case "regrasp":
            assert held[0]
            assert held[-1]
            assert not held[len(held) // 2]
        case _:
            assert held.all()


@pytest.mark.slow
def test_a_sliding_grip_moves_on_the_object() -> None:
    sequence = make_scene(np.random.default_rng(5), held_object(THING), "slide", 60)
    rotation, origin = sequence.camera_from_object[:, :3, :3], sequence.camera_from_object[:, None, :3, 3]
    knuckle = ((sequence.hand().joints.double().numpy() - origin) @ rotation)[:, 9]
    assert np.linalg.norm(np.ptp(knuckle, axis=0)) > 0.012


def test_enough_of_hand_and_object_is_in_every_picture(scene) -> None:
    kind, sequence = scene
    poses = sequence.camera_from_object
    solid = held_object(THING).shape.vertices @ poses[:, :3, :3].transpose(0, 2, 1) + poses[:, None, :3, 3]
    shares = []
    for points in (sequence.hand().vertices.double().numpy(), solid):
        pixels = points @ sequence.intrinsics.T
        pixels = pixels[..., :2] / pixels[..., 2:]
        inside = ((pixels > 0) & (pixels < np.array([WIDTH_PX, HEIGHT_PX]) - 1)).all(axis=-1).mean(axis=1)
        assert inside.min() >= LEAST_SHARE - 0.02
        shares.append(inside.min())
    if kind in ("enter", "leave"):
        assert min(shares) < 0.9


def test_backwards_is_the_other_way_round() -> None:
    thing = held_object(THING)
    grip = thing.grips[np.array([0, 1])]
    poses = np.tile(np.eye(4), (2, 1, 1))
    poses[1, 0, 3] = 1.0
    action = Action(grip, poses, np.array([True, False])).backwards()
    np.testing.assert_array_equal(action.held, [False, True])
    np.testing.assert_array_equal(action.world_from_object[0], poses[1])
    np.testing.assert_array_equal(action.grip.knuckle, grip.knuckle[::-1])
