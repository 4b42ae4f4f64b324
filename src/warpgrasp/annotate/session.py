"""One sitting of the annotation page: the lock, viser's server behind a guard, the page, and their end.

A server on the loopback interface is open to every program of the machine and, through the browser, to every web page:
WebSockets know no same-origin rule. So each address begins with a random token, and a WebSocket must come from a page
of this very server. viser has no such check; its one server, for pages and WebSockets alike, is made by
`websockets.asyncio.server.serve`, whose hook for requests is wrapped here while viser starts. The guard is tried out
before the address is given away: there is no server with a viser in which the hook does not work.
"""

import asyncio
import contextlib
import gzip
import http.client
import logging
import os
import re
import secrets
import signal
import threading
import weakref
import webbrowser
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

import viser
import websockets.asyncio.server
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.http11 import Request, Response

from warpgrasp.annotate.controls import connect
from warpgrasp.annotate.page import AnnotatePage
from warpgrasp.annotate.predicted import PredictedPoses
from warpgrasp.annotate.state import AnnotationState
from warpgrasp.annotate.store import writing_alone
from warpgrasp.data.recording import Masks, Recording, open_footage
from warpgrasp.errors import DataError, UserError
from warpgrasp.guard import (
    HEADERS,
    IDLE_S,
    LARGEST_MESSAGE_BYTES,
    LARGEST_REQUEST_BYTES,
    MOST_CONNECTIONS,
    Guard,
    Pace,
    address_of,
    is_loopback,
    is_wildcard,
    new_token,
)
from warpgrasp.hand import HandModel
from warpgrasp.locks import LockedError
from warpgrasp.predictions import Predictions
from warpgrasp.progress import notice
from warpgrasp.refinement import scanned_positions, scanned_video
from warpgrasp.signals import not_ignored

# Nothing is loaded from elsewhere, and no script runs but viser's own, which alone knows the nonce: no handler of an
# event in any markup, no address that is a script. Texts are not evaluated: viser's sorter of Gaussian splats, which is
# not needed here, would.
POLICY = (
    "default-src 'none'; script-src 'nonce-{nonce}' 'wasm-unsafe-eval'; style-src 'unsafe-inline'; img-src 'self' "
    "data: blob:; font-src 'self' data:; connect-src 'self' ws://{host} wss://{host} data: blob:; worker-src blob: "
    "data:; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
)
OPENED_SCRIPT = re.compile(rb"<script(?=[\s>])")
# viser's page is packed: its one script unpacks another and adds that to the page. That one gets the nonce, too.
FIRST_SCRIPT = (
    '<script nonce="{nonce}">{{const make = document.createElement; document.createElement = function (name, ...rest) '
    "{{ const made = make.call(document, name, ...rest); if (String(name).toLowerCase() === 'script') {{ "
    "made.nonce = '{nonce}'; document.createElement = make; }} return made; }};}}</script>"
)
TRYING_S = 60.0  # for an answer while the guard is tried out, on a machine that may be busy
CLOSING_S = 1.0  # for a browser to say goodbye; Ctrl+C waits no longer
RequestHook = Callable[[ServerConnection, Request], Response | None]
Handler = Callable[[ServerConnection], Awaitable[None]]


def serve(
    recording: Recording,
    hand: HandModel,
    *,
    host: str,
    port: int,
    read_only: str | None,
    open_browser: bool,
    predictions: Predictions | None = None,
    masks: Masks | None = None,
    say: Callable[[str], None],
) -> None:
    """Serve the annotation page of a recording until the process is told to stop (SIGINT, SIGTERM or SIGHUP).

    Grasps of `predictions` may be copied, and refining goes by `masks`. The recording is open for reading only when
    `read_only` says why, or when somebody else is writing it. Raises `UserError` when its labels or drafts are broken,
    and `OSError` when the last changes cannot be written.
    """
    with contextlib.ExitStack() as until_the_end:
        stop = until_the_end.enter_context(_told_to_stop())
        read_only = read_only or _write_lock(recording.folder, until_the_end)
        state = AnnotationState(recording, hand, read_only=read_only, masks=masks)
        server = GuardedServer(host, port)
        predicted = None if predictions is None else PredictedPoses(predictions, hand)
        page = AnnotatePage(server, state, predicted=predicted)
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
    """An event that the signals to stop set while the block runs."""
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in not_ignored()}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _write_lock(folder: Path, held: contextlib.ExitStack) -> str | None:
    """Hold the right to write the recording's labels until `held` is closed, or say why nobody here may write."""
    try:
        held.enter_context(writing_alone(folder, "{holder} is annotating it"))
    except LockedError as error:
        return str(error)
    except OSError as error:
        return f"{folder} cannot be written ({error.strerror})"
    return None


def _scan(recording: Recording, page: AnnotatePage) -> None:
    """Measure how the picture moves and how sharp it is, by a decoder of its own, for the suggestions."""
    footage = open_footage(recording.folder)
    numbers = footage.numbers
    positions = scanned_positions(len(numbers))
    try:
        pictures = (footage.picture(numbers[position]) for position in positions)
        page.set_scanned(scanned_video(positions, pictures, len(numbers)))
    except DataError:  # a damaged frame: suggestions count frames then; the frame itself says so when it is shown
        return
    finally:
        footage.close()


