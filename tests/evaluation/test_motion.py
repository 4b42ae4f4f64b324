"""The motion between frames and their references."""

import math
from pathlib import Path

import numpy as np
import pytest

from warpgrasp.data.frames import choose_labels
from warpgrasp.data.ho3d.dataset import Ho3d
from warpgrasp.data.sample.sequence import surface_motion_px
from warpgrasp.evaluation.metrics import measure_motion
from warpgrasp.hand.model import HandModel


def test_a_known_translation(copied_root: Path, hand: HandModel) -> None:
    import pickle

    # Hand and object of frame 1 are those of frame 0, the camera moved so that everything lands 6 px right, 8 px lower:
    # a shift of the principal point moves every surface point by the same 10 px.
    folder = copied_root / "train" / "A1" / "meta"
    meta = pickle.loads((folder / "0000.pkl").read_bytes())  # noqa: S301 (our own file)
    meta["camMat"] = meta["camMat"] + np.array([[0, 0, 6.0], [0, 0, 8.0], [0, 0, 0]])
    (folder / "0001.pkl").write_bytes(pickle.dumps(meta, protocol=2))
    (copied_root / "train.txt").write_text("A1/0000\nA1/0001\n")
    dataset = Ho3d(copied_root, hand)
    labels = choose_labels(dataset.sequences["train"], fraction=1 / 2, sampling="paper")
    motion = measure_motion(dataset, labels, size=(320, 240))
    assert math.isclose(motion.median, 10, abs_tol=0.01)
    assert math.isclose(motion.p95, 10, abs_tol=0.02)


def test_without_unannotated_frames_there_is_none(sample_root: Path, hand: HandModel) -> None:
    dataset = Ho3d(sample_root, hand)
    labels = choose_labels(dataset.sequences["train"], fraction=1.0, sampling="paper")
    motion = measure_motion(dataset, labels, size=(320, 240))
    assert (motion.median, motion.p95) == (0, 0)


def test_it_agrees_with_the_generators_own_measure(sample, hand: HandModel, monkeypatch) -> None:
    # An independent way: points spread over the surfaces, seen through cells, instead of rendered flow.
    monkeypatch.setattr("warpgrasp.data.sample.sequence.LABEL_PERIOD", 8)
    dataset = Ho3d(sample.root, hand)
    sequences = {"A1": dataset.sequences["train"]["A1"]}
    labels = choose_labels(sequences, fraction=1 / 8, sampling="paper")
    motion = measure_motion(dataset, labels, size=(320, 240))
    # That measure counts surface area where this one counts pixels, so that only the medians are near each other.
    expected = np.median(surface_motion_px(sample.sequences["train"]["A1"]))
    assert motion.median == pytest.approx(expected, rel=0.15)
