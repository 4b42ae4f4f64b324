"""Hands of a user on mouse and keyboard of the annotation page: what they do is done in the browser, and counted.

The human part of the time is modelled by the Keystroke-Level Model (Card, Moran and Newell 1980, "The keystroke-level
model for user performance time with interactive systems", Communications of the ACM 23(7)), with its operators:
a key K, pointing P, a button of the mouse going down or up B, a hand that goes from mouse to keyboard or back H, and a
decision M. The page's part is measured by the clock: from before an input is sent until the page shows what it does.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from tests.browser import Page

KEY_S = 0.28  # K: an average non-secretary typist
POINT_S = 1.1  # P: to a target on the screen
BUTTON_S = 0.1  # B: down, or up
HOMING_S = 0.4  # H: a hand to the mouse or to the keyboard
MENTAL_S = 1.35  # M: mental preparation
WHEEL_S = POINT_S + 2 * BUTTON_S  # the model has no wheel: it counts as a click
REPEATED_S = 0.03  # a key that is held comes again so often
# A keyboard repeats, however busy the browser is; the driver's own keys wait until it has seen each of them.
REPEATED = """([key, times, everyMs]) => new Promise((done) => {
    let left = times;
    const code = "Key" + key.toUpperCase();
    const repeat = () => {
        if (left-- <= 0) { clearInterval(timer); done(); return; }
        const event = new KeyboardEvent("keydown", { key, code, repeat: true, bubbles: true, cancelable: true });
        document.body.dispatchEvent(event);
    };
    const timer = setInterval(repeat, everyMs);
})"""
Hand = Literal["mouse", "keyboard"]


@dataclass
class Effort:
    """What a label took."""

    clicks: int = 0
    keys: int = 0  # a held key is one, and so is a shifted one
    scrolls: int = 0  # of the panel
    switches: int = 0  # of the hand between mouse and keyboard
    decisions: int = 0
    page_s: float = 0.0

    @property
    def modelled_s(self) -> float:
        """The user's part, by the Keystroke-Level Model."""
        pointed = self.clicks * (POINT_S + 2 * BUTTON_S)
        typed = self.keys * KEY_S + self.scrolls * WHEEL_S
        return pointed + typed + self.switches * HOMING_S + self.decisions * MENTAL_S

    @property
    def row(self) -> dict[str, Any]:
        """All of it, with the times."""
        modelled, page = round(self.modelled_s, 1), round(self.page_s, 1)
        return {**asdict(self), "page_s": page, "modelled_s": modelled, "total_s": round(modelled + page, 1)}


class Operator:
    """Mouse and keyboard of one page. `effort` is what was done since it was set last."""

    def __init__(self, page: Page, generator: np.random.Generator, *, aim_px: float):
        """Clicks in the scene miss by `aim_px` pixels of the window (standard deviation, across and down)."""
        self.page, self.effort = page, Effort()
        self._generator, self._aim_px, self._hand = generator, aim_px, "mouse"

    def decide(self) -> None:
        """Look, and think of what comes next."""
        self.effort.decisions += 1

    def click(self, where: Float[np.ndarray, " 2"], until: Callable[[], Any], what: str) -> None:
        """Click in the scene, about there."""
        aimed = where + self._generator.normal(scale=self._aim_px, size=2)
        self._with("mouse")
        self.effort.clicks += 1
        self._timed(lambda: self.page.page.mouse.click(*aimed.tolist()), until, what)

    def key(self, name: str, until: Callable[[], Any], what: str) -> None:
        """Press a key."""
        self._with("keyboard")
        self.effort.keys += 1
        self._timed(lambda: self.page.press(name), until, what)

    def hold(self, name: str, times: int, until: Callable[[], Any], what: str) -> None:
        """Hold a key until it has come so often."""
        self._with("keyboard")
        self.effort.keys += 1
        keyboard = self.page.page.keyboard

        def held() -> None:
            """As the keyboard repeats it."""
            self.page.page.evaluate("document.activeElement && document.activeElement.blur()")
            keyboard.down(name)
            self.page.page.evaluate(REPEATED, [name, times - 1, 1000 * REPEATED_S])
            keyboard.up(name)

        self._timed(held, until, what)

    def type_into(self, label: str, text: str, until: Callable[[], Any], what: str) -> None:
        """Click into a field of the panel, select all of it, type, and press Enter."""
        self._click_element(self._field(label), lambda: True, label)
        self._with("keyboard")
        self.effort.keys += 2 + len(text)

        def typed() -> None:
            """Select, type, enter."""
            for key in ("Control+a", *text, "Enter"):
                self.page.page.keyboard.press(key)

        self._timed(typed, until, what)

    def choose(self, label: str, option: str, until: Callable[[], Any]) -> None:
        """Choose in a list of the panel: click on it, then on the option."""
        self._click_element(self._field(label), lambda: True, label)
        shown = self.page.page.get_by_role("option", name=option, exact=True)
        self._click_element(shown, until, f"{option} under {label}")

    def button(self, name: str, until: Callable[[], Any], what: str, *, role: Any = "button") -> None:
        """Click on a button of the panel, or on a tab of it."""
        self._click_element(self.page.page.get_by_role(role, name=name, exact=True), until, what)

    def wait(self, until: Callable[[], Any], what: str) -> None:
        """Wait for the page."""
        self._timed(lambda: None, until, what)

    def _field(self, label: str) -> Any:
        """The input of the panel with a label."""
        name = self.page.page.get_by_text(label, exact=True).get_attribute("for")
        return self.page.page.locator(f'input[id="{name}"]')

    def _click_element(self, element: Any, until: Callable[[], Any], what: str) -> None:
        self._with("mouse")
        if not self._is_in_window(element):
            self.effort.scrolls += 1
            element.scroll_into_view_if_needed()
        self.effort.clicks += 1
        self._timed(element.click, until, what)

    def _is_in_window(self, element: Any) -> bool:
        """Whether all of it is seen without scrolling the panel."""
        script = """element => {
            const box = element.getBoundingClientRect();
            const seen = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
            return seen !== null && (element.contains(seen) || seen.contains(element));
        }"""
        return element.evaluate(script)

    def _with(self, hand: Hand) -> None:
        if hand != self._hand:
            self.effort.switches += 1
            self._hand = hand

    def _timed(self, act: Callable[[], Any], until: Callable[[], Any], what: str) -> None:
        started = time.monotonic()
        act()
        self.page.until(until, what)
        self.effort.page_s += time.monotonic() - started
