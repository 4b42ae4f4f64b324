"""An interrupted training goes on and ends with the weights of an undisturbed one, bit for bit."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.forked import LONG_IMPORTS, forks
from tests.training.runs import prepare, short_recipe, train_both
from warpgrasp.cli import main
from warpgrasp.reconstruction.checkpoint import load_checkpoint
from warpgrasp.training import log, loop, objective

# `run` is `warpgrasp …`, saving after every step; it kills itself at the n-th call of a function, if asked: by SIGKILL,
# or, where a time is given besides (`n+seconds`), so much later by SIGALRM, which ends a process as surely.
SETUP = """
import os, signal, sys
import torch
from warpgrasp.training import log, loop, objective
from warpgrasp.reconstruction import checkpoint
from warpgrasp.data import sample
from warpgrasp.cli import main
def run(words):
    sample.unpack_shipped = lambda root: root  # a tiny data set stands there
    torch.set_num_threads(1)
    loop.SAVE_EVERY_S, log.LOG_EVERY_STEPS = 0.0, 1
    where, (when, _, after_s) = words[0], words[1].partition("+")
    module = {"supervised": objective, "on_pairs": objective, "save_file": checkpoint}.get(where)
    if module is not None:
        real, calls = getattr(module, where), []
        def deadly(*arguments, **options):
            calls.append(1)
            result = real(*arguments, **options)  # for save_file: the temporary file is whole, but not renamed
            if len(calls) == int(when) and after_s:
                signal.setitimer(signal.ITIMER_REAL, float(after_s))
            elif len(calls) == int(when):
                os.kill(os.getpid(), signal.SIGKILL)
            return result
        setattr(module, where, deadly)
    return main(words[2:])
"""


def driven(arguments: list[str], where: str = "never", when: int | str = 0) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", SETUP + "sys.exit(run(sys.argv[1:]))", where, str(when), *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def toy_command(root: Path, out: Path, steps: int = 6) -> list[str]:
    return [
        *("train", "toy", "--data", str(root), "--out", str(out)),
        *("--stage1.steps", str(steps), "--stage2.steps", str(steps)),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("call", [1, 4, 7, 11])
def test_interrupted_at_a_step(sample_root: Path, tmp_path: Path, undisturbed: str, monkeypatch, call: int) -> None:
    monkeypatch.setattr(loop, "SAVE_EVERY_S", 0.0)
    training, supervised, calls = prepare(sample_root, short_recipe()), objective.supervised, []

    def interrupted(*arguments, **options):
        calls.append(1)
        if len(calls) == call:
            raise KeyboardInterrupt
        return supervised(*arguments, **options)

    monkeypatch.setattr(objective, "supervised", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_both(training, tmp_path)
    assert train_both(training, tmp_path).sha256 == undisturbed
    assert len(calls) == 12 + 1  # no step was made twice
    assert not list(tmp_path.glob("*.state.*"))


@pytest.mark.slow
def test_what_was_made_after_the_last_save_is_made_again(
    sample_root: Path, tmp_path: Path, undisturbed: str, monkeypatch
) -> None:
    monkeypatch.setattr(log, "LOG_EVERY_STEPS", 1)
    training, save, supervised, calls = (
        prepare(sample_root, short_recipe()),
        loop.save_checkpoint,
        objective.supervised,
        [],
    )

    def until_step_4(*arguments, **options):
        calls.append(1)
        monkeypatch.setattr(loop, "SAVE_EVERY_S", 0.0 if len(calls) < 4 else 1e9)  # states of steps 1 to 3 are saved
        if len(calls) == 6:
            raise KeyboardInterrupt
        return supervised(*arguments, **options)

    monkeypatch.setattr(objective, "supervised", until_step_4)
    with pytest.raises(KeyboardInterrupt):
        train_both(training, tmp_path)
    assert load_checkpoint(tmp_path / "stage1.state.safetensors").step == 3
    path = tmp_path / "stage1.jsonl"
    assert len(path.read_text().splitlines()) == 5
    with path.open("a") as file:
        file.write('{"step": 5, "lo')  # the line that was being written
    monkeypatch.setattr(objective, "supervised", supervised)
    assert train_both(training, tmp_path).sha256 == undisturbed
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == list(range(6))
    assert save is loop.save_checkpoint


@pytest.mark.slow
def test_killed_and_gone_on_with_by_new_processes(sample_root: Path, tmp_path: Path, undisturbed: str, capsys) -> None:
    # New processes matter: whatever a library changes in the state of a process (numba's OpenMP pool once changed
    # torch's number of threads, at its first use in stage 2) must not change the weights.
    out = tmp_path / "run"
    command = toy_command(sample_root, out)
    with forks(tmp_path, LONG_IMPORTS + SETUP) as processes:
        # At save_file the file is written, not yet renamed.
        assert processes.run(["save_file", "3", *command]).status == -signal.SIGKILL
        assert load_checkpoint(out / "stage1.state.safetensors").step == 2
        assert processes.run(["on_pairs", "3", *command]).status == -signal.SIGKILL
        assert load_checkpoint(out / "weights.state.safetensors").step == 2
        assert processes.run(["never", "0", *command]).status == 0
    assert load_checkpoint(out / "weights.safetensors").sha256 == undisturbed

    capsys.readouterr()
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert main(command) == 0  # a finished run says so and changes nothing
    assert "finished already" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def logged_steps(out: Path) -> int:
    """How many steps of both stages the run has logged so far."""
    return sum(len(log.read_text().splitlines()) for log in out.glob("*.jsonl"))


@pytest.mark.slow
def test_killed_at_any_moment(sample_root: Path, tmp_path: Path) -> None:
    steps, generator = 25, random.Random(0)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert driven(toy_command(sample_root, whole, steps)).wait(timeout=600) == 0

    for target in sorted(generator.sample(range(1, 2 * steps - 10), 4)):  # in both stages
        more = max(1, target - logged_steps(broken))
        moment = f"{more}+{generator.uniform(0.001, 0.05)}"  # any of a step
        process = driven(toy_command(sample_root, broken, steps), "supervised", moment)
        assert process.wait(timeout=600) == -signal.SIGALRM
    assert driven(toy_command(sample_root, broken, steps)).wait(timeout=600) == 0
    hashes = [load_checkpoint(out / "weights.safetensors").sha256 for out in (whole, broken)]
    assert hashes[0] == hashes[1]
    for name in ("stage1", "weights"):
        logs = [
            [json.loads(line) for line in (out / f"{name}.jsonl").read_text().splitlines()] for out in (whole, broken)
        ]
        losses = [[(row["step"], row["loss"]) for row in log] for log in logs]
        assert losses[0] == losses[1]


@pytest.mark.slow
def test_reading_ahead_changes_no_weight(sample_root: Path, tmp_path: Path, undisturbed: str, monkeypatch) -> None:
    training = prepare(sample_root, short_recipe())
    asked, ahead = [], training.source.ahead
    monkeypatch.setattr(loop, "steps_ahead", lambda device: 2)
    monkeypatch.setattr(training.source, "ahead", lambda names: (asked.append(len(names)), ahead(names)))
    assert train_both(training, tmp_path).sha256 == undisturbed
    recipe = training.recipe
    assert len(asked) == recipe.stage1.steps + recipe.stage2.steps  # of each step once
    assert asked[0] == recipe.stage1.batch
    assert asked[-1] == recipe.stage2.batch + 2 * recipe.photometric.pairs
