"""The first and the second start on a data set of as many annotation files as HO-3D version 2's training split.

The files are invented: 55 sequences of 1200 small pickles with the keys and shapes of HO-3D's.
"""

import os
import pickle
import platform
import tempfile
import time
from pathlib import Path

import numpy as np

from warpgrasp.data.manifest import Manifest
from warpgrasp.pickled import load_pickle

SEQUENCES, FRAMES = 55, 1200
LONG_AGO_S = 1_600_000_000


def write(root: Path) -> list[str]:
    content = pickle.dumps(
        {
            "objName": "006_mustard_bottle",
            "camMat": np.eye(3),
            "handJoints3D": np.zeros((21, 3)),
            "handPose": np.zeros(48),
            "handBeta": np.zeros(10),
            "handTrans": np.zeros(3),
            "objRot": np.zeros((3, 1)),
            "objTrans": np.zeros(3),
            "objCorners3D": np.zeros((8, 3)),
            "objCorners3DRest": np.zeros((8, 3)),
        },
        protocol=2,
    )
    files = []
    for sequence in range(SEQUENCES):
        folder = root / f"train/SEQ{sequence}/meta"
        folder.mkdir(parents=True)
        for index in range(FRAMES):
            files.append(f"train/SEQ{sequence}/meta/{index:04d}.pkl")
            (root / files[-1]).write_bytes(content)
            os.utime(root / files[-1], (LONG_AGO_S, LONG_AGO_S))
    return files


def read(path: Path) -> list:
    meta = load_pickle(path)
    return [meta["objName"], meta["handJoints3D"] is not None]


def start(root: Path, files: list[str]) -> float:
    began = time.perf_counter()
    facts = Manifest.open(root, "benchmark-1").facts(files, read)
    assert len(facts) == len(files)
    return time.perf_counter() - began


def main() -> None:
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["WARPGRASP_CACHE"] = f"{folder}/cache"
        root = Path(folder) / "data"
        files = write(root)
        print(f"{len(files)} annotation files")
        print(f"first start   {start(root, files):6.2f} s")
        print(f"second start  {min(start(root, files) for _ in range(3)):6.2f} s")
        size = sum(path.stat().st_size for path in Path(f"{folder}/cache").rglob("*.json"))
        print(f"index         {size / 1e6:6.2f} MB")


if __name__ == "__main__":
    main()
