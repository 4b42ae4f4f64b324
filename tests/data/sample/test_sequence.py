from dataclasses import replace

import numpy as np
import pytest

from tests.sample_set import HELD
from warpgrasp.data.sample.grasp import DEEPEST_M, THUMB, object_surface
from warpgrasp.data.sample.sequence import (
    FOCAL_PX,
    HEIGHT_PX,
    LIFT_FRAMES,
    TOUCHING_FINGERS,
    WIDTH_PX,
    WINDOW_FRAMES,
    GraspSequence,
    exact_contact,
    lifts,
    make_sequence,
    reference_frames,
    surface_motion_px,
    wander,
)


@pytest.fixture(scope="module", params=HELD)
def sequence(request) -> GraspSequence:
    return make_sequence(seed=5, object_name=request.param, frames=8, moving_camera=True)


def keeps_contact(sequence: GraspSequence) -> bool:
    touch = exact_contact(sequence)
    return bool((touch.touching().sum(axis=1) >= TOUCHING_FINGERS).all() and touch.hand.min() >= -DEEPEST_M)


@pytest.mark.slow
def test_hand_holds_the_object_in_every_frame(sequence):
    assert keeps_contact(sequence)
    assert exact_contact(sequence).touching()[:, THUMB].all()


@pytest.mark.slow
@pytest.mark.parametrize("shift_m", [(-0.012, 0, 0), (0.012, 0, 0), (0, 0, 0.012), (0, 0, -0.012)])
def test_a_shifted_hand_breaks_the_rule(sequence, shift_m):
    assert not keeps_contact(replace(sequence, hand_translation=sequence.hand_translation + np.array(shift_m)))


def test_the_pair_is_in_the_picture(sequence):
    poses = sequence.camera_from_object
    solid = object_surface(sequence.object_name).vertices @ poses[:, :3, :3].transpose(0, 2, 1) + poses[:, None, :3, 3]
    points = np.concatenate([solid, sequence.hand().vertices.double().numpy()], axis=1)
    assert points[..., 2].min() > 0.3
    assert points[..., 2].max() < 0.8
    pixels = points @ sequence.intrinsics.T
    pixels = pixels[..., :2] / pixels[..., 2:]
    assert (pixels > -5).all()
    assert (pixels < np.array([WIDTH_PX, HEIGHT_PX]) + 4).all()


def test_poses_are_rigid_and_the_moving_camera_moves(sequence):
    for poses in (sequence.camera_from_object, sequence.world_from_camera, sequence.world_from_object):
        rotation = poses[:, :3, :3]
        np.testing.assert_allclose(rotation @ rotation.transpose(0, 2, 1), np.tile(np.eye(3), (8, 1, 1)), atol=1e-9)
        assert (np.linalg.det(rotation) > 0).all()
    assert np.linalg.norm(np.diff(sequence.world_from_camera[:, :3, 3], axis=0), axis=1).min() > 0
    still = make_sequence(seed=5, object_name=sequence.object_name, frames=8)
    assert np.ptp(still.world_from_camera, axis=0).max() == 0


def test_the_same_seed_gives_the_same_sequence_and_another_one_does_not(sequence):
    again, other = (
        make_sequence(seed=seed, object_name=sequence.object_name, frames=8, moving_camera=True) for seed in (5, 6)
    )
    np.testing.assert_array_equal(again.camera_from_object, sequence.camera_from_object)
    np.testing.assert_allclose(again.hand_pose, sequence.hand_pose, atol=1e-3)  # bisections may fall either way
    assert np.abs(other.camera_from_object - sequence.camera_from_object).max() > 0.01


def test_save_and_load_give_the_same_sequence(sequence, tmp_path):
    sequence.save(tmp_path / "sequence.npz")
    loaded = GraspSequence.load(tmp_path / "sequence.npz")
    assert loaded.object_name == sequence.object_name
    np.testing.assert_array_equal(loaded.hand_pose, sequence.hand_pose)
    np.testing.assert_array_equal(loaded.hand().vertices, sequence.hand().vertices)
    np.testing.assert_array_equal(loaded.world_from_object, sequence.world_from_object)


def test_a_shape_of_the_hand_is_within_its_limits(sequence):
    assert np.abs(sequence.hand_shape).max() <= 1.5
    assert np.abs(sequence.hand_shape[:3]).min() > 0


def test_references_are_the_nearest_labels_ties_to_the_earlier():
    references = reference_frames(60)
    assert references[[0, 15, 16, 30, 45, 59]].tolist() == [0, 0, 30, 30, 30, 30]


def test_surface_motion_of_a_known_translation(sequence):
    still = np.repeat(sequence.camera_from_object[:1], 2, axis=0)
    depth = 50.0  # so far away that all points have the same depth, nearly
    still[:, :3, 3] = [[0, 0, depth], [0.5, 0, depth]]
    hand = {"hand_translation": np.array([[0, 0, depth], [0.5, 0, depth]])}
    for name in ("hand_rotation", "hand_pose"):
        hand[name] = np.repeat(getattr(sequence, name)[:1], 2, axis=0)
    moved = replace(sequence, camera_from_object=still, world_from_camera=still, **hand)
    np.testing.assert_allclose(surface_motion_px(moved), FOCAL_PX * 0.5 / depth, rtol=0.005)


@pytest.mark.slow
@pytest.mark.parametrize("name", HELD)
def test_surfaces_move_as_much_as_promised(name):
    motion = np.concatenate([surface_motion_px(make_sequence(seed=seed, object_name=name)) for seed in range(2)])
    assert 8 < np.median(motion) < 16
    assert 25 < np.percentile(motion, 95) < 55


def test_curves_reach_about_their_amplitude_and_are_smooth():
    curves = wander(np.random.default_rng(0), 60, [1.0, 1.0, 5.0])
    reach = np.abs(curves).max(axis=0) / [1, 1, 5]
    assert (reach > 0.79).all()
    assert (reach < 1.11).all()
    # The fastest sinusoid has a period of 90 frames; none of three weighted ones turns faster than this.
    acceleration = np.abs(np.diff(curves, n=2, axis=0)).max(axis=0) / [1, 1, 5]
    assert acceleration.max() < 0.05


def test_a_short_curve_is_the_beginning_of_a_long_one():
    long, short = (wander(np.random.default_rng(3), n, [1.0]) for n in (WINDOW_FRAMES, 20))
    np.testing.assert_array_equal(long[:20], short)


def test_at_most_two_fingers_lift_at_a_time_and_they_come_back():
    for seed in range(20):
        lifted = lifts(np.random.default_rng(seed), 120, range(4))
        assert (lifted > 0).sum(axis=1).max() <= 2
        assert (lifted[:, 4] == 0).all()
        assert lifted.max() <= 1
        assert (lifted[:, :4].max(axis=1) > 0.3).any()
        assert np.abs(np.diff(lifted, axis=0)).max() < np.pi / LIFT_FRAMES[0]
