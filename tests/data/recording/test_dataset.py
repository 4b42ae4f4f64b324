"""Recordings as a data set: against what wrote them, and against numbers worked by hand."""

import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.spatial import KDTree
from torch.testing import assert_close

from tests.data.meshes.mesh_files import ply_text
from tests.data.recording.recording_files import SMALL, WEDGE_FACES, WEDGE_M, edit, write_obj, write_video
from warpgrasp.data import layout_of, open_dataset
from warpgrasp.data.dataset import Dataset
from warpgrasp.data.ho3d.dataset import Ho3d
from warpgrasp.data.recording.annotations import read_annotations
from warpgrasp.data.recording.camera import write_lens
from warpgrasp.data.recording.dataset import Recordings
from warpgrasp.data.recording.lens import Lens
from warpgrasp.data.sample.files import PosedSequence
from warpgrasp.data.sample.grasp import object_surface
from warpgrasp.errors import DataError
from warpgrasp.export.datasets import RecordingOptions, export_recording
from warpgrasp.frame import FrameName, pose_points
from warpgrasp.hand.model import JOINTS, HandModel

SAME_M = 1e-6
SAME_PX = 5e-3


def object_points(frame_or_truth) -> torch.Tensor:
    annotation, model = frame_or_truth.annotation, frame_or_truth.object
    return pose_points(annotation.object_rotation, annotation.object_translation, model.vertices)


@pytest.mark.parametrize("sequence", ["A1", "B1"])
def test_labels_agree_with_the_generator(sample, exported: Path, hand: HandModel, sequence: str) -> None:
    dataset, written = Recordings(exported, hand), sample.sequences["train"][sequence]
    posed = PosedSequence.of(written, hand)
    for index in (0, 3, 5, 7):
        frame = dataset.frame(FrameName(sequence, index), annotated=True)
        joints, vertices = (torch.from_numpy(array[index]).float() for array in (posed.joints, posed.vertices))
        assert_close(frame.annotation.hand_joints, joints, rtol=0, atol=SAME_M)
        assert_close(frame.annotation.hand_vertices, vertices, rtol=0, atol=SAME_M)
        pose = written.camera_from_object[index]
        surface = object_surface(written.object_name).vertices
        expected = np.unique(surface, axis=0) @ pose[:3, :3].T + pose[:3, 3]
        found = object_points(frame).double().numpy()
        nearest = KDTree(found).query(expected)[1]
        assert len(set(nearest)) == len(found) == len(expected)
        np.testing.assert_allclose(found[nearest], expected, rtol=0, atol=SAME_M)
        pixels = np.concatenate([expected, posed.joints[index], posed.vertices[index]]) @ written.intrinsics.T
        points = [object_points(frame)[nearest], frame.annotation.hand_joints, frame.annotation.hand_vertices]
        found_px = frame.camera.project(torch.cat(points)).double().numpy()
        np.testing.assert_allclose(found_px, pixels[:, :2] / pixels[:, 2:], rtol=0, atol=SAME_PX)


def test_pictures_are_the_sequences(sample_root: Path, exported: Path, hand: HandModel) -> None:
    recordings, source = Recordings(exported, hand), Ho3d(sample_root, hand)
    for index in (6, 0, 7):
        first, second = (dataset.frame(FrameName("A1", index), annotated=False) for dataset in (recordings, source))
        assert torch.equal(first.image, second.image)
        first, second = (dataset.frame(FrameName("B1", index), annotated=False) for dataset in (recordings, source))
        assert (first.image - second.image).abs().mean() < 0.012  # 4:2:0 and H.264
        assert (first.image.mean(dim=(1, 2)) - second.image.mean(dim=(1, 2))).abs().max() < 2 / 255


