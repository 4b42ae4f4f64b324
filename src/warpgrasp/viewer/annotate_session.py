"""One sitting: the lock, the server, the page, and their end."""

import signal
import threading
import webbrowser
from collections.abc import Callable

from warpgrasp.data import DataError
from warpgrasp.data.recording.folder import Recording
from warpgrasp.data.recording.footage import open_footage
from warpgrasp.hand import HandModel
from warpgrasp.viewer.annotate_controls import connect
from warpgrasp.viewer.annotate_page import AnnotatePage
from warpgrasp.viewer.annotation_state import AnnotationState
from warpgrasp.viewer.guard import is_loopback
from warpgrasp.viewer.guarded_server import GuardedServer
from warpgrasp.viewer.suggestion import scanned_positions, small_grey, travelled_px
from warpgrasp.viewer.writer_lock import take_writer_lock


def serve(
    recording: Recording,
    hand: HandModel,
    *,
    host: str,
    port: int,
    read_only: str | None,
    open_browser: bool,
    say: Callable[[str], None],
) -> None:
    """Serve the annotation page of a recording until the process is told to stop (SIGINT or SIGTERM).

    The recording is open for reading only when `read_only` says why, or when somebody else is writing it. Raises
    `UserError` when its labels or drafts are broken, and `OSError` when the last changes cannot be written.
    """
    lock = None
    if read_only is None:
        taken = take_writer_lock(recording.folder)
        lock, read_only = (None, taken) if isinstance(taken, str) else (taken, None)
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        state = AnnotationState(recording, hand, read_only=read_only)
        server = GuardedServer(host, port)
        page = AnnotatePage(server, state)
        connect(page)
        if not is_loopback(host):
            say(f"warning: listening on {host}: whoever gets the address may write, and it is sent unencrypted")
        if read_only is not None:
            say(f"read only: {read_only}")
        say(f"annotate {recording.folder} at {server.address} (Ctrl+C ends it)")
        if open_browser:
            webbrowser.open(server.address)
        threading.Thread(target=_scan, args=(recording, page), daemon=True).start()
        stop.wait()
        page.close()
        server.stop()
        labels, drafts = len(state.labelled), len(state.drafted)
        say(f"{labels} labels, {drafts} drafts in {recording.folder}")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if lock is not None:
            lock.release()


def _scan(recording: Recording, page: AnnotatePage) -> None:
    """Measure how the picture moves, by a decoder of its own, for the suggestions."""
    footage = open_footage(recording.folder)
    numbers = footage.numbers
    positions = scanned_positions(len(numbers))
    try:
        greys = (small_grey(footage.picture(numbers[position])) for position in positions)
        page.set_travelled(travelled_px(positions, greys, len(numbers)))
    except DataError:  # a damaged frame: suggestions count frames then; the frame itself says so when it is shown
        return
    finally:
        footage.close()
