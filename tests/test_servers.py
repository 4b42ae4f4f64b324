"""Both web servers against whoever can reach them: what one connection does ends that one alone, soon, and quietly."""

import contextlib
import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.browser import serving as annotating
from tests.data.damage import CORPUS_SHARES, mutated
from tests.data.recording.recording_files import write_recording
from tests.export.conftest import predicted  # noqa: F401 (a fixture)
from tests.export.predicted_sequences import predictions_by, sequence_of
from warpgrasp import guard
from warpgrasp.geometry import Camera
from warpgrasp.guard import Guard, Pace
from warpgrasp.hand import HandModel
from warpgrasp.view import FrameServer, ViewContent

pytest.importorskip("viser", reason="needs the extra `viewer`")

import viser
import websockets.sync.client as ws
from websockets.exceptions import ConnectionClosed
from websockets.sync.connection import Connection

from warpgrasp.annotate.session import GuardedServer

CAMERA = Camera(torch.tensor([[600.0, 0, 339.5], [0, 610.0, 219.5], [0, 0, 1]]), 640, 480)
PATIENCE_S = 120  # of a machine that may be busy
ROOT = Path(__file__).parents[1]


def attack(what: str) -> pytest.MarkDecorator:
    """What is done to a server, as docs/security.md counts it."""
    return pytest.mark.attack("servers", what)


@dataclass(frozen=True)
class Served:
    """A server that answers at a port of this machine."""

    port: int
    token: str

    def connected(self, sent: bytes = b"") -> socket.socket:
        made = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)
        made.sendall(sent)
        return made

    def request(self, *, path: str | None = None, host: str | None = None, more: str = "") -> bytes:
        path, host = path or f"/{self.token}/", host or f"127.0.0.1:{self.port}"
        return f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n".encode("latin-1")

    def answer(self, sent: bytes) -> bytes:
        """The first bytes of the answer; none where the connection is ended."""
        with self.connected(sent) as connection, contextlib.suppress(ConnectionError):
            return connection.recv(4096)
        return b""

    def status(self, sent: bytes) -> int:
        found = re.match(rb"HTTP/1.1 (\d+) ", self.answer(sent))
        return 0 if found is None else int(found[1])

    def page(self) -> bytes:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)) as connection:
            connection.request("GET", f"/{self.token}/")
            answer = connection.getresponse()
            assert answer.status == 200
            return answer.read()


Start = Callable[[], contextlib.AbstractContextManager[Served]]


@pytest.fixture(scope="module", params=["view", "annotate"])
def start(request: pytest.FixtureRequest, hand: HandModel) -> Start:
    """Starts one of the servers, from a thread of this process."""

    @contextlib.contextmanager
    def view() -> Iterator[Served]:
        white = (np.full((480, 640, 3), 255, np.uint8), CAMERA)
        content = ViewContent(sequence_of(hand, predictions_by(hand), pictures=lambda name: white, camera=CAMERA))
        with FrameServer(content, port=0, width=320) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
            thread.start()
            yield Served(server.server_port, server.guard.token)
            server.shutdown()
            thread.join()

    @contextlib.contextmanager
    def annotate() -> Iterator[Served]:
        server = GuardedServer(port=0)
        yield Served(server.get_port(), server.guard.token)
        server.stop()

    return {"view": view, "annotate": annotate}[request.param]


@pytest.fixture(scope="module")
def server(start: Start) -> Iterator[Served]:
    with start() as made:
        yield made


