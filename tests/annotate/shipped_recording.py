"""A shipped sequence as a recording to annotate: pictures in which a detector sees the hand."""

from pathlib import Path

import numpy as np

from warpgrasp.data import Dataset, open_dataset
from warpgrasp.data.sample import unpack_shipped
from warpgrasp.export.datasets import RecordingOptions, export_recording
from warpgrasp.hand import HandModel

SEQUENCE = "MB2"


def shipped_dataset(folder: Path, hand: HandModel) -> Dataset:
    """The shipped data set, unpacked."""
    return open_dataset(unpack_shipped(folder), hand)


def shipped_recording(dataset: Dataset, folder: Path, *, labels: tuple[int, ...]) -> Path:
    """A sequence of 60 frames of 320×240, some of them labelled by their joints."""
    export_recording(dataset, "train", SEQUENCE, folder, RecordingOptions(labels, pictures="frames"))
    return folder


def true_joints(dataset: Dataset, number: int) -> np.ndarray:
    """The 21 joints in a frame of the sequence, in camera space (metres)."""
    return _truth(dataset, number).hand_joints.numpy()


def true_centre(dataset: Dataset, number: int) -> np.ndarray:
    """The centre of the object's bounding box there."""
    return _truth(dataset, number).object_translation.numpy()


def _truth(dataset: Dataset, number: int):
    names = [name for name in dataset.names("train") if name.sequence == SEQUENCE]
    return dataset.truth(names[number]).annotation
