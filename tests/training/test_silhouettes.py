"""Masks in training: true poses cost nothing in any view, a wrong one is drawn back, and a run knows its masks."""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from tests.data.recording.recording_files import hand_parameters
from tests.sample_set import Sample
from tests.training.runs import short_recipe, train_both
from warpgrasp.cli import main
from warpgrasp.cli.masks import masks_of_recordings
from warpgrasp.data import FrameSource, open_dataset
from warpgrasp.data.recording import HAND, OBJECT, OCCLUDER, Masks, Recordings
from warpgrasp.errors import DataError
from warpgrasp.export import RecordingOptions, export_recording
from warpgrasp.frame import Annotation, FrameName, HandReconstruction, ObjectReconstruction, Reconstruction, pose_points
from warpgrasp.geometry import matrix_from_axis_angle
from warpgrasp.hand import HandModel, Side
from warpgrasp.reconstruction import load_checkpoint
from warpgrasp.render import rasterize
from warpgrasp.scene import Scene
from warpgrasp.training import loop, objective
from warpgrasp.training.run import Training, fingerprint
from warpgrasp.training.settings import Recipe
from warpgrasp.training.silhouettes import FrameMasks

NAMES, LABELS, UNMASKED, COVERED = ("A1", "B1"), (1, 6), 4, 3  # frames of each recording


