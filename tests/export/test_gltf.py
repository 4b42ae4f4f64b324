"""The GLB file, read by an independent reader: its vertices are the predictions'."""

from pathlib import Path

import numpy as np
import pytest

from tests.export.conftest import TIMES_S, turned_about_x
from tests.export.predicted_sequences import predictions_by, sequence_of
from tests.footage_files import BOX_M, Brought
from tests.hand.templates import small_template
from tests.oracles.glb import GlbFile
from warpgrasp.cli import main
from warpgrasp.export.gltf import glb_of, skinning_sets
from warpgrasp.export.sequence import SequenceError
from warpgrasp.hand.model import HandModel
from warpgrasp.hand.templates import Side, open_hand
from warpgrasp.predictions.file import Predictions, read_predictions

TOLERANCE_M = 1e-5


def object_vertices(predictions: Predictions, row: int) -> np.ndarray:
    local = BOX_M - (BOX_M.min(axis=0) + BOX_M.max(axis=0)) / 2
    return local @ predictions.object_rotation[row].T + predictions.object_translation[row]


def test_every_frame_is_the_prediction(words: list[str], predicted: Brought, tmp_path: Path) -> None:
    assert main([*words, "--glb", str(tmp_path / "out.glb")]) == 0
    file, predictions = GlbFile.read(tmp_path / "out.glb"), read_predictions(predicted.out)[0]
    np.testing.assert_allclose(file.times(), TIMES_S, atol=1e-3)
    for row, time in enumerate(file.times()):
        hand = file.vertices(file.node("hand"), float(time))
        np.testing.assert_allclose(hand, turned_about_x(predictions.hand_vertices[row]), atol=TOLERANCE_M)
        thing = file.vertices(file.node("box"), float(time))
        expected = turned_about_x(object_vertices(predictions, row))
        apart = np.linalg.norm(thing[:, None] - expected[None], axis=-1)
        assert apart.min(axis=1).max() < TOLERANCE_M
        assert apart.min(axis=0).max() < TOLERANCE_M


def test_faces_look_outwards_and_the_wrist_is_closed(words: list[str], tmp_path: Path) -> None:
    assert main([*words, "--glb", str(tmp_path / "out.glb")]) == 0
    file = GlbFile.read(tmp_path / "out.glb")
    for name in ("hand", "box"):
        node = file.node(name)
        primitive = file.content["meshes"][file.content["nodes"][node]["mesh"]]["primitives"][0]
        faces, points = file.array(primitive["indices"]).reshape(-1, 3), file.vertices(node, 0.0)
        edges = {(face[i], face[(i + 1) % 3]) for face in faces.tolist() for i in range(3)}
        assert all((b, a) in edges for a, b in edges), name  # closed
        corners = points[faces]
        volume = np.einsum("fi,fi->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6
        assert volume > 1e-5, name


def test_the_camera_sees_what_the_camera_saw(words: list[str], predicted: Brought, tmp_path: Path) -> None:
    assert main([*words, "--glb", str(tmp_path / "out.glb")]) == 0
    file = GlbFile.read(tmp_path / "out.glb")
    perspective = file.content["cameras"][0]["perspective"]
    # A point by the specification's projection matrix, against the pinhole 64 px wide, of focal length 64.
    point = turned_about_x(read_predictions(predicted.out)[0].hand_joints[0, 0])
    scale = 1 / np.tan(perspective["yfov"] / 2)
    x, y = scale / perspective["aspectRatio"] * point[0] / -point[2], scale * point[1] / -point[2]
    u, v = (x + 1) / 2 * 64 - 0.5, (1 - y) / 2 * 48 - 0.5
    joint = read_predictions(predicted.out)[0].hand_joints[0, 0]
    np.testing.assert_allclose([u, v], 64 * joint[:2] / joint[2] + [31.5, 23.5], atol=1e-4)


@pytest.mark.parametrize("kind", ["right", "left", "with correctives and many weights"])
def test_hands_of_all_kinds(kind: str, tmp_path: Path) -> None:
    side: Side = "left" if kind == "left" else "right"
    hand = HandModel(small_template() if "correctives" in kind else open_hand(side))
    predictions = predictions_by(hand)
    (tmp_path / "out.glb").write_bytes(glb_of(sequence_of(hand, predictions)))
    file = GlbFile.read(tmp_path / "out.glb")
    for row in (0, 2):
        found = file.vertices(file.node("hand"), row / 30)
        np.testing.assert_allclose(found, turned_about_x(predictions.hand_vertices[row]), atol=TOLERANCE_M)


def test_vertices_of_another_hand_are_refused(hand: HandModel) -> None:
    predictions = predictions_by(hand)
    predictions.hand_vertices[1, 5] += 0.01
    with pytest.raises(SequenceError, match=r"expected vertices of the hand open-hand right .*10 mm beside those"):
        glb_of(sequence_of(hand, predictions))


def test_weights_in_sets_of_four() -> None:
    joints, shares = skinning_sets(np.array([[0.1, 0.05, 0.4, 0.2, 0.25, 0], [0, 0, 0, 0, 0, 1.0]]))
    assert [one.tolist() for one in joints] == [[[2, 4, 3, 0], [5, 0, 0, 0]], [[1, 0, 0, 0], [0, 0, 0, 0]]]
    np.testing.assert_allclose(shares[0], [[0.4, 0.25, 0.2, 0.1], [1, 0, 0, 0]], rtol=1e-6)
    np.testing.assert_allclose(shares[1], [[0.05, 0, 0, 0], [0, 0, 0, 0]], rtol=1e-6)
    assert len(skinning_sets(np.eye(6))[0]) == 1
