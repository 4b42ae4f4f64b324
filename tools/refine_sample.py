"""What is gained when a network's predictions of its own training frames are refined frame by frame (`densify`).

    warpgrasp reproduce fig8 --data sample --out runs/record      # first: the networks
    .venv/bin/python tools/refine_sample.py                       # about six minutes for each row, seed and start

Labels are those that the networks were trained with: one, two or three in sixty frames, counted from the first.
`densify` starts at the predictions of an arm of Fig. 8 or of a variant of tools/ablation.py, or between the labels
without a network. The figures are kept in docs/results/refine.json; tools/results_page.py writes them into
docs/results.md.
"""

import argparse
import json
import shutil
import tempfile
import time
from functools import partial
from pathlib import Path

from ablation import VARIANTS, weights_of

from warpgrasp.data import Dataset, Labels, open_dataset
from warpgrasp.data.recording import Recording
from warpgrasp.data.sample import unpack_shipped
from warpgrasp.evaluation import score
from warpgrasp.experiments import EXPERIMENTS, TRAINING_PREDICTIONS, Reproduction, plan
from warpgrasp.export import RecordingOptions, export_recording
from warpgrasp.files import write_json
from warpgrasp.hand import HandModel, open_hand
from warpgrasp.inference import predict_few
from warpgrasp.predictions import Predictions, read_predictions
from warpgrasp.reconstruction import load_checkpoint
from warpgrasp.refinement import densify, detected_hands

STORED = Path("docs/results/refine.json")
ROWS = ("1.67 %", "3.33 %", "5 %")
NO_NETWORK = "labels"
BY_KEYPOINTS = ("best", "best, joints as input")  # trained with keypoints, and refined with them
STARTS = [NO_NETWORK, "photometric", "near to far", "both, grasp", "both, from near to far, grasp", *BY_KEYPOINTS]


def refined(dataset: Dataset, labels: Labels, start: Predictions | None, *, by_keypoints: bool) -> Predictions:
    """Every training sequence as a recording with its labels, densified."""
    look = partial(detected_hands, show_progress=False) if by_keypoints else None
    parts = []
    for sequence, chosen in labels.annotated.items():
        with tempfile.TemporaryDirectory() as temporary:
            recording, out = Path(temporary) / sequence, Path(temporary) / "out"
            export_recording(dataset, "train", sequence, recording, RecordingOptions(train=list(chosen)))
            own = None if start is None else start.rows(start.sequence == sequence)
            found = densify(
                Recording.read(recording), dataset.hand, out, program="tools", start=own, look=look, show_progress=False
            )
            parts.append(found.predictions)
            shutil.rmtree(out)
    return Predictions.joined(parts)


def main() -> None:
    """Run what is not stored yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sweep", type=Path, default=Path("runs/record"), help="where fig8 was made")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=list(ROWS))
    parser.add_argument("--starts", nargs="+", default=STARTS)
    options = parser.parse_args()
    experiment = EXPERIMENTS["fig8"]
    wanted = Reproduction(experiment, tuple(options.seeds), data="sample", quick=False)
    data = open_dataset(unpack_shipped(options.sweep / "data"), HandModel(open_hand()))
    setting = wanted.setting(data, options.sweep, [], ["tools/refine_sample.py"])
    whole = plan(wanted.networks, setting)
    for row in options.rows:
        for start in options.starts:
            for network, mark in whole.networks:
                recipe = network.recipe
                arm = "photometric" if start == NO_NETWORK or start in VARIANTS else start
                if (network.row, network.arm) != (row, arm) or (
                    start == NO_NETWORK and recipe.seed != options.seeds[0]
                ):
                    continue  # without a network there is nothing to draw
                seed = None if start == NO_NETWORK else recipe.seed
                stored = json.loads(STORED.read_text()) if STORED.is_file() else []
                if any((one["row"], one["start"], one["seed"]) == (row, start, seed) for one in stored):
                    continue
                training = setting.training(recipe)
                labels = training.labels
                begun = None
                if start in VARIANTS:
                    weights = weights_of(start, whole.jobs[mark], setting)
                    if not weights.is_file():
                        continue  # not one of this row's
                    trained = load_checkpoint(weights).network(data.hand)
                    begun = predict_few(trained, training.source.dataset, data.names("train"))
                elif start != NO_NETWORK:
                    begun = read_predictions(setting.folder(mark) / TRAINING_PREDICTIONS)[0]
                started = time.monotonic()
                found = refined(data, labels, begun, by_keypoints=start in BY_KEYPOINTS)
                seconds = time.monotonic() - started
                names = labels.unannotated_names
                means = score(found, data, names).means
                before = None if begun is None else score(begun, data, names).means
                one = {"row": row, "start": start, "seed": seed, "seconds": seconds, "before": before, "after": means}
                print(json.dumps(one), flush=True)
                stored = json.loads(STORED.read_text()) if STORED.is_file() else []
                write_json(STORED, [*stored, one])


if __name__ == "__main__":
    main()
