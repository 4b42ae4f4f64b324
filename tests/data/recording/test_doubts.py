"""Labels that look like something else: each kind is warned of with its alternative, and good labels are not."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.data.recording.recording_files import WEDGE_M, edit, simple_label, write_obj, write_recording
from warpgrasp.data.augment import mirrored_object
from warpgrasp.data.meshes import load_object
from warpgrasp.data.recording.annotations import HandJoints, HandParameters, Label, write_annotations
from warpgrasp.data.recording.check import examine_recording
from warpgrasp.data.recording.dataset import Recordings
from warpgrasp.data.recording.files import load_mesh_in
from warpgrasp.data.recording.labels import EXAMINED, fits_other_hand
from warpgrasp.errors import DataError
from warpgrasp.frame import FrameName
from warpgrasp.hand.model import HandModel
from warpgrasp.hand.templates import left_hand, open_hand

MIRROR = np.array([-1.0, 1.0, 1.0])


def posed_joints(hand: HandModel, pose: torch.Tensor, shape: torch.Tensor, *, noise_m: float = 0.0) -> np.ndarray:
    """The joints of a hand half a metre before the camera."""
    with torch.no_grad():
        joints = hand(torch.tensor([[0.2, 0.4, 0.1]]), pose[None], shape[None]).joints[0].double().numpy()
    return joints + np.array([0.05, 0, 0.5]) + np.random.default_rng(1).normal(scale=noise_m, size=joints.shape)


@pytest.mark.parametrize("noise_m", [pytest.param(0.0, marks=pytest.mark.slow), 0.004])
@pytest.mark.parametrize("bend_rad", [0.0, pytest.param(0.15, marks=pytest.mark.slow), 0.3, "drawn"])
def test_the_side_of_joints_is_told(bend_rad: float | str, noise_m: float) -> None:
    """Both hands stated rightly and wrongly: from flat fingers to a pose drawn from the model's own distribution."""
    right, left = HandModel(open_hand()), HandModel(open_hand("left"))
    generator = torch.Generator().manual_seed(2)
    drawn = right.pose_from_coefficients(torch.randn(1, 15, generator=generator))[0]
    pose = drawn if isinstance(bend_rad, str) else torch.tensor([0, 0, bend_rad] * 15)
    joints = posed_joints(right, pose, torch.randn(10, generator=generator), noise_m=noise_m)
    given = {"right": torch.from_numpy(joints), "left": torch.from_numpy(joints * MIRROR)}
    assert [fits_other_hand(given[side], right) for side in given] == [False, True]
    assert [fits_other_hand(given[side], left) for side in given] == [True, False]


def parameters(label: Label) -> HandParameters:
    assert isinstance(label.hand, HandParameters)
    return label.hand


def fist() -> np.ndarray:
    """A pose in which the fingers bend as a right hand's do, far from the mean."""
    return HandModel(open_hand()).pose_from_coefficients(torch.tensor([[2.0, -1.0, 0.5]]))[0].double().numpy()


def with_pose(label: Label, angles: np.ndarray, rotation: tuple[float, float, float] = (0, 0, 0)) -> Label:
    return replace(label, hand=replace(parameters(label), pose=np.concatenate([rotation, angles])))


def with_joints(label: Label, mirror: np.ndarray | float) -> Label:
    hand = HandModel(open_hand())
    return replace(label, hand=HandJoints(posed_joints(hand, torch.zeros(45), torch.zeros(10)) * mirror))


@dataclass(frozen=True)
class Case:
    changed: Callable[[Label], Label]
    warning: str | None


CASES = {
    "flat": Case(lambda label: label, None),
    "bent": Case(lambda label: with_pose(label, fist()), None),
    "all bent": Case(lambda label: with_pose(label, np.array([0, 0, 1.5] * 15)), None),
    "half a turn": Case(lambda label: replace(label, object_rotation=np.array([0, np.pi + 1e-4, 0])), None),
    "joints": Case(lambda label: with_joints(label, 1.0), None),
    "a left hand's joints": Case(
        lambda label: with_joints(label, MIRROR), r'its 21 joints are those of a left hand; .* write "side": "left"'
    ),
    "a left hand's angles": Case(
        lambda label: with_pose(label, fist() * np.tile([1, -1, -1], 15)),
        r'its fingers bend like those of a left hand; for a left hand write "side": "left" in annotations\.json',
    ),
    "small degrees": Case(
        lambda label: with_pose(label, np.array([0, 0, 5.0] * 15)), r"by up to 5\.0 rad\); are the 45 .* degrees, or"
    ),
    "coefficients": Case(
        lambda label: with_pose(label, np.random.default_rng(0).normal(size=45)),
        r"coefficients of principal components",
    ),
    "an object's degrees": Case(
        lambda label: replace(label, object_rotation=np.array([0, 5.0, 0])),
        r"its object is turned by 5\.00 rad, more than a half turn; are these degrees\?",
    ),
    "a hand's degrees": Case(
        lambda label: with_pose(label, np.zeros(45), (0, 4.0, 0)), r"its hand is turned by 4\.00 rad, .* degrees\?"
    ),
    "far away": Case(
        lambda label: replace(label, object_translation=np.array([0, 0, 1.5])), r"lies 9\d\d mm from the hand; are both"
    ),
}


