"""Every registry of docs/extending.md, joined from outside by the page's code and used by the page's commands."""

import ast
import json
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from tests.extensions import PAGE, Example, example, install, write_shelf
from tests.forked import forks
from tests.oracles.bilinear import bilinear
from tests.sample_set import Sample
from warpgrasp.cli import main
from warpgrasp.data.ho3d.dataset import Ho3d
from warpgrasp.data.pictures import read_picture
from warpgrasp.hand.model import HandModel
from warpgrasp.hand.templates import HAND_MODELS, load_hand
from warpgrasp.photometric import photometric_consistency
from warpgrasp.predictions import Predictions, read_predictions
from warpgrasp.reconstruction.encoders import ENCODERS

pytestmark = pytest.mark.slow

SOURCE = Path(__file__).parents[1] / "src" / "warpgrasp"
TITLES = ("A data set", "An encoder", "A photometric term", "An export format", "A metric", "A hand model")
TINY = ["--network.width", "2", "--stage1.steps", "1", "--stage2.steps", "1", "--tracker", "none"]
LUMA = np.array([0.299, 0.587, 0.114])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which every example of the page is installed."""
    folder = tmp_path_factory.mktemp("site")
    install(folder, *map(example, TITLES))
    return folder


@pytest.fixture(scope="module")
def shelf(sample: Sample, hand: HandModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in the layout of the page's data set."""
    root = tmp_path_factory.mktemp("data") / "DIR"
    write_shelf(root, Ho3d(sample.root, hand))
    return root


@dataclass(frozen=True)
class Outcome:
    """What the commands of the page printed and wrote."""

    folder: Path
    printed: dict[str, str]  # by command

    @property
    def predictions(self) -> Predictions:
        return read_predictions(self.folder / "predictions.npz")[0]

    @property
    def scores(self) -> dict:
        return json.loads((self.folder / "scores.json").read_text())


def command(part: Example, name: str) -> tuple[str, ...]:
    """The words of the page's command of that name."""
    (words,) = (words for words in part.commands if words[0] == name)
    return words


@pytest.fixture(scope="module")
def train_words() -> list[str]:
    """One training by the page's data set, encoder and term: the words of their commands together."""
    data_set, encoder, term = (command(example(title), "train") for title in TITLES[:3])
    assert encoder[: len(data_set)] == term[: len(data_set)] == data_set
    return [*data_set, *encoder[len(data_set) :], *term[len(data_set) :], *TINY]


@pytest.fixture(scope="module")
def outcome(site: Path, shelf: Path, train_words: list[str], tmp_path_factory) -> Outcome:
    """The page's commands, each in a process of its own that knows the examples by `PYTHONPATH` alone."""
    folder = tmp_path_factory.mktemp("extended")
    (folder / "DIR").symlink_to(shelf)
    path = os.pathsep.join([str(site), *(entry for entry in sys.path if entry)])
    data_set, _, _, export, metric, hand = map(example, TITLES)
    assert command(hand, "doctor") == (*command(data_set, "doctor"), "--hand", "small")
    later = (command(data_set, "predict"), command(metric, "evaluate"), command(export, "export"))
    printed: dict[str, str] = {}
    environment = {"PYTHONPATH": path, "COLUMNS": "200"}
    with forks(tmp_path_factory.mktemp("printed"), environment=environment, cwd=folder) as processes:
        for words in (command(hand, "doctor"), train_words, *later):
            ended = processes.run(words)
            assert ended.status == 0, f"{words}: {ended.error}"
            printed[words[0]] = ended.out
    return Outcome(folder, printed)


def groups() -> set[str]:
    """The entry-point groups of every registry of the source."""
    texts = (path.read_text() for path in SOURCE.rglob("*.py"))
    calls = (node for text in texts if "Registry(" in text for node in ast.walk(ast.parse(text)))
    return {
        ast.literal_eval(node.args[1])
        for node in calls
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Registry"
    }


def test_the_page_names_every_registry() -> None:
    """Detectors alone have no worked example."""
    table = PAGE.read_text().partition("| registry |")[2].partition("\n\n")[0]
    assert set(re.findall(r"`(warpgrasp\.\w+)`", table)) == groups()
    assert groups() - {example(title).group for title in TITLES} == {"warpgrasp.keypoint_detectors"}


def test_the_data_set_is_examined(outcome: Outcome) -> None:
    assert "shelf: 8 frames" in outcome.printed["doctor"].splitlines()


def test_the_data_set_is_trained_on(outcome: Outcome) -> None:
    """Two of its six training frames; the checkpoint knows its object."""
    assert "2 of 6 frames annotated (33.33 %), 1 objects, seed 0" in outcome.printed["train"]
    assert re.search(r"shelf +│ 6 +│ 2 +│ 33\.33 % │ 0, 4", outcome.printed["train"])


def test_the_data_set_is_scored(outcome: Outcome, shelf: Path) -> None:
    """The errors by NumPy from the arrays of its file."""
    predictions, scores = outcome.predictions, outcome.scores
    assert [str(name) for name in predictions.names] == ["shelf/0006", "shelf/0007"]
    assert scores["frames"] == 2
    assert scores["predictions"]["protocol"] == "shelf"
    with np.load(shelf / "truth.npz") as truth:
        joints, rotations, translations = (
            truth[field][6:].astype(float) for field in ("hand_joints", "object_rotation", "object_translation")
        )
    found_mm = 1000 * np.linalg.norm(predictions.hand_joints - joints, axis=-1).mean()
    assert scores["scores"]["hand_joint_error_mm"] == pytest.approx(found_mm, rel=1e-5)
    lines = [line.split()[1:] for line in (shelf / "object.obj").read_text().splitlines() if line.startswith("v ")]
    vertices = np.array(lines, dtype=float)
    placed = vertices @ rotations.mT + translations[:, None]
    predicted = vertices @ predictions.object_rotation.astype(float).mT + predictions.object_translation[:, None]
    found_mm = 1000 * np.linalg.norm(predicted - placed, axis=-1).mean()
    assert scores["scores"]["object_vertex_error_mm"] == pytest.approx(found_mm, rel=1e-4)


