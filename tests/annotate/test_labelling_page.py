"""What makes a label quick, in a real browser: keys in steps, coupled parts, copied grasps, fits and refinements."""

from pathlib import Path

import numpy as np
import pytest

from tests.annotate.conftest import opened
from tests.annotate.shipped_recording import shipped_dataset, shipped_recording
from tests.browser import Page, browsing, require_browser, serving
from warpgrasp.hand.model import JOINTS, HandModel
from warpgrasp.hand.sizes import HandSizes

require_browser()
pytestmark = pytest.mark.slow


def until_moved(page: Page, before: np.ndarray, name: str, by: tuple[float, float, float]) -> None:
    page.until(lambda: np.allclose(page.pose(name)[1] - before, by, atol=1e-6), f"{name} to move by {by}")


def test_steps_coupled_parts_and_a_copied_grasp(folder: Path) -> None:
    with browsing(1280, 900) as browse, serving(folder) as server:
        page = browse(server.address)
        starts = {name: page.pose(name)[1] for name in ("/object", "/hand")}
        page.press("Shift+O")
        page.until_said(r"Keys move the object")
        page.press("l")
        until_moved(page, starts["/object"], "/object", (0.002, 0, 0))
        until_moved(page, starts["/hand"], "/hand", (0, 0, 0))
        page.press("y")
        page.until_said(r"hand and object move together")
        page.press("Shift+K")
        until_moved(page, starts["/object"], "/object", (0.002, 0.0005, 0))
        until_moved(page, starts["/hand"], "/hand", (0, 0.0005, 0))
        page.press("Escape")
        page.until(lambda: "Keys move" not in page.text(), "the steps to end")
        page.press("k")  # again the next label
        page.until_said(r"frame 3 · label")
        page.press("PageDown")
        page.until_said(r"frame 4 · not begun")
        page.page.get_by_role("button", name="both").first.click()
        page.until_said(r"the grasp of label 0 is copied")
        until_moved(page, starts["/object"], "/object", (0.002, 0.0005, 0))
        page.until_said(r"✓ saved at")
        assert page.complaints == []


def test_a_fit_says_what_it_keeps(folder: Path, hand: HandModel) -> None:
    joints = opened(folder, hand).annotation(0).hand_joints.double().numpy()
    with browsing() as browse, serving(folder) as server:
        page = browse(server.address)
        pixels = {name: page.screen(joints[JOINTS.index(name)]) for name in JOINTS[:7]}
        page.press("i")
        for number, name in enumerate(pixels):  # wrist, thumb, and the bases of the index finger
            page.until_said(rf"Click on {name} in the picture\. {number} of 21")
            page.page.mouse.click(*pixels[name].tolist())
        page.until_said(r"Click on index_3 in the picture\. 7 of 21")
        page.until_said(r"time here: \d:\d\d")
        page.page.get_by_role("button", name="Fit the hand to its joints").click()
        page.until_said(r"the hand is fitted: 0\.\d px from its joints .* kept as it was: middle, ring, little, shape")
        assert page.complaints == []


def test_a_first_frame_is_checked_off_and_the_hand_is_measured(folder: Path, hand: HandModel) -> None:
    (folder / "annotations.json").unlink()
    with browsing() as browse, serving(folder) as server:
        page = browse(server.address)
        page.until_said(r"First frame: 5 of 6 steps missing")
        page.press("t")
        page.until_said(r"☑ object placed")
        page.page.get_by_role("tab", name="shape").click()
        page.until_said(r"1: volume \+13 %, fingers \+9 %")
        label = page.page.get_by_text("length of the hand (mm)")
        field = page.page.locator(f'[id="{label.get_attribute("for")}"]')
        field.press("Control+a")
        for digit in "200":  # as a person types: the first digits are no length, and stay
            field.press(digit)
            page.page.wait_for_timeout(700)
        field.press("Enter")
        page.until_said(r"☑ size of the hand")
        page.press("l")
        page.until(lambda: "First frame" not in page.text(), "the list to go")
        page.until_said(r"✓ saved at")
        assert page.complaints == []
    assert HandSizes(hand).length_m(opened(folder, hand).current.shape) == pytest.approx(0.2, abs=1e-4)


def test_the_hand_is_refined_alone(tmp_path: Path, hand: HandModel) -> None:
    dataset = shipped_dataset(tmp_path / "sample", hand)
    with browsing() as browse, serving(shipped_recording(dataset, tmp_path / "shipped", labels=(0,))) as server:
        page = browse(server.address)
        page.page.get_by_text("in new frames too").click()  # off: a copy
        for frame in (1, 2):
            page.press("PageDown")
            page.until_said(rf"frame {frame} · not begun")
        before = page.pose("/hand")[1]
        page.press("h")
        page.until(lambda: not page.property("/hand", "disable_axes"), "handles of the hand")
        page.press("Shift+F")
        page.until_said(
            r"refined by frame 0, the hand alone: colour difference 0\.\d+ → 0\.\d+, over \d+ % of its surface; "
            r"the hand's joints moved by [1-9]\d*\.\d mm on average, the object by 0\.0 mm and 0\.0°; U takes it back"
        )
        assert np.linalg.norm(page.pose("/hand")[1] - before) > 5e-4
        page.press("u")
        page.until(lambda: np.allclose(page.pose("/hand")[1], before, atol=1e-6), "the hand to go back")
        assert page.complaints == []
