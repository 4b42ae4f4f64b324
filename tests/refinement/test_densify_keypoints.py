"""Densify with keypoints: from one label, of files and of the shipped detector, and what it says of them."""

import csv
import importlib
import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.data.recording.recording_files import hand_parameters
from tests.sample_set import TRAIN_FRAMES, Sample
from warpgrasp.cli import main
from warpgrasp.data import Dataset, open_dataset
from warpgrasp.data.recording import Lens, Recording, write_lens
from warpgrasp.data.sample import generate
from warpgrasp.evaluation import score
from warpgrasp.export import RecordingOptions, export_recording
from warpgrasp.hand import HandModel, Side
from warpgrasp.predictions import read_predictions
from warpgrasp.refinement import ALL_FRAMES, QUALITY, Stage, detected_hands, stated_hands
from warpgrasp.refinement.densify import PREDICTIONS
from warpgrasp.refinement.task import Task

pytestmark = pytest.mark.slow

module = importlib.import_module("warpgrasp.refinement.densify")  # the package has a function of this name
LABEL = 1
SHORT = replace(ALL_FRAMES, stages=(Stage(80, 5, 0.2),), end_stages=(Stage(80, 5, 0.2),))


@pytest.fixture(scope="module")
def dataset(sample: Sample, hand: HandModel) -> Dataset:
    return open_dataset(sample.root, hand)


@pytest.fixture(scope="module")
def recording(dataset: Dataset, sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of eight frames, one labelled."""
    folder = tmp_path_factory.mktemp("recordings") / "A1"
    hands = {LABEL: hand_parameters(sample.sequences["train"]["A1"], LABEL)}
    export_recording(dataset, "train", "A1", folder, RecordingOptions((LABEL,), (), hands, "frames"))
    return folder


@pytest.fixture(scope="module")
def joints_file(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the hand's joints are in every frame, half a pixel off, but for one frame without a hand."""
    names = [name for name in dataset.names("train") if name.sequence == "A1"]
    frames = [dataset.frame(name, annotated=True) for name in names]
    joints = [frame.camera.project(frame.annotation.hand_joints).numpy() for frame in frames if frame.annotation]
    noise = np.random.default_rng(0).normal(scale=0.5, size=(len(frames), 21, 2))
    path = tmp_path_factory.mktemp("keypoints") / "joints.npy"
    stored = np.stack(joints) + noise
    stored[5] = np.nan
    np.save(path, stored)
    return path


@pytest.fixture(scope="module", autouse=True)
def _short() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "ALL_FRAMES", SHORT)
        yield


def densified(recording: Path, out: Path, *words: str) -> Path:
    assert main(["densify", str(recording), "--out", str(out), *words]) == 0
    return out


