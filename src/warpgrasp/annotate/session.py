"""One sitting of the annotation page: the lock, viser's server behind a guard, the page, and their end.

A server on the loopback interface is open to every program of the machine and, through the browser, to every web page:
WebSockets know no same-origin rule. So each address begins with a random token, and a WebSocket must come from a page
of this very server. viser has no such check; its one server, for pages and WebSockets alike, is made by
`websockets.asyncio.server.serve`, whose hook for requests is wrapped here while viser starts. The guard is tried out
before the address is given away: there is no server with a viser in which the hook does not work.
"""

import contextlib
import http.client
import os
import signal
import threading
import webbrowser
from collections.abc import Callable, Iterator
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

import viser
import websockets.asyncio.server
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from warpgrasp.annotate.controls import connect
from warpgrasp.annotate.page import AnnotatePage
from warpgrasp.annotate.state import AnnotationState
from warpgrasp.data.recording import Recording, open_footage
from warpgrasp.errors import DataError, UserError
from warpgrasp.files import LockedError, exclusive
from warpgrasp.guard import HEADERS, Guard, address_of, is_loopback, is_wildcard, new_token
from warpgrasp.hand import HandModel
from warpgrasp.refinement import scanned_positions, small_grey, travelled_px

LOCK_FILE = ".annotate.lock"
POLICY = (
    "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; connect-src 'self' ws://{host} wss://{host} data: "
    "blob:; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
)
RequestHook = Callable[[ServerConnection, Request], Response | None]


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
    with contextlib.ExitStack() as until_the_end:
        stop = until_the_end.enter_context(_told_to_stop())
        read_only = read_only or _write_lock(recording.folder, until_the_end)
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


@contextlib.contextmanager
def _told_to_stop() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set while the block runs."""
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _write_lock(folder: Path, held: contextlib.ExitStack) -> str | None:
    """Hold the right to write the recording's labels until `held` is closed, or say why nobody here may write."""
    try:
        held.enter_context(exclusive(folder / LOCK_FILE, "{holder} is annotating it"))
    except LockedError as error:
        return str(error)
    except OSError as error:
        return f"{folder} cannot be written ({error.strerror})"
    return None


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


def hook_of(guard: Guard, inner: RequestHook) -> RequestHook:
    """The hook that refuses, or passes on to viser's own."""

    def answer(connection: ServerConnection, request: Request) -> Response | None:
        hosts, origins, upgrades = (request.headers.get_all(name) for name in ("Host", "Origin", "Upgrade"))
        refusal = guard.refusal(request.path, hosts=hosts, origins=origins, upgrades=upgrades)
        if refusal is not None:
            body = f"Refused: {refusal}.\n".encode()
            headers = Headers({"Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(body))})
            return Response(HTTPStatus.FORBIDDEN, "Forbidden", headers, body)
        response = inner(connection, replace(request, path=guard.inner_path(request.path)))
        if response is not None:
            policy = POLICY.format(host=hosts[0])
            response.headers.update({**HEADERS, "Content-Security-Policy": policy})
        return response

    return answer


class GuardedServer(viser.ViserServer):
    """viser's server with a token in its address; it is never shared through other people's servers."""

    def __init__(self, host: str = "127.0.0.1", port: int = 8080):
        """Listen on `port`, or on the next free one. Raises `UserError` when viser cannot be guarded."""
        self.guard = Guard(new_token(), host)
        with _hooked(self.guard), open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            super().__init__(host=host, port=port, verbose=False)  # prints an address without the token
        try:
            self._try_the_guard()
        except BaseException:
            self.stop()
            raise

    def request_share_url(self, verbose: bool = True) -> str | None:
        """Nothing: viser's tunnel would show the recording to the world."""
        return None

    @property
    def address(self) -> str:
        """The page's address, with the token."""
        return address_of(self.guard, self.get_port())

    def _try_the_guard(self) -> None:
        port, mine = self.get_port(), f"/{self.guard.token}/"
        name = f"localhost:{port}"
        upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
        upgrade["Sec-WebSocket-Key"] = "AAAAAAAAAAAAAAAAAAAAAA=="
        tried = [
            ("/", {"Host": name}, HTTPStatus.FORBIDDEN),
            ("/", {"Host": name, "Origin": f"http://{name}", **upgrade}, HTTPStatus.FORBIDDEN),
            (mine, {"Host": name, "Origin": "http://example.org", **upgrade}, HTTPStatus.FORBIDDEN),
            (mine, {"Host": name}, HTTPStatus.OK),
        ]
        reached = "localhost" if is_wildcard(self.guard.host) else self.guard.host
        for path, headers, wanted in tried:
            connection = http.client.HTTPConnection(reached, port, timeout=10)
            try:
                connection.request("GET", path, headers=headers)
                answered = connection.getresponse().status
            except (OSError, http.client.HTTPException) as error:
                answered = error
            finally:
                connection.close()
            if answered != wanted:
                raise UserError(
                    f"expected a viser whose server can be guarded, found that viser {viser.__version__} answers "
                    f"{answered} instead of {wanted.value}; install the version that constraints.txt names"
                )


@contextlib.contextmanager
def _hooked(guard: Guard) -> Iterator[None]:
    """While it lasts, servers that are made get the guard before their own hook."""
    real = websockets.asyncio.server.serve

    def serve(*positional: Any, process_request: RequestHook, **named: Any) -> Any:
        return real(*positional, process_request=hook_of(guard, process_request), **named)

    websockets.asyncio.server.serve = serve  # type: ignore[misc, assignment]  # a class that is called like a function
    try:
        yield
    finally:
        websockets.asyncio.server.serve = real  # type: ignore[misc]
