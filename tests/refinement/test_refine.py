"""One frame refined by the colours of a label: known poses, put wrong, come back; what cannot be refined is refused."""

from dataclasses import dataclass, replace
from typing import Literal

import pytest
import torch
from torch import Tensor

from tests.data.recording.recording_files import hand_parameters
from tests.sample_set import Sample
from warpgrasp.data.ho3d.dataset import Ho3d
from warpgrasp.data.recording.files import Recording
from warpgrasp.data.recording.labels import pose_of_label
from warpgrasp.errors import UserError
from warpgrasp.export.datasets import RecordingOptions, export_recording
from warpgrasp.frame import Pose
from warpgrasp.geometry.rotation import matrix_from_axis_angle
from warpgrasp.hand.model import HandModel
from warpgrasp.refinement.one_frame import ONE_FRAME, RefinedFrame, refine_frame
from warpgrasp.refinement.refine import Descent, Stage, refine
from warpgrasp.scene import posed_hand, posed_object

REFERENCE, TARGET = 3, 4
SHORT = replace(ONE_FRAME, stages=(Stage(120, 30, 0.3), Stage(240, 30, 0.15)))


@dataclass(frozen=True)
class Labelled:
    """A recording of which every frame is labelled."""

    recording: Recording
    hand: HandModel

    def pose(self, number: int) -> Pose:
        """A label's, in float64."""
        label = self.recording.labels[number]
        return pose_of_label(label, self.hand, self.recording.object.model, dtype=torch.float64)

    def picture(self, number: int) -> Tensor:
        return torch.from_numpy(self.recording.picture(number)).permute(2, 0, 1)

    def refined(self, start: Pose, *, reference: int = REFERENCE, descent: Descent = ONE_FRAME) -> RefinedFrame:
        """The target's frame, from `start`."""
        return refine_frame(
            start,
            self.pose(reference),
            torch.stack([self.picture(TARGET), self.picture(reference)]),
            camera=self.recording.lens.camera,
            hand=self.hand,
            model=self.recording.object.model,
            descent=descent,
        )

    def errors_mm(self, pose: Pose) -> tuple[float, float]:
        """Of the hand's joints and of the object's vertices, on average."""
        poses, model = (pose.to(torch.float32), self.pose(TARGET).to(torch.float32)), self.recording.object.model
        joints = [posed_hand(either, self.hand)[1] for either in poses]
        vertices = [posed_object(either, model) for either in poses]
        return tuple(1000 * float((a - b).norm(dim=-1).mean()) for a, b in (joints, vertices))


@pytest.fixture(scope="module")
def labelled(sample: Sample, hand: HandModel, tmp_path_factory: pytest.TempPathFactory) -> Labelled:
    """The tiny sample's first sequence."""
    folder = tmp_path_factory.mktemp("refined") / "A1"
    hands = {index: hand_parameters(sample.sequences["train"]["A1"], index) for index in range(8)}
    export_recording(
        Ho3d(sample.root, hand), "train", "A1", folder, RecordingOptions(train=range(8), hands=hands, pictures="frames")
    )
    return Labelled(Recording.read(folder), hand)


def displaced(pose: Pose) -> Pose:
    """Hand and object turned and moved some millimetres to different sides."""

    def turned(rotation: Tensor, by: tuple[float, float, float]) -> Tensor:
        return matrix_from_axis_angle(torch.tensor(by, dtype=rotation.dtype)) @ rotation

    return replace(
        pose,
        object_rotation=turned(pose.object_rotation, (0.04, -0.05, 0.05)),
        object_centre=pose.object_centre + torch.tensor([0.006, -0.004, 0.003]),
        hand_rotation=turned(pose.hand_rotation, (-0.05, 0.05, 0.04)),
        wrist=pose.wrist + torch.tensor([-0.006, 0.005, 0.002]),
    )


def test_poses_that_are_off_come_back(labelled: Labelled) -> None:
    start = displaced(labelled.pose(TARGET))
    refined = labelled.refined(start, descent=SHORT)
    assert refined.difference_after < 0.7 * refined.difference_before
    assert refined.compared_share > 0.8
    before, after = labelled.errors_mm(start), labelled.errors_mm(refined.pose)
    assert after[0] < 0.6 * before[0]
    assert after[1] < 0.6 * before[1]
    assert torch.equal(refined.pose.shape, start.shape)
    assert refined.pose.wrist.dtype == torch.float64


@pytest.mark.slow
@pytest.mark.parametrize("part", ["object", "hand"])
def test_one_part_comes_back_alone(labelled: Labelled, part: Literal["object", "hand"]) -> None:
    """It is put wrong, and the other one stays to the last digit."""
    truth = labelled.pose(TARGET)
    place = {"object": "object_centre", "hand": "wrist"}[part]
    shift = torch.tensor([0.008, -0.006, 0.0], dtype=torch.float64)
    start = replace(truth, **{place: truth.arrays[place] + shift})
    refined = labelled.refined(start, descent=SHORT.of_part(part))
    for name in {"object": ("hand_rotation", "wrist", "joint_angles"), "hand": ("object_rotation", "object_centre")}[
        part
    ]:
        torch.testing.assert_close(refined.pose.arrays[name], start.arrays[name], rtol=0, atol=0)
    row = ("hand", "object").index(part)
    assert labelled.errors_mm(refined.pose)[row] < 0.6 * labelled.errors_mm(start)[row]
    assert refined.difference_after < refined.difference_before


def test_nothing_to_compare_is_refused(labelled: Labelled) -> None:
    true, aside = labelled.pose(TARGET), torch.tensor([0.6, 0, 0])
    far = replace(true, object_centre=true.object_centre + aside, wrist=true.wrist + aside)
    with pytest.raises(UserError, match=r"expected hand and object to show some of the surface"):
        labelled.refined(far)


def test_what_cannot_be_bettered_is_refused(labelled: Labelled) -> None:
    """A frame compared with itself, at its own poses: no colour differs."""
    descent = replace(ONE_FRAME, stages=(Stage(80, 3, 0.3),))
    with pytest.raises(UserError, match=r"found none \(difference 0\.0\d\d, then 0\.0\d\d\); nothing was changed"):
        labelled.refined(labelled.pose(TARGET), reference=TARGET, descent=descent)


def test_a_stage_ends_at_the_least_cost(labelled: Labelled) -> None:
    """At a rate far too high the first step is the best: the start, which the label of the same frame agrees with."""
    pose = labelled.pose(TARGET)
    both = Pose.joined([pose, pose])
    wild = replace(ONE_FRAME, stages=(Stage(80, 4, 20.0),))
    seen, camera = [labelled.picture(TARGET)] * 2, labelled.recording.lens.camera
    pictures = wild.pictures(seen, camera, torch.tensor([False, True]))
    parts = {"hand": labelled.hand, "model": labelled.recording.object.model}
    kept = refine(both, pictures, **parts, descent=wild)
    lost = refine(both, pictures, **parts, descent=replace(wild, smallest_share=None))
    for name, values in both.arrays.items():
        assert torch.equal(kept.arrays[name], values), name
        assert torch.equal(lost.arrays[name][1], values[1]), name  # the label stays in any case
    assert (lost.wrist[0] - both.wrist[0]).norm() > 0.01


def test_stages_fit_the_picture() -> None:
    assert [stage.width_px for stage in ONE_FRAME.fitting(640)] == [160, 320, 640]
    assert [stage.width_px for stage in ONE_FRAME.fitting(639)] == [160, 320]
    assert ONE_FRAME.fitting(100) == [replace(ONE_FRAME.stages[0], width_px=100)]
