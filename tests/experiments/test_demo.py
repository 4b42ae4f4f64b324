"""The demo: the jobs of a plan in one folder, and what is left of them there."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.training.runs import prepare, short_recipe
from warpgrasp.data import open_dataset
from warpgrasp.evaluation.metrics import score
from warpgrasp.experiments.demo import Demo, report_of, run_demo
from warpgrasp.hand.model import HandModel
from warpgrasp.predictions.file import read_predictions
from warpgrasp.reconstruction.checkpoint import load_checkpoint
from warpgrasp.training.loop import train_stage
from warpgrasp.training.run import RunError, fingerprint


def demo_in(out: Path, root: Path, hand: HandModel) -> Demo:
    return run_demo(short_recipe(), open_dataset(root, hand), out, upper_bound=True)


@pytest.fixture(scope="module")
def finished(sample_root: Path, hand: HandModel, tmp_path_factory: pytest.TempPathFactory) -> tuple[Demo, Path]:
    out = tmp_path_factory.mktemp("demo") / "run"
    return demo_in(out, sample_root, hand), out


def test_everything_lies_in_one_folder(finished: tuple[Demo, Path]) -> None:
    arms = [f"{arm}.{kind}" for arm in ("control", "full", "photometric") for kind in ("jsonl", "npz", "safetensors")]
    arms += ["full-stage1.jsonl", "full-stage1.safetensors"]
    names = [*arms, "run.json", "seconds.json", "stage1.jsonl", "stage1.safetensors"]
    assert sorted(path.name for path in finished[1].iterdir()) == sorted(names)


@pytest.mark.slow
def test_each_network_is_that_of_its_own_training(
    finished: tuple[Demo, Path], sample_root: Path, tmp_path: Path, undisturbed: str
) -> None:
    out, recipe = finished[1], short_recipe()
    control, first = prepare(sample_root, recipe.as_control()), out / "stage1.safetensors"
    full = prepare(sample_root, replace(recipe.as_control(), fraction=1.0))
    full_first = train_stage(full, recipe.stage1, tmp_path / "full-stage1.safetensors")
    expected = {
        "control": train_stage(control, recipe.stage2, tmp_path / "control.safetensors", initial=first),
        "full": train_stage(full, recipe.stage2, tmp_path / "full.safetensors", initial=full_first),
    }
    hashes = {arm: load_checkpoint(out / f"{arm}.safetensors").sha256 for arm in ("photometric", "control", "full")}
    assert hashes == {"photometric": undisturbed} | {
        arm: load_checkpoint(path).sha256 for arm, path in expected.items()
    }
    assert len(set(hashes.values())) == 3


def test_the_scores_are_those_of_the_predictions(finished: tuple[Demo, Path], sample_root: Path, hand) -> None:
    demo, out = finished
    dataset = open_dataset(sample_root, hand)
    groups = {"unannotated": demo.training.labels.unannotated_names, "evaluation": dataset.names("evaluation")}
    assert {group: len(names) for group, names in groups.items()} == {"unannotated": 12, "evaluation": 4}
    results = demo.results()
    for arm in ("control", "photometric", "full"):
        predictions, header = read_predictions(out / f"{arm}.npz")
        assert (header["weights"], header["stage"]) == (f"{arm}.safetensors", "2")
        assert predictions.names == dataset.names("train") + dataset.names("evaluation")
        assert results[arm] == {group: score(predictions, dataset, names).means for group, names in groups.items()}
    assert results["labels"] == {"annotated": 4, "total": 16, "effective_fraction": 0.25}
    report = report_of(demo)
    assert {name: (curve.rows[-1]["step"], curve.steps_before) for name, curve in report.curves.items()} == {
        "stage 1": (5, 0),
        "control": (5, 6),
        "photometric": (5, 6),
        "full": (5, 6),
    }


def test_a_finished_demo_is_used_as_it_is(finished: tuple[Demo, Path], sample_root: Path, hand) -> None:
    demo, out = finished
    before = {path: path.read_bytes() for path in out.iterdir() if path.name != "seconds.json"}
    again = demo_in(out, sample_root, hand)
    assert {arm: scored for arm, scored in again.results().items() if arm != "seconds"} == {
        arm: scored for arm, scored in demo.results().items() if arm != "seconds"
    }
    assert {path: path.read_bytes() for path in before} == before
    assert fingerprint(again.training) in (out / "run.json").read_text()
    other, data = replace(short_recipe(), seed=1), open_dataset(sample_root, hand)
    with pytest.raises(RunError, match="found the run"):
        run_demo(other, data, out, upper_bound=False)
