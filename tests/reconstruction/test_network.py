"""The network's shapes (Table 4), its parametrisation, and what it refuses."""

from dataclasses import fields
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from warpgrasp.data.frames import FrameSource
from warpgrasp.data.ho3d.dataset import Ho3d
from warpgrasp.frame import FrameName, Frames
from warpgrasp.geometry.rotation import matrix_from_axis_angle
from warpgrasp.hand.model import JOINTS, HandModel
from warpgrasp.reconstruction.network import HandObjectNetwork, Heads, NetworkConfig
from warpgrasp.scene import surface

OBJECTS = ("003_cracker_box", "006_mustard_bottle")


@pytest.fixture(scope="module")
def frames(sample_root: Path) -> Frames:
    from warpgrasp.hand.model import HandModel
    from warpgrasp.hand.templates import open_hand

    names = [FrameName("A1", 0), FrameName("B1", 0), FrameName("A1", 4)]
    return FrameSource(Ho3d(sample_root, HandModel(open_hand()), size=(64, 48)), annotated=names).frames(names)


def network_of(hand: HandModel, **options) -> HandObjectNetwork:
    torch.manual_seed(0)
    return HandObjectNetwork(NetworkConfig(width=8, **options), hand, OBJECTS).eval()


def test_the_heads_are_those_of_table_4() -> None:
    heads = Heads(512, 15, 10)
    sizes = {
        name: [tuple(parameter.shape) for parameter in branch.parameters()] for name, branch in heads.named_children()
    }
    assert sizes == {
        "object_pose": [(256, 512), (256,), (6, 256), (6,)],
        "hand_translation": [(256, 512), (256,), (3, 256), (3,)],
        "hand_pose_shape": [(512, 512), (512,), (512, 512), (512,), (28, 512), (28,)],
    }
    raw = heads(torch.randn(2, 512))
    assert sum(getattr(raw, one.name).shape[1] for one in fields(raw)) == 37


def test_branches_end_linearly() -> None:
    raw = Heads(512, 15, 10)(torch.randn(64, 512))
    assert all((getattr(raw, one.name) < 0).any() for one in fields(raw))


def test_shapes(hand: HandModel, frames: Frames) -> None:
    result = network_of(hand)(frames.image, frames.camera, frames.objects)
    assert result.hand.vertices.shape == (3, 778, 3)
    assert result.hand.joints.shape == (3, 21, 3)
    assert result.hand.pose_coefficients.shape == (3, 15)
    assert result.hand.shape.shape == (3, 10)
    assert result.object.vertices.shape == frames.objects.vertices.shape
    assert result.object.corners.shape == (3, 8, 3)


def test_the_hand_is_placed_by_the_base_of_its_middle_finger_and_the_object_by_its_centre(
    hand: HandModel, frames: Frames
) -> None:
    result = network_of(hand)(frames.image, frames.camera, frames.objects)
    middle = result.hand.joints[:, JOINTS.index("middle_1")]
    assert_close(middle, result.hand.translation, rtol=0, atol=1e-6)
    assert_close(result.object.corners.mean(1), result.object.translation, rtol=0, atol=1e-6)


def test_an_untrained_network_starts_at_the_middle_of_the_space(hand: HandModel, frames: Frames) -> None:
    network = network_of(hand)
    turn = matrix_from_axis_angle(torch.tensor([0.3, -2.0, 0.5]))
    other = matrix_from_axis_angle(torch.tensor([1.0, 0.2, 0.1]))
    network.set_base_rotations(turn, {"006_mustard_bottle": other})
    result = network(frames.image, frames.camera, frames.objects)
    assert_close(result.hand.translation, torch.tensor([[0, 0, 0.4]] * 3), rtol=0, atol=0.03)
    assert_close(result.hand.rotation, turn.expand(3, 3, 3), rtol=0, atol=0.2)
    assert_close(result.object.rotation[0], other, rtol=0, atol=0.2)
    assert_close(result.object.rotation[1], torch.eye(3), rtol=0, atol=0.2)  # it was given none
    assert_close(result.object.rotation[2], other, rtol=0, atol=0.2)


def test_hand_and_object_are_rigid(hand: HandModel, frames: Frames) -> None:
    result = network_of(hand)(frames.image, frames.camera, frames.objects)
    before, after = frames.objects.vertices[:, :500], result.object.vertices[:, :500]
    lengths = [(points - points.roll(1, dims=1)).norm(dim=-1) for points in (before, after)]
    assert_close(lengths[0], lengths[1], rtol=0, atol=1e-6)
    identity = result.hand.rotation @ result.hand.rotation.transpose(-1, -2)
    assert_close(identity, torch.eye(3).expand(3, 3, 3), rtol=0, atol=1e-5)


def test_an_unknown_object_is_refused(hand: HandModel, frames: Frames) -> None:
    network = HandObjectNetwork(NetworkConfig(width=8), hand, ("003_cracker_box",)).eval()
    with pytest.raises(KeyError, match=r"expected an object among 003_cracker_box, got 006_mustard_bottle"):
        network(frames.image, frames.camera, frames.objects)


def test_a_frame_does_not_depend_on_its_neighbours_in_the_batch(hand: HandModel, frames: Frames) -> None:
    network = network_of(hand)
    together = network(frames.image, frames.camera, frames.objects)
    order = [2, 0, 1]
    objects = frames.objects
    swapped = type(objects)(
        tuple(objects.names[i] for i in order),
        objects.vertices[order],
        objects.real[order],
        objects.faces[order],
        objects.corners[order],
    )
    camera = type(frames.camera)(frames.camera.intrinsics[order], 64, 48)
    again = network(frames.image[order], camera, swapped)
    assert_close(again.hand.vertices, together.hand.vertices[order], rtol=0, atol=1e-6)
    assert_close(again.object.vertices, together.object.vertices[order], rtol=0, atol=1e-6)


def test_adaptation_starts_where_the_hand_model_is(hand: HandModel, frames: Frames) -> None:
    plain, adapted = (network_of(hand, skeleton_adaptation=choice) for choice in (False, True))
    adapted.load_state_dict(plain.state_dict(), strict=False)
    results = [network(frames.image, frames.camera, frames.objects) for network in (plain, adapted)]
    # The model's joints follow the bones, the regressor's the posed surface: alike, not the same.
    assert_close(results[0].hand.joints, results[1].hand.joints, rtol=0, atol=0.006)
    assert sum("adaptation" in name for name in adapted.state_dict()) == 1


def test_half_precision_is_for_the_encoder_alone(hand: HandModel, frames: Frames) -> None:
    network = network_of(hand)
    network.encoder_precision = "bf16"
    result = network(frames.image, frames.camera, frames.objects)
    assert result.hand.vertices.dtype == torch.float32
    middle = result.hand.joints[:, JOINTS.index("middle_1")]
    assert_close(middle, result.hand.translation, rtol=0, atol=1e-6)


def test_the_surface_is_hand_then_wrist_then_object(hand: HandModel, frames: Frames) -> None:
    assert frames.annotation is not None
    mesh = surface(hand, frames.annotation.hand_vertices, frames.objects.vertices, frames.objects)
    own, closing = len(hand.faces), len(hand.closing_faces)
    assert torch.equal(mesh.auxiliary_faces.sum(1), torch.full((3,), closing))
    assert mesh.auxiliary_faces[:, own : own + closing].all()
    assert torch.equal(mesh.faces[0, own + closing :], frames.objects.faces[0] + 778)
