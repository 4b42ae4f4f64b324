"""The further figures of known predictions, and what `evaluate` prints and writes."""

import json
import re
import zipfile
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tests.evaluation.test_metrics import truth_as_predictions
from warpgrasp.cli import main
from warpgrasp.data.ho3d.dataset import Ho3d
from warpgrasp.evaluation.assessment import Assessment, assess
from warpgrasp.evaluation.ho3d import OfficialScores
from warpgrasp.evaluation.metrics import EvaluationError, FrameMean, score
from warpgrasp.hand.model import HandModel
from warpgrasp.predictions.file import Predictions, write_predictions

PERFECT = re.compile(r"_(auc|share)(_|$)")
HAND = (
    "hand_joint_pck_auc_camera_50mm",
    "hand_joint_pck_auc_camera_500mm",
    "hand_joint_error_wrist_relative_mm",
    "hand_joint_pck_auc_wrist_relative_50mm",
    "hand_joint_error_middle_base_relative_mm",
    "hand_joint_pck_auc_middle_base_relative_200mm",
    "hand_joint_error_procrustes_mm",
    "hand_joint_pck_auc_procrustes_50mm",
    "hand_vertex_error_camera_mm",
    "hand_vertex_error_procrustes_mm",
    "hand_joint_pck_auc_image_100px",
    "hand_joint_frame_pck_auc_image_100px",
    "hand_joint_acceleration_error_camera_mm_per_frame2",
)
OBJECT = (
    "object_add_camera_mm",
    "object_add_s_camera_mm",
    "object_add_0.1d_camera_share",
    "object_corner_pck_auc_image_100px",
    "object_corner_frame_pck_auc_image_100px",
    "object_vertex_frame_pck_auc_image_100px",
    "object_corner_acceleration_error_camera_mm_per_frame2",
)
CONTACT = ("penetration_depth_camera_mm", "intersection_volume_camera_cm3", "contact_5mm_camera_share")


def values(assessment: Assessment) -> dict[str, float | None]:
    return {figure.name: figure.value for figure in assessment.figures}


@pytest.fixture
def dataset(sample_root: Path, hand: HandModel) -> Ho3d:
    return Ho3d(sample_root, hand)


@pytest.fixture
def perfect(dataset: Ho3d) -> Predictions:
    return truth_as_predictions(dataset, dataset.names("evaluation"))


def test_the_truth_is_perfect(dataset: Ho3d, perfect: Predictions) -> None:
    found = assess(perfect, dataset, dataset.names("evaluation"), contact=False)
    assert tuple(values(found)) == HAND + OBJECT
    for name, value in values(found).items():
        assert value is not None
        if PERFECT.search(name):
            assert 1 - 0.5 / 99 - 1e-9 <= value <= 1, name  # at threshold 0 rounding, or "below", counts
        else:
            assert value == pytest.approx(0, abs=1e-4), name


def test_a_shift_is_seen_in_camera_space_alone(dataset: Ho3d, perfect: Predictions) -> None:
    shift = np.array([0.012, 0, 0], np.float32)
    moved = replace(
        perfect,
        hand_joints=perfect.hand_joints + shift,
        hand_vertices=perfect.hand_vertices + shift,
        object_translation=perfect.object_translation + shift,
    )
    found = values(assess(moved, dataset, dataset.names("evaluation"), contact=False))
    assert found["hand_vertex_error_camera_mm"] == pytest.approx(12, rel=1e-4)
    assert found["object_add_camera_mm"] == pytest.approx(12, rel=1e-4)
    assert found["object_add_camera_mm"] == pytest.approx(
        score(moved, dataset, dataset.names("evaluation")).means["object_vertex_error_mm"], rel=1e-5
    )
    assert 0 < found["object_add_s_camera_mm"] < 12
    assert found["object_add_0.1d_camera_share"] == 1  # of a bottle 190 mm long
    assert found["hand_joint_pck_auc_camera_50mm"] == pytest.approx(1 - 12 / 50, abs=0.01)
    assert found["hand_joint_pck_auc_camera_500mm"] == pytest.approx(1 - 0.5 / 19, abs=1e-6)  # 12 mm < the first step
    for alignment in ("wrist_relative", "middle_base_relative", "procrustes"):
        assert found[f"hand_joint_error_{alignment}_mm"] == pytest.approx(0, abs=1e-3)
    assert found["hand_vertex_error_procrustes_mm"] == pytest.approx(0, abs=1e-3)
    for points in ("hand_joint", "object_corner"):
        assert found[f"{points}_acceleration_error_camera_mm_per_frame2"] == pytest.approx(0, abs=1e-3)


