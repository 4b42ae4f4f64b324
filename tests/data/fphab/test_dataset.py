"""The FPHAB loader against what wrote the files, and against numbers worked by hand from the format's description."""

import pickle
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from tests.data.fphab.fphab_files import (
    EMPTY,
    EVALUATION,
    FULL_PX,
    INTRINSICS,
    LIST,
    MESH_OFFSET_M,
    REDUCED_PX,
    SIMPLE_ORDER,
    TRAIN,
    WITHOUT_POSE,
    FphabSample,
)
from warpgrasp.data import open_dataset
from warpgrasp.data.dataset import Dataset
from warpgrasp.data.fphab.dataset import Fphab
from warpgrasp.data.fphab.files import FPHAB_JOINTS, PROTOCOLS
from warpgrasp.data.sample.grasp import object_surface
from warpgrasp.errors import DataError
from warpgrasp.frame import FrameName, pose_points
from warpgrasp.hand.model import JOINTS, HandModel, permutation

SAME_M = 1e-6
SAME_PX = 5e-3
A0 = FrameName("Subject_1/open_juice_bottle/1", 0)
WITHOUT_FITS = "Subject_6/pour_milk/1"


@pytest.fixture(scope="module")
def sample(fphab_sample: FphabSample) -> FphabSample:
    """Read only: copy before changing."""
    return fphab_sample


@pytest.fixture
def copied(sample: FphabSample, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sample.root, tmp_path / "fphab"))


def object_points(frame_or_truth) -> torch.Tensor:
    annotation, model = frame_or_truth.annotation, frame_or_truth.object
    return pose_points(annotation.object_rotation, annotation.object_translation, model.vertices)


