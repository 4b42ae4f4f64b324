"""Errors of a network while it trains, for the curves. They decide nothing: the last checkpoint is the result."""

from collections.abc import Sequence
from dataclasses import dataclass

from warpgrasp.data import Dataset
from warpgrasp.evaluation.metrics import score
from warpgrasp.frame import FrameName
from warpgrasp.inference import predict_few
from warpgrasp.reconstruction import HandObjectNetwork
from warpgrasp.training.loop import Training

FRAMES = 48  # of each group, evenly chosen


@dataclass(frozen=True)
class Measuring:
    """A few frames of each group."""

    dataset: Dataset  # at the size that the network sees
    groups: dict[str, list[FrameName]]

    @staticmethod
    def of(training: Training) -> "Measuring":
        """Annotated, never-annotated and evaluation frames, as far as their truth is known on disk."""
        labels, dataset = training.labels, training.source.dataset
        names = {
            "annotated": labels.annotated_names,
            "unannotated": labels.unannotated_names,
            "evaluation": dataset.names("evaluation"),
        }
        return Measuring(dataset, {group: _some_known(dataset, found) for group, found in names.items()})

    def __call__(self, network: HandObjectNetwork) -> dict[str, float]:
        """Mean errors by `group/metric`. The network is left in evaluation mode."""
        found = {}
        on_disk = self.dataset.at_size(None)
        for group, names in self.groups.items():
            if names:
                means = score(predict_few(network, self.dataset, names), on_disk, names).means
                found |= {f"{group}/{metric}": value for metric, value in means.items()}
        return found


def _some_known(dataset: Dataset, names: Sequence[FrameName]) -> list[FrameName]:
    """At most so many frames, evenly spread, without those that have no truth."""
    step = max(1, -(-len(names) // FRAMES))
    return [name for name in names[::step] if dataset.is_annotated(name)]