@pytest.fixture
def quiet(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """What a stranger sends is nothing that is printed or logged."""
    capfd.readouterr()
    yield
    out, error = capfd.readouterr()
    assert (out.replace("(viser) Server stopped\n", ""), error, caplog.text) == ("", "", "")


HOSTS = [
    "[::1",
    "[",
    "]",
    "::1",
    "[::1]x",
    "a b",
    "localhost:99999999",
    "localhost; script-src *",
    "@",
    "\xff",
    "[evil]",
]


@attack("a `Host` that is none")
@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.usefixtures("quiet")
def test_a_host_that_is_none(server: Served, host: str) -> None:
    assert server.status(server.request(host=host)) in (0, 400, 403)
    assert server.status(server.request(host=f"127.0.0.1:{server.port}")) == 200


MALFORMED = {
    "nothing known": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)) + b"\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "a version": b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
    "no name": b"GET / HTTP/1.1\r\n: x\r\n\r\n",
    "no colon": b"GET / HTTP/1.1\r\nHost\r\n\r\n",
    "only line ends": b"\r\n" * 50,
    "a long line": b"GET /" + b"a" * 60_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a long header": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 60_000 + b"\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
    "zeros": bytes(100_000),
}


@attack("a request that is none")
@pytest.mark.parametrize("sent", MALFORMED.values(), ids=list(MALFORMED))
@pytest.mark.usefixtures("quiet")
def test_a_request_that_is_none(server: Served, sent: bytes) -> None:
    with server.connected() as connection, contextlib.suppress(OSError):
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(4096)
        assert re.match(rb"HTTP/1.1 [45]\d\d |[45]\d\d |Refused: |$", answer), answer
        assert server.token.encode() not in answer
        while connection.recv(4096):
            pass
    assert server.page()


@attack("a request in a body")
@pytest.mark.usefixtures("quiet")
def test_a_body_is_no_second_request(server: Served) -> None:
    hidden = server.request()
    sent = server.request(more=f"Content-Length: {len(hidden)}\r\n") + hidden
    with server.connected(sent) as connection:
        received = b""
        with contextlib.suppress(ConnectionError):
            while part := connection.recv(65536):
                received += part
    assert received.count(b"HTTP/1.1 200") == 0
    assert server.page()


def is_open(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1) != b""
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


@pytest.mark.slow
@attack("requests that do not come whole")
@pytest.mark.usefixtures("quiet")
def test_half_a_request_ends_in_time(start: Start, monkeypatch) -> None:
    for module in ("view.server", "annotate.session"):
        monkeypatch.setattr(f"warpgrasp.{module}.IDLE_S", 3.0)  # as long as a busy machine takes for a whole request
    with start() as server:
        threads = threading.active_count()
        halves = [b"", b"GET", server.request()[:-2], b"GET / HTTP/1.1\r\nHost: localhost\r\n"]
        waiting = [server.connected(half) for half in halves * 5]
        end = time.monotonic() + PATIENCE_S
        with server.connected() as slow:  # a byte now and then keeps no connection open
            while is_open(slow):
                assert time.monotonic() < end
                with contextlib.suppress(ConnectionError):
                    slow.sendall(b"G")
                time.sleep(0.1)
        for connection in waiting:
            with contextlib.suppress(ConnectionError):
                assert connection.recv(1000) == b"" or connection.recv(1000) == b""
            connection.close()
        assert server.page()
        end = time.monotonic() + PATIENCE_S
        while threading.active_count() > threads + 2:  # of the page, a moment ago
            assert time.monotonic() < end
            time.sleep(0.05)


STRANGE_REQUESTS = [
    "POST {path} HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFF\r\n",
    "GET http://evil.example{path} HTTP/1.1\r\nHost: {host}\r\n\r\n",
    "GET {path} HTTP/1.1\r\nHost: {host}\r\nHost: evil.example\r\n\r\n",
    "GET {path}../../../etc/passwd HTTP/1.1\r\nHost: {host}\r\n\r\n",
    "GET {path}frame/0.bin%00 HTTP/1.1\r\nHost: {host}\r\nOrigin: null\r\n\r\n",
    "CONNECT evil.example:80 HTTP/1.1\r\nHost: {host}\r\nExpect: 100-continue\r\n\r\n",
    "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nOrigin: http://evil.example\r\n\r\n",
    "GET {path}frame/999999999.bin HTTP/1.1\r\nHost: {host}\r\nRange: bytes=0-1,5-\r\n\r\n",
]


