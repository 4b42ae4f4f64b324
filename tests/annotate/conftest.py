"""A small recording to annotate."""

import asyncio
import html
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.data.recording.recording_files import write_recording
from warpgrasp.annotate.state import AnnotationState
from warpgrasp.data.recording.files import Recording
from warpgrasp.hand.model import HandModel

if TYPE_CHECKING:  # the page needs the extra `viewer`
    from warpgrasp.annotate.page import AnnotatePage


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A recording of five tiny frames, the wedge, labels at 0 and 3."""
    return write_recording(tmp_path / "small")


@pytest.fixture
def state(folder: Path, hand: HandModel) -> AnnotationState:
    """That recording, being annotated."""
    return opened(folder, hand)


@pytest.fixture
def page(state: AnnotationState) -> "Iterator[AnnotatePage]":
    """Its page."""
    with shown(state) as page:
        yield page


def opened(folder: Path, hand: HandModel, *, read_only: str | None = None) -> AnnotationState:
    """A recording, being annotated."""
    return AnnotationState(Recording.read(folder), hand, read_only=read_only)


@contextmanager
def shown(state: AnnotationState, **options: Any) -> "Iterator[AnnotatePage]":
    """The page of a recording, on a server that no browser has asked yet."""
    from warpgrasp.annotate.page import AnnotatePage
    from warpgrasp.annotate.session import GuardedServer

    server = GuardedServer(port=0)
    page = AnnotatePage(server, state, **options)
    try:
        yield page
    finally:
        page.close()
        # What a test has set on the page calls back on the server's loop: a loop that is stopped before would leave
        # that unawaited, which fails whichever test comes next.
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), server.get_event_loop()).result(timeout=30)
        server.stop()


def said_by(page: "AnnotatePage") -> str:
    """What the page's status says, as a reader sees it: names and errors stand in it as character references."""
    return html.unescape(page.panel.status.content)
