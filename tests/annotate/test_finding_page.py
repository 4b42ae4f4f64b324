"""Finding the hand in a real browser: by the key, in a drawn box, and where it is seen in the video."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.annotate.conftest import opened
from tests.annotate.shipped_recording import shipped_dataset, shipped_recording, true_joints
from tests.browser import browsing, require_browser, serving
from warpgrasp.data import Dataset
from warpgrasp.data.recording.annotations import read_annotations
from warpgrasp.hand.model import HandModel

require_browser()
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory, hand: HandModel) -> Dataset:
    return shipped_dataset(tmp_path_factory.mktemp("shipped") / "sample", hand)


@pytest.fixture
def recording(dataset: Dataset, tmp_path: Path) -> Path:
    """60 frames, a label at 0; frames 40 to 59 are grey."""
    folder = shipped_recording(dataset, tmp_path / "shipped", labels=(0,))
    for number in range(40, 60):
        Image.new("RGB", (320, 240), (128, 128, 128)).save(folder / "frames" / f"{number:06d}.png")
    return folder


def test_a_hand_is_found_corrected_and_saved(recording: Path, hand: HandModel, dataset: Dataset) -> None:
    with browsing(1280, 900) as browse, serving(recording) as server:
        page = browse(server.address)
        page.page.get_by_text("in new frames too").click()  # off
        for frame in (10, 20, 30):
            page.press("Shift+PageDown")
            page.until_said(rf"frame {frame} · not begun")
        copied = page.pose("/hand")
        page.press("m")
        page.until_said(r"hand found, score [01]\.\d\d, right; of the size in frame 0; the object moved with it")
        page.until_said(r"frame 30 · draft")
        found = page.pose("/hand")
        assert np.linalg.norm(found[1] - copied[1]) > 0.01
        page.press("u")
        page.until(lambda: np.allclose(page.pose("/hand")[1], copied[1], atol=1e-6), "the hand to go back")
        page.press("r")
        page.until(lambda: np.allclose(page.pose("/hand")[1], found[1], atol=1e-6), "the hand to come again")
        page.press("l")
        page.until_said(r"frame 30 · label")
        page.until_said(r"✓ saved at")
        assert page.complaints == []
    assert [label.frame for label in read_annotations(recording).labels] == [0, 30]
    state = opened(recording, hand)
    saved = state.annotation(30).hand_joints.numpy()
    assert np.linalg.norm(saved - true_joints(dataset, 30), axis=1).mean() < 0.025


def test_where_the_hand_is_seen_and_a_box(recording: Path, hand: HandModel, dataset: Dataset) -> None:
    with browsing(1280, 900) as browse, serving(recording) as server:
        page = browse(server.address)
        page.page.get_by_role("button", name="Find the hand in every frame").click()
        page.until_said(r"no hand is seen in 20 of 60 frames: 40 to 59")
        for frame in (10, 20, 30, 40, 50):
            page.press("Shift+PageDown")
            page.until_said(rf"frame {frame} · not begun")
        page.press("m")
        page.until_said(r"no hand is found in this picture")
        page.until_said(r"Click on one corner of a box")
        for frame in (40, 30, 20, 10, 0):
            page.press("Shift+PageUp")
            page.until_said(rf"frame {frame} · ")
        page.until_said(r"frame 0 · label")
        page.page.get_by_role("button", name="box", exact=True).click()
        page.until_said(r"Click on one corner of a box")
        joints = true_joints(dataset, 0)
        pixels = joints[:, :2] / joints[:, 2:]
        first, opposite = (
            page.screen(np.array([*corner, 1.0]) * 0.5).tolist() for corner in (pixels.min(axis=0), pixels.max(axis=0))
        )
        page.page.mouse.click(*first)
        page.until_said(r"Click on the opposite corner of a box")
        page.page.mouse.click(*opposite)
        page.until_said(r"hand found, score [01]\.\d\d, right; its size, and with it its depth, is a guess")
        page.until_said(r"frame 0 · draft")
        assert page.complaints == []
    shutil.rmtree(recording)