def labelled(folder: Path, label: Label) -> Recordings:
    write_recording(folder)
    by_parameters = isinstance(label.hand, HandParameters)
    write_annotations(folder, [label], hand_model="open-hand right" if by_parameters else None)
    return Recordings(folder, HandModel(open_hand()))


@pytest.mark.parametrize("name", CASES)
def test_doctor_and_reading_say_it(tmp_path: Path, capsys, name: str) -> None:
    case = CASES[name]
    dataset = labelled(tmp_path / "cup", case.changed(simple_label(3)))
    dataset.truth(FrameName("cup", 3))
    said = capsys.readouterr().err
    lines = [line for line in examine_recording(Recordings(tmp_path / "cup", dataset.hand)) if "look wrong" in line]
    assert capsys.readouterr().err == ""  # doctor says it once
    if case.warning is None:
        assert (said, lines) == ("", [])
        return
    pattern = r"1 of 1 labels look wrong, the first frame 3: .*" + case.warning
    assert re.search(r"^warpgrasp: warning: .*annotations\.json: " + pattern, said), said
    assert said.count("\n") == 1
    assert len(lines) == 1
    assert re.match("cup: warning: " + pattern, lines[0]), lines


def test_a_mesh_off_its_origin_placed_by_its_centre(tmp_path: Path, capsys) -> None:
    """The translation of the box's centre where that of the file's origin is wanted: 0.3 m away, each way."""
    dataset = labelled(tmp_path / "cup", replace(simple_label(3), object_rotation=np.zeros(3)))
    write_obj(tmp_path / "cup" / "wedge.obj", corners=(np.array(WEDGE_M) + 0.3).tolist())
    Recordings(dataset.root, dataset.hand).truth(FrameName("cup", 3))
    said = capsys.readouterr().err
    assert re.search(r"lies \d+ mm from the hand, but \d+ mm if the translation were that of the centre", said), said


def test_reading_says_it_once_and_looks_at_few(tmp_path: Path, capsys) -> None:
    folder = write_recording(tmp_path / "cup", frames=10)
    labels = [simple_label(frame) for frame in range(9)]
    wrong = with_pose(simple_label(9), np.array([0, 0, 5.0] * 15))
    write_annotations(folder, [*labels, wrong], hand_model="open-hand right")
    dataset = Recordings(folder, HandModel(open_hand()))
    for frame in range(10):
        dataset.at_size((32, 24)).truth(FrameName("cup", frame))
    assert capsys.readouterr().err == ""
    assert dataset.examined == {"cup": EXAMINED}
    (line,) = [line for line in examine_recording(dataset) if "look wrong" in line]
    assert "1 of 10 labels look wrong, the first frame 9" in line
    write_annotations(folder, [replace(wrong, frame=frame) for frame in range(3)], hand_model="open-hand right")
    dataset = Recordings(folder, dataset.hand)
    for frame in range(3):
        dataset.at_size((32, 24)).truth(FrameName("cup", frame))
    assert capsys.readouterr().err.count("\n") == 1


def test_joints_that_no_right_hand_has_are_refused_as_a_left_hands(tmp_path: Path) -> None:
    joints = posed_joints(HandModel(open_hand()), torch.tensor([0, 0, 0.3] * 15), torch.zeros(10)) * MIRROR
    dataset = labelled(tmp_path / "cup", replace(simple_label(3), hand=HandJoints(joints + np.array([0.1, 0, 0]))))
    with pytest.raises(DataError, match=r'fitted hand misses by 13 mm .*; they are those of a left hand: write "side"'):
        dataset.truth(FrameName("cup", 3))


@pytest.mark.parametrize(
    ("factor", "hint"),
    [
        (1000, r"are these millimetres \(0\.5\d m\)\?"),
        (100, r"are these centimetres \(0\.5\d m\)\?"),
        (1e6, r"000\.0\]$"),
    ],
)
def test_other_units_are_named(tmp_path: Path, factor: float, hint: str) -> None:
    label = simple_label(3)
    with pytest.raises(DataError, match=r"expected metres for frames\[0\]\.object\.translation .*" + hint):
        labelled(tmp_path / "object", replace(label, object_translation=factor * np.array([0.06, 0.04, 0.5]))).names(
            "train"
        )
    joints = factor * posed_joints(HandModel(open_hand()), torch.zeros(45), torch.zeros(10))
    with pytest.raises(DataError, match=r"expected joints in metres, .*" + hint.replace(r"000\.0\]$", r"\d$")):
        labelled(tmp_path / "joints", replace(label, hand=HandJoints(joints))).names("train")


