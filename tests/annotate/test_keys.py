"""Keys of the annotation page act in the order in which they are pressed, however quickly."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence

import pytest

pytest.importorskip("viser", reason="needs the extra `viewer`")

import viser

from tests.annotate.conftest import said_by
from warpgrasp.annotate.controls import connect
from warpgrasp.annotate.page import AnnotatePage
from warpgrasp.errors import UserError

PATIENCE_S = 30


def press(page: AnnotatePage, labels: Sequence[str]) -> None:
    """Trigger commands as viser does when messages of a browser come in, one right after the other."""
    gui = page.server.gui
    handles = {handle.label: uuid for uuid, handle in gui._command_handle_from_uuid.items()}

    async def triggered() -> None:
        for label in labels:
            await gui._handle_command_trigger(0, viser._messages.CommandTriggerMessage(handles[label]))

    asyncio.run_coroutine_threadsafe(triggered(), page.server.get_event_loop()).result(timeout=PATIENCE_S)


def until(true: Callable[[], bool]) -> None:
    """Wait for something."""
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def connected(page: AnnotatePage, monkeypatch: pytest.MonkeyPatch) -> AnnotatePage:
    """The page with its keys, and somebody who presses them."""
    connect(page)
    monkeypatch.setattr(page.server.gui, "_resolve_client", lambda _: object())
    return page


def test_short_keys_act_in_order(connected: AnnotatePage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the first takes longest: in threads of their own the others would overtake it."""
    pauses, taken = [0.3, 0.1, 0.0, 0.0], list[str]()
    real = AnnotatePage.act

    def slow_act(page: AnnotatePage, action: Callable[[], None]) -> None:
        time.sleep(pauses.pop(0))
        taken.append(page.moved)
        real(page, action)

    monkeypatch.setattr(AnnotatePage, "act", slow_act)
    press(connected, ["Move the hand", "Move nothing", "Move the object", "Move the hand"])
    until(lambda: len(taken) == 4)
    assert [*taken, connected.moved] == ["object", "hand", "nothing", "object", "hand"]


def test_a_slow_key_holds_up_no_other(connected: AnnotatePage, monkeypatch: pytest.MonkeyPatch) -> None:
    held, begun = threading.Event(), threading.Event()

    def read(_: int) -> None:
        begun.set()
        held.wait(PATIENCE_S)
        raise UserError("expected a picture")

    monkeypatch.setattr(connected, "read", read)
    try:
        press(connected, ["Refine by the colours of the nearest label", "Move the hand"])
        assert begun.wait(PATIENCE_S)
        assert connected.moved == "hand"
    finally:
        held.set()
    until(lambda: "expected a picture" in said_by(connected))


def test_a_key_that_means_a_step_is_one_in_order(connected: AnnotatePage) -> None:
    """K goes to the next label; between Shift+O and Escape it moves the object."""
    start = connected.state.current.object_centre
    press(connected, ["Move the object by keys, in steps", "Next label", "Next label", "Stop clicking"])
    assert connected.state.current.object_centre[1] - start[1] == pytest.approx(0.004)
    assert connected.state.frame == 0
    press(connected, ["Next label"])
    until(lambda: connected.state.frame == 3)


def test_the_other_hand_is_hidden_by_a_key_where_there_is_one(connected: AnnotatePage) -> None:
    press(connected, ["Hide or show the other hand"])
    assert "this recording is of one hand" in said_by(connected)
    assert not connected.panel.ghost.visible
    assert connected.panel.ghost.value