def pixels_of(points_m: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
    """Where points project in a picture of this size, which shows what the full-size picture shows."""
    image = points_m @ INTRINSICS.T
    return torch.from_numpy(np.array(size) / (1920, 1080) * (image[:, :2] / image[:, 2:] + 0.5) - 0.5).float()


def every_frame(sample: FphabSample) -> Iterator[FrameName]:
    for sequence, one in sample.sequences.items():
        yield from (FrameName(sequence, index) for index in range(one.first_pose, len(one.joints)))


def test_it_is_a_data_set_that_is_recognised(sample: FphabSample, hand: HandModel) -> None:
    dataset = open_dataset(sample.root, hand)
    assert isinstance(dataset, Fphab)
    assert isinstance(dataset, Dataset)
    assert dataset.protocol == "fphab/actions"
    assert open_dataset(sample.root, hand, layout="fphab", protocol="fphab/subjects").protocol == "fphab/subjects"
    with pytest.raises(DataError, match=r"expected a protocol of FPHAB \(fphab/actions, .*\), got 'objects'"):
        open_dataset(sample.root, hand, protocol="objects")


def test_frames_agree_with_what_was_written(sample: FphabSample, hand: HandModel) -> None:
    dataset = Fphab(sample.root, hand)
    for name in every_frame(sample):
        written, frame = sample.sequences[name.sequence], dataset.frame(name, annotated=True)
        joints, vertices = written.joints[name.index], written.object_vertices[name.index]
        assert_close(frame.annotation.hand_joints, torch.from_numpy(joints).float(), rtol=0, atol=SAME_M)
        assert_close(object_points(frame), torch.from_numpy(vertices).float(), rtol=0, atol=SAME_M)
        assert (frame.camera.width, frame.camera.height) == FULL_PX
        project = frame.camera.project
        assert_close(project(frame.annotation.hand_joints), pixels_of(joints, FULL_PX), rtol=0, atol=SAME_PX)
        assert_close(project(object_points(frame)), pixels_of(vertices, FULL_PX), rtol=0, atol=SAME_PX)
        if name.sequence != WITHOUT_FITS:
            hand_vertices = written.hand_vertices[name.index]
            expected = torch.from_numpy(hand_vertices).float()
            assert_close(frame.annotation.hand_vertices, expected, rtol=0, atol=SAME_M)
            assert_close(
                project(frame.annotation.hand_vertices), pixels_of(hand_vertices, FULL_PX), rtol=0, atol=SAME_PX
            )


def test_truth_is_in_the_camera_of_the_reduced_picture(sample: FphabSample, hand: HandModel) -> None:
    """480x270: a quarter of the full size; its pixels' centres lie between those of four."""
    truth = Fphab(sample.root, hand, size=(32, 18)).truth(A0)
    expected = torch.tensor([[348.937256, 0, 233.558136], [0, 348.937317, 134.7952575], [0, 0, 1]])
    assert_close(truth.intrinsics, expected, rtol=0, atol=1e-4)
    annotation = Fphab(sample.root, hand).frame(A0, annotated=True).annotation
    assert torch.equal(truth.annotation.hand_vertices, annotation.hand_vertices)


def test_the_hand_turns_by_the_rotation_that_is_given(sample: FphabSample, hand: HandModel) -> None:
    annotation = Fphab(sample.root, hand).truth(A0).annotation
    written = sample.sequences[A0.sequence].sequence
    pose, shape = (torch.from_numpy(part).float()[None] for part in (written.hand_pose[0], written.hand_shape))
    unturned = hand(torch.zeros(1, 3), pose, shape).vertices[0]
    turned = unturned @ annotation.hand_rotation.T
    expected = annotation.hand_vertices - annotation.hand_vertices.mean(dim=0)
    assert_close(turned - turned.mean(dim=0), expected, rtol=0, atol=SAME_M)


def wedge(root: Path, folder: str = "juice_model") -> None:
    """A mesh whose first vertex is (0.1, 0.02, 0) m."""
    rows = ["ply", "format ascii 1.0", "element vertex 4", *(f"property float {axis}" for axis in "xyz")]
    rows += ["element face 4", "property list uchar int vertex_indices", "end_header"]
    rows += ["0.1 0.02 0", "0 0 0", "0 0.05 0", "0 0 0.02", "3 0 1 2", "3 0 3 1", "3 1 3 2", "3 2 3 0"]
    (root / "Object_models" / folder / f"{folder}.ply").write_text("\n".join(rows) + "\n")


def test_an_object_row_to_its_pixel_by_hand(copied: Path, hand: HandModel) -> None:
    # A.1: X_cam_mm = E · (M · [1000·v; 1]), M written column by column. M is a quarter turn about z and (10, -60, 500):
    #   columns (0, 1, 0, 0), (-1, 0, 0, 0), (0, 0, 1, 0), (10, -60, 500, 1)
    #   v = (0.1, 0.02, 0) m -> (100, 20, 0) mm -> (-20, 100, 0) -> (-10, 40, 500) in the depth camera's frame
    # E:  x =  0.999988496304·(-10) - 0.00468848412856·40 + 0.000982563360594·500 + 25.7
    #       = -9.999885 - 0.187539 + 0.491282 + 25.7 = 16.003857
    #     y =  0.00469115935266·(-10) + 0.999985218048·40 - 0.00273845880292·500 + 1.22
    #       = -0.046912 + 39.999409 - 1.369229 + 1.22 = 39.803268
    #     z = -0.000969709653873·(-10) + 0.00274303671904·40 + 0.99999576807·500 + 3.902
    #       =  0.009697 + 0.109721 + 499.997884 + 3.902 = 504.019303
    # u = 1395.749023 · 16.003857 / 504.019303 + 935.732544 = 44.318478 + 935.732544 = 980.051022
    # v = 1395.749268 · 39.803268 / 504.019303 + 540.681030 = 110.224711 + 540.681030 = 650.905741
    # In the fixture's picture of 192x108: 0.1·(u + 0.5) - 0.5 = 97.555102, 0.1·(v + 0.5) - 0.5 = 64.640574.
    wedge(copied)
    path = copied / "Object_6D_pose_annotation_v1_1" / A0.sequence / "object_pose.txt"
    path.write_text("0 0 1 0 0 -1 0 0 0 0 0 1 0 10 -60 500 1\n")
    frame = Fphab(copied, hand).frame(A0, annotated=True)
    points = object_points(frame)
    tip = points[:, 1].argmax()  # the lowest in the picture
    assert_close(points[tip], torch.tensor([0.016003857, 0.039803268, 0.504019303]), rtol=0, atol=2e-7)
    full = frame.camera.resized(1920, 1080)
    assert_close(full.project(points)[tip], torch.tensor([980.051022, 650.905741]), rtol=0, atol=1e-3)
    assert_close(frame.camera.project(points)[tip], torch.tensor([97.555102, 64.640574]), rtol=0, atol=1e-4)


def test_a_skeleton_row_to_pixels_by_hand(copied: Path, hand: HandModel) -> None:
    # A.1: mm, depth camera's frame. The joint at place p of the row lies at (30 + p, -20, 400).
    # The wrist is at place 0, (30, -20, 400):
    #   x = 0.999988496304·30 - 0.00468848412856·(-20) + 0.000982563360594·400 + 25.7
    #     = 29.999655 + 0.093770 + 0.393025 + 25.7 = 56.186450
    #   y = 0.140735 - 19.999704 - 1.095384 + 1.22 = -19.734353
    #   z = -0.029091 - 0.054861 + 399.998307 + 3.902 = 403.816355
    #   u = 1395.749023 · 56.186450 / 403.816355 + 935.732544 = 1129.935135
    #   v = 1395.749268 · (-19.734353) / 403.816355 + 540.681030 = 472.471289
    # The tip of the middle finger (MTIP) is the 15th name, place 14, (44, -20, 400): 14 times E's first column more:
    #   x = 70.186289, y = -19.668677, z = 403.802779; u = 1178.332271, v = 472.696007
    path = copied / "Hand_pose_annotation_v1" / A0.sequence / "skeleton.txt"
    path.write_text("0000 " + " ".join(f"{30 + place} -20 400" for place in range(21)) + "\n")
    shutil.rmtree(copied / "fhbhands_fits")
    dataset = Fphab(copied, hand)
    joints = dataset.annotation(A0.sequence).joints.of(0)
    camera = dataset.frame(A0, annotated=False).camera.resized(1920, 1080)
    wrist, tip = JOINTS.index("wrist"), JOINTS.index("middle_tip")
    assert_close(joints[wrist], torch.tensor([0.056186450, -0.019734353, 0.403816355]), rtol=0, atol=1e-7)
    assert_close(joints[tip], torch.tensor([0.070186289, -0.019668677, 0.403802779]), rtol=0, atol=1e-7)
    pixels = camera.project(joints)[[wrist, tip]]
    assert_close(pixels, torch.tensor([[1129.935135, 472.471289], [1178.332271, 472.696007]]), rtol=0, atol=1e-3)
    with pytest.raises(DataError, match=r"expected the 21 joints of a hand in frame 0 of .*skeleton\.txt"):
        dataset.frame(A0, annotated=True)  # joints on a line are no hand


def test_the_joint_order_is_the_published_one() -> None:
    assert permutation(JOINTS, from_=FPHAB_JOINTS) == SIMPLE_ORDER
    assert FPHAB_JOINTS[11] == "index_tip"  # ITIP
    assert FPHAB_JOINTS[5] == "little_1"  # PMCP


def test_every_split_of_every_protocol(sample: FphabSample, hand: HandModel) -> None:
    def listed(protocol: str, split: str) -> dict[str, list[int]]:
        dataset = open_dataset(sample.root, hand, protocol=protocol)
        assert dataset.names(split) == [
            FrameName(name, index) for name, frames in dataset.sequences[split].items() for index in frames
        ]
        assert all(dataset.is_annotated(name) for name in dataset.names(split))
        return dict(dataset.sequences[split])

    def whole(names: list[str]) -> dict[str, list[int]]:
        posed = {name: list(range(first, frames)) for name, frames, first, _ in (*TRAIN, *EVALUATION)}
        return {name: posed[name] for name in names}

    assert listed("actions", "train") == whole([name for name, *_ in TRAIN])
    assert listed("actions", "evaluation") == whole([name for name, *_ in EVALUATION])
    trained = ["Subject_1/open_juice_bottle/1", "Subject_3/pour_milk/2", "Subject_1/pour_milk/3"]
    tested = ["Subject_5/open_juice_bottle/2", "Subject_2/open_juice_bottle/1", "Subject_6/pour_milk/1"]
    assert listed("subjects", "train") == whole(trained)
    assert listed("subjects", "evaluation") == whole(tested)
    for split in ("train", "evaluation"):
        near, every = listed("subjects-near-10mm", split), listed("subjects", split)
        assert 0 < sum(map(len, near.values())) < sum(map(len, every.values()))
        assert all(set(frames) <= set(every[sequence]) for sequence, frames in near.items())
    assert listed("actions", "validation") == {}


def test_what_has_no_pose_or_no_joints_is_not_listed(sample: FphabSample, hand: HandModel) -> None:
    dataset = Fphab(sample.root, hand)
    sequences = {name for split in dataset.sequences.values() for name in split}
    assert sequences.isdisjoint({EMPTY, WITHOUT_POSE, "Subject_5/use_flash/6", "Subject_2/high_five/1"})
    for name in (FrameName("Subject_3/pour_milk/2", 1), FrameName(A0.sequence, 99), FrameName(EMPTY, 0)):
        assert not dataset.is_annotated(name)
        with pytest.raises(DataError, match=rf"got frame {name.index}, which has not both"):
            dataset.frame(name, annotated=False)


def test_frames_with_the_hand_far_from_the_object_are_dropped(sample: FphabSample, hand: HandModel) -> None:
    """By the distance from FPHAB's 21 joints to the object's vertices; the hand's surface has no part in it."""
    near, far = set(), set()
    for name in every_frame(sample):
        written = sample.sequences[name.sequence]
        between = written.joints[name.index][:, None] - written.object_vertices[name.index]
        (near if np.linalg.norm(between, axis=2).min() <= 0.010 else far).add(name)
    dataset = open_dataset(sample.root, hand, protocol="subjects-near-10mm")
    kept = {name for split in dataset.sequences for name in dataset.names(split)}
    assert kept == near
    assert len(near) > 5 < len(far)


def test_frames_with_joints_alone_get_a_fitted_surface(
    copied: Path, sample: FphabSample, hand: HandModel, tmp_path: Path, monkeypatch
) -> None:
    written = sample.sequences[WITHOUT_FITS]
    shutil.rmtree(copied / ".warpgrasp", ignore_errors=True)  # of other tests
    dataset = Fphab(copied, hand)
    dataset.names("train")
    assert not (copied / ".warpgrasp").exists()
    surfaces = []
    for index in range(3):
        annotation = dataset.truth(FrameName(WITHOUT_FITS, index)).annotation
        expected = torch.from_numpy(written.hand_vertices[index]).float()
        assert (annotation.hand_vertices - expected).norm(dim=-1).mean() < 0.006  # joints lie 3 mm beside the model's
        assert (annotation.hand_vertices - expected).norm(dim=-1).mean() > 1e-4  # and are not the hand's own
        surfaces.append(annotation.hand_vertices)
    hands = dataset.hands(WITHOUT_FITS)
    assert hands.fitted.all()
    assert not dataset.hands(A0.sequence).fitted.any()
    assert (hands.shape == hands.shape[0]).all()
    (cached,) = (copied / ".warpgrasp/hand_fits").glob("*")
    before = cached.read_bytes()
    again = Fphab(copied, hand)
    for index in range(3):
        vertices = again.truth(FrameName(WITHOUT_FITS, index)).annotation.hand_vertices
        assert_close(vertices, surfaces[index], rtol=0, atol=1e-6)
    assert cached.read_bytes() == before
    shutil.rmtree(copied / ".warpgrasp")
    (copied / ".warpgrasp").touch()  # as where nothing can be written
    monkeypatch.setenv("WARPGRASP_CACHE", str(tmp_path / "cache"))
    Fphab(copied, hand).truth(FrameName(WITHOUT_FITS, 0))
    (cached,) = (tmp_path / "cache/hand_fits").glob("*")
    assert cached.read_bytes() == before


def test_fits_are_found_where_they_are_published_or_said_to_be(copied: Path, hand: HandModel, tmp_path: Path) -> None:
    before = Fphab(copied, hand).truth(A0).annotation.hand_vertices
    beside = tmp_path / "assets" / "fhbhands_fits"
    beside.parent.mkdir()
    shutil.move(copied / "fhbhands_fits", beside)
    found = Fphab(copied, hand)
    assert found.fits_file(A0.sequence) is not None
    assert torch.equal(found.truth(A0).annotation.hand_vertices, before)
    shutil.move(beside, tmp_path / "elsewhere")
    assert Fphab(copied, hand).fits_file(A0.sequence) is None
    stated = Fphab(copied, hand, fits=tmp_path / "elsewhere").at_size((64, 36))
    assert torch.equal(stated.truth(A0).annotation.hand_vertices, before)
    assert stated.annotation_files(A0)[2] == tmp_path / "elsewhere" / A0.sequence / "pkls.pkl"


def test_fits_of_another_hand_are_refused(sample: FphabSample, hand: HandModel) -> None:
    mirrored = HandModel(hand.template.mirrored("mano right (tips: manopth)"))
    said = r"expected the fitted hand where the skeleton is in frame 0 of .*pkls\.pkl, found it \d+ mm away in most"
    with pytest.raises(DataError, match=said + ".*--hand mano"):
        Fphab(sample.root, mirrored).frame(A0, annotated=True)


def moved_fits(root: Path, frames: list[int], metres: float) -> None:
    path = root / "fhbhands_fits" / A0.sequence / "pkls.pkl"
    fits = pickle.loads(path.read_bytes())  # noqa: S301 (our own file)
    for frame in frames:
        fits[f"{frame:06d}.pkl"]["trans"] += [metres, 0, 0]
    path.write_bytes(pickle.dumps(fits, protocol=2))


def test_a_single_fit_far_from_its_skeleton_is_refused(copied: Path, hand: HandModel) -> None:
    moved_fits(copied, [0], 0.3)
    dataset = Fphab(copied, hand)
    assert dataset.hands(A0.sequence).refused_frames == [0]
    with pytest.raises(DataError, match=r"frame 0 of .*pkls\.pkl, found it 30\d mm away; "):
        dataset.truth(A0)
    dataset.truth(FrameName(A0.sequence, 1))


@pytest.mark.parametrize(("metres", "agree"), [(0.010, True), (0.018, False), (0.05, False)])
def test_fits_that_all_lie_beside_their_skeletons(copied: Path, hand: HandModel, metres: float, agree: bool) -> None:
    """MANO's are refused; a hand that is not MANO is fitted to the joints, as where there are no fits."""
    expected = Fphab(copied, hand).truth(A0).annotation.hand_vertices
    moved_fits(copied, list(range(8)), metres)
    mano = HandModel(replace(hand.template, name="mano right (tips: manopth)"))
    assert len(Fphab(copied, mano).hands(A0.sequence).refused_frames) == (0 if agree else 8)
    dataset = Fphab(copied, hand)
    assert dataset.hands(A0.sequence).fitted.all() != agree
    assert dataset.hands(A0.sequence).refused_frames == []
    away_m = (dataset.truth(A0).annotation.hand_vertices - expected).norm(dim=-1).mean()
    assert away_m == pytest.approx(metres, rel=1e-3) if agree else away_m < 0.006


def test_what_cannot_be_fitted_is_an_unannotated_frame(copied: Path, hand: HandModel) -> None:
    """One frame of eight: the others keep their annotation."""
    (copied / "fhbhands_fits" / A0.sequence / "pkls.pkl").unlink()
    path = copied / "Hand_pose_annotation_v1" / A0.sequence / "skeleton.txt"
    rows = [line.split() for line in path.read_text().splitlines()]
    rows[5][1:] = rows[5][4:] + rows[5][1:4]  # every joint takes the place of the one before
    path.write_text("\n".join(map(" ".join, rows)) + "\n")
    dataset = Fphab(copied, hand)
    assert [index for index in range(8) if not dataset.is_annotated(FrameName(A0.sequence, index))] == [5]
    assert dataset.frame(FrameName(A0.sequence, 5), annotated=False).annotation is None
    with pytest.raises(DataError, match=r"the 21 joints of a hand in frame 5 of .*skeleton\.txt, found joints"):
        dataset.truth(FrameName(A0.sequence, 5))
    dataset.truth(FrameName(A0.sequence, 4))


def test_reduced_copies_are_taken_when_they_are_large_enough(copied: Path, hand: HandModel) -> None:
    def folder(size: tuple[int, int] | None) -> str:
        return Fphab(copied, hand, size=size).picture_file(A0).relative_to(copied).parts[0]

    assert folder(None) == "Video_files"
    assert folder((480, 270)) == "Video_files_480"
    assert folder((64, 48)) == "Video_files_480"
    assert folder((481, 270)) == "Video_files"
    shutil.rmtree(copied / "Video_files")
    assert folder(None) == folder((640, 480)) == "Video_files_480"
    assert Fphab(copied, hand).frame(A0, annotated=False).camera.width == REDUCED_PX[0]
    shutil.rmtree(copied / "Video_files_480")
    with pytest.raises(DataError, match=r"expected the picture .*Video_files/.*/color/color_0000\.jpeg, found no such"):
        Fphab(copied, hand).frame(A0, annotated=False)


@pytest.mark.parametrize("size", [None, (96, 54), (192, 108), (48, 54)])
def test_the_picture_shows_things_where_the_camera_says(
    sample: FphabSample, hand: HandModel, size: tuple[int, int] | None
) -> None:
    """The fixture's pictures are bright where vertices project, and dark elsewhere."""
    frame = Fphab(sample.root, hand, size=size).frame(A0, annotated=True)
    assert (frame.camera.width, frame.camera.height) == (size or FULL_PX)
    points = torch.cat([frame.annotation.hand_vertices, object_points(frame)])
    u, v = frame.camera.project(points).round().long().unbind(dim=1)
    assert frame.image[:, v, u].mean() > 0.65
    assert frame.image.mean() < 0.3


def test_a_picture_of_another_shape_moves_the_camera_along_each_axis(copied: Path, hand: HandModel) -> None:
    path = Fphab(copied, hand).picture_file(A0)
    with Image.open(path) as picture:
        picture.resize((160, 120)).save(path)
    points = torch.tensor([[0.02, -0.03, 0.5]])
    frame = Fphab(copied, hand).frame(A0, annotated=False)
    assert_close(frame.camera.project(points), pixels_of(points.numpy(), (160, 120)), rtol=0, atol=1e-3)


def test_objects_are_those_of_the_actions(copied: Path, hand: HandModel) -> None:
    dataset = Fphab(copied, hand)
    assert [model.name for model in dataset.objects("train")] == ["juice_bottle", "milk"]
    model = dataset.object_model("juice_bottle")
    vertices = np.unique(object_surface("006_mustard_bottle").vertices, axis=0)
    middle = (vertices.min(axis=0) + vertices.max(axis=0)) / 2
    assert_close(model.centre_m, torch.from_numpy(middle + MESH_OFFSET_M).float(), rtol=0, atol=SAME_M)
    assert_close(model.vertices, torch.from_numpy(vertices - middle).float(), rtol=0, atol=SAME_M)
    models = copied / "Object_models"
    (models / "juice_model").rename(models / "juice_bottle_model")
    (models / "juice_bottle_model" / "juice_model.ply").rename(models / "juice_bottle_model/juice_bottle_model.ply")
    assert torch.equal(Fphab(copied, hand).object_model("juice_bottle").vertices, model.vertices)


def test_a_mesh_in_millimetres_is_refused(copied: Path, hand: HandModel) -> None:
    path = copied / "Object_models/milk_model/milk_model.ply"
    words = [line.split() for line in path.read_text().splitlines()]
    scaled = [[str(1000 * float(word)) for word in row] if len(row) == 3 and "." in row[0] else row for row in words]
    path.write_text("\n".join(" ".join(row) for row in scaled) + "\n")
    with pytest.raises(DataError, match=r"hand-held object in metres in .*milk_model\.ply, found one 2\d\d"):
        Fphab(copied, hand).object_model("milk")


def test_hand_or_object_behind_the_camera_is_refused(copied: Path, hand: HandModel) -> None:
    path = copied / "Object_6D_pose_annotation_v1_1" / A0.sequence / "object_pose.txt"
    path.write_text("0 1 0 0 0 0 1 0 0 0 0 1 0 0 0 -500 1\n")
    with pytest.raises(
        DataError, match=r"in front of the camera in frame 0 of .*object_pose\.txt, found a depth of -0"
    ):
        Fphab(copied, hand).frame(A0, annotated=True)


def test_other_versions_of_the_folders_are_found(copied: Path, hand: HandModel) -> None:
    before = Fphab(copied, hand).names("train")
    (copied / "Hand_pose_annotation_v1").rename(copied / "Hand_pose_annotation_v1_1")
    (copied / "Object_6D_pose_annotation_v1_1").rename(copied / "Object_6D_pose_annotation_v1")
    assert Fphab(copied, hand).names("train") == before
    shutil.rmtree(copied / "Object_6D_pose_annotation_v1")
    with pytest.raises(DataError, match=r"expected FPHAB's folder Object_6D_pose_annotation_v1_1 or .*found neither"):
        Fphab(copied, hand).names("train")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "beginning with `Training`"),
        ("Subject_1/put_salt/1 3\n", "beginning with `Training`"),
        ("Training 1\nSubject_1/put_salt/1 3\n", "expected one line `Test` in .*, found 0"),
        ("Training 1\nTest 1\nTest 1\n", "expected one line `Test` in .*, found 2"),
        ("Training 1\nSubject_1/put_salt/1 3\nTest 1\nSubject_1/put_salt/1 3\n", "in line 4 of"),
        ("Training 1\n../../etc/1 3\nTest 0\n", "in line 2 of"),
        ("Training 1\nSubject_1/../1 3\nTest 0\n", "in line 2 of"),
        ("Training 1\nSubject_1/put_salt/.. 3\nTest 0\n", "in line 2 of"),
        ("Training 1\n/etc/passwd/1 3\nTest 0\n", "in line 2 of"),
        ("Training 1\nSubject_7/put_salt/1 3\nTest 0\n", "in line 2 of"),
    ],
)
def test_broken_lists_are_refused(copied: Path, hand: HandModel, text: str, what: str) -> None:
    (copied / LIST).write_text(text)
    with pytest.raises(DataError, match=rf"{what}|{what}.*{LIST}"):
        Fphab(copied, hand).names("train")


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ("0 1 0 0 10 0 1 0 20 0 0 1 500 0 0 0 1", "column by column, in row 1"),  # row by row
        ("0 1 0 0 0 0 1 0 0 0 0 -1 0 0 0 500 1", "rigid transform"),  # a reflection
        ("0 2 0 0 0 0 2 0 0 0 0 2 0 0 0 500 1", "rigid transform"),
        ("0 1 0 0 0 0 1 0 0 0 0 1 0 0 0 nan 1", "expected finite numbers for row 1, .*found NaN"),
        ("0 1 0 0 0 0 1 0 0 0 0 1 0 0 0 1e300 1", r"expected numbers of at most 10000 for row 1, .*found 1e\+300"),
        ("0 1 0 0 0 0 1 0 0 0 0 1 0 0 0 500", "expected numbers in a list of 16 for row 1, .*, found a list of 15"),
        ("0.5 1 0 0 0 0 1 0 0 0 0 1 0 0 0 500 1", "frame's number"),
        ("-1 1 0 0 0 0 1 0 0 0 0 1 0 0 0 500 1", "frame's number"),
        ("a 1 0 0 0 0 1 0 0 0 0 1 0 0 0 500 1", "frame's number"),
        ("0 a 0 0 0 0 1 0 0 0 0 1 0 0 0 500 1", r"found 'a' at \[0\]"),
        ("0 1_0 0 0 0 0 1 0 0 0 0 1 0 0 0 500 1", r"found '1_0' at \[0\]"),
        ("0 1 0 0 0 0 1 0 0 0 0 1 0 0 0 500 1\n" * 2, "each frame once"),
    ],
)
def test_broken_poses_are_refused(copied: Path, hand: HandModel, row: str, what: str) -> None:
    (copied / "Object_6D_pose_annotation_v1_1" / A0.sequence / "object_pose.txt").write_text(row + "\n")
    for ask in (Fphab(copied, hand).is_annotated, Fphab(copied, hand).truth):
        with pytest.raises(DataError, match=what) as refusal:
            ask(A0)
        assert "object_pose.txt" in str(refusal.value)


