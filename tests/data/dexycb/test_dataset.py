"""The DexYCB loader against what wrote the files, and against numbers worked by hand from the format's description."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch.testing import assert_close

from tests.data.dexycb import dexycb_files
from tests.data.dexycb.dexycb_files import (
    EVALUATION_LEFT,
    EVALUATION_RIGHT,
    TRAIN_LEFT,
    TRAIN_RIGHT,
    DexYcbFiles,
    edit_labels,
    edit_yaml,
    file_vertices,
)
from tests.oracles.skinning import skin
from warpgrasp.data import layout_of, open_dataset
from warpgrasp.data.dataset import Dataset
from warpgrasp.data.dexycb import DexYcb, LeftHands, LeftShapedirs, SideChoice, Sides
from warpgrasp.errors import DataError
from warpgrasp.frame import FrameName, pose_points
from warpgrasp.hand.model import HandModel
from warpgrasp.hand.templates import open_hand

SAME_M = 1e-6
SAME_PX = 5e-3
MIRROR = np.array([-1.0, 1.0, 1.0])


@pytest.fixture
def copied(files: DexYcbFiles, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(files.root, tmp_path / "copied"))


def sides(choice: SideChoice, shapedirs: LeftShapedirs = "as-labelled") -> Sides:
    return Sides(choice, HandModel(open_hand("left")), shapedirs)


def opened(root: Path, hand: HandModel, choice: SideChoice = "both", **options) -> DexYcb:
    return DexYcb.open(root, hand, sides=sides(choice), **options)


@pytest.fixture(scope="module")
def both(files: DexYcbFiles, hand: HandModel) -> DexYcb:
    """Both hands of the tiny data set."""
    return opened(files.root, hand)


def read_otherwise(dataset: DexYcb, chosen: Sides) -> DexYcb:
    """The same folder, not listed again."""
    return replace(dataset, sides=chosen, left=LeftHands.of(chosen, dataset.hand.template))


def labels_file(root: Path, name: FrameName) -> Path:
    return root / name.sequence / f"labels_{name.index:06d}.npz"


def object_points(frame_or_truth) -> torch.Tensor:
    annotation, model = frame_or_truth.annotation, frame_or_truth.object
    return pose_points(annotation.object_rotation, annotation.object_translation, model.vertices)


def tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.asarray(array)).float()


@pytest.mark.parametrize("plan", [TRAIN_RIGHT, TRAIN_LEFT, EVALUATION_RIGHT, EVALUATION_LEFT], ids=lambda p: p.name)
def test_frames_agree_with_what_was_written(files: DexYcbFiles, both: DexYcb, plan) -> None:
    """Hand, object and camera of every annotated frame, a left hand's in the mirror."""
    dataset, written = both, files.views[plan.name]
    flip, left = (np.ones(3), False) if plan.side == "right" else (MIRROR, True)
    names = [name for name in dataset.names("train") + dataset.names("evaluation") if name.sequence == plan.name]
    assert [name.index for name in names] == list(range(plan.frames))
    names = [name for name in names if dataset.is_annotated(name)]
    assert len(names) == plan.frames - (2 if plan in (TRAIN_RIGHT, TRAIN_LEFT) else 0)
    for name in names:
        frame, truth = dataset.frame(name, annotated=True), dataset.truth(name)
        pose = written.camera_from_object[name.index]
        things = file_vertices(plan.object_name) @ pose[:3, :3].T + pose[:3, 3]
        assert frame.object.name == plan.object_name + (" (mirrored)" if left else "")
        for one in (frame, truth):
            assert_close(one.annotation.hand_vertices, tensor(written.vertices[name.index] * flip), rtol=0, atol=SAME_M)
            assert_close(one.annotation.hand_joints, tensor(written.joints[name.index] * flip), rtol=0, atol=SAME_M)
            assert_close(object_points(one), tensor(things * flip), rtol=0, atol=SAME_M)
        for points, ours in (
            (things, object_points(frame)),
            (written.joints[name.index], frame.annotation.hand_joints),
            (written.vertices[name.index], frame.annotation.hand_vertices),
        ):
            pixels = points @ written.intrinsics.T
            pixels = pixels[:, :2] / pixels[:, 2:]
            if left:
                pixels[:, 0] = 639 - pixels[:, 0]
            assert_close(frame.camera.project(ours), tensor(pixels), rtol=0, atol=SAME_PX)
        assert_close(truth.intrinsics, frame.camera.intrinsics)
        assert (frame.camera.width, frame.camera.height) == (640, 480)
        picture = written.pictures[name.index]
        shown = picture.flip(-1) if left else picture
        assert (frame.image - shown).abs().mean() < 0.02
        assert (frame.image - shown.flip(-1)).abs().mean() > 0.05


