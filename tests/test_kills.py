"""A command that is killed at any moment, and given again, ends with the files of an undisturbed one, and no others."""

import json
import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.data.recording.recording_files import hand_parameters, write_recording
from tests.footage_files import Brought, bring
from tests.forked import LONG_IMPORTS, Forks, forks
from tests.killed import ALL, SETUP, Killed, every, soon, spread
from tests.oracles import released as oracle
from tests.reconstruction.test_released import stored
from tests.sample_set import Sample
from warpgrasp.cli import main
from warpgrasp.data import open_dataset
from warpgrasp.export.datasets import RecordingOptions, export_recording
from warpgrasp.hand.model import HandModel

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def processes(sample_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    tiny = {"TINY": str(sample_root)}  # stands in for the shipped sample
    with forks(tmp_path_factory.mktemp("printed"), LONG_IMPORTS + SETUP, environment=tiny) as running:
        yield running


@pytest.fixture(scope="module")
def brought(tmp_path_factory: pytest.TempPathFactory) -> Brought:
    return bring(tmp_path_factory.mktemp("brought"))


@pytest.fixture(scope="module")
def predicted(brought: Brought) -> Path:
    assert main(brought.words("--check-hands", "0")) == 0
    return brought.out


@pytest.fixture(scope="module")
def labelled(sample: Sample, hand: HandModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of eight pictures, two of them labelled."""
    sequence, folder = sample.sequences["train"]["A1"], tmp_path_factory.mktemp("recordings") / "A1"
    hands = {number: hand_parameters(sequence, number) for number in (1, 6)}
    dataset = open_dataset(sample.root, hand)
    export_recording(dataset, "train", "A1", folder, RecordingOptions((1, 6), (), hands, "frames"))
    return folder


@pytest.fixture
def check(processes: Forks, tmp_path: Path, record_property) -> Callable[..., int]:
    """Kills a command that writes in the folder `out`, and notes how often it has survived."""

    def checked(words: list[str], moments: Callable, numbers=ALL, **options) -> int:
        killed = Killed(words, tmp_path / "out", processes, **options)
        try:
            return killed.check(moments, numbers)
        finally:
            tried, survived = len(killed.tried), len(killed.survived)
            record_property("kills", {"command": words[0], "tried": tried, "survived": survived})

    return checked


@pytest.fixture
def out(tmp_path: Path) -> str:
    return str(tmp_path / "out")


def camera_words(out: str) -> list[str]:
    return ["camera", out, "--focal-px", "500", "--size", "64", "48"]


def predict_words(brought: Brought, out: str, *more: str) -> list[str]:
    words = brought.words("--check-hands", *more, out=Path(out, "p.npz"))
    Path(out).rmdir()
    return words


def export_words(brought: Brought, predicted: Path, out: str, *formats: str) -> list[str]:
    targets = [word for name in formats for word in (f"--{name}", f"{out}/to_{name}.{name}")]
    data = ["--data", str(brought.video), "--object", str(brought.mesh)]
    return ["export", str(predicted), *data, *targets]


def test_camera(out: str, check) -> None:
    check(camera_words(out), spread(3, last=4))


def test_predict(out: str, check, brought: Brought) -> None:
    check(predict_words(brought, out, "0"), spread(4))


def test_export(out: str, check, brought: Brought, predicted: Path) -> None:
    check(export_words(brought, predicted, out, "csv", "ply"), spread(4))


@pytest.mark.parametrize("number", ALL)
def test_camera_at_every_moment(out: str, check, number: int) -> None:
    """By every signal, also where there is something to replace."""
    assert check(camera_words(out), every, [number]) >= 10
    words = ["camera", out, "--focal-px", "50", "--force"]
    assert check(words, every, [number], begin=write_recording_in) >= 10


def write_recording_in(folder: Path) -> None:
    folder.rmdir()
    write_recording(folder)


@pytest.mark.parametrize("number", ALL)
def test_tables_at_every_moment(out: str, check, brought: Brought, predicted: Path, number: int) -> None:
    assert check(export_words(brought, predicted, out, "csv", "json"), every, [number]) >= 10


def test_predict_everywhere(out: str, check, brought: Brought) -> None:
    assert check(predict_words(brought, out, "4"), spread(12, last=60)) >= 60


def test_export_everywhere(out: str, check, brought: Brought, predicted: Path) -> None:
    words = export_words(brought, predicted, out, "glb", "obj", "mp4", "json", "csv", "ply", "bop")
    assert check(words, spread(16, last=8)) >= 20


@pytest.fixture(scope="module")
def data_set_predictions(sample_root: Path, trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("predictions") / "p.npz"
    words = ["predict", sample_root, "--weights", trained_run, "--split", "evaluation", "--out", file]
    assert main([str(word) for word in words]) == 0
    return file


def test_data_sets_and_scores_everywhere(out: str, check, sample_root: Path, data_set_predictions: Path) -> None:
    file, data = str(data_set_predictions), ["--data", str(sample_root)]
    words = ["evaluate", file, *data, "--out", f"{out}/scores.json", "--submission", f"{out}/pred.zip"]
    assert check(words, spread(6, last=6)) >= 8
    assert check(["export", file, *data, "--sequence", "E1", "--ho3d", f"{out}/ho3d"], spread(8, last=4)) >= 8


def test_densify_everywhere(out: str, check, labelled: Path) -> None:
    words = ["densify", str(labelled), "--out", out, "--keypoints", "none"]
    assert check(words, spread(16, last=24)) >= 30


def without_times(path: Path) -> object:
    """A run's files, but for how long it took, and for TensorBoard's, which are named after times."""
    if path.suffix == ".jsonl":
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]
    return path.read_bytes()


def test_train_everywhere(out: str, check, sample_root: Path) -> None:
    steps = ["--stage1.steps", "3", "--stage2.steps", "3", "--tracker", "none"]
    words = ["train", "toy", "--data", str(sample_root), "--out", out, *steps]
    assert check(words, spread(16, last=20), content=without_times) >= 30


def test_sample_everywhere(out: str, check) -> None:
    words = ["sample", f"{out}/data", "--sequences", "1", "--frames", "2"]
    assert check(words, spread(5, last=3)) >= 6


def test_doctor_everywhere(out: str, check, copied_root: Path) -> None:
    """The index in the user's cache."""
    for path in copied_root.rglob("*"):
        os.utime(path, (1e9, 1e9))  # of a file that was just written no fact is kept
    assert check(["doctor", "--data", str(copied_root)], spread(4, last=6)) >= 6


def test_pages_everywhere(out: str, check, brought: Brought, predicted: Path) -> None:
    shown = ["--data", str(brought.video), "--object", str(brought.mesh)]
    assert check(["view", str(predicted), *shown, "--save", f"{out}/page.html"], spread(4, last=6)) >= 6


def test_figures_everywhere(out: str, check, sample_root: Path, trained_run: Path) -> None:
    words = ["figure", "4", "--run", f"{out}/run", "--data", str(sample_root), "--out", f"{out}/figure.png"]

    def begin(folder: Path) -> None:
        shutil.copytree(trained_run, folder / "run")

    assert check([*words, "--frames", "E1/0"], spread(3, last=6), begin=begin) >= 6


def test_networks_everywhere(out: str, check, brought: Brought, sample_root: Path, trained_run: Path, hand) -> None:
    pytest.importorskip("onnxruntime", reason="needs the extra `onnx`")
    assert check(["export-onnx", str(brought.weights), "--out", f"{out}/network.onnx"], spread(4, last=4)) >= 6
    data = ["--data", str(sample_root)]
    words = ["quantize", str(trained_run), *data, "--out", f"{out}/encoder.onnx", "--pictures", "2"]
    assert check(words, spread(3, last=4)) >= 5
    path = stored(Path(out).with_name("released.pth"), oracle.random_state(hand.template, adapted=False))
    words = ["import-released", str(path), *data, "--out", f"{out}/weights.safetensors"]
    assert check(words, spread(3, last=4)) >= 5


def without_durations(path: Path) -> object:
    """A demo's files, but for how long it took."""
    match path.name:
        case "seconds.json":
            return None
        case "results.json":
            return {**json.loads(path.read_text()), "seconds": 0}
        case "report.html":
            return re.sub(r"\b[0-9]+ s\b", "", path.read_text())
    return without_times(path)


def test_demo_everywhere(out: str, check, sample_root: Path) -> None:
    words = ["demo", "--data", str(sample_root), "--out", out, "--recipe", "toy"]
    assert check(words, spread(6, last=4), content=without_durations) >= 5  # runs differ in how often they ask


SOON = ("camera", "predict", "export", "densify", "train", "evaluate", "view", "sample")  # commands that write


@pytest.mark.parametrize("name", SOON)
def test_killed_soon_after_the_first_file(
    name: str, out: str, check, brought: Brought, predicted: Path, labelled: Path, sample_root: Path, request
) -> None:
    data, shown = ["--data", str(sample_root)], ["--data", str(brought.video), "--object", str(brought.mesh)]
    steps = ["--stage1.steps", "3", "--stage2.steps", "3", "--tracker", "none"]
    words = {
        "camera": lambda: camera_words(out),
        "predict": lambda: predict_words(brought, out, "4"),
        "export": lambda: export_words(brought, predicted, out, "glb", "obj", "mp4", "csv", "bop"),
        "densify": lambda: ["densify", str(labelled), "--out", out, "--keypoints", "none"],
        "train": lambda: ["train", "toy", *data, "--out", out, *steps],
        "evaluate": lambda: [
            *("evaluate", str(request.getfixturevalue("data_set_predictions")), *data),
            *("--out", f"{out}/scores.json", "--submission", f"{out}/pred.zip"),
        ],
        "view": lambda: ["view", str(predicted), *shown, "--save", f"{out}/page.html"],
        "sample": lambda: ["sample", f"{out}/data", "--sequences", "1", "--frames", "2"],
    }[name]()
    numbers = [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGKILL]
    check(words, soon(9), numbers, content=without_times if name == "train" else Path.read_bytes)


def test_reproduce_everywhere(out: str, check, sample_root: Path) -> None:
    words = ["reproduce", "table3", "--data", "sample", "--out", out, "--quick", "--seeds", "0"]
    assert check(words, spread(6, last=4), content=without_times) >= 8
