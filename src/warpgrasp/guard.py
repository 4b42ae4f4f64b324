"""Access to the local web servers: only pages of the server itself, opened by its secret address, are answered.

A server on the loopback interface is open to every program of the machine and, through the browser, to every web page.
So each address begins with a random token, and requests of pages must come from a page of this very server. What one
connection, and all of them together, may take of the machine is bounded here for both servers.
"""

import contextlib
import hmac
import ipaddress
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

TOKEN_BYTES = 24
LOOPBACK = ("localhost", "127.0.0.1", "::1")
# The page loads nothing from elsewhere and tells its address nobody.
HEADERS = {
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9._-]{1,253}))(?::[0-9]{1,5})?", re.ASCII)

MOST_CONNECTIONS = 320  # at once; further ones are closed at once
LARGEST_REQUEST_BYTES = 16_384  # its line and its headers; a browser's have about 1000
LARGEST_MESSAGE_BYTES = 1 << 20  # of a WebSocket; the page's own have some hundred
IDLE_S = 10.0  # until a request is there whole; a browser opens another connection when it needs one
SENDING_S = 30.0  # until an answer is taken
MOST_PER_S = 200.0  # requests or messages of one connection in the long run; a faster one waits
BURST = 400.0  # of them at once


def new_token() -> str:
    """A secret that cannot be guessed."""
    return secrets.token_urlsafe(TOKEN_BYTES)


@dataclass(frozen=True)
class Guard:
    """The rule by which a server that listens on `host` answers requests, or refuses them."""

    token: str = field(repr=False)
    host: str

    def refusal(
        self, path: str, *, hosts: Sequence[str], origins: Sequence[str], upgrades: Sequence[str]
    ) -> str | None:
        """Why a request with these headers is refused, or None when it is answered."""
        token = path.split("?")[0].removeprefix("/").split("/")[0]
        if not hmac.compare_digest(token.encode(errors="backslashreplace"), self.token.encode()):
            return "the address lacks the token that was printed"
        # Exactly one: of two, programs on the way may believe different ones.
        if len(hosts) != 1 or not self._is_mine(hosts[0]):
            return "the server is not called by its own name"
        if any("websocket" in value.lower() for value in upgrades) and not origins:
            return "a WebSocket must say from which page it comes"
        if any(origin not in (f"http://{hosts[0]}", f"https://{hosts[0]}") for origin in origins):
            return "the request comes from another page"
        return None

    def _is_mine(self, host: str) -> bool:
        """Whether a host is a name of the server: its own, or any when it listens to the whole network."""
        found = HOST.fullmatch(host)
        if found is None:
            return False
        name = (found[1] or found[2]).lower()
        return name in LOOPBACK or name == self.host.lower() or is_wildcard(self.host)

    def inner_path(self, path: str) -> str:
        """The path without the token."""
        return path.removeprefix(f"/{self.token}") or "/"


class Pace:
    """How fast one connection asks."""

    def __init__(self) -> None:
        self._due_s = 0.0

    def wait_s(self) -> float:
        """Count a request; for how long it must wait so that there are no more than `MOST_PER_S`, after a burst."""
        now = time.monotonic()
        self._due_s = max(self._due_s, now - BURST / MOST_PER_S) + 1 / MOST_PER_S
        return max(0.0, self._due_s - now)


def is_wildcard(host: str) -> bool:
    """Whether a host stands for all addresses of the machine."""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_unspecified
    return host == ""


def is_loopback(host: str) -> bool:
    """Whether a host is reached from this machine alone."""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def address_of(guard: Guard, port: int) -> str:
    """The address of the server's page, with the token."""
    name = "localhost" if is_wildcard(guard.host) else f"[{guard.host}]" if ":" in guard.host else guard.host
    return f"http://{name}:{port}/{guard.token}/"