@pytest.mark.parametrize("shapedirs", ["as-labelled", "corrected"])
def test_the_left_hand_by_the_plain_twin(files: DexYcbFiles, both: DexYcb, shapedirs: LeftShapedirs) -> None:
    """As labelled, mirrored: the right hand with the opposite x in its shape directions. Corrected: the right hand."""
    dataset = read_otherwise(both, sides("left", shapedirs))
    written, index = files.views[EVALUATION_LEFT.name], 1
    annotation = dataset.truth(FrameName(EVALUATION_LEFT.name, index)).annotation
    template = both.hand.template
    if shapedirs == "as-labelled":
        template = replace(template, shape_directions=template.shape_directions * MIRROR[:, None])
    turns = np.array([1.0, -1.0, -1.0])
    rotation, pose = written.hand_rotation[index] * turns, written.hand_pose[index] * np.tile(turns, 15)
    vertices, _ = skin(template, rotation, pose, written.hand_shape)
    expected = tensor(vertices + written.hand_translation[index] * MIRROR)
    assert_close(annotation.hand_vertices, expected, rtol=0, atol=SAME_M)
    assert_close(annotation.hand_rotation, tensor(Rotation.from_rotvec(rotation).as_matrix()), rtol=0, atol=SAME_M)


def test_the_two_readings_of_left_shapes_differ(both: DexYcb) -> None:
    name = FrameName(EVALUATION_LEFT.name, 0)
    readings: tuple[LeftShapedirs, ...] = ("as-labelled", "corrected")
    one, other = (
        read_otherwise(both, sides("left", reading)).truth(name).annotation.hand_vertices for reading in readings
    )
    assert (one - other).norm(dim=-1).max() > 1e-3


@pytest.mark.parametrize("reading", ["as-labelled", "corrected"])
def test_a_left_file_that_was_corrected_already_reads_the_same(both: DexYcb, reading: LeftShapedirs) -> None:
    name = FrameName(EVALUATION_LEFT.name, 0)
    of_files = [
        read_otherwise(both, Sides("left", HandModel(template), reading)).truth(name).annotation
        for template in (open_hand("left"), dexycb_files.labelled_left())
    ]
    assert torch.equal(of_files[0].hand_vertices, of_files[1].hand_vertices)


