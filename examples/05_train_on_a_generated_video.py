"""Generate a few short sequences, train a tiny network on a quarter of their annotations, and score it.

python examples/05_train_on_a_generated_video.py      # a minute; a smoke run, no evidence
"""

import tempfile
from pathlib import Path

from warpgrasp.data import open_dataset
from warpgrasp.data.sample import generate
from warpgrasp.experiments import run_demo
from warpgrasp.hand import HandModel, open_hand
from warpgrasp.training import toy

with tempfile.TemporaryDirectory() as folder:
    data, out = Path(folder) / "data", Path(folder) / "run"
    generate(data, sequences=2, frames=8, seed=0)
    finished = run_demo(toy(), open_dataset(data, HandModel(open_hand())), out, upper_bound=False)
    labels = finished.training.labels
    print(f"{len(labels.annotated_names)} frames annotated, {len(labels.unannotated_names)} not")
    for arm, scored in finished.arms.items():
        print(arm, {name: round(value, 1) for name, value in scored.scores["unannotated"].means.items()})
