"""Where a detector is asked whether there is a hand, and what it is taken to say."""

import io
import math
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from importlib.resources import as_file
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.footage_files import bring, lens, write_pictures
from tests.keypoints.hands_at import hand_at
from tests.predictions.test_file import predictions
from tools.hand_detector.backgrounds import DRAWN
from warpgrasp import reconstruct
from warpgrasp.cli import main
from warpgrasp.data.sample.files import SHIPPED
from warpgrasp.frame import FrameName
from warpgrasp.geometry.camera import Camera
from warpgrasp.hand import Side
from warpgrasp.hand.model import HandModel
from warpgrasp.inference import PredictionOptions
from warpgrasp.inference.hand_check import HandCheck, KeypointRefinement, Sight, looked_at, shrunk
from warpgrasp.inference.prediction import hand_posing
from warpgrasp.keypoints import HandBox, HandKeypoints, usual_offsets
from warpgrasp.predictions.file import Predictions, read_predictions
from warpgrasp.predictions.postprocessing import Flag, keypoints_summary, summary, with_quality
from warpgrasp.reconstruction.network import HandObjectNetwork, NetworkConfig

MATRIX = torch.tensor([[100.0, 0, 49.5], [0, 100, 39.5], [0, 0, 1]])
CAMERA = Camera(MATRIX, 100, 80)


class FakeDetector:
    """Sees a hand in the boxes, or in the whole, of pictures whose colours say so; notes what it was asked."""

    identity = "fake"
    IN_BOX, ELSEWHERE, NOWHERE = 200, 100, 0

    def __init__(self) -> None:
        self.boxes: list[list[HandBox]] = []
        self.searched = 0

    def detect(
        self, pictures: np.ndarray, boxes: Sequence[Sequence[HandBox]] | None = None
    ) -> list[list[HandKeypoints]]:
        if boxes is None:
            self.searched += len(pictures)
            return [[hand_at(30, 60, presence=0.7)] if picture.max() == self.ELSEWHERE else [] for picture in pictures]
        self.boxes += [list(of_picture) for of_picture in boxes]
        return [
            [hand_at(30, 60)] if picture.max() == self.IN_BOX and of_picture else []
            for picture, of_picture in zip(pictures, boxes, strict=True)
        ]

    def track(self, pictures: Iterable[np.ndarray], start: Sequence[HandBox] = ()) -> Iterator[list[HandKeypoints]]:
        raise NotImplementedError


def in_front(count: int) -> Predictions:
    """Hands half a metre before the camera, in frames that follow each other."""
    made = predictions(count)
    joints = np.random.default_rng(1).normal([0, 0, 0.5], 0.05, (1, 21, 3))
    names = {"sequence": np.array(["S"] * count), "index": np.arange(count)}
    return replace(made, **names, hand_joints=np.repeat(joints.astype(np.float32), count, axis=0))


def checked(colours: Sequence[int], every: int, side: Side = "right") -> tuple[Predictions, FakeDetector]:
    detector = FakeDetector()

    def sight(row: int) -> Sight:
        return Sight(np.full((80, 100, 3), colours[row], np.uint8), CAMERA)

    return HandCheck(detector, every, side).checked(in_front(len(colours)), sight), detector


def flags(one: Predictions) -> list[str]:
    found = with_quality(one, np.zeros((len(one), 8, 3)), one.index / 30)
    return [Flag(int(flag) & Flag.NO_HAND_SEEN).words for flag in found.flags]


def test_the_ends_and_one_frame_in_so_many_are_looked_at() -> None:
    def rows(*named: tuple[str, int], every: int = 5) -> list[int]:
        return looked_at([FrameName(*name) for name in named], every)

    video = [("A", number) for number in range(12)]
    assert rows(*video) == [0, 5, 10, 11]
    assert rows(*video, every=1) == list(range(12))
    assert rows(("A", 0), ("A", 1), ("B", 2), ("B", 3), ("B", 4)) == [0, 1, 2, 4]
    assert rows(*[("A", 30 * number) for number in range(4)]) == [0, 1, 2, 3]  # far apart in time
    assert rows(("A", 9), ("A", 3), ("A", 4), ("A", 5)) == [0, 1, 3]
    assert rows() == []


def test_frames_between_unlike_ones_are_looked_at_too() -> None:
    there, gone = FakeDetector.IN_BOX, FakeDetector.NOWHERE
    found, _ = checked([there] * 7 + [gone] * 9, every=5)
    assert np.flatnonzero(~np.isnan(found.hand_presence)).tolist() == [0, 5, 6, 7, 8, 9, 10, 15]
    assert flags(found) == [""] * 7 + ["no hand seen"] * 9