@pytest.mark.parametrize(
    ("place", "value", "pattern"),
    [
        (("object", "rotation"), [1, 0, 0, 0], r"a list of 4; wanted is an axis-angle vector in radians$"),
        (("object", "rotation"), np.eye(3).tolist(), r"wanted is an axis-angle vector in radians$"),
        (
            ("hand", "pose"),
            [0] * 45,
            r"list of 48 .* of each of its 15 joints: no coefficients of principal components$",
        ),
        (
            ("hand",),
            {"joints": [[0, 0, 0.5]] * 21},
            r'expected joints by name for .*, \{"wrist": \[x, y, z\], .*a list$',
        ),
    ],
)
def test_other_forms_are_refused_with_the_one_that_is_wanted(tmp_path: Path, place, value, pattern: str) -> None:
    dataset = labelled(tmp_path / "cup", simple_label(3))

    def put(content: dict) -> None:
        entry = content["frames"][0]
        for key in place[:-1]:
            entry = entry[key]
        entry[place[-1]] = value

    edit(tmp_path / "cup" / "annotations.json", put)
    with pytest.raises(DataError, match=pattern):
        dataset.names("train")


@pytest.mark.parametrize("turn", [(10.0, 0, 0), (4.0, 4.0, 4.0), (0, 0, 90.0)])
def test_more_than_a_whole_turn_is_no_radians(tmp_path: Path, turn: tuple[float, float, float]) -> None:
    label = replace(simple_label(3), object_rotation=np.array(turn))
    with pytest.raises(
        DataError, match=r"in radians for .*object\.rotation .*more than a whole turn; are these degrees"
    ):
        labelled(tmp_path / "cup", label).names("train")


@pytest.mark.parametrize(("units", "scale"), [("m", 1.0), ("mm", 1000.0), ("inch", 1 / 0.0254)])
@pytest.mark.parametrize("axes", ["opencv", "opengl"])
def test_the_pose_of_the_file_places_the_files_own_vertices(tmp_path: Path, units, scale: float, axes) -> None:
    """Whatever the loader did to them: the same points in camera space."""
    corners = np.array(WEDGE_M) + np.array([0.1, 0.02, -0.3])
    write_obj(tmp_path / "wedge.obj", scale=scale, corners=corners.tolist())
    models = [load_mesh_in(tmp_path / "wedge.obj", "wedge", units, axes=axes)]
    if units == "m" and axes == "opengl":
        models.append(load_object(tmp_path / "wedge.obj", "wedge", axes=(1.0, -1.0, -1.0)))  # as HO-3D reads it
    generator = torch.Generator().manual_seed(3)
    rotation = torch.linalg.qr(torch.randn(3, 3, generator=generator).double())[0]
    translation = torch.randn(3, generator=generator).double()
    for model in models:
        expected = model.vertices.double() @ rotation.mT + translation
        of_file, origin = model.pose_of_file(rotation, translation)
        found = torch.from_numpy(corners) @ of_file.mT + origin
        assert torch.cdist(found, expected).amin(dim=1).max() < 1e-6
        assert torch.cdist(found, expected).amin(dim=0).max() < 1e-6
        # The mirrored file's own coordinates.
        mirrored = mirrored_object(model)
        of_file, origin = mirrored.pose_of_file(rotation, translation)
        found = torch.from_numpy(corners * MIRROR) @ of_file.mT + origin
        expected = mirrored.vertices.double() @ rotation.mT + translation
        assert torch.cdist(found, expected).amin(dim=1).max() < 1e-6


def test_left_hands_are_mirror_images() -> None:
    """What the doubts about sides stand on."""
    right, left = HandModel(open_hand()), left_hand(HandModel(open_hand()))
    pose = torch.from_numpy(fist()).float()
    flipped = pose * torch.tensor([1.0, -1.0, -1.0]).repeat(15)
    with torch.no_grad():
        found = left(torch.tensor([[0.2, -0.4, -0.1]]), flipped[None], torch.ones(1, 10)).vertices[0]
        expected = right(torch.tensor([[0.2, 0.4, 0.1]]), pose[None], torch.ones(1, 10)).vertices[0]
    torch.testing.assert_close(found, expected * torch.tensor(MIRROR).float(), atol=1e-6, rtol=0)
