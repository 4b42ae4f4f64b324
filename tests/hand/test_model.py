import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch.autograd import gradcheck
from torch.testing import assert_close

from tests.hand.templates import small_template
from tests.oracles.skinning import skin
from warpgrasp.hand.model import HO3D_JOINTS, JOINTS, MANO_JOINTS, HandModel, HandTemplate
from warpgrasp.hand.templates import open_hand

RANDOM = np.random.default_rng(3)
MIRROR = np.array([-1.0, 1, 1])


def posed(template: HandTemplate, rotation, pose, shape):
    model = HandModel(template).double()
    # The buffers were rounded to float32 on the way in: give the twin's numbers back.
    for name, array in [
        ("template_vertices", template.vertices),
        ("shape_directions", template.shape_directions),
        ("joint_regressor", template.joint_regressor),
        ("skinning_weights", template.skinning_weights),
        ("level_regressor", np.asarray(template.joint_regressor)[model.level_order]),
        ("level_weights", np.asarray(template.skinning_weights)[:, model.level_order]),
        ("pose_directions", template.pose_directions),
    ]:
        if array is not None:
            getattr(model, name).copy_(torch.from_numpy(np.array(array, dtype=np.float64)))
    return model(*(torch.from_numpy(np.array(part, dtype=np.float64))[None] for part in (rotation, pose, shape)))


@pytest.mark.parametrize("angles", [0.0, 0.3, 2.0])
@pytest.mark.parametrize("pose_directions", [False, True])
def test_skinning_is_that_of_the_plain_twin(pose_directions, angles):
    template = small_template(pose_directions=pose_directions)
    rotation, pose, shape = angles * RANDOM.normal(size=3), angles * RANDOM.normal(size=45), RANDOM.normal(size=3)
    ours = posed(template, rotation, pose, shape)
    vertices, joints = skin(template, rotation, pose, shape)
    np.testing.assert_allclose(ours.vertices[0].numpy(), vertices, atol=1e-12)
    by_name = dict(zip(MANO_JOINTS, joints, strict=True))
    tips = ("thumb_tip", "index_tip", "middle_tip", "ring_tip", "little_tip")
    by_name |= {name: vertices[row] for name, row in zip(tips, template.fingertip_vertices, strict=True)}
    np.testing.assert_allclose(ours.joints[0].numpy(), [by_name[name] for name in JOINTS], atol=1e-12)


def test_the_open_hand_in_float32_is_that_of_the_plain_twin():
    template = open_hand()
    rotation, pose, shape = RANDOM.normal(size=3), 0.4 * RANDOM.normal(size=45), RANDOM.normal(size=10)
    arguments = [torch.from_numpy(part).float()[None] for part in (rotation, pose, shape)]
    ours = HandModel(template)(*arguments)
    vertices, _ = skin(template, rotation, pose, shape)
    np.testing.assert_allclose(ours.vertices[0].numpy(), vertices, atol=1e-6)


def test_a_batch_poses_each_hand_alone():
    model = HandModel(small_template())
    rotation, pose, shape = torch.rand(3, 3), torch.rand(3, 45), torch.rand(3, 3)
    together = model(rotation, pose, shape)
    for row in range(3):
        alone = model(rotation[row : row + 1], pose[row : row + 1], shape[row : row + 1])
        assert_close(together.vertices[row], alone.vertices[0])
        assert_close(together.joints[row], alone.joints[0])


def test_skinning_passes_gradcheck():
    model = HandModel(small_template(rings=2, sides=3)).double()
    arguments = tuple(
        torch.from_numpy(part).requires_grad_()
        for part in (RANDOM.normal(size=(1, 3)), 0.5 * RANDOM.normal(size=(1, 45)), RANDOM.normal(size=(1, 3)))
    )

    def forward(*inputs):
        hand = model(*inputs)
        return hand.vertices, hand.joints

    assert gradcheck(forward, arguments)
    at_rest = tuple(torch.zeros_like(part).requires_grad_() for part in arguments)
    assert gradcheck(forward, at_rest)


def small_model() -> HandModel:
    return HandModel(small_template()).double()


