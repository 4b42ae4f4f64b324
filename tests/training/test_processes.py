"""One training shared by two processes against the same by one."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor

from tests.sample_set import Sample
from warpgrasp.training.processes import (
    ProcessesError,
    check_shareable,
    mean_over_processes,
    mine,
    rows_of,
    share_batch_norm,
)

# As `warpgrasp train`, in float64: frames as they are read, weights as they are made. Each process leaves its name in
# the folder given first.
IN_DOUBLE = """
import sys
from pathlib import Path

from accelerate import PartialState
from torch import Tensor

import warpgrasp.frame as frame
from warpgrasp.cli import main
from warpgrasp.training import log, loop

initial_network, load_checkpoint, as_it_is = loop.initial_network, loop.load_checkpoint, frame.move_to

def move(value, device):
    moved = as_it_is(value, device)
    return moved.double() if isinstance(moved, Tensor) and moved.is_floating_point() else moved

frame.move_to = loop.move_to = move
loop.initial_network = lambda training: initial_network(training).double()

class Loaded:
    def __init__(self, path):
        self.checkpoint = load_checkpoint(path)
    def network(self, hand):
        network = self.checkpoint.network(hand).double()
        network.load_state_dict(self.checkpoint.network_tensors)
        return network

loop.load_checkpoint = Loaded
log.LOG_EVERY_STEPS = 1
state = PartialState(cpu=True)
Path(sys.argv[1], f"process-{state.process_index}-of-{state.num_processes}").touch()
sys.exit(main(sys.argv[2:]))
"""
OPTIONS = (
    *("--freeze-batch-norm", "always", "--tracker", "none"),
    *("--stage1.steps", "4", "--stage2.steps", "4", "--photometric.directions", "both"),
)


def losses(run: Path) -> list[dict[str, float]]:
    lines = [line for name in ("stage1", "weights") for line in (run / f"{name}.jsonl").read_text().splitlines()]
    return [{name: value for name, value in json.loads(line).items() if name != "seconds"} for line in lines]


@pytest.mark.slow
def test_two_processes_have_the_losses_of_one(sample: Sample, tmp_path: Path) -> None:
    script = tmp_path / "in_double.py"
    script.write_text(IN_DOUBLE)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    found = []
    for count in (1, 2):
        # So named for what it is mostly used for: on a machine without GPUs the processes compute on its CPUs.
        launcher = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
        launcher += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
        launcher += ["--main_process_port", "0"]
        command = ["train", "toy", "--data", str(sample.root), "--out", str(tmp_path / str(count)), *OPTIONS]
        ended = subprocess.run(
            [*(launcher if count > 1 else [sys.executable]), str(script), str(tmp_path), *command],
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr[-3000:]
        assert len(list(tmp_path.glob(f"process-*-of-{count}"))) == count
        assert ended.stdout.count("wrote ") == 1  # one process speaks for all
        found.append(losses(tmp_path / str(count)))
    one, two = found
    assert len(one) == len(two) == 8
    for alone, shared in zip(one, two, strict=True):
        assert shared == pytest.approx(alone, rel=1e-6, abs=0)
    assert "photometric" in one[-1]
    assert one[3]["loss"] != pytest.approx(one[0]["loss"], rel=1e-3)  # something is learned


class Shared(Accelerator):
    """One of several processes, as far as sharing goes."""

    num_processes = 3
    process_index = 1

    def __init__(self) -> None:
        super().__init__(cpu=True)


def test_rows_of_a_process() -> None:
    rows = rows_of(Shared(), 6, items="pairs")
    assert list(mine(rows, "abcdef")) == ["c", "d"]


def test_reduced_values_are_let_go_of() -> None:
    """What a thread of Gloo holds when Python ends, it lets go of too late: the process is aborted."""
    let_go = threading.Event()

    class Held(Shared):
        def reduce(self, tensor: Tensor, reduction: str = "sum", scale: float = 1.0) -> Tensor:
            reduced = tensor / self.num_processes
            threading.Thread(target=hold, args=(reduced,)).start()
            return reduced

    def hold(tensor: Tensor) -> None:
        time.sleep(0.05)
        let_go.set()

    mean = mean_over_processes(Held(), torch.tensor([3.0, 6.0]))
    assert let_go.is_set()
    assert mean.tolist() == [1.0, 2.0]


def test_what_cannot_be_shared(trained_run: Path, hand) -> None:
    from warpgrasp.reconstruction.checkpoint import load_checkpoint

    with pytest.raises(ProcessesError, match="a batch that 3 processes share evenly, got 4 pairs; choose a multiple"):
        rows_of(Shared(), 4, items="pairs")
    with pytest.raises(ProcessesError, match="expected one process for --bad-frames skip, got 3"):
        check_shareable(Shared(), skips_bad_frames=True)
    network = load_checkpoint(trained_run / "weights.safetensors").network(hand)
    share_batch_norm(Shared(), network, frozen=True)
    with pytest.raises(ProcessesError, match="freeze them by --freeze-batch-norm always, or use GPUs"):
        share_batch_norm(Shared(), network, frozen=False)


def test_draws_do_not_depend_on_how_a_batch_is_shared(sample: Sample, hand) -> None:
    from torch.testing import assert_close

    from warpgrasp.data import open_dataset
    from warpgrasp.data.augment import AugmentConfig, Rows, augment
    from warpgrasp.frame import Frames

    dataset = open_dataset(sample.root, hand)
    frames = [dataset.frame(name, annotated=False) for name in dataset.names("train")[:4]]
    config = AugmentConfig(roll=0.2)

    def view(chosen: slice, rows: Rows | None):
        batch = Frames.of(frames[chosen])
        return augment(batch.image, batch.camera, config, torch.Generator().manual_seed(3), rows=rows)

    whole = view(slice(None), None)
    for first in (0, 2):
        part = view(slice(first, first + 2), Rows(first, 2, 4))
        assert_close(part.image, whole.image[first : first + 2])
        assert_close(part.camera.intrinsics, whole.camera.intrinsics[first : first + 2])
