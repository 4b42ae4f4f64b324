"""Both hands with their one object in one file; two files that do not belong together are refused."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.export.conftest import turned_about_x
from tests.export.predicted_sequences import predictions_by, sequence_of
from tests.export.test_usd_and_rerun import columns_of, in_world, opened_stage
from tests.oracles.glb import GlbFile
from warpgrasp.export import EXPORTS, ExportTargetError, PredictedSequence, SequenceError, export_sequence
from warpgrasp.export.other_hand import with_other_hand
from warpgrasp.geometry import Camera
from warpgrasp.hand import HandModel, left_hand
from warpgrasp.predictions import Flag
from warpgrasp.report import HAND_COLOUR, OBJECT_COLOUR, OTHER_HAND_COLOUR, labels_of, overlay

CAMERA = Camera(torch.tensor([[70.0, 0, 31.5], [0, 70.0, 23.5], [0, 0, 1]]), 64, 48)


@pytest.fixture(scope="module")
def right(hand: HandModel) -> PredictedSequence:
    return sequence_of(hand, predictions_by(hand), camera=CAMERA)


@pytest.fixture(scope="module")
def left(hand: HandModel) -> PredictedSequence:
    """Another hand with the object of the right one: the same random numbers give it."""
    other = left_hand(hand)
    return replace(sequence_of(other, predictions_by(other), camera=CAMERA), side="left")


@pytest.fixture(scope="module")
def both(right: PredictedSequence, left: PredictedSequence) -> PredictedSequence:
    return with_other_hand(right, left)


def written(both: PredictedSequence, path: Path) -> Path:
    list(export_sequence(both, {path.suffix[1:].replace("usda", "usd"): path}))
    return path


def test_a_glb_file_holds_two_hands_and_one_object(both: PredictedSequence, left, tmp_path: Path) -> None:
    file = GlbFile.read(written(both, tmp_path / "a.glb"))
    assert [mesh["name"] for mesh in file.content["meshes"]] == ["right_hand", "left_hand", "box"]
    assert len(file.content["skins"]) == 2
    names = [node["name"] for node in file.content["nodes"]]
    assert len(names) == len(set(names))
    for row in range(3):
        for name, one in (("right_hand", both), ("left_hand", left)):
            found = file.vertices(file.node(name), row / 30)
            np.testing.assert_allclose(found, turned_about_x(one.predictions.hand_vertices[row]), atol=1e-5)


def test_usd_and_rerun_hold_two_hands(both: PredictedSequence, left, tmp_path: Path) -> None:
    pytest.importorskip("pxr", reason="needs the extra `usd`")
    pytest.importorskip("rerun", reason="needs the extra `rerun`")
    stage = opened_stage(written(both, tmp_path / "a.usda"))
    path = written(both, tmp_path / "a.rrd")
    for name, one in (("right_hand", both), ("left_hand", left)):
        prim = stage.GetPrimAtPath(f"/sequence/camera_space/{name}")
        _, vertices = columns_of(path, f"/{name}", "Mesh3D:vertex_positions")
        for row in range(3):
            expected = one.predictions.hand_vertices[row]
            np.testing.assert_allclose(in_world(prim, row), turned_about_x(expected), atol=1e-6)
            np.testing.assert_allclose(np.reshape(vertices[row], (-1, 3)), expected, atol=1e-6)


def test_tables_have_a_line_for_each_hand(both: PredictedSequence, right, left, tmp_path: Path) -> None:
    with written(both, tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["frame"], row["side"]) for row in rows] == [(str(n), s) for n in range(3) for s in ("right", "left")]
    table = json.loads(written(both, tmp_path / "a.json").read_text())
    assert table["hand_model"] == {"right": "open-hand right", "left": "open-hand left"}
    for row, one in zip(table["frames"][2:4], (right, left), strict=True):
        np.testing.assert_allclose(row["hand_joints"], one.predictions.hand_joints[1], atol=1e-6)


def test_pictures_show_both_in_their_own_colours(both: PredictedSequence) -> None:
    (_, scene), *_ = both.scenes()
    camera = CAMERA.resized(320, 240)  # so large that outlines are few
    labels = labels_of(scene, camera)
    assert set(labels.unique().tolist()) == {0, 1, 2, 3}
    drawn = overlay(torch.zeros(3, 240, 320), scene, camera, scale=1, opacity=1.0)
    for label, colour in ((1, HAND_COLOUR), (2, OBJECT_COLOUR), (3, OTHER_HAND_COLOUR)):
        pixels = drawn[:, labels == label]
        hue = torch.nn.functional.normalize(pixels, dim=0).median(dim=1).values
        assert torch.allclose(hue, torch.nn.functional.normalize(torch.tensor(colour), dim=0), atol=0.1), label


def test_flags_of_both_are_told(right: PredictedSequence, left: PredictedSequence) -> None:
    def flagged(one: PredictedSequence, flags: list[int]) -> PredictedSequence:
        return replace(one, predictions=replace(one.predictions, flags=np.array(flags, np.uint8)))

    doubtful, words = int(Flag.DOUBTFUL), Flag.DOUBTFUL.words
    both = with_other_hand(flagged(right, [0, doubtful, doubtful]), flagged(left, [0, 0, doubtful]))
    assert both.flagged.tolist() == [False, True, True]
    told = ["", f"right hand: {words}", f"right hand: {words}; left hand: {words}"]
    assert [both.flag_words(position) for position in range(3)] == told


def test_formats_of_one_hand_refuse_two(both: PredictedSequence, tmp_path: Path) -> None:
    for name in ("obj", "ply", "bop", "ho3d"):
        assert not EXPORTS[name].both_hands
        with pytest.raises(ExportTargetError, match=r"expected a format that holds both hands \(glb, usd, .*json\)"):
            list(export_sequence(both, {name: tmp_path / name}))
        assert not (tmp_path / name).exists()


def test_what_does_not_belong_together(right: PredictedSequence, left: PredictedSequence) -> None:
    with pytest.raises(SequenceError, match="expected predictions of two hands, found two of a right one; give"):
        with_other_hand(right, right)
    with pytest.raises(SequenceError, match="expected both hands with the object box, found can"):
        with_other_hand(right, replace(left, model=replace(left.model, name="can")))
    with pytest.raises(SequenceError, match="in the same frames, found 3 of the right and 2 of the left one"):
        with_other_hand(right, replace(left, rows=left.rows[:2]))
    with pytest.raises(SequenceError, match="expected both hands before one camera, found two"):
        with_other_hand(right, replace(left, camera=CAMERA.resized(32, 24)))
    moved = replace(left.predictions, object_translation=left.predictions.object_translation + 0.002)
    with pytest.raises(SequenceError, match=r"expected both hands around one object, found its places up to 2 mm"):
        with_other_hand(right, replace(left, predictions=moved.rows(slice(None))))
