"""Densify goes on with what it began, on the same inputs alone, and an interrupted one is told from a finished one."""

import importlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.data.recording.recording_files import hand_parameters
from tests.sample_set import Sample
from warpgrasp.cli import main
from warpgrasp.data import open_dataset
from warpgrasp.data.recording import pose_of_label
from warpgrasp.export.datasets import RecordingOptions, export_recording
from warpgrasp.hand.model import HandModel
from warpgrasp.refinement.densify import COMPANIONS, PREDICTIONS, is_unfinished
from warpgrasp.refinement.labels import between_labels
from warpgrasp.refinement.refine import ALL_FRAMES, Stage
from warpgrasp.refinement.stretch import RefinedStretch, StretchRefinement

UNMOVED = replace(ALL_FRAMES, stages=(Stage(40, 0, 0.1),), end_stages=(Stage(40, 0, 0.1),))
module = importlib.import_module("warpgrasp.refinement.densify")  # the package has a function of this name


@pytest.fixture(scope="module")
def labelled(sample: Sample, hand: HandModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of eight pictures, two of them labelled and a third held out. Read only."""
    sequence, folder = sample.sequences["train"]["A1"], tmp_path_factory.mktemp("recordings") / "A1"
    hands = {number: hand_parameters(sequence, number) for number in (1, 6, 3)}
    dataset = open_dataset(sample.root, hand)
    export_recording(dataset, "train", "A1", folder, RecordingOptions((1, 6), (3,), hands, "frames"))
    return folder


@pytest.fixture
def recording(labelled: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(labelled, tmp_path / "A1"))


@pytest.fixture(autouse=True)
def _unmoved(monkeypatch: pytest.MonkeyPatch) -> None:
    """The poses stay where they start: what is refined is not the matter here."""
    monkeypatch.setattr(module, "ALL_FRAMES", UNMOVED)


def interrupted(recording: Path, out: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    """A run that ends after its first stretch."""
    calls: list[StretchRefinement] = []
    whole = StretchRefinement.refined

    def refined(self: StretchRefinement) -> RefinedStretch:
        calls.append(self)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return whole(self)

    with monkeypatch.context() as patch:
        patch.setattr(StretchRefinement, "refined", refined)
        assert main(["densify", str(recording), "--out", str(out), *words]) == 130
    assert [path.name for path in (out / f"{PREDICTIONS}.partial").glob("*.npz")] == ["000000.npz"]


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def move(label: dict[str, Any]) -> None:
    label["object"]["translation"][0] += 1e-4


def move_a_label(recording: Path) -> None:
    edit(recording / "annotations.json", lambda content: move(content["frames"][0]))


def move_a_held_out_label(recording: Path) -> None:
    edit(recording / "annotations.json", lambda content: move(content["frames"][1]))


def scale_the_camera(recording: Path) -> None:
    edit(recording / "camera.json", lambda content: content.update(fx=content["fx"] + 0.5))


def turn_the_axes(recording: Path) -> None:
    other = {"opengl": "opencv", "opencv": "opengl"}
    edit(recording / "object.json", lambda content: content.update(axes=other[content.get("axes", "opencv")]))


def brighten_a_picture(recording: Path) -> None:
    path = sorted((recording / "frames").iterdir())[4]
    pixels = np.array(Image.open(path))
    pixels[0, 0] ^= 255
    Image.fromarray(pixels).save(path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "named"),
    [
        (move_a_label, "inputs.labels, inputs.start"),
        (scale_the_camera, "cameras.A1"),
        (turn_the_axes, "inputs.object"),
        (brighten_a_picture, "inputs.pictures"),
    ],
)
def test_changed_inputs_are_not_gone_on_with(
    recording: Path, tmp_path: Path, monkeypatch, capsys, change: Callable[[Path], None], named: str
) -> None:
    out = tmp_path / "out"
    interrupted(recording, out, monkeypatch)
    change(recording)
    capsys.readouterr()
    assert main(["densify", str(recording), "--out", str(out)]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "expected unfinished predictions of the same weights, data, options and program" in said
    assert named in said.partition("(different: ")[2]
    shutil.rmtree(out / f"{PREDICTIONS}.partial")
    assert main(["densify", str(recording), "--out", str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == sorted([PREDICTIONS, *COMPANIONS])


def test_other_options_are_not_gone_on_with(recording: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    out = tmp_path / "out"
    interrupted(recording, out, monkeypatch)
    assert main(["densify", str(recording), "--out", str(out), "--smoothness", "3"]) == 1
    assert "(different: inputs.options)" in " ".join(capsys.readouterr().err.split())


@pytest.mark.slow
def test_other_keypoints_are_not_gone_on_with(recording: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    """Of another program, of a changed file, and none at all."""
    files = [tmp_path / "joints.npy", tmp_path / "others.npy"]
    joints = np.random.default_rng(0).uniform(100, 140, size=(8, 21, 2))
    np.save(files[0], joints)
    np.save(files[1], joints + 1)
    out = tmp_path / "out"
    begun = ["densify", str(recording), "--out", str(out), "--keypoints"]
    interrupted(recording, out, monkeypatch, "--keypoints", str(files[0]))
    changes = [("none", "keypoints"), (str(files[1]), "keypoints"), (str(files[1]), "inputs.keypoints")]
    for keypoints, named in changes:
        capsys.readouterr()
        assert main([*begun, keypoints]) == 1
        assert named in " ".join(capsys.readouterr().err.split()).partition("(different: ")[2]
    files[0].write_bytes(files[1].read_bytes())
    assert main([*begun, str(files[0])]) == 1
    assert "(different: inputs.keypoints)" in " ".join(capsys.readouterr().err.split())
    np.save(files[0], joints)
    assert main([*begun, str(files[0])]) == 0


@pytest.mark.slow
def test_other_masks_are_not_gone_on_with(recording: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    """Changed by a pixel, or none at all; with the same in another kind of files it goes on."""
    height, width = np.array(Image.open(next((recording / "frames").iterdir()))).shape[:2]
    labels = np.zeros((height, width), np.uint8)
    labels[50:90, 80:150] = 1
    folder, out = tmp_path / "masks", tmp_path / "out"
    folder.mkdir()
    Image.fromarray(labels).save(folder / "5.png")
    begun = ["densify", str(recording), "--out", str(out)]
    interrupted(recording, out, monkeypatch, "--masks", str(folder))
    changed = labels.copy()
    changed[50, 80] = 0
    Image.fromarray(changed).save(folder / "5.png")
    for words, named in ((["--masks", str(folder)], "(different: inputs.masks)"), ([], "(different: inputs.masks, ")):
        capsys.readouterr()
        assert main([*begun, *words]) == 1
        assert named in " ".join(capsys.readouterr().err.split())
    (folder / "hand").mkdir()
    (folder / "5.png").unlink()
    Image.fromarray(labels * np.uint8(255)).save(folder / "hand" / "frame 5.png")
    assert main([*begun, "--masks", str(folder)]) == 0


@pytest.mark.slow
def test_a_label_that_is_not_looked_at_decides_nothing(recording: Path, tmp_path: Path, monkeypatch) -> None:
    out = tmp_path / "out"
    interrupted(recording, out, monkeypatch)
    move_a_held_out_label(recording)
    assert main(["densify", str(recording), "--out", str(out)]) == 0


@pytest.mark.slow
@pytest.mark.parametrize("last", ["write_labels", "write_quality"])
def test_one_that_was_killed_between_its_last_files_is_not_finished(
    recording: Path, tmp_path: Path, monkeypatch, last: str
) -> None:
    """Also where it was to overwrite a finished one, of other labels."""
    out, expected = tmp_path / "out", tmp_path / "expected"
    command = ["densify", str(recording), "--out"]
    assert main([*command, str(out)]) == 0
    assert not is_unfinished(out)
    before = (out / PREDICTIONS).read_bytes()
    move_a_label(recording)
    assert main([*command, str(expected)]) == 0
    write = getattr(module, last)

    def killed(*arguments: object) -> None:
        write(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, last, killed)
        assert main([*command, str(out), "--force"]) == 130
    assert (out / PREDICTIONS).read_bytes() == before  # while the labels beside it are new ones
    assert (out / "annotations.json").read_bytes() == (expected / "annotations.json").read_bytes()
    assert is_unfinished(out)
    assert main([*command, str(out)]) == 0  # without --force: it goes on
    for name in (PREDICTIONS, *COMPANIONS):
        assert (out / name).read_bytes() == (expected / name).read_bytes(), name
    assert main([*command, str(out)]) == 1


@pytest.mark.slow
def test_a_finished_one_whose_labels_were_edited_is_not_overwritten(recording: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    assert main(["densify", str(recording), "--out", str(out)]) == 0
    move_a_label(out)
    assert main(["densify", str(recording), "--out", str(out)]) == 1
    assert "overwrite it by --force" in capsys.readouterr().err


@pytest.mark.slow
def test_the_quality_of_another_run_is_refused(recording: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    assert main(["densify", str(recording), "--out", str(out)]) == 0
    words = ["view", str(out / PREDICTIONS), "--data", str(recording), "--save", str(tmp_path / "page.html")]
    assert main(words) == 0
    quality = out / "quality.csv"
    quality.write_text(quality.read_text().replace("\r\n1,", "\r\n01,", 1))
    assert main([*words, "--force"]) == 1
    assert "expected the quality.csv that was written with" in " ".join(capsys.readouterr().err.split())


@pytest.mark.slow
def test_a_corrected_camera_is_not_that_of_the_predictions(recording: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    assert main(["densify", str(recording), "--out", str(out)]) == 0
    scale_the_camera(recording)
    for words in (["view", "--save", str(tmp_path / "page.html")], ["export", "--csv", str(tmp_path / "table.csv")]):
        command, *rest = words
        capsys.readouterr()
        assert main([command, str(out / PREDICTIONS), "--data", str(recording), *rest]) == 1
        assert "expected the camera that" in " ".join(capsys.readouterr().err.split())
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == []


def test_between_labels_time_is_time(recording: Path, hand: HandModel) -> None:
    """An object that moves evenly from the first to the last frame, with a gap of 0.4 s."""
    recorded = module.Recording.read(recording)
    poses = [pose_of_label(recorded.labels[number], hand, recorded.object.model) for number in (1, 6)]
    times = np.array([0, 1, 2, 3, 15, 16.0])
    found = between_labels({0: poses[0], 5: poses[1]}, times)
    share = (times / 16)[:, None]
    first, last = (pose.object_centre.numpy() for pose in poses)
    np.testing.assert_allclose(found.object_centre, (1 - share) * first + share * last, rtol=0, atol=1e-6)
    turned = (found.object_rotation[0].T @ found.object_rotation).numpy()
    angles = np.arccos(np.clip((np.trace(turned, axis1=1, axis2=2) - 1) / 2, -1, 1))
    np.testing.assert_allclose(angles, times / 16 * angles[-1], rtol=0, atol=2e-3)