def test_a_turn_about_the_wrist_is_seen_until_procrustes(dataset: Ho3d, perfect: Predictions) -> None:
    wrist, turn = perfect.hand_joints[:, :1], Rotation.from_rotvec([0, 0, 0.2]).as_matrix().astype(np.float32)
    turned = replace(perfect, hand_joints=(perfect.hand_joints - wrist) @ turn.T + wrist)
    found = values(assess(turned, dataset, dataset.names("evaluation"), contact=False))
    expected = 1000 * np.linalg.norm(turned.hand_joints - perfect.hand_joints, axis=-1).mean()
    assert found["hand_joint_error_wrist_relative_mm"] == pytest.approx(expected, rel=1e-4)
    assert found["hand_joint_error_middle_base_relative_mm"] != pytest.approx(expected, rel=0.01)
    assert found["hand_joint_error_procrustes_mm"] == pytest.approx(0, abs=1e-3)


def test_frames_of_fig_5(dataset: Ho3d, perfect: Predictions) -> None:
    """One of four frames thrown far aside, the others 12 mm: shares of frames, not of joints."""
    shift = np.array([[[0.012, 0, 0]]] * 3 + [[[3.0, 0, 0]]], np.float32)
    moved = replace(perfect, hand_joints=perfect.hand_joints + shift)
    found = assess(moved, dataset, dataset.names("evaluation"), contact=False)
    curve = next(one for one in found.curves if one.name == "hand_joint_frame_pck_image")
    errors = score(moved, dataset, dataset.names("evaluation")).per_frame["hand_joint_error_px"]
    expected = [sum(error < threshold for error in errors) / 4 for threshold in np.linspace(0, 100, 100)]
    assert list(curve.shares) == expected
    assert expected[0] == 0
    assert expected[-1] == 0.75
    assert [one.name for one in found.curves] == [
        "hand_joint_frame_pck_image",
        "object_corner_frame_pck_image",
        "object_vertex_frame_pck_image",
    ]


def test_frames_without_neighbours_are_counted(dataset: Ho3d, perfect: Predictions) -> None:
    names = dataset.names("evaluation")
    for chosen, frames, left_out in ((names, 2, 2), ([names[0], names[1], names[3]], 0, 3)):
        found = assess(perfect, dataset, chosen, contact=False)
        figure = next(one for one in found.figures if one.name.startswith("hand_joint_acceleration"))
        assert (figure.frames, figure.left_out) == (frames, left_out)
        assert (figure.value is None) == (frames == 0)


def test_another_hand_has_no_corresponding_vertices(dataset: Ho3d, perfect: Predictions) -> None:
    fewer = replace(perfect, hand_vertices=perfect.hand_vertices[:, :100])
    found = assess(fewer, dataset, dataset.names("evaluation"), contact=False)
    figure = next(one for one in found.figures if one.name == "hand_vertex_error_camera_mm")
    assert (figure.value, figure.frames, figure.left_out) == (None, 0, 4)
    with pytest.raises(EvaluationError, match=r"the hand open-hand right .* found 100 vertices"):
        assess(fewer, dataset, dataset.names("evaluation"), contact=True)