def test_the_encoder_is_trained_stored_and_predicted_with(outcome: Outcome, shelf: Path) -> None:
    """The regressed shape, by NumPy from the stored tensors and the pictures at the network's size."""
    tensors = load_file(outcome.folder / "RUN" / "weights.safetensors")
    assert tensors["network.encoder.mix.weight"].shape == (16, 12)
    images = np.stack([read_picture(shelf / f"{number:02d}.png", (64, 48))[0].numpy() / 255 for number in (6, 7)])
    values = (images - 0.5).reshape(2, 3, 2, 24, 2, 32).mean(axis=(3, 5)).reshape(2, 12)
    for layer in ("encoder.mix", "heads.hand_pose_shape.0", "heads.hand_pose_shape.2", "heads.hand_pose_shape.4"):
        values = values @ tensors[f"network.{layer}.weight"].T + tensors[f"network.{layer}.bias"]
        if layer in ("heads.hand_pose_shape.0", "heads.hand_pose_shape.2"):
            values = np.maximum(values, 0)
    np.testing.assert_allclose(outcome.predictions.hand_shape, values[:, -10:], rtol=0, atol=2e-7)
    assert np.ptp(values[:, -10:], axis=0).max() > 2e-6  # it depends on the picture


@pytest.fixture
def installed_here(site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The same in this process."""
    monkeypatch.syspath_prepend(site)
    yield
    for title in TITLES:
        sys.modules.pop(example(title).module, None)
    for registry in (ENCODERS, HAND_MODELS):
        registry._loaded.clear()


def test_the_hand_is_loaded_by_name(outcome: Outcome, installed_here: None) -> None:
    assert "hand: small-hand right, 778 vertices" in outcome.printed["doctor"].splitlines()
    small, adult = load_hand("small"), load_hand("open")
    pose, shape = torch.full((1, 45), 0.1), torch.full((1, 10), 0.5)
    posed = [hand(torch.zeros(1, 3), pose, shape) for hand in (small, adult)]
    torch.testing.assert_close(posed[0].joints, 0.8 * posed[1].joints)
    torch.testing.assert_close(posed[0].vertices, 0.8 * posed[1].vertices)


def test_the_term_is_what_is_compared(
    outcome: Outcome, installed_here: None, train_words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eq. 1 of brightness by NumPy, at stage 2's first step, where the same training by colours has the same poses."""
    compared = []

    def recorded(pair, *arguments, **options):
        compared.append((pair, photometric_consistency(pair, *arguments, **options)))
        return compared[-1][1]

    monkeypatch.setattr("warpgrasp.training.pairs.photometric_consistency", recorded)
    monkeypatch.chdir(outcome.folder)
    words = [{"RUN": str(tmp_path / "run"), "luma": "colours"}.get(word, word) for word in train_words]
    assert main(words) == 0
    ((pair, colours),) = compared
    expected = np.mean([luma_difference(pair, colours, row) for row in range(len(colours.loss))])
    logged = {
        name: json.loads((folder / "weights.jsonl").read_text().splitlines()[0])
        for name, folder in (("luma", outcome.folder / "RUN"), ("colours", tmp_path / "run"))
    }
    assert logged["luma"]["compared_share"] == logged["colours"]["compared_share"] > 0.3
    assert logged["luma"]["photometric"] == pytest.approx(expected, rel=1e-4)
    assert abs(logged["colours"]["photometric"] - expected) > 0.01 * expected


def luma_difference(pair, colours, row: int) -> float:
    """The mean absolute difference of brightness over the compared pixels of a pair."""
    compared = colours.compared[row].numpy()
    landing_px = colours.flow.landing_px[row].detach().double().numpy()[compared]
    u, v = colours.flow.fragments.pixels[row].numpy()[compared].T
    target, reference = (
        np.tensordot(LUMA, image[row].double().numpy(), axes=1) for image in (pair.target_image, pair.reference_image)
    )
    return float(np.abs(bilinear(target[None], landing_px)[0] - reference[v, u]).mean())


def test_the_format_holds_the_predicted_numbers(outcome: Outcome) -> None:
    rows = np.loadtxt(outcome.folder / "depths.txt")
    np.testing.assert_allclose(rows[:, 1], outcome.predictions.object_translation[:, 2], rtol=0, atol=6e-7)
    assert "wrote 2 frames to depths.txt" in outcome.printed["export"]


def test_the_metric_is_computed_printed_and_stored(outcome: Outcome, shelf: Path) -> None:
    with np.load(shelf / "truth.npz") as truth:
        depths_m = truth["hand_joints"][6:, 0, 2].astype(float)
    expected_mm = 1000 * np.abs(outcome.predictions.hand_joints[:, 0, 2] - depths_m).mean()
    (figure,) = (figure for figure in outcome.scores["figures"] if figure["name"] == "wrist_depth_error_camera_mm")
    assert figure["value"] == pytest.approx(expected_mm, rel=1e-5)
    assert (figure["frames"], figure["left_out"]) == (2, 0)
    assert re.search(rf"wrist depth error camera mm +│ +{figure['value']:.3f} ", outcome.printed["evaluate"])