@CORPUS_SHARES
@pytest.mark.usefixtures("quiet")
def test_spoilt_requests(server: Served, share: float, record_property) -> None:
    """Each is refused or answered, and its answer does not say the token to who does not know it."""
    random = np.random.default_rng(11)
    host, tried = f"127.0.0.1:{server.port}", round(300 * share)
    for number in range(tried):
        known = number % 3 == 0
        path = f"/{server.token}/" if known else "/a-token-that-is-none/"
        text = STRANGE_REQUESTS[number % len(STRANGE_REQUESTS)].format(path=path, host=host)
        sent = mutated(text.encode(), random) if number >= 2 * len(STRANGE_REQUESTS) else text.encode()
        with server.connected() as connection, contextlib.suppress(ConnectionError, BrokenPipeError):
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(4096)
            assert re.match(rb"HTTP/1.1 \d\d\d |[45]\d\d |Refused: |$", answer), (sent, answer)
            assert known or (server.token.encode() not in answer and b" 200 " not in answer), (sent, answer)
            assert b"root:" not in answer
    assert server.page()
    what = "requests spoilt at random"
    record_property("attack", {"kind": "servers", "what": what, "tried": tried})


def drained(connection: socket.socket) -> int:
    """How many bytes come until the connection ends."""
    count = 0
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(1 << 16):
            count += len(part)
    return count


@attack("a connection that asks no more")
@pytest.mark.usefixtures("quiet")
def test_a_connection_that_asks_no_more_ends(start: Start, monkeypatch) -> None:
    monkeypatch.setattr("warpgrasp.view.server.IDLE_S", 0.5)  # the annotation page's connections end when answered
    with start() as server, server.connected(server.request()) as connection:
        assert drained(connection) > 1000  # raises when the end does not come


@attack("an answer that is not taken")
@pytest.mark.usefixtures("quiet")
def test_an_answer_that_is_not_taken_ends_in_time(start: Start, monkeypatch) -> None:
    if "view" not in start.__qualname__:
        pytest.skip("a browser that no longer answers is what its pings are for")
    monkeypatch.setattr("warpgrasp.view.server.SENDING_S", 0.5)
    with start() as server:
        threads = threading.active_count()
        with server.connected() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.setblocking(False)
            end = time.monotonic() + PATIENCE_S
            with contextlib.suppress(OSError):  # until the server has ended it
                while time.monotonic() < end:
                    with contextlib.suppress(BlockingIOError):
                        connection.sendall(server.request())
                    time.sleep(0.02)
            assert time.monotonic() < end
        while threading.active_count() > threads:
            assert time.monotonic() < end + PATIENCE_S
            time.sleep(0.05)
        assert server.page()


@attack("more connections than there may be")
@pytest.mark.usefixtures("quiet")
def test_there_is_an_end_to_connections(start: Start, monkeypatch) -> None:
    for module in ("view.server", "annotate.session"):
        monkeypatch.setattr(f"warpgrasp.{module}.MOST_CONNECTIONS", 6)
    with start() as server:
        with contextlib.ExitStack() as kept:
            tried = [kept.enter_context(server.connected(b"GET / HTTP/1.1\r\n")) for _ in range(12)]
            end = time.monotonic() + PATIENCE_S
            while (count := sum(map(is_open, tried))) > 6:
                assert time.monotonic() < end
                time.sleep(0.05)
            assert count >= 1
        end = time.monotonic() + PATIENCE_S
        while server.answer(server.request()) == b"":
            assert time.monotonic() < end
        assert server.page()


def test_the_pace_of_a_connection(monkeypatch) -> None:
    now = 1000.0
    monkeypatch.setattr(guard.time, "monotonic", lambda: now)
    pace = Pace()
    assert [pace.wait_s() for _ in range(int(guard.BURST))] == [0.0] * int(guard.BURST)
    waits = [pace.wait_s() for _ in range(100)]
    np.testing.assert_allclose(waits, np.arange(1, 101) / guard.MOST_PER_S, atol=1e-6)
    now += 2.0  # a second and a half more than what is owed
    assert pace.wait_s() == 0.0


