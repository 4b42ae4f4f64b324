"""The second hand of a recording labelled in a real browser, beside the ghost of the first."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.annotate.conftest import opened
from tests.browser import browsing, require_browser, serving
from warpgrasp.data.recording import read_annotations
from warpgrasp.hand import HandModel

require_browser()
pytestmark = pytest.mark.slow

PURPLE = np.array([170, 90, 230])


def test_the_left_hand_is_labelled_beside_the_right_ones_ghost(folder: Path, hand: HandModel) -> None:
    before = {label.frame: label for label in read_annotations(folder).labels}
    where = opened(folder, hand).annotation(0).hand_joints[9].double().numpy()  # the base of the middle finger
    with browsing() as browse, serving(folder, "--hands", "both", "--side", "left") as server:
        page = browse(server.address)
        page.until_said(r"edits the left hand · right hand: 2 labels: 0, 3")
        page.until(lambda: page.is_shown("/other hand"), "the ghost")
        x, y = page.screen(where).round().astype(int)
        with_ghost = page.still_picture()
        page.press("Shift+Y")
        page.until(lambda: not page.is_shown("/other hand"), "the ghost to go")
        without = page.still_picture(lambda picture: np.abs(picture - with_ghost).max() > 60)
        change = (with_ghost - without)[y, x]
        assert np.linalg.norm(with_ghost[y, x] - PURPLE) < np.linalg.norm(without[y, x] - PURPLE)
        assert np.abs(change).max() > 30
        page.press("Shift+Y")
        page.until(lambda: page.is_shown("/other hand"), "the ghost to come again")
        page.press("Shift+H")
        page.press("j")  # the left hand alone, to the left
        page.press("Escape")
        page.press("l")
        page.until_said(r"frame 0 · label")
        page.press("PageDown")
        page.until_said(r"frame 1 · not begun")
        page.until(lambda: not page.is_shown("/other hand"), "no ghost without a label")
        page.press("l")
        page.until_said(r"2 labels: 0, 1")
        page.until_said(r"✓ saved at")
        assert page.complaints == []
    found = read_annotations(folder)
    assert found.other is not None
    assert [label.frame for label in found.labels] == [0, 3]
    assert [label.frame for label in found.other.labels] == [0, 1]
    for label in found.labels:
        np.testing.assert_array_equal(label.hand.pose, before[label.frame].hand.pose)
        np.testing.assert_array_equal(label.object_translation, before[label.frame].object_translation)
    written = json.loads((folder / "annotations.json").read_text())
    assert [sorted(frame["hands"]) for frame in written["frames"]] == [["left", "right"], ["left"], ["right"]]
