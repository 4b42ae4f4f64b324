"""Finished trainings: their folders read back, what their networks predict, and how the predictions score."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from warpgrasp.bounded import read_json
from warpgrasp.checked import read_json_object
from warpgrasp.data import Dataset, Labels, Split, fingerprint_of_frames
from warpgrasp.errors import DataError
from warpgrasp.evaluation import EvaluationError, Scores, assess, score
from warpgrasp.files import write_json
from warpgrasp.frame import FrameName
from warpgrasp.inference import predict, predict_few
from warpgrasp.predictions import Predictions, open_predictions, read_predictions
from warpgrasp.reconstruction import Checkpoint, HandObjectNetwork, load_checkpoint
from warpgrasp.training import RunError

ARM_FILES = ("full", "photometric", "control")  # of the demo's folder
FINAL, FIRST = "weights", "stage1"
PREDICTIONS, SCORES = "evaluation.npz", "scores.json"  # in a run's folder
TRAINING_PREDICTIONS = "training.npz"
FORMAT = "warpgrasp-scores-2"


@dataclass(frozen=True)
class FinishedRun:
    """A run's folder, as `train`, `demo` or `reproduce` leave it."""

    folder: Path
    notes: dict[str, Any]  # run.json

    @staticmethod
    def read(folder: Path) -> "FinishedRun":
        """Read a run's notes. Raises `RunError` when the folder holds no run."""
        path = folder / "run.json"
        try:
            notes = read_json(path)
            recipe, data = notes["recipe"], notes["data"]
            _ = recipe["photometric"]["weight"], recipe["stage2"]["steps"], recipe["fraction"], data["protocol"]
            _ = notes["labels"]["annotated"]
        except FileNotFoundError as error:
            raise RunError(f"expected the folder of a run, found no {path}; train first") from error
        except (DataError, OSError, KeyError, TypeError) as error:
            raise RunError(f"expected the notes of a run in {path}, but they cannot be read: {error}") from error
        return FinishedRun(folder, notes)

    @property
    def protocol(self) -> str:
        """The splits of its data set, without those of added data."""
        return str(self.notes["data"]["protocol"]).partition("+")[0]

    @property
    def arm(self) -> str:
        """What the run's network is, in a comparison."""
        recipe = self.notes["recipe"]
        if recipe["stage2"]["steps"] == 0:
            return "full" if recipe["fraction"] == 1 else "stage 1"
        if recipe["photometric"]["weight"] > 0:
            return "photometric"
        return "full" if self.notes["labels"]["effective_fraction"] == 1 else "control"

    def weights(self) -> dict[str, Path]:
        """Its networks by arm. Raises `RunError` when none is finished."""
        files = [*((arm, arm) for arm in ARM_FILES), (self.arm, FINAL)]
        finished = {arm: self._file(stem) for arm, stem in files if self._file(stem).is_file()}
        if not finished:
            raise RunError(f"expected finished weights in {self.folder}, found none; go on with its training first")
        return finished

    def _file(self, stem: str) -> Path:
        return self.folder / f"{stem}.safetensors"

    def labels(self, dataset: Dataset) -> Labels:
        """Which of the data set's training frames were annotated."""
        chosen = self.notes["labels"]["annotated"]
        annotated, unannotated = {}, {}
        for sequence, frames in dataset.sequences["train"].items():
            labelled = set(chosen.get(sequence, ()))
            annotated[sequence] = tuple(index for index in frames if index in labelled)
            unannotated[sequence] = tuple(index for index in frames if index not in labelled)
        return Labels(annotated, unannotated)

    def stages(self) -> dict[str, Path]:
        """The networks along stage 2: its start, the snapshots that were kept, its end.

        Raises `RunError` for a run without a second stage, or whose start is not there.
        """
        final = next((path for stem in (FINAL, "photometric") if (path := self._file(stem)).is_file()), None)
        first = self._start()
        if final is None or first is None:
            raise RunError(
                f"expected a finished run of two stages in {self.folder}, found no "
                f"{'end' if final is None else 'start'} of stage 2"
            )
        snapshots = {
            f"{int(path.name.split('.step')[1].split('.')[0]):,} steps": path
            for path in sorted(self.folder.glob(f"{final.stem}.step*.safetensors"))
        }
        end = f"{self.notes['recipe']['stage2']['steps']:,} steps"
        snapshots.pop(end, None)
        return {"0 steps": first, **snapshots, end: final}

    def _start(self) -> Path | None:
        """Where stage 2 began: in its own folder, or in that of a job of `reproduce`, which its notes name."""
        named = self.notes.get("initial")
        path = self._file(FIRST) if named is None else self.folder.parent / str(named)
        return path if path.is_file() else None


def has_adaptation(weights: Path) -> bool:
    """Whether a network was trained with skeleton adaptation."""
    return load_checkpoint(weights).config.skeleton_adaptation


def predictions_for(weights: Path, dataset: Dataset, names: Sequence[FrameName]) -> Predictions:
    """A network's predictions of a few frames, in memory.

    Raises `CheckpointError` for frames of an object that the network does not know.
    """
    checkpoint = load_checkpoint(weights)
    checkpoint.check_objects([dataset.frame(name, annotated=False).object for name in names])
    return predict_few(_network(checkpoint, dataset), dataset.at_size(checkpoint.picture_size), names)


