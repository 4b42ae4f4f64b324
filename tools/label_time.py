"""How long does a label take? An experienced user, played by this program, labels recordings on the real page.

    PYTHONPATH=.:src OMP_NUM_THREADS=1 .venv/bin/python tools/label_time.py     # a quarter of an hour, two cores

`warpgrasp annotate` is started on recordings without any label, and driven in a headless Chromium (as the tests drive
it) by mouse and keyboard alone. What is measured: clicks, keys, scrolls of the panel, how often a hand changes
between mouse and keyboard, and the seconds for which the page was waited for, by the clock. What is modelled: the
user's own seconds, by the Keystroke-Level Model (tools/labelling/operator_model.py), and what the user sees
(tools/labelling/sight.py): pixels of visible points and outlines, known again with an error of 1 px of the recording,
clicked on with one of 2 px of the window, and a hand measured to 2 mm. Every label is compared with the truth: a quick
label that is a bad one is seen. The first label of each recording is the first of its frames; the others are those that
the page suggests. Figures are stored at once in docs/results/label_time.json, those of other recordings stay.
"""

import argparse
import json
import platform
import re
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.browser import browsing, serving
from tools.hard_recordings import KINDS, make
from tools.labelling.operator_model import Operator
from tools.labelling.sight import Sight
from tools.labelling.user import User
from warpgrasp.annotate.state import AnnotationState
from warpgrasp.data import Dataset, open_dataset
from warpgrasp.data.recording import Recording
from warpgrasp.data.sample import HEIGHT_PX, WIDTH_PX, unpack_shipped
from warpgrasp.export import RecordingOptions, export_recording
from warpgrasp.files import source_commit, write_text
from warpgrasp.frame import Annotation
from warpgrasp.geometry import Camera
from warpgrasp.hand import HandModel, open_hand

STORED = Path("docs/results/label_time.json")
RECORDINGS = ("MB2", "CB2", "receding")  # two of the shipped sequences, and one of tools/hard_recordings.py
WINDOW_PX = (1280, 900)
AIM_PX = 2.0  # of the window: how well a person clicks (standard deviation)


@dataclass(frozen=True)
class Source:
    """A sequence with its truth."""

    dataset: Dataset
    name: str

    @cached_property
    def _truths(self) -> list[Any]:
        names = [name for name in self.dataset.names("train") if name.sequence == self.name]
        return [self.dataset.truth(name) for name in names]

    @cached_property
    def camera(self) -> Camera:
        """The camera of all frames."""
        return Camera(self._truths[0].intrinsics, WIDTH_PX, HEIGHT_PX)

    def sight(self, hand: HandModel) -> Callable[[int], Sight]:
        """What is seen in each frame."""
        return lambda frame: Sight(self._truths[frame].annotation, self._truths[frame].object, hand, self.camera)

    def truth(self, frame: int) -> Annotation:
        """What is true of a frame."""
        return self._truths[frame].annotation


def source_of(name: str, folder: Path, hand: HandModel) -> Source:
    """A shipped sequence, or a generated one."""
    if name in KINDS:
        make(folder, "reported", name)
        return Source(open_dataset(folder / "data", hand), name)
    return Source(open_dataset(unpack_shipped(folder / "sample"), hand), name)


def errors(found: Annotation, truth: Annotation, sight: Sight) -> dict[str, float]:
    """How far a label is from the truth: means over the hand's joints, and over the object's vertices."""
    rows = {}
    for part, (one, other) in {
        "hand": (found.hand_joints.double(), truth.hand_joints.double()),
        "object": (object_points(found, sight), object_points(truth, sight)),
    }.items():
        pixels = sight.pixels(one.numpy()) - sight.pixels(other.numpy())
        rows[f"{part}_mm"] = round(1000 * float((one - other).norm(dim=1).mean()), 1)
        rows[f"{part}_px"] = round(float(np.linalg.norm(pixels, axis=1).mean()), 1)
    return rows


def object_points(annotation: Annotation, sight: Sight) -> torch.Tensor:
    """The object's vertices in camera space."""
    turned = sight.model.vertices.double() @ annotation.object_rotation.double().T
    return turned + annotation.object_translation.double()


def labelled(source: Source, folder: Path, *, seed: int, labels: int) -> list[dict[str, Any]]:
    """Label some frames of a recording that has no label; a row for each."""
    hand, generator = HandModel(open_hand()), np.random.default_rng(seed)
    recording = folder / f"{source.name} {seed}"
    export_recording(source.dataset, "train", source.name, recording, RecordingOptions(pictures="frames"))
    rows = []
    with browsing(*WINDOW_PX) as browse, serving(recording) as server:
        started = time.monotonic()
        page = browse(server.address)
        opened_s = time.monotonic() - started
        user = User(Operator(page, generator, aim_px=AIM_PX), recording, hand, source.sight(hand), generator)
        for number in range(labels):
            effort = user.label_first() if number == 0 else user.label_next()
            state = AnnotationState(Recording.read(recording), hand, read_only="it is compared")
            frame = user.frame
            missed = errors(state.annotation(frame), source.truth(frame), user.sight_of(frame))
            rows.append({"seed": seed, "frame": frame, "first": number == 0, **effort.row, **missed})
            print(source.name, json.dumps(rows[-1]), flush=True)
        assert page.complaints == [], page.complaints
    return [{**row, "opened_s": round(opened_s, 1)} if row["first"] else row for row in rows]


def processor_name() -> str:
    """The processor, as its system names it."""
    told = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.+)", told.read_text()) if told.is_file() else None
    return found[1] if found else platform.processor() or platform.machine()


def main() -> None:
    """Measure and store; what is not asked for stays as it was."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recordings", nargs="+", default=list(RECORDINGS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--labels", type=int, default=3, help="in each recording")
    options = parser.parse_args()
    stored: dict[str, Any] = json.loads(STORED.read_text()) if STORED.is_file() else {}
    for name in options.recordings:
        with tempfile.TemporaryDirectory() as temporary:
            source = source_of(name, Path(temporary), HandModel(open_hand()))
            for seed in options.seeds:
                rows = labelled(source, Path(temporary), seed=seed, labels=options.labels)
                about = {"date": time.strftime("%Y-%m-%d"), "machine": processor_name(), "commit": source_commit()}
                stored[f"{name}, seed {seed}"] = {**about, "window_px": WINDOW_PX, "labels": rows}
                write_text(STORED, json.dumps(stored, indent=1) + "\n")


if __name__ == "__main__":
    main()
