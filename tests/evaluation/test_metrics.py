"""Metrics worked by hand; a frame that was not predicted is an error."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from warpgrasp.data.ho3d.dataset import Ho3d
from warpgrasp.evaluation.metrics import METRICS, EvaluationError, MeanPointError, evaluate, score
from warpgrasp.frame import FrameName
from warpgrasp.hand.model import HandModel
from warpgrasp.predictions.file import Predictions, write_predictions


def truth_as_predictions(dataset: Ho3d, names: list[FrameName]) -> Predictions:
    truths = [dataset.truth(name) for name in names]

    def stacked(field: str) -> np.ndarray:
        return np.stack([getattr(truth.annotation, field).numpy() for truth in truths])

    count = len(names)
    return Predictions(
        sequence=np.array([name.sequence for name in names]),
        index=np.array([name.index for name in names]),
        object_name=np.array([truth.object.name for truth in truths]),
        hand_vertices=stacked("hand_vertices"),
        hand_joints=stacked("hand_joints"),
        hand_rotation=np.tile(np.eye(3, dtype=np.float32), (count, 1, 1)),
        hand_translation=np.zeros((count, 3), np.float32),
        hand_pose=np.zeros((count, 15), np.float32),
        hand_shape=np.zeros((count, 10), np.float32),
        object_rotation=stacked("object_rotation"),
        object_translation=stacked("object_translation"),
    )


def test_mean_point_error_by_hand() -> None:
    metric = MeanPointError()
    # Distances 3-4-5 and 0: mean 2.5. Then 1 and 2 with the second left out: 1. The mean over frames: 1.75.
    metric.update(torch.tensor([[[3.0, 4], [0, 0]]]), torch.zeros(1, 2, 2))
    metric.update(torch.tensor([[[1.0, 0], [0, 2]]]), torch.zeros(1, 2, 2), torch.tensor([[True, False]]))
    assert metric.compute() == 1.75
    with pytest.raises(EvaluationError, match="at least one frame"):
        MeanPointError().compute()


def test_the_truth_scores_zero(sample_root: Path, hand: HandModel) -> None:
    dataset = Ho3d(sample_root, hand)
    names = dataset.names("train")[::4] + dataset.names("evaluation")
    means = score(truth_as_predictions(dataset, names), dataset, names).means
    assert tuple(means) == METRICS
    assert all(value == 0 for value in means.values())


def test_a_file_is_scored_on_the_annotated_frames_of_its_split(
    sample_root: Path, hand: HandModel, tmp_path: Path
) -> None:
    dataset, file = Ho3d(sample_root, hand), tmp_path / "p.npz"
    names = dataset.names("train")
    moved = truth_as_predictions(dataset, names)
    moved = replace(moved, hand_joints=moved.hand_joints + np.array([0, 0, 0.002], np.float32))
    write_predictions(file, moved, {"split": "train"})
    for scores in (evaluate(file, dataset), evaluate(str(file), dataset), evaluate(moved.rows(slice(3)), dataset)):
        assert scores.means["hand_joint_error_mm"] == pytest.approx(2, abs=1e-3)
        assert scores.means["object_vertex_error_mm"] == 0
    assert evaluate(file, dataset).names == names
    assert evaluate(moved.rows(slice(3)), dataset).names == names[:3]
    write_predictions(file, moved.rows(slice(1, None)), {"split": "train"})
    with pytest.raises(EvaluationError, match=r"missing 1, the first A1/0000"):
        evaluate(file, dataset)
    with pytest.raises(EvaluationError, match=r"expected predictions of annotated frames of .*, got none to score"):
        evaluate(moved.rows(slice(0)), dataset)


def test_known_displacements_score_what_they_are(sample_root: Path, hand: HandModel) -> None:
    dataset = Ho3d(sample_root, hand)
    names = dataset.names("evaluation")
    exact = truth_as_predictions(dataset, names)
    # Hand and object 12 mm to the right: 12 mm, and f·12 mm/Z px for each point (f = 307 px).
    shift = np.array([0.012, 0, 0], np.float32)
    moved = replace(exact, hand_joints=exact.hand_joints + shift, object_translation=exact.object_translation + shift)
    scores = score(moved, dataset, names)
    for metric in ("hand_joint_error_mm", "object_vertex_error_mm", "object_corner_error_mm"):
        np.testing.assert_allclose(scores.per_frame[metric], 12.0, rtol=1e-4)
    expected = (307 * 0.012 / exact.hand_joints[..., 2]).mean(axis=1)
    np.testing.assert_allclose(scores.per_frame["hand_joint_error_px"], expected, rtol=1e-3)


def test_a_turned_object_moves_its_corners_more_than_its_centre(sample_root: Path, hand: HandModel) -> None:
    dataset = Ho3d(sample_root, hand)
    names = dataset.names("train")[:1]
    exact = truth_as_predictions(dataset, names)
    # Half a turn about its own z: each corner (x, y, z) moves by twice its distance from that axis.
    half = np.diag([-1.0, -1.0, 1.0]).astype(np.float32)
    turned = replace(exact, object_rotation=exact.object_rotation @ half)
    corners = dataset.truth(names[0]).object.corners.numpy()
    expected = 1000 * 2 * np.linalg.norm(corners[:, :2], axis=1).mean()
    scores = score(turned, dataset, names)
    np.testing.assert_allclose(scores.means["object_corner_error_mm"], expected, rtol=1e-4)
    assert scores.means["hand_joint_error_mm"] == 0


def test_a_missing_frame_is_an_error(sample_root: Path, hand: HandModel) -> None:
    dataset = Ho3d(sample_root, hand)
    names = dataset.names("evaluation")
    exact = truth_as_predictions(dataset, names)
    fewer = exact.rows(slice(-1))
    with pytest.raises(EvaluationError, match=r"each of 4 frames, missing 1, the first E1/0003"):
        score(fewer, dataset, names)


def test_means_of_frames_not_of_points() -> None:
    metric = MeanPointError()
    metric.update(torch.tensor([[[1.0]]]), torch.zeros(1, 1, 1))
    metric.update(torch.tensor([[[3.0], [3.0], [3.0]]]), torch.zeros(1, 3, 1))
    assert metric.compute() == 2.0
