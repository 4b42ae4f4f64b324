"""Predict and score the evaluation frames by a trained network, once."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from warpgrasp.data import Dataset, Split
from warpgrasp.evaluation.assessment import assess
from warpgrasp.evaluation.metrics import EvaluationError, score
from warpgrasp.frame import FrameName
from warpgrasp.inference import predict, read_predictions
from warpgrasp.reconstruction import load_checkpoint
from warpgrasp.training.run import write_json
from warpgrasp.training.settings import Recipe

PREDICTIONS, SCORES = "evaluation.npz", "scores.json"  # in a run's folder
TRAINING_PREDICTIONS = "training.npz"
FORMAT = "warpgrasp-scores-2"


@dataclass(frozen=True)
class Scoring:
    """How networks are scored, beside what the data set's protocol says."""

    pixels: tuple[int, int] | None = None  # the (width, height) of pictures whose pixels are meant; None: on disk
    training: bool = False  # whether training frames are scored as well


@dataclass(frozen=True)
class NetworkScores:
    """What was measured of a network on the evaluation frames of its data set's protocol."""

    frames: int
    left_out: int  # without annotation
    values: dict[str, float]  # mean errors, and the aligned ones, by their documented names
    curves: dict[str, dict[str, list[float]]]  # PCK: `thresholds_px` and `shares`
    training: dict[str, list[float]]  # each training frame's errors, in the data set's order; empty unless asked for


def score_run(folder: Path, weights: Path, recipe: Recipe, dataset: Dataset, scoring: Scoring) -> None:
    """Predict the evaluation split by `weights` and write `SCORES` into `folder`, unless it is there already.

    Training frames are predicted and scored too if that is asked for; then all must be annotated on disk, whether a
    training may use it or not. Raises `EvaluationError` when no evaluation frame is annotated.
    """
    if read_scores(folder, scoring) is not None:
        return
    names = dataset.names("evaluation")
    annotated = [name for name in names if dataset.is_annotated(name)]
    if not annotated:
        raise EvaluationError(
            f"expected annotated evaluation frames of {dataset.protocol} in {dataset.root}, found none to score"
        )
    file = folder / PREDICTIONS
    if not file.is_file():
        _predict(file, weights, recipe, dataset, "evaluation")
    predictions = read_predictions(file)[0]
    on_disk = dataset.at_size(None)
    errors = score(predictions, on_disk, annotated).means
    scale = pixel_scale(dataset, annotated[0], scoring.pixels)
    assessment = assess(predictions, on_disk, annotated, contact=False, show_progress=False)
    further = {one.name: one.value for one in assessment.figures if one.value is not None}
    scores = NetworkScores(
        len(annotated),
        len(names) - len(annotated),
        {
            **{name: value * (scale if name.endswith("_px") else 1) for name, value in errors.items()},
            # The others count in pixels on disk.
            **{name: value for name, value in further.items() if "_image_" not in name},
        },
        {one.name: {"thresholds_px": list(one.thresholds_px), "shares": list(one.shares)} for one in assessment.curves},
        _training_errors(folder, weights, recipe, dataset, scale) if scoring.training else {},
    )
    write_json(folder / SCORES, {**_header(scoring), **asdict(scores)})


def _training_errors(
    folder: Path, weights: Path, recipe: Recipe, dataset: Dataset, scale: float
) -> dict[str, list[float]]:
    """Each training frame's errors."""
    file = folder / TRAINING_PREDICTIONS
    if not file.is_file():
        _predict(file, weights, recipe, dataset, "train")
    errors = score(read_predictions(file)[0], dataset.at_size(None), dataset.names("train")).per_frame
    return {
        name: [round(value * (scale if name.endswith("_px") else 1), 4) for value in values]
        for name, values in errors.items()
    }


def read_scores(folder: Path, scoring: Scoring) -> NetworkScores | None:
    """The scores of a run's folder; None when there are none yet, or they were made in another way."""
    path = folder / SCORES
    if not path.is_file():
        return None
    content = json.loads(path.read_text())
    header = _header(scoring)
    if {key: content.pop(key, None) for key in header} != header:
        return None
    return NetworkScores(**content)


def pixel_scale(dataset: Dataset, name: FrameName, pixels: tuple[int, int] | None) -> float:
    """How many pixels of a picture of size `pixels` a pixel on disk is wide."""
    if pixels is None:
        return 1.0
    camera = dataset.at_size(pixels).frame(name, annotated=False).camera
    return float(camera.intrinsics[0, 0] / dataset.truth(name).intrinsics[0, 0])


def _predict(file: Path, weights: Path, recipe: Recipe, dataset: Dataset, split: Split) -> None:
    checkpoint = load_checkpoint(weights)
    checkpoint.check_objects(dataset.objects("evaluation"))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = checkpoint.network(dataset.hand).to(device)
    network.encoder_precision = "fp32"
    header = {
        "weights_sha256": checkpoint.sha256,
        "hand": checkpoint.hand,
        "protocol": dataset.protocol,
        "split": split,
        **checkpoint.training,
    }
    seen = dataset.at_size((recipe.width, recipe.height))
    predict(network, seen, dataset.names(split), file, header=header, show_progress=False)


def _header(scoring: Scoring) -> dict[str, Any]:
    pixels = None if scoring.pixels is None else list(scoring.pixels)
    return {"format": FORMAT, "pixels": pixels, "scored_training": scoring.training}
