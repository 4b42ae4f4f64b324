"""Keypoints in training: a detector that is exact but for a known bias, seen through every change of the picture."""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import UInt8
from torch.testing import assert_close

from tests.sample_set import Sample
from tests.training.runs import prepare, short_recipe, train_both
from warpgrasp.data import AugmentConfig, FrameSource, Labels, augment, choose_labels, open_dataset
from warpgrasp.errors import DataError
from warpgrasp.frame import FrameName, HandReconstruction, ObjectReconstruction, Reconstruction
from warpgrasp.geometry import matrix_from_axis_angle
from warpgrasp.hand import HandModel, open_hand
from warpgrasp.keypoints import DETECTORS, HandBox, HandKeypoints, Picture, usual_offsets
from warpgrasp.reconstruction import load_checkpoint
from warpgrasp.training.keypoints import FrameKeypoints
from warpgrasp.training.loop import train_stage
from warpgrasp.training.objective import UNTOLD_SHARE, _Draw, _told
from warpgrasp.training.run import Training, inputs_of
from warpgrasp.training.settings import Recipe

FILES = ("stage1.safetensors", "weights.safetensors")
NAMES = ("with", "without")
BIAS_M = usual_offsets().offsets_m + 0.01 * torch.randn(21, 3, generator=torch.Generator().manual_seed(2))


class ExactDetector:
    """Knows every frame of a data set by its picture, and sees its hand's joints moved by `BIAS_M`."""

    def __init__(self, source: FrameSource, labels: Labels):
        names = [FrameName(sequence, index) for sequence in labels.annotated for index in _indices(labels, sequence)]
        frames = [source.dataset.frame(name, annotated=True) for name in names]
        self._hands = {frame.picture.permute(1, 2, 0).numpy().tobytes(): _seen(frame) for frame in frames}
        self.identity = "exact"

    def detect(
        self, pictures: UInt8[np.ndarray, "n h w 3"], boxes: Sequence[Sequence[HandBox]] | None = None
    ) -> list[list[HandKeypoints]]:
        """The hand of each picture."""
        return [[self._hands[picture.tobytes()]] for picture in pictures]

    def track(self, pictures: Iterable[Picture], start: Sequence[HandBox] = ()) -> Iterator[list[HandKeypoints]]:
        """The hand of each picture."""
        for picture in pictures:
            yield [self._hands[picture.tobytes()]]


def _indices(labels: Labels, sequence: str) -> list[int]:
    return sorted([*labels.annotated[sequence], *labels.unannotated[sequence]])


def _seen(frame: object) -> HandKeypoints:
    annotation, camera = frame.annotation, frame.camera  # pyright: ignore[reportAttributeAccessIssue]
    joints = camera.project(annotation.hand_joints + BIAS_M @ annotation.hand_rotation.T)
    return HandKeypoints(joints, torch.ones(21), 1.0, 1.0, torch.zeros(21), HandBox((0.0, 0.0), 1.0, None))


@pytest.fixture
def source(sample: Sample) -> FrameSource:
    dataset = open_dataset(sample.root, HandModel(open_hand()))
    return FrameSource(dataset, annotated=dataset.names("train"), cache_bytes=0)


