"""Fitting the hand to joints that were clicked on: what the joints do not say stays as it is shown."""

from pathlib import Path

import numpy as np

from tests.annotate.conftest import opened
from warpgrasp.annotate.state import AnnotationState
from warpgrasp.hand.model import JOINTS, MANO_JOINTS, HandModel


def test_a_fit_keeps_what_the_clicked_joints_do_not_say(state: AnnotationState) -> None:
    """The wrist outside the picture, three fingers' bends to the last digit, the shape as its sliders have it."""
    state.go_to(1)
    start = state.current.moved(wrist=np.array([-0.3, 0.1, 0.5]), shape=np.linspace(-1, 1, 10))
    state.change(start)
    pixels = state.camera.project(state.annotation(1).hand_joints).double().numpy()
    assert pixels[0, 0] < -0.5
    state.change(state.current.moved(joint_angles=start.joint_angles + 0.05))
    for name, pixel in zip(JOINTS, pixels, strict=True):
        if name.startswith(("thumb", "index")):
            state.change(state.current.with_joint(name, pixel))
    before = state.current
    fitted = state.fit_hand_to_joints(shape_too=False)
    assert (fitted.kept_fingers, fitted.kept_shape) == (("middle", "ring", "little"), True)
    assert fitted.missed_px < 0.3
    assert state.current.pose.shape is before.pose.shape
    kept = [3 * row + axis for row, name in enumerate(MANO_JOINTS[1:]) for axis in range(3) if name[0] in "mrl"]
    np.testing.assert_array_equal(state.current.joint_angles[kept], before.joint_angles[kept])
    assert np.abs(np.delete(state.current.joint_angles - before.joint_angles, kept)).max() > 0.01
    assert np.linalg.norm(state.current.wrist - start.wrist) < 0.015
    state.undo()
    assert state.current is before


def test_whose_shape_nobody_knows_is_fitted_too(folder: Path, hand: HandModel) -> None:
    (folder / "annotations.json").unlink()
    state = opened(folder, hand)
    state.change(state.current.moved(shape=np.full(10, 0.8)))
    pixels = state.camera.project(state.annotation(0).hand_joints).double().numpy()
    state.undo()
    for name, pixel in zip(JOINTS, pixels, strict=True):
        state.change(state.current.with_joint(name, pixel))
    assert state.shape_is_unknown
    assert not state.fit_hand_to_joints().kept_shape
    assert np.abs(state.current.shape).max() > 0.02
    assert not state.shape_is_unknown
    assert state.fit_hand_to_joints().kept_shape
