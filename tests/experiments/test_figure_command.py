"""`warpgrasp figure`: the paper's pictures from finished runs."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.training.runs import prepare, short_recipe
from warpgrasp.cli import main
from warpgrasp.data.ho3d.dataset import Ho3d
from warpgrasp.experiments.scoring import FinishedRun
from warpgrasp.frame import FrameName
from warpgrasp.hand.model import HandModel
from warpgrasp.report.paper_figures import GAP_PX, HEAD_PX, NOTE_PX, Tile, middle_finger_m, save_grid
from warpgrasp.training.log import LogOptions
from warpgrasp.training.loop import train_stage
from warpgrasp.training.run import open_run

ROW_PX = 240 + NOTE_PX + GAP_PX  # of 320×240 pictures


def size_of(columns: int, rows: int) -> tuple[int, int]:
    """Of a sheet with a title."""
    return columns * (320 + GAP_PX) + GAP_PX, 2 * HEAD_PX + rows * ROW_PX


def draw(number: str, runs: list[Path], root: Path, out: Path, *options: str) -> int:
    folders = [str(one) for one in runs]
    return main(["figure", number, "--run", *folders, "--data", str(root), "--out", str(out), *options])


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


@pytest.fixture(autouse=True)
def _drawn_small(monkeypatch) -> None:
    monkeypatch.setattr("warpgrasp.report.paper_figures.DRAWN_WIDTH_PX", 320)


@pytest.fixture(scope="module")
def three_arms(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the demo leaves it; its networks are all the same."""
    folder = Path(shutil.copytree(trained_run, tmp_path_factory.mktemp("runs") / "demo"))
    for arm in ("control", "photometric", "full"):
        shutil.copyfile(folder / "weights.safetensors", folder / f"{arm}.safetensors")
    (folder / "weights.safetensors").unlink()
    return folder


