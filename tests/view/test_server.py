"""The served page: its frames, and that it answers nothing else; a long sequence, and a browser that looks at it."""

import contextlib
import http.client
import io
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.browser import CHROMIUM, FLAGS, HARMLESS, PATIENCE_S
from tests.export.predicted_sequences import predictions_by, sequence_of
from warpgrasp.cli import main
from warpgrasp.data.ho3d.dataset import Ho3d
from warpgrasp.errors import DataError, UserError
from warpgrasp.export.sequence import PredictedFile, PredictedSequence, pictures_of_dataset
from warpgrasp.frame import FrameName
from warpgrasp.geometry.camera import Camera
from warpgrasp.hand.model import HandModel
from warpgrasp.predictions.file import Predictions, RowsWriter, header_array, open_predictions, write_predictions
from warpgrasp.view.content import ViewContent, flow_colours
from warpgrasp.view.server import FrameServer

CAMERA = Camera(torch.tensor([[600.0, 0, 339.5], [0, 610.0, 219.5], [0, 0, 1]]), 640, 480)
SPEAK = re.compile(r"Refused: ")


def white(name: FrameName) -> tuple[np.ndarray, Camera]:
    if name.index == 2:
        raise UserError("expected a whole picture, found half of one")
    return np.full((480, 640, 3), 255, np.uint8), CAMERA


@contextlib.contextmanager
def serving(server: FrameServer) -> Iterator[FrameServer]:
    """While it lasts, the server answers, from a thread of its own."""
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def server(hand: HandModel) -> Iterator[FrameServer]:
    shown = ViewContent(sequence_of(hand, predictions_by(hand), pictures=white, camera=CAMERA))
    with serving(FrameServer(shown, port=0, width=320)) as made:
        yield made


def asked(server: FrameServer, path: str, *, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=PATIENCE_S)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def behind_token(server: FrameServer, path: str) -> tuple[int, dict[str, str], bytes]:
    return asked(server, f"/{server.guard.token}{path}")


def test_the_page_and_its_frames(server: FrameServer, hand: HandModel) -> None:
    status, headers, page = behind_token(server, "/")
    assert status == 200
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    stated = json.loads(re.findall(rb'<script id="data" type="application/json">(.*?)</script>', page, re.DOTALL)[0])
    assert stated["served"] is True
    assert stated["backgrounds"] == ["picture"]
    predictions = predictions_by(hand)
    for place in range(3):
        status, _, body = behind_token(server, f"/frame/{place}.bin")
        assert status == 200
        numbers, steps = np.frombuffer(body[:96], "<f4"), np.frombuffer(body[96:], "<u2")
        np.testing.assert_allclose(numbers[:5], [600, 610, 339.5, 219.5, 0])
        assert numbers[5] == 1
        low, high = numbers[6:9], numbers[9:12]
        hand_vertices = low + steps.reshape(-1, 3) / 65535 * (high - low)
        np.testing.assert_allclose(hand_vertices, predictions.hand_vertices[place], atol=1e-5)
        np.testing.assert_allclose(numbers[12:21].reshape(3, 3), predictions.object_rotation[place])
        np.testing.assert_allclose(numbers[21:], predictions.object_translation[place])
    status, headers, body = behind_token(server, "/frame/1.picture.jpg")
    assert (status, headers["Content-Type"]) == (200, "image/jpeg")
    assert Image.open(io.BytesIO(body)).size == (320, 240)


def test_a_picture_that_cannot_be_read_is_said(server: FrameServer) -> None:
    status, _, body = behind_token(server, "/frame/2.picture.jpg")
    assert (status, body) == (500, b"expected a whole picture, found half of one\n")


@pytest.mark.parametrize(
    "path",
    [
        *("/frame/3.bin", "/frame/-1.bin", "/frame/1.txt", "/frame/1.bin/", "/frame/99999999999.bin", "/frame/1"),
        *("/frame/1.residual.jpg", "/frame/1.flow.jpg", "/../frame/1.bin", "/frame/%31.bin", "/etc/passwd", "/frame/"),
        *("//frame/1.bin", "/frame/..%2f1.bin", "/frame/%D9%A1.bin"),
    ],
)
def test_nothing_else_is_served(server: FrameServer, path: str) -> None:
    assert behind_token(server, path)[0] == 404


