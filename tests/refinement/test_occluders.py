"""A thing before hand and object that masks mark: its colours have no influence, and poses are the better for it."""

import importlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from tests.data.recording.recording_files import hand_parameters
from tests.sample_set import Sample
from warpgrasp.cli import main
from warpgrasp.data import open_dataset
from warpgrasp.data.recording import OCCLUDER, Recording, pose_of_label
from warpgrasp.export import RecordingOptions, export_recording
from warpgrasp.frame import Detections, Pose
from warpgrasp.hand import HandModel
from warpgrasp.predictions import read_predictions
from warpgrasp.refinement import ALL_FRAMES, QUALITY, Stage, refine
from warpgrasp.refinement.densify import PREDICTIONS
from warpgrasp.refinement.quality import LabelledPictures, agreement
from warpgrasp.refinement.seen_hand import unoccluded
from warpgrasp.scene import posed_object

module = importlib.import_module("warpgrasp.refinement.densify")  # the package has a function of this name
SHORT = replace(ALL_FRAMES, stages=(Stage(160, 2, 0.1),), end_stages=(Stage(80, 2, 0.1),))
LABELS, OCCLUDED = (1, 6), (3, 4, 6)
TEXTURE = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)


def columns(number: int) -> slice:
    """Where a bar goes through the picture, from frame to frame: over the object, and not as it moves."""
    return slice(175 - 10 * number, 199 - 10 * number)


def behind_bar(picture: np.ndarray, number: int, colours: np.ndarray) -> np.ndarray:
    """The picture with a bar of these colours before it."""
    height, width = picture.shape[:2]
    found, bar = picture.copy(), np.array(Image.fromarray(colours).resize((width, height)))
    found[:, columns(number)] = bar[:, columns(number)]
    return found


@pytest.fixture(scope="module")
def recording(sample: Sample, hand: HandModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of eight frames with known poses, two of them labels to be used."""
    folder = tmp_path_factory.mktemp("recordings") / "A1"
    hands = {number: hand_parameters(sample.sequences["train"]["A1"], number) for number in range(8)}
    held_out = tuple(number for number in range(8) if number not in LABELS)
    options = RecordingOptions(LABELS, held_out, hands, "frames")
    export_recording(open_dataset(sample.root, hand), "train", "A1", folder, options)
    return folder


@pytest.fixture(scope="module")
def masks(recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the bar alone, in some frames."""
    folder, lens = tmp_path_factory.mktemp("masks"), Recording.read(recording).lens
    for number in OCCLUDED:
        labels = np.zeros((lens.height, lens.width), np.uint8)
        labels[:, columns(number)] = OCCLUDER
        Image.fromarray(labels).save(folder / f"{number:04d}.png")
    return folder


@pytest.fixture
def short() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "ALL_FRAMES", SHORT)
        yield


