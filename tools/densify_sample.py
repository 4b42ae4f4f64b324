"""`densify` on four of the shipped sequences, as recordings with three labels in sixty frames, and with one.

    OMP_NUM_THREADS=1 .venv/bin/python tools/densify_sample.py        # half an hour, one core

Which frames are labelled is chosen evenly, by `suggest`, and at random (two draws); the one label is that of the middle
frame, or drawn. `--ways` and `--sequences` measure some of them, `--colours-alone` without keypoints; what is measured
is stored at once. The figures are kept in docs/results/densify.json; tools/results_page.py writes them into
docs/results.md.
"""

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from warpgrasp.cli import main as warpgrasp
from warpgrasp.data import Dataset, open_dataset
from warpgrasp.data.recording import Recording
from warpgrasp.data.sample import unpack_shipped
from warpgrasp.evaluation import score
from warpgrasp.export import RecordingOptions, export_recording
from warpgrasp.files import write_json
from warpgrasp.hand import HandModel, open_hand
from warpgrasp.predictions import read_predictions
from warpgrasp.refinement import QUALITY, read_quality, suggested_frames

STORED = Path("docs/results/densify.json")
SEQUENCES, COUNT = ("MB1", "MB2", "CB1", "CB2"), 3
WAYS = ("even", "suggest", "random 0", "random 1", "one in the middle", "one at random")
SIGNS = (
    "difference_after",
    "compared_share",
    "frames_to_label",
    "acceleration_mm_per_frame2",
    "expected_error_mm",
    "keypoints_px",
)


def choices(dataset: Dataset, sequence: str, folder: Path) -> dict[str, list[int]]:
    """Which frames are labelled, by how they are chosen."""
    frames = len([name for name in dataset.names("train") if name.sequence == sequence])
    bare = folder / "bare"
    export_recording(dataset, "train", sequence, bare, RecordingOptions())
    suggested = sorted(suggested_frames(Recording.read(bare), COUNT))
    shutil.rmtree(bare)
    drawn = {
        f"random {seed}": sorted(np.random.default_rng(seed).choice(frames, COUNT, replace=False).tolist())
        for seed in (0, 1)
    }
    even = [frames * (2 * part + 1) // (2 * COUNT) for part in range(COUNT)]
    one = np.random.default_rng(0).choice(frames, 1).tolist()
    return {"even": even, "suggest": suggested, **drawn, "one in the middle": [frames // 2], "one at random": one}


def measured(dataset: Dataset, sequence: str, labels: list[int], folder: Path, keypoints: str) -> dict[str, Any]:
    """Write the recording, carry its labels on, and score the other frames."""
    recording, out = folder / sequence, folder / "out"
    for old in (recording, out):
        shutil.rmtree(old, ignore_errors=True)
    export_recording(dataset, "train", sequence, recording, RecordingOptions(train=labels))
    started = time.process_time()  # others may be at work on this machine
    if warpgrasp(["densify", str(recording), "--out", str(out), "--keypoints", keypoints]):
        raise SystemExit(1)
    seconds = time.process_time() - started
    predictions, _ = read_predictions(out / "predictions.npz")
    names = [name for name in predictions.names if name.index not in labels]
    scores = score(predictions, dataset, names)
    columns = SIGNS[:-1] if keypoints == "none" else SIGNS
    labelled, *signs = (read_quality(out / QUALITY, column) for column in ("labelled", *columns))
    others = [frame for frame in labelled if not labelled[frame]]
    errors = np.add(scores.per_frame["hand_joint_error_px"], scores.per_frame["object_vertex_error_px"])
    correlations = {
        sign: float(spearmanr(errors, [values[frame] for frame in others], nan_policy="omit")[0])
        for sign, values in zip(columns, signs, strict=True)
    }
    return {"labels": labels, "seconds": seconds, "scores": scores.means, "rank_correlations": correlations}


def main() -> None:
    """Measure and store; ways that are not asked for stay as they were."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    parser.add_argument("--sequences", nargs="+", default=list(SEQUENCES), choices=list(SEQUENCES))
    parser.add_argument("--colours-alone", action="store_true")
    options = parser.parse_args()
    keypoints, suffix = ("none", ", colours alone") if options.colours_alone else ("detector", "")
    found: dict[str, dict[str, Any]] = json.loads(STORED.read_text()) if STORED.is_file() else {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        dataset = open_dataset(unpack_shipped(folder / "data"), HandModel(open_hand()))
        for sequence in options.sequences:
            chosen = choices(dataset, sequence, folder)
            for how in options.ways:
                name, of_sequence = how + suffix, found.setdefault(sequence, {})
                of_sequence[name] = measured(dataset, sequence, chosen[how], folder, keypoints)
                print(sequence, name, json.dumps(of_sequence[name]), flush=True)
                write_json(STORED, found)


if __name__ == "__main__":
    main()
