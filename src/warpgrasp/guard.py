"""Who may speak to a server: whoever knows the secret of its address, and no other web page.

A server on the loopback interface is open to every program of the machine and, through the browser, to every web page.
So each address begins with a random token, and what a page asks must be asked by a page of this very server.
"""

import contextlib
import hmac
import ipaddress
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

TOKEN_BYTES = 24
LOOPBACK = ("localhost", "127.0.0.1", "::1")
# The page holds everything that it needs: it loads nothing from elsewhere and tells its address nobody.
HEADERS = {
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


def new_token() -> str:
    """A secret that nobody guesses."""
    return secrets.token_urlsafe(TOKEN_BYTES)


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


def address_of(guard: Guard, port: int) -> str:
    """A page's address, with the token."""
    name = "localhost" if is_wildcard(guard.host) else f"[{guard.host}]" if ":" in guard.host else guard.host
    return f"http://{name}:{port}/{guard.token}/"
