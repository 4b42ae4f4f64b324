"""A network looked at while it trains: errors for the curves, and what the photometric term compares.

They decide nothing: the last checkpoint is the result.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import UInt8

from warpgrasp.data import Dataset, Labels
from warpgrasp.evaluation import score
from warpgrasp.frame import FrameName
from warpgrasp.inference import predict_few
from warpgrasp.reconstruction import HandObjectNetwork
from warpgrasp.report import Window, choose_frames, compare_pair, labels_of, pixels_of, predicted_scene
from warpgrasp.scene import Scene
from warpgrasp.training.loop import Training
from warpgrasp.training.tracking import Measured

FRAMES = 48  # of each group, evenly chosen
SHOWN = 2


@dataclass(frozen=True)
class Measuring:
    """A few frames of each group."""

    dataset: Dataset  # at the size that the network sees
    groups: dict[str, list[FrameName]]
    labels: Labels
    shown: list[FrameName]  # unannotated frames, near to their label and far from it

    @staticmethod
    def of(training: Training) -> "Measuring":
        """Annotated, never-annotated and evaluation frames, as far as their truth is known on disk."""
        labels, dataset = training.labels, training.source.dataset
        names = {
            "annotated": labels.annotated_names,
            "unannotated": labels.unannotated_names,
            "evaluation": dataset.names("evaluation"),
        }
        groups = {group: _some_known(dataset, found) for group, found in names.items()}
        return Measuring(dataset, groups, labels, choose_frames(_paired(labels), {}, training_count=SHOWN))

    def __call__(self, network: HandObjectNetwork) -> Measured:
        """Mean errors by `group/metric`, and pictures. The network is left in evaluation mode."""
        found = {}
        on_disk = self.dataset.at_size(None)
        for group, names in self.groups.items():
            if names:
                means = score(predict_few(network, self.dataset, names), on_disk, names).means
                found |= {f"{group}/{metric}": value for metric, value in means.items()}
        return Measured(found, {f"warp/{name}": self._warp(network, name) for name in self.shown})

    def _warp(self, network: HandObjectNetwork, name: FrameName) -> UInt8[np.ndarray, "h w 3"]:
        """The labelled reference, the frame warped to it by what is predicted, and the residual, side by side."""
        on_disk = self.dataset.at_size(None)
        predicted = predicted_scene(on_disk, predict_few(network, self.dataset, [name]), name)
        frame = on_disk.frame(name, annotated=False)
        reference = on_disk.frame(self.labels.reference(name), annotated=True)
        assert reference.annotation is not None
        known = Scene.annotated(on_disk.hand, reference.annotation, reference.object)
        window = Window.around(labels_of(known, reference.camera) > 0, margin=0.15)
        compared = compare_pair(frame, predicted, reference, known, window)
        return pixels_of(torch.cat([window.of(reference.image), compared.warped, compared.residual], dim=2))


def _paired(labels: Labels) -> Labels:
    """Without the sequences that have no annotated frame."""
    return replace(
        labels,
        unannotated={sequence: rest for sequence, rest in labels.unannotated.items() if labels.annotated[sequence]},
    )


def _some_known(dataset: Dataset, names: Sequence[FrameName]) -> list[FrameName]:
    """At most so many frames, evenly spread, without those that have no truth."""
    step = max(1, -(-len(names) // FRAMES))
    return [name for name in names[::step] if dataset.is_annotated(name)]