@attack("a connection that asks fast")
def test_a_fast_connection_waits(start: Start, monkeypatch) -> None:
    monkeypatch.setattr(guard, "MOST_PER_S", 10.0)
    monkeypatch.setattr(guard, "BURST", 2.0)
    if "view" not in start.__qualname__:
        pytest.skip("a connection of the annotation page brings one request, and then messages")
    with start() as server, server.connected(5 * server.request(path=f"/{server.token}/frame/0.bin")) as connection:
        began, received = time.monotonic(), b""
        while received.count(b"HTTP/1.1 200") < 5:
            received += connection.recv(1 << 20)
        assert time.monotonic() - began > 0.25
        assert server.page()


def test_the_token_is_compared_whole_and_never_shown(monkeypatch) -> None:
    compared = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return one == other

    monkeypatch.setattr(guard.hmac, "compare_digest", compare)
    made = Guard("secret-token", "127.0.0.1")
    assert "secret" not in repr(made) + str(made) + f"{made}"
    for path in ("/", "/secret-toke/", "/x/", "/\udcff/", "/secret-token/"):
        refusal = made.refusal(path, hosts=["localhost"], origins=[], upgrades=[])
        assert (refusal is None) == (path == "/secret-token/")
    assert len(compared) == 5
    assert {other for _, other in compared} == {b"secret-token"}


# --- the WebSocket of the annotation page


@pytest.fixture(scope="module")
def annotation() -> Iterator[Served]:
    made = GuardedServer(port=0)
    yield Served(made.get_port(), made.guard.token)
    made.stop()


def socket_of(server: Served) -> ws.ClientConnection:
    address = f"127.0.0.1:{server.port}"
    protocol: Any = f"viser-v{viser.__version__}"
    origin: Any = f"http://{address}"
    options: Any = {"origin": origin, "subprotocols": [protocol], "max_size": None, "open_timeout": PATIENCE_S}
    return ws.connect(f"ws://{address}/{server.token}", **options)


def read_to_the_end(connection: Connection) -> None:
    while True:
        connection.recv(timeout=PATIENCE_S)


MESSAGES = {
    "text": ("hello", 1003),
    "no message": (b"\x00\x01\x02", 1007),
    "empty": (b"", 1007),
    "not named": (b"\x93\x01\x02\x03", 1007),
    "no such type": (b"\x81\xa4type\xa4Evil", 1007),
    "no fields": (b"\x81\xa4type\xb3ViewerCameraMessage", 1007),
    "too large": (bytes(2 * guard.LARGEST_MESSAGE_BYTES), 1009),
}


@attack("a message of a WebSocket that is none")
@pytest.mark.parametrize(("message", "code"), MESSAGES.values(), ids=list(MESSAGES))
def test_a_message_that_is_none_ends_its_connection_alone(annotation: Served, message: Any, code: int, capfd) -> None:
    with socket_of(annotation) as other, socket_of(annotation) as one:
        one.send(message)
        with pytest.raises(ConnectionClosed) as ended:
            read_to_the_end(one)
        assert ended.value.rcvd is not None
        assert ended.value.rcvd.code == code
        assert other.ping().wait(PATIENCE_S)
    assert annotation.page()
    out, error = capfd.readouterr()
    assert "Traceback" not in out + error
    assert error.count("\n") <= 1
    assert annotation.token not in out + error


# --- the commands, under load


@pytest.fixture(params=["view", "annotate"])
def command(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Served, Any]]:
    """One of the commands in a process of its own, and that process."""
    if request.param == "annotate":
        with annotating(write_recording(tmp_path / "small")) as made:
            port, token = re.findall(r":(\d+)/(\S+)/", made.address)[0]
            yield Served(int(port), token), made.process
        return
    from tests.view.test_server import Command

    files = request.getfixturevalue("predicted")
    with Command(str(files.out), "--object", str(files.mesh)) as shown:
        yield Served(shown.port, shown.token.removeprefix("/")), shown.process


