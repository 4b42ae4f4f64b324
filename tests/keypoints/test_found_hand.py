"""The hand of a picture from nothing, on the first frame of every shipped sequence, and what is said without one."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from tests.keypoints.hands_at import hand_at
from warpgrasp.data import Dataset, mirrored_camera, open_dataset
from warpgrasp.data.sample import unpack_shipped
from warpgrasp.frame import Annotation
from warpgrasp.geometry import Camera
from warpgrasp.hand import ExpectedHand, FitError, HandModel, fit_hand, left_hand
from warpgrasp.keypoints import (
    FoundHand,
    HandBox,
    MediaPipeDetector,
    find_hand,
    hand_from_keypoints,
    joint_misses_m,
    usual_offsets,
)

# The mean distance of the 21 joints in the first frame of each shipped sequence, measured, in pixels and in millimetres
# (docs/annotate.md shows them); in 320×240 pixels.
MEASURED = {
    "MB1": (4.1, 62),
    "MB2": (3.4, 14),
    "MB3": (2.1, 52),
    "MB4": (4.2, 12),
    "CB1": (8.7, 219),  # a hand behind a box, taken for a left one: its score is 0.68, that of the others 0.86 and more
    "CB2": (4.6, 49),
    "CB3": (3.9, 13),
    "CB4": (4.4, 17),
    "MBE1": (2.5, 44),
    "MBE2": (2.8, 18),
    "MBE3": (4.5, 15),
    "CBE1": (3.6, 39),
    "CBE2": (3.3, 13),
    "CBE3": (4.3, 14),
}


@dataclass(frozen=True)
class First:
    """The first frame of a shipped sequence, and the hand found in it."""

    picture: np.ndarray
    camera: Camera
    annotation: Annotation
    found: FoundHand


@pytest.fixture(scope="module")
def detector() -> MediaPipeDetector:
    return MediaPipeDetector()


class Firsts(dict[str, First]):
    """The first frames by the names of their sequences, each read when it is asked for first."""

    def __init__(self, dataset: Dataset, detector: MediaPipeDetector):
        names = [*dataset.names("evaluation"), *dataset.names("train")]
        self._names = {name.sequence: name for name in reversed(names)}
        self._dataset, self._detector = dataset, detector

    def __missing__(self, sequence: str) -> First:
        frame = self._dataset.frame(self._names[sequence], annotated=True)
        picture = np.ascontiguousarray(frame.picture.permute(1, 2, 0).numpy())
        seen = find_hand(self._detector, picture, "right")
        assert seen is not None
        assert frame.annotation is not None
        self[sequence] = First(picture, frame.camera, frame.annotation, seen)
        return self[sequence]

    @property
    def sequences(self) -> set[str]:
        """All of them."""
        return set(self._names)


@pytest.fixture(scope="module")
def firsts(tmp_path_factory: pytest.TempPathFactory, hand: HandModel, detector: MediaPipeDetector) -> Firsts:
    root = unpack_shipped(tmp_path_factory.mktemp("shipped") / "sample")
    return Firsts(open_dataset(root, hand), detector)


def errors(first: First, joints: torch.Tensor) -> tuple[float, float]:
    """The mean distance of joints from the annotated ones, in pixels and in millimetres."""
    true = first.annotation.hand_joints
    px = (first.camera.project(joints) - first.camera.project(true)).norm(dim=-1).mean()
    return float(px), float(1000 * (joints - true).norm(dim=-1).mean())


@pytest.mark.slow
def test_the_hand_of_every_shipped_sequence(firsts: Firsts, hand: HandModel) -> None:
    assert firsts.sequences == MEASURED.keys()
    got = {}
    for sequence in MEASURED:
        first = firsts[sequence]
        fit = hand_from_keypoints(hand, first.found.keypoints, camera=first.camera, offsets=usual_offsets())
        got[sequence] = errors(first, fit.joints[0])
        assert got[sequence][0] < 10
        assert got[sequence] == pytest.approx(MEASURED[sequence], rel=0.1, abs=1.0), sequence
        assert first.found.looks_like_the_other == (sequence == "CB1")
        assert (first.found.score > 0.8) == (sequence != "CB1")
    mean_px, mean_mm = np.mean(list(got.values()), axis=0)
    assert mean_px < 4.5
    assert mean_mm < 45


def test_a_known_size_tells_the_depth(firsts: Firsts, hand: HandModel) -> None:
    """The depth that was a guess: 52 mm off, and 25 with the hand's shape known, as from a label."""
    first = firsts["MB3"]
    known = ExpectedHand(fit_hand(hand, first.annotation.hand_joints[None]).shape)
    fit = hand_from_keypoints(hand, first.found.keypoints, camera=first.camera, offsets=usual_offsets(), expected=known)
    assert errors(first, fit.joints[0])[1] < 30
    torch.testing.assert_close(fit.shape, known.shape, rtol=0, atol=0.02)


