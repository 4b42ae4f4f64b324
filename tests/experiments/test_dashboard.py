"""What a sweep shows while it runs."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from tests.experiments.test_sweep import pair, setting_of
from tests.training.runs import short_recipe
from warpgrasp.experiments.dashboard import Dashboard, duration, progress
from warpgrasp.experiments.scoring import SCORES, Scoring, read_scores
from warpgrasp.experiments.sweep import CURVE, Failure, plan


def write_log(folder: Path, rows: list[tuple[int, float]], *, tail: str = "") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"step": step, "loss": 1.0, "seconds": seconds}) + "\n" for step, seconds in rows]
    (folder / CURVE).write_text("".join(lines) + tail)


def test_progress_is_read_from_the_end_of_a_log(tmp_path: Path) -> None:
    assert progress(tmp_path) is None
    write_log(tmp_path, [(10 * k, 2.5 * k) for k in range(1000)], tail='{"step": 99')
    one = progress(tmp_path)
    assert one is not None
    assert one.steps == 9991
    assert one.seconds_per_step == pytest.approx(0.25)
    write_log(tmp_path, [(0, 0.1)])
    one = progress(tmp_path)
    assert one is not None
    assert (one.steps, one.seconds_per_step) == (1, None)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (59, "59 s"), (61.0, "1 min 01 s"), (3600.0, "1 h 00 min"), (7384.0, "2 h 03 min")],
)
def test_duration(seconds: float, words: str) -> None:
    assert duration(float(seconds)) == words


def test_states_time_left_and_what_is_measured(sample_root: Path, tmp_path: Path) -> None:
    setting = setting_of(sample_root, tmp_path)
    whole = plan(pair(short_recipe()), setting)
    first, control, method = whole.jobs.values()
    board = Dashboard(whole, setting, ("hand_joint_error_mm",), Console(file=io.StringIO(), width=100))
    assert board.summary() == "0 of 3 trainings, 0 running"
    board.started(first)
    write_log(setting.folder(first.fingerprint), [(0, 10.0), (1, 12.0)])  # two steps made; two seconds a step
    # 4 steps of stage 1 and 12 of stage 2, at a pace that is known of stage 1 alone.
    assert board.seconds_left() == pytest.approx((4 + 12) * 2)
    board.finished(first, None)
    board.started(control)
    board.finished(control, Failure(control, "it broke", None))
    assert board.summary().startswith("2 of 3 trainings, 0 running, 1 failed, ")

    folder = setting.folder(method.fingerprint)
    folder.mkdir(parents=True)
    values = {"frames": 4, "left_out": 0, "values": {"hand_joint_error_mm": 12.34}, "curves": {}, "training": {}}
    (folder / SCORES).write_text(
        json.dumps({"format": "warpgrasp-scores-2", "scored_training": False, "pixels": None, **values})
    )
    board.console.print(board.drawn())
    assert isinstance(board.console.file, io.StringIO)
    page = board.console.file.getvalue()
    assert "25 % · control · seed 0: failed: it broke" in page
    assert "25 % · photometric · seed 0 │ waiting" in page
    assert "12.3" in page


def test_scores_made_in_another_way_are_not_taken(tmp_path: Path) -> None:
    values = {"frames": 4, "left_out": 0, "values": {}, "curves": {}, "training": {}}
    (tmp_path / SCORES).write_text(
        json.dumps({"format": "warpgrasp-scores-2", "scored_training": False, "pixels": [480, 270], **values})
    )
    assert read_scores(tmp_path, Scoring((480, 270))) is not None
    assert read_scores(tmp_path, Scoring(None)) is None
    assert read_scores(tmp_path, Scoring((640, 480))) is None


def test_scores_of_other_frames_are_not_taken(tmp_path: Path) -> None:
    """Older ones do not tell of which frames they are."""
    content = {"format": "warpgrasp-scores-2", "scored_training": False, "pixels": None, "data": "first"}
    content |= {"frames": 4, "left_out": 0, "values": {}, "curves": {}, "training": {}}
    (tmp_path / SCORES).write_text(json.dumps(content))
    assert read_scores(tmp_path, Scoring(data="first")) == read_scores(tmp_path, Scoring()) is not None
    assert read_scores(tmp_path, Scoring(data="other")) is None
    del content["data"]
    (tmp_path / SCORES).write_text(json.dumps(content))
    assert read_scores(tmp_path, Scoring(data="other")) is not None