def test_splits_follow_what_labels_are_for(exported: Path, hand: HandModel) -> None:
    dataset = open_dataset(exported, hand)
    assert isinstance(dataset, Dataset)
    assert layout_of(exported) == layout_of(exported / "A1") == "recording"
    assert dataset.sequences["train"] == {name: [0, 1, 2, 3, 4, 6, 7] for name in ("A1", "B1")}
    assert dataset.sequences["evaluation"] == {"A1": [5], "B1": [5]}
    assert dataset.names("validation") == []
    assert [name.index for name in dataset.names("train") if dataset.is_annotated(name)] == [0, 3, 7, 0, 3, 7]
    assert dataset.is_annotated(FrameName("A1", 5))
    assert [model.name for model in dataset.objects("train")] == ["003_cracker_box", "006_mustard_bottle"]
    assert open_dataset(exported / "B1", hand).names("evaluation") == [FrameName("B1", 5)]


def test_only_the_annotated_are_given_their_labels(exported: Path, hand: HandModel) -> None:
    dataset = Recordings(exported, hand)
    assert dataset.frame(FrameName("A1", 0), annotated=False).annotation is None
    with pytest.raises(DataError, match=r"expected a label of frame 1 in .*annotations\.json, found none"):
        dataset.frame(FrameName("A1", 1), annotated=True)


def test_a_millimetre_row_to_pixel_by_hand(tmp_path: Path, small: Path, hand: HandModel) -> None:
    # A vertex (100, 0, 0) mm; a quarter turn about z takes x to y:
    #   (0, 0.1, 0) + t = (0.06, 0.04, 0.5)  ->  (0.06, 0.14, 0.5) m
    #   u = 60 · 0.06 / 0.5 + 31.5 = 38.7,  v = 60 · 0.14 / 0.5 + 23.5 = 40.3
    # Read at half the size, x goes to (x + 0.5) / 2 - 0.5: (19.1, 19.9).
    write_obj(small / "wedge.obj", scale=1000)
    edit(small / "object.json", lambda content: content.update(units="mm"))
    frame = Recordings(small, hand).frame(FrameName("small", 0), annotated=True)
    points = object_points(frame)
    tip = points[:, 1].argmax()
    assert_close(points[tip], torch.tensor([0.06, 0.14, 0.5]), rtol=0, atol=1e-7)
    assert_close(frame.camera.project(points)[tip], torch.tensor([38.7, 40.3]), rtol=0, atol=1e-4)
    half = Recordings(small, hand).at_size((32, 24)).frame(FrameName("small", 0), annotated=True)
    assert half.image.shape == (3, 24, 32)
    assert_close(half.camera.project(object_points(half))[tip], torch.tensor([19.1, 19.9]), rtol=0, atol=1e-4)
    # The wrist of the flat hand, wherever the template has it, is moved by (0, 0, 0.5).
    wrist = hand.joint_regressor[0] @ hand.template_vertices + torch.tensor([0, 0, 0.5])
    assert_close(frame.annotation.hand_joints[0], wrist, rtol=0, atol=1e-7)


def test_joints_alone_give_the_surface_of_a_fit(sample, sample_root: Path, hand: HandModel, tmp_path: Path) -> None:
    source = Ho3d(sample_root, hand)
    export_recording(source, "train", "A1", tmp_path / "joints", RecordingOptions(train=(2,), pictures="frames"))
    assert read_annotations(tmp_path / "joints").hand_model is None
    found = Recordings(tmp_path / "joints", hand).truth(FrameName("joints", 2)).annotation
    expected = source.truth(FrameName("A1", 2)).annotation
    assert_close(found.hand_joints, expected.hand_joints, rtol=0, atol=SAME_M)
    assert (found.hand_vertices - expected.hand_vertices).norm(dim=-1).max() < 0.003
    cosine = ((found.hand_rotation.T @ expected.hand_rotation).trace() - 1) / 2
    assert cosine > math.cos(math.radians(2))

    def exchange(content: dict) -> None:
        joints = content["frames"][0]["hand"]["joints"]
        joints |= {
            f"{finger}_{a}": joints[f"{finger}_{b}"]
            for finger in ("index", "ring")
            for a, b in (("1", "tip"), ("tip", "1"))
        }

    edit(tmp_path / "joints" / "annotations.json", exchange)
    with pytest.raises(DataError, match=r"frame 2 of .*annotations\.json, found joints that .* own name"):
        Recordings(tmp_path / "joints", hand).truth(FrameName("joints", 2))