def test_a_hand_that_is_elsewhere_is_searched_and_found() -> None:
    found, detector = checked([FakeDetector.ELSEWHERE, FakeDetector.IN_BOX, FakeDetector.NOWHERE], every=1)
    np.testing.assert_allclose(found.hand_presence, [0.7, 0.9, 0])
    assert flags(found) == ["", "", "no hand seen"]
    assert detector.searched == 2
    assert np.isfinite(found.keypoint_distance_px).tolist() == [True, True, False]
    expected = HandBox.around(CAMERA.project(torch.from_numpy(found.hand_joints[0])))
    assert detector.boxes[0] == [expected]


@pytest.mark.parametrize("side", ["right", "left"])
def test_the_distance_is_that_from_where_the_detector_sees_the_joints(side: Side) -> None:
    found, _ = checked([FakeDetector.IN_BOX], every=1, side=side)
    rotation = torch.from_numpy(found.hand_rotation[0])
    joints = torch.from_numpy(found.hand_joints[0]) + usual_offsets(side).offsets_m @ rotation.T
    pixels = joints[:, :2] / joints[:, 2:] * 100 + torch.tensor([49.5, 39.5])
    expected = (pixels - hand_at(30, 60).joints_px).norm(dim=1).mean()
    assert found.keypoint_distance_px[0] == pytest.approx(float(expected), rel=1e-5)


def test_large_pictures_are_shrunk_and_pixels_stay_those_of_the_file() -> None:
    large = np.full((960, 1280, 3), FakeDetector.IN_BOX, np.uint8)
    assert shrunk(large).shape == (480, 640, 3)
    assert shrunk(large[:80, :100]).shape == (80, 100, 3)
    camera = Camera(torch.tensor([[1000.0, 0, 639.5], [0, 1000, 479.5], [0, 0, 1]]), 1280, 960)
    detector, one = FakeDetector(), in_front(1)
    found = HandCheck(detector, 1, "right").checked(one, lambda row: Sight(shrunk(large), camera))
    joints = usual_offsets().apply(torch.from_numpy(one.hand_joints[0]), torch.from_numpy(one.hand_rotation[0]))
    seen = 2 * (hand_at(30, 60).joints_px + 0.5) - 0.5
    expected = (camera.project(joints) - seen).norm(dim=1).mean()
    assert found.keypoint_distance_px[0] == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize("spoilt", [math.nan, -1.0])
def test_a_hand_that_is_nowhere_is_searched_in_the_whole_picture(spoilt: float) -> None:
    one, detector = in_front(1), FakeDetector()
    one.hand_joints[0, 3, 2] = spoilt
    picture = np.full((80, 100, 3), FakeDetector.ELSEWHERE, np.uint8)
    found = HandCheck(detector, 1, "right").checked(one, lambda row: Sight(picture, CAMERA))
    assert detector.boxes == [[]]
    assert found.hand_presence[0] == pytest.approx(0.7)


def test_predictions_without_a_check_have_no_such_flag() -> None:
    assert flags(in_front(3)) == ["", "", ""]
    assert "no hand seen: 2" in summary(np.array([0, 32, 33], np.uint8))


