"""Labels of other programs in a recording: fitted hands, objects where they are, halves kept as drafts."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from tests.annotate.conftest import opened
from tests.data.recording.label_texts import coco_text, cvat_text, scene_gt_text
from tests.data.recording.recording_files import simple_label, write_recording
from warpgrasp.annotate.store import LOCK_FILE
from warpgrasp.cli import main
from warpgrasp.data.recording import Label, read_annotations, write_annotations
from warpgrasp.data.recording.files import Recording
from warpgrasp.data.recording.labels import annotation_of
from warpgrasp.errors import UserError
from warpgrasp.hand.model import HandModel
from warpgrasp.locks import exclusive

FRAMES = (0, 3)


@pytest.fixture(scope="module")
def truth(hand: HandModel) -> list[Label]:
    """Two hands of the mean shape, bent and turned, each with the wedge somewhere."""
    labels = []
    for frame in FRAMES:
        generator = torch.Generator().manual_seed(frame)
        angles = hand.pose_from_coefficients(0.5 * torch.randn(1, 45, generator=generator))[0].double().numpy()
        pose = np.concatenate([0.4 * torch.randn(3, generator=generator).double().numpy(), angles])
        label = simple_label(frame, pose=pose)
        label.object_rotation[:] = Rotation.random(random_state=frame).as_rotvec()
        label.object_translation[:] = [0.01 * frame, -0.03, 0.55 + 0.1 * frame]
        labels.append(label)
    return labels


@pytest.fixture
def files(folder: Path, truth: list[Label], hand: HandModel, tmp_path: Path) -> Path:
    """The truth as a CVAT file of the hands, a BOP file of the objects, and nothing in the recording."""
    write_annotations(folder, truth, hand_model="open-hand right")
    recording = Recording.read(folder)
    annotations = {label.frame: annotation_of(recording, label, hand) for label in truth}
    camera = recording.lens.camera
    pixels = {frame: camera.project(one.hand_joints).double().numpy() for frame, one in annotations.items()}
    (tmp_path / "hands.xml").write_text(cvat_text(pixels))
    (tmp_path / "coco.json").write_text(coco_text({frame: pixels[frame] for frame in FRAMES[:1]}))
    poses = {
        one.frame: (Rotation.from_rotvec(one.object_rotation).as_matrix(), one.object_translation) for one in truth
    }
    (tmp_path / "scene_gt.json").write_text(scene_gt_text(poses, object_id=5))
    (tmp_path / "one.json").write_text(scene_gt_text({3: poses[3]}, object_id=5))
    (folder / "annotations.json").unlink()
    return tmp_path


def words(folder: Path, files: Path, *names: str) -> list[str]:
    stated = [word for name in names for word in ("--from", str(files / name))]
    return ["labels", str(folder), *stated, "--object-id", "5"]


def check(folder: Path, truth: list[Label], hand: HandModel, frames: tuple[int, ...]) -> None:
    """Hands to a pixel of these tiny pictures and, in space, to a centimetre; objects to a micrometre."""
    found, recording = {label.frame: label for label in read_annotations(folder).labels}, Recording.read(folder)
    assert tuple(found) == frames
    for wanted in truth:
        if wanted.frame in frames:
            one, other = (annotation_of(recording, label, hand) for label in (found[wanted.frame], wanted))
            pixels, expected = (recording.lens.camera.project(a.hand_joints) for a in (one, other))
            assert (pixels - expected).norm(dim=1).mean() < 0.5
            assert (one.hand_joints - other.hand_joints).norm(dim=1).mean() < 0.03
            turn = Rotation.from_rotvec(found[wanted.frame].object_rotation)
            assert (turn * Rotation.from_rotvec(wanted.object_rotation).inv()).magnitude() < 1e-6
            np.testing.assert_allclose(found[wanted.frame].object_translation, wanted.object_translation, atol=1e-6)


@pytest.mark.slow
def test_hands_and_objects_meet(folder: Path, files: Path, truth: list[Label], hand: HandModel, capsys) -> None:
    assert main(words(folder, files, "hands.xml", "scene_gt.json")) == 0
    assert "wrote 2 labels to" in capsys.readouterr().out
    check(folder, truth, hand, FRAMES)
    shapes = [label.hand.shape for label in read_annotations(folder).labels]
    np.testing.assert_allclose(shapes[1:], [shapes[0]], atol=1e-2)  # it is one person's
    assert opened(folder, hand).edited(3).joints_px[0][0] == "wrist"  # which the page shows, to fit them again


@pytest.mark.slow
def test_halves_are_drafts_until_the_other_half_comes(
    folder: Path, files: Path, truth: list[Label], hand: HandModel, capsys
) -> None:
    assert main([*words(folder, files, "hands.xml"), "--use", "evaluation"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "wrote 0 labels" in said
    assert "nothing is known of the object in frames 0, 3: kept as drafts" in said
    drafts = json.loads((folder / "annotation_drafts.json").read_text())["frames"]
    assert [draft["missing"] for draft in drafts] == ["object"] * 2
    assert opened(folder, hand).drafted == list(FRAMES)
    assert main(words(folder, files, "one.json")) == 0
    check(folder, truth, hand, (3,))
    assert read_annotations(folder).labels[0].use == "evaluation"
    assert main(words(folder, files, "scene_gt.json")) == 1  # of 3 it is known
    assert "frame 3 of " in capsys.readouterr().err
    assert main([*words(folder, files, "scene_gt.json"), "--force"]) == 0
    check(folder, truth, hand, FRAMES)


def test_an_object_waits_for_its_hand(folder: Path, files: Path, truth: list[Label], hand: HandModel, capsys) -> None:
    assert main(words(folder, files, "scene_gt.json")) == 0
    assert "nothing is known of the hand in frames 0, 3" in " ".join(capsys.readouterr().out.split())
    assert main(words(folder, files, "coco.json")) == 0
    check(folder, truth, hand, FRAMES[:1])
    state = opened(folder, hand)
    state.go_to(3)
    assert state.current.missing == "hand"
    state.change(state.current.moved(object_centre=np.array([0.0, 0.0, 0.6])))
    assert state.current.missing == "hand"
    centre, turn = np.array([0.0, 0.0, 0.55]), np.eye(3)
    state.change(state.current.carried("object", turn, centre, coupled=True))  # the hand goes along, and is not placed
    with pytest.raises(UserError, match="nobody has placed the hand"):
        state.set_done(True)
    state.change(state.current.moved(wrist=np.array([0.0, 0.0, 0.6])))
    assert state.current.missing is None


def test_labels_and_drafts_are_not_overwritten(tmp_path: Path, files: Path, hand: HandModel, capsys) -> None:
    folder = write_recording(tmp_path / "labelled", labels=(0,))
    before = (folder / "annotations.json").read_bytes()
    assert main(words(folder, files, "hands.xml", "scene_gt.json")) == 1
    assert "but frame 0 of" in capsys.readouterr().err
    assert (folder / "annotations.json").read_bytes() == before
    state = opened(folder, hand)
    state.go_to(3)
    state.change(state.current.moved(wrist=np.array([0.0, 0.0, 0.6])))
    state.save()
    assert main(words(folder, files, "one.json")) == 1
    assert "frame 3 of " in (said := capsys.readouterr().err)
    assert "annotation_drafts.json" in said
    assert main([*words(folder, files, "coco.json"), "--force"]) == 0
    labels = {label.frame: label for label in read_annotations(folder).labels}
    assert list(labels) == [0]
    np.testing.assert_array_equal(labels[0].object_translation, simple_label(0).object_translation)
    assert np.abs(labels[0].hand.pose).max() > 0.1


def test_frames_with_few_joints_are_named(folder: Path, files: Path, capsys) -> None:
    content = json.loads((files / "coco.json").read_text())
    content["annotations"][0]["keypoints"][15:] = [0] * 48
    (files / "few.json").write_text(json.dumps(content))
    assert main(words(folder, files, "few.json", "scene_gt.json")) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "no hand was fitted in frame 0: 5 joints, and at least 6 tell a hand" in said
    assert "nothing is known of the hand in frames 0, 3" in said
    assert main(words(folder, files, "few.json")) == 1
    assert "expected joints of a hand in" in capsys.readouterr().err


@pytest.mark.slow
def test_joints_that_are_no_hands_are_named(folder: Path, files: Path, capsys) -> None:
    random = np.random.default_rng(0).uniform(2, 44, (21, 2))
    (files / "noise.json").write_text(coco_text({1: random}))
    assert main(words(folder, files, "noise.json")) == 0
    assert "warning: no hand has its joints where they are stated in frame 1" in " ".join(
        capsys.readouterr().out.split()
    )


def test_nobody_else_is_writing(folder: Path, files: Path, capsys) -> None:
    with exclusive(folder / LOCK_FILE, ""):
        assert main(words(folder, files, "hands.xml")) == 1
    assert "is annotating it" in capsys.readouterr().err
    assert not (folder / "annotations.json").exists()


def test_two_files_that_state_the_same(folder: Path, files: Path, capsys) -> None:
    assert main(words(folder, files, "hands.xml", "coco.json")) == 1
    assert "expected one hand for frame 0, found one in" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "options"),
    [("out.xml", []), ("out.json", []), ("scene_gt.json", []), ("o.txt", ["--format", "label-studio"])],
)
def test_labels_go_out(folder: Path, tmp_path: Path, name: str, options: list[str], capsys) -> None:
    command = ["labels", str(folder), "--to", str(tmp_path / name), *options]
    assert main(command) == 0
    written = (tmp_path / name).read_text()
    assert {"out.xml": "<annotations>", "out.json": '"categories"', "scene_gt.json": "cam_R_m2c"}.get(
        name, "keypointlabels"
    ) in written
    assert main(command) == 1
    assert "overwrite it by --force" in capsys.readouterr().err
    assert main([*command, "--force"]) == 0
    assert (tmp_path / name).read_text() == written


def test_bad_usage(folder: Path, tmp_path: Path, capsys) -> None:
    assert main(["labels", str(folder)]) == 2
    assert main(["labels", str(folder), "--from", "a", "--to", "b"]) == 2
    assert main(["labels", str(folder), "--to", str(tmp_path / "b.txt")]) == 2
    assert "expected a file called .xml or .json for --to" in capsys.readouterr().err
    (folder / "annotations.json").unlink()
    assert main(["labels", str(folder), "--to", str(tmp_path / "b.json")]) == 1
    assert "found none to write" in capsys.readouterr().err
