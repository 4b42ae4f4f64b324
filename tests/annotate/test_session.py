"""The server answers nobody who lacks the token, nor a WebSocket of another page; it serves its page and no file."""

import base64
import http.client
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("viser", reason="needs the extra `viewer`")

import websockets.asyncio.server

from warpgrasp.annotate import session as guarded_server
from warpgrasp.annotate.session import GuardedServer
from warpgrasp.errors import UserError
from warpgrasp.guard import Guard, is_loopback, is_wildcard

KEY = base64.b64encode(bytes(16)).decode()
VERSION = "viser-v1.1.1"


@pytest.fixture(scope="module")
def server() -> Iterator[GuardedServer]:
    made = GuardedServer(port=0)
    yield made
    made.stop()


def status(server: GuardedServer, path: str, headers: dict[str, str] | None = None, method: str = "GET") -> int:
    return answer(server, path, headers, method)[0]


def answer(
    server: GuardedServer, path: str, headers: dict[str, str] | None = None, method: str = "GET"
) -> tuple[int, bytes]:
    """The raw request that any program could send."""
    own = {"Host": f"127.0.0.1:{server.get_port()}", **(headers or {})}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in own.items() if value), "", ""]
    with socket.create_connection(("127.0.0.1", server.get_port()), timeout=60) as connection:
        connection.sendall("\r\n".join(lines).encode())
        response = http.client.HTTPResponse(connection)
        response.begin()
        if response.status == 101:
            return 101, b""
        return response.status, response.read()


def upgrade(origin: str | None) -> dict[str, str]:
    headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    headers |= {"Sec-WebSocket-Key": KEY, "Sec-WebSocket-Protocol": VERSION}
    return headers if origin is None else {**headers, "Origin": origin}


def test_the_page_is_served_with_the_token_alone(server: GuardedServer) -> None:
    token = server.guard.token
    code, page = answer(server, f"/{token}/")
    assert code == 200
    assert b"<title>Viser</title>" in page
    assert status(server, f"/{token}") == 200
    assert status(server, f"/{token}/?darkMode") == 200
    assert len(token) >= 32
    for path in ("/", "/index.html", "/wrong/", f"/{token[:-1]}/", f"/{token}x/", f"/?token={token}", f"//{token}/"):
        code, body = answer(server, path)
        assert code == 403, path
        assert body == b"Refused: the address lacks the token that was printed.\n"
        assert token.encode() not in body


def test_each_server_has_a_token_of_its_own(server: GuardedServer) -> None:
    other = GuardedServer(port=0)
    try:
        assert other.guard.token != server.guard.token
        assert status(other, f"/{server.guard.token}/") == 403
    finally:
        other.stop()


def test_a_websocket_must_come_from_the_page(server: GuardedServer) -> None:
    mine, own = f"/{server.guard.token}", f"http://127.0.0.1:{server.get_port()}"
    assert status(server, mine, upgrade(own)) == 101
    assert status(server, mine, upgrade("http://evil.example")) == 403
    assert status(server, mine, upgrade(f"http://127.0.0.1:{server.get_port() + 1}")) == 403
    assert status(server, mine, upgrade(f"{own}.evil.example")) == 403
    assert status(server, mine, upgrade("null")) == 403
    assert status(server, mine, upgrade(None)) == 403
    assert status(server, "/", upgrade(own)) == 403
    assert status(server, mine, {**upgrade("http://evil.example"), "Upgrade": "WebSocket"}) == 403


def test_other_pages_may_not_even_ask_for_the_page(server: GuardedServer) -> None:
    mine = f"/{server.guard.token}/"
    assert status(server, mine, {"Origin": "http://evil.example"}) == 403
    assert status(server, mine, {"Origin": f"http://127.0.0.1:{server.get_port()}"}) == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "", "localhost@evil"])