def test_contact_follows_the_object(dataset: Ho3d, perfect: Predictions) -> None:
    names = dataset.names("evaluation")
    apart = replace(perfect, object_translation=perfect.object_translation + np.array([1, 0, 0], np.float32))
    assert [values(assess(apart, dataset, names, contact=True))[name] for name in CONTACT] == [0, 0, 0]
    palm = perfect.hand_vertices.mean(axis=1)
    within = assess(replace(perfect, object_translation=palm), dataset, names, contact=True)
    found = values(within)
    assert tuple(found) == HAND + OBJECT + CONTACT
    assert found["contact_5mm_camera_share"] == 1
    assert 5 < found["penetration_depth_camera_mm"] < 60
    assert 10 < found["intersection_volume_camera_cm3"] < 200
    assert within.open_objects == []


def test_the_mean_over_frames_counts_what_it_leaves_out() -> None:
    metric = FrameMean()
    for value in (1.0, None, 4.0):
        metric.add(value)
    assert (metric.compute(), metric.left_out) == (2.5, 1)
    empty = FrameMean()
    empty.add(None)
    with pytest.raises(EvaluationError, match=r"got none \(1 left out\)"):
        empty.compute()


@pytest.fixture
def file(perfect: Predictions, tmp_path: Path) -> Path:
    path = tmp_path / "p.npz"
    write_predictions(path, perfect, {"split": "evaluation"})
    return path


def test_evaluate_with_everything(file: Path, sample_root: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    submission, out = tmp_path / "pred.zip", tmp_path / "scores.json"
    command = ["evaluate", str(file), "--data", str(sample_root), "--out", str(out)]
    assert main([*command, "--contact", "--ho3d-official", "--submission", str(submission)]) == 0
    page = capsys.readouterr().out
    assert re.search(r"hand joint acceleration error camera mm per frame2 .* 2 \(2 left out\)", page)
    assert re.search(r"f_al_score_15 .* 1\.000000", page)
    assert "wrote 4 frames to" in page
    stored = json.loads(out.read_text())
    assert tuple(one["name"] for one in stored["figures"]) == HAND + OBJECT + CONTACT
    assert list(stored["ho3d_official"]) == [one.name for one in fields(OfficialScores)]
    assert stored["ho3d_official"]["mesh_mean3d"] < 1e-4
    assert stored["scores_alignment"] == "camera space, none"
    assert len(stored["curves"][0]["shares"]) == 100
    with zipfile.ZipFile(submission) as archive:
        assert archive.namelist() == ["pred.json"]
    capsys.readouterr()
    assert main([*command, "--submission", str(submission)]) == 1
    assert "pred.zip exists already; overwrite it by --force" in capsys.readouterr().err
    assert main([*command, "--submission", str(submission), "--force"]) == 0


def test_evaluate_without_them(file: Path, sample_root: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "scores.json"
    assert main(["evaluate", str(file), "--data", str(sample_root), "--out", str(out)]) == 0
    assert "penetration" not in capsys.readouterr().out
    stored = json.loads(out.read_text())
    assert "ho3d_official" not in stored
    assert tuple(one["name"] for one in stored["figures"]) == HAND + OBJECT


def test_the_official_figures_of_another_split_are_refused(
    dataset: Ho3d, sample_root: Path, tmp_path: Path, capsys
) -> None:
    file, out = tmp_path / "train.npz", tmp_path / "pred.zip"
    write_predictions(file, truth_as_predictions(dataset, dataset.names("train")), {"split": "train"})
    for option in (["--ho3d-official"], ["--submission", str(out)]):
        assert main(["evaluate", str(file), "--data", str(sample_root), *option]) == 1
        message = capsys.readouterr().err
        assert "each of the 4 frames of HO-3D's evaluation split, missing 4, the first E1/0000" in message
    assert not out.exists()


def test_scores_txt_reads_as_the_scripts() -> None:
    scores = OfficialScores(*(float(number) for number in range(14)))
    lines = scores.text().splitlines()
    assert lines[:2] == ["xyz_mean3d: 0.000000", "xyz_auc3d: 1.000000"]
    assert lines[-1] == "f_al_score_15: 13.000000"
    units = [scores.unit(name) for name in asdict(scores)]
    assert units == ["cm", "1"] * 5 + ["1"] * 4
