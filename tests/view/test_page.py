"""The page: what it holds, and what a browser makes of it."""

import base64
import json
import re
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.export.predicted_sequences import predictions_by, sequence_of
from tests.headless import asked_of, installed_browser
from tests.oracles.silhouette import covered
from warpgrasp.cli import main
from warpgrasp.data.ho3d.dataset import Ho3d
from warpgrasp.evaluation.metrics import score
from warpgrasp.export.other_hand import with_other_hand
from warpgrasp.export.sequence import PredictedSequence
from warpgrasp.geometry.camera import Camera
from warpgrasp.hand.model import HandModel
from warpgrasp.hand.templates import left_hand
from warpgrasp.predictions.file import read_predictions
from warpgrasp.view.content import ViewContent, rounded_up
from warpgrasp.view.page import PageOptions, saved_page

WIDTH, HEIGHT = 640, 480
CENTRE_PX = ((WIDTH - 1) / 2 + 20, (HEIGHT - 1) / 2 - 20)  # 20 pixels off the middle, both ways
CAMERA = Camera(torch.tensor([[600.0, 0, CENTRE_PX[0]], [0, 610.0, CENTRE_PX[1]], [0, 0, 1]]), WIDTH, HEIGHT)


def white_sequence(hand: HandModel) -> PredictedSequence:
    """Three known poses over white pictures."""
    white = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    return sequence_of(hand, predictions_by(hand), pictures=lambda name: (white, CAMERA), camera=CAMERA)


@dataclass(frozen=True)
class Content:
    """What a page holds, read back."""

    stated: dict
    binary: bytes

    @staticmethod
    def of(page: str) -> "Content":
        found = re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.DOTALL)
        assert found
        stated = json.loads(found[1])
        return Content(stated, base64.b64decode(stated["binary"]))

    def array(self, entry: dict) -> np.ndarray:
        return np.frombuffer(self.binary, np.dtype(entry["dtype"]), entry["count"], entry["offset"])

    def hand(self, layer: dict) -> np.ndarray:
        bounds = self.array(layer["bounds"]).reshape(-1, 2, 1, 3)
        steps = self.array(layer["hand"]).reshape(len(bounds), -1, 3) / 65535
        return bounds[:, 0] + steps * (bounds[:, 1] - bounds[:, 0])


def test_the_page_holds_the_predictions(hand: HandModel) -> None:
    sequence = white_sequence(hand)
    content = Content.of(saved_page(ViewContent(sequence), PageOptions(width=320)))
    (layer,) = content.stated["layers"]
    np.testing.assert_allclose(content.hand(layer), sequence.predictions.hand_vertices, atol=1e-5)
    poses = content.array(layer["poses"]).reshape(3, 12)
    np.testing.assert_array_equal(poses[:, :9].reshape(3, 3, 3), sequence.predictions.object_rotation)
    np.testing.assert_array_equal(poses[:, 9:], sequence.predictions.object_translation)
    cameras = content.array(content.stated["cameras"]).reshape(3, 5)
    np.testing.assert_allclose(cameras[1], [600, 610, 339.5, 219.5, 0])
    assert (content.stated["width"], content.stated["height"]) == (WIDTH, HEIGHT)
    assert Image.open(BytesIO(base64.b64decode(content.stated["pictures"]["picture"][2]))).size == (320, 240)


def test_nothing_is_fetched_and_names_cannot_break_out(hand: HandModel) -> None:
    evil = "</script><script>alert(1)</script>"
    sequence = replace(white_sequence(hand), name=evil, pictures=None)
    page = saved_page(ViewContent(sequence), PageOptions())
    assert page.count("<script") == page.count("</script>") == 2
    assert "alert(1)</script>" not in page
    assert re.findall(r"(?:https?:)?//[a-z]+\.", page) == []
    assert "default-src 'none'" in page
    assert "unsafe-inline'; style-src" not in page
    assert evil in json.dumps(Content.of(page).stated["title"])


def test_long_sequences_are_thinned_by_a_stated_step(hand: HandModel) -> None:
    page = saved_page(ViewContent(white_sequence(hand)), PageOptions(frames=2))
    content = Content.of(page)
    assert content.stated["shown"] == [0, 2]
    assert len(content.stated["pictures"]["picture"]) == 2
    assert "3 frames, every 2nd shown" in content.stated["about"]
    assert len(content.array(content.stated["curves"][0]["values"])) == 3


