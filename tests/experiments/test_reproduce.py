"""`warpgrasp reproduce` from end to end, on the tiny data set in place of the shipped one."""

import json
import re
import shutil
import signal
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.data.fphab.fphab_files import write_fphab
from tests.training.test_resume import driven
from warpgrasp.cli import main
from warpgrasp.experiments import plans, sweep
from warpgrasp.experiments.plans import EXPERIMENTS, networks, published
from warpgrasp.experiments.results import from_json, markdown
from warpgrasp.experiments.scoring import pixel_scale
from warpgrasp.hand.model import HandModel
from warpgrasp.locks import exclusive

ARMS = ("control", "photometric", "Eq. 1", "near to far")


@pytest.fixture(autouse=True)
def _tiny(monkeypatch, sample_root: Path) -> None:
    """The tiny data set is what is shipped, and two steps are a smoke run."""
    monkeypatch.setattr("warpgrasp.data.sample.unpack_shipped", lambda root: sample_root)
    monkeypatch.setattr(plans, "SMOKE_STEPS", 2)


def run(what: str, out: Path, *options: str) -> int:
    return main(["reproduce", what, "--data", "sample", "--out", str(out), "--quick", "--seeds", "0", *options])


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


@pytest.mark.slow
def test_a_table_from_nothing_and_again(sample_root: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    assert run("table3", tmp_path) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "Smoke run (--quick): tiny pictures and a few steps. No evidence of anything." in printed
    assert "wrote table3-sample-quick.json, table3-sample-quick.md" in printed
    page, content = (tmp_path / "table3-sample-quick.md").read_text(), read(tmp_path / "table3-sample-quick.json")

    # Published cells where the paper has them; ours where something was supervised; no number from anywhere else.
    rows = {
        line.split(" | ")[0].strip("| "): line.strip("| ").split(" | ")[1:]
        for line in page.splitlines()
        if "| " in line
    }
    ours = {row["row"]: row["ours"] for row in content["rows"]}
    number = r"\d+\.\d"
    for name, paper, ours_said in (
        ("hand only", ["15.7", "–"], [number, "–"]),
        ("object only", ["–", "21.8"], ["–", number]),
        ("hand + object", ["18.0", "22.3"], [number, number]),
    ):
        assert rows[name][:2] == paper
        assert all(re.fullmatch(said, cell) for said, cell in zip(ours_said, rows[name][2:4], strict=True)), rows[name]
        assert rows[name][4:] == ["16 of 16 (100.00 %)", "1"]
    assert {name: sorted(cells) for name, cells in ours.items()} == {
        "hand only": ["hand_joint_error_mm"],
        "object only": ["object_vertex_error_mm"],
        "hand + object": ["hand_joint_error_mm", "object_vertex_error_mm"],
    }
    assert "* Split: ho3d/official; 4 evaluation frames scored." in page
    assert "pixels of 320×240 pictures" in page

    # What `evaluate` says of the same predictions.
    last = content["runs"][2]
    file, scores = tmp_path / last["folder"] / "evaluation.npz", tmp_path / "scores.json"
    assert main(["evaluate", str(file), "--data", str(sample_root), "--out", str(scores)]) == 0
    for metric, cell in ours["hand + object"].items():
        assert cell["mean"] == pytest.approx(read(scores)["scores"][metric], rel=1e-9)

    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    monkeypatch.setattr(sweep, "carry_out", None)  # nothing is left to do
    assert run("table3", tmp_path) == 0
    assert {path: path.read_bytes() for path in before} == before
    assert run("table1", tmp_path) == 0  # its one network is there already, shared by the folder
    assert read(tmp_path / "table1-sample-quick.json")["rows"][0]["ours"] == ours["hand + object"]


def test_one_command_at_a_time(tmp_path: Path, capsys) -> None:
    with exclusive(tmp_path / ".lock", "taken"):
        assert run("table1", tmp_path) == 1
    assert f"expected no other command at work in {tmp_path}, found one: process " in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_a_figure_with_a_failed_run(tmp_path: Path, capsys, monkeypatch) -> None:
    carry_out = sweep.carry_out

    def fails_once(job, setting, *, scored):
        if job.label == "6.67 % · photometric · seed 0":
            raise ValueError("the disk is full")
        carry_out(job, setting, scored=scored)

    monkeypatch.setattr(sweep, "carry_out", fails_once)
    assert run("fig7", tmp_path) == 1
    captured = capsys.readouterr()
    printed = " ".join(captured.out.split())
    log = next((tmp_path / "logs").iterdir())
    assert f"failed: 6.67 % · photometric · seed 0: the disk is full ({log})" in printed
    assert "expected 12 trainings to end, but 1 failed: 6.67 % · photometric · seed 0." in captured.err
    content = read(tmp_path / "fig7-sample-quick.json")
    assert content["failed"] == [{"label": "6.67 % · photometric · seed 0", "error": "the disk is full"}]
    assert len(content["runs"]) == 8
    assert {path.suffix for path in tmp_path.glob("fig7-sample-quick.*")} == {".json", ".md", ".png", ".svg"}
    assert "the disk is full" in (tmp_path / "fig7-sample-quick.md").read_text()
    monkeypatch.setattr(sweep, "carry_out", carry_out)
    assert run("fig7", tmp_path) == 0
    content = read(tmp_path / "fig7-sample-quick.json")
    assert (content["failed"], len(content["runs"])) == ([], 9)
    assert not list((tmp_path / "logs").iterdir())
    labels = {(row["row"], row["arm"]): row["annotated"] for row in content["rows"] if row["frames"]}
    assert labels == {
        **{(row, arm): 2 for row in ("1.67 %", "6.67 %") for arm in ARMS},
        ("100 %", "full"): 16,
    }
    for row in content["rows"]:
        there = sorted(row["unannotated"])
        assert there == sorted(row["full_on_unannotated"])
        assert there == (sorted(content["metrics"]) if row["arm"] in ARMS and row["frames"] else [])
    again = markdown(from_json(content))
    assert again == (tmp_path / "fig7-sample-quick.md").read_text()
    assert "| 6.67 % | Eq. 1 |" in again.partition("Never-annotated frames")[2]
    paper = [row for row in content["rows"] if not row["frames"]]
    assert [(row["row"], row["arm"]) for row in paper] == [
        (row, arm) for row in ("0.625 %", "2.5 %") for arm in ("control", "photometric")
    ]
    assert paper[0]["paper"]["object_corner_error_px"] == 61.3
    assert paper[0]["ours"] == {}


@pytest.mark.slow
def test_shares_of_correct_frames(tmp_path: Path) -> None:
    assert run("fig5", tmp_path) == 0
    content = read(tmp_path / "fig5-sample-quick.json")
    assert [line["name"] for line in content["pck"]] == [
        f"{points}_frame_pck_image" for points in ("hand_joint", "object_corner", "object_vertex")
    ]
    for line in content["pck"]:
        assert len(line["thresholds_px"]) == len(line["shares"][0]) == 100
        assert sorted(line["shares"][0]) == line["shares"][0]
    assert content["published"]["source"] == ""
    assert all(row["paper"] == {} for row in content["rows"])


@pytest.mark.slow
def test_relative_errors_of_table_2(tmp_path: Path) -> None:
    assert run("table2", tmp_path) == 0
    first, second = (row for row in read(tmp_path / "table2-sample-quick.json")["rows"] if row["frames"])
    assert (first["row"], second["row"]) == ("no skeleton adaptation", "skeleton adaptation")
    assert (first["paper"], second["paper"]) == ({"hand_joint_error_mm": 28.1}, {"hand_joint_error_mm": 27.4})
    assert set(first["ours"]) == {
        f"hand_joint_error_{name}mm" for name in ("", "wrist_relative_", "middle_base_relative_")
    }
    page = (tmp_path / "table2-sample-quick.md").read_text()
    assert "relative to a joint: moved so that this joint meets the true one" in page
    assert "alignment not stated" in page
    assert "| Hasson et al. 2019 | 28.0 | – | – | – | – | – |" in page


@pytest.mark.slow
def test_the_papers_own_data(hand: HandModel, tmp_path: Path, capsys) -> None:
    root, out, scores = write_fphab(tmp_path / "fphab", hand).root, tmp_path / "out", tmp_path / "scores.json"
    command = ["reproduce", "table1", "--data", str(root), "--out", str(out), "--quick", "--seeds", "0", "1"]
    assert main(command) == 0
    page, content = (out / "table1-quick.md").read_text(), read(out / "table1-quick.json")
    assert "do not compare" not in page + capsys.readouterr().out
    assert content["is_papers_data"] is True
    assert "| method | paper: hand joints, mm | paper: object vertices, mm | ours: hand joints, mm |" in page
    assert re.search(r"\| the paper’s network \| 18\.0 \| 22\.3 \| \d+\.\d ± \d+\.\d \| \d+\.\d ± \d+\.\d \|", page)
    assert "* Split: fphab/actions; 9 evaluation frames scored." in page
    assert "pixels of 480×270 pictures" in page

    # FPHAB's truth is in the paper's pixels already, those of 480×270.
    folder = out / content["runs"][0]["folder"]
    assert main(["evaluate", str(folder / "evaluation.npz"), "--data", str(root), "--out", str(scores)]) == 0
    full, ours = read(scores)["scores"], read(folder / "scores.json")["values"]
    for metric, value in full.items():
        assert ours[metric] == pytest.approx(value, rel=1e-6), metric

    near = [*command[:-2], "0", "--protocol", "subjects-near-10mm"]
    assert main([near[0], "table2", *near[2:]]) == 0
    content = read(out / "table2-quick.json")
    assert (content["data"], content["is_papers_data"]) == ("fphab/subjects-near-10mm", False)


def test_other_data_are_refused(sample_root: Path, tmp_path: Path, capsys) -> None:
    assert main(["reproduce", "table1", "--data", str(sample_root), "--out", str(tmp_path), "--quick"]) == 1
    expected = r"expected data in the layout fphab for table1, found the layout ho3d in .*; give that data set, or"
    assert re.search(expected, capsys.readouterr().err)
    assert not list(tmp_path.iterdir())


def test_workers_need_ray(tmp_path: Path, capsys) -> None:
    assert run("table1", tmp_path, "--workers", "2") == 2
    assert "expected --workers of at least 1, together with --ray, got 2" in capsys.readouterr().err


@pytest.mark.skipif(find_spec("ray") is not None, reason="Ray is installed")
def test_without_ray_it_is_said_how_to_install_it(tmp_path: Path, capsys) -> None:
    assert run("table1", tmp_path, "--ray", "auto") == 1
    assert "pip install 'warpgrasp[ray]'" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.usefixtures("alone_with_ray")
def test_two_ray_workers_measure_what_one_process_does(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    assert run("fig7", here) == 0
    assert run("fig7", there, "--ray", "auto", "--workers", "2") == 0
    assert read(here / "fig7-sample-quick.json") == read(there / "fig7-sample-quick.json")
    assert (here / "fig7-sample-quick.md").read_text() == (there / "fig7-sample-quick.md").read_text()


@pytest.mark.slow
def test_killed_and_started_again(sample_root: Path, tmp_path: Path) -> None:
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    for out in (undisturbed, killed):  # as if the tiny data set had been unpacked there
        shutil.copytree(sample_root, out / "data")

    def command(out: Path) -> list[str]:
        return ["reproduce", "table3", "--data", "sample", "--out", str(out), "--quick", "--seeds", "0"]

    assert driven(command(undisturbed)).wait(timeout=600) == 0
    # In the middle of the first training, and, after that has gone on, of the second.
    for call in (5, 9):
        assert driven(command(killed), "supervised", call).wait(timeout=600) == -signal.SIGKILL
    assert driven(command(killed)).wait(timeout=600) == 0
    contents = [read(out / "table3-sample-quick.json") for out in (undisturbed, killed)]
    assert contents[0] == contents[1]
    for entry in contents[0]["runs"]:
        steps = [
            [json.loads(line)["step"] for line in (out / entry["folder"] / "weights.jsonl").read_text().splitlines()]
            for out in (undisturbed, killed)
        ]
        assert steps[0] == steps[1] == list(range(8))


@pytest.mark.parametrize("name", list(EXPERIMENTS))
def test_the_papers_trainings(name: plans.ExperimentName) -> None:
    """Each row is a published one where there are such; all is as the recipes have it, for every seed."""
    experiment = EXPERIMENTS[name]
    made = networks(experiment, seeds=experiment.seeds, data="paper", quick=False)
    assert len({(one.row, one.arm, one.recipe.seed) for one in made}) == len(made)
    assert {one.recipe.seed for one in made} == set(range(5 if name == "fig7" else 3))
    layout = experiment.splits.partition("/")[0]
    assert all(one.recipe.name.startswith(layout) for one in made)
    table, curves = published().tables.get(name), published().curves.get(name)
    if table is not None:
        assert {one.row for one in made} <= set(table.rows)
        assert all(one.recipe.splits == experiment.splits and one.recipe.fraction == 1 for one in made)
    if curves is not None:
        assert {one.row for one in made} == {f"{percent:g} %" for percent in curves.percent}
        assert {one.arm for one in made} == {"control", "photometric", "full"}
        assert curves.metrics == experiment.metrics
        by_name = {(one.row, one.arm): one.recipe for one in made if one.recipe.seed == 0}
        for row in {row for row, arm in by_name if arm == "control"}:
            assert by_name[row, "control"] == by_name[row, "photometric"].as_control()
        sparsest = by_name["0.625 %", "photometric"]
        assert (sparsest.fraction, sparsest.photometric.weight) == (0.00625, 1e-3)


def test_the_open_benchmark_has_controls_that_are_told_what_the_method_is_told() -> None:
    made = networks(EXPERIMENTS["fig8"], seeds=(0,), data="benchmark", quick=False)
    rows = {(network.row, network.arm): network.recipe for network in made}
    assert len(rows) == len(made) == 2 * 5 + 2
    for row in ("1.67 %", "3.33 %"):
        control, told, best = (rows[row, arm] for arm in ("control", "control, told", "best"))
        assert (control.network.joint_input, told.network, told.stage1) == (False, best.network, best.stage1)
        assert best.photometric.weight > 0 == told.photometric.weight == control.photometric.weight
        assert best.photometric.keypoint_weight > 0 == told.photometric.keypoint_weight
        assert [arm for (of, arm), recipe in rows.items() if of == row and recipe.loss.reprojection > 0] == ["2D"]
        for arm, limit in (("control", "full"), ("control, told", "full, told")):
            assert replace(rows["100 %", limit], fraction=rows[row, arm].fraction) == rows[row, arm]


def test_a_smoke_run_of_a_paper_recipe_keeps_what_it_is(sample_root: Path) -> None:
    experiment = EXPERIMENTS["fig8"]
    whole, small = (networks(experiment, seeds=[0], data="paper", quick=quick) for quick in (False, True))
    for one, two in zip(whole, small, strict=True):
        assert (two.recipe.width, two.recipe.height) == (64, 36)  # of 480×270
        assert (two.recipe.stage2.steps > 0) == (one.recipe.stage2.steps > 0)
        same = ("fraction", "sampling", "seed", "loss", "augment", "freeze_batch_norm", "splits")
        assert all(getattr(one.recipe, name) == getattr(two.recipe, name) for name in same)
        assert two.recipe.photometric.weight == one.recipe.photometric.weight


def test_pixels_of_another_size(sample_root: Path, hand) -> None:
    from warpgrasp.data.ho3d.dataset import Ho3d

    dataset = Ho3d(sample_root, hand)  # 320×240
    name = dataset.names("evaluation")[0]
    assert pixel_scale(dataset, name, None) == 1
    assert pixel_scale(dataset, name, (160, 120)) == pytest.approx(0.5)
    assert pixel_scale(replace(dataset, size=(64, 48)), name, (640, 480)) == pytest.approx(2)