@pytest.mark.slow
@pytest.mark.usefixtures("short")
def test_its_colours_have_no_influence(recording: Path, masks: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    """Not on a bit, whatever they are, at a label or elsewhere; without the mask they have."""
    whole = Recording.picture
    colours = {"dark": TEXTURE // 4, "light": 255 - TEXTURE[::-1] // 2}

    def densified(name: str, words: list[str]) -> tuple[dict[str, np.ndarray], str]:
        def picture(self: Recording, number: int) -> np.ndarray:
            shown = whole(self, number)
            return behind_bar(shown, number, colours[name]) if number in OCCLUDED else shown

        monkeypatch.setattr(Recording, "picture", picture)
        out = tmp_path / f"{name}{len(words)}"
        assert main(["densify", str(recording), "--keypoints", "none", "--out", str(out), *words]) == 0
        return read_predictions(out / PREDICTIONS)[0].arrays, (out / QUALITY).read_text()

    without = densified("dark", [])
    dark, light = (densified(name, ["--masks", str(masks)]) for name in colours)
    said = " ".join(capsys.readouterr().out.split())
    assert "masks of an occluder in 3 of 8 frames: what it covers is not compared" in said
    assert dark[1] == light[1]
    for name, values in dark[0].items():
        np.testing.assert_array_equal(values, light[0][name], err_msg=name)
    assert np.abs(without[0]["hand_joints"] - dark[0]["hand_joints"]).max() > 1e-4


class Known:
    """The recording's frames 1 to 5, the first of them labelled, with a bar before the others."""

    def __init__(self, folder: Path, hand: HandModel):
        self.recording, self.hand, numbers = Recording.read(folder), hand, range(1, 6)
        self.model, self.lens = self.recording.object.model, self.recording.lens
        label = self.recording.labels
        self.truth = Pose.joined([pose_of_label(label[number], hand, self.model) for number in numbers])
        clear = [self.recording.picture(number) for number in numbers]
        self.clear, self.behind = clear, [clear[0], *map(self.shown, clear[1:], numbers[1:])]
        self.occluded: list[Tensor | None] = [None]
        for number in numbers[1:]:
            covered = torch.zeros(self.lens.height, self.lens.width, dtype=torch.bool)
            covered[:, columns(number)] = True
            self.occluded.append(covered)

    @staticmethod
    def shown(picture: np.ndarray, number: int) -> np.ndarray:
        return behind_bar(picture, number, TEXTURE)

    def pictures(self, images: list[np.ndarray], occluded: Sequence[Tensor | None] | None) -> LabelledPictures:
        tensors = (torch.from_numpy(image).permute(2, 0, 1) for image in images)
        labelled = torch.arange(5) == 0
        return ALL_FRAMES.pictures(tensors, self.lens.camera, labelled, occluded=occluded)

    def agreement(self, pictures: LabelledPictures) -> tuple[Tensor, Tensor]:
        found = agreement(self.truth, pictures, hand=self.hand, model=self.model, width_px=160)
        return found.difference, found.compared_share


@pytest.fixture(scope="module")
def known(recording: Path, hand: HandModel) -> Known:
    return Known(recording, hand)


def test_what_is_compared_is_what_is_seen(known: Known) -> None:
    """Less of the surface; its difference is then what it is without the thing."""
    seen, seen_share = known.agreement(known.pictures(known.clear, None))
    masked, masked_share = known.agreement(known.pictures(known.behind, known.occluded))
    mistaken, mistaken_share = known.agreement(known.pictures(known.behind, None))
    assert torch.equal(mistaken_share, seen_share)
    assert (mistaken[1:] > 2 * seen[1:]).all()
    assert ((masked[1:] - seen[1:]).abs() < 0.5 * seen[1:]).all()
    assert (masked_share[1:] < seen_share[1:] - 0.1).all()
    assert (masked_share[1:] > 0.3).all()


def test_no_occluder_in_any_frame_is_as_before(known: Known) -> None:
    before, after = (known.pictures(known.clear, occluded) for occluded in (None, [None] * 5))
    assert before.free is None
    for width_px, images in before.images.items():
        assert torch.equal(images, after.images[width_px])
    for one, other in zip(known.agreement(before), known.agreement(after), strict=True):
        assert torch.equal(one, other)


def test_poses_are_better_with_its_mask(known: Known) -> None:
    """The object starts beside its place, with a bar moving over it."""
    start = replace(known.truth, object_centre=known.truth.object_centre.clone())
    start.object_centre[1:] += torch.tensor([0.006, -0.005, 0.0], dtype=start.object_centre.dtype)
    descent = replace(ALL_FRAMES, stages=(Stage(160, 14, 0.2), Stage(160, 12, 0.05)), smooth_cost=0.0)

    def error_mm(occluded: Sequence[Tensor | None] | None) -> float:
        pictures = known.pictures(known.behind, occluded)
        found = refine(start, pictures, hand=known.hand, model=known.model, descent=descent.of_part("object"))
        points = [posed_object(pose.to(torch.float32), known.model) for pose in (found, known.truth)]
        return 1000 * float((points[0] - points[1]).norm(dim=-1)[1:].mean())

    without, with_masks = error_mm(None), error_mm(known.occluded)
    assert with_masks < 0.75 * without


def test_joints_on_it_are_not_seen() -> None:
    """Nor is a hand of which most joints are, which is its own; those outside the picture are where they were."""
    joints_px = torch.tensor([5.0, 5.0]).repeat(4, 21, 1)
    joints_px[0, :3], joints_px[1, :15], joints_px[2, :3] = 20.0, 20.0, 900.0
    covered = torch.zeros(30, 40, dtype=torch.bool)
    covered[15:25, 15:25] = True
    found = unoccluded(Detections(joints_px, torch.full((4, 21), 0.9)), [covered, covered, covered, None])
    assert torch.equal(found.joints_px, joints_px)
    assert (found.confidence[0] > 0).tolist() == [False] * 3 + [True] * 18
    assert (found.confidence > 0).any(dim=1).tolist() == [True, False, True, True]
    assert (found.confidence[2:] == torch.tensor(0.9)).all()
