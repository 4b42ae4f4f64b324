"""A network that is told where a detector sees the hand: placed from there, the same wherever the picture is cut."""

from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from tests.inference.networks import HEIGHT, NAMES, WIDTH, models, small_network, some_frames
from warpgrasp.frame import Detections
from warpgrasp.geometry import Camera
from warpgrasp.hand import HandModel
from warpgrasp.reconstruction import HandObjectNetwork, NetworkConfig, checkpoint_of, load_checkpoint, save_checkpoint
from warpgrasp.reconstruction.joint_input import JointInput


@pytest.fixture
def told(hand: HandModel) -> HandObjectNetwork:
    torch.manual_seed(0)
    network = HandObjectNetwork(NetworkConfig(width=8, joint_input=True), hand, NAMES)
    frames = some_frames(6)
    network.train()(frames.image, frames.camera, frames.objects)  # its batch norm has seen pictures
    return network.eval()


def seen(count: int) -> Detections:
    generator = torch.Generator().manual_seed(count)
    size = torch.tensor([WIDTH, HEIGHT])
    return Detections(
        (0.3 + 0.4 * torch.rand(count, 21, 2, generator=generator)) * size,
        0.5 + 0.5 * torch.rand(count, 21, generator=generator),
    )


def shifted(camera: Camera, by_px: torch.Tensor) -> Camera:
    """The camera whose pictures show everything `by_px` farther right and down."""
    intrinsics = camera.intrinsics.clone()
    intrinsics[:, :2, 2] += by_px
    return Camera(intrinsics, camera.width, camera.height)


def test_the_same_view_of_a_hand_gives_the_same_answer(told: HandObjectNetwork) -> None:
    """Camera and detections moved together are the same scene: nothing is left of the picture's middle."""
    frames, detections, by_px = some_frames(4), seen(4), torch.tensor([5.0, -3.0])
    features = torch.zeros(4, told.heads.object_pose[0].in_features)
    moved = Detections(detections.joints_px + by_px, detections.confidence)
    with torch.no_grad():
        one = told.reconstruct(features, frames.camera, frames.objects, detections=detections)
        other = told.reconstruct(features, shifted(frames.camera, by_px), frames.objects, detections=moved)
    assert_close(one.hand.vertices, other.hand.vertices, rtol=0, atol=1e-5)
    assert float((one.hand.translation - one.hand.translation.mean(dim=0)).abs().max()) > 1e-3


def test_the_hand_begins_where_it_is_seen(told: HandObjectNetwork) -> None:
    """The outputs start near zero, so an untrained network puts it on the middle of the seen joints; not the object."""
    frames, detections = some_frames(4), seen(4)
    weights = detections.confidence[..., None]
    middle_px = (weights * detections.joints_px).sum(dim=1) / weights.sum(dim=1)
    with torch.no_grad():
        found, untold = (told(frames.image, frames.camera, frames.objects, said) for said in (detections, None))
    placed_px = frames.camera.project(found.hand.translation[:, None])[:, 0]
    assert float((placed_px - middle_px).norm(dim=1).max()) < 4
    assert torch.equal(found.object.vertices, untold.object.vertices)


def test_what_is_not_seen_does_not_count(told: HandObjectNetwork) -> None:
    """Joints without confidence have no place; a picture without a hand is as one of which nobody was asked."""
    frames, detections = some_frames(3), seen(3)
    detections.confidence[0, 5:] = 0
    detections.confidence[1] = 0
    elsewhere = Detections(detections.joints_px.clone(), detections.confidence)
    elsewhere.joints_px[0, 5:] = 1e4
    elsewhere.joints_px[1] = -70
    with torch.no_grad():
        one, other, untold = (
            told(frames.image, frames.camera, frames.objects, said) for said in (detections, elsewhere, None)
        )
    assert torch.equal(one.hand.vertices, other.hand.vertices)
    assert torch.equal(one.hand.vertices[1], untold.hand.vertices[1])
    assert not torch.equal(one.hand.vertices[2], untold.hand.vertices[2])


def test_no_gradient_is_lost_where_nothing_is_seen(told: HandObjectNetwork) -> None:
    frames, detections = some_frames(2), seen(2)
    detections.confidence[0] = 0
    found = told.train()(frames.image, frames.camera, frames.objects, detections)
    (found.hand.vertices.square().sum() + found.object.vertices.square().sum()).backward()
    gradients = [parameter.grad for parameter in told.parameters()]
    assert all(gradient is not None and bool(gradient.isfinite().all()) for gradient in gradients)


def test_others_are_not_told(hand: HandModel) -> None:
    network, frames = small_network(hand), some_frames(3)
    with torch.no_grad():
        alone, told = (network(frames.image, frames.camera, frames.objects, said) for said in (None, seen(3)))
    assert torch.equal(alone.hand.vertices, told.hand.vertices)


def test_size_tells_depth_in_angles() -> None:
    """A hand twice as large in a picture of twice the size is the same hand."""
    detections, frames = seen(2), some_frames(2)
    twice = frames.camera.resized(2 * WIDTH, 2 * HEIGHT)
    torch.manual_seed(0)
    layers = JointInput()
    one, _ = layers(detections, frames.camera)
    other, _ = layers(detections.resized((WIDTH, HEIGHT), (2 * WIDTH, 2 * HEIGHT)), twice)
    assert_close(one, other, rtol=0, atol=1e-5)


def test_a_checkpoint_keeps_it(told: HandObjectNetwork, hand: HandModel, tmp_path: Path) -> None:
    path, frames = tmp_path / "weights.safetensors", some_frames(3)
    save_checkpoint(path, checkpoint_of(told, models(2), step=0, training={"width": "64", "height": "48"}))
    again = load_checkpoint(path).network(hand).eval()
    with torch.no_grad():
        outputs = [one(frames.image, frames.camera, frames.objects, seen(3)) for one in (told, again)]
    assert torch.equal(outputs[0].hand.vertices, outputs[1].hand.vertices)