def test_labels_to_pixels_by_hand(copied: Path, hand: HandModel) -> None:
    # FORMATS A.3: pose_y is [R | t] in OpenCV axes and metres; intrinsics are fx, fy, ppx, ppy of "color".
    # The second object is the grasped one. R is a quarter turn about z, t = (0.05, -0.02, 0.8):
    #   v = (0.1, 0, 0)  ->  R v = (0, 0.1, 0)  ->  + t = (0.05, 0.08, 0.8)
    #   u = 600 · 0.05 / 0.8 + 310 = 347.5,  v = 620 · 0.08 / 0.8 + 250 = 312.
    # R transposed would give (0, -0.1, 0) + t and v = 620 · (-0.12) / 0.8 + 250 = 157.
    name = FrameName(EVALUATION_RIGHT.name, 0)
    rows = ["v 0.1 0 0", "v 0 0.05 0", "v 0 0 0.02", "v 0 0 0", "f 1 2 3", "f 1 4 2", "f 2 4 3", "f 3 4 1"]
    (copied / "models" / "006_mustard_bottle" / "textured_simple.obj").write_text("\n".join(rows) + "\n")
    intrinsics = copied / "calibration" / "intrinsics" / "932122062010_640x480.yml"
    intrinsics.write_text("color:\n  fx: 600.0\n  fy: 620\n  ppx: 310.0\n  ppy: 250.0\ndepth:\n  fx: 1.0\n")
    pose_y = np.zeros((3, 3, 4), np.float32)
    pose_y[0] = [[1, 0, 0, 0.3], [0, 1, 0, 0.3], [0, 0, 1, 0.9]]
    pose_y[1] = [[0, -1, 0, 0.05], [1, 0, 0, -0.02], [0, 0, 1, 0.8]]
    edit_labels(labels_file(copied, name), pose_y=pose_y)
    frame = opened(copied, hand, "right").frame(name, annotated=True)
    points = object_points(frame)
    lowest = points[:, 1].argmax()
    assert_close(points[lowest], torch.tensor([0.05, 0.08, 0.8]), rtol=0, atol=1e-6)
    assert_close(frame.camera.project(points)[lowest], torch.tensor([347.5, 312.0]), rtol=0, atol=1e-3)


def test_the_joint_order_by_hand(files: DexYcbFiles, both: DexYcb) -> None:
    """Wrist, then thumb to little finger, each from its base to its tip: the rows of joint_3d as they are."""
    name = FrameName(EVALUATION_RIGHT.name, 0)
    with np.load(labels_file(files.root, name)) as labels:
        rows = torch.from_numpy(labels["joint_3d"][0])
    joints = both.truth(name).annotation.hand_joints
    assert_close(joints, rows, rtol=0, atol=SAME_M)


def test_frames_without_hand_or_object_are_unannotated(both: DexYcb) -> None:
    dataset = both
    for plan in (TRAIN_RIGHT, TRAIN_LEFT):
        given = [dataset.is_annotated(FrameName(plan.name, index)) for index in range(plan.frames)]
        assert given == [False, False] + (plan.frames - 2) * [True]
        for index in (dexycb_files.WITHOUT_HAND, dexycb_files.WITHOUT_OBJECT):
            name = FrameName(plan.name, index)
            assert dataset.frame(name, annotated=False).annotation is None
            with pytest.raises(DataError, match=r"annotated in .*labels_00000[01]\.npz, found one without"):
                dataset.frame(name, annotated=True)


@pytest.mark.parametrize(
    ("choice", "train", "evaluation"),
    [
        ("right", [TRAIN_RIGHT], [EVALUATION_RIGHT]),
        ("left", [TRAIN_LEFT], [EVALUATION_LEFT]),
        ("both", [TRAIN_RIGHT, TRAIN_LEFT], [EVALUATION_RIGHT, EVALUATION_LEFT]),
    ],
)
def test_sides_are_chosen(both: DexYcb, choice: SideChoice, train, evaluation) -> None:
    dataset = read_otherwise(both, sides(choice))
    assert list(dataset.sequences["train"]) == [plan.name for plan in train]
    assert list(dataset.sequences["evaluation"]) == [plan.name for plan in evaluation]
    assert dataset.sequences["validation"] == {}
    expected = sorted(plan.object_name + (" (mirrored)" if plan.side == "left" else "") for plan in train)
    assert [model.name for model in dataset.objects("train")] == expected
    assert dataset.protocol == "dexycb/s0 " + choice + ("" if choice == "right" else " as-labelled")


def test_unseen_views_are_told_by_the_serial(both: DexYcb) -> None:
    dataset = replace(both, setup="dexycb/s2")
    assert list(dataset.sequences["train"]) == [TRAIN_RIGHT.name, TRAIN_LEFT.name, EVALUATION_LEFT.name]
    assert list(dataset.sequences["evaluation"]) == [EVALUATION_RIGHT.name]


