"""A recording of both hands: each is densified around one object, and covers the other."""

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

from tests.refinement.two_hands import FRAMES, LABELS, two_hands, write_two_hands
from tools.both_hands import TwoHands
from warpgrasp.cli import main
from warpgrasp.cli.masks import masks_of_sides
from warpgrasp.cli.options import UsageError
from warpgrasp.data.recording import OCCLUDER, SIDES, Recording, read_annotations, write_annotations
from warpgrasp.geometry import Camera, Mesh
from warpgrasp.hand import HandModel, Side
from warpgrasp.predictions import Predictions, pose_of_predictions, read_predictions
from warpgrasp.refinement import ALL_FRAMES, BothHands, Stage
from warpgrasp.refinement.densify import PREDICTIONS
from warpgrasp.refinement.other_hand import OtherHand
from warpgrasp.refinement.stretch import RefinedStretch, StretchRefinement
from warpgrasp.render import rasterize
from warpgrasp.scene import posed_hand, posed_surface

module = importlib.import_module("warpgrasp.refinement.densify")  # the package has a function of this name
SHORT = replace(ALL_FRAMES, stages=(Stage(160, 6, 0.2),), end_stages=(Stage(80, 16, 0.4),))
UNMOVED = replace(ALL_FRAMES, stages=(Stage(40, 0, 0.1),), end_stages=(Stage(40, 0, 0.1),))
COLOURS = ("--keypoints", "none")


@pytest.fixture(scope="module")
def scene() -> TwoHands:
    return two_hands()