def own_bytes(process: Any) -> int:
    status = Path(f"/proc/{process.pid}/status").read_text()
    return 1024 * int(re.findall(r"RssAnon:\s+([0-9]+) kB", status)[0])


@contextlib.contextmanager
def askers(server: Served, count: int) -> Iterator[subprocess.Popen[str]]:
    """A process whose threads ask for the page until its standard input ends; it then prints how many were answered."""
    command = [sys.executable, "-m", "tests.askers", str(server.port), f"/{server.token}/", str(count)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as asking:
        try:
            assert asking.stdout is not None
            assert asking.stdout.readline() == "asking\n"
            yield asking
        finally:
            asking.kill()


@pytest.mark.slow
def test_many_connections_leave_the_page_usable(command: tuple[Served, Any], record_property) -> None:
    server, process = command
    with contextlib.ExitStack() as idle, askers(server, 200) as asking:
        for _ in range(50):
            idle.enter_context(server.connected(b"GET / HT"))
        loads_s = []
        for _ in range(10):
            time.sleep(0.5)
            began = time.monotonic()
            assert b"<" in server.page()
            loads_s.append(time.monotonic() - began)
        answered = int(asking.communicate(timeout=2 * PATIENCE_S)[0])
    what = "page loads beside 200 connections that ask and 50 that wait"
    measured = f"at most {max(loads_s):.1f} s; {answered} of 200 were answered"
    record_property("attack", {"kind": "servers", "what": what, "tried": len(loads_s), "measured": measured})
    assert max(loads_s) < PATIENCE_S  # of 200 on two cores, each has its turn
    assert answered > 150
    assert process.poll() is None
    assert server.page()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is measured by /proc")
def test_memory_is_flat_over_page_loads(command: tuple[Served, Any], request, record_property) -> None:
    server, process = command

    def load() -> None:
        server.page()
        if "annotate" in request.node.name:
            with socket_of(server) as connection:
                connection.recv(timeout=PATIENCE_S)
        else:
            assert json.dumps(server.status(server.request(path=f"/{server.token}/frame/0.bin"))) == "200"

    for _ in range(100):
        load()
    before = own_bytes(process)
    for _ in range(500):
        load()
    grown = own_bytes(process) - before
    measured = f"{grown / 1e6:.1f} MB more"
    record_property("attack", {"kind": "servers", "what": "page loads", "tried": 500, "measured": measured})
    assert grown < 25e6  # a page is 0.5 to 1 MB: a leak of each would be 250 MB


def starved_s(process: Any) -> dict[str, float]:
    """For how long each thread of a process has been ready to run and had no processor."""
    found = {}
    for thread in Path(f"/proc/{process.pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError, IndexError):  # it has ended, or the system does not say
            found[thread.parent.name] = int(thread.read_text().split()[1]) / 1e9
    return found


@pytest.mark.slow
def test_it_ends_in_two_seconds_with_clients_attached(command: tuple[Served, Any], request, record_property) -> None:
    server, process = command
    kept = [server.connected(b"GET / HT") for _ in range(20)]
    if "annotate" in request.node.name:
        kept += [socket_of(server) for _ in range(5)]
    else:
        kept += [server.connected(server.request()) for _ in range(5)]
    time.sleep(0.5)
    before = starved = starved_s(process)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    while process.poll() is None:
        starved = {**starved, **starved_s(process)}
        assert time.monotonic() - began < PATIENCE_S
        time.sleep(0.02)
    took_s = time.monotonic() - began
    waits_s = [starved_for - before.get(thread, 0.0) for thread, starved_for in starved.items()]
    rest, _ = process.communicate(timeout=PATIENCE_S)
    what, measured = f"Ctrl+C with {len(kept)} clients attached", f"{took_s:.2f} s"
    record_property("attack", {"kind": "servers", "what": what, "tried": 1, "measured": measured})
    assert process.returncode == 0
    assert "Traceback" not in rest
    assert took_s - max(waits_s, default=0.0) < 2.0
    for connection in kept:
        with contextlib.suppress(Exception):
            connection.close()