def test_who_may_ask(server: FrameServer) -> None:
    port, mine = server.server_port, f"/{server.guard.token}/frame/0.bin"
    assert asked(server, mine)[0] == 200
    assert asked(server, mine, Origin=f"http://127.0.0.1:{port}", Host=f"127.0.0.1:{port}")[0] == 200
    refused = [
        asked(server, "/"),
        asked(server, "/frame/0.bin"),
        asked(server, f"/{'x' * len(server.guard.token)}/frame/0.bin"),
        asked(server, mine, Origin="http://example.org"),
        asked(server, mine, Host="example.org"),
        asked(server, mine, Origin="null"),
    ]
    for status, headers, body in refused:
        assert (status, SPEAK.match(body.decode()) is not None) == (403, True)
        assert "Content-Security-Policy" in headers
    status, headers, _ = asked(server, f"/{server.guard.token}")
    assert (status, headers["Location"]) == (308, f"/{server.guard.token}/")
    for method in ("POST", "PUT", "DELETE", "HEAD", "OPTIONS"):
        assert asked(server, mine, method=method)[0] == 501


def test_the_next_free_port(hand: HandModel, server: FrameServer, monkeypatch) -> None:
    shown, taken = ViewContent(sequence_of(hand, predictions_by(hand), camera=CAMERA)), server.server_port
    with FrameServer(shown, port=taken) as other:
        assert taken < other.server_port < taken + 20
    monkeypatch.setattr("warpgrasp.view.server.PORTS_TRIED", 1)
    with pytest.raises(UserError, match=f"expected a free port from {taken} on at 127.0.0.1, found none"):
        FrameServer(shown, port=taken)
    with pytest.raises(UserError, match=r"expected an address of this machine to serve at, got no\.such\.host"):
        FrameServer(shown, host="no.such.host", port=0)


def test_an_address_of_version_6(hand: HandModel) -> None:
    if not socket.has_ipv6:
        pytest.skip("needs IPv6")
    try:
        made = FrameServer(ViewContent(sequence_of(hand, predictions_by(hand), camera=CAMERA)), host="::1", port=0)
    except UserError:
        pytest.skip("needs IPv6")
    with made:
        assert made.address.startswith(f"http://[::1]:{made.server_port}/")


# --- behind the meshes


def true_content(root: Path, hand: HandModel, *, moved_m: float = 0.0) -> ViewContent:
    """The truth of a sequence as its predictions, but that all is moved to the side."""
    dataset = Ho3d(root, hand)
    names = [name for name in dataset.names("train") if name.sequence == "A1"]
    truths = [dataset.truth(name) for name in names]
    notes = [truth.annotation for truth in truths]
    move = np.array([moved_m, 0, 0], np.float32)

    def stacked(tensors: list[torch.Tensor]) -> np.ndarray:
        return np.stack([tensor.numpy() for tensor in tensors]).astype(np.float32)

    predictions = Predictions(
        sequence=np.array(["A1"] * len(names)),
        index=np.array([name.index for name in names]),
        object_name=np.array([truths[0].object.name] * len(names)),
        hand_vertices=stacked([one.hand_vertices for one in notes]) + move,
        hand_joints=stacked([one.hand_joints for one in notes]) + move,
        hand_rotation=np.tile(np.eye(3, dtype=np.float32), (len(names), 1, 1)),
        hand_translation=np.zeros((len(names), 3), np.float32),
        hand_pose=np.zeros((len(names), 15), np.float32),
        hand_shape=np.zeros((len(names), 10), np.float32),
        object_rotation=stacked([one.object_rotation for one in notes]),
        object_translation=stacked([one.object_translation for one in notes]) + move,
    )
    rows = np.arange(len(names))
    sequence = PredictedSequence(
        "A1", predictions, rows, hand, truths[0].object, pictures_of_dataset(dataset), labels=(0, 7)
    )
    return ViewContent(sequence, None, dataset)


