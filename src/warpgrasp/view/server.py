"""The server of a page and, when the page asks, of its frames: only the frames that are looked at are read."""

import errno
import io
import re
import socket
import sys
import threading
import time
from http import HTTPStatus
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from warpgrasp.errors import UserError
from warpgrasp.guard import (
    HEADERS,
    IDLE_S,
    LARGEST_REQUEST_BYTES,
    MOST_CONNECTIONS,
    SENDING_S,
    Guard,
    Pace,
    address_of,
    new_token,
)
from warpgrasp.plain_text import line
from warpgrasp.view.content import Background, ViewContent
from warpgrasp.view.page import SERVED_POLICY, frame_bytes, frame_picture, served_page

PORTS_TRIED = 20
FRAME = re.compile(r"/frame/([0-9]{1,9})\.(bin|(picture|residual|flow)\.jpg)", re.ASCII)
# The page itself states most of it; some browsers heed the server's headers alone.
POLICY = SERVED_POLICY + "; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"

TEXT = "text/plain; charset=utf-8"

Answer = tuple[HTTPStatus, str, bytes]


class FrameServer(ThreadingHTTPServer):
    """Serves the page of a sequence, and its frames. Nothing else is served, and no name in a request is a file's.

    Each connection has a thread, and one request at a time; its limits are those of `guard`.
    """

    daemon_threads = True
    request_queue_size = MOST_CONNECTIONS

    def __init__(self, content: ViewContent, *, host: str = "127.0.0.1", port: int = 8080, width: int = 960):
        """Listen on `port`, or on the next free one. Raises `UserError` when none is."""
        self.guard = Guard(new_token(), host)
        self._content, self._width = content, width
        self._page = served_page(content).encode()
        self._free = threading.BoundedSemaphore(MOST_CONNECTIONS)
        # Videos are decoded in their order by one decoder, and PyTorch is better used by one thread at a time.
        self._lock = threading.Lock()
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        for candidate in [port] if port == 0 else range(port, min(port + PORTS_TRIED, 65536)):
            try:
                super().__init__((host, candidate), _Handler)
                return
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise UserError(
                        f"expected an address of this machine to serve at, got {host}: {error}; choose another --host "
                        f"or --port"
                    ) from error
        raise UserError(f"expected a free port from {port} on at {host}, found none; choose another --port")

    @property
    def frame_count(self) -> int:
        """How many frames the sequence has."""
        return len(self._content.indices)

    @property
    def address(self) -> str:
        """The page's address, with the token."""
        return address_of(self.guard, self.server_port)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give a connection its thread, unless there are as many as there may be."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no more threads
            self._free.release()
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer a connection, and make room for another."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a browser that went away before it had its answer, or of one that sends no request."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError | HTTPException):
            super().handle_error(request, client_address)

    def answer(self, path: str) -> Answer:
        """The answer to a request for a path behind the token."""
        if path == "/":
            return HTTPStatus.OK, "text/html; charset=utf-8", self._page
        asked = FRAME.fullmatch(path)
        if asked is None or int(asked[1]) >= self.frame_count:
            return HTTPStatus.NOT_FOUND, TEXT, b"There is no such frame.\n"
        position, kind = int(asked[1]), asked[3]
        if kind is not None and kind not in self._content.backgrounds:
            return HTTPStatus.NOT_FOUND, TEXT, b"There is no such picture.\n"
        with self._lock:
            if kind is None:
                return HTTPStatus.OK, "application/octet-stream", frame_bytes(self._content, position)
            picture = frame_picture(self._content, position, cast(Background, kind), self._width)
            return HTTPStatus.OK, "image/jpeg", picture


class _Incoming(io.RawIOBase):
    """What a connection sends: each request by its time, and of its size, or an error."""

    def __init__(self, connection: socket.socket):
        self._connection = connection
        self._end_s, self._left_bytes = 0.0, 0

    def expect_request(self) -> None:
        """From now on another request is awaited."""
        self._end_s, self._left_bytes = time.monotonic() + IDLE_S, LARGEST_REQUEST_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left_s = self._end_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("a request did not come whole in time")
        if self._left_bytes <= 0:
            raise HTTPException("a request is too large")
        self._connection.settimeout(left_s)
        count = self._connection.recv_into(memoryview(buffer)[: self._left_bytes])
        self._left_bytes -= count
        return count


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "warpgrasp", ""
    error_content_type, error_message_format = TEXT, "%(code)d %(message)s\n"

    def setup(self) -> None:
        super().setup()
        self.rfile.close()
        self._incoming, self._pace = _Incoming(self.connection), Pace()
        self.rfile = io.BufferedReader(self._incoming)

    def handle_one_request(self) -> None:
        self._incoming.expect_request()
        super().handle_one_request()

    def do_GET(self) -> None:
        server = cast(FrameServer, self.server)
        if self.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in self.headers:
            self.close_connection = True
            self._send(HTTPStatus.BAD_REQUEST, TEXT, b"A request for a frame has no body.\n")
            return
        time.sleep(self._pace.wait_s())
        hosts, origins, upgrades = (self.headers.get_all(name) or [] for name in ("Host", "Origin", "Upgrade"))
        path = self.path.split("?")[0]
        refusal = server.guard.refusal(path, hosts=hosts, origins=origins, upgrades=upgrades)
        if refusal is not None:
            self._send(HTTPStatus.FORBIDDEN, TEXT, f"Refused: {refusal}.\n".encode())
            return
        if path == f"/{server.guard.token}":  # the page's own requests are relative to the slash
            self._send(HTTPStatus.PERMANENT_REDIRECT, TEXT, b"", Location=f"{path}/")
            return
        try:
            answer = server.answer(server.guard.inner_path(path))
        except UserError as error:  # a picture that cannot be read
            answer = HTTPStatus.INTERNAL_SERVER_ERROR, TEXT, f"{line(error)}\n".encode()
        self._send(*answer)

    def _send(self, status: HTTPStatus, kind: str, body: bytes, **more: str) -> None:
        self.connection.settimeout(SENDING_S)
        self.send_response(status)
        about = {"Content-Security-Policy": POLICY, "Content-Type": kind, "Content-Length": str(len(body))}
        for name, value in {**HEADERS, **about, **more}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing: a line for each frame would bury the address."""
