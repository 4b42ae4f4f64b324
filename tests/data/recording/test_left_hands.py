"""Recordings of a left hand: a sequence's mirror image, read in the mirror, is the sequence again."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial import KDTree
from torch.testing import assert_close

from tests.data.recording.recording_files import edit, hand_parameters, train_toy
from warpgrasp.cli import main
from warpgrasp.data import open_dataset
from warpgrasp.data.augment import mirrored_points
from warpgrasp.data.ho3d.dataset import Ho3d
from warpgrasp.data.recording.dataset import Recordings
from warpgrasp.data.recording.files import Recording
from warpgrasp.errors import DataError
from warpgrasp.evaluation.metrics import score
from warpgrasp.export.datasets import RecordingOptions, export_recording
from warpgrasp.frame import Frame, FrameName, ObjectModel, pose_points
from warpgrasp.hand.model import HandModel
from warpgrasp.inference.prediction import predict_few
from warpgrasp.predictions.file import read_predictions
from warpgrasp.reconstruction.checkpoint import load_checkpoint

SAME_M = 1e-6
BY_PARAMETERS, BY_JOINTS = (0, 3, 5), 7


@pytest.fixture(scope="module")
def left(sample, hand: HandModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The mirror image of A1: parameters in three frames, joints in another one. Read only."""
    root, written = tmp_path_factory.mktemp("left"), sample.sequences["train"]["A1"]
    hands = {index: hand_parameters(written, index) for index in BY_PARAMETERS}
    export = RecordingOptions((0, 3, BY_JOINTS), (5,), hands, "frames", side="left")
    export_recording(Ho3d(sample.root, hand), "train", "A1", root / "A1", export)
    return root