def test_a_left_hand_is_the_mirrored_right_one(firsts: Firsts, hand: HandModel, detector: MediaPipeDetector) -> None:
    first = firsts["MBE2"]
    found = find_hand(detector, np.ascontiguousarray(first.picture[:, ::-1]), "left")
    assert found is not None
    assert found.score > 0.8
    camera, offsets = mirrored_camera(first.camera), usual_offsets("left")
    fit = hand_from_keypoints(left_hand(hand), found.keypoints, camera=camera, offsets=offsets)
    px, mm = errors(first, fit.joints[0] * torch.tensor([-1.0, 1, 1]))
    assert px < 4
    assert mm < 30


def test_a_left_hand_where_a_right_one_was_asked_for(firsts: Firsts, detector: MediaPipeDetector) -> None:
    found = find_hand(detector, np.ascontiguousarray(firsts["MBE2"].picture[:, ::-1]), "right")
    assert found is not None
    assert found.looks_like_the_other


def test_no_hand(detector: MediaPipeDetector) -> None:
    grey = np.full((60, 80, 3), 128, np.uint8)
    assert find_hand(detector, grey, "right") is None
    assert find_hand(detector, grey, "right", box=HandBox((40.0, 30.0), 40.0, None)) is None


def test_a_box_says_where_to_look(firsts: Firsts, detector: MediaPipeDetector) -> None:
    """Of two hands the one in the box, though its side be the other's."""
    first = firsts["MBE2"]
    pair = np.concatenate([first.picture, first.picture[:, ::-1]], axis=1)
    width, (x, y) = first.picture.shape[1], first.found.keypoints.box.centre_px
    box = HandBox((2 * width - 1 - x, y), first.found.keypoints.box.side_px, None)
    found = find_hand(detector, np.ascontiguousarray(pair), "right", box=box)
    assert found is not None
    assert float(found.keypoints.joints_px[:, 0].mean()) > width
    without = find_hand(detector, np.ascontiguousarray(pair), "right")
    assert without is not None
    assert float(without.keypoints.joints_px[:, 0].mean()) < width


def test_misses_are_zero_where_the_detector_sees_the_hand(firsts: Firsts) -> None:
    """The annotated joints themselves, seen with their offsets, and 10 mm beside them."""
    first = firsts["MB1"]
    joints, rotation = first.annotation.hand_joints[None], first.annotation.hand_rotation
    assert rotation is not None
    offsets = usual_offsets()
    seen = first.camera.project(offsets.apply(joints, rotation[None]))[0]
    keypoints = hand_at(0, 0)
    keypoints = type(keypoints)(seen, keypoints.confidence, 1.0, 1.0, keypoints.relative_depth_px, keypoints.box)
    shifted = torch.cat([joints, joints + torch.tensor([0.01, 0, 0]), joints - torch.tensor([0, 0, 1.0])])
    missed = joint_misses_m(shifted, rotation.expand(3, 3, 3), keypoints, camera=first.camera, offsets=offsets)
    assert float(missed[0]) == pytest.approx(0, abs=1e-6)
    assert float(missed[1]) == pytest.approx(0.01, rel=0.02)
    assert float(missed[2]) == float("inf")


def test_a_hand_outside_of_the_picture_is_refused(hand: HandModel, firsts: Firsts) -> None:
    keypoints = hand_at(50, 60)
    outside = type(keypoints)(
        keypoints.joints_px, torch.zeros(21), 0.9, 0.9, keypoints.relative_depth_px, keypoints.box
    )
    with pytest.raises(FitError, match="at least 6 joints of the hand in the picture, got 0"):
        hand_from_keypoints(hand, outside, camera=firsts["MB1"].camera, offsets=usual_offsets())