@pytest.mark.parametrize("template", [small_template(), open_hand()], ids=["small", "open"])
def test_the_mirrored_hand_poses_as_the_mirror_image(template):
    """The other hand with the mirrored rotation (x kept, y and z negated) is the mirror image, also of its joints."""
    other, flip = template.mirrored("left"), np.array([1.0, -1, -1])
    shapes = template.shape_directions.shape[-1]
    coefficients, shape = torch.from_numpy(RANDOM.normal(size=(1, 15))), RANDOM.normal(size=shapes)
    rotation = RANDOM.normal(size=3)
    right_pose = HandModel(template).double().pose_from_coefficients(coefficients)[0].numpy()
    left_pose = HandModel(other).double().pose_from_coefficients(coefficients)[0].numpy()
    np.testing.assert_allclose(left_pose, right_pose * np.tile(flip, 15), atol=1e-6)
    right = posed(template, rotation, right_pose, shape)
    left = posed(other, rotation * flip, right_pose * np.tile(flip, 15), shape)
    np.testing.assert_allclose(left.vertices.numpy(), right.vertices.numpy() * MIRROR, atol=1e-10)
    np.testing.assert_allclose(left.joints.numpy(), right.joints.numpy() * MIRROR, atol=1e-10)


def test_mirroring_turns_faces_so_that_they_still_look_outwards():
    template = open_hand()

    def volume(one):
        a, b, c = (one.vertices[one.faces[:, corner]] for corner in range(3))
        return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)

    assert volume(template) > 0
    assert volume(template.mirrored("left")) == pytest.approx(volume(template), rel=1e-6)


def test_mirroring_twice_is_the_same_hand():
    template = small_template()
    twice = template.mirrored("other").mirrored(template.name)
    for name in ("vertices", "faces", "shape_directions", "pose_directions", "pose_components", "mean_pose"):
        np.testing.assert_array_equal(getattr(twice, name), getattr(template, name))


def test_pose_coefficients_are_mean_plus_components():
    template = small_template()
    model = HandModel(template).double()
    coefficients = RANDOM.normal(size=(2, 4))
    expected = template.mean_pose + coefficients @ template.pose_components[:4]
    ours = model.pose_from_coefficients(torch.from_numpy(coefficients))
    np.testing.assert_allclose(ours.numpy(), expected, atol=1e-6)


def test_rotation_turns_about_the_wrist_which_stays():
    model = small_model()
    generator = torch.Generator().manual_seed(0)
    pose, shape = (torch.rand(1, count, generator=generator).double() for count in (45, 3))
    axis_angle = torch.tensor([[0.3, -1.2, 0.7]]).double()
    straight, turned = model(torch.zeros_like(axis_angle), pose, shape), model(axis_angle, pose, shape)
    assert_close(turned.joints[:, 0], straight.joints[:, 0])
    before = straight.joints - straight.joints[:, :1]
    after = turned.joints - turned.joints[:, :1]
    rotation = torch.from_numpy(Rotation.from_rotvec(axis_angle[0].numpy()).as_matrix())
    assert_close(after, before @ rotation.T)


def test_joint_order_of_files():
    """HO-3D's published permutation is what the names give."""
    from warpgrasp.hand.model import permutation

    published = [0, 13, 14, 15, 16, 1, 2, 3, 17, 4, 5, 6, 18, 10, 11, 12, 19, 7, 8, 9, 20]
    assert permutation(JOINTS, from_=HO3D_JOINTS) == published
    assert [HO3D_JOINTS[index] for index in permutation(JOINTS, from_=HO3D_JOINTS)] == list(JOINTS)


def test_the_closed_mesh_is_closed_by_auxiliary_faces():
    template = open_hand()
    model = HandModel(template)
    vertices = model.template_vertices.expand(2, -1, -1)
    mesh = model.closed_mesh(vertices)
    assert torch.equal(mesh.faces[1, : len(template.faces)], torch.from_numpy(template.faces))
    assert mesh.auxiliary_faces.sum(dim=1).tolist() == [14, 14]
    assert mesh.auxiliary_faces[:, -14:].all()
    edges = {(a, b) for face in mesh.faces[0].tolist() for a, b in zip(face, face[1:] + face[:1], strict=True)}
    assert len(edges) == 3 * mesh.faces.shape[1]
    assert all((end, start) in edges for start, end in edges)


def test_nothing_of_the_hand_is_stored_with_weights():
    """A checkpoint holds no array of a licensed file."""
    assert HandModel(small_template()).state_dict() == {}