@pytest.fixture(scope="module")
def by_colours(recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return densified(recording, tmp_path_factory.mktemp("densified") / "colours", "--keypoints", "none")


@pytest.fixture(scope="module")
def by_joints(recording: Path, joints_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return densified(recording, tmp_path_factory.mktemp("densified") / "joints", "--keypoints", str(joints_file))


def test_one_label_and_a_file(
    dataset: Dataset,
    recording: Path,
    by_colours: Path,
    joints_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Ten steps at 80 pixels are too few for colours alone; the object, which no hand touches here, is left to them."""
    errors = {}
    capsys.readouterr()
    seen = densified(recording, tmp_path / "joints", "--keypoints", str(joints_file))
    for keypoints, out in (("none", by_colours), (str(joints_file), seen)):
        predictions, header = read_predictions(out / PREDICTIONS)
        others = [name for name in predictions.names if name.index != LABEL]
        errors[keypoints] = score(predictions, dataset, others).means
        assert header.get("keypoints") == (None if keypoints == "none" else joints_file.name)
    none, file = errors["none"], errors[str(joints_file)]
    assert file["hand_joint_error_px"] < 2 < 0.5 * none["hand_joint_error_px"]
    assert file["object_vertex_error_px"] == pytest.approx(none["object_vertex_error_px"], abs=0.3)
    said = " ".join(capsys.readouterr().out.split())
    assert f"the hand is seen in {TRAIN_FRAMES - 1} of {TRAIN_FRAMES} frames; at the labels its joints are seen" in said


def test_a_hand_stays_near_a_network_where_nobody_sees_it(
    recording: Path, joints_file: Path, by_joints: Path, hand: HandModel
) -> None:
    """What is seen says more than a network, and a start at the labels is none."""
    read = Recording.read(recording)
    predicted, seen = read_predictions(by_joints / PREDICTIONS)[0], partial(stated_hands, path=joints_file)
    usual = Task.of(read, hand, start=None, descent=ALL_FRAMES, look=None).inputs()["options"]
    for start, look, stays in ((predicted, None, True), (predicted, seen, False), (None, None, False)):
        task = Task.of(read, hand, start=start, descent=ALL_FRAMES, look=look)
        assert (task.cues.predicted is not None) is stays
        assert (task.descent.predicted_cost > 0) is stays
        assert (task.inputs()["options"] != usual) is stays


def test_quality_says_how_far_the_hand_is_from_where_it_is_seen(by_colours: Path, by_joints: Path) -> None:
    with (by_joints / QUALITY).open(newline="") as file:
        rows = list(csv.DictReader(file))
    away = [row["keypoints_px"] for row in rows]
    assert away[5] == ""
    assert all(0 < float(value) < 3 for value in away[:5] + away[6:])
    assert "keypoints_px" not in (by_colours / QUALITY).read_text()


def test_the_shipped_detector_looks_once(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is the default; what it has seen is kept in the user's cache, and a video is never in memory at once."""
    monkeypatch.setenv("WARPGRASP_CACHE", str(tmp_path / "cache"))
    densified(recording, tmp_path / "first")
    assert f"of {TRAIN_FRAMES} frames" in " ".join(capsys.readouterr().out.split())
    assert len(list((tmp_path / "cache" / "keypoints").glob("*.npz"))) == 1
    read: list[int] = []
    recorded = Recording.read(recording)
    picture = Recording.picture
    monkeypatch.setattr(Recording, "picture", lambda self, number: (read.append(number), picture(self, number))[1])
    again = detected_hands(recorded, show_progress=False)
    assert read == list(range(TRAIN_FRAMES))  # for the hash alone
    assert again.source.startswith("mediapipe")
    assert len(again.hands) == TRAIN_FRAMES


def test_keypoints_that_are_refused(
    recording: Path, joints_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(folder: Path, keypoints: str, code: int) -> str:
        words = ["densify", str(folder), "--out", str(tmp_path / "out"), "--keypoints", keypoints]
        assert main(words) == code
        return " ".join(capsys.readouterr().err.split())

    assert "expected --keypoints detector, none or a file" in said(recording, "nowhere.npy", 2)
    np.save(tmp_path / "few.npy", np.load(joints_file)[:3])
    assert "expected keypoints of each of 8 pictures" in said(recording, str(tmp_path / "few.npy"), 1)
    bent = Path(shutil.copytree(recording, tmp_path / "bent"))
    lens = Recording.read(bent).lens
    write_lens(bent, Lens(lens.intrinsics, lens.width, lens.height, (0.1, 0.0, 0.0, 0.0)))
    assert "expected footage whose lens bends nothing" in said(bent, str(joints_file), 1)


@pytest.mark.parametrize("side", ["right", "left"])
def test_one_label_of_a_generated_recording(
    hand: HandModel, tmp_path: Path, side: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shipped detector on a generated sequence, whose hand moves by tens of pixels; and on its mirror image."""
    monkeypatch.setattr(
        module, "ALL_FRAMES", replace(ALL_FRAMES, stages=(Stage(80, 20, 0.4),), end_stages=(Stage(80, 40, 0.4),))
    )
    generate(tmp_path / "data", sequences=1, frames=30, seed=11)
    dataset = open_dataset(tmp_path / "data", hand)
    options = RecordingOptions(train=(15,), side=side)
    export_recording(dataset, "train", "G1", tmp_path / "G1", options)
    errors = []
    for keypoints in ("none", "detector"):
        out = densified(tmp_path / "G1", tmp_path / keypoints, "--keypoints", keypoints)
        predictions, _ = read_predictions(out / PREDICTIONS)
        mirror = torch.tensor([-1.0 if side == "left" else 1.0, 1, 1])
        names = [name for name in dataset.names("train") if name.index != 15]
        frames = [dataset.frame(name, annotated=True) for name in names]
        truth = torch.stack([frame.annotation.hand_joints for frame in frames if frame.annotation])
        found = torch.from_numpy(predictions.hand_joints)[[name.index for name in names]] * mirror
        camera = frames[0].camera
        errors.append(float((camera.project(found) - camera.project(truth)).norm(dim=-1).mean()))
    assert errors[1] < 4
    assert errors[1] < 0.7 * errors[0]
