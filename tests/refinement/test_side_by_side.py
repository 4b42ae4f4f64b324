"""Parts of a refinement side by side: in order, with their share of threads, and ended when nobody wants them."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Barrier, Event, current_thread, main_thread

import numpy as np
import pytest
import torch

from tests.data.recording.recording_files import hand_parameters
from tests.sample_set import Sample
from warpgrasp.cli import main
from warpgrasp.data import open_dataset
from warpgrasp.export.datasets import RecordingOptions, export_recording
from warpgrasp.hand.model import HandModel
from warpgrasp.predictions.file import read_predictions
from warpgrasp.refinement.densify import PREDICTIONS
from warpgrasp.refinement.side_by_side import side_by_side

PATIENCE_S = 120
Check = Callable[[], None]


@pytest.fixture
def four_threads() -> Iterator[None]:
    usual = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(usual)


def test_results_come_in_order_from_parts_that_run_together(four_threads: None) -> None:
    meeting = Barrier(2)

    def work(number: int, check: Check) -> tuple[int, int]:
        check()
        meeting.wait(PATIENCE_S)  # for the other part
        if number == 0:
            time.sleep(0.05)
        return number, torch.get_num_threads()

    assert list(side_by_side(work, 2)) == [(0, 2), (1, 2)]
    assert torch.get_num_threads() == 4


def test_one_thread_does_one_after_the_other() -> None:
    assert torch.get_num_threads() == 1
    assert list(side_by_side(lambda number, check: current_thread(), 3)) == [main_thread()] * 3


def ended(check: Check) -> None:
    """Work until the results are wanted no more."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        check()
        time.sleep(0.005)


def test_an_error_ends_the_others(four_threads: None) -> None:
    begun, finished = Barrier(2), Event()

    def work(number: int, check: Check) -> None:
        begun.wait(PATIENCE_S)
        if number == 0:
            raise ValueError("the first one")
        try:
            ended(check)
        finally:
            finished.set()

    with pytest.raises(ValueError, match="the first one"):
        list(side_by_side(work, 2))
    assert finished.is_set()
    assert torch.get_num_threads() == 4


def test_whoever_stops_asking_ends_them(four_threads: None) -> None:
    """As Ctrl+C does."""
    errors: list[str] = []

    def work(number: int, check: Check) -> int:
        if number > 0:
            try:
                ended(check)
            except Exception as error:
                errors.append(type(error).__name__)
                raise
        return number

    results = side_by_side(work, 3)
    assert next(results) == 0
    results.close()
    assert len(errors) <= 2  # who had not begun does not begin
    assert set(errors) <= {"_EndedError"}


@pytest.mark.slow
def test_a_video_s_stretches_are_the_same_at_once(sample: Sample, hand: HandModel, tmp_path: Path) -> None:
    labels, sequence = (1, 6), sample.sequences["train"]["A1"]
    options = RecordingOptions(labels, (), {number: hand_parameters(sequence, number) for number in labels})
    export_recording(open_dataset(sample.root, hand), "train", "A1", tmp_path / "A1", options)
    command = ["densify", str(tmp_path / "A1"), "--keypoints", "none", "--out"]
    assert main([*command, str(tmp_path / "alone")]) == 0
    torch.set_num_threads(2)
    try:
        assert main([*command, str(tmp_path / "together")]) == 0
    finally:
        torch.set_num_threads(1)
    alone, together = (read_predictions(tmp_path / name / PREDICTIONS)[0] for name in ("alone", "together"))
    assert alone.arrays.keys() == together.arrays.keys()
    for name, values in alone.arrays.items():
        assert np.array_equal(values, together.arrays[name], equal_nan=values.dtype.kind == "f"), name