@pytest.fixture(scope="module")
def predicted_sample(trained_run: Path, sample_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("page") / "p.npz"
    words = ["predict", str(sample_root), "--weights", str(trained_run), "--split", "train", "--out", str(file)]
    assert main(words) == 0
    return file


def test_truth_and_control(predicted_sample: Path, sample_root: Path, hand: HandModel, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    words = ["view", str(predicted_sample), "--data", str(sample_root), "--sequence", "A1", "--save", str(page)]
    assert main([*words, "--control", str(predicted_sample)]) == 0
    content = Content.of(page.read_text())
    assert [layer["key"] for layer in content.stated["layers"]] == ["prediction", "control", "truth"]
    assert content.stated["curve_title"] == "error"
    dataset, predictions = Ho3d(sample_root, hand), read_predictions(predicted_sample)[0]
    names = [name for name in dataset.names("train") if name.sequence == "A1"]
    expected = score(predictions, dataset, names).means
    curves = {curve["label"]: content.array(curve["values"]) for curve in content.stated["curves"]}
    assert list(curves) == ["hand", "object", "hand (control)", "object (control)"]
    np.testing.assert_allclose(curves["hand"].mean(), expected["hand_joint_error_mm"], rtol=1e-5)
    np.testing.assert_allclose(curves["object"].mean(), expected["object_vertex_error_mm"], rtol=1e-5)
    np.testing.assert_array_equal(curves["hand"], curves["hand (control)"])
    truth = content.hand(content.stated["layers"][2])
    for row, name in enumerate(names):
        np.testing.assert_allclose(truth[row], dataset.truth(name).annotation.hand_vertices, atol=1e-5)


@pytest.mark.parametrize(
    ("more", "pattern"),
    [
        (["--save", "OUT/there.html"], r"there\.html exists already; overwrite it by --force"),
        (["--save", "OUT/a.html", "--sequence", "Z"], r"expected a sequence of .* \(A1, B1\), got 'Z'"),
        (
            ["--save", "OUT/a.html", "--sequence", "A1", "--frames", "0"],
            r"expected at least 1 frame in the page, got 0",
        ),
    ],
)
def test_what_cannot_be_shown(
    predicted_sample: Path, sample_root: Path, tmp_path: Path, capsys, more: list[str], pattern: str
) -> None:
    (tmp_path / "there.html").write_text("precious")
    words = ["view", str(predicted_sample), "--data", str(sample_root)]
    assert main([*words, *(word.replace("OUT", str(tmp_path)) for word in more)]) == 1
    assert re.search(pattern, capsys.readouterr().err)
    assert [path.name for path in tmp_path.iterdir()] == ["there.html"]


def test_round_limits() -> None:
    assert [rounded_up(value) for value in (0.3, 1.0, 1.01, 20.0, 20.5, 480.0)] == [0.5, 1, 2, 20, 50, 500]


# What a browser is asked to do with the page of known poses.
ASKED = """
await viewer.ready;
const found = {}, canvas = viewer.cameraView.canvas;
const key = (name) => {
  document.dispatchEvent(new KeyboardEvent("keydown", { key: name }));
  return viewer.settled();
};
found.size = [canvas.width, canvas.height];
viewer.state.opacity = 1;
found.pictures = [];
for (const frame of [0, 1, 2]) { await viewer.show(frame); found.pictures.push(canvas.toDataURL("image/png")); }
await key("Home"); found.home = viewer.state.shown;
await key("ArrowRight"); found.right = viewer.state.shown;
await key("End"); found.end = viewer.state.shown;
await key("n"); found.doubtful = viewer.state.shown;
found.warning = document.getElementById("doubtful").textContent;
await key("1"); found.hidden = canvas.toDataURL("image/png");
await key("1");
const box = document.getElementById("timeline").getBoundingClientRect();
const at = (x) => new PointerEvent("pointerdown", { clientX: box.left + x, clientY: box.top + 40 });
document.getElementById("timeline").dispatchEvent(at(box.width - 12));
await viewer.settled(); found.click = viewer.state.shown;
const to = (x) => new PointerEvent("pointermove", { clientX: box.left + x, clientY: box.top + 40 });
const drag = (x) => document.getElementById("timeline").dispatchEvent(to(x));
const drawn = [], show = viewer.cameraView.draw.bind(viewer.cameraView);
viewer.cameraView.draw = (...about) => (drawn.push(viewer.state.shown), show(...about));
for (const share of [1, 0.6, 0.5, 0.4, 0.1, 0]) drag(52 + share * (box.width - 64));
const end = performance.now() + 120000;
while (drawn.at(-1) !== 0 && performance.now() < end) await new Promise(requestAnimationFrame);
window.dispatchEvent(new PointerEvent("pointerup"));
found.dragged = [...drawn];
const inline = document.createElement("script");
inline.textContent = "window.intruded = true";
document.body.append(inline); found.intruded = window.intruded === true;
const before = viewer.spaceView.canvas.toDataURL();
viewer.spaceView.turn(80, 10); await viewer.show(0); found.turned = viewer.spaceView.canvas.toDataURL() !== before;
return found;
"""


@pytest.fixture(scope="module")
def seen(hand: HandModel, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What a headless browser says of it."""
    if installed_browser() is None:
        pytest.skip("no Chromium is installed")
    sequence = white_sequence(hand)
    sequence = replace(sequence, predictions=replace(sequence.predictions, flags=np.array([0, 2, 0], np.uint8)))
    page = saved_page(ViewContent(sequence), PageOptions())
    return asked_of(page, ASKED, tmp_path_factory.mktemp("browser"))


def drawn(png: str) -> np.ndarray:
    """Where a picture is less than half white: of each of the meshes' colours one channel is nearly dark."""
    pixels = np.asarray(Image.open(BytesIO(base64.b64decode(png.split(",")[1]))).convert("RGB"))
    return pixels.min(axis=-1) < 160


@pytest.mark.slow
def test_the_browser_draws_the_meshes_where_the_camera_sees_them(seen: dict, hand: HandModel) -> None:
    width, height = seen["size"]
    assert width >= 1280
    assert height * WIDTH == width * HEIGHT
    larger = CAMERA.resized(width, height)
    for png, (_, scene) in zip(seen["pictures"], white_sequence(hand).scenes(), strict=True):
        expected = covered(scene.mesh.vertices[0], scene.mesh.faces[0], larger.intrinsics, width, height)
        found = drawn(png)
        assert expected.mean() > 0.02
        assert (found & expected).sum() / (found | expected).sum() >= 0.995


@pytest.mark.slow
def test_the_browser_obeys(seen: dict) -> None:
    assert (seen["home"], seen["right"], seen["end"], seen["doubtful"], seen["click"]) == (0, 1, 2, 1, 2)
    assert seen["warning"] == "doubtful: object jumps"
    assert not drawn(seen["hidden"]).any()
    assert seen["turned"]
    assert not seen["intruded"]


@pytest.mark.slow
def test_what_a_drag_passes_is_not_drawn(seen: dict) -> None:
    """The first place, and the last one when that is drawn."""
    assert seen["dragged"] == [2, 0]


def both_hands(hand: HandModel) -> PredictedSequence:
    """The three known poses with a left hand beside the right one, which it is flagged in."""
    other = left_hand(hand)
    predictions = replace(predictions_by(other), flags=np.array([0, 0, 2], np.uint8))
    left = replace(sequence_of(other, predictions, camera=CAMERA), side="left")
    return with_other_hand(white_sequence(hand), left)


def test_both_hands_are_on_one_page(hand: HandModel) -> None:
    sequence = both_hands(hand)
    assert sequence.other_hand is not None
    content = Content.of(saved_page(ViewContent(sequence), PageOptions(width=320)))
    first, second = content.stated["layers"]
    assert (first["label"], second["label"]) == ("right hand and object", "left hand")
    assert (first["parts"], second["parts"], second["within"]) == (["object", "hand"], ["hand"], first["key"])
    np.testing.assert_allclose(content.hand(second), sequence.other_hand.predictions.hand_vertices, atol=1e-5)
    assert content.stated["flags"] == ["", "", "left hand: object jumps"]
    assert content.stated["flagged"] == [2]


@pytest.mark.slow
def test_the_browser_draws_both_hands_as_one(hand: HandModel, tmp_path: Path) -> None:
    """The nearer before the farther, and the left one alone goes when its box is cleared."""
    if installed_browser() is None:
        pytest.skip("no Chromium is installed")
    sequence = both_hands(hand)
    asked = """
    await viewer.ready;
    const canvas = viewer.cameraView.canvas, found = { size: [canvas.width, canvas.height] };
    viewer.state.opacity = 1;
    await viewer.show(0); found.both = canvas.toDataURL("image/png");
    document.dispatchEvent(new KeyboardEvent("keydown", { key: "2" }));
    await viewer.settled(); found.right = canvas.toDataURL("image/png");
    return found;
    """
    seen = asked_of(saved_page(ViewContent(sequence), PageOptions()), asked, tmp_path)
    width, height = seen["size"]
    intrinsics = CAMERA.resized(width, height).intrinsics
    for name, one in (("both", sequence), ("right", white_sequence(hand))):
        _, scene = next(iter(one.scenes()))
        expected = covered(scene.mesh.vertices[0], scene.mesh.faces[0], intrinsics, width, height)
        found = drawn(seen[name])
        assert (found & expected).sum() / (found | expected).sum() >= 0.99, name
