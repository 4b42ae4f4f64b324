import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib.resources import as_file
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from warpgrasp.data.sample.files import SHIPPED
from warpgrasp.errors import DataError
from warpgrasp.keypoints import DETECTORS, DetectorSettings, HandBox, KeypointDetector, MediaPipeDetector
from warpgrasp.keypoints.mediapipe import _decoded_palms, _distinct_palms
from warpgrasp.registry import RegistryError

REFERENCE = json.loads((Path(__file__).parents[1] / "golden" / "keypoints.json").read_text())["pictures"]


def shipped(*names: str) -> np.ndarray:
    with as_file(SHIPPED) as path, zipfile.ZipFile(path) as archive:
        return np.stack([np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB")) for name in names])


@pytest.fixture(scope="module")
def detector() -> MediaPipeDetector:
    return MediaPipeDetector()


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return shipped("train/CB2/rgb/0025.jpg")[0]


def test_it_agrees_with_the_reference_implementation(detector: MediaPipeDetector) -> None:
    """Its own results on a dozen of the shipped pictures: joints, depths and sides."""
    answers = detector.detect(shipped(*REFERENCE))
    assert [len(hands) for hands in answers] == [1] * len(REFERENCE)
    hands = [hand for picture_hands in answers for hand in picture_hands]
    expected = torch.tensor([values["joints_px"] for values in REFERENCE.values()])
    distance = (torch.stack([hand.joints_px for hand in hands]) - expected).norm(dim=-1)
    assert float(distance.median()) < 0.8
    assert float(distance.median(dim=1).values.max()) < 1.2
    depth = torch.tensor([values["depth_px"] for values in REFERENCE.values()])
    off = torch.stack([hand.relative_depth_px for hand in hands]) - (depth - depth[:, :1])
    assert float(off.abs().median()) < 1.5
    assert float(depth.std()) > 10  # so that this says something
    assert [hand.side for hand in hands] == ["right"] * len(hands)  # MediaPipe says "Left" unless it is a mirror
    assert {values["label_if_mirrored"] for values in REFERENCE.values()} == {"Left"}


def test_a_mirrored_picture_shows_the_mirrored_left_hand(detector: MediaPipeDetector, picture: np.ndarray) -> None:
    pair = np.stack([picture, picture[:, ::-1]])
    (straight,), (mirrored,) = detector.detect(pair)
    assert (straight.side, mirrored.side) == ("right", "left")
    back = mirrored.joints_px.clone()
    back[:, 0] = picture.shape[1] - 1 - back[:, 0]
    assert float((back - straight.joints_px).norm(dim=1).median()) < 3


def test_both_hands_of_a_picture(detector: MediaPipeDetector, picture: np.ndarray) -> None:
    """A picture beside its mirror image has two hands; one is asked for, and one is given."""
    pair = np.concatenate([picture, picture[:, ::-1]], axis=1)[None]
    hands = detector.detect(pair)[0]
    assert sorted(hand.side for hand in hands) == ["left", "right"]
    assert len(MediaPipeDetector(DetectorSettings(most_hands=1)).detect(pair)[0]) == 1


def test_a_picture_without_a_hand(detector: MediaPipeDetector) -> None:
    grey = np.full((2, 60, 80, 3), 128, np.uint8)
    whole = HandBox((39.5, 29.5), 80.0, 0.0)
    assert detector.detect(grey) == [[], []]
    assert detector.detect(grey, [[whole], []]) == [[], []]
    assert list(detector.track(iter(grey))) == [[], []]
    assert detector.detect(grey[:0]) == []


def test_a_box_without_a_turn_is_turned(detector: MediaPipeDetector, picture: np.ndarray) -> None:
    searched = detector.detect(picture[None])[0][0]
    upside_down = np.ascontiguousarray(picture[::-1, ::-1])
    height, width, _ = picture.shape
    x, y = searched.box.centre_px
    (drawn,) = detector.detect(
        upside_down[None], [[HandBox((width - 1 - x, height - 1 - y), searched.box.side_px, None)]]
    )[0]
    back = torch.tensor([width - 1.0, height - 1.0]) - drawn.joints_px
    assert float((back - searched.joints_px).norm(dim=1).median()) < 3


def test_joints_outside_of_the_picture_have_no_confidence(detector: MediaPipeDetector, picture: np.ndarray) -> None:
    searched = detector.detect(picture[None])[0][0]
    cut = int(searched.joints_px[:, 0].median())
    x, y = searched.box.centre_px
    (hand,) = detector.detect(
        picture[None, :, cut:], [[HandBox((x - cut, y), searched.box.side_px, searched.box.turn)]]
    )[0]
    outside = hand.joints_px[:, 0] < -0.5
    assert outside.any()
    assert not outside.all()
    assert (hand.confidence[outside] == 0).all()
    torch.testing.assert_close(hand.confidence[~outside], torch.full((int((~outside).sum()),), hand.presence))


def test_batches_change_nothing(picture: np.ndarray, detector: MediaPipeDetector) -> None:
    pictures = np.stack([picture, picture[:, ::-1], np.roll(picture, 9, axis=1)])
    batched = MediaPipeDetector(DetectorSettings(batch_size=2)).detect(pictures)
    for hands, others in zip(detector.detect(pictures), batched, strict=True):
        torch.testing.assert_close(hands[0].joints_px, others[0].joints_px, atol=0.02, rtol=0)


def moving(picture: np.ndarray, steps: int) -> Iterator[np.ndarray]:
    for step in range(steps):
        yield np.roll(picture, (step, 2 * step), axis=(0, 1))


def test_a_hand_is_followed_without_a_search(picture: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture that moves by 2 px to the right and 1 px down each frame; the palm is searched for once."""
    detector = MediaPipeDetector(DetectorSettings(most_hands=1))
    searches = []
    search = detector.palm_boxes
    monkeypatch.setattr(detector, "palm_boxes", lambda pictures: searches.append(1) or search(pictures))
    frames = [hands[0].joints_px for hands in detector.track(moving(picture, 6))]
    assert len(searches) == 1
    way = torch.stack([joints - frames[0] for joints in frames]).median(dim=1).values
    expected = torch.arange(6.0)[:, None] * torch.tensor([2.0, 1.0])
    torch.testing.assert_close(way, expected, atol=1.5, rtol=0)


def test_a_lost_hand_is_searched_again(picture: np.ndarray) -> None:
    detector = MediaPipeDetector(DetectorSettings(most_hands=1))
    grey = np.full_like(picture, 128)
    flipped = np.ascontiguousarray(picture[:, ::-1])
    answers = list(detector.track([picture, picture, grey, flipped]))
    assert [len(hands) for hands in answers] == [1, 1, 0, 1]
    assert [answers[1][0].side, answers[3][0].side] == ["right", "left"]


@pytest.mark.slow
def test_the_memory_of_tracking_does_not_grow() -> None:
    """Fifteen hundred frames in a process of their own: its peak is that of the first five hundred, to 2 MB."""
    script = """
import resource, sys, numpy as np, torch
from tests.keypoints.test_mediapipe import moving, shipped
from warpgrasp.keypoints import DetectorSettings, MediaPipeDetector
torch.set_num_threads(1)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
picture = shipped("train/CB2/rgb/0025.jpg")[0][40:200, 60:272]
seen = 0
for number, hands in enumerate(MediaPipeDetector(DetectorSettings(search_period=100)).track(moving(picture, 1_500))):
    seen += bool(hands)
    if number == 500:
        before = peak()
print(seen, peak() - before)
"""
    ended = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    seen, grown_mb = map(float, ended.stdout.split())
    assert seen > 750
    assert grown_mb < 2


def test_tracking_starts_from_a_box(picture: np.ndarray, detector: MediaPipeDetector) -> None:
    box = detector.detect(picture[None])[0][0].box
    one = MediaPipeDetector(DetectorSettings(most_hands=1))
    (hands,) = one.track([picture], [HandBox(box.centre_px, box.side_px, None)])
    assert float((hands[0].joints_px - detector.detect(picture[None])[0][0].joints_px).norm(dim=1).median()) < 4


def test_boxes_must_be_given_for_each_picture(detector: MediaPipeDetector, picture: np.ndarray) -> None:
    with pytest.raises(DataError, match="boxes for each of 1 pictures, got 2 lists"):
        detector.detect(picture[None], [[], []])


def test_pictures_too_large_are_refused(detector: MediaPipeDetector) -> None:
    with pytest.raises(DataError, match="at most 32766 pixels a side"):
        detector.detect(np.zeros((1, 1, 40_000, 3), np.uint8))


def test_overlapping_palms_become_their_weighted_mean() -> None:
    palm = np.zeros((9, 2))
    palm[1] = 1.0
    near, far, mean = (palm + np.array([shift, 0.0]) for shift in (0.2, 5.0, 0.2 * 0.6 / 1.5))
    distinct = _distinct_palms(np.stack([palm, near, far]), np.array([0.9, 0.6, 0.5]))
    np.testing.assert_allclose(distinct, [mean, far])


def test_a_palm_is_decoded_about_its_anchor() -> None:
    """The second of the two places of the cell in row 0 and column 1, of 8 of the 192 pixels."""
    logits, values = np.full(2016, -5.0), np.zeros((2016, 18))
    logits[3] = 2.0
    values[3, :6] = [1.2, 2.4, 9.6, 19.2, 3.6, 4.8]
    palms, scores = _decoded_palms(values, logits)
    assert scores == pytest.approx([1 / (1 + np.exp(-2))])
    centre, half_size = np.array([12.0 + 1.2, 4.0 + 2.4]), np.array([4.8, 9.6])
    np.testing.assert_allclose(palms[0, :3] * 192, [centre - half_size, centre + half_size, [15.6, 8.8]])


def test_the_registry() -> None:
    assert DETECTORS["mediapipe"] is MediaPipeDetector
    with pytest.raises(RegistryError, match="as the keypoint detector, got 'eagle'"):
        DETECTORS["eagle"]


def test_it_is_a_detector(detector: MediaPipeDetector) -> None:
    assert isinstance(detector, KeypointDetector)
    assert detector.identity != MediaPipeDetector(DetectorSettings(most_hands=1)).identity
