"""The HO-3D loader against what wrote the files, and against numbers worked by hand from the format's description."""

import json
import math
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.spatial.transform import Rotation
from torch.testing import assert_close

from warpgrasp.data import open_dataset
from warpgrasp.data.ho3d.dataset import Ho3d
from warpgrasp.data.sample.files import PosedSequence
from warpgrasp.data.sample.grasp import object_surface
from warpgrasp.errors import DataError
from warpgrasp.frame import FrameName, pose_points
from warpgrasp.hand.model import FINGERTIPS, HO3D_JOINTS, JOINTS, HandModel

SAME_M = 1e-6
SAME_PX = 5e-3
JSON_M = 7e-6  # the evaluation lists are rounded to 1e-5 m

A0 = FrameName("A1", 0)


def edit_meta(root: Path, name: FrameName, change: Callable[[dict], None]) -> None:
    path = root / "train" / name.sequence / "meta" / f"{name.index:04d}.pkl"
    meta = pickle.loads(path.read_bytes())  # noqa: S301 (our own file)
    change(meta)
    path.write_bytes(pickle.dumps(meta, protocol=2))


def object_points(frame_or_truth) -> torch.Tensor:
    annotation, model = frame_or_truth.annotation, frame_or_truth.object
    return pose_points(annotation.object_rotation, annotation.object_translation, model.vertices)


def sorted_rows(points: torch.Tensor) -> torch.Tensor:
    return points[torch.from_numpy(np.lexsort(points.double().numpy().round(4).T))]


@pytest.mark.parametrize("sequence", ["A1", "B1"])
def test_training_frames_agree_with_the_generator(sample, hand: HandModel, sequence: str) -> None:
    dataset, written = Ho3d(sample.root, hand), sample.sequences["train"][sequence]
    posed = PosedSequence.of(written, hand)
    for index in (0, 3, 7):
        frame = dataset.frame(FrameName(sequence, index), annotated=True)
        joints = torch.from_numpy(posed.joints[index]).float()
        assert_close(frame.annotation.hand_joints, joints, rtol=0, atol=SAME_M)
        vertices = torch.from_numpy(posed.vertices[index]).float()
        assert_close(frame.annotation.hand_vertices, vertices, rtol=0, atol=SAME_M)
        rotation = torch.from_numpy(Rotation.from_rotvec(written.hand_rotation[index]).as_matrix()).float()
        assert_close(frame.annotation.hand_rotation, rotation, rtol=0, atol=1e-6)
        pose = written.camera_from_object[index]
        file_vertices = object_surface(written.object_name).vertices
        expected = torch.from_numpy(np.unique(file_vertices, axis=0) @ pose[:3, :3].T + pose[:3, 3]).float()
        # The loader's vertices are sorted by the file's coordinates, as numpy.unique sorts them.
        assert_close(object_points(frame), expected, rtol=0, atol=SAME_M)
        pixels = torch.cat([expected, joints, vertices]).double().numpy() @ written.intrinsics.T
        found = torch.cat([object_points(frame), frame.annotation.hand_joints, frame.annotation.hand_vertices])
        expected_px = torch.from_numpy(pixels[:, :2] / pixels[:, 2:]).float()
        assert_close(frame.camera.project(found), expected_px, rtol=0, atol=SAME_PX)
        assert (frame.camera.width, frame.camera.height) == (320, 240)
        assert frame.image.shape == (3, 240, 320)
        assert 0 <= frame.image.min() < 0.2
        assert 0.8 < frame.image.max() <= 1


def test_evaluation_truth_comes_from_the_lists(sample, hand: HandModel) -> None:
    dataset, written = Ho3d(sample.root, hand), sample.sequences["evaluation"]["E1"]
    posed = PosedSequence.of(written, hand)
    for index in range(4):
        truth = dataset.truth(FrameName("E1", index))
        assert_close(truth.annotation.hand_joints, torch.from_numpy(posed.joints[index]).float(), rtol=0, atol=JSON_M)
        expected = torch.from_numpy(posed.vertices[index]).float()
        assert_close(truth.annotation.hand_vertices, expected, rtol=0, atol=JSON_M)
        assert truth.annotation.hand_rotation is None