@pytest.mark.slow
def test_overlays_and_turned_views(three_arms: Path, sample_root: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "new" / "fig.png"
    assert draw("4", [three_arms], sample_root, out) == 0
    assert size(out) == size_of(9, 1)  # the input, three arms and the truth; one evaluation sequence
    assert f"wrote {out}" in capsys.readouterr().out.replace("\n", "")
    assert draw("6", [three_arms], sample_root, out, "--force", "--frames", "A1/1", "E1/0002") == 0
    assert size(out) == size_of(7, 2)


def test_two_runs_of_one_kind_keep_their_names(trained_run: Path, three_arms: Path) -> None:
    from warpgrasp.cli.experiments import _arms

    runs = [FinishedRun.read(folder) for folder in (three_arms, trained_run)]
    assert list(_arms(runs, with_full=True)) == ["full", "photometric", f"photometric, {trained_run.name}", "control"]


@pytest.mark.slow
def test_refinement_over_the_steps(sample_root: Path, tmp_path: Path) -> None:
    training, run = prepare(sample_root, short_recipe()), tmp_path / "run"
    with open_run(training, run, command=[]):
        first = train_stage(training, training.recipe.stage1, run / "stage1.safetensors")
        final = run / "weights.safetensors"
        train_stage(training, training.recipe.stage2, final, initial=first, log=LogOptions(snapshots=(2, 6)))
    assert list(FinishedRun.read(run).stages()) == ["0 steps", "2 steps", "6 steps"]
    out = tmp_path / "fig.png"
    assert draw("9", [run], sample_root, out) == 0
    assert size(out) == size_of(5, 3)  # reference, input, three stages; two training sequences hold three frames


def test_the_start_of_a_reproduced_run_lies_in_another_folder(trained_run: Path, tmp_path: Path) -> None:
    for name, file in (("first", "stage1"), ("second", "weights")):
        (tmp_path / name).mkdir()
        shutil.copyfile(trained_run / f"{file}.safetensors", tmp_path / name / "weights.safetensors")
    notes = json.loads((trained_run / "run.json").read_text())
    (tmp_path / "second" / "run.json").write_text(json.dumps({**notes, "initial": "first/weights.safetensors"}))
    stages = FinishedRun.read(tmp_path / "second").stages()
    assert list(stages.values()) == [tmp_path / name / "weights.safetensors" for name in ("first", "second")]


@pytest.mark.slow
def test_shapes_with_and_without_adaptation(trained_run: Path, sample_root: Path, tmp_path: Path) -> None:
    recipe = short_recipe()
    adapted = replace(recipe.first_stage(), network=replace(recipe.network, skeleton_adaptation=True))
    training, run = prepare(sample_root, adapted), tmp_path / "run"
    with open_run(training, run, command=[]):
        train_stage(training, adapted.stage1, run / "weights.safetensors")
    out = tmp_path / "fig.png"
    assert draw("10", [run, trained_run], sample_root, out, "--frames", "E1/2") == 0
    assert size(out) == size_of(5, 1)


def test_labels_are_those_of_the_run(trained_run: Path, sample_root: Path, hand: HandModel) -> None:
    labels = FinishedRun.read(trained_run).labels(Ho3d(sample_root, hand))
    assert labels.annotated == {"A1": (0, 4), "B1": (0, 4)}
    assert labels.reference(FrameName("A1", 3)) == FrameName("A1", 4)


@pytest.mark.parametrize(
    ("number", "options", "expected"),
    [
        ("4", ["--frames", "A1/99"], r"expected frames as SEQUENCE/NUMBER of .* \(A1, B1, E1, …\), got 'A1/99'"),
        ("4", ["--frames", "A1"], r"expected frames as SEQUENCE/NUMBER"),
        ("9", ["--frames", "E1/0"], r"expected frames of training sequences with an annotated frame for figure 9"),
        (
            "10",
            [],
            r"expected a run with and one without skeleton adaptation for figure 10, found only runs without it",
        ),
    ],
)
def test_what_cannot_be_drawn(
    number: str, options: list[str], expected: str, trained_run: Path, sample_root: Path, tmp_path: Path, capsys
) -> None:
    assert draw(number, [trained_run], sample_root, tmp_path / "fig.png", *options) == 1
    assert re.search(expected, capsys.readouterr().err)
    assert not list(tmp_path.iterdir())


def test_folders_that_are_no_finished_runs(trained_run: Path, sample_root: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "fig.png"
    assert draw("4", [tmp_path], sample_root, out) == 1
    assert "expected the folder of a run, found no" in capsys.readouterr().err
    shutil.copyfile(trained_run / "run.json", tmp_path / "run.json")
    for number, expected in (("4", "expected finished weights in"), ("9", "expected a finished run of two stages in")):
        assert draw(number, [tmp_path], sample_root, out) == 1
        assert expected in capsys.readouterr().err
    (tmp_path / "run.json").write_text('{"recipe": 3}')
    assert draw("4", [tmp_path], sample_root, out) == 1
    assert "cannot be read" in capsys.readouterr().err
    out.write_text("precious")
    assert draw("4", [trained_run], sample_root, out) == 1
    assert "overwrite it by --force" in capsys.readouterr().err
    assert out.read_text() == "precious"


def test_tiles_are_where_they_belong(tmp_path: Path) -> None:
    colours = torch.eye(3)  # red, green, blue
    rows = [[Tile(colours[k][:, None, None].expand(3, 4, 6), "note")] for k in (0, 1)]
    rows[0].append(Tile(colours[2][:, None, None].expand(3, 4, 6)))
    save_grid(tmp_path / "sheet.png", ["a", "b"], rows, tile_px=(60, 40))
    with Image.open(tmp_path / "sheet.png") as image:
        pixels = np.asarray(image)
    assert pixels.shape == (HEAD_PX + 2 * (40 + NOTE_PX + GAP_PX), 2 * (60 + GAP_PX) + GAP_PX, 3)
    second = HEAD_PX + 40 + NOTE_PX + GAP_PX
    for top, left, colour in ((HEAD_PX, GAP_PX, 0), (HEAD_PX, 60 + 2 * GAP_PX, 2), (second, GAP_PX, 1)):
        assert (pixels[top : top + 40, left : left + 60] == 255 * np.eye(3, dtype=np.uint8)[colour]).all()
        assert (pixels[top - 1, left : left + 60] == 255).all()
    assert (pixels[second : second + 40, 60 + 2 * GAP_PX : -GAP_PX] == 255).all()  # the row is short


def test_the_length_of_the_middle_finger(hand: HandModel) -> None:
    with torch.no_grad():
        joints = hand(torch.zeros(1, 3), torch.zeros(1, 45), torch.zeros(1, 10)).joints[0].numpy()
    bones = [np.linalg.norm(joints[a] - joints[b]) for a, b in ((9, 10), (10, 11), (11, 12))]
    assert middle_finger_m(hand, torch.zeros(10)) == pytest.approx(sum(bones), rel=1e-5)
    assert 0.06 < sum(bones) < 0.12
