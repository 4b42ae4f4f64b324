"""What each part of the photometric term is worth: stage 2 with and without it, from the same stage-1 weights.

    warpgrasp reproduce fig8 --data sample --out runs/record      # first: stage 1, the control, Eq. 1, the method
    .venv/bin/python tools/ablation.py                            # about two minutes for each seed and variant

Without the first command, stage 1 is trained where it is needed.

With one and with two labels in sixty frames. The figures are kept in docs/results/ablation.json;
tools/results_page.py writes them into docs/results.md. Comparing with the previous and the next label in turn is no
part of the package, since it does not help.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from warpgrasp.data import Labels, open_dataset
from warpgrasp.data.sample import unpack_shipped
from warpgrasp.experiments import EXPERIMENTS, Job, Reproduction, Setting, carry_out, plan, predict_and_score
from warpgrasp.files import write_json
from warpgrasp.frame import FrameName
from warpgrasp.hand import HandModel, open_hand
from warpgrasp.reconstruction import load_checkpoint
from warpgrasp.training import (
    Recipe,
    train_stage,
    with_all_that_helps,
    with_grasp,
    with_joint_input,
    with_keypoints,
    with_longer_stage2,
    with_near_to_far,
)

STORED = Path("docs/results/ablation.json")
ONE_LABEL = "1.67 %"  # in each sequence
ROWS = (ONE_LABEL, "3.33 %")
TWO_SIDED = "both, previous and next label"


def with_term(**changes: Any) -> Callable[[Recipe], Recipe]:
    """Another photometric term."""
    return lambda recipe: replace(recipe, photometric=replace(recipe.photometric, **changes))


def without_keypoints(recipe: Recipe) -> Recipe:
    """The same without asking a detector."""
    return replace(recipe, photometric=replace(recipe.photometric, keypoint_weight=0.0))


VARIANTS: dict[str, Callable[[Recipe], Recipe]] = {
    "both directions": with_term(contrast_share=0.0),
    "local contrast": with_term(directions="one"),
    TWO_SIDED: lambda recipe: recipe,
    "control, grasp": lambda recipe: with_grasp(recipe).as_control(),
    "both, grasp": with_grasp,
    "both, from near to far, grasp": lambda recipe: with_grasp(with_near_to_far(recipe)),
    "control, keypoints": lambda recipe: with_keypoints(recipe.as_control()),
    "both, keypoints": with_keypoints,
    "control, twice the steps": lambda recipe: with_longer_stage2(recipe).as_control(),
    "best": with_all_that_helps,
    "best without keypoints": lambda recipe: without_keypoints(with_all_that_helps(recipe)),
    "best, joints as input": lambda recipe: with_joint_input(with_all_that_helps(recipe)),
}


@dataclass(frozen=True)
class TwoSided(Labels):
    """Each frame is compared with the labels before and after it in turn, where there are both."""

    asked: dict[FrameName, int] = field(default_factory=dict)

    def reference(self, name: FrameName) -> FrameName:
        """The nearest label on one side: earlier ones first."""
        known = np.array(self.annotated[name.sequence])
        sides = [side for side in (known[known < name.index][-1:], known[known > name.index][:1]) if len(side)]
        turn = self.asked.get(name, 0)
        self.asked[name] = turn + 1
        return FrameName(name.sequence, int(sides[turn % len(sides)][0]))


def weights_of(variant: str, job: Job, setting: Setting) -> Path:
    """Where the weights of a variant lie."""
    name = variant.replace(", ", "-").replace(" ", "-")
    return setting.out / "ablation" / f"{job.fingerprint}-{name}.safetensors"


def run(variant: str, row: str, job: Job, stage1: Job, setting: Setting) -> dict:
    """Train and score one variant from the stage-1 weights that a job of the sweep starts from, trained if missing."""
    recipe = VARIANTS[variant](job.recipe)
    training = setting.training(recipe)
    labels = training.labels
    if variant == TWO_SIDED:
        training = replace(training, labels=TwoSided(labels.annotated, labels.unannotated))
    out = weights_of(variant, job, setting)
    assert job.after is not None
    if not setting.weights(job.after).is_file():
        carry_out(stage1, setting, scored=False)
    first = setting.weights(job.after)
    if recipe.network != job.recipe.network:
        first = train_stage(training, recipe.stage1, out.with_name(f"{out.stem}-stage1.safetensors"))
    weights = train_stage(training, recipe.stage2, out, initial=first)
    data = setting.dataset
    groups = {"unannotated": labels.unannotated_names, "evaluation": data.names("evaluation")}
    file, every = out.with_suffix(".npz"), groups["unannotated"] + groups["evaluation"]
    file.unlink(missing_ok=True)
    header = {"variant": variant}
    scores = predict_and_score(load_checkpoint(weights), data, every, file, groups=groups, header=header)
    about = {"row": row, "variant": variant, "seed": recipe.seed, "photometric": asdict(recipe.photometric)}
    return about | {group: scored.means for group, scored in scores.items()}


def main() -> None:
    """Run what is not stored yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sweep", type=Path, default=Path("runs/record"), help="where fig8 was made")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=list(ROWS))
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    options = parser.parse_args()
    experiment = EXPERIMENTS["fig8"]
    wanted = Reproduction(experiment, tuple(options.seeds), data="sample", quick=False)
    data = open_dataset(unpack_shipped(options.sweep / "data"), HandModel(open_hand()))
    setting = wanted.setting(data, options.sweep, [], ["tools/ablation.py"])
    whole = plan(wanted.networks, setting)
    jobs = {
        (network.row, network.recipe.seed): whole.jobs[mark]
        for network, mark in whole.networks
        if network.arm == "photometric"
    }
    for row in options.rows:
        for seed in options.seeds:
            for variant in options.variants:
                if variant == TWO_SIDED and row == ONE_LABEL:
                    continue  # there is no next one
                stored = json.loads(STORED.read_text()) if STORED.is_file() else []
                if not any((one["row"], one["variant"], one["seed"]) == (row, variant, seed) for one in stored):
                    found = run(variant, row, jobs[row, seed], whole.jobs[jobs[row, seed].after or ""], setting)
                    stored = json.loads(STORED.read_text()) if STORED.is_file() else []
                    write_json(STORED, [*stored, found])


if __name__ == "__main__":
    main()
