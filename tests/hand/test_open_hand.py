from dataclasses import replace

import numpy as np
import torch

from warpgrasp.geometry.mesh import boundary_loop
from warpgrasp.hand.model import MANO_JOINTS, HandModel
from warpgrasp.hand.templates import left_hand, open_hand, open_hand_arrays, skin_textures


def test_sizes_are_those_of_a_mano_file():
    hand = open_hand()
    assert hand.vertices.shape == (778, 3)
    assert hand.faces.shape == (1538, 3)
    assert hand.shape_directions.shape == (778, 3, 10)
    assert hand.joint_regressor.shape == (16, 778)
    assert hand.skinning_weights.shape == (778, 16)
    assert hand.pose_components.shape == (45, 45)
    assert hand.mean_pose.shape == (45,)
    assert hand.parents == (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14)
    assert len(boundary_loop(hand.faces)) == 16
    assert len(set(hand.fingertip_vertices)) == 5
    assert sorted(np.unique(hand.faces)) == list(range(778))


def test_every_edge_is_shared_by_two_faces_or_on_the_wrist():
    faces = open_hand().faces
    edges = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    _, counts = np.unique(edges, axis=0, return_counts=True)
    assert (counts == 1).sum() == 16
    assert set(counts) == {1, 2}
    directed = {tuple(edge) for edge in faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2).tolist()}
    assert len(directed) == 3 * len(faces)


def test_weights_are_shares():
    hand = open_hand()
    np.testing.assert_allclose(hand.skinning_weights.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(hand.joint_regressor.sum(axis=1), 1, atol=1e-6)
    assert hand.skinning_weights.min() >= 0


def test_each_fingertip_is_the_farthest_of_its_finger_and_moves_with_it():
    hand = open_hand()
    joints = hand.joint_regressor @ hand.vertices
    for finger, tip in zip(("thumb", "index", "middle", "ring", "little"), hand.fingertip_vertices, strict=True):
        last = MANO_JOINTS.index(f"{finger}_3")
        assert hand.skinning_weights[tip].argmax() == last
        own = np.flatnonzero(hand.skinning_weights.argmax(axis=1) == last)
        reach = np.linalg.norm(hand.vertices[own] - joints[last], axis=1)
        assert np.linalg.norm(hand.vertices[tip] - joints[last]) > reach.max() - 0.004


def test_it_is_as_large_as_an_adults_hand():
    """Wrist to the tip of the middle finger: 16 to 21 cm covers nearly all adults."""
    hand = open_hand()
    wrist = (hand.joint_regressor @ hand.vertices)[0]
    assert 0.16 < np.linalg.norm(hand.vertices[hand.fingertip_vertices[2]] - wrist) < 0.21


def test_one_unit_of_a_component_is_one_standard_deviation():
    """Components fall in size, nearly, and a unit of the first moves the surface by millimetres, joints by tenths."""
    hand = open_hand()
    shape_rms_mm = 1e3 * np.sqrt(np.square(hand.shape_directions).sum(axis=1).mean(axis=0))
    assert (shape_rms_mm[1:] <= 1.1 * shape_rms_mm[:-1]).all()
    assert 1 < shape_rms_mm[0] < 8
    pose_rms = np.sqrt(np.square(hand.pose_components).sum(axis=1))
    assert (np.diff(pose_rms) <= 1e-6).all()
    assert 0.3 < pose_rms[0] < 3
    products = hand.pose_components @ hand.pose_components.T
    off_diagonal = products - np.diag(np.diag(products))
    assert np.abs(off_diagonal).max() < 1e-3 * products[0, 0]


def test_texture_coordinates_cover_every_face():
    arrays = open_hand_arrays()
    uv = arrays["uv"][arrays["uv_faces"]]
    assert uv.shape == (1538, 3, 2)
    assert uv.min() >= 0
    assert uv.max() <= 1
    assert len(skin_textures()) >= 4


def test_the_left_hand_is_the_mirror_image():
    left, right = open_hand("left"), open_hand()
    np.testing.assert_array_equal(left.vertices, right.vertices * [-1, 1, 1])
    assert left.name == "open-hand left"
    assert HandModel(left).closing_faces.shape == (14, 3)
    assert left_hand(HandModel(right)).template is left


def test_another_left_hand_is_called_after_the_right_one():
    """MANO_LEFT.pkl is another hand than MANO_RIGHT.pkl's mirror image, and labels name the hand that they are of."""
    other = HandModel(replace(open_hand(), name="mano right (tips: manopth)"))
    left = left_hand(other).template
    assert left.name == "mano right (tips: manopth) (mirrored)"
    np.testing.assert_array_equal(left.vertices, other.template.vertices * [-1, 1, 1])


def test_a_bent_finger_keeps_its_bones_lengths():
    model = HandModel(open_hand())
    pose = torch.zeros(1, 45)
    pose[0, 3 * (MANO_JOINTS.index("index_2") - 1) + 2] = 0.8
    straight = model(torch.zeros(1, 3), torch.zeros(1, 45), torch.zeros(1, 10)).joints[0]
    bent = model(torch.zeros(1, 3), pose, torch.zeros(1, 10)).joints[0]
    for start, end in ((5, 6), (6, 7)):
        torch.testing.assert_close((bent[end] - bent[start]).norm(), (straight[end] - straight[start]).norm())
    assert (bent[7] - straight[7]).norm() > 0.01
    torch.testing.assert_close(bent[9:], straight[9:])
