"""The second start on a data set of as many annotation files as HO-3D's training split, against the first.

The files are invented: sequences of 1200 small pickles with the keys and shapes of HO-3D's.
"""

import os
import pickle
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import numpy as np

from benchmarks.measure import Case
from benchmarks.scale import Scale
from warpgrasp.data import Manifest
from warpgrasp.pickled import load_pickle

SEQUENCE_FRAMES = 1200
LONG_AGO_S = 1_600_000_000


def cases(scale: Scale) -> Iterator[Case]:
    with simulated(scale.files) as data:
        files = data.files

        def first() -> None:
            shutil.rmtree(data.cache, ignore_errors=True)
            start(data.root, files)

        def listing() -> None:
            for folder in sorted({file.rpartition("/")[0] for file in files}):
                with os.scandir(data.root / folder) as entries:
                    for entry in entries:
                        entry.stat()

        start(data.root, files)
        index = sum(path.stat().st_size for path in data.cache.rglob("*.json"))
        # The first start leaves an index for the next turn's.
        runs = {"second start": lambda: start(data.root, files), "first start": first, "listing the folders": listing}
        yield Case(
            "start on a data set", f"{len(files)} frames", "start", 1, runs, None, f"the index has {index / 1e6:.2f} MB"
        )


class Simulated:
    """A folder of annotation files, and a cache of its own."""

    def __init__(self, folder: Path, frames: int):
        self.root, self.cache = folder / "data", folder / "cache"
        self.files = write(self.root, frames)


@contextmanager
def simulated(frames: int) -> Iterator[Simulated]:
    """A data set that goes away again."""
    with tempfile.TemporaryDirectory() as folder:
        data = Simulated(Path(folder), frames)
        with patch.dict(os.environ, {"WARPGRASP_CACHE": str(data.cache)}):
            yield data


def write(root: Path, frames: int) -> list[str]:
    """Annotation files of so many frames."""
    zeros = {"handJoints3D": (21, 3), "handPose": 48, "handBeta": 10, "handTrans": 3, "objRot": (3, 1), "objTrans": 3}
    corners = {"objCorners3D": (8, 3), "objCorners3DRest": (8, 3)}
    arrays = {key: np.zeros(shape) for key, shape in (zeros | corners).items()}
    content = pickle.dumps({"objName": "006_mustard_bottle", "camMat": np.eye(3), **arrays}, protocol=2)
    files = []
    for number in range(frames):
        sequence, index = divmod(number, SEQUENCE_FRAMES)
        files.append(f"train/SEQ{sequence}/meta/{index:04d}.pkl")
        path = root / files[-1]
        if index == 0:
            path.parent.mkdir(parents=True)
        path.write_bytes(content)
        os.utime(path, (LONG_AGO_S, LONG_AGO_S))
    return files


def start(root: Path, files: list[str]) -> None:
    """What a loader asks for when it is opened."""
    facts = Manifest.open(root, "benchmark-1").facts(files, _read)
    if len(facts) != len(files):
        raise ValueError(f"expected the facts of {len(files)} files, got those of {len(facts)}")


def _read(path: Path) -> list:
    meta = load_pickle(path)
    return [meta["objName"], meta["handJoints3D"] is not None]