@pytest.fixture(scope="module")
def folder(sample: Sample, hand: HandModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recordings of eight frames, and their true masks but for one; in one frame a bar is in front."""
    folder, dataset = tmp_path_factory.mktemp("masked"), open_dataset(sample.root, hand)
    for sequence in NAMES:
        write_recording(folder, sample, hand, sequence, "right")
        (folder / "masks" / sequence).mkdir(parents=True)
        for number, name in enumerate(name for name in dataset.names("train") if name.sequence == sequence):
            frame = dataset.frame(name, annotated=True)
            assert frame.annotation is not None
            scene = Scene.annotated(hand, frame.annotation, frame.object)
            face_ids = rasterize(scene.mesh, frame.camera.batched).face_ids[0].numpy()
            labels = np.select([face_ids < 0, face_ids < scene.hand_face_count], [0, HAND], OBJECT).astype(np.uint8)
            if number == COVERED:
                labels[:, 150:170] = OCCLUDER
            if number != UNMASKED:
                Image.fromarray(labels).save(folder / "masks" / sequence / f"{number:06d}.png")
    return folder


def write_recording(folder: Path, sample: Sample, hand: HandModel, sequence: str, side: Side) -> Path:
    recording = folder / ("recordings" if side == "right" else side) / sequence
    hands = {number: hand_parameters(sample.sequences["train"][sequence], number) for number in LABELS}
    options = RecordingOptions(LABELS, (), hands, "frames", side=side)
    export_recording(open_dataset(sample.root, hand), "train", sequence, recording, options)
    return recording


def recordings(folder: Path, hand: HandModel) -> Recordings:
    dataset = open_dataset(folder / "recordings", hand)
    assert isinstance(dataset, Recordings)
    return dataset


def prepare(folder: Path, hand: HandModel, recipe: Recipe, masks: Mapping[str, Masks] | None = None) -> Training:
    return Training.prepare(recipe, recordings(folder, hand), masks=masks)


def masked_recipe() -> Recipe:
    return replace(short_recipe(), fraction=1.0).with_silhouettes()


@pytest.fixture
def masked(folder: Path, hand: HandModel) -> Training:
    """A training with all masks."""
    masks = masks_of_recordings(folder / "masks", recordings(folder, hand))
    return prepare(folder, hand, masked_recipe(), masks)


def reconstructed(annotation: Annotation, objects: Tensor) -> Reconstruction:
    count = len(annotation.hand_joints)
    assert annotation.hand_rotation is not None
    hand = HandReconstruction(
        annotation.hand_rotation,
        torch.zeros(count, 3),
        torch.zeros(count, 15),
        torch.zeros(count, 10),
        annotation.hand_vertices,
        annotation.hand_joints,
    )
    vertices = pose_points(annotation.object_rotation, annotation.object_translation, objects)
    posed = annotation.object_rotation, annotation.object_translation, vertices, torch.zeros(count, 8, 3)
    return Reconstruction(hand, ObjectReconstruction(*posed))


def test_true_poses_cost_nothing_in_any_view_and_wrong_ones_are_drawn_back(
    sample: Sample, masked: Training, hand: HandModel
) -> None:
    """The view is turned, as augmentation turns it; the mask is not. A frame without a mask costs exactly nothing."""
    recipe, of_masks = masked.recipe, masked.masks
    assert of_masks is not None
    every = open_dataset(sample.root, hand, size=(recipe.width, recipe.height))
    source = FrameSource(every, annotated=every.names("train"))
    numbered = [name for name in every.names("train") if name.sequence == "A1"]
    numbers = (2, COVERED, UNMASKED, 5)
    frames = source.frames([numbered[number] for number in numbers])
    frames = replace(frames, names=tuple(FrameName("A1", number) for number in numbers))
    assert frames.annotation is not None
    seen = of_masks.of_pairs(frames, frames)
    costs = []
    turns = torch.tensor([[0.0, 0.0, 0.0], [0.1, 0.2, 0.5]])
    for turn in matrix_from_axis_angle(turns)[:, None].expand(-1, len(numbers), -1, -1):
        truth = reconstructed(frames.annotation.turned(turn), frames.objects.vertices)
        shift = torch.tensor([0.03, 0, 0]).requires_grad_()
        moved = replace(truth, object=replace(truth.object, vertices=truth.object.vertices + shift @ turn[0].mT))
        parts = {"hand": hand, "faces": frames.objects.faces}
        costs.append([seen.loss(one, turn, frames.camera, **parts) for one in (truth, moved)])
        (slope,) = torch.autograd.grad(costs[-1][1].sum(), shift)
        assert float(slope[0]) > 0
    still, turned = costs
    assert float(still[0].max()) < 0.2  # outlines are told to a whole pixel
    assert still[0][2] == still[1][2] == 0
    masked_rows = [0, 1, 3]
    assert bool((still[1] > still[0] + 0.2)[masked_rows].all())
    torch.testing.assert_close(still[0], turned[0], rtol=0.05, atol=0.01)
    torch.testing.assert_close(still[1], turned[1], rtol=0.05, atol=0.01)


def test_edges_that_are_not_kept_are_the_same(masked: Training, folder: Path, hand: HandModel) -> None:
    assert masked.masks is not None
    dataset, sizes = recordings(folder, hand), {"size": masked.masks.size, "compared": masked.masks.compared}
    masks = masks_of_recordings(folder / "masks", dataset)
    seen = FrameMasks.of(masks, dataset, masked.labels, **sizes)
    seen._free_bytes = 0
    names = [FrameName("A1", 2), FrameName("B1", 7)]
    for found, expected in zip(
        (seen.edges(names), seen.edges(names)), [masked.masks.edges(names) for _ in range(2)], strict=True
    ):
        assert torch.equal(found.nearest, expected.nearest)
        assert torch.equal(found.given, expected.given)
    assert not seen._edges
    assert len(masked.masks) == 2 * (8 - len(LABELS) - 1)
    assert FrameName("A1", UNMASKED) not in masked.masks
    assert FrameName("A1", LABELS[0]) not in masked.masks


def test_masks_of_a_left_hand_are_read_in_the_mirror_as_its_pictures_are(
    sample: Sample, masked: Training, folder: Path, hand: HandModel, tmp_path: Path
) -> None:
    recording = write_recording(tmp_path, sample, hand, "A1", "left")
    (tmp_path / "masks").mkdir()
    for file in (folder / "masks" / "A1").iterdir():
        with Image.open(file) as picture:
            Image.fromarray(np.array(picture)[:, ::-1].copy()).save(tmp_path / "masks" / file.name)
    dataset = open_dataset(recording, hand)
    masks = masks_of_recordings(tmp_path / "masks", dataset)
    left = Training.prepare(masked.recipe, dataset, masks=masks).masks
    assert left is not None
    assert masked.masks is not None
    names = [FrameName("A1", number) for number in (0, 2, COVERED, 5, 7)]
    assert torch.equal(left.edges(names).labels, masked.masks.edges(names).labels)


def test_what_an_occluder_covers_is_not_compared(masked: Training) -> None:
    assert masked.masks is not None
    frames = masked.source.frames([FrameName("A1", 2), FrameName("A1", COVERED)])
    others = masked.source.frames([FrameName("A1", 1), FrameName("A1", 1)])
    pairs = masked.masks.of_pairs(frames, others)
    assert pairs.reference_valid is None
    assert pairs.target_valid is not None
    width = masked.recipe.width
    first, last = width * 150 // 320, -(-width * 170 // 320)
    assert bool(pairs.target_valid[0].all())
    assert not bool(pairs.target_valid[1, :, first:last].any())
    assert bool(pairs.target_valid[1, :, : first - 1].all())


def test_they_are_a_part_of_stage_2_alone_and_the_control_sees_none(
    masked: Training, folder: Path, hand: HandModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted, it ends with the same weights; without masks it ends with others."""
    with_masks = train_both(masked, tmp_path / "with")
    assert '"silhouettes": ' in (tmp_path / "with" / "weights.jsonl").read_text()
    without = train_both(prepare(folder, hand, replace(short_recipe(), fraction=1.0)), tmp_path / "without")
    assert '"silhouettes": ' not in (tmp_path / "without" / "weights.jsonl").read_text()
    assert with_masks.sha256 != without.sha256
    starts = [load_checkpoint(tmp_path / name / "stage1.safetensors") for name in ("with", "without")]
    assert starts[0].sha256 == starts[1].sha256
    masks = masks_of_recordings(folder / "masks", recordings(folder, hand))
    assert prepare(folder, hand, masked.recipe.as_control(), masks).masks is None

    supervised, calls = objective.supervised, []

    def interrupted(*arguments, **options):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return supervised(*arguments, **options)

    monkeypatch.setattr(loop, "SAVE_EVERY_S", 0.0)
    monkeypatch.setattr(objective, "supervised", interrupted)
    out, first = tmp_path / "again.safetensors", tmp_path / "with" / "stage1.safetensors"
    with pytest.raises(KeyboardInterrupt):
        loop.train_stage(masked, masked.recipe.stage2, out, initial=first)
    again = loop.train_stage(prepare(folder, hand, masked.recipe, masks), masked.recipe.stage2, out, initial=first)
    assert load_checkpoint(again).sha256 == with_masks.sha256


def test_a_run_knows_what_its_masks_say(masked: Training, folder: Path, hand: HandModel, tmp_path: Path) -> None:
    copied = tmp_path / "masks"
    shutil.copytree(folder / "masks", copied)
    dataset, plain = recordings(folder, hand), replace(short_recipe(), fraction=1.0)
    same = prepare(folder, hand, masked.recipe, masks_of_recordings(copied, dataset))
    assert fingerprint(same) == fingerprint(masked)
    file = next((copied / "B1").iterdir())
    with Image.open(file) as picture:
        labels = np.array(picture)
    labels[0, 0] = HAND
    Image.fromarray(labels).save(file)
    other = prepare(folder, hand, masked.recipe, masks_of_recordings(copied, dataset))
    assert fingerprint(other) != fingerprint(masked)
    without = fingerprint(prepare(folder, hand, plain))
    assert fingerprint(prepare(folder, hand, plain, masks_of_recordings(copied, dataset))) == without
    assert without not in (fingerprint(masked), fingerprint(other))


def test_other_data_are_refused(sample: Sample, masked: Training, folder: Path, hand: HandModel) -> None:
    masks = masks_of_recordings(folder / "masks", recordings(folder, hand))
    with pytest.raises(DataError, match="expected recordings to train on with masks"):
        Training.prepare(masked.recipe, open_dataset(sample.root, hand), masks=masks)


def test_the_command_takes_masks(folder: Path, sample: Sample, tmp_path: Path, capsys) -> None:
    """Of a folder of recordings, those that are named as a recording is; what is no mask is refused before training."""
    command = ["train", "toy", "--out", str(tmp_path / "run"), "--tracker", "none", "--fraction", "1"]
    of_all = [*command, "--data", str(folder / "recordings")]
    few = tmp_path / "masks"
    shutil.copytree(folder / "masks" / "A1", few / "A1")
    assert main([*of_all, "--stage1.steps", "1", "--stage2.steps", "1", "--masks", str(few)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "no masks of B1: trained on without" in said
    assert "masks of hand or object in 5 frames without a label" in said
    refused = {
        f"expected recordings of your own with --masks, found other data in {sample.root}": [
            *command, "--data", str(sample.root), "--masks", str(few),
        ],
        f"expected masks as PNG files in {folder / 'recordings' / 'A1'}, found": [
            *command, "--data", str(folder / "recordings" / "A1"), "--masks", str(folder / "recordings" / "A1"),
        ],
        "expected a folder with masks of each recording for --masks": [*of_all, "--masks", str(folder)],
        "expected --masks with --photometric.silhouette-weight": [*of_all, "--photometric.silhouette-weight", "1"],
    }  # fmt: skip
    for sentence, words in refused.items():
        assert main(words) != 0
        error = " ".join(capsys.readouterr().err.split())
        assert f"warpgrasp: {sentence}" in error, error