@pytest.fixture
def keypoints(source: FrameSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FrameKeypoints:
    monkeypatch.setenv("WARPGRASP_CACHE", str(tmp_path))
    labels = choose_labels(source.dataset.sequences["train"], fraction=1 / 4, sampling="paper")
    return FrameKeypoints.detected(source, labels, ExactDetector(source, labels))


def test_true_hands_cost_nothing_in_any_view(source: FrameSource, keypoints: FrameKeypoints) -> None:
    """Read at another size, turned into an augmented view: the true hand still lies on what is seen."""
    dataset = source.dataset.at_size((96, 72))
    frames = FrameSource(dataset, annotated=dataset.names("train")).frames(dataset.names("train")[:3])
    annotation = frames.annotation
    assert annotation is not None
    assert annotation.hand_rotation is not None
    turn = matrix_from_axis_angle(torch.tensor([[0.1, 0.2, 0.3], [0.0, 0.0, 1.0], [-0.3, 0.1, 0.0]]))
    truth = annotation.turned(turn)
    assert truth.hand_rotation is not None
    hand = HandReconstruction(
        truth.hand_rotation,
        torch.zeros(3, 3),
        torch.zeros(3, 15),
        torch.zeros(3, 10),
        truth.hand_vertices,
        truth.hand_joints,
    )
    away = replace(hand, joints=hand.joints + torch.tensor([0.02, 0, 0]))
    objects = ObjectReconstruction(torch.zeros(3, 3, 3), torch.zeros(3, 3), torch.zeros(3, 1, 3), torch.zeros(3, 8, 3))
    seen = keypoints.of(frames)
    losses = [seen.loss(Reconstruction(one, objects), turn, frames.camera) for one in (hand, away)]
    assert float(losses[0].max()) < 0.15  # few labels leave the bias open by a millimetre or two
    assert float(losses[1].min()) > 3


def test_the_bias_is_found_on_the_annotated_frames(keypoints: FrameKeypoints) -> None:
    error = (keypoints.offsets.offsets_m - BIAS_M).norm(dim=1)
    assert float(error.mean()) < 0.5 * 0.01 * math.sqrt(3)
    assert keypoints.seen_share == 1


@pytest.mark.slow
def test_hands_of_added_frames_are_looked_for(
    source: FrameSource, keypoints: FrameKeypoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Added frames have a row of their own, and count in no offset: these are of the data set's own labels."""
    monkeypatch.setenv("WARPGRASP_CACHE", str(tmp_path / "other"))
    every = choose_labels(source.dataset.sequences["train"], fraction=1 / 4, sampling="paper")
    first, *others = every.annotated
    own = Labels({first: every.annotated[first]}, {first: every.unannotated[first]})
    added = [FrameName(name, index) for name in others for index in _indices(every, name)]
    detector = ExactDetector(source, every)
    together = FrameKeypoints.detected(source, own, detector, added)
    alone = FrameKeypoints.detected(source, own, detector)
    assert together.rows.keys() == keypoints.rows.keys() > alone.rows.keys()
    assert torch.equal(together.offsets.offsets_m, alone.offsets.offsets_m)
    frames = source.frames(added[:4])
    told = [one.told(frames).detections for one in (together, keypoints)]
    assert_close(*(one.joints_px for one in told if one is not None))
    assert_close(*(one.confidence for one in told if one is not None))
    untold = alone.told(frames).detections
    assert untold is not None
    assert not bool(untold.confidence.any())


def test_annotations_without_rotation_are_refused(source: FrameSource, monkeypatch: pytest.MonkeyPatch) -> None:
    read = FrameSource.frame

    def without_rotation(self: FrameSource, name: FrameName) -> object:
        frame = read(self, name)
        if frame.annotation is None:
            return frame
        return replace(frame, annotation=replace(frame.annotation, hand_rotation=None))

    labels = choose_labels(source.dataset.sequences["train"], fraction=1 / 4, sampling="paper")
    detector = ExactDetector(source, labels)
    monkeypatch.setattr(FrameSource, "frame", without_rotation)
    with pytest.raises(DataError, match="train without keypoints"):
        FrameKeypoints.detected(source, labels, detector)


@pytest.fixture
def exact(source: FrameSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """A recipe whose detector is the exact one."""
    monkeypatch.setenv("WARPGRASP_CACHE", str(tmp_path))
    labels = choose_labels(source.dataset.sequences["train"], fraction=1.0, sampling="paper")
    monkeypatch.setitem(DETECTORS._own, "exact", lambda settings: ExactDetector(source, labels))
    recipe = short_recipe()
    return replace(recipe, photometric=replace(recipe.photometric, keypoint_weight=1e-3, detector="exact"))


def test_the_control_sees_none(sample: Sample, exact: Recipe) -> None:
    assert prepare(sample.root, exact).keypoints is not None
    assert prepare(sample.root, exact.as_control()).keypoints is None
    assert prepare(sample.root, exact.first_stage()).keypoints is None


def test_they_are_a_part_of_every_step_with_pairs(sample: Sample, exact: Recipe, tmp_path: Path) -> None:
    """They stand beside the other terms in the log, and move the weights of stage 2 alone."""
    train_both(prepare(sample.root, exact), tmp_path / "with")
    without = replace(exact, photometric=replace(exact.photometric, keypoint_weight=0.0))
    train_both(prepare(sample.root, without), tmp_path / "without")
    lines = [(tmp_path / name / "weights.jsonl").read_text().splitlines() for name in NAMES]
    logs = [[json.loads(line) for line in of_run] for of_run in lines]
    assert all(step["keypoints"] > 0 for step in logs[0])
    assert not any("keypoints" in step for step in logs[1])
    starts, ends = ([load_checkpoint(tmp_path / name / file) for name in NAMES] for file in FILES)
    assert all(torch.equal(values, starts[1].tensors[key]) for key, values in starts[0].tensors.items())
    assert not all(torch.equal(values, ends[1].tensors[key]) for key, values in ends[0].tensors.items())


def test_other_keypoints_are_another_input_of_a_run(sample: Sample, exact: Recipe) -> None:
    training = prepare(sample.root, exact)
    assert training.keypoints is not None
    moved = replace(training.keypoints.detections, joints_px=training.keypoints.detections.joints_px + 0.01)
    other = replace(training, keypoints=replace(training.keypoints, detections=moved))
    assert inputs_of(training)["keypoints"] != inputs_of(other)["keypoints"]


def told(sample: Sample, recipe: Recipe, keypoint_weight: float) -> Training:
    network = replace(recipe.network, joint_input=True)
    photometric = replace(recipe.photometric, keypoint_weight=keypoint_weight)
    return prepare(sample.root, replace(recipe, network=network, photometric=photometric))


def test_what_a_network_is_told_lies_in_the_view_that_it_sees(source: FrameSource, keypoints: FrameKeypoints) -> None:
    """Resized, shifted and rolled as the picture is: the detector's joints are those of the turned hand."""
    dataset = source.dataset.at_size((96, 72))
    frames = FrameSource(dataset, annotated=dataset.names("train")).frames(dataset.names("train")[:3])
    generator = torch.Generator().manual_seed(4)
    view = augment(frames.image, frames.camera, AugmentConfig(shift=0.2, roll=0.5), generator)
    seen = keypoints.told(frames).detections
    assert seen is not None
    annotation = frames.annotation
    assert annotation is not None
    truth = annotation.turned(view.view_from_camera)
    assert truth.hand_rotation is not None
    expected_px = view.camera.project(truth.hand_joints + BIAS_M @ truth.hand_rotation.transpose(-1, -2))
    assert_close(view.seen(seen.joints_px, frames.camera), expected_px, rtol=0, atol=1e-2)
    assert float((expected_px - seen.joints_px).norm(dim=-1).max()) > 5
    added = replace(frames, names=(frames.names[0], FrameName("added", 0), frames.names[2]))
    detections = keypoints.told(added).detections
    assert detections is not None
    assert (detections.confidence > 0).all(dim=1).tolist() == [True, False, True]


@pytest.mark.slow
def test_a_network_is_told_in_both_stages_and_as_a_control(sample: Sample, exact: Recipe, tmp_path: Path) -> None:
    """Its joints change every weight of stage 1, without being a term; in the control of stage 2 too."""
    training = told(sample, exact, 0.0)
    assert training.keypoints is not None
    assert told(sample, exact.as_control(), 0.0).keypoints is not None
    moved = replace(training.keypoints.detections, joints_px=training.keypoints.detections.joints_px + 0.1)
    other = replace(training, keypoints=replace(training.keypoints, detections=moved))
    stages = [
        train_stage(one, one.recipe.stage1, tmp_path / name / "stage1.safetensors")
        for one, name in zip((training, other), NAMES, strict=True)
    ]
    one, another = (load_checkpoint(path) for path in stages)
    assert one.config.joint_input
    assert not all(torch.equal(values, another.tensors[key]) for key, values in one.tensors.items())
    train_stage(training, training.recipe.stage2, tmp_path / "weights.safetensors", initial=stages[0])
    assert not any("keypoints" in json.loads(line) for line in (tmp_path / "weights.jsonl").read_text().splitlines())


@pytest.mark.slow
def test_some_frames_are_told_nothing(source: FrameSource, keypoints: FrameKeypoints, exact: Recipe) -> None:
    """One in five, drawn anew in every step: the network learns to do without."""
    frames = keypoints.told(source.frames(source.dataset.names("train")[:8]))
    generator, shares = torch.Generator().manual_seed(0), []
    for _ in range(100):
        draw = _Draw.of(frames, exact, generator, None)
        said = _told(frames, draw.augmentation.of(frames.image, frames.camera), draw)
        assert said is not None
        shares.append(float((said.confidence == 0).all(dim=1).float().mean()))
    assert abs(np.mean(shares) - UNTOLD_SHARE) < 0.05
    assert len(set(shares)) > 1