def test_the_server_is_called_by_its_own_name(server: GuardedServer, host: str) -> None:
    """Else a foreign page that points its own name to this machine would be of the same origin."""
    assert status(server, f"/{server.guard.token}/", {"Host": host}) == 403
    assert status(server, f"/{server.guard.token}", {**upgrade(f"http://{host}"), "Host": host}) == 403


def test_a_forwarded_port_works(server: GuardedServer) -> None:
    forwarded = {**upgrade("http://localhost:9999"), "Host": "localhost:9999"}
    assert status(server, f"/{server.guard.token}", forwarded) == 101


@pytest.mark.parametrize(
    "path",
    [
        "/../annotations.json",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/..%2f..%2fetc/passwd",
        "/..\\..\\etc\\passwd",
        "//etc/passwd",
        "/annotations.json",
        "/.annotate.lock",
        "/%00",
        "/file:///etc/passwd",
    ],
)
def test_no_file_is_served(server: GuardedServer, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "annotations.json").write_text("secret")
    monkeypatch.chdir(tmp_path)
    code, body = answer(server, f"/{server.guard.token}{path}")
    assert code in (400, 404, 500)
    assert b"secret" not in body
    assert b"root:" not in body


def test_nothing_is_loaded_from_elsewhere(server: GuardedServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.get_port(), timeout=60)
    connection.request("GET", f"/{server.guard.token}/")
    response = connection.getresponse()
    response.read()
    connection.close()
    policy = response.headers["Content-Security-Policy"]
    assert f"connect-src 'self' ws://127.0.0.1:{server.get_port()} wss://" in policy
    assert "frame-ancestors 'none'" in policy
    assert response.headers["Referrer-Policy"] == "no-referrer"


def test_the_server_listens_to_this_machine_alone(server: GuardedServer) -> None:
    listening = Path("/proc/net/tcp").read_text() if os.path.exists("/proc/net/tcp") else ""
    port = f":{server.get_port():04X} "
    addresses = {line.split()[1] for line in listening.splitlines() if port in line and " 0A " in line}
    assert addresses in (set(), {f"0100007F{port.strip()}"})


def test_it_is_never_shared(server: GuardedServer) -> None:
    assert server.request_share_url() is None


def test_a_viser_without_the_hook_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard is tried out: a server that answers without the token is not given away."""
    monkeypatch.setattr(guarded_server, "hook_of", lambda guard, inner: inner)
    with pytest.raises(
        UserError, match=r"a viser whose server can be guarded, found that viser \S+ answers 200 instead"
    ):
        GuardedServer(port=0)


def test_other_servers_keep_their_own_hooks(server: GuardedServer) -> None:
    assert isinstance(websockets.asyncio.server.serve, type)


def test_doubled_headers_are_refused() -> None:
    guard = Guard("secret", "127.0.0.1")
    plain = {"origins": [], "upgrades": []}
    assert guard.refusal("/secret/", hosts=["localhost:80"], **plain) is None
    told = guard.refusal("/secret/", hosts=["localhost:80", "evil.example"], **plain)
    assert told == "the server is not called by its own name"
    origins = ["http://localhost:80", "http://evil.example"]
    told = guard.refusal("/secret/", hosts=["localhost:80"], origins=origins, upgrades=["websocket"])
    assert told == "the request comes from another page"


@pytest.mark.parametrize(
    ("host", "loopback", "wildcard"),
    [
        ("127.0.0.1", True, False),
        ("localhost", True, False),
        ("::1", True, False),
        ("0.0.0.0", False, True),
        ("::", False, True),
        ("", False, True),
        ("192.168.0.7", False, False),
        ("workstation", False, False),
    ],
)
def test_hosts(host: str, loopback: bool, wildcard: bool) -> None:
    assert (is_loopback(host), is_wildcard(host)) == (loopback, wildcard)
    refusal = Guard("secret", host).refusal("/secret/", hosts=["somewhere.example:8080"], origins=[], upgrades=[])
    assert (refusal is None) == wildcard
