"""Densify with masks of some frames: what it says of them, which frames they flag, and what is refused."""

import csv
import importlib
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.data.recording.recording_files import hand_parameters
from tests.sample_set import Sample
from warpgrasp.cli import main
from warpgrasp.data import open_dataset
from warpgrasp.data.recording import Recording, read_masks
from warpgrasp.data.recording.masks import HAND, OBJECT
from warpgrasp.export import RecordingOptions, export_recording
from warpgrasp.hand import HandModel
from warpgrasp.predictions import Flag, read_predictions
from warpgrasp.refinement import ALL_FRAMES, Stage
from warpgrasp.refinement.densify import PREDICTIONS, QUALITY
from warpgrasp.refinement.doubt import LEAST_OVERLAP, UNLIKE_MASK_MM
from warpgrasp.refinement.mask_margins import without_margins
from warpgrasp.refinement.stretch import StretchRefinement
from warpgrasp.refinement.task import OUTLINE_COST, Task
from warpgrasp.render import rasterize
from warpgrasp.scene import posed_surface

module = importlib.import_module("warpgrasp.refinement.densify")  # the package has a function of this name
UNMOVED = replace(ALL_FRAMES, stages=(Stage(160, 0, 0.1),), end_stages=(Stage(80, 0, 0.1),))
LABELS, MASKED, WRONG = (1, 6), (1, 3, 6), 5  # frames: `WRONG` has a mask far from the hand


@pytest.fixture(scope="module", autouse=True)
def _unmoved() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "ALL_FRAMES", UNMOVED)
        yield