def test_numbered_pictures_keep_their_numbers(small: Path, hand: HandModel) -> None:
    (small / "video.mp4").unlink()
    (small / "frames").mkdir()
    for number, name in ((2, "shot_2.png"), (10, "shot_10.png"), (3, "shot_003.PNG")):
        Image.new("RGB", SMALL, (0, 10 * number, 0)).save(small / "frames" / name)
    edit(small / "annotations.json", lambda content: content["frames"][0].update(frame=10))
    dataset = Recordings(small, hand)
    assert [name.index for name in dataset.names("train")] == [2, 3, 10]
    assert dataset.is_annotated(FrameName("small", 10))
    green = [
        round(255 * float(dataset.frame(name, annotated=False).image[1].mean())) for name in dataset.names("train")
    ]
    assert green == [20, 30, 100]
    assert dataset.picture_file(FrameName("small", 10)).name == "shot_10.png"
    Image.new("RGB", SMALL).save(small / "frames" / "other_03.png")
    with pytest.raises(
        DataError, match=r"one picture for each frame in .*frames, found other_03\.png and shot_003\.PNG"
    ):
        Recordings(small, hand).names("train")


def test_pictures_are_turned_as_their_exif_data_ask(small: Path, hand: HandModel) -> None:
    (small / "video.mp4").unlink()
    (small / "annotations.json").unlink()
    (small / "frames").mkdir()
    lying = Image.new("RGB", (SMALL[1], SMALL[0]))
    lying.paste((255, 255, 255), (0, 0, 24, 32))  # the top left as stored
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned clockwise by a quarter: the stored left edge comes to the top
    lying.save(small / "frames" / "0.jpg", exif=exif, quality=95)
    image = Recordings(small, hand).frame(FrameName("small", 0), annotated=False).image[0]
    assert image.shape == (48, 64)
    assert image[:20, 36:].mean() > 0.95
    assert image[:20, :28].mean() < 0.05


def test_a_camera_of_another_size_is_refused(small: Path, hand: HandModel) -> None:
    edit(small / "camera.json", lambda content: content.update(width=128, height=96, cx=63.5, cy=47.5, fx=120, fy=120))
    dataset = Recordings(small, hand)
    with pytest.raises(
        DataError, match=r"camera's size, 128×96, in .*video\.mp4, found 64×48 in frame 1: .*camera\.json"
    ):
        dataset.frame(FrameName("small", 1), annotated=False)


def test_labels_outside_the_video_are_refused(small: Path, hand: HandModel) -> None:
    edit(small / "annotations.json", lambda content: content["frames"][1].update(frame=5))
    with pytest.raises(DataError, match=r"frames 0 to 4 of .*video\.mp4 in .*annotations\.json, found one of frame 5"):
        Recordings(small, hand).names("train")


def test_labels_of_another_hand_are_refused(small: Path, hand: HandModel) -> None:
    edit(small / "annotations.json", lambda content: content.update(hand_model="mano right (tips: manopth)"))
    with pytest.raises(DataError, match=r"names \(mano right .*got open-hand right; choose it by --hand"):
        Recordings(small, hand).truth(FrameName("small", 0))


@pytest.mark.parametrize("depth", [-0.5, 0.0])
def test_what_is_behind_the_camera_is_refused(small: Path, hand: HandModel, depth: float) -> None:
    change = {"rotation": [0, 0, 0], "translation": [0, 0, depth - 0.02]}
    edit(small / "annotations.json", lambda content: content["frames"][0].update(object=change))
    with pytest.raises(DataError, match=r"in front of the camera, in metres, in frame 0 of .*annotations\.json"):
        Recordings(small, hand).truth(FrameName("small", 0))


