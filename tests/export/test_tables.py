"""CSV, JSON and BOP files, read again by NumPy and SciPy alone: what they say poses the hand and places the mesh."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from tests.export.predicted_sequences import predictions_by, sequence_of
from tests.footage_files import BOX_FACES, BOX_M
from tests.hand.templates import small_template
from tests.oracles.skinning import skin
from warpgrasp.export.datasets import write_bop
from warpgrasp.export.sequence import PredictedSequence, SequenceError
from warpgrasp.export.tables import COLUMNS, parameter_rows, write_csv, write_json
from warpgrasp.frame import ObjectModel
from warpgrasp.hand.model import JOINTS, HandModel
from warpgrasp.hand.templates import open_hand

TOLERANCE_M = 1e-5
OPENGL = (1.0, -1.0, -1.0)


def hand_of(kind: str) -> HandModel:
    if kind == "with correctives":
        return HandModel(small_template())
    return HandModel(open_hand("left" if kind == "left" else "right"))


def read_json(sequence: PredictedSequence, path: Path) -> list[dict[str, np.ndarray]]:
    """The vectors of each frame."""
    write_json(sequence, path)
    frames = json.loads(path.read_text())["frames"]
    return [{name: np.array(frame[name]) for name in COLUMNS} for frame in frames]


def read_csv(sequence: PredictedSequence, path: Path) -> list[dict[str, np.ndarray]]:
    """The same from the columns, whose names end before the bracket that says what they are."""
    write_csv(sequence, path)
    with path.open(newline="") as file:
        head, *rows = csv.reader(file)
    names = [cell.partition(" [")[0] for cell in head]
    frames = []
    for row in rows:
        cells = dict(zip(names, row, strict=True))
        frames.append(
            {
                name: np.array([float(cell) for key, cell in cells.items() if key.startswith(name)])
                for name in COLUMNS
                if name != "hand_joints"
            }
        )
        joints = [[float(cells[f"{joint}_{axis}"]) for axis in "xyz"] for joint in JOINTS]
        frames[-1]["hand_joints"] = np.array(joints)
    return frames


READERS = {"json": read_json, "csv": read_csv}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", ["right", "left", "with correctives"])
def test_the_numbers_pose_the_named_hand_again(kind: str, reader: str, tmp_path: Path) -> None:
    hand = hand_of(kind)
    predictions = predictions_by(hand, count=2)
    frames = READERS[reader](sequence_of(hand, predictions), tmp_path / "file")
    for row, frame in enumerate(frames):
        assert frame["hand_pose"].shape == (45,)
        vertices, _ = skin(hand.template, frame["hand_rotation"], frame["hand_pose"], frame["hand_shape"])
        found = vertices + frame["hand_translation"]
        np.testing.assert_allclose(found, predictions.hand_vertices[row], atol=TOLERANCE_M)
        np.testing.assert_allclose(frame["hand_joints"], predictions.hand_joints[row], atol=1e-7)


def test_the_file_says_what_its_numbers_are(hand: HandModel, tmp_path: Path) -> None:
    sequence = sequence_of(hand, predictions_by(hand))
    write_json(sequence, tmp_path / "a.json")
    content: dict[str, Any] = json.loads((tmp_path / "a.json").read_text())
    assert content["format"] == "warpgrasp-parameters-2"
    assert content["hand_model"] == "open-hand right"
    assert content["joints"] == list(JOINTS)
    assert content["pose_joints"][:4] == ["index_1", "index_2", "index_3", "middle_1"]
    numbers = {name for name, value in content["frames"][0].items() if isinstance(value, list | float)} - {"flags"}
    assert numbers == set(content["columns"]) == set(COLUMNS)
    assert content["columns"]["object_translation"] == {
        "unit": "m",
        "axes": "camera axes",
        "reference": "position of the mesh file's own origin",
    }
    write_csv(sequence, tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(newline="") as file:
        head = next(csv.reader(file))
    assert len(head) == 4 + 3 + 3 + 45 + 10 + 63 + 1 + 6
    assert [cell for cell in head if "[" not in cell] == ["sequence", "frame", "time_s", "flags", "object"]
    assert "hand_translation_x [m; camera axes; added to the vertices of the posed hand model]" in head
    assert "hand_pose_thumb_3_z [rad; axes of the rest pose; axis-angle of each joint from the rest pose]" in head
    assert "little_tip_y [m; camera axes; positions of the joints as predicted]" in head
    # The section of the documentation names them all.
    page = (Path(__file__).parents[2] / "docs" / "own_video.md").read_text()
    section = page.partition("### The numbers")[2].partition("\n## ")[0]
    for name, column in COLUMNS.items():
        line = next(line for line in section.splitlines() if line.startswith(f"| `{name}`"))
        assert f"| {column.unit} |" in line


@pytest.mark.parametrize("axes", [(1.0, 1.0, 1.0), OPENGL])
def test_poses_are_of_the_mesh_files_own_coordinates(
    hand: HandModel, tmp_path: Path, axes: tuple[float, float, float]
) -> None:
    """A mesh far from its origin, as it stands in its file (metres), and as the data set turns it."""
    in_file = BOX_M + np.array([0.1, 0.02, -0.3])
    model = ObjectModel.centred("box", torch.tensor(in_file * axes).float(), torch.tensor(BOX_FACES), axes)
    predictions = predictions_by(hand)
    sequence = PredictedSequence("A", predictions, np.arange(3), hand, model)
    local = (in_file - (in_file.min(axis=0) + in_file.max(axis=0)) / 2) * axes
    write_bop(sequence, tmp_path / "bop.csv", scene=1, object_number=1)
    with (tmp_path / "bop.csv").open(newline="") as file:
        poses = list(csv.DictReader(file))
    tables = [READERS[reader](sequence, tmp_path / reader) for reader in READERS]
    for row in range(3):
        expected = local @ predictions.object_rotation[row].T + predictions.object_translation[row]
        rotation = np.array(poses[row]["R"].split(), float).reshape(3, 3)
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-8)
        translation_mm = np.array(poses[row]["t"].split(), float)
        np.testing.assert_allclose(1000 * in_file @ rotation.T + translation_mm, 1000 * expected, atol=1e-3)
        for table in tables:
            rotation = Rotation.from_rotvec(table[row]["object_rotation"]).as_matrix()
            found = in_file @ rotation.T + table[row]["object_translation"]
            np.testing.assert_allclose(found, expected, atol=1e-6)


def test_half_turns_survive(hand: HandModel, tmp_path: Path) -> None:
    axes = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.6, 0.8, 0], [-0.48, 0.6, 0.64], [1e-4, 1, 0]])
    vectors = np.concatenate([axes * (np.pi - below) for below in (0, 1e-7, 1e-3)])
    predictions = predictions_by(hand, count=len(vectors))
    predictions.object_rotation[:] = Rotation.from_rotvec(vectors).as_matrix()
    sequence = sequence_of(hand, predictions)
    write_bop(sequence, tmp_path / "bop.csv", scene=1, object_number=1)
    with (tmp_path / "bop.csv").open(newline="") as file:
        found = [np.array(row["R"].split(), float).reshape(3, 3) for row in csv.DictReader(file)]
    np.testing.assert_allclose(found, predictions.object_rotation, atol=1e-6)
    rows = [Rotation.from_rotvec(row["object_rotation"]).as_matrix() for row in parameter_rows(sequence)]
    np.testing.assert_allclose(rows, predictions.object_rotation, atol=1e-4)


def test_parameters_of_another_hand_are_not_written(hand: HandModel) -> None:
    predictions = predictions_by(hand)
    predictions.hand_vertices[1, 5] += [0, 0.01, 0]
    with pytest.raises(SequenceError, match=r"expected vertices of the hand open-hand right .*some 10 mm beside those"):
        list(parameter_rows(sequence_of(hand, predictions)))


def test_the_distance_from_the_keypoints_where_it_was_measured(hand: HandModel, tmp_path: Path) -> None:
    predictions = predictions_by(hand)
    distance_px = np.full(len(predictions), np.nan, np.float32)
    distance_px[1] = 2.5
    sequence = sequence_of(hand, replace(predictions, keypoint_distance_px=distance_px))
    write_json(sequence, tmp_path / "a.json")
    content = json.loads((tmp_path / "a.json").read_text())
    assert [frame["keypoint_distance_px"] for frame in content["frames"][:2]] == [None, 2.5]
    assert content["columns"]["keypoint_distance_px"]["unit"] == "px"
    write_csv(sequence, tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(newline="") as file:
        head, *rows = csv.reader(file)
    assert head[-1] == "keypoint_distance_px"
    assert [row[-1] for row in rows[:2]] == ["", "2.5"]
    assert "keypoint_distance_px" not in next(parameter_rows(sequence_of(hand, predictions)))