@pytest.fixture(scope="module")
def run(left: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_toy(left, tmp_path_factory.mktemp("runs") / "toy")


def surface_of(frame: Frame) -> torch.Tensor:
    assert frame.annotation is not None
    return pose_points(frame.annotation.object_rotation, frame.annotation.object_translation, frame.object.vertices)


def same_surface(found: torch.Tensor, expected: torch.Tensor) -> None:
    """The same points, in whatever order a mesh file has them."""
    for one, other in ((found, expected), (expected, found)):
        assert KDTree(one.numpy()).query(other.numpy())[0].max() < SAME_M


def outward_volume(model: ObjectModel) -> float:
    """Positive where faces look outwards."""
    corners = model.vertices[model.faces].double()
    return float((corners[:, 0] * torch.linalg.cross(corners[:, 1], corners[:, 2])).sum() / 6)


@pytest.mark.parametrize("index", [*BY_PARAMETERS, BY_JOINTS])
def test_in_the_mirror_it_is_the_right_hand_again(
    left: Path, sample_root: Path, exported: Path, hand: HandModel, index: int
) -> None:
    dataset, source = open_dataset(left, hand), Ho3d(sample_root, hand)
    assert isinstance(dataset, Recordings)
    frame, expected = (one.frame(FrameName("A1", index), annotated=True) for one in (dataset, source))
    assert torch.equal(frame.image, expected.image)
    assert_close(frame.camera.intrinsics, expected.camera.intrinsics)
    assert frame.object.name == expected.object.name
    assert outward_volume(frame.object) == pytest.approx(outward_volume(expected.object), rel=1e-4)
    same_surface(surface_of(frame), surface_of(expected))
    found, known = frame.annotation, expected.annotation
    assert found is not None
    assert known is not None
    by_fit = 3e-3 if index == BY_JOINTS else SAME_M
    assert_close(found.hand_vertices, known.hand_vertices, rtol=0, atol=by_fit)
    assert_close(found.hand_joints, known.hand_joints, rtol=0, atol=SAME_M)
    assert_close(found.object_rotation, known.object_rotation, rtol=0, atol=SAME_M)
    assert_close(found.object_translation, known.object_translation, rtol=0, atol=SAME_M)
    same_label = Recordings(exported, hand).frame(FrameName("A1", index), annotated=True).annotation
    assert same_label is not None
    assert_close(found.hand_rotation, same_label.hand_rotation, rtol=0, atol=0.1 if index == BY_JOINTS else 1e-5)
    truth = dataset.truth(FrameName("A1", index))
    assert_close(truth.intrinsics, expected.camera.intrinsics)
    assert_close(truth.annotation.hand_vertices, found.hand_vertices)
    assert [model.name for model in dataset.objects("train")] == [expected.object.name]
    assert torch.equal(dataset.object_model(expected.object.name).vertices, frame.object.vertices)


def test_as_shown_it_is_a_left_hand(left: Path, sample_root: Path, hand: HandModel) -> None:
    name = FrameName("A1", 3)
    dataset, source = Recordings(left, hand).as_shown(), Ho3d(sample_root, hand)
    frame, expected = dataset.frame(name, annotated=True), source.frame(name, annotated=True)
    assert torch.equal(frame.image, expected.image.flip(-1))
    assert frame.annotation is not None
    assert expected.annotation is not None
    pixels = frame.camera.project(frame.annotation.hand_joints)
    expected_px = expected.camera.project(expected.annotation.hand_joints)
    assert_close(pixels, torch.stack([frame.camera.width - 1 - expected_px[:, 0], expected_px[:, 1]], dim=1))
    same_surface(surface_of(frame), mirrored_points(surface_of(expected)))
    assert frame.object.name == f"{expected.object.name} (mirrored)"
    assert torch.equal(dataset.truth(name).annotation.hand_vertices, frame.annotation.hand_vertices)


def test_doctor_says_whose_hand_it_is(left: Path, capsys) -> None:
    assert main(["doctor", "--data", str(left)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "4 labels of a left hand, 1 of them for evaluation" in said
    fitted = re.search(r"1 hands fitted to 21 joints, ([\d.]+) mm away", said)
    assert fitted is not None
    assert float(fitted[1]) < 1


@pytest.mark.slow
def test_training_prediction_and_scores_are_of_the_same_hand(
    left: Path, run: Path, hand: HandModel, tmp_path: Path
) -> None:
    """The network sees right hands; what is predicted and scored is the left hand of the pictures."""
    file, scores = tmp_path / "p.npz", tmp_path / "s.json"
    assert main(["predict", str(left), "--weights", str(run), "--split", "all", "--out", str(file)]) == 0
    predictions, header = read_predictions(file)
    assert header["side"] == "left"
    checkpoint = load_checkpoint(run / "weights.safetensors")
    dataset = Recordings(left, hand, checkpoint.picture_size)
    seen = predict_few(checkpoint.network(hand), dataset, [FrameName("A1", index) for index in range(8)])
    np.testing.assert_allclose(predictions.hand_vertices, seen.hand_vertices * [-1, 1, 1], atol=1e-5)
    np.testing.assert_allclose(predictions.object_translation, seen.object_translation * [-1, 1, 1], atol=1e-5)
    assert main(["evaluate", str(file), "--data", str(left), "--out", str(scores)]) == 0
    names = [FrameName("A1", index) for index in (*BY_PARAMETERS, BY_JOINTS)]
    expected = score(seen, dataset, names).means
    found = json.loads(scores.read_text())["scores"]
    assert found.keys() == expected.keys()
    for metric, value in expected.items():
        assert found[metric] == pytest.approx(value, rel=1e-3), metric


def test_sides_that_do_not_fit(left: Path, exported: Path, run: Path, tmp_path: Path, capsys) -> None:
    words = ["--weights", str(run), "--out", str(tmp_path / "p.npz")]
    assert main(["predict", str(exported), "--side", "left", *words]) == 1
    assert re.search(r"expected --side right, as the labels in .* say, got left", capsys.readouterr().err)
    both = tmp_path / "both"
    shutil.copytree(left / "A1", both / "A1")
    shutil.copytree(exported / "A1", both / "A2")
    assert main(["predict", str(both), *words]) == 1
    assert re.search(
        r"expected recordings of one hand in .*both, found a right one in A2 and a left one in A1",
        capsys.readouterr().err,
    )
    recording = Recording.read(left / "A1")
    assert recording.of_side(None) is recording.of_side("left") is recording
    with pytest.raises(DataError, match=r"expected --side left, as .*annotations.json says of its labels, got right"):
        recording.of_side("right")
    edit(both / "A1/annotations.json", lambda content: content.update(side="both"))
    with pytest.raises(DataError, match="expected one of right, left for side"):
        Recording.read(both / "A1")


@pytest.mark.slow
def test_left_and_right_recordings_are_trained_together(left: Path, exported: Path, tmp_path: Path) -> None:
    both = tmp_path / "both"
    shutil.copytree(left / "A1", both / "A1")
    shutil.copytree(exported / "B1", both / "B1")
    assert train_toy(both, tmp_path / "run", steps=2).is_dir()