def test_one_name_is_one_mesh(small: Path, hand: HandModel) -> None:
    root = small.parent
    shutil.copytree(small, root / "second")
    assert len(Recordings(root, hand).objects("train")) == 1
    (root / "second" / "wedge.ply").write_bytes(ply_text(np.array(WEDGE_M)[::-1], 3 - np.array(WEDGE_FACES)[::-1]))
    edit(root / "second" / "object.json", lambda content: content.update(mesh="wedge.ply"))
    assert len(Recordings(root, hand).objects("train")) == 1
    edit(root / "second" / "object.json", lambda content: content.update(mesh="wedge.obj"))
    write_obj(root / "second" / "wedge.obj", scale=1.1)
    with pytest.raises(DataError, match=r"one mesh for the object wedge, found others in .*second.* and .*small|small"):
        Recordings(root, hand).names("train")


def test_folders_that_are_no_recordings(small: Path, hand: HandModel, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"expected a recording \(camera\.json, .*empty, found none"):
        open_dataset(tmp_path / "empty", hand, layout="recording").names("train")
    (small / "camera.json").unlink()
    with pytest.raises(DataError, match=r"expected camera\.json in .*small, found no such file"):
        open_dataset(small, hand).names("train")
    write_lens(small, Lens(np.array([[60.0, 0, 31.5], [0, 60.0, 23.5], [0, 0, 1]]), *SMALL))
    write_video(small / "video.mkv", [0.0])
    with pytest.raises(DataError, match=r"expected either video\..* found video\.mkv and video\.mp4"):
        open_dataset(small, hand).names("train")


def test_few_decoders_stay_open(small: Path, hand: HandModel, monkeypatch) -> None:
    monkeypatch.setattr("warpgrasp.data.recording.dataset.OPEN_RECORDINGS", 1)
    shutil.copytree(small, small.parent / "second")
    dataset = Recordings(small.parent, hand)
    for name in (FrameName("small", 1), FrameName("second", 2), FrameName("small", 4)):
        dataset.frame(name, annotated=False)
    open_ones = [name for name, one in dataset.recordings.items() if one.footage._container is not None]  # type: ignore[attr-defined]
    assert open_ones == ["small"]


def test_nothing_is_exported_over_something(sample, sample_root: Path, small: Path, hand: HandModel) -> None:
    source = Ho3d(sample_root, hand)
    with pytest.raises(DataError, match="small exists already"):
        export_recording(source, "train", "A1", small, RecordingOptions())
    with pytest.raises(DataError, match="expected an annotated frame of 0 to 7 to label, got 8"):
        export_recording(source, "train", "A1", small.parent / "new", RecordingOptions(train=(8,), pictures="frames"))
    assert sorted(path.name for path in small.parent.iterdir()) == ["small"]


@pytest.mark.parametrize("kind", ["one point", "one line", "a plane, mirrored twice"])
def test_joints_of_no_hand_are_refused(small: Path, hand: HandModel, kind: str) -> None:
    rows = np.linspace(0, 0.1, 21)
    other = {"one point": 0 * rows, "one line": 2 * rows, "a plane, mirrored twice": rows**2 * (-1) ** np.arange(21)}[
        kind
    ]
    joints = np.stack([0 * rows if kind == "one point" else rows, other, 0 * rows + 0.5], axis=1)
    named = dict(zip(JOINTS, joints.tolist(), strict=True))
    edit(small / "annotations.json", lambda content: content["frames"][0].update(hand={"joints": named}))
    with pytest.raises(DataError, match=r"in frame 0 of .*annotations\.json, found joints that"):
        Recordings(small, hand).truth(FrameName("small", 0))
