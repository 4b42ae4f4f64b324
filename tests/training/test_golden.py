"""The losses of the toy recipe's 20 steps.

Regenerate by `.venv/bin/python -m tests.training.test_golden`, and review the diff.
"""

import json
import sys
import tempfile
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parents[1] / "golden" / "toy.json"
TOLERANCE = 5e-3  # relative: other processors sum in another order, and Adam lets it grow (1.1e-3 seen in ten steps)


def losses(run: Path) -> dict[str, list[float]]:
    """The loss of every step of both stages."""
    return {
        stage: [float(f"{json.loads(line)['loss']:.6g}") for line in (run / f"{file}.jsonl").read_text().splitlines()]
        for stage, file in (("stage1", "stage1"), ("stage2", "weights"))
    }


def test_the_toy_recipes_losses(trained_run: Path) -> None:
    expected = json.loads(GOLDEN.read_text())
    found = losses(trained_run)
    assert {stage: len(values) for stage, values in found.items()} == {"stage1": 10, "stage2": 10}
    for stage, values in expected.items():
        assert found[stage] == pytest.approx(values, rel=TOLERANCE), stage


if __name__ == "__main__":
    import torch

    from tests.sample_set import write_sample
    from warpgrasp.cli import main
    from warpgrasp.training import log

    torch.set_num_threads(1)
    log.LOG_EVERY_STEPS = 1
    with tempfile.TemporaryDirectory() as folder:
        sample = write_sample(Path(folder) / "sample")
        status = main(["train", "toy", "--data", str(sample.root), "--out", f"{folder}/run"])
        if status == 0:
            GOLDEN.parent.mkdir(exist_ok=True)
            GOLDEN.write_text(json.dumps(losses(Path(folder) / "run"), indent=2) + "\n")
    sys.exit(status)
