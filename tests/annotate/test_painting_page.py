"""The brush in a real browser: strokes by the mouse, Shift, keys, undo, and what is read of it afterwards."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.annotate.conftest import opened
from tests.browser import Page, browsing, require_browser, serving
from warpgrasp.data.recording import HAND, OBJECT
from warpgrasp.hand.model import HandModel

require_browser()
pytestmark = pytest.mark.slow


def at(page: Page, u: float, v: float) -> list[float]:
    """The window's place of a pixel of the small recording's picture."""
    return page.screen(np.array([(u - 31.5) / 60, (v - 23.5) / 60, 1.0])).tolist()


def drag(page: Page, painted: Callable[[tuple[int, int]], bool], *pixels: tuple[int, int]) -> None:
    """Press at the first pixel, go by the others, and let go at the last.

    The browser tells of the first place, of the last, and of twenty a second at most between: a busy one leaves out
    a corner that is not waited for.
    """
    mouse = page.page.mouse
    mouse.move(*at(page, *pixels[0]))
    mouse.down()
    for pixel in pixels[1:-1]:
        mouse.move(*at(page, *pixel), steps=4)
        page.until(lambda pixel=pixel: painted(pixel), f"paint at {pixel}")
    mouse.move(*at(page, *pixels[-1]), steps=4)
    mouse.up()


def test_a_mask_is_painted_undone_and_saved(folder: Path, hand: HandModel) -> None:
    with browsing(1280, 900) as browse, serving(folder) as server:
        page = browse(server.address)
        before = page.still_picture()
        page.press("Shift+P")
        page.until_said(r"Paint the object: drag over the picture.* brush of 0\.5 px")
        for radius in ("1", "1.5", "2"):
            page.press("g")
            page.until_said(rf"brush of {radius} px")
        drag(page, lambda at: saved(folder)[at[::-1]] == OBJECT, (12, 10), (52, 10), (52, 38), (12, 38), (12, 11))
        page.until(lambda: (saved(folder) == OBJECT)[12:37, 14:51].all(), "a filled mask")
        u, v = (round(value) for value in at(page, 30, 24))
        page.until(lambda: page.picture()[v, u, 2] > before[v, u, 2] + 30, "blue over the picture")
        page.page.keyboard.down("Shift")
        drag(page, lambda at: True, (32, 5), (32, 44))
        page.page.keyboard.up("Shift")
        page.until(lambda: not (saved(folder) == OBJECT)[11:38, 31:34].any(), "what Shift erases")
        page.press("Backspace")
        page.until(lambda: (saved(folder) == OBJECT)[12:37, 31:34].all(), "the stroke to be taken back")
        page.press("Shift+P")
        page.until_said(r"Paint the hand")
        page.page.mouse.click(*at(page, 5, 44))
        page.until(lambda: (saved(folder) == HAND).any(), "a dab")
        assert page.at_camera()  # drags have not turned the view
        page.press("Shift+X")
        page.until_said(r"Erase the hand")
        page.press("Delete")
        page.until(lambda: not (saved(folder) == HAND).any(), "the hand's mask to be cleared")
        page.press("Escape")
        page.until(lambda: "Erase the hand" not in page.text(), "painting to end")
        page.until_said(r"✓ saved at")
        assert page.complaints == []
    state = opened(folder, hand)
    assert state.current.mask is not None
    assert (state.current.mask.labels == OBJECT)[12:37, 14:51].all()
    with browsing() as browse, serving(folder, "--read-only") as server:
        page = browse(server.address)
        page.press("b")
        page.until(lambda: not page.is_shown("/hand/surface"), "hiding")
        page.picture_after("Shift+B", page.still_picture())  # an outline goes
        page.press("Shift+P")
        page.until_said(r"this recording is open for reading only")
        assert page.complaints == []


def saved(folder: Path) -> np.ndarray:
    """The mask of the first frame on the disk, read once, whatever the page writes meanwhile; nothing before it is."""
    try:
        return np.array(Image.open(folder / "masks" / "000000.png"))
    except FileNotFoundError:
        return np.zeros((48, 64), np.uint8)
