"""Sweeps: what decides a job's folder, what is done once, what goes on, and what a failure stops."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.training.runs import prepare, short_recipe, spoil
from warpgrasp.data import open_dataset
from warpgrasp.data.augment import AugmentConfig
from warpgrasp.experiments import sweep
from warpgrasp.experiments.sweep import (
    Failure,
    Job,
    Network,
    Plan,
    Setting,
    Watcher,
    plan,
    run_here,
)
from warpgrasp.hand.model import HandModel
from warpgrasp.hand.templates import open_hand
from warpgrasp.reconstruction.checkpoint import load_checkpoint
from warpgrasp.training import loop, objective
from warpgrasp.training.loop import train_stage
from warpgrasp.training.settings import Recipe

STEPS = 6


def setting_of(root: Path, out: Path) -> Setting:
    return Setting(open_dataset(root, HandModel(open_hand())), out)


def pair(recipe: Recipe, row: str = "25 %") -> list[Network]:
    """The method and its control."""
    return [Network(row, "control", recipe.as_control()), Network(row, "photometric", recipe)]


def folders(networks: list[Network], root: Path) -> list[str]:
    """The folder of each network."""
    return [mark for _, mark in plan(networks, setting_of(root, Path("nowhere"))).networks]


class Notes(Watcher):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ended: list[tuple[str, bool]] = []

    def started(self, job: Job) -> None:
        self.begun.append(job.label)

    def finished(self, job: Job, failure: Failure | None) -> None:
        self.ended.append((job.label, failure is None))


def carried_out(whole: Plan, setting: Setting) -> tuple[list[Failure], Notes]:
    notes = Notes()
    return run_here(whole, setting, notes), notes


def test_both_arms_of_a_seed_start_from_one_first_stage(sample_root: Path) -> None:
    recipe = short_recipe()
    other = replace(recipe, seed=1)
    whole = plan([*pair(recipe), *pair(other)], setting_of(sample_root, Path("nowhere")))
    jobs = list(whole.jobs.values())
    assert [job.after is None for job in jobs] == [True, False, False, True, False, False]
    assert [job.steps for job in jobs] == [STEPS] * 6
    assert {job.after for job in jobs[1:3]} == {jobs[0].fingerprint}
    assert {job.after for job in jobs[4:]} == {jobs[3].fingerprint}
    assert whole.scored == {jobs[i].fingerprint for i in (1, 2, 4, 5)}
    used = whole.labels[jobs[1].fingerprint]
    assert (used.annotated, used.frames) == (4, 16)  # frames 0 and 4 of two sequences of 8
    assert used.unannotated == tuple(place for place in range(16) if place % 4)


def test_a_network_without_stage_2_is_the_first_stage_itself(sample_root: Path) -> None:
    recipe = short_recipe()
    alone = replace(recipe, stage2=replace(recipe.stage2, steps=0))
    whole = plan([*pair(recipe), Network("alone", "", alone)], setting_of(sample_root, Path("nowhere")))
    assert len(whole.jobs) == 3
    assert whole.networks[2][1] == next(iter(whole.jobs))


CHANGES: dict[str, Callable[[Recipe], Recipe]] = {
    "seed": lambda one: replace(one, seed=9),
    "fraction": lambda one: replace(one, fraction=1 / 2),
    "sampling": lambda one: replace(one, sampling="released"),
    "λ_c": lambda one: replace(one, photometric=replace(one.photometric, weight=0.5)),
    "ramp": lambda one: replace(one, photometric=replace(one.photometric, ramp_steps=5)),
    "pairs": lambda one: replace(one, photometric=replace(one.photometric, pairs=2)),
    "steps of stage 1": lambda one: replace(one, stage1=replace(one.stage1, steps=7)),
    "steps of stage 2": lambda one: replace(one, stage2=replace(one.stage2, steps=7)),
    "learning rate": lambda one: replace(one, stage2=replace(one.stage2, learning_rate=1.0)),
    "network": lambda one: replace(one, network=replace(one.network, width=16)),
    "augmentation": lambda one: replace(one, augment=AugmentConfig(hue=0.01)),
    "weights of Eq. 3": lambda one: replace(one, loss=replace(one.loss, hand_pose=1.0)),
    "size": lambda one: replace(one, width=32),
    "batch norm": lambda one: replace(one, freeze_batch_norm="never"),
}


def test_whatever_decides_a_run_changes_its_folder(sample_root: Path) -> None:
    recipe = short_recipe()
    networks = [
        Network("a", "photometric", change(recipe)) for change in ({"nothing": lambda one: one} | CHANGES).values()
    ]
    marks = folders(networks, sample_root)
    assert len(set(marks)) == 1 + len(CHANGES)


def test_only_what_decides_stage_1_changes_the_folder_of_stage_1(sample_root: Path) -> None:
    recipe = short_recipe()
    second = {"λ_c", "ramp", "pairs", "steps of stage 2", "learning rate"}
    for name, change in CHANGES.items():
        whole = plan([*pair(recipe), Network("b", "", change(recipe))], setting_of(sample_root, Path("nowhere")))
        assert sum(job.after is None for job in whole.jobs.values()) == (1 if name in second else 2), name


def test_names_and_order_change_nothing(sample_root: Path) -> None:
    recipe = short_recipe()
    renamed = replace(recipe, name="another", splits="ho3d/official")
    there = folders(pair(recipe), sample_root)
    assert folders(pair(renamed, row="a quarter"), sample_root) == there
    assert folders(pair(recipe)[::-1], sample_root) == there[::-1]
    assert folders([*pair(replace(recipe, seed=3)), *pair(recipe)], sample_root)[2:] == there


def test_data_change_the_folder_and_their_place_does_not(sample_root: Path, copied_root: Path) -> None:
    there = folders(pair(short_recipe()), sample_root)
    assert folders(pair(short_recipe()), copied_root) == there
    picture = copied_root / "train" / "B1" / "rgb" / "0003.jpg"
    picture.write_bytes(picture.read_bytes() + b"\0")
    assert not set(folders(pair(short_recipe()), copied_root)) & set(there)


@pytest.mark.slow
def test_an_interrupted_sweep_goes_on_and_a_finished_one_is_left_alone(
    sample_root: Path, tmp_path: Path, undisturbed: str, monkeypatch
) -> None:
    monkeypatch.setattr(loop, "SAVE_EVERY_S", 0.0)
    setting, supervised, calls = setting_of(sample_root, tmp_path), objective.supervised, []
    whole = plan(pair(short_recipe()), setting)

    def interrupted(*arguments, **options):
        calls.append(1)
        if len(calls) == 2 * STEPS + 4:  # in the last of the three jobs
            raise KeyboardInterrupt
        return supervised(*arguments, **options)

    monkeypatch.setattr(objective, "supervised", interrupted)
    with pytest.raises(KeyboardInterrupt):
        carried_out(whole, setting)
    failures, notes = carried_out(whole, setting)
    assert failures == []
    assert notes.begun == ["25 % · photometric · seed 0"]
    assert len(calls) == 3 * STEPS + 1  # no step was made twice
    control, method = (load_checkpoint(setting.weights(mark)) for _, mark in whole.networks)
    assert method.sha256 == undisturbed
    expected = train_stage(
        prepare(sample_root, short_recipe().as_control()),
        short_recipe().stage2,
        tmp_path / "expected.safetensors",
        initial=setting.weights(next(iter(whole.jobs))),
    )
    assert control.sha256 == load_checkpoint(expected).sha256 != undisturbed

    files = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in tmp_path.rglob("*") if path.is_file()}
    monkeypatch.setattr(sweep, "carry_out", None)  # calling it would be an error
    assert carried_out(plan(pair(short_recipe()), setting), setting)[1].begun == []
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files} == files


def test_a_failed_run_is_named_and_the_others_finish(sample_root: Path, tmp_path: Path) -> None:
    setting, recipe = setting_of(sample_root, tmp_path), short_recipe()
    bad = replace(recipe, encoder_weights=str(tmp_path / "missing.pth"))
    whole = plan([*pair(bad, row="bad"), *pair(recipe)[:1]], setting)
    failures, notes = carried_out(whole, setting)
    assert [one.job.label for one in failures] == [
        "bad · seed 0 · stage 1",
        "bad · control · seed 0",
        "bad · photometric · seed 0",
    ]
    assert "expected the ImageNet weights of ResNet-18 from" in failures[0].sentence
    assert "not begun, since its stage 1 failed" in failures[1].sentence
    assert [done for _, done in notes.ended] == [False, False, False, True, True]
    log = failures[0].log
    assert log is not None
    assert "Traceback" in log.read_text()
    assert not setting.folder(failures[0].job.fingerprint).exists()
    assert failures[1].log is None


def test_a_finished_run_on_changed_pictures_is_refused(copied_root: Path, tmp_path: Path) -> None:
    setting, recipe = setting_of(copied_root, tmp_path / "out"), short_recipe()
    alone = [Network("alone", "", replace(recipe, stage2=replace(recipe.stage2, steps=0)))]
    whole = plan(alone, setting)
    (mark,) = whole.jobs
    setting.folder(mark).mkdir(parents=True)
    setting.weights(mark).touch()
    (setting.folder(mark) / "run.json").write_text(json.dumps({"fingerprint": mark, "inputs": whole.inputs[mark]}))
    whole = replace(whole, networks=())  # nothing is to be scored
    assert carried_out(whole, setting)[1].begun == []
    spoil(copied_root / "train" / "B1" / "rgb" / "0003.jpg")
    (again,) = plan(alone, setting).jobs
    assert again == mark
    failures, _ = carried_out(plan(alone, setting), setting)
    assert [failure.sentence.partition(" that the run")[0] for failure in failures] == ["expected the pictures"]


def test_the_log_of_a_failure_goes_when_the_run_succeeds(sample_root: Path, tmp_path: Path, monkeypatch) -> None:
    setting = setting_of(sample_root, tmp_path)
    whole = plan(pair(short_recipe())[1:], setting)

    def broken(*arguments, **options):
        raise MemoryError

    monkeypatch.setattr(sweep, "carry_out", broken)
    failures = carried_out(whole, setting)[0]
    assert failures[0].sentence == "MemoryError"
    log = setting.log(failures[0].job)
    assert log.is_file()
    monkeypatch.setattr(sweep, "carry_out", lambda *arguments, **options: None)
    assert carried_out(whole, setting)[0] == []
    assert not log.exists()
