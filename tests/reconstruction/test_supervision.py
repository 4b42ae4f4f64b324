"""Eq. 3's terms against values worked by hand."""

from dataclasses import replace

import torch
from torch.testing import assert_close

from warpgrasp.frame import Annotation, HandReconstruction, ObjectModel, ObjectReconstruction, Objects, Reconstruction
from warpgrasp.reconstruction.terms import regularisation, reprojection, supervision


def object_of(name: str, count: int) -> ObjectModel:
    vertices = torch.arange(3.0 * count).view(count, 3) / 100
    return ObjectModel.centred(name, vertices, torch.tensor([[0, 1, 2]]))


OBJECTS = Objects.of([object_of("small", 3), object_of("large", 5)])
TURN = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])


def annotation() -> Annotation:
    translation = torch.tensor([[0.0, 0, 0.5], [0.1, 0, 0.6]])
    return Annotation(torch.zeros(2, 7, 3), torch.zeros(2, 21, 3), TURN.expand(2, 3, 3), translation, None)


def reconstruction(joint_error: list[float], object_error: list[float]) -> Reconstruction:
    truth = annotation()
    exact = OBJECTS.vertices @ TURN.T + truth.object_translation[:, None]
    vertices = exact + torch.tensor(object_error)
    vertices[0, 3:] = 99.0  # padding: whatever stands there does not count
    eye = torch.eye(3).expand(2, 3, 3)
    hand = HandReconstruction(
        eye,
        torch.zeros(2, 3),
        torch.tensor([[2.0, 0, 0, 0], [1, 1, 1, 1]]),
        torch.tensor([[3.0, 0, 0], [0, 0, 0]]),
        torch.zeros(2, 7, 3),
        truth.hand_joints + torch.tensor(joint_error),
    )
    return Reconstruction(hand, ObjectReconstruction(eye, torch.zeros(2, 3), vertices, torch.zeros(2, 8, 3)))


def test_exact_is_zero() -> None:
    terms = supervision(reconstruction([0, 0, 0], [0, 0, 0]), annotation(), OBJECTS)
    assert_close(terms["hand_joints"], torch.zeros(2))
    assert_close(terms["object_vertices"], torch.zeros(2), rtol=0, atol=1e-12)


def test_mean_over_points_and_coordinates_in_square_metres() -> None:
    # (3 mm)² + (4 mm)² over three coordinates: 25e-6 / 3 m². And (6 mm)² / 3 = 12e-6 m².
    terms = supervision(reconstruction([0.003, 0, 0.004], [0, 0.006, 0]), annotation(), OBJECTS)
    assert_close(terms["hand_joints"], torch.full((2,), 25e-6 / 3), rtol=1e-4, atol=0)
    assert_close(terms["object_vertices"], torch.full((2,), 12e-6), rtol=1e-4, atol=0)


def test_reprojection_counts_what_the_picture_shows() -> None:
    """5 mm across the line of sight at 0.5 m are 4 mm at 0.4 m, over two coordinates; along it nothing moves."""
    across = reconstruction([0, 0, 0], [0, 0, 0])
    true = annotation()
    joints = torch.tensor([0.0, 0, 0.5]).expand(2, 21, 3)
    true = replace(true, hand_joints=joints)
    across = replace(across, hand=replace(across.hand, joints=joints + torch.tensor([0.005, 0, 0])))
    assert_close(reprojection(across, true, OBJECTS), torch.full((2,), 16e-6 / 2), rtol=1e-4, atol=0)
    along = replace(across, hand=replace(across.hand, joints=joints * 1.1))
    assert_close(reprojection(along, true, OBJECTS), torch.zeros(2), rtol=0, atol=1e-10)


def test_regularisers_are_mean_squares() -> None:
    terms = regularisation(reconstruction([0, 0, 0], [0, 0, 0]))
    assert_close(terms["hand_pose"], torch.tensor([1.0, 1.0]))
    assert_close(terms["hand_shape"], torch.tensor([3.0, 0.0]))
