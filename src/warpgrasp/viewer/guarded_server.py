"""viser's server behind a guard: nothing is answered without the secret of the address, nor to other web pages.

A server on the loopback interface is open to every program of the machine and, through the browser, to every web page:
WebSockets know no same-origin rule. So each address begins with a random token, and a WebSocket must come from a page
of this very server. viser has no such check; its one server, for pages and WebSockets alike, is made by
`websockets.asyncio.server.serve`, whose hook for requests is wrapped here while viser starts. That this worked is
tried out before the address is given away: with another viser, in which it does not, there is no server.
"""

import contextlib
import hmac
import http.client
import ipaddress
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import viser
import websockets.asyncio.server
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from warpgrasp.errors import UserError

TOKEN_BYTES = 24
LOOPBACK = ("localhost", "127.0.0.1", "::1")
# The page holds everything that it needs: it loads nothing from elsewhere and tells its address nobody.
HEADERS = {
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
POLICY = (
    "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; connect-src 'self' ws://{host} wss://{host} data: "
    "blob:; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
)
RequestHook = Callable[[ServerConnection, Request], Response | None]


@dataclass(frozen=True)
class Guard:
    """Who may speak to a server that listens on `host`."""

    token: str
    host: str

    def refusal(
        self, path: str, *, hosts: Sequence[str], origins: Sequence[str], upgrades: Sequence[str]
    ) -> str | None:
        """Why a request with these headers is not answered, or None."""
        given = path.split("?")[0].removeprefix("/").split("/")[0]
        if not hmac.compare_digest(given.encode(), self.token.encode()):
            return "the address lacks the token that was printed"
        # Once: of two, two programs may believe different ones.
        if len(hosts) != 1 or not self._is_mine(hosts[0]):
            return "the server is not called by its own name"
        if any("websocket" in value.lower() for value in upgrades) and not origins:
            return "a WebSocket must say from which page it comes"
        if any(origin not in (f"http://{hosts[0]}", f"https://{hosts[0]}") for origin in origins):
            return "the request comes from another page"
        return None

    def _is_mine(self, host: str) -> bool:
        """Names by which the server is called: its own; any when it listens to the whole network."""
        name = urlsplit(f"//{host}").hostname
        return name in LOOPBACK or name == self.host or (name is not None and is_wildcard(self.host))

    def inner_path(self, path: str) -> str:
        """The path without the token."""
        return path.removeprefix(f"/{self.token}") or "/"

    def guarded(self, inner: RequestHook) -> RequestHook:
        """The hook that refuses, or passes on to viser's own."""

        def answer(connection: ServerConnection, request: Request) -> Response | None:
            hosts, origins, upgrades = (request.headers.get_all(name) for name in ("Host", "Origin", "Upgrade"))
            refusal = self.refusal(request.path, hosts=hosts, origins=origins, upgrades=upgrades)
            if refusal is not None:
                body = f"Refused: {refusal}.\n".encode()
                headers = Headers({"Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(body))})
                return Response(HTTPStatus.FORBIDDEN, "Forbidden", headers, body)
            response = inner(connection, replace(request, path=self.inner_path(request.path)))
            if response is not None:
                policy = POLICY.format(host=hosts[0])
                response.headers.update({**HEADERS, "Content-Security-Policy": policy})
            return response

        return answer


def is_wildcard(host: str) -> bool:
    """Whether a host stands for all of the machine's addresses."""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_unspecified
    return host == ""


def is_loopback(host: str) -> bool:
    """Whether a host is reached from this machine alone."""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


class GuardedServer(viser.ViserServer):
    """viser's server with a token in its address; it is never shared through other people's servers."""

    def __init__(self, host: str = "127.0.0.1", port: int = 8080):
        """Listen on `port`, or on the next free one. Raises `UserError` when viser cannot be guarded."""
        self.guard = Guard(secrets.token_urlsafe(TOKEN_BYTES), host)
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
        host = self.guard.host
        name = "localhost" if is_wildcard(host) else f"[{host}]" if ":" in host else host
        return f"http://{name}:{self.get_port()}/{self.guard.token}/"

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
                found = connection.getresponse().status
            except (OSError, http.client.HTTPException) as error:
                found = error
            finally:
                connection.close()
            if found != wanted:
                raise UserError(
                    f"expected a viser whose server can be guarded, found that viser {viser.__version__} answers "
                    f"{found} instead of {wanted.value}; install the version that constraints.txt names"
                )


@contextlib.contextmanager
def _hooked(guard: Guard) -> Iterator[None]:
    """While it lasts, servers that are made get the guard before their own hook."""
    real = websockets.asyncio.server.serve

    def serve(*positional: Any, process_request: RequestHook, **named: Any) -> Any:
        return real(*positional, process_request=guard.guarded(process_request), **named)

    websockets.asyncio.server.serve = serve  # type: ignore[misc, assignment]  # a class that is called like a function
    try:
        yield
    finally:
        websockets.asyncio.server.serve = real  # type: ignore[misc]