def test_official_numbers_count_both_hands(both: DexYcb) -> None:
    assert [both.image_ids("train")[name] for name in both.names("train")] == list(range(9))
    left = read_otherwise(both, sides("left")).image_ids("train")
    assert left == {FrameName(TRAIN_LEFT.name, index): 5 + index for index in range(4)}


@pytest.mark.parametrize("size", [(320, 240), (64, 48), (100, 90)])
@pytest.mark.parametrize("plan", [EVALUATION_RIGHT, EVALUATION_LEFT], ids=lambda p: p.side)
def test_the_camera_follows_resizing(both: DexYcb, size: tuple[int, int], plan) -> None:
    dataset, name = both, FrameName(plan.name, 0)
    whole, small = dataset.frame(name, annotated=True), dataset.at_size(size).frame(name, annotated=True)
    assert small.image.shape == (3, size[1], size[0])
    scale = torch.tensor([size[0] / 640, size[1] / 480])
    points = object_points(whole)
    assert_close(small.camera.project(points), scale * (whole.camera.project(points) + 0.5) - 0.5, atol=1e-3, rtol=0)


def test_another_size_reads_no_metadata_again(both: DexYcb) -> None:
    dataset = both
    assert dataset.at_size((64, 48)).folder.captures is dataset.folder.captures


def test_listing_opens_no_labels_and_no_pictures(copied: Path, hand: HandModel) -> None:
    for path in (*copied.rglob("*.npz"), *copied.rglob("*.jpg")):
        path.unlink()
    dataset = opened(copied, hand)
    assert len(dataset.names("train")) == 9
    assert len(dataset.objects("evaluation")) == 2


def test_a_layout_is_recognised(files: DexYcbFiles, hand: HandModel, tmp_path: Path) -> None:
    assert layout_of(files.root) == "dexycb"
    dataset = open_dataset(files.root, hand, size=(64, 48), protocol="dexycb/s3")
    assert isinstance(dataset, Dataset)
    assert isinstance(dataset, DexYcb)
    assert (dataset.root, dataset.size, dataset.protocol) == (files.root, (64, 48), "dexycb/s3 right")
    (tmp_path / "20200709-subject").mkdir()
    with pytest.raises(DataError, match="known layout"):
        layout_of(tmp_path)


def refused(root: Path, hand: HandModel, pattern: str, *, name: FrameName, choice: SideChoice = "both") -> None:
    with pytest.raises(DataError, match=pattern):
        opened(root, hand, choice).frame(name, annotated=True)


R0, L0 = FrameName(EVALUATION_RIGHT.name, 0), FrameName(EVALUATION_LEFT.name, 0)


def test_another_hand_is_refused(files: DexYcbFiles, hand: HandModel) -> None:
    larger = HandModel(replace(hand.template, name="larger", vertices=1.2 * hand.template.vertices))
    refused(files.root, larger, r"hand model larger .* mm away: .* made with another hand", name=R0)
    flat = HandModel(replace(hand.template, name="flat", mean_pose=0 * hand.template.mean_pose))
    refused(files.root, flat, r"hand model flat .* mm away", name=R0)


def test_a_right_hand_given_for_the_left_is_refused(files: DexYcbFiles, hand: HandModel) -> None:
    dataset = DexYcb.open(files.root, hand, sides=Sides("left", hand))
    with pytest.raises(DataError, match="mm away"):
        dataset.truth(L0)


def test_labels_of_the_wrong_side_are_refused(copied: Path, hand: HandModel) -> None:
    for plan, side in ((EVALUATION_RIGHT, "left"), (EVALUATION_LEFT, "right")):
        edit_yaml(copied / plan.subject / plan.folder / "meta.yml", mano_sides=[side])
    for name in (R0, L0):
        refused(copied, hand, "mm away", name=name)


