"""Labels and poses: where a label puts hand and object, and the label of a pose."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch.testing import assert_close

from warpgrasp.data.recording.annotations import HandJoints, HandParameters, Label
from warpgrasp.data.recording.labels import label_of_pose, pose_of_label
from warpgrasp.frame import ObjectModel
from warpgrasp.hand.model import HandModel
from warpgrasp.scene import posed_hand, posed_object

# In the mesh file's own coordinates the box's centre is (0.05, 0.02, 0.01).
FILE_VERTICES = torch.tensor([[0.0, 0.0, 0.0], [0.1, 0.0, 0.0], [0.1, 0.04, 0.02]])
MODEL = ObjectModel.centred("wedge", FILE_VERTICES, torch.tensor([[0, 1, 2]]))
PRECISE = {torch.float32: 1e-6, torch.float64: 1e-12}


@pytest.fixture
def label() -> Label:
    random = np.random.default_rng(3)
    hand = HandParameters(random.normal(0, 0.4, 48), random.normal(size=10), np.array([0.02, -0.03, 0.5]))
    return Label(7, hand, np.array([0.3, -0.5, 0.8]), np.array([0.06, 0.04, 0.6]), "evaluation")


@pytest.mark.parametrize("dtype", list(PRECISE))
def test_a_pose_puts_hand_and_object_where_the_label_says(label: Label, hand: HandModel, dtype: torch.dtype) -> None:
    """X = R·x + t on the mesh file's coordinates; X = model(pose, shape) + translation."""
    pose = pose_of_label(label, hand, MODEL, dtype=dtype)
    assert {values.dtype for values in pose.arrays.values()} == {dtype}
    single = pose.to(torch.float32)
    expected = Rotation.from_rotvec(label.object_rotation).apply(FILE_VERTICES.numpy()) + label.object_translation
    np.testing.assert_allclose(posed_object(single, MODEL)[0], expected, atol=1e-6)
    angles, shape = torch.from_numpy(label.hand.pose).float()[None], torch.from_numpy(label.hand.shape).float()[None]
    plain = hand(angles[:, :3], angles[:, 3:], shape)
    vertices, joints = posed_hand(single, hand)
    translation = torch.tensor([0.02, -0.03, 0.5])
    assert_close(vertices, plain.vertices + translation, rtol=0, atol=1e-6)
    assert_close(joints, plain.joints + translation, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("dtype", "tolerance"), list(PRECISE.items()))
def test_the_label_of_a_pose_is_the_one_it_came_from(
    label: Label, hand: HandModel, dtype: torch.dtype, tolerance: float
) -> None:
    again = label_of_pose(7, pose_of_label(label, hand, MODEL, dtype=dtype), hand, MODEL, use="evaluation")
    assert (again.frame, again.use) == (7, "evaluation")
    np.testing.assert_allclose(again.object_rotation, label.object_rotation, atol=tolerance)
    np.testing.assert_allclose(again.object_translation, label.object_translation, atol=tolerance)
    for name, values in vars(label.hand).items():
        np.testing.assert_allclose(getattr(again.hand, name), values, atol=tolerance, err_msg=name)
        assert getattr(again.hand, name).dtype == np.float64


def test_joints_have_the_pose_of_the_fitted_hand(label: Label, hand: HandModel) -> None:
    true = pose_of_label(label, hand, MODEL)
    _, joints = posed_hand(true, hand)
    stated = replace(label, hand=HandJoints(joints[0].double().numpy()))
    fitted = pose_of_label(stated, hand, MODEL)
    assert (posed_hand(fitted, hand)[1] - joints).norm(dim=-1).mean() < 0.003
    assert torch.equal(fitted.object_centre, true.object_centre)
