"""What is in the hand goes with it, and what leaving it costs, against values worked by hand."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch.testing import assert_close

from warpgrasp.data import open_dataset
from warpgrasp.data.recording import Recording, label_of_pose, write_annotations
from warpgrasp.export import RecordingOptions, export_recording
from warpgrasp.frame import ObjectModel, Pose
from warpgrasp.geometry import matrix_from_axis_angle
from warpgrasp.hand import HandModel
from warpgrasp.predictions import predictions_of_pose
from warpgrasp.refinement.labels import HeldObject, between_labels, labelled_poses, poses_of_predictions

CORNERS = torch.tensor([[0.0, 0, 0], [0.1, 0, 0], [0, 0.1, 0], [0, 0, 0.1]])
MODEL = ObjectModel.centred("wedge", CORNERS, torch.tensor([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]))
TIMES = np.arange(5.0)


def label(hand: HandModel, *, turn: float = 0.0, away_m: float = 0.0) -> Pose:
    """A hand whose wrist lies in the object's centre, `away_m` beside it."""
    return Pose(
        torch.eye(3)[None],
        torch.tensor([[away_m, 0.0, 0.5]]),
        matrix_from_axis_angle(torch.tensor([[0.0, 0.0, turn]])),
        torch.tensor([[0.0, 0.0, 0.5]]),
        hand.mean_pose[None].clone(),
        torch.zeros(1, hand.shape_count),
    )


def repeated(pose: Pose, count: int) -> Pose:
    return pose.rows(torch.zeros(count, dtype=torch.long))


def test_the_object_goes_with_the_hand_that_holds_it(hand: HandModel) -> None:
    held = label(hand)
    grasp = HeldObject.of({1: held}, TIMES, hand, MODEL)
    quarter = matrix_from_axis_angle(torch.tensor([0.0, 0.0, math.pi / 2]))
    poses = replace(
        repeated(held, 5),
        hand_rotation=quarter.expand(5, 3, 3),
        wrist=torch.tensor([0.02, 0.03, 0.6]).expand(5, 3),
        object_centre=torch.full((5, 3), 9.0),
    )
    carried = grasp.carried(poses)
    for row in (0, 2, 3, 4):
        assert_close(carried.object_rotation[row], quarter)
        assert_close(carried.object_centre[row], torch.tensor([0.02, 0.03, 0.6]))
    assert carried.object_centre[1].tolist() == [9, 9, 9]  # the label stays


def test_how_it_is_held_passes_evenly_from_label_to_label(hand: HandModel) -> None:
    grasp = HeldObject.of({0: label(hand), 4: label(hand, turn=0.4)}, TIMES, hand, MODEL)
    expected = [matrix_from_axis_angle(torch.tensor([0.0, 0.0, -0.1 * frame])) for frame in range(5)]
    assert_close(grasp.rotation, torch.stack(expected), rtol=0, atol=1e-6)


def test_an_object_that_no_label_nearby_holds_stays(hand: HandModel) -> None:
    grasp = HeldObject.of({0: label(hand), 4: label(hand, away_m=0.5)}, TIMES, hand, MODEL)
    assert grasp.held.tolist() == [True, True, True, False, False]
    poses = replace(repeated(label(hand), 5), object_centre=torch.full((5, 3), 9.0))
    carried = grasp.carried(poses)
    assert carried.object_centre[:, 0].tolist() == pytest.approx([9, 0, 0, 9, 9])  # the first is a label
    assert grasp.cost(poses)[3:].tolist() == [0, 0]
    assert grasp.rows(slice(2, 4)).held.tolist() == [True, False]


@pytest.mark.parametrize(("slid_m", "rolled_rad", "square"), [(0.01, 0.0, 1.0), (0.0, 0.1, 1.0), (0.02, 0.1, 5.0)])
def test_what_it_costs_to_slide_and_to_roll(hand: HandModel, slid_m: float, rolled_rad: float, square: float) -> None:
    held = label(hand)
    grasp = HeldObject.of({0: held}, TIMES, hand, MODEL)
    poses = replace(
        repeated(held, 5),
        object_rotation=matrix_from_axis_angle(torch.tensor([rolled_rad, 0.0, 0.0])).expand(5, 3, 3),
        object_centre=torch.tensor([0.0, slid_m, 0.5]).expand(5, 3),
    )
    assert grasp.cost(poses).tolist() == pytest.approx([math.log(1 + square)] * 5, rel=2e-3)


def angles(one: torch.Tensor, other: torch.Tensor) -> np.ndarray:
    return Rotation.from_matrix((one.transpose(-1, -2) @ other).reshape(-1, 3, 3).double().numpy()).magnitude()


def test_labels_of_a_jar_that_are_turned_at_random_are_one_motion(
    sample_root: Path, hand: HandModel, tmp_path: Path
) -> None:
    """Between labels the object turns by as little as it can, and a network's predictions by the nearest label."""
    folder = tmp_path / "A1"
    dataset = open_dataset(sample_root, hand)
    export_recording(dataset, "train", "A1", folder, RecordingOptions((0, 2, 4, 6)))
    plain = Recording.read(folder)
    true = labelled_poses(plain, hand)
    turns = matrix_from_axis_angle(torch.tensor([[0.0, 0, 3.0], [0, 0, -1.5], [0, 0, 2.0], [0, 0, 0.5]]))
    turned = {
        position: replace(pose, object_rotation=pose.object_rotation @ turn)
        for (position, pose), turn in zip(true.items(), turns, strict=True)
    }
    labels = [label_of_pose(number, pose, hand, plain.object.model) for number, pose in turned.items()]
    write_annotations(folder, labels, hand_model=hand.template.name, side="right")
    declared = json.loads((folder / "object.json").read_text())
    (folder / "object.json").write_text(json.dumps({**declared, "symmetry": {"axis": "z", "fold": "any"}}))
    recording = Recording.read(folder)
    found, times = labelled_poses(recording, hand), np.arange(8.0)
    steps = angles(*(torch.cat([found[row].object_rotation for row in rows]) for rows in ((0, 2, 4), (2, 4, 6))))
    least = angles(*(torch.cat([true[row].object_rotation for row in rows]) for rows in ((0, 2, 4), (2, 4, 6))))
    assert (steps < least + 1e-4).all()
    assert angles(turned[0].object_rotation, turned[2].object_rotation) > 1
    between, expected = (between_labels(poses, times) for poses in (found, true))
    assert_close(between.object_centre, expected.object_centre, rtol=0, atol=1e-5)
    assert_close(between.object_rotation[::2, :, 2], expected.object_rotation[::2, :, 2], rtol=0, atol=1e-4)
    predicted = predictions_of_pose(
        replace(expected, object_rotation=expected.object_rotation @ turns[0]),
        sequence="A1",
        indices=range(8),
        times_s=times / 30,
        hand=hand,
        model=plain.object.model,
        camera=recording.lens.camera,
    )
    begun = poses_of_predictions(predicted, found, range(8), hand, symmetry=recording.object.model.symmetry)
    assert angles(begun.object_rotation[:-1], begun.object_rotation[1:]).max() < 0.1
