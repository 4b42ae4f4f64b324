"""Finished trainings, read back from their folders: what was trained, on which labels, and what a network predicts."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from warpgrasp.data import Dataset, Labels
from warpgrasp.frame import FrameName
from warpgrasp.inference import Predictions, predict_few
from warpgrasp.reconstruction import Checkpoint, load_checkpoint
from warpgrasp.training.run import RunError

ARM_FILES = ("full", "photometric", "control")  # of the demo's folder
FINAL, FIRST = "weights", "stage1"


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
            notes = json.loads(path.read_text())
            recipe, data = notes["recipe"], notes["data"]
            _ = recipe["photometric"]["weight"], recipe["stage2"]["steps"], recipe["fraction"], data["protocol"]
            _ = notes["labels"]["annotated"]
        except FileNotFoundError as error:
            raise RunError(f"expected the folder of a run, found no {path}; train first") from error
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise RunError(f"expected the notes of a run in {path}, but they cannot be read: {error}") from error
        return FinishedRun(folder, notes)

    @property
    def protocol(self) -> str:
        """The splits of its data set, without what was added to it."""
        return str(self.notes["data"]["protocol"]).partition("+")[0]

    @property
    def arm(self) -> str:
        """What the run's network is, in a comparison."""
        recipe = self.notes["recipe"]
        if recipe["stage2"]["steps"] == 0:
            return "full" if recipe["fraction"] == 1 else "stage 1"
        return "control" if recipe["photometric"]["weight"] == 0 else "photometric"

    def weights(self) -> dict[str, Path]:
        """Its networks by arm. Raises `RunError` when none is finished."""
        files = [*((arm, arm) for arm in ARM_FILES), (self.arm, FINAL)]
        there = {arm: self._file(stem) for arm, stem in files if self._file(stem).is_file()}
        if not there:
            raise RunError(f"expected finished weights in {self.folder}, found none; go on with its training first")
        return there

    def _file(self, stem: str) -> Path:
        return self.folder / f"{stem}.safetensors"

    def labels(self, dataset: Dataset) -> Labels:
        """Which of the data set's training frames were annotated."""
        chosen = self.notes["labels"]["annotated"]
        annotated, unannotated = {}, {}
        for sequence, frames in dataset.sequences["train"].items():
            known = set(chosen.get(sequence, ()))
            annotated[sequence] = tuple(index for index in frames if index in known)
            unannotated[sequence] = tuple(index for index in frames if index not in known)
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


def predictions_for(weights: Path, dataset: Dataset, names: Sequence[FrameName]) -> Predictions:
    """What a network sees in a few frames, at the size of pictures that it was trained with."""
    checkpoint: Checkpoint = load_checkpoint(weights)
    size = (int(checkpoint.training["width"]), int(checkpoint.training["height"]))
    checkpoint.check_objects([dataset.frame(name, annotated=False).object for name in names])
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return predict_few(checkpoint.network(dataset.hand).to(device), dataset.at_size(size), names)


def has_adaptation(weights: Path) -> bool:
    """Whether a network was trained with skeleton adaptation."""
    return load_checkpoint(weights).config.skeleton_adaptation