@pytest.mark.parametrize("adapted", [False, True])
def test_refined_predictions_are_those_of_their_parameters(hand: HandModel, adapted: bool) -> None:
    """Joints and placement by the network's skeleton, the hand's surface by the hand model; else nothing changes."""
    network = HandObjectNetwork(NetworkConfig(width=8, skeleton_adaptation=adapted), hand, ("box",))
    if network.adaptation is not None:
        with torch.no_grad():
            network.adaptation.regressor.mul_(1.04)
    pose_hand = hand_posing(network)
    turn, place = torch.eye(3).expand(2, 3, 3), torch.tensor([[0.0, 0.0, 0.5]] * 2)
    coefficients, shape = torch.full((2, 15), 0.2), torch.zeros(2, 10)
    with torch.no_grad():
        vertices, joints = pose_hand(turn, place, coefficients, shape)
    numbers = {"vertices": vertices, "joints": joints, "rotation": turn, "translation": place}
    numbers |= {"pose": coefficients, "shape": shape}
    of_hand: dict[str, Any] = {f"hand_{name}": values.numpy() for name, values in numbers.items()}
    begun = replace(in_front(2), **of_hand)
    colours = FakeDetector.IN_BOX, FakeDetector.NOWHERE
    check = HandCheck(FakeDetector(), 0, "right", KeypointRefinement(hand, pose_hand))
    found = check.checked(begun, lambda row: Sight(np.full((80, 100, 3), colours[row], np.uint8), CAMERA))
    assert found.refined_distance_px[0] < 0.8 * found.keypoint_distance_px[0]
    assert np.isnan(found.refined_distance_px[1])
    parameters = (
        torch.from_numpy(found.arrays[f"hand_{name}"]) for name in ("rotation", "translation", "pose", "shape")
    )
    with torch.no_grad():
        vertices, joints = pose_hand(*parameters)
    np.testing.assert_allclose(found.hand_vertices, vertices, atol=1e-5)
    np.testing.assert_allclose(found.hand_joints, joints, atol=1e-5)
    np.testing.assert_array_equal(found.hand_vertices[1], begun.hand_vertices[1])
    np.testing.assert_array_equal(found.object_translation[1], begun.object_translation[1])
    assert np.abs(found.object_translation[0] - begun.object_translation[0]).max() > 1e-3
    assert str(keypoints_summary(found)).startswith("1 of 2 frames are refined: joints lie")


def test_how_far_hands_lie_from_what_is_seen_is_said() -> None:
    """Of the frames that were looked at, with the worst by name; nothing where nobody saw a hand."""
    four = in_front(4)
    said = keypoints_summary(replace(four, keypoint_distance_px=np.array([2.0, np.nan, 7.5, 2.5], np.float32)))
    assert said == (
        "in the 3 frames that were looked at and show a hand, its joints lie 4.0 px from where they are seen on "
        "average, at most 7.5 px (S/0002); --refine moves hands there"
    )
    assert keypoints_summary(replace(four, keypoint_distance_px=np.full(4, np.nan, np.float32))) is None
    assert keypoints_summary(four) is None


def test_the_command_checks_unless_it_is_told_not_to(tmp_path: Path, capsys) -> None:
    """A square that wanders over a gradient is no hand."""
    brought = bring(tmp_path / "own")
    assert main(brought.words()) == 0
    found, header = read_predictions(brought.out)
    assert "no hand seen: 8" in " ".join(capsys.readouterr().out.split())
    assert (found.flags & Flag.NO_HAND_SEEN).all()
    assert header["check_hands"] == 5
    assert np.isfinite(found.hand_presence).tolist() == [True] + [False] * 4 + [True, False, True]
    refined = brought.folder / "refined.npz"
    assert main(brought.words("--refine", out=refined)) == 0
    assert "0 of 8 frames are refined: no hand is seen" in " ".join(capsys.readouterr().out.split())
    np.testing.assert_array_equal(read_predictions(refined)[0].hand_vertices, found.hand_vertices)
    unchecked = brought.folder / "unchecked.npz"
    assert main(brought.words("--check-hands", "0", out=unchecked)) == 0
    found, _ = read_predictions(unchecked)
    assert found.hand_presence is None
    assert not (found.flags & Flag.NO_HAND_SEEN).any()
    assert main(brought.words("--check-hands", "-1", out=tmp_path / "none.npz")) == 1
    assert "expected to look for the hand in one frame of some number, or 0 for never, got -1" in " ".join(
        capsys.readouterr().err.split()
    )


def test_a_batch_at_a_time_or_all_at_once(tmp_path: Path) -> None:
    """Whatever the batch, each of its ends is looked at."""
    brought = bring(tmp_path / "own")
    folder = write_pictures(tmp_path / "shots", range(8))
    assert main(brought.words("--batch", "4", "--check-hands", "3", input=folder)) == 0
    presence = read_predictions(brought.out)[0].hand_presence
    assert np.isfinite(presence).tolist() == [True, False, False, True] * 2