def test_the_residual_tells_wrong_poses_from_true_ones(sample_root: Path, hand: HandModel) -> None:
    brightness = []
    for moved_m in (0.0, 0.01):
        shown = true_content(sample_root, hand, moved_m=moved_m)
        assert shown.backgrounds == ["picture", "residual", "flow"]
        drawn = shown.background("residual", 2)
        picture, _ = shown.picture(2)
        faded = np.repeat((0.35 * picture.mean(axis=2, keepdims=True)).round(), 3, axis=2)
        painted = (drawn != faded).any(axis=2)
        assert 0.02 < painted.mean() < 0.5
        brightness.append(drawn[painted].mean())
    assert brightness[0] < 0.6 * brightness[1]


def test_the_flow_points_to_the_nearest_label(sample_root: Path, hand: HandModel) -> None:
    shown = true_content(sample_root, hand)
    # As if the frame lay 12 mm to the right of where the label has it: the flow leads left, which is cyan.
    arrays = {}
    for name in ("hand_vertices", "object_rotation", "object_translation"):
        arrays[name] = np.array(getattr(shown.sequence.predictions, name))
        arrays[name][1] = arrays[name][0] + np.float32([0 if name == "object_rotation" else 0.012, 0, 0])
    sequence = replace(shown.sequence, predictions=replace(shown.sequence.predictions, **arrays))
    drawn = replace(shown, sequence=sequence).background("flow", 1).astype(int)
    red, green, blue = drawn[drawn.max(axis=2) == 255].T  # the faded picture is darker
    assert len(red) > 500
    assert np.median(green - red) > 20
    assert np.abs(np.median(green - blue)) < 12


