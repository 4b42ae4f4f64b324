"""How many frames `predict` flags as without a hand: on pictures without one, and on the shipped sequences.

    .venv/bin/python tools/hand_detector/flagged.py [--photographs FOLDER] [--surroundings FOLDER] [--count 100]

Prints the table of docs/own_video.md. The shipped weights predict; every frame is looked at.
"""

import argparse
import math
import tempfile
from pathlib import Path

import backgrounds
import numpy as np
import torch

from warpgrasp import reconstruct
from warpgrasp.data import open_dataset
from warpgrasp.data.sample import shipped_if_named
from warpgrasp.hand import HandModel, open_hand
from warpgrasp.inference import PredictionOptions, Predictor
from warpgrasp.predictions import Flag, read_predictions
from warpgrasp.reconstruction import open_weights

SEED = 20_241
OPTIONS = PredictionOptions(check_hands=1)
ROOT = shipped_if_named(Path("sample"))


def interval(found: int, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share."""
    z = 1.96
    middle, reach = (found + z * z / 2) / (count + z * z), z * math.sqrt(found * (count - found) / count + z * z / 4)
    return middle - reach / (count + z * z), middle + reach / (count + z * z)


def say(kind: str, found: int, count: int) -> None:
    low, high = interval(found, count)
    print(
        f"| {kind} | {count} | {found} | {100 * found / count:.1f} % ({100 * low:.1f} to {100 * high:.1f}) |",
        flush=True,
    )


def flagged(pictures: list[backgrounds.Picture]) -> int:
    mesh = ROOT / "models/006_mustard_bottle/textured_simple.obj"
    found = reconstruct(pictures, camera=backgrounds.MATRIX, object=mesh, weights="best", options=OPTIONS)
    assert found.flags is not None
    return int(((found.flags & Flag.NO_HAND_SEEN) > 0).sum())


def without_hands(count: int, photographs: Path | None, surroundings: Path | None) -> None:
    total = every = 0
    kinds = {
        kind: [draw(np.random.default_rng([SEED, row, number])) for number in range(count)]
        for row, (kind, draw) in enumerate(backgrounds.DRAWN.items())
    }
    random = np.random.default_rng([SEED, 100])
    if photographs is not None:
        kinds["crops of ten photographs"] = list(backgrounds.crops(photographs, count, random))
    if surroundings is not None:
        kinds["views of 18 photographed places"] = list(backgrounds.views(surroundings, count, random))
    for kind, pictures in kinds.items():
        found = flagged(pictures)
        say(kind, found, len(pictures))
        total, every = total + found, every + len(pictures)
    say("**all without a hand**", total, every)


def shipped() -> None:
    checkpoint, dataset = open_weights(Path("best")), open_dataset(ROOT, HandModel(open_hand()))
    predictor = Predictor(checkpoint, dataset.hand, OPTIONS)
    for split in ("evaluation", "train"):
        with tempfile.TemporaryDirectory() as folder:
            predictor.predict_dataset(dataset, split, Path(folder) / "predictions.npz")
            presence = read_predictions(Path(folder) / "predictions.npz")[0].hand_presence
        assert presence is not None
        say(f"**shipped sequences, {split}**", int((presence == 0).sum()), len(presence))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photographs", type=Path)
    parser.add_argument("--surroundings", type=Path)
    parser.add_argument("--count", type=int, default=100)
    options = parser.parse_args()
    shipped()
    without_hands(options.count, options.photographs, options.surroundings)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