def predict_and_score(
    checkpoint: Checkpoint,
    dataset: Dataset,
    names: Sequence[FrameName],
    file: Path,
    *,
    groups: Mapping[str, Sequence[FrameName]],
    header: dict[str, Any],
    show_progress: bool = False,
) -> dict[str, Scores]:
    """Predict frames into `file` and score groups of them, by their names.

    A file that is there already is scored as it is, unless it is of other weights or of frames that have changed since.

    In camera space, without alignment, and in pixels on disk. Raises `CheckpointError` when the network does not know
    the objects of the evaluation split, and `EvaluationError` for a group with a frame that was not predicted.
    """
    inputs = {"weights_sha256": checkpoint.sha256, "input": fingerprint_of_frames(dataset, names)}
    header = {**header, **checkpoint.training, **inputs}
    if not holds_predictions(file, header):
        checkpoint.check_objects(dataset.objects("evaluation"))
        network, resized = _network(checkpoint, dataset), dataset.at_size(checkpoint.picture_size)
        predict(network, resized, names, file, header=header, show_progress=show_progress)
    predictions, on_disk = read_predictions(file)[0], dataset.at_size(None)
    return {group: score(predictions, on_disk, chosen) for group, chosen in groups.items()}


def holds_predictions(file: Path, header: Mapping[str, Any]) -> bool:
    """Whether a file is there whose header says the same; what an older one does not say is not asked for."""
    if not file.is_file():
        return False
    stated = open_predictions(file)[1]
    return all(stated.get(key, value) == value for key, value in header.items())


def _network(checkpoint: Checkpoint, dataset: Dataset) -> HandObjectNetwork:
    """The network of a checkpoint, in fp32, on a GPU where there is one."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return checkpoint.network(dataset.hand).to(device)


@dataclass(frozen=True)
class Scoring:
    """How networks are scored, beside what the data set's protocol says."""

    pixels: tuple[int, int] | None = None  # the (width, height) of pictures whose pixels are meant; None: on disk
    training: bool = False  # whether training frames are scored as well
    data: str | None = None  # a fingerprint of the frames that are scored; None where it decides nothing


@dataclass(frozen=True)
class NetworkScores:
    """What was measured of a network on the evaluation frames of its data set's protocol."""

    frames: int
    left_out: int  # without annotation
    values: dict[str, float]  # mean errors, and the aligned ones, by their documented names
    curves: dict[str, dict[str, list[float]]]  # PCK: `thresholds_px` and `shares`
    training: dict[str, list[float]]  # each training frame's errors, in the data set's order; empty unless asked for


def score_run(folder: Path, weights: Path, dataset: Dataset, scoring: Scoring) -> None:
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
    checkpoint, scale = load_checkpoint(weights), pixel_scale(dataset, annotated[0], scoring.pixels)
    errors = _score_split(checkpoint, dataset, "evaluation", annotated, folder / PREDICTIONS)
    predictions = read_predictions(folder / PREDICTIONS)[0]
    assessment = assess(predictions, dataset.at_size(None), annotated, contact=False, show_progress=False)
    further = {figure.name: figure.value for figure in assessment.figures if figure.value is not None}
    training: dict[str, list[float]] = {}
    if scoring.training:
        train_names, file = dataset.names("train"), folder / TRAINING_PREDICTIONS
        per_frame = _score_split(checkpoint, dataset, "train", train_names, file).per_frame
        training = {
            name: [round(_scaled(name, value, scale), 4) for value in values] for name, values in per_frame.items()
        }
    scores = NetworkScores(
        len(annotated),
        len(names) - len(annotated),
        {
            **{name: _scaled(name, value, scale) for name, value in errors.means.items()},
            # The others count in pixels on disk.
            **{name: value for name, value in further.items() if "_image_" not in name},
        },
        {
            curve.name: {"thresholds_px": list(curve.thresholds_px), "shares": list(curve.shares)}
            for curve in assessment.curves
        },
        training,
    )
    write_json(folder / SCORES, {**_header(scoring), "data": scoring.data, **asdict(scores)})


def _score_split(
    checkpoint: Checkpoint, dataset: Dataset, split: Split, scored: Sequence[FrameName], file: Path
) -> Scores:
    """Predict a split and score some of its frames."""
    header = {
        "hand": checkpoint.hand,
        "protocol": dataset.protocol,
        "split": split,
    }
    return predict_and_score(checkpoint, dataset, dataset.names(split), file, groups={split: scored}, header=header)[
        split
    ]


def _scaled(metric: str, value: float, scale: float) -> float:
    """An error in the pixels that are meant; other units stay."""
    return value * (scale if metric.endswith("_px") else 1)


def read_scores(folder: Path, scoring: Scoring) -> NetworkScores | None:
    """The scores of a run's folder; None when there are none yet, or scores of another kind."""
    path = folder / SCORES
    if not path.is_file():
        return None
    content = dict(read_json_object(path).values)
    header, data = _header(scoring), content.pop("data", None)
    if {key: content.pop(key, None) for key in header} != header:
        return None
    if None not in (data, scoring.data) and data != scoring.data:  # older scores do not tell
        return None
    try:
        return NetworkScores(**content)
    except TypeError as error:
        raise RunError(f"expected the scores of a run in {path}, found others: {error}; remove the file") from error


def picture_size(dataset: Dataset) -> tuple[int, int]:
    """(width, height) of the pictures on disk."""
    camera = dataset.at_size(None).frame(dataset.names("train")[0], annotated=False).camera
    return camera.width, camera.height


def pixel_scale(dataset: Dataset, name: FrameName, pixels: tuple[int, int] | None) -> float:
    """How many pixels of a picture of size `pixels` a pixel on disk is wide."""
    if pixels is None:
        return 1.0
    camera = dataset.at_size(pixels).frame(name, annotated=False).camera
    return float(camera.intrinsics[0, 0] / dataset.truth(name).intrinsics[0, 0])


def _header(scoring: Scoring) -> dict[str, Any]:
    pixels = None if scoring.pixels is None else list(scoring.pixels)
    return {"format": FORMAT, "pixels": pixels, "scored_training": scoring.training}