class BoundedConnection(ServerConnection):
    """A connection that takes no more than the limits of `guard`; one that goes beyond ends, and no other with it."""

    def __init__(self, *positional: Any, **named: Any):
        super().__init__(*positional, **named)
        self._pace, self._request_bytes = Pace(), 0

    @property
    def is_ending(self) -> bool:
        """Whether it is answered and waits, for `CLOSING_S` at most, that the browser ends it, too."""
        return self.response is not None and self.response.status_code != HTTPStatus.SWITCHING_PROTOCOLS

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, unless there are as many connections as there may be."""
        super().connection_made(transport)
        connections = self.server.handlers
        ending = sum(connection.is_ending for connection in connections if isinstance(connection, BoundedConnection))
        if len(connections) - ending > MOST_CONNECTIONS or ending > MOST_CONNECTIONS:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take what has come, unless a request grows too large."""
        if self.request is None:
            self._request_bytes += len(data)
            if self._request_bytes > LARGEST_REQUEST_BYTES:
                self.transport.abort()
                return
        super().data_received(data)

    def give_up(self) -> None:
        """End at once, unless there is somebody to say goodbye to."""
        if self.request is None:
            self.transport.abort()

    async def recv(self, decode: bool | None = None) -> Any:
        """The next message, in its time. The page sends bytes alone; a text ends the connection."""
        message = await super().recv(decode)
        await asyncio.sleep(self._pace.wait_s())
        if isinstance(message, str):
            await self.close(CloseCode.UNSUPPORTED_DATA, "texts are not understood")
            return await super().recv(decode)  # raises that it is closed
        return message


def handler_of(inner: Handler) -> Handler:
    """viser's handler of a connection, which ends with its connection when a message is none of viser's."""

    async def handle(connection: ServerConnection) -> None:
        try:
            await inner(connection)
        except ConnectionClosed:
            raise
        except Exception as error:
            notice(f"a browser's connection was ended: a message is not understood ({type(error).__name__})")
            await connection.close(CloseCode.INVALID_DATA, "a message is not understood")

    return handle


def with_nonce(page: bytes, nonce: str, *, packed: bool) -> bytes:
    """viser's page, whose scripts run under `POLICY`."""
    plain = gzip.decompress(page) if packed else page
    opened = f'{FIRST_SCRIPT.format(nonce=nonce)}<script nonce="{nonce}"'.encode()
    plain = OPENED_SCRIPT.sub(lambda _: opened, plain, count=1)
    return gzip.compress(plain) if packed else plain


def hook_of(guard: Guard, inner: RequestHook) -> RequestHook:
    """The hook that refuses, or passes on to viser's own."""
    nonce, pages = secrets.token_urlsafe(), dict[bool, bytes]()

    def admit(response: Response) -> None:
        """Let the scripts of a page run."""
        packed = response.headers.get("Content-Encoding") == "gzip"
        if packed not in pages:
            pages[packed] = with_nonce(bytes(response.body), nonce, packed=packed)
        response.body = pages[packed]
        del response.headers["Content-Length"]
        response.headers["Content-Length"] = str(len(response.body))

    def answer(connection: ServerConnection, request: Request) -> Response | None:
        hosts, origins, upgrades = (request.headers.get_all(name) for name in ("Host", "Origin", "Upgrade"))
        refusal = guard.refusal(request.path, hosts=hosts, origins=origins, upgrades=upgrades)
        if refusal is not None:
            body = f"Refused: {refusal}.\n".encode()
            headers = Headers({"Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(body))})
            return Response(HTTPStatus.FORBIDDEN, "Forbidden", headers, body)
        response = inner(connection, replace(request, path=guard.inner_path(request.path)))
        if response is not None:
            policy = POLICY.format(host=hosts[0], nonce=nonce)
            if response.headers.get("Content-Type", "").startswith("text/html"):
                admit(response)
            response.headers.update({**HEADERS, "Content-Security-Policy": policy})
        return response

    return answer


class GuardedServer(viser.ViserServer):
    """viser's server with a token in its address; it is never shared through other people's servers."""

    def __init__(self, host: str = "127.0.0.1", port: int = 8080):
        """Listen on `port`, or on the next free one. Raises `UserError` when viser cannot be guarded."""
        self.guard = Guard(new_token(), host)
        self._connections = weakref.WeakSet[BoundedConnection]()
        with (
            _hooked(self.guard, self._connections),
            open(os.devnull, "w") as nowhere,
            contextlib.redirect_stdout(nowhere),
        ):
            super().__init__(host=host, port=port, verbose=False)  # prints an address without the token
        try:
            self._try_the_guard()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End all connections, and the server. Those that have not sent their whole request are not waited for."""
        for connection in list(self._connections):
            connection.loop.call_soon_threadsafe(connection.give_up)
        super().stop()

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
            connection = http.client.HTTPConnection(reached, port, timeout=TRYING_S)
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
def _hooked(guard: Guard, connections: "weakref.WeakSet[BoundedConnection]") -> Iterator[None]:
    """While it lasts, servers that are made get the guard before their own hook, and put down their connections."""
    real = websockets.asyncio.server.serve

    quiet = logging.getLogger("warpgrasp.annotate")
    quiet.addHandler(logging.NullHandler())
    quiet.propagate = False  # what cannot be read of a request may hold the token

    def connection_of(*positional: Any, **named: Any) -> BoundedConnection:
        made = BoundedConnection(*positional, **named)
        connections.add(made)
        return made

    def serve(handler: Handler, *positional: Any, process_request: RequestHook, **named: Any) -> Any:
        bounds = {"max_size": LARGEST_MESSAGE_BYTES, "open_timeout": IDLE_S, "close_timeout": CLOSING_S}
        bounds["backlog"] = MOST_CONNECTIONS
        hooks = {"create_connection": connection_of, "process_request": hook_of(guard, process_request)}
        return real(handler_of(handler), *positional, **{**named, **bounds, **hooks, "logger": quiet})

    websockets.asyncio.server.serve = serve  # type: ignore[misc, assignment]  # a class that is called like a function
    try:
        yield
    finally:
        websockets.asyncio.server.serve = real  # type: ignore[misc]
