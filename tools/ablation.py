"""What each addition to Eq. 1 is worth: stage 2 of the demo with and without it, from the same stage-1 weights.

    .venv/bin/python tools/demo_seeds.py        # first: trains stage 1, the control and the demo's own method
    .venv/bin/python tools/ablation.py          # about four minutes for each seed and variant on one core

The figures are kept in docs/results/ablation.json; tools/results_page.py writes them into docs/results.md.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from warpgrasp.data import Dataset, open_dataset
from warpgrasp.data.sample import unpack_shipped
from warpgrasp.evaluation.metrics import score
from warpgrasp.hand import HandModel, open_hand
from warpgrasp.inference import predict, read_predictions
from warpgrasp.reconstruction import load_checkpoint
from warpgrasp.training.loop import Training, train_stage
from warpgrasp.training.recipes import Photometric, demo
from warpgrasp.training.run import write_json

STORED = Path("docs/results/ablation.json")
VARIANTS: dict[str, Callable[[Photometric], Photometric]] = {
    "Eq. 1": lambda one: replace(one, weight=3e-3, directions="one", contrast_share=0.0),  # its own best λ_c
    "both directions": lambda one: replace(one, contrast_share=0.0),
    "local contrast": lambda one: replace(one, directions="one"),
}


def run(variant: str, seed: int, data: Dataset) -> dict:
    """Train and score one variant from the stage-1 weights of the demo of that seed."""
    recipe = replace(demo(), seed=seed)
    recipe = replace(recipe, photometric=VARIANTS[variant](recipe.photometric))
    training = Training.prepare(recipe, data)
    out = Path("runs/ablation") / f"seed{seed}" / f"{variant.replace(' ', '-').replace('.', '')}.safetensors"
    weights = train_stage(training, recipe.stage2, out, initial=Path(f"runs/demo-seed{seed}/stage1.safetensors"))
    names = {"unannotated": training.labels.unannotated_names, "evaluation": data.names("evaluation")}
    every = names["unannotated"] + names["evaluation"]
    file, network = out.with_suffix(".npz"), load_checkpoint(weights).network(data.hand)
    file.unlink(missing_ok=True)
    predict(network, training.source.dataset, every, file, header={"variant": variant})
    predictions = read_predictions(file)[0]
    scores = {group: score(predictions, data, chosen).means for group, chosen in names.items()}
    return {"variant": variant, "seed": seed, "photometric": asdict(recipe.photometric), **scores}


def main() -> None:
    """Run what is not stored yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    options = parser.parse_args()
    data = open_dataset(unpack_shipped(Path("runs/ablation/data")), HandModel(open_hand()))
    for seed in options.seeds:
        for variant in options.variants:
            rows = json.loads(STORED.read_text()) if STORED.is_file() else []
            if not any((row["variant"], row["seed"]) == (variant, seed) for row in rows):
                write_json(STORED, [*rows, run(variant, seed, data)])


if __name__ == "__main__":
    main()