@pytest.mark.slow
def test_keypoints_of_another_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every frame is compared with what the file says of it, and moved there; frames without a hand are flagged."""
    brought = bring(tmp_path / "own")
    folder = write_pictures(tmp_path / "shots", range(8))
    plain = tmp_path / "plain.npz"
    assert main(brought.words("--check-hands", "0", input=folder, out=plain)) == 0
    predicted = read_predictions(plain)[0]
    projected_px = lens().camera.project(torch.from_numpy(predicted.hand_joints)).numpy()
    joints_px = projected_px + np.array([3.0, 4.0], np.float32)  # five pixels away
    joints_px[5] = np.nan
    np.save(tmp_path / "joints.npy", joints_px)
    stated = ("--keypoints", str(tmp_path / "joints.npy"))
    assert main(brought.words(*stated, input=folder, out=tmp_path / "told.npz")) == 0
    told, header = read_predictions(tmp_path / "told.npz")
    np.testing.assert_array_equal(told.hand_vertices, predicted.hand_vertices)
    np.testing.assert_allclose(told.keypoint_distance_px, [5.0] * 5 + [np.nan] + [5.0] * 2, atol=1e-3)
    assert ((told.flags & Flag.NO_HAND_SEEN) > 0).tolist() == [False] * 5 + [True] + [False] * 2
    assert len(header["keypoints"]) > 8

    assert main(brought.words(*stated, "--refine", input=folder, out=tmp_path / "moved.npz")) == 0
    moved = read_predictions(tmp_path / "moved.npz")[0]
    np.testing.assert_array_equal(moved.hand_vertices[5], predicted.hand_vertices[5])
    seen = [0, 1, 2, 3, 4, 6, 7]
    assert (moved.refined_distance_px[seen] < 0.5 * told.keypoint_distance_px[seen]).all()
    capsys.readouterr()


@pytest.mark.slow
def test_keypoints_that_name_no_picture_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    brought = bring(tmp_path / "own")
    folder = write_pictures(tmp_path / "shots", range(8))
    np.save(tmp_path / "shares.npy", np.full((8, 21, 2), 0.5, np.float32))
    assert main(brought.words("--keypoints", str(tmp_path / "shares.npy"), input=folder)) == 1
    assert "expected joints in pixels of the whole picture" in " ".join(capsys.readouterr().err.split())
    np.save(tmp_path / "few.npy", np.full((3, 21, 2), 9.0, np.float32))
    assert main(brought.words("--keypoints", str(tmp_path / "few.npy"), input=folder)) == 1
    assert "expected keypoints of each of 8 pictures" in " ".join(capsys.readouterr().err.split())
    with as_file(SHIPPED) as path, zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "sample")
    words = ["predict", str(tmp_path / "sample"), "--weights", "best", "--out", str(tmp_path / "none.npz")]
    assert main([*words, "--keypoints", str(tmp_path / "few.npy")]) == 1
    assert "got a data set; leave it out" in " ".join(capsys.readouterr().err.split())
    assert not brought.out.exists()


def shipped(*names: str) -> list[np.ndarray]:
    with as_file(SHIPPED) as path, zipfile.ZipFile(path) as archive:
        return [np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB")) for name in names]


def no_hand_seen(pictures: list[np.ndarray], mesh: Path, **options: int) -> np.ndarray:
    found = reconstruct(
        pictures,
        camera=np.array([[330.0, 0, 159.5], [0, 330, 119.5], [0, 0, 1]]),
        object=mesh,
        weights="best",
        options=PredictionOptions(**options),
    )
    return (found.flags & Flag.NO_HAND_SEEN) > 0


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mesh")
    with as_file(SHIPPED) as path, zipfile.ZipFile(path) as archive:
        name = next(name for name in archive.namelist() if name.endswith("006_mustard_bottle/textured_simple.obj"))
        return Path(archive.extract(name, folder))


def test_pictures_with_and_without_a_hand(mesh: Path) -> None:
    """By the shipped weights and the shipped detector; the pictures without are of no shipped seed."""
    random = np.random.default_rng(5)
    without = [draw(random) for draw in DRAWN.values()]
    hands = shipped("evaluation/MBE2/rgb/0010.jpg", "evaluation/CBE1/rgb/0020.jpg")
    flagged = no_hand_seen([*hands, *without], mesh, check_hands=1)
    assert flagged.tolist() == [False] * 2 + [True] * len(without)


@pytest.mark.slow
def test_shares_that_are_flagged(mesh: Path) -> None:
    """As docs/own_video.md says: nearly all pictures without a hand, and hardly any with one."""
    random = np.random.default_rng(6)
    without = [draw(random) for draw in DRAWN.values() for _ in range(40)]
    assert no_hand_seen(without, mesh, check_hands=1).mean() >= 0.97
    for sequence in ("MBE1", "MBE2", "MBE3"):
        hands = shipped(*(f"evaluation/{sequence}/rgb/{number:04d}.jpg" for number in range(40)))
        assert no_hand_seen(hands, mesh, check_hands=1).mean() <= 0.05