@pytest.fixture(scope="module")
def recording(sample: Sample, hand: HandModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of eight frames, two labelled."""
    folder = tmp_path_factory.mktemp("recordings") / "A1"
    hands = {number: hand_parameters(sample.sequences["train"]["A1"], number) for number in LABELS}
    options = RecordingOptions(LABELS, (), hands, "frames")
    export_recording(open_dataset(sample.root, hand), "train", "A1", folder, options)
    return folder


@pytest.fixture(scope="module")
def masks(recording: Path, hand: HandModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the labels' mean puts hand and object, and in one frame the hand elsewhere."""
    folder, recorded = tmp_path_factory.mktemp("masks"), Recording.read(recording)
    task = Task.of(recorded, hand, start=None, descent=UNMOVED, look=None)
    model, camera = recorded.object.model, recorded.lens.camera.batched
    for number in MASKED:
        surface = posed_surface(task.start.rows(slice(number, number + 1)), hand, model)
        face_ids = rasterize(surface, camera).face_ids[0].numpy()
        labels = np.where(face_ids < 0, 0, np.where(face_ids < len(hand.faces) + len(hand.closing_faces), HAND, OBJECT))
        Image.fromarray(labels.astype(np.uint8)).save(folder / f"{number:04d}.png")
    elsewhere = np.zeros_like(labels, np.uint8)
    elsewhere[5:30, 5:40] = HAND
    Image.fromarray(elsewhere).save(folder / f"{WRONG:04d}.png")
    return folder


def lines_of(out: Path) -> list[dict[str, str]]:
    with (out / QUALITY).open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_masks_of_some_frames(recording: Path, masks: Path, tmp_path: Path, capsys) -> None:
    """They are counted, and a frame that is unlike its mask is doubtful; without masks nothing is said of any."""
    command = ["densify", str(recording), "--keypoints", "none", "--out"]
    assert main([*command, str(tmp_path / "without")]) == 0
    assert "masks of" not in capsys.readouterr().out
    assert main([*command, str(tmp_path / "with"), "--masks", str(masks)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    for counted in ("hand in 4", "object in 3"):
        overlap = r"drawn and given silhouettes overlap by 0\.[0-9]+ \(IoU\)"
        assert re.search(rf"masks of the {counted} of 8 frames: {overlap}; by the labels \+0 px too wide", said)
    before, lines = (lines_of(tmp_path / name) for name in ("without", "with"))
    assert {*lines[0]} - {*before[0]} == {"hand_iou", "object_iou"}
    for column, there in (("hand_iou", {*MASKED, WRONG}), ("object_iou", set(MASKED))):
        assert {int(line["frame"]) for line in lines if line[column]} == there
    assert all(float(lines[number]["hand_iou"]) > 0.95 for number in MASKED)
    assert float(lines[WRONG]["hand_iou"]) < LEAST_OVERLAP
    added = [
        float(after["expected_error_mm"]) ** 2 - float(line["expected_error_mm"]) ** 2
        for line, after in zip(before, lines, strict=True)
    ]
    assert added[WRONG] == pytest.approx(UNLIKE_MASK_MM**2, rel=0.1)
    assert max(np.delete(np.abs(added), WRONG)) < 0.1 * UNLIKE_MASK_MM**2
    predictions, header = read_predictions(tmp_path / "with" / PREDICTIONS)
    assert predictions.flags is not None
    assert predictions.flags[WRONG] & Flag.DOUBTFUL
    assert header["masks"] == masks.name
    assert "masks" not in read_predictions(tmp_path / "without" / PREDICTIONS)[1]


def test_they_are_what_the_refinement_goes_by(recording: Path, masks: Path, hand: HandModel) -> None:
    """Masks that are the start's own leave a frame that lies beside its place no peace."""
    recorded = Recording.read(recording)
    task = Task.of(recorded, hand, start=None, descent=UNMOVED, look=None, masks=read_masks(masks, recorded.clip))
    assert task.descent.outline_cost == OUTLINE_COST
    assert task.margins == {HAND: 0, OBJECT: 0}
    stretch = task.stretches()[1]
    cues = replace(task.cues, silhouettes=task.silhouettes(stretch))
    start = task.start.rows(stretch.rows)
    refinement = StretchRefinement(
        start, task.pictures(stretch), hand=hand, model=recorded.object.model, descent=task.descent, cues=cues
    )
    beside = replace(start, object_centre=start.object_centre + torch.tensor([0.02, 0.0, 0.0]))
    dearer = refinement._outline_cost(beside) - refinement._outline_cost(start)
    assert isinstance(dearer, torch.Tensor)
    assert (dearer > 1e-3).tolist() == [number in MASKED for number in task.numbers[stretch.rows]]


def test_wide_masks_are_taken_without_their_margins(recording: Path, masks: Path, tmp_path: Path, hand) -> None:
    """A label's mask that is two pixels too wide tells so of all others."""
    wide = tmp_path / "masks"
    wide.mkdir()
    true = {number: np.array(Image.open(masks / f"{number:04d}.png")) for number in MASKED}
    for number, labels in true.items():
        grown = without_margins(labels, {OBJECT: -2})
        assert (grown == OBJECT).sum() > 1.1 * (labels == OBJECT).sum()
        Image.fromarray(grown).save(wide / f"{number}.png")
    recorded = Recording.read(recording)
    task = Task.of(recorded, hand, start=None, descent=UNMOVED, look=None, masks=read_masks(wide, recorded.clip))
    assert task.margins == {HAND: 0, OBJECT: 2}
    stretch = task.stretches()[1]
    silhouettes = task.silhouettes(stretch)
    assert silhouettes is not None
    overlap = silhouettes.overlap(task.start.rows(stretch.rows), 160)
    assert float(overlap.nan_to_num(1)[: WRONG - stretch.first].min()) > 0.95


@pytest.mark.slow
def test_masks_of_many_recordings_are_found_by_their_names(
    recording: Path, masks: Path, tmp_path: Path, capsys
) -> None:
    """Each as by itself; a recording without masks is densified without, and named."""
    folder, of_each, out = (tmp_path / name for name in ("recordings", "masks", "out"))
    for name in ("A1", "B1"):
        shutil.copytree(recording, folder / name)
    words = ["densify", str(folder), "--keypoints", "none", "--out", str(out), "--masks"]
    assert main([*words, str(masks)]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "expected a folder with masks of each recording for --masks, named as it is (A1/ or A1.json), got" in said
    shutil.copytree(masks, of_each / "A1")
    (of_each / "A1.json").write_text("{}")
    assert main([*words, str(of_each)]) == 2
    assert "expected one place with masks of A1, got" in " ".join(capsys.readouterr().err.split())
    (of_each / "A1.json").unlink()
    assert main([*words, str(of_each)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "no masks of B1: densified without" in said
    assert "A1: masks of the hand in 4 of 8 frames" in said
    assert "B1: masks of" not in said
    alone = ["densify", str(recording), "--keypoints", "none", "--out", str(tmp_path / "one"), "--masks"]
    assert main([*alone, str(of_each / "A1")]) == 0
    assert (tmp_path / "one" / QUALITY).read_text() == (out / "A1" / QUALITY).read_text()
    assert "hand_iou" not in lines_of(out / "B1")[0]