def test_a_left_hand_of_another_size_is_refused(files: DexYcbFiles, hand: HandModel) -> None:
    template = open_hand("left")
    fewer = HandModel(replace(template, shape_directions=template.shape_directions[..., :3]))
    with pytest.raises(DataError, match="left hand model that mirrors"):
        open_dataset(files.root, hand, sides=Sides("left", fewer))
    with pytest.raises(DataError, match="expected a left hand model beside open-hand right to read both hands"):
        open_dataset(files.root, hand, sides=Sides("both"))


def test_a_matrix_that_is_no_rotation_is_refused(copied: Path, hand: HandModel) -> None:
    path = labels_file(copied, R0)
    with np.load(path) as stored:
        poses = stored["pose_y"]
    for change in (np.diag([1, 1, -1]), 1.1 * np.eye(3)):
        edit_labels(path, pose_y=np.concatenate([change @ poses[..., :3], poses[..., 3:]], axis=-1).astype(np.float32))
        refused(copied, hand, r"expected a rotation in pose_y of .*labels_000000\.npz", name=R0)


def test_a_translation_in_millimetres_is_refused(copied: Path, hand: HandModel) -> None:
    path = labels_file(copied, R0)
    with np.load(path) as stored:
        poses = stored["pose_y"]
    poses[..., 3] *= 1000
    edit_labels(path, pose_y=poses)
    refused(copied, hand, r"near the camera in .*labels_000000\.npz, found one [\d.]+ m away", name=R0)


def test_a_mesh_in_millimetres_is_refused(copied: Path, hand: HandModel) -> None:
    path = copied / "models" / "006_mustard_bottle" / "textured_simple.obj"
    rows = [line.split() for line in path.read_text().splitlines()]
    scaled = [["v", *(str(1000 * float(value)) for value in row[1:4])] if row[:1] == ["v"] else row for row in rows]
    path.write_text("\n".join(" ".join(row) for row in scaled))
    refused(copied, hand, "expected a hand-held object in metres", name=R0)


def test_a_subject_that_is_not_whole_is_refused(copied: Path, hand: HandModel) -> None:
    shutil.rmtree(copied / TRAIN_LEFT.subject / TRAIN_LEFT.folder)
    with pytest.raises(DataError, match=r"expected 100 sequences in .*subject-03, found 99: .* archive"):
        opened(copied, hand).names("train")


def test_a_picture_of_another_size_is_refused(copied: Path, hand: HandModel, files: DexYcbFiles) -> None:
    small = files.views[EVALUATION_RIGHT.name].pictures[0][:, ::2, ::2]
    dexycb_files.save_picture(small, copied / EVALUATION_RIGHT.name / "color_000000.jpg")
    refused(copied, hand, r"640×480 pixels in .*color_000000\.jpg, .* found 320×240", name=R0)


@pytest.mark.parametrize("protocol", ["s4", "dexycb/s4", "official"])
def test_an_unknown_protocol_is_refused(files: DexYcbFiles, hand: HandModel, protocol: str) -> None:
    with pytest.raises(DataError, match=r"expected a protocol of DexYCB \(dexycb/s0, .*\), got "):
        open_dataset(files.root, hand, protocol=protocol)


def test_frames_and_objects_that_are_not_there_are_refused(files: DexYcbFiles, hand: HandModel) -> None:
    dataset = opened(files.root, hand, "right")
    for name in (FrameName("x/y/z", 0), FrameName(TRAIN_RIGHT.name, 5), FrameName(TRAIN_LEFT.name, 0)):
        with pytest.raises(DataError, match="expected a frame of dexycb/s0 right in"):
            dataset.picture_file(name)
    for name in ("../models", "", "099_elephant", "099_elephant (mirrored)"):
        with pytest.raises(DataError, match="expected an object of DexYCB"):
            dataset.object_model(name)


def test_options_of_dexycb_are_refused_elsewhere(sample_root: Path, hand: HandModel) -> None:
    for one in (Sides("left", hand), Sides("right", None, "corrected")):
        with pytest.raises(DataError, match=r"expected --side and --left-shapedirs with DexYCB.* the layout ho3d"):
            open_dataset(sample_root, hand, sides=one)