def test_evaluation_rows_follow_the_list_even_when_sequences_alternate(copied_root: Path, hand: HandModel) -> None:
    lines = (copied_root / "evaluation.txt").read_text().split()
    before = Ho3d(copied_root, hand).truth(FrameName("E1", 3)).annotation.hand_joints
    (copied_root / "evaluation").joinpath("E2").symlink_to(copied_root / "evaluation" / "E1")
    mixed = [lines[0], "E2/0001", *lines[1:]]
    (copied_root / "evaluation.txt").write_text("\n".join(mixed))
    for name in ("evaluation_xyz.json", "evaluation_verts.json"):
        rows = json.loads((copied_root / name).read_text())
        (copied_root / name).write_text(json.dumps([rows[0], rows[1], *rows[1:]]))
    dataset = Ho3d(copied_root, hand)
    assert [f"{name.sequence}/{name.index:04d}" for name in dataset.names("evaluation")] == mixed
    assert_close(dataset.truth(FrameName("E1", 3)).annotation.hand_joints, before)


def test_mano_s_fingertips_are_those_of_ho3d(sample_root: Path, hand: HandModel, tmp_path: Path) -> None:
    """The name of the hand, which is stored with every result, says so."""
    mano = HandModel(replace(hand.template, name="mano right (tips: manopth)"))
    dataset = open_dataset(sample_root, mano)
    assert dataset.hand.template.name == "mano right (tips: ho3d)"
    annotation = dataset.truth(A0).annotation
    tips = [JOINTS.index(joint) for joint in FINGERTIPS]
    assert torch.equal(annotation.hand_joints[tips], annotation.hand_vertices[[744, 333, 444, 555, 672]])


def test_opengl_row_to_pixel_by_hand(copied_root: Path, hand: HandModel) -> None:
    # FORMATS A.2: X_cv = F (R v + t), F = diag(1, -1, -1). The rotation is a quarter turn about OpenGL's z:
    #   v = (0.1, 0, 0)  ->  R v = (0, 0.1, 0);  + t = (0.06, 0.04, -0.5)  ->  (0.06, 0.14, -0.5)
    #   F                ->  (0.06, -0.14, 0.5), half a metre before an OpenCV camera, above its axis.
    # With HO-3D's default camera: u = 617.343 · 0.12 + 312.42 = 386.50116, v = 241.42 - 617.343 · 0.28 = 68.56396.
    folder = copied_root / "models" / "wedge"
    folder.mkdir()
    rows = ["v 0.1 0 0", "v 0 0.05 0", "v 0 0 0.02", "v 0 0 0", "f 1 2 3", "f 1 4 2", "f 2 4 3", "f 3 4 1"]
    (folder / "textured_simple.obj").write_text("\n".join(rows) + "\n")

    def change(meta: dict) -> None:
        meta |= {"objName": "wedge", "objRot": [[0], [0], [math.pi / 2]], "objTrans": [0.06, 0.04, -0.5]}
        meta["camMat"] = [[617.343, 0, 312.42], [0, 617.343, 241.42], [0, 0, 1]]

    edit_meta(copied_root, A0, change)
    frame = Ho3d(copied_root, hand).frame(A0, annotated=True)
    points = object_points(frame)
    tip = points[:, 1].argmin()  # the highest in the picture
    assert_close(points[tip], torch.tensor([0.06, -0.14, 0.5]), rtol=0, atol=1e-6)
    assert_close(frame.camera.project(points)[tip], torch.tensor([386.50116, 68.56396]), rtol=0, atol=1e-3)


def test_joint_order_by_hand(copied_root: Path, hand: HandModel) -> None:
    # A.2: 0 wrist, 1-3 index, 4-6 middle, 7-9 little, 10-12 ring, 13-15 thumb, 16-20 tips thumb … little.
    count = 4
    xyz = [[[row / 100, 0.01, -0.5] for row in range(21)] for _ in range(count)]
    (copied_root / "evaluation_xyz.json").write_text(json.dumps(xyz))
    joints = Ho3d(copied_root, hand).truth(FrameName("E1", 0)).annotation.hand_joints
    rows = [0, 13, 14, 15, 16, 1, 2, 3, 17, 4, 5, 6, 18, 10, 11, 12, 19, 7, 8, 9, 20]  # "to simple order"
    assert_close(joints, torch.tensor([[row / 100, -0.01, 0.5] for row in rows]))
    assert JOINTS.index("thumb_tip") == 4
    assert HO3D_JOINTS.index("thumb_tip") == 16


@pytest.mark.parametrize("size", [(160, 120), (64, 48), (100, 90)])
def test_the_camera_follows_resizing(sample_root: Path, hand: HandModel, size: tuple[int, int]) -> None:
    whole = Ho3d(sample_root, hand).frame(A0, annotated=True)
    small = Ho3d(sample_root, hand, size=size).frame(A0, annotated=True)
    assert small.image.shape == (3, size[1], size[0])
    scale = torch.tensor([size[0] / 320, size[1] / 240])
    points = object_points(whole)
    assert_close(small.camera.project(points), scale * (whole.camera.project(points) + 0.5) - 0.5, atol=1e-3, rtol=0)