@pytest.fixture(scope="module")
def recording(scene: TwoHands, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of eight frames, two of them labelled. Read only."""
    folder = tmp_path_factory.mktemp("recordings") / "both"
    scene.write(folder, LABELS)
    return folder


@pytest.fixture
def unmoved(monkeypatch: pytest.MonkeyPatch) -> None:
    """The poses stay where they start: what is refined is not the matter here."""
    monkeypatch.setattr(module, "ALL_FRAMES", UNMOVED)


def densified(recording: Path, out: Path, *words: str) -> Path:
    assert main(["densify", str(recording), "--out", str(out), *COLOURS, *words]) == 0
    return out


def predictions_in(out: Path) -> dict[Side, Predictions]:
    return {side: read_predictions(out / side / PREDICTIONS)[0] for side in SIDES}


def errors_mm(scene: TwoHands, out: Path) -> dict[str, float]:
    """The mean errors in frames without a label of either hand and of the object."""
    others = [frame for frame in range(FRAMES) if frame not in LABELS["right"]]
    found: dict[str, float] = {}
    for side, predictions in predictions_in(out).items():
        of_hand, of_object = scene.errors_mm(side, pose_of_predictions(predictions, scene.hands[side]))
        found |= {side: float(of_hand[others].mean()), "object": float(of_object[others].mean())}
    return found


@pytest.fixture(scope="module")
def refined(recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "ALL_FRAMES", SHORT)
        return densified(recording, tmp_path_factory.mktemp("densified") / "both")


@pytest.mark.slow
def test_both_hands_and_one_object(scene: TwoHands, recording: Path, refined: Path) -> None:
    """The second is refined with the object where the first has put it, to the last bit."""
    assert max(errors_mm(scene, refined).values()) < 4
    right, left = (predictions_in(refined)[side] for side in SIDES)
    for name in ("object_rotation", "object_translation", "index"):
        np.testing.assert_array_equal(right.arrays[name], left.arrays[name], err_msg=name)
    stated, written = read_annotations(recording), read_annotations(refined)
    assert written.sides == SIDES
    for side in SIDES:
        labels = {label.frame: label for label in written.of_side(side).labels}
        assert list(labels) == list(range(FRAMES))
        assert written.of_side(side).hand_model == scene.hands[side].template.name
        for label in stated.of_side(side).labels:
            np.testing.assert_array_equal(labels[label.frame].hand.pose, label.hand.pose)
            np.testing.assert_array_equal(labels[label.frame].object_translation, label.object_translation)
        alone = read_annotations(refined / side)
        assert (alone.side, alone.other, len(alone.labels)) == (side, None, FRAMES)


@pytest.mark.slow
def test_poses_are_worse_without_knowing_what_the_other_hand_covers(
    scene: TwoHands, recording: Path, refined: Path, tmp_path: Path, monkeypatch
) -> None:
    whole = OtherHand.covers

    def nothing(self: OtherHand, *words, **named) -> Iterator[torch.Tensor]:
        return (torch.zeros_like(covered) for covered in whole(self, *words, **named))

    monkeypatch.setattr(module, "ALL_FRAMES", SHORT)
    monkeypatch.setattr(OtherHand, "covers", nothing)
    without, knowing = errors_mm(scene, densified(recording, tmp_path / "out")), errors_mm(scene, refined)
    assert sum(knowing.values()) < 0.8 * sum(without.values())


def test_it_covers_what_it_is_before(scene: TwoHands, recording: Path) -> None:
    """Those pixels where it is nearer than hand and object together, each drawn alone."""
    camera, rows, shares = Recording.read(recording).lens.camera, slice(2, 5), {}
    for side, other in (("right", "left"), ("left", "right")):
        own = scene.poses[side]
        behind = OtherHand(scene.hands[other], scene.poses[other], torch.zeros(FRAMES, dtype=torch.bool))
        found = torch.stack(list(behind.covers(own, scene.hands[side], rows=rows, model=scene.model, camera=camera)))
        alone = scene.hands[other].closed_mesh(posed_hand(scene.poses[other].rows(rows), scene.hands[other])[0])
        together = posed_surface(own.rows(rows), scene.hands[side], scene.model)
        near, far = (depths(mesh, camera) for mesh in (alone, together))
        assert torch.equal(found, near < far)
        shares[other] = float(found.sum() / (near < torch.inf).sum())
    assert shares["right"] > 0.9
    assert 0.2 < shares["left"] < 0.8  # which passes behind the right one


def depths(mesh: Mesh, camera: Camera) -> torch.Tensor:
    intrinsics = camera.intrinsics.expand(len(mesh.vertices), 3, 3)
    return rasterize(mesh, Camera(intrinsics, camera.width, camera.height)).depth


@pytest.mark.parametrize(
    ("labels", "first"),
    [
        ({"right": (1, 6), "left": (1, 6)}, "left"),  # which is nearer to the object
        ({"right": (1, 4, 6), "left": (1, 6)}, "right"),
        ({"right": (1,), "left": (1, 6)}, "left"),
    ],
)
def test_the_hand_that_says_most_is_first(
    labels: dict[Side, tuple[int, ...]], first: Side, tmp_path: Path, hand: HandModel
) -> None:
    write_two_hands(tmp_path / "both", labels)
    both = BothHands(Recording.read(tmp_path / "both"), hand, tmp_path / "out")
    assert both.order == (first, "left" if first == "right" else "right")


@pytest.mark.slow
@pytest.mark.usefixtures("unmoved")
def test_labels_of_the_second_hand_alone_say_where_the_object_is(scene: TwoHands, tmp_path: Path) -> None:
    """There it is not refined either, and the file of both has it as it is labelled."""
    write_two_hands(tmp_path / "both", {"right": (4,), "left": (1, 6)})
    stated = read_annotations(tmp_path / "both").labels[0]
    out = densified(tmp_path / "both", tmp_path / "out")
    for predictions in predictions_in(out).values():
        away = predictions.object_translation[4] - scene.poses["right"].object_centre[4].numpy()
        assert np.abs(away).max() < 1e-6
    written = read_annotations(out)
    for side in SIDES:
        label = written.of_side(side).labels[4]
        np.testing.assert_array_equal(label.object_translation, stated.object_translation)
        np.testing.assert_array_equal(label.object_rotation, stated.object_rotation)


@pytest.mark.slow
@pytest.mark.usefixtures("unmoved")
def test_an_interrupted_one_goes_on_with_the_second_hand(recording: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    expected, out, calls = densified(recording, tmp_path / "expected"), tmp_path / "out", []
    whole, first, second = StretchRefinement.refined, "left", "right"

    def refined(self: StretchRefinement) -> RefinedStretch:
        calls.append(1)
        if len(calls) == 5:  # the second stretch of the second hand
            raise KeyboardInterrupt
        return whole(self)

    words = ["densify", str(recording), *COLOURS, "--out", str(out)]
    with monkeypatch.context() as patch:
        patch.setattr(StretchRefinement, "refined", refined)
        assert main(words) == 130
    assert not (out / "annotations.json").exists()
    assert not (out / second / PREDICTIONS).exists()
    written = (out / first / PREDICTIONS).stat().st_mtime_ns
    capsys.readouterr()
    assert main(words) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"{first} hand: finished already {second} hand: 2 labels, 6 other frames" in said
    assert "wrote annotations.json of both hands in" in said
    assert (out / first / PREDICTIONS).stat().st_mtime_ns == written
    names = ["annotations.json", *(f"{side}/{name}" for side in SIDES for name in (PREDICTIONS, "quality.csv"))]
    for name in names:
        assert (out / name).read_bytes() == (expected / name).read_bytes(), name


@pytest.mark.slow
@pytest.mark.usefixtures("unmoved")
def test_finished_ones_are_kept_until_they_are_to_be_overwritten(recording: Path, tmp_path: Path, capsys) -> None:
    folder, out = tmp_path / "folder", tmp_path / "out"
    shutil.copytree(recording, folder / "both")
    densified(folder, out)
    capsys.readouterr()
    assert main(["densify", str(folder), *COLOURS, "--out", str(out)]) == 0
    assert "both: finished already" in capsys.readouterr().out
    assert main(["densify", str(folder / "both"), *COLOURS, "--out", str(out / "both")]) == 1
    assert "expected a folder without both hands, but" in " ".join(capsys.readouterr().err.split())
    file = read_annotations(folder / "both")
    assert file.other is not None
    fewer = replace(file.other, labels=file.other.labels[:1])
    write_annotations(folder / "both", file.labels, hand_model=file.hand_model, other=fewer)
    assert main(["densify", str(folder), *COLOURS, "--out", str(out)]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "both: failed: expected predictions of the same labels, pictures and options" in said
    densified(folder, out, "--force")
    assert "both: left hand: 1 labels" in " ".join(capsys.readouterr().out.split())


@pytest.mark.slow
@pytest.mark.usefixtures("unmoved")
def test_masks_are_of_each_hand(recording: Path, tmp_path: Path, capsys) -> None:
    lens = Recording.read(recording).lens
    labels = np.zeros((lens.height, lens.width), np.uint8)
    labels[40:90, 100:140] = OCCLUDER
    (tmp_path / "masks" / "right").mkdir(parents=True)
    Image.fromarray(labels).save(tmp_path / "masks" / "right" / "4.png")
    densified(recording, tmp_path / "out", "--masks", str(tmp_path / "masks"))
    said = " ".join(capsys.readouterr().out.split())
    assert "right hand: masks of an occluder in 1 of 8 frames" in said
    assert "left hand: masks" not in said
    words = ["densify", str(recording), *COLOURS, "--out", str(tmp_path / "again"), "--masks"]
    assert main([*words, str(tmp_path / "masks" / "right")]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "expected masks of each hand in" in said
    assert "for a recording of both hands, found neither" in said


@pytest.mark.slow
@pytest.mark.usefixtures("unmoved")
def test_keypoints_of_a_file_are_of_each_hand(scene: TwoHands, recording: Path, tmp_path: Path, capsys) -> None:
    """Those of another program that names the sides; where one names none, they are right hands."""
    camera = Recording.read(recording).lens.camera
    joints = {side: camera.project(posed_hand(scene.poses[side], scene.hands[side])[1]).numpy() for side in SIDES}
    every = {
        "keypoints_2d": np.concatenate([joints["right"], joints["left"]]),
        "right": np.repeat([1.0, 0.0], FRAMES),
        "names": np.tile(np.arange(FRAMES), 2),
    }
    np.savez(tmp_path / "hands.npz", **every)
    for path, of_left in ((tmp_path / "hands.npz", 5), (tmp_path / "right.npy", 0)):  # of 3 the right one covers most
        if path.suffix == ".npy":
            np.save(path, joints["right"])
        words = ["densify", str(recording), "--keypoints", str(path), "--out", str(tmp_path / path.stem)]
        assert main(words) == 0
        said = " ".join(capsys.readouterr().out.split())
        assert f"left hand: the hand is seen in {of_left} of 8 frames" in said
        assert "right hand: the hand is seen in 8 of 8 frames" in said


def test_what_cannot_be_done(recording: Path, tmp_path: Path, capsys) -> None:
    def refused(sentence: str, folder: Path, *words: str) -> None:
        assert main(["densify", str(folder), *COLOURS, "--out", str(tmp_path / "out"), *words]) in (1, 2)
        assert sentence in " ".join(capsys.readouterr().err.split())

    refused("expected a recording of one hand with --start", recording, "--start", str(tmp_path / "p.npz"))
    write_two_hands(tmp_path / "both", {"right": (1, 6), "left": ()})
    refused("found none of the left one; label a few frames by `warpgrasp annotate", tmp_path / "both")
    (tmp_path / "out").mkdir(exist_ok=True)
    (tmp_path / "out" / PREDICTIONS).write_bytes(b"")
    refused("expected a folder without predictions.npz for both hands, but", recording)
    assert main(["densify", str(recording), "--out", str(recording)]) == 1
    assert "expected another folder than the recording's own" in " ".join(capsys.readouterr().err.split())


@pytest.mark.slow
@pytest.mark.usefixtures("unmoved")
def test_predictions_are_scored_and_shown_by_the_labels_of_their_hand(
    scene: TwoHands, recording: Path, tmp_path: Path, capsys
) -> None:
    """Either hand's, and both on one page with the object."""
    out, page = densified(recording, tmp_path / "out"), tmp_path / "page.html"
    for side in SIDES:
        capsys.readouterr()
        assert main(["evaluate", str(out / side / PREDICTIONS), "--data", str(recording)]) == 0
        said = " ".join(capsys.readouterr().out.split())
        assert "2 frames, 6 without annotation left out" in said
        assert re.search(r"hand joint error mm\W+0\.00\b", said)
    right, left = (str(out / side / PREDICTIONS) for side in SIDES)
    both = ["--other-hand", left, "--data", str(recording)]
    assert main(["view", right, *both, "--save", str(page)]) == 0
    for name in ("both.glb", "both.mp4", "both.csv"):
        assert main(["export", right, *both, f"--{name[5:]}", str(tmp_path / name)]) == 0
    assert '"label":"right hand and object"' in page.read_text()
    capsys.readouterr()
    assert (
        main(["export", right, "--other-hand", right, "--data", str(recording), "--glb", str(tmp_path / "x.glb")]) == 1
    )
    assert "expected predictions of two hands, found two of a right one" in " ".join(capsys.readouterr().err.split())


def test_masks_of_a_hand_lie_in_one_place(recording: Path, tmp_path: Path) -> None:
    (tmp_path / "right").mkdir()
    (tmp_path / "right.json").touch()
    with pytest.raises(UsageError, match=r"expected one place with masks of right, got .*right and .*right\.json"):
        masks_of_sides(tmp_path, Recording.read(recording))
