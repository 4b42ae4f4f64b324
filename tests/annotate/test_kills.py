"""What was saved is on disk, whenever the process is killed; the next one finds it, and tidies up."""

import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.annotate.conftest import opened
from tests.data.recording.recording_files import write_recording
from tests.forked import LONG_IMPORTS, Forks, forks
from warpgrasp.hand.model import HandModel

pytest.importorskip("viser", reason="needs the extra `viewer`")

from warpgrasp.annotate.session import _write_lock

pytestmark = pytest.mark.slow

# `run` changes a frame, a draft and a label by turns, says what it has saved, and dies before the n-th renaming.
SETUP = """
import os, signal, sys
from contextlib import ExitStack
from pathlib import Path
import torch
from warpgrasp.annotate.session import _write_lock
from warpgrasp.annotate.state import AnnotationState
from warpgrasp.data.recording import Recording
from warpgrasp.hand import HandModel, open_hand
def run(words):
    folder, when = Path(words[0]), int(words[1])
    met = []
    def count(event, arguments):
        if event in ("os.mkdir", "os.rename", "os.rmdir") and words[0] in str(arguments[0]):
            met.append(event)
            if len(met) == when:
                os.kill(os.getpid(), signal.SIGKILL)
    torch.set_num_threads(1)
    with ExitStack() as held:
        _write_lock(folder, held)
        state = AnnotationState(Recording.read(folder), HandModel(open_hand()), read_only=None)
        state.go_to(1)
        sys.addaudithook(count)
        for turn in range(when):  # each takes more than one step of the system
            centre = state.current.object_centre
            state.change(state.current.moved(object_centre=centre + [0, 0, 0.01]))
            state.set_done(turn % 2 == 1)
            state.save()
            print(float(state.current.object_centre[2]), state.labelled, flush=True)
    return 0
"""
STEP_M = 0.01
EVERY = range(1, 101)


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    with forks(tmp_path_factory.mktemp("printed"), LONG_IMPORTS + SETUP) as running:
        yield running


@pytest.mark.parametrize("moments", [(1, 8, 16), pytest.param(EVERY, marks=pytest.mark.slow)])
def test_saved_means_on_disk(
    processes: Forks, hand: HandModel, tmp_path: Path, moments: Sequence[int], record_property
) -> None:
    survived = 0
    try:
        for when in moments:
            killed_and_opened(processes, hand, write_recording(tmp_path / str(when)), when)
            survived += 1
    finally:
        tried = min(survived + 1, len(moments))
        record_property("kills", {"command": "annotate", "tried": tried, "survived": survived})


def killed_and_opened(processes: Forks, hand: HandModel, folder: Path, when: int) -> None:
    before = opened(folder, hand)
    before.go_to(1)
    first = float(before.current.object_centre[2])
    ended = processes.run([str(folder), str(when)])
    assert ended.status == -signal.SIGKILL, ended.error
    lines = ended.out.splitlines()
    saved = float(lines[-1].split()[0]) if lines else first
    state = opened(folder, hand)
    state.go_to(1)
    assert min(abs(float(state.current.object_centre[2]) - saved - step) for step in (0, STEP_M)) < 1e-9
    assert {0, 3} <= set(state.labelled)
    if lines and lines[-1].endswith("[0, 1, 3]"):
        assert 1 in state.begun
    with ExitStack() as held:
        assert _write_lock(folder, held) is None
        assert sorted(path.name for path in folder.iterdir() if path.name.startswith(".")) == [
            ".annotate.lock",
            ".annotate.lock.holder",
        ]
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []
