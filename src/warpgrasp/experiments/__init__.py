"""Many trainings: the paper's tables and figures, sweeps, and the demo."""

from warpgrasp.experiments.charts import save_curves
from warpgrasp.experiments.demo import report_of, run_demo
from warpgrasp.experiments.plans import EXPERIMENTS, Experiment, published
from warpgrasp.experiments.ray import each_on_ray, run_on_ray
from warpgrasp.experiments.reproduce import Reproduction, reproduce
from warpgrasp.experiments.results import HEADS, Result, from_json
from warpgrasp.experiments.scoring import (
    TRAINING_PREDICTIONS,
    FinishedRun,
    has_adaptation,
    predict_and_score,
    predictions_for,
    read_scores,
)
from warpgrasp.experiments.sweep import Job, Plan, Runner, Setting, Watcher, carry_out, plan, run_here

__all__ = [
    "EXPERIMENTS",
    "HEADS",
    "TRAINING_PREDICTIONS",
    "Experiment",
    "FinishedRun",
    "Job",
    "Plan",
    "Reproduction",
    "Result",
    "Runner",
    "Setting",
    "Watcher",
    "carry_out",
    "each_on_ray",
    "from_json",
    "has_adaptation",
    "plan",
    "predict_and_score",
    "predictions_for",
    "published",
    "read_scores",
    "report_of",
    "reproduce",
    "run_demo",
    "run_here",
    "run_on_ray",
    "save_curves",
]