def test_flow_colours() -> None:
    found = flow_colours(np.array([[10.0, 0], [0, 10], [-10, 0], [5, 0], [0, 0], [1000, 0]]), 10.0)
    expected = [[1, 0, 0], [0.5, 1, 0], [0, 1, 1], [1, 0.5, 0.5], [1, 1, 1], [1, 0, 0]]
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.slow
def test_a_saved_page_holds_them_when_asked(sample_root: Path, trained_run: Path, tmp_path: Path) -> None:
    file = tmp_path / "p.npz"
    words = ["predict", str(sample_root), "--weights", str(trained_run), "--split", "train", "--out", str(file)]
    assert main(words) == 0
    words = ["view", str(file), "--data", str(sample_root), "--sequence", "A1", "--compare", "--save"]
    assert main([*words, str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text()
    stated = json.loads(re.findall(r'<script id="data" type="application/json">(.*?)</script>', page, re.DOTALL)[0])
    assert stated["backgrounds"] == ["picture", "residual", "flow"]
    assert {kind: len(pictures) for kind, pictures in stated["pictures"].items()} == dict.fromkeys(
        stated["backgrounds"], 8
    )


def test_the_difference_of_colours_that_densify_measured(tmp_path: Path, hand: HandModel) -> None:
    file, quality = tmp_path / "predictions.npz", tmp_path / "quality.csv"
    write_predictions(file, predictions_by(hand), {"labels": [0, 2]})
    indices = np.array([2, 1, 7])
    assert PredictedFile.opened(file).difference(indices) is None
    quality.write_text("frame,labelled,difference_after\n0,1,0.0\n1,0,0.125\n2,1,\n")
    found = PredictedFile.opened(file).difference(indices)
    np.testing.assert_array_equal(found, [np.nan, 0.125, np.nan])
    for broken in ("frame,other\n0,1\n", "frame,difference_after\n0,much\n", "frame,difference_after\nx\n"):
        quality.write_text(broken)
        with pytest.raises(DataError, match=r"expected what `densify` wrote in .*quality\.csv"):
            PredictedFile.opened(file).difference(indices)


# --- as a command

SERVE = ["-m", "warpgrasp.cli", "view"]


class Command:
    """`warpgrasp view` in a process of its own."""

    def __init__(self, *words: str):
        command = [sys.executable, *SERVE, *words, "--port", "0", "--no-open-browser"]
        environment = {**os.environ, "COLUMNS": "400", "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        )
        assert self.process.stdout is not None
        said = []
        for line in self.process.stdout:
            said.append(line)
            if found := re.search(r"http://127\.0\.0\.1:([0-9]+)(\S+)/", line):
                self.address, self.port, self.token = found[0], int(found[1]), found[2]
                return
        raise AssertionError("".join(said))

    def get(self, path: str) -> bytes:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)) as connection:
            connection.request("GET", self.token + path)
            answer = connection.getresponse()
            assert answer.status == 200
            return answer.read()

    def own_bytes(self) -> int:
        """Its memory without what is mapped from files."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return 1024 * int(re.findall(r"RssAnon:\s+([0-9]+) kB", status)[0])

    def __enter__(self) -> "Command":
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is measured by /proc")
def test_ten_thousand_frames_are_not_loaded(predicted, tmp_path: Path) -> None:
    count, file = 10_000, tmp_path / "long.npz"
    few, header = open_predictions(predicted.out)
    writer = RowsWriter(file, tmp_path / "growing")
    for first in range(0, count, 1000):  # stored as `predict` stores them, so that they are mapped
        rows = few.rows(np.arange(first, first + 1000) % len(few))
        numbered = replace(rows, index=np.arange(first, first + 1000), time_s=np.arange(first, first + 1000) / 30)
        writer.append(numbered.arrays)
    writer.finish({"header": header_array({key: value for key, value in header.items() if key != "format"})})
    assert isinstance(open_predictions(file)[0].hand_vertices, np.memmap)
    with Command(str(file), "--object", str(predicted.mesh)) as command:
        assert len(command.get("/")) < 3_000_000
        for place in range(200):
            command.get(f"/frame/{place}.bin")
        before = command.own_bytes()
        for place in range(200, count, 7):
            assert len(command.get(f"/frame/{place}.bin")) == 4 * 24 + 2 * 3 * 778
        assert command.own_bytes() - before < 20e6  # all hands together sequence 93 MB


def until(page, true: str) -> None:
    """Wait, without a string being evaluated in the page, which its policy forbids."""
    end = time.monotonic() + PATIENCE_S
    while not page.evaluate(true):
        assert time.monotonic() < end, true
        page.wait_for_timeout(50)


@pytest.mark.slow
def test_a_browser_looks_at_it(trained_run: Path, sample_root: Path, tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    if CHROMIUM is None:
        pytest.skip("needs Chromium (apt-get install chromium)")
    file, complaints = tmp_path / "p.npz", []
    words = ["predict", str(sample_root), "--weights", str(trained_run), "--split", "train", "--out", str(file)]
    assert main(words) == 0
    with (
        Command(str(file), "--data", str(sample_root), "--sequence", "A1") as command,
        playwright.sync_playwright() as pw,
    ):
        browser = pw.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS), timeout=1000 * PATIENCE_S)
        page = browser.new_page(viewport={"width": 1280, "height": 760})
        page.set_default_timeout(1000 * PATIENCE_S)

        def note(message) -> None:
            if message.type in ("error", "warning") and not HARMLESS.search(message.text):
                complaints.append(message.text)

        page.on("console", note)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(command.address)
        page.evaluate("viewer.ready")

        def camera_picture() -> np.ndarray:
            page.evaluate("viewer.settled()")
            with Image.open(io.BytesIO(page.locator("#camera").screenshot())) as opened:
                return np.array(opened.convert("RGB")).astype(int)

        page.evaluate("viewer.show(3)")
        shown = {"picture": camera_picture()}
        for kind in ("residual", "flow"):
            page.keyboard.press("b")
            assert page.locator("#background").input_value() == kind
            shown[kind] = camera_picture()
        page.keyboard.press("b")
        np.testing.assert_array_equal(camera_picture(), shown["picture"])
        assert np.abs(shown["residual"] - shown["picture"]).mean() > 5
        assert np.abs(shown["flow"] - shown["residual"]).mean() > 0.5
        page.keyboard.press("Home")
        page.keyboard.press(" ")
        until(page, "viewer.state.shown === 7 && !viewer.state.playing")
        page.locator("#timeline").click(position={"x": 54, "y": 40})
        until(page, "viewer.state.shown === 0")
        assert complaints == []
        page.route("**/frame/5.bin", lambda route: route.fulfill(status=500, body="half of a picture"))
        page.reload()
        page.evaluate("viewer.ready")
        page.evaluate("viewer.show(5)")
        assert page.inner_text("#doubtful") == "frame 5 cannot be shown: half of a picture"
        page.unroute("**/frame/5.bin")
        page.evaluate("viewer.show(5)")  # it is asked for again
        assert page.inner_text("#doubtful") == ""
        browser.close()
