"""`doctor` on recordings: what it finds, what it warns of, and whether its figures are true."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from tests.data.recording.recording_files import edit, write_recording, write_video
from warpgrasp.cli import main
from warpgrasp.data import examine
from warpgrasp.data.ho3d.dataset import Ho3d
from warpgrasp.data.recording.check import (
    GapFollower,
    LabelledSurface,
    surface_motion_px,
    texture_levels,
)
from warpgrasp.data.recording.dataset import Recordings
from warpgrasp.data.recording.files import LikeTurn, near_symmetries
from warpgrasp.errors import DataError
from warpgrasp.frame import Annotation, FrameName, ObjectModel
from warpgrasp.geometry.camera import Camera
from warpgrasp.hand.model import HandModel


def box(sides_m: tuple[float, float, float]) -> ObjectModel:
    import trimesh

    mesh = trimesh.creation.box(sides_m)
    return ObjectModel.centred(
        "box", torch.from_numpy(mesh.vertices.copy()).float(), torch.from_numpy(mesh.faces.copy())
    )


def test_what_it_says(exported: Path, capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    assert main(["doctor", "--data", str(exported)]) == 0
    page = " ".join(capsys.readouterr().out.split())
    for expected in (
        "A1: 8 frames, 0 to 7, in 000000.png",
        "B1: 8 frames, 0 to 7, 0.2 s, 30.00 per second, in video.mp4",
        "A1: camera 320×240, fx 307.0, fy 307.0, centre (159.5, 119.5) px",
        "A1: object 006_mustard_bottle, 97 × 67 × 191 mm, 1502 vertices",
        "A1: 4 labels, 1 of them for evaluation: frames 0, 3, 5, 7",
        "A1: gaps between labels: 3, at most 2 frames",
        "nothing is missing",
    ):
        assert expected in page


def test_a_bare_recording(tmp_path: Path, hand: HandModel) -> None:
    folder = write_recording(tmp_path / "bare")
    (folder / "annotations.json").unlink()
    edit(folder / "object.json", lambda content: content.update(symmetry={"axis": "x", "fold": 2}))
    lines = list(examine(folder, hand))
    assert any("0 labels" in line for line in lines)
    assert any("the same turned by 1/2 of a turn about its x axis" in line for line in lines)
    assert lines[-1] == "nothing is missing but labels (annotations.json), to train or to evaluate"


def test_every_frame_and_label_is_read(tmp_path: Path, hand: HandModel) -> None:
    folder = write_recording(tmp_path / "broken")
    edit(folder / "annotations.json", lambda content: content["frames"][1]["hand"].update(shape=[0.0]))
    with pytest.raises(DataError, match=r"expected 10 shape parameters .* in frame 3 of .*annotations\.json, found 1"):
        list(examine(folder, hand))


def test_a_varying_rate_is_named(tmp_path: Path, hand: HandModel) -> None:
    folder = write_recording(tmp_path / "varying")
    write_video(folder / "video.mp4", [0.0, 0.1, 0.2, 0.5, 0.6])
    assert any("5 frames, 0 to 4, 0.6 s, 10.00 per second (varying)" in line for line in examine(folder, hand))


def test_plain_surfaces_are_warned_of(exported: Path, small: Path, hand: HandModel) -> None:
    lines = list(examine(small, hand))
    assert any("hardly any texture" in line or "nearly nothing of the object is seen" in line for line in lines)
    assert not any("hardly any texture" in line for line in examine(exported / "A1", hand))


def test_texture_of_a_known_ramp() -> None:
    # Brightness rises by 3 levels a pixel along u and by 4 along v: √(9 + 16) = 5 everywhere.
    v, u = np.mgrid[:40, :30]
    ramp = (3 * u + 4 * v).astype(np.uint8)
    inside = np.zeros((40, 30), dtype=bool)
    inside[5:30, 5:25] = True
    assert texture_levels(ramp, inside) == pytest.approx(5, abs=1e-4)
    edge = np.where(inside, 200, 0).astype(np.uint8)
    assert texture_levels(edge, inside) == 0
    assert texture_levels(ramp, np.zeros((40, 30), dtype=bool)) is None


def test_shapes_that_look_alike_turned() -> None:
    import trimesh

    assert near_symmetries(box((0.1, 0.06, 0.2))) == [LikeTurn("x", 180.0), LikeTurn("y", 180.0), LikeTurn("z", 180.0)]
    assert near_symmetries(box((0.1, 0.1, 0.2)))[2] == LikeTurn("z", 90.0)
    can = trimesh.creation.cylinder(0.04, 0.12, sections=64)
    model = ObjectModel.centred(
        "can", torch.from_numpy(can.vertices.copy()).float(), torch.from_numpy(can.faces.copy())
    )
    assert near_symmetries(model)[2] == LikeTurn("z", None)
    corner = torch.tensor([[0.1, 0, 0], [0, 0.05, 0], [0, 0, 0.08], [0.0, 0, 0]])
    faces = torch.tensor([[0, 1, 2], [0, 3, 1], [1, 3, 2], [2, 3, 0]])
    assert near_symmetries(ObjectModel.centred("corner", corner, faces)) == []


def moved(annotation: Annotation, shift: torch.Tensor) -> Annotation:
    return replace(
        annotation,
        hand_vertices=annotation.hand_vertices + shift,
        hand_joints=annotation.hand_joints + shift,
        object_translation=annotation.object_translation + shift,
    )


def test_motion_between_labels_of_a_pure_translation(sample_root: Path, hand: HandModel) -> None:
    truth = Ho3d(sample_root, hand).truth(FrameName("A1", 0))
    camera = Camera(truth.intrinsics, 320, 240)
    here = LabelledSurface.of(truth.annotation, truth.object, hand, camera)
    shift = torch.tensor([0.02, 0.0, 0.0])
    there = LabelledSurface.of(moved(truth.annotation, shift), truth.object, hand, camera)
    vertices = here.mesh.vertices[0, :, 2]
    found = surface_motion_px(here, there, camera)
    assert 307 * 0.02 / vertices.max() < found < 307 * 0.02 / vertices.min()
    assert surface_motion_px(here, here, camera) < 1e-3


@pytest.mark.parametrize(("labelled", "expected"), [({0}, [33]), ({11}, [33]), ({0, 11}, [15]), ({5}, [15, 18])])
def test_surfaces_are_followed_by_flow(
    sample_root: Path, hand: HandModel, labelled: set[int], expected: list[float]
) -> None:
    """The picture moves by 3 px a frame to the right, over 12 frames."""
    truth = Ho3d(sample_root, hand).truth(FrameName("A1", 0))
    camera = Camera(truth.intrinsics, 320, 240)
    surface = LabelledSurface.of(truth.annotation, truth.object, hand, camera)
    random = np.random.default_rng(0)
    wide = cv2.GaussianBlur(random.integers(0, 255, (240, 400)).astype(np.uint8), (0, 0), 3)
    wide = cv2.normalize(wide, None, 0, 255, cv2.NORM_MINMAX)  # type: ignore[call-overload]
    follower = GapFollower()
    for number in range(12):
        rolled = replace(surface, face_ids=np.roll(surface.face_ids, 3 * number, axis=1))
        picture = np.ascontiguousarray(wide[:, 60 - 3 * number : 380 - 3 * number])
        follower.add(number, picture, rolled if number in labelled else None)
    follower.finish()
    assert [gap.farthest_px for gap in follower.gaps] == pytest.approx(expected, rel=0.1)
    assert sum(gap.frames for gap in follower.gaps) == 12 - len(labelled)


def test_long_ways_are_warned_of(exported: Path, hand: HandModel, monkeypatch) -> None:
    monkeypatch.setattr("warpgrasp.data.recording.check.LARGEST_SHARE_OF_WIDTH", 0.001)
    lines = list(examine(exported / "A1", hand))
    assert any("warning: between frames 0 and 3 surfaces go about" in line for line in lines)
    monkeypatch.undo()
    assert not any("surfaces go about" in line for line in examine(exported / "A1", hand))


def test_the_hand_that_was_fitted_is_told(exported: Path, hand: HandModel, tmp_path: Path) -> None:
    from warpgrasp.export.datasets import RecordingOptions, export_recording

    source = Recordings(exported, hand)
    export_recording(source, "train", "A1", tmp_path / "joints", RecordingOptions(train=(0,), pictures="frames"))
    assert any("1 hands fitted to 21 joints, 0." in line for line in examine(tmp_path / "joints", hand))
