"""Mirroring: twice is nothing, it commutes with projection and posing, and pictures follow."""

from dataclasses import replace

import pytest
import torch
from scipy.spatial.transform import Rotation
from torch.testing import assert_close

from warpgrasp.data.augment import (
    mirrored_annotation,
    mirrored_camera,
    mirrored_frame,
    mirrored_name,
    mirrored_object,
    mirrored_points,
    mirrored_rotation,
)
from warpgrasp.frame import Annotation, Frame, FrameName, ObjectModel, pose_points
from warpgrasp.geometry.camera import Camera
from warpgrasp.hand.model import HandModel
from warpgrasp.hand.templates import open_hand

WIDTH, HEIGHT = 11, 6


def rotation(seed: int) -> torch.Tensor:
    return torch.from_numpy(Rotation.random(random_state=seed).as_matrix()).float()


@pytest.fixture
def frame() -> Frame:
    generator = torch.Generator().manual_seed(3)

    def points(count: int) -> torch.Tensor:
        return 0.2 * torch.randn(count, 3, generator=generator) + torch.tensor([0.05, 0, 1.0])

    model = ObjectModel.centred("cup", torch.randn(7, 3, generator=generator), torch.tensor([[0, 1, 2], [3, 4, 6]]))
    camera = Camera(torch.tensor([[12.0, 0.25, 4.5], [0, 13, 2.25], [0, 0, 1]]), WIDTH, HEIGHT)
    annotation = Annotation(points(9), points(21), rotation(1), torch.tensor([0.1, -0.2, 1.5]), rotation(2))
    picture = torch.randint(0, 256, (3, HEIGHT, WIDTH), generator=generator, dtype=torch.uint8)
    return Frame(FrameName("A", 3), picture, camera, model, annotation)


def test_twice_is_the_same_frame(frame: Frame) -> None:
    again = mirrored_frame(mirrored_frame(frame))
    assert again.name == frame.name
    assert again.object.name == "cup"
    assert (again.camera.width, again.camera.height) == (WIDTH, HEIGHT)
    for ours, theirs in (
        (again.image, frame.image),
        (again.camera.intrinsics, frame.camera.intrinsics),
        (again.object.vertices, frame.object.vertices),
        (again.object.faces, frame.object.faces),
        (again.object.centre_m, frame.object.centre_m),
        (again.annotation.hand_vertices, frame.annotation.hand_vertices),
        (again.annotation.hand_joints, frame.annotation.hand_joints),
        (again.annotation.object_rotation, frame.annotation.object_rotation),
        (again.annotation.object_translation, frame.annotation.object_translation),
        (again.annotation.hand_rotation, frame.annotation.hand_rotation),
    ):
        assert torch.equal(ours, theirs)


def test_projection_commutes_with_mirroring(frame: Frame) -> None:
    points = frame.annotation.hand_vertices
    seen = mirrored_camera(frame.camera).project(mirrored_points(points))
    expected = frame.camera.project(points)
    assert_close(seen, torch.stack([WIDTH - 1 - expected[:, 0], expected[:, 1]], dim=1))


def test_by_hand() -> None:
    # fx 100, cx 3 of a picture 11 wide; the point (0.1, 0.2, 1) is seen at u = 13, its mirror image at 10 - 13 = -3,
    # which is 100 · (-0.1) + cx' for cx' = 7 = 10 - 3. The pixel in column 2 moves to column 8.
    camera = mirrored_camera(Camera(torch.tensor([[100.0, 0, 3], [0, 100, 2], [0, 0, 1]]), WIDTH, HEIGHT))
    assert_close(camera.intrinsics, torch.tensor([[100.0, 0, 7], [0, 100, 2], [0, 0, 1]]))
    assert_close(camera.project(torch.tensor([[-0.1, 0.2, 1]])), torch.tensor([[-3.0, 22]]))
    # A quarter turn about z takes x to y; in the mirror it takes x to -y.
    turn = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    assert_close(mirrored_rotation(turn) @ torch.tensor([1.0, 0, 0]), torch.tensor([0.0, -1, 0]))


def test_the_picture_moves_as_the_camera_says(frame: Frame) -> None:
    picture = torch.zeros(3, HEIGHT, WIDTH, dtype=torch.uint8)
    picture[:, 4, 2] = 255
    there = mirrored_frame(replace(frame, picture=picture)).image
    assert there[:, 4, 8].eq(1).all()
    assert there.sum() == 3


def test_posing_the_mirrored_object_gives_the_mirror_image_of_the_posed_object(frame: Frame) -> None:
    annotation, model = frame.annotation, frame.object
    there, turned = mirrored_annotation(annotation), mirrored_object(model)
    posed = pose_points(annotation.object_rotation, annotation.object_translation, model.vertices)
    again = pose_points(there.object_rotation, there.object_translation, turned.vertices)
    assert_close(again, mirrored_points(posed))
    for matrix in (there.object_rotation, there.hand_rotation):
        assert_close(torch.linalg.det(matrix), torch.tensor(1.0))
        assert_close(matrix @ matrix.T, torch.eye(3), atol=1e-6, rtol=0)
    # In the file's own coordinates too: the mirrored file's vertices are the mirror images of the file's.
    assert_close(turned.vertices + turned.centre_m, mirrored_points(model.vertices + model.centre_m))
    low, high = turned.vertices.amin(dim=0), turned.vertices.amax(dim=0)
    assert_close(low, -high)  # still centred


def test_faces_still_look_outwards(hand: HandModel) -> None:
    right = hand.template
    model = ObjectModel.centred("hand", hand.template_vertices, hand.faces)
    mirrored = mirrored_object(model)

    def volume(one: ObjectModel) -> torch.Tensor:
        a, b, c = one.vertices[one.faces].unbind(dim=1)
        return (a * torch.linalg.cross(b, c)).sum() / 6

    assert_close(volume(mirrored), volume(model))
    left = HandModel(open_hand("left"))
    assert torch.equal(mirrored.faces, left.faces)
    assert right.faces.shape == left.faces.shape


def test_names_tell_mirror_images_apart() -> None:
    assert mirrored_name("021_bleach_cleanser") == "021_bleach_cleanser (mirrored)"
    assert mirrored_name("021_bleach_cleanser (mirrored)") == "021_bleach_cleanser"


def test_a_frame_without_annotation_stays_without(frame: Frame) -> None:
    assert mirrored_frame(replace(frame, annotation=None)).annotation is None
    unknown = replace(frame.annotation, hand_rotation=None)
    assert mirrored_annotation(unknown).hand_rotation is None


def test_batches_of_cameras_are_mirrored_alike(frame: Frame) -> None:
    batch = Camera(frame.camera.intrinsics.expand(2, 3, 3), WIDTH, HEIGHT)
    assert torch.equal(mirrored_camera(batch).intrinsics[1], mirrored_camera(frame.camera).intrinsics)
    assert torch.equal(batch.intrinsics[0], frame.camera.intrinsics)
