"""How time and memory grow: with the batch, the resolution, the faces, the sequence's length and the data set's size.

python -m benchmarks growth

Each point is measured in a process of its own, by the processor's clock and with one thread. The exponents are fitted
to the larger half of each curve, since small sizes pay for what does not grow.
"""

import json
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.measure import Run, seconds
from benchmarks.photometric import photometric_term
from benchmarks.scale import Scale
from benchmarks.scenes import posed_hands

LINEAR = 1.1  # exponents up to this are called linear: they are measured
REPEATS = 3
SPARSE = 1 / 30  # annotated frames
HEAD = """| what | grows with | sizes | ms | exponent | MB beyond the start | exponent |
|---|---|---|---|---|---|---|"""


@dataclass(frozen=True)
class Curve:
    """Something that grows: how it is made at a size, and the sizes."""

    name: str
    grows: str
    at: Callable[[int], Iterator[Run]]
    sizes: tuple[int, ...]


@dataclass(frozen=True)
class Point:
    """What one size takes."""

    size: int
    seconds: float
    megabytes: float  # the peak, beyond what the process had before


def term(*, batch: int = 4, width: int = 160, object_faces: int = 3_000) -> Iterator[Run]:
    _, run = photometric_term(width=width, height=3 * width // 4, batch=batch, object_faces=object_faces)
    yield lambda: run(None)


def hands(size: int) -> Iterator[Run]:
    yield lambda: posed_hands(size, torch.Generator().manual_seed(0))


def references(size: int) -> Iterator[Run]:
    """The labels of one long sequence, the reference of each of its frames, and a step's draw for each batch."""
    from warpgrasp.data import choose_labels, draw

    def run() -> None:
        labels = choose_labels({"long": range(size)}, fraction=SPARSE, sampling="paper")
        names = labels.comparable_names
        for step in range(len(names) // 8):
            for name in draw(names, batch=8, step=step, seed=[0]):
                labels.reference(name)

    yield run


def predictions(size: int) -> Iterator[Run]:
    """A predictions file of so many frames, written and read again."""
    from dataclasses import MISSING, fields

    from scipy.spatial.transform import Rotation

    from warpgrasp.predictions import Predictions, read_predictions, write_predictions

    shapes = {"hand_vertices": (778, 3), "hand_joints": (21, 3), "hand_pose": (15,), "hand_shape": (10,)}
    numbers = np.random.default_rng(0)
    arrays = {}
    for one in (one for one in fields(Predictions) if one.default is MISSING):
        if one.name.endswith("rotation"):
            arrays[one.name] = Rotation.random(size, rng=numbers).as_matrix().astype(np.float32)
        else:
            arrays[one.name] = numbers.normal(size=(size, *shapes.get(one.name, (3,)))).astype(np.float32)
    names = {"sequence": np.full(size, "long"), "index": np.arange(size), "object_name": np.full(size, "box")}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "predictions.npz"

        def run() -> None:
            write_predictions(file, Predictions(**{**arrays, **names}), {"hand": "open-hand right"})
            read_predictions(file)

        yield run


def second_start(size: int) -> Iterator[Run]:
    from benchmarks.manifest import simulated, start

    with simulated(size) as data:
        start(data.root, data.files)
        yield lambda: start(data.root, data.files)


def first_start(size: int) -> Iterator[Run]:
    import shutil

    from benchmarks.manifest import simulated, start

    with simulated(size) as data:

        def run() -> None:
            shutil.rmtree(data.cache, ignore_errors=True)
            start(data.root, data.files)

        yield run


CURVES = {
    "term-batch": Curve("photometric term", "batch", lambda n: term(batch=n), (4, 16, 64, 128)),
    "term-pixels": Curve(
        "photometric term",
        "pixels",
        lambda n: term(width=round((4 * n / 3) ** 0.5)),
        (4_800, 19_200, 76_800, 307_200),
    ),
    "term-faces": Curve(
        "photometric term", "faces of the object", lambda n: term(object_faces=n), (3_000, 12_000, 48_000, 192_000)
    ),
    "hand-batch": Curve("hand model", "batch", hands, (16, 64, 256, 1_024)),
    "references": Curve("references and draws", "frames of a sequence", references, (1_000, 4_000, 16_000, 64_000)),
    "predictions": Curve("predictions file", "frames", predictions, (250, 1_000, 4_000)),
    "first-start": Curve("first start", "frames of the data set", first_start, (1_000, 10_000, 100_000)),
    "second-start": Curve("second start", "frames of the data set", second_start, (1_000, 10_000, 100_000)),
}


def measure_point(curve: str, size: int) -> Point:
    """Measure here and now: call it in a new process, since a peak of memory never goes down."""
    torch.set_num_threads(1)
    with made(CURVES[curve].at(CURVES[curve].sizes[0])) as small:
        small()  # compiles, imports and allocates whatever does not grow
    before = _peak_bytes()
    with made(CURVES[curve].at(size)) as run:
        took = statistics.median(seconds(run, "processor") for _ in range(REPEATS))
    return Point(size, took, (_peak_bytes() - before) / 1e6)


@contextmanager
def made(making: Iterator[Run]) -> Iterator[Run]:
    """What a generator yields, which cleans up when it goes on."""
    yield next(making)
    next(making, None)


def _peak_bytes() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def in_new_process(curve: str, size: int) -> Point:
    """Measure in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.growth", curve, str(size)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return Point(**json.loads(said.splitlines()[-1]))


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float | None:
    """The slope of the larger half in logarithms, of two points at least; None where nothing was seen to grow."""
    first = min(len(sizes) // 2, len(sizes) - 2)
    chosen = [(size, value) for size, value in zip(sizes[first:], values[first:], strict=True) if value > 0]
    if len(chosen) < 2:
        return None
    x, y = np.log(np.array(chosen)).T
    return float(np.polyfit(x, y, 1)[0])


def row(key: str, points: Sequence[Point]) -> str:
    """A row of the table, which is in Markdown."""
    curve, sizes = CURVES[key], [point.size for point in points]
    fits = [exponent(sizes, column) for column in ([p.seconds for p in points], [p.megabytes for p in points])]
    told = ["–" if fit is None else f"{fit:.2f}" + (" **super-linear**" if fit > LINEAR else "") for fit in fits]
    columns = [
        ", ".join(f"{size:,}" for size in sizes),
        ", ".join(f"{1e3 * point.seconds:.3g}" for point in points),
        ", ".join(f"{point.megabytes:.3g}" for point in points),
    ]
    return f"| {curve.name} | {curve.grows} | {columns[0]} | {columns[1]} | {told[0]} | {columns[2]} | {told[1]} |"


def main(scale: Scale) -> int:
    """Measure every curve and print the table; with tiny sizes, the first two points of each."""
    print(HEAD)
    for key, curve in CURVES.items():
        sizes = curve.sizes[:2] if scale.name == "tiny" else curve.sizes
        print(row(key, [in_new_process(key, size) for size in sizes]), flush=True)
    return 0


if __name__ == "__main__":
    print(json.dumps(vars(measure_point(sys.argv[1], int(sys.argv[2])))))
