"""`train recording` with and without masks: what do silhouettes of frames without a label give a network?

    OMP_NUM_THREADS=1 PYTHONPATH=src:. .venv/bin/python tools/train_masks.py --half chosen --weights 0 3e-4 1e-3 3e-3
    OMP_NUM_THREADS=1 PYTHONPATH=src:. .venv/bin/python tools/train_masks.py --weights 0 1e-3 --seeds 0 1 2
    OMP_NUM_THREADS=1 PYTHONPATH=src:. .venv/bin/python tools/train_masks.py --weights 0 1e-3 --steps 800

One network for a folder of two generated recordings of `hard_recordings.py` (a plain object; dark and noisy), each of
36 frames with two labels and true masks of all frames; weight 0 is without masks. The recipe is `recording`, shortened
(`shortened`). Stage 1 knows nothing of masks and is trained once for each seed. Stored are the errors of each frame
without a label, in camera space, run by run, in docs/results/train_masks.json. The weight is chosen on the `chosen`
half of the recordings, the `reported` half, of other seeds and with the objects exchanged, is in docs/own_video.md.
"""

import argparse
import json
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tools.hard_recordings import ERRORS, LABELS, SEED, Half, make
from warpgrasp.cli.masks import masks_of_recordings
from warpgrasp.data import open_dataset
from warpgrasp.evaluation import score
from warpgrasp.experiments import predictions_for
from warpgrasp.export import RecordingOptions, export_recording
from warpgrasp.files import write_text
from warpgrasp.hand import HandModel, open_hand
from warpgrasp.training import Recipe, Training, train_stage
from warpgrasp.training.recipes import recording

STORED = Path("docs/results/train_masks.json")
KINDS, LABELLED, STEPS = ("plain", "dark"), LABELS["two"], 300


def written(folder: Path, half: Half) -> Path:
    """Write the recordings of a half and their masks, `recordings/KIND` and `masks/KIND`, unless they are there."""
    for kind in KINDS:
        if (folder / "masks" / kind).is_dir():
            continue
        own = folder / kind
        shutil.rmtree(own, ignore_errors=True)
        make(own, half, kind, ["true"])
        shutil.rmtree(folder / "recordings" / kind, ignore_errors=True)
        dataset = open_dataset(own / "data", HandModel(open_hand()))
        export_recording(dataset, "train", kind, folder / "recordings" / kind, RecordingOptions(train=tuple(LABELLED)))
        shutil.copytree(own / "masks" / "true", folder / "masks" / kind)
    return folder


def shortened(seed: int, weight: float, steps: int) -> Recipe:
    """The recipe `recording` with fewer steps, `steps` of them in stage 2, of smaller batches."""
    recipe = recording()
    photometric = replace(recipe.photometric, pairs=8, ramp_steps=40, silhouette_weight=weight)
    return replace(
        recipe,
        seed=seed,
        stage1=replace(recipe.stage1, steps=200, batch=8),
        stage2=replace(recipe.stage2, steps=steps, batch=4),
        photometric=photometric,
    )


def named(weight: float, steps: int) -> str:
    """What trainings of a weight are stored under."""
    return f"{weight:g}" if steps == STEPS else f"{weight:g}, {steps} steps"


def trained(folder: Path, seed: int, weight: float, steps: int) -> tuple[Path, float]:
    """The weights of a training, and the seconds of this process that its second stage took."""
    dataset = open_dataset(folder / "recordings", HandModel(open_hand()))
    recipe = shortened(seed, weight, steps)
    masks = masks_of_recordings(folder / "masks", dataset) if weight else None
    training = Training.prepare(recipe, dataset, masks=masks)
    runs = folder / "runs"
    runs.mkdir(exist_ok=True)
    first = train_stage(training, recipe.stage1, runs / f"stage1-{seed}.safetensors")
    started = time.process_time()
    out = train_stage(training, recipe.stage2, runs / f"{seed}-{named(weight, steps)}.safetensors", initial=first)
    return out, time.process_time() - started


def errors(folder: Path, weights: Path) -> dict[str, dict[str, list[float]]]:
    """The errors of each recording's frames without a label."""
    found = {}
    predicted = open_dataset(folder / "recordings", HandModel(open_hand()))
    for kind in KINDS:
        names = [name for name in predicted.names("train") if name.sequence == kind and name.index not in LABELLED]
        truth = open_dataset(folder / kind / "data", HandModel(open_hand()))
        scores = score(predictions_for(weights, predicted, names), truth, names).per_frame
        found[kind] = {name: np.round(scores[name], 2).tolist() for name in ERRORS}
    return found


def main() -> None:
    """Train, measure and store; what is not asked for stays as it was."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--half", default="reported", choices=list(SEED))
    parser.add_argument("--weights", nargs="+", type=float, default=[0.0])
    parser.add_argument("--steps", type=int, default=STEPS, help="of stage 2")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument(
        "--work", type=Path, default=Path("runs/train_masks"), help="recordings and networks stay there"
    )
    options = parser.parse_args()
    folder = written(options.work / options.half, options.half)
    for seed in options.seeds:
        for weight in options.weights:
            weights, seconds = trained(folder, seed, weight, options.steps)
            of_kinds = errors(folder, weights)
            stored: dict[str, Any] = json.loads(STORED.read_text()) if STORED.is_file() else {}
            of_half = stored.setdefault(options.half, {}).setdefault(named(weight, options.steps), {})
            of_half[str(seed)] = {"seconds": round(seconds), "errors": of_kinds}
            write_text(STORED, json.dumps(stored, separators=(",", ":")) + "\n")
            for kind, found in of_kinds.items():
                means = ", ".join(f"{name} {np.mean(values):.1f}" for name, values in found.items())
                print(f"{options.half} {kind}, {seed}, {named(weight, options.steps)}: {means}; {seconds:.0f} s")


if __name__ == "__main__":
    main()
