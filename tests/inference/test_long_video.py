"""A long video: memory stays where it is, and a kill costs nothing but the shard that was being made."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.footage_files import Brought, bring
from warpgrasp.export.datasets import VideoWriter
from warpgrasp.predictions.file import open_predictions

FRAMES, SIZE = 3_000, (64, 48)  # benchmarks/long.py measures ten thousand

# Runs the command and notes the process's memory as the frames are done, and at the end; it kills itself when so many
# are done, if asked. What is mapped from files does not count: the system takes it away where others need memory.
WATCHED = """
import json, os, re, signal, sys
from contextlib import contextmanager
import torch
torch.set_num_threads(1)
from warpgrasp.cli import main
from warpgrasp.inference import stream

def resident_bytes():
    with open("/proc/self/status") as status:
        return 1024 * int(re.search("RssAnon:\\s+([0-9]+) kB", status.read())[1])

noted = []

@contextmanager
def counted(description, total, *, done, **look):
    def advance(frames):
        before = noted[-1][0] if noted else done
        noted.append([before + frames, resident_bytes()])
        if before + frames >= int(sys.argv[2]) > 0:
            os.kill(os.getpid(), signal.SIGKILL)
    yield advance

stream.progress_bar = counted
status = main(sys.argv[3:])
noted.append([noted[-1][0], resident_bytes()])
with open(sys.argv[1], "w") as file:
    json.dump(noted, file)
sys.exit(status)
"""


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Brought:
    brought = bring(tmp_path_factory.mktemp("long"), width=2)
    with VideoWriter(brought.video, SIZE, codec="mpeg4") as video:
        for number in range(FRAMES):
            shade = np.full((SIZE[1], SIZE[0], 3), number * 37 % 200, np.uint8)
            video.add(shade, time_s=number / 30)
    return brought


def ended(brought: Brought, out: Path, memory: Path, *, killed_at: int = 0) -> int:
    words = [sys.executable, "-c", WATCHED, str(memory), str(killed_at)]
    words += brought.words("--batch", "32", "--smooth", "1", out=out)
    return subprocess.run(words, timeout=600, check=False).returncode


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is measured by /proc")
def test_three_thousand_frames(long: Brought) -> None:
    undisturbed, killed = long.folder / "a.npz", long.folder / "b.npz"
    memory = long.folder / "memory.json"
    assert ended(long, undisturbed, memory) == 0
    noted = json.loads(memory.read_text())
    assert noted[-1][0] == FRAMES
    early = [size for frames, size in noted if 500 <= frames < FRAMES // 2]
    late = [size for frames, size in noted if frames >= FRAMES // 2]
    assert len(early) > 20
    # Of about 280 MB. The allocator itself takes up to 35 MB more over the first thousands of frames, in some runs, and
    # then no more.
    assert early[0] - 30e6 < min(early + late)
    assert max(late) < max(early) + 30e6
    assert max(late) < early[0] + 60e6
    assert len(open_predictions(undisturbed)[0]) == FRAMES

    assert ended(long, killed, memory, killed_at=FRAMES // 2) == -signal.SIGKILL
    assert not killed.exists()
    assert ended(long, killed, memory) == 0
    assert json.loads(memory.read_text())[0][0] >= FRAMES // 2 - 320
    assert killed.read_bytes() == undisturbed.read_bytes()
