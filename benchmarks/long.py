"""Long recordings: time and memory to predict, densify, view and annotate them, and to jump about in them.

python -m benchmarks long

Each row is measured in a process of its own, by the processor's clock and with one thread. Pictures are small, so that
what is measured is what grows with the number of frames.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.scale import Scale

SIZE = (160, 120)
CHANNELS = 8  # of the network's first layer
JUMPS = 30
BOX_M = np.array([[x, y, z] for x in (0, 0.06) for y in (0, 0.04) for z in (0, 0.1)])
BOX_FACES = "1 2 4,1 4 3,5 8 6,5 7 8,1 6 2,1 5 6,3 4 8,3 8 7,1 3 7,1 7 5,2 6 8,2 8 4"
HEAD = """| what | frames | s | MB beyond the start | a jump: ms, largest ms |
|---|---|---|---|---|"""


@dataclass(frozen=True)
class Measured:
    """What one command takes, in processor time."""

    seconds: float
    megabytes: float  # the peak, beyond what the process had after its imports
    jumps_ms: tuple[float, float] | None = None  # median and largest


def write_recording(folder: Path, frames: int) -> None:
    """A video of a square that wanders, a box, a camera, and labels of the first and the last frame."""
    from warpgrasp.data.recording import (
        HandParameters,
        Label,
        Lens,
        write_annotations,
        write_lens,
        write_object,
    )
    from warpgrasp.export import VideoWriter

    folder.mkdir(parents=True)
    width, height = SIZE
    write_lens(folder, Lens(np.array([[150.0, 0, 79.5], [0, 150.0, 59.5], [0, 0, 1]]), width, height))
    rows = [f"v {x} {y} {z}" for x, y, z in BOX_M.tolist()] + [f"f {face}" for face in BOX_FACES.split(",")]
    (folder / "box.obj").write_text("\n".join(rows) + "\n")
    write_object(folder, "box", "box.obj")
    hand = HandParameters(np.zeros(48), np.zeros(10), np.array([0.0, 0.0, 0.5]))
    labels = [Label(frame, hand, np.zeros(3), np.array([0.02, 0.0, 0.5])) for frame in (0, frames - 1)]
    write_annotations(folder, labels, hand_model="open-hand right")
    v, u = np.mgrid[:height, :width]
    with VideoWriter(folder / "video.mp4", SIZE) as video:
        for number in range(frames):
            picture = np.stack([u, v, (u + v) // 2], axis=-1).astype(np.uint8)
            picture[30:60, 10 + number % 100 : 40 + number % 100] = 250
            video.add(picture, time_s=number / 30)


def write_weights(path: Path, mesh: Path) -> None:
    """An untrained network that knows the box."""
    from warpgrasp.data.recording.files import load_mesh_in
    from warpgrasp.hand import HandModel, open_hand
    from warpgrasp.reconstruction import HandObjectNetwork, NetworkConfig, checkpoint_of, save_checkpoint

    torch.manual_seed(1)
    network = HandObjectNetwork(NetworkConfig(width=CHANNELS), HandModel(open_hand()), ("box",))
    notes = {"recipe": "none", "width": str(SIZE[0] // 2), "height": str(SIZE[1] // 2)}
    save_checkpoint(path, checkpoint_of(network, [load_mesh_in(mesh, "box", "m")], step=0, training=notes))


def command(*words: str | Path) -> None:
    from warpgrasp.cli import main

    assert main([str(word) for word in words]) == 0


def predict(folder: Path) -> None:
    command("predict", folder, "--weights", folder / "w.safetensors", "--out", folder / "p.npz", "--check-hands", "0")


def densify(folder: Path) -> None:
    command("densify", folder, "--out", folder / "dense", "--keypoints", "none")


def view(folder: Path) -> Callable[[int], object]:
    from warpgrasp.export import SequenceSources
    from warpgrasp.hand import HandModel, open_hand
    from warpgrasp.view import ViewContent
    from warpgrasp.view.page import frame_bytes, served_page

    sources = SequenceSources(HandModel(open_hand()), folder / "box.obj", None, folder / "video.mp4")
    content = ViewContent(sources.sequence(folder / "p.npz", None))
    served_page(content)
    return lambda frame: frame_bytes(content, frame)


def annotate(folder: Path) -> Callable[[int], object]:
    from warpgrasp.annotate.state import AnnotationState
    from warpgrasp.data.recording import Recording
    from warpgrasp.hand import HandModel, open_hand

    state = AnnotationState(Recording.read(folder), HandModel(open_hand()))

    def jump(frame: int) -> object:
        state.go_to(frame)
        return state.current, state.recording.picture(frame)

    return jump


COMMANDS: Mapping[str, Callable[[Path], Callable[[int], object] | None]] = {
    "predict": predict,
    "view": view,
    "annotate": annotate,
    "densify": densify,
}
IMPORTS = "warpgrasp.cli warpgrasp.annotate warpgrasp.view warpgrasp.inference warpgrasp.refinement"


def measured(name: str, folder: Path, frames: int) -> Measured:
    """Measure here and now: call it in a new process, since a peak of memory never goes down."""
    import importlib

    torch.set_num_threads(1)
    for module in IMPORTS.split():
        importlib.import_module(module)
    before, began = _peak_bytes(), time.process_time()
    jump = COMMANDS[name](folder)
    seconds = time.process_time() - began
    jumps = []
    for frame in np.random.default_rng(0).integers(frames, size=JUMPS).tolist() if jump else []:
        began = time.process_time()
        jump(frame)
        jumps.append(1e3 * (time.process_time() - began))
    peak = (_peak_bytes() - before) / 1e6
    return Measured(seconds, peak, (float(np.median(jumps)), max(jumps)) if jumps else None)


def _peak_bytes() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def row(name: str, frames: int, found: Measured) -> str:
    """A row of the table, which is in Markdown."""
    jumps = "" if found.jumps_ms is None else ", ".join(f"{value:.3g}" for value in found.jumps_ms)
    return f"| {name} | {frames:,} | {found.seconds:.3g} | {found.megabytes:.3g} | {jumps} |"


def main(scale: Scale) -> int:
    """Measure every command at two lengths, and print the table."""
    lengths = (20, 40) if scale.name == "tiny" else (1_000, 10_000)
    dense = (4, 8) if scale.name == "tiny" else (60, 600)
    print(HEAD)
    for names, frame_counts in ((("predict", "view", "annotate"), lengths), (("densify",), dense)):
        for frames in frame_counts:
            with tempfile.TemporaryDirectory() as temporary:
                folder = Path(temporary) / "long"
                write_recording(folder, frames)
                write_weights(folder / "w.safetensors", folder / "box.obj")
                for name in names:
                    print(row(name, frames, in_new_process(name, folder, frames)), flush=True)
    return 0


def in_new_process(name: str, folder: Path, frames: int) -> Measured:
    """Measure in a process of its own."""
    words = [sys.executable, "-m", "benchmarks.long", name, str(folder), str(frames)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    said = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout
    return Measured(**json.loads(said.splitlines()[-1]))


if __name__ == "__main__":
    print(json.dumps(vars(measured(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))))