def spoil_row(path: Path, number: int, column: int, word: str) -> None:
    rows = [line.split() for line in path.read_text().splitlines()]
    rows[number][column] = word
    path.write_text("\n".join(map(" ".join, rows)) + "\n")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_is_broken_in_a_frame_concerns_that_frame_alone(copied: Path, hand: HandModel, protocol: str) -> None:
    whole = open_dataset(copied, hand, protocol=protocol)
    spoil_row(copied / "Hand_pose_annotation_v1" / A0.sequence / "skeleton.txt", 1, 30, "nan")
    spoil_row(copied / "Object_6D_pose_annotation_v1_1" / A0.sequence / "object_pose.txt", 2, 5, "9")
    path = copied / "fhbhands_fits" / A0.sequence / "pkls.pkl"
    fits = pickle.loads(path.read_bytes())  # noqa: S301 (our own file)
    fits["000003.pkl"]["trans"] = np.full(3, np.inf)
    path.write_bytes(pickle.dumps(fits, protocol=2))
    spoilt = open_dataset(copied, hand, protocol=protocol)
    expected = {
        1: r"finite numbers for row 2, .*skeleton\.txt",
        2: r"column by column, in row 3 of .*object_pose\.txt",
        3: r"finite numbers for 000003\.pkl\.trans in .*pkls\.pkl",
    }
    frames = spoilt.sequences["train"][A0.sequence]
    assert set(frames) == {*whole.sequences["train"][A0.sequence], *expected}  # far or near, who asks is to be told
    for index in frames:
        name = FrameName(A0.sequence, index)
        if index in expected:
            with pytest.raises(DataError, match=expected[index]):
                spoilt.truth(name)
        else:
            assert torch.equal(spoilt.truth(name).annotation.hand_vertices, whole.truth(name).annotation.hand_vertices)
    with pytest.raises(DataError, match=expected[2]):
        spoilt.is_annotated(FrameName(A0.sequence, 2))


def test_skeletons_with_gaps_are_refused(copied: Path, hand: HandModel) -> None:
    path = copied / "Hand_pose_annotation_v1" / A0.sequence / "skeleton.txt"
    rows = path.read_text().splitlines()
    path.write_text("\n".join([rows[0], *rows[2:]]))
    with pytest.raises(DataError, match=r"expected frame 1 in row 2 of .*skeleton\.txt, found frame 2"):
        Fphab(copied, hand).names("train")
    path.unlink()
    with pytest.raises(DataError, match=r"expected the annotation .*skeleton\.txt, found no such file"):
        Fphab(copied, hand).names("train")
