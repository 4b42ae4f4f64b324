"""Access to the local web servers: only pages of the server itself, opened by its secret address, are answered.

A server on the loopback interface is open to every program of the machine and, through the browser, to every web page.
So each address begins with a random token, and requests of pages must come from a page of this very server.
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
# The page loads nothing from elsewhere and tells its address nobody.
HEADERS = {
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


def new_token() -> str:
    """A secret that cannot be guessed."""
    return secrets.token_urlsafe(TOKEN_BYTES)


@dataclass(frozen=True)
class Guard:
    """The rule by which a server that listens on `host` answers requests, or refuses them."""

    token: str
    host: str

    def refusal(
        self, path: str, *, hosts: Sequence[str], origins: Sequence[str], upgrades: Sequence[str]
    ) -> str | None:
        """Why a request with these headers is refused, or None when it is answered."""
        token = path.split("?")[0].removeprefix("/").split("/")[0]
        if not hmac.compare_digest(token.encode(), self.token.encode()):
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
        name = urlsplit(f"//{host}").hostname
        return name in LOOPBACK or name == self.host or (name is not None and is_wildcard(self.host))

    def inner_path(self, path: str) -> str:
        """The path without the token."""
        return path.removeprefix(f"/{self.token}") or "/"


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
