"""Refining by colours: known poses, put wrong, come back; what cannot be refined is refused and left as it is."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tests.annotate.conftest import opened
from tests.data.recording.recording_files import hand_parameters
from tests.sample_set import Sample
from warpgrasp.annotate import refinement
from warpgrasp.annotate.poses import FrameState
from warpgrasp.annotate.refinement import Refinement, View, refine
from warpgrasp.annotate.state import AnnotationState
from warpgrasp.data.ho3d.dataset import Ho3d
from warpgrasp.errors import UserError
from warpgrasp.export.recording import RecordingOptions, export_recording
from warpgrasp.hand.model import HandModel

REFERENCE, TARGET = 3, 4


@pytest.fixture(scope="module")
def labelled(sample: Sample, hand: HandModel, tmp_path_factory: pytest.TempPathFactory) -> AnnotationState:
    """The tiny sample's first sequence, every frame labelled."""
    folder = tmp_path_factory.mktemp("refined") / "A1"
    hands = {index: hand_parameters(sample.sequences["train"]["A1"], index) for index in range(8)}
    export_recording(
        Ho3d(sample.root, hand), "train", "A1", folder, RecordingOptions(train=range(8), hands=hands, pictures="frames")
    )
    return opened(folder, hand)


def turned(rotation: np.ndarray, by: tuple[float, float, float]) -> np.ndarray:
    return (Rotation.from_rotvec(by) * Rotation.from_rotvec(rotation)).as_rotvec()


def refined(state: AnnotationState, start: FrameState, *, reference: int = REFERENCE) -> Refinement:
    picture = state.recording.picture
    here, there = (
        View(picture(TARGET), state.annotation(TARGET, start)),
        View(picture(reference), state.annotation(reference)),
    )
    return refine(start, here, there, camera=state.camera, model=state.recording.object.model, hand=state.hand)


def errors_mm(state: AnnotationState, found: FrameState, true: FrameState) -> tuple[float, float]:
    """Of the hand's joints and of the object's vertices, on average."""
    model = state.recording.object.model.vertices
    annotations = [state.annotation(TARGET, one) for one in (found, true)]
    joints = [one.hand_joints for one in annotations]
    vertices = [model @ one.object_rotation.T + one.object_translation for one in annotations]
    return tuple(1000 * float((a - b).norm(dim=-1).mean()) for a, b in (joints, vertices))


def test_poses_that_are_off_come_back(labelled: AnnotationState, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refinement, "WIDTHS_PX", (120, 240))
    monkeypatch.setattr(refinement, "STEPS", 30)
    labelled.go_to(TARGET)
    true = labelled.current
    start = true.with_object(
        rotation=turned(true.object.rotation, (0.04, -0.05, 0.05)),
        centre=true.object.centre + np.array([0.006, -0.004, 0.003]),
    )
    start = start.with_hand(
        rotation=turned(true.hand.rotation, (-0.05, 0.05, 0.04)),
        wrist=true.hand.wrist + np.array([-0.006, 0.005, 0.002]),
    )
    found = refined(labelled, start)
    assert found.after < 0.7 * found.before
    assert found.compared_share > 0.8
    before, after = errors_mm(labelled, start, true), errors_mm(labelled, found.state, true)
    assert after[0] < 0.6 * before[0]
    assert after[1] < 0.6 * before[1]
    assert found.state.hand.shape is start.hand.shape


def test_nothing_to_compare_is_refused(labelled: AnnotationState) -> None:
    labelled.go_to(TARGET)
    true = labelled.current
    far = true.with_object(centre=true.object.centre + np.array([0.6, 0, 0])).with_hand(
        wrist=true.hand.wrist + np.array([0.6, 0, 0])
    )
    with pytest.raises(UserError, match=r"expected hand and object to show some of the surface"):
        refined(labelled, far)


def test_what_cannot_be_bettered_is_refused(labelled: AnnotationState, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame compared with itself, at its own poses: no colour differs."""
    monkeypatch.setattr(refinement, "WIDTHS_PX", (80,))
    monkeypatch.setattr(refinement, "STEPS", 3)
    labelled.go_to(TARGET)
    with pytest.raises(UserError, match=r"found none \(difference 0\.0\d\d, then 0\.0\d\d\); nothing was changed"):
        refined(labelled, replace(labelled.current, stated_hand=None), reference=TARGET)
