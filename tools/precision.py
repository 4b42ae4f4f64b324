"""Whether bf16 changes the demo's final errors by less than seeds do: its two arms trained again in fp32.

    warpgrasp reproduce fig8 --data sample --out runs/record      # first: the same networks in bf16
    .venv/bin/python tools/precision.py                           # about five minutes for each seed

The figures are kept in docs/results/precision.json; tools/results_page.py writes them into docs/results.md.
"""

import argparse
import statistics
from dataclasses import replace
from pathlib import Path

from warpgrasp.data import open_dataset
from warpgrasp.data.sample import unpack_shipped
from warpgrasp.evaluation import METRICS
from warpgrasp.experiments import EXPERIMENTS, Plan, Reproduction, Setting, Watcher, plan, read_scores, run_here
from warpgrasp.files import write_json
from warpgrasp.hand import HandModel, open_hand

STORED = Path("docs/results/precision.json")
ROW, ARMS = "3.33 %", ("control", "photometric")


def main() -> None:
    """Train what is missing, and store the errors of all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sweep", type=Path, default=Path("runs/record"), help="where fig8 was made")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    experiment = EXPERIMENTS["fig8"]
    wanted = Reproduction(experiment, tuple(options.seeds), data="sample", quick=False)
    data = open_dataset(unpack_shipped(options.sweep / "data"), HandModel(open_hand()))
    setting = wanted.setting(data, options.sweep, [], ["tools/precision.py"])
    usual = [one for one in wanted.networks if one.row == ROW and one.arm in ARMS]
    full = [replace(one, recipe=replace(one.recipe, precision="fp32")) for one in usual]
    whole = plan([*usual, *full], setting)
    failures = run_here(whole, setting, Watcher())
    if failures:
        raise SystemExit("\n".join(one.sentence for one in failures))
    rows = []
    for network, mark in whole.networks:
        precision = "fp32" if network.recipe.precision == "fp32" else "bf16"
        about = {"arm": network.arm, "seed": network.recipe.seed, "precision": precision}
        rows.append({**about, **scored(setting, mark, whole)})
    write_json(STORED, rows)


def scored(setting: Setting, mark: str, whole: Plan) -> dict[str, dict[str, float]]:
    """A network's mean errors on both groups of frames."""
    found, places = read_scores(setting.folder(mark), setting.scoring), whole.labels[mark].unannotated
    assert found is not None
    return {
        "unannotated": {
            name: statistics.fmean(errors[place] for place in places) for name, errors in found.training.items()
        },
        "evaluation": {name: found.values[name] for name in METRICS},
    }


if __name__ == "__main__":
    main()