def test_resizing_moves_the_picture_as_the_camera_says(copied_root: Path, hand: HandModel) -> None:
    v, u = np.mgrid[:240, :320]
    blob = np.exp(-((u - 90.3) ** 2 + (v - 61.7) ** 2) / (2 * 12**2))
    picture = (255 * np.repeat(blob[..., None], 3, axis=2)).round().astype(np.uint8)
    rgb = copied_root / "train" / "A1" / "rgb"
    (rgb / "0000.jpg").unlink()
    Image.fromarray(picture).save(rgb / "0000.png")
    for size in ((160, 120), (64, 48)):
        image = Ho3d(copied_root, hand, size=size).frame(A0, annotated=False).image[0].double()
        grid_v, grid_u = torch.meshgrid(torch.arange(size[1]), torch.arange(size[0]), indexing="ij")
        centre = torch.stack([(grid_u * image).sum(), (grid_v * image).sum()]) / image.sum()
        scale = size[0] / 320
        expected = torch.tensor([scale * (90.3 + 0.5) - 0.5, scale * (61.7 + 0.5) - 0.5], dtype=torch.float64)
        assert_close(centre, expected, rtol=0, atol=0.02)


def test_version_2_png_pictures_are_read(copied_root: Path, hand: HandModel) -> None:
    before = Ho3d(copied_root, hand).frame(A0, annotated=False).image
    path = copied_root / "train" / "A1" / "rgb" / "0000.jpg"
    with Image.open(path) as picture:
        picture.save(path.with_suffix(".png"))
    path.unlink()
    dataset = Ho3d(copied_root, hand)
    assert dataset.picture_file(A0).suffix == ".png"
    assert torch.equal(dataset.frame(A0, annotated=False).image, before)


def test_annotations_of_another_hand_are_refused(copied_root: Path, hand: HandModel) -> None:
    template = hand.template
    other = HandModel(replace(template, name="larger", vertices=1.2 * template.vertices))
    with pytest.raises(DataError, match=r"joints of .*0000\.pkl .* mm away: .* made with another hand"):
        Ho3d(copied_root, other).frame(A0, annotated=True)


def test_unannotated_frames_are_recognised(copied_root: Path, hand: HandModel) -> None:
    edit_meta(copied_root, A0, lambda meta: meta.update(handJoints3D=None, handPose=None, objRot=None))
    dataset = Ho3d(copied_root, hand)
    assert not dataset.is_annotated(A0)
    assert dataset.is_annotated(FrameName("A1", 1))
    assert dataset.frame(A0, annotated=False).annotation is None


def test_hand_and_object_behind_the_camera_are_refused(copied_root: Path, hand: HandModel) -> None:
    edit_meta(copied_root, A0, lambda meta: meta.update(objTrans=[0, 0, 0.5]))
    with pytest.raises(DataError, match="in front of the camera"):
        Ho3d(copied_root, hand).frame(A0, annotated=True)


@pytest.mark.parametrize("line", ["A1", "A1/x", "/0001", "../0001", "A1/-1"])
def test_broken_lists_are_refused(copied_root: Path, hand: HandModel, line: str) -> None:
    (copied_root / "train.txt").write_text(f"A1/0000\n{line}\n")
    with pytest.raises(DataError, match=r"expected SEQUENCE/NUMBER in line 2 of .*train\.txt"):
        Ho3d(copied_root, hand).names("train")


@pytest.mark.parametrize("content", ["[1, 2", "[[[0, 0, 0]]]", '{"a": 1}', "[[[NaN]]]"])
def test_broken_evaluation_lists_are_refused(copied_root: Path, hand: HandModel, content: str) -> None:
    (copied_root / "evaluation_xyz.json").write_text(content)
    with pytest.raises(DataError, match=r"evaluation_xyz\.json"):
        Ho3d(copied_root, hand).truth(FrameName("E1", 0))


def test_missing_evaluation_list_is_named(copied_root: Path, hand: HandModel) -> None:
    (copied_root / "evaluation_verts.json").unlink()
    with pytest.raises(DataError, match=r"expected the numbers of .*evaluation_verts\.json, found no such file"):
        Ho3d(copied_root, hand).truth(FrameName("E1", 0))
