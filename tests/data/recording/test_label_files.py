"""Labels of other programs: read from files made by hand, written, and read again; what is wrong is named."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.spatial.transform import Rotation

from tests.data.recording.label_texts import (
    MEDIAPIPE,
    WHOLE_BODY,
    coco_text,
    cvat_text,
    label_studio_text,
    scene_gt_text,
)
from tests.data.recording.recording_files import edit, simple_label, write_recording
from warpgrasp.bounded import DEEPEST_XML, parse_xml
from warpgrasp.data.recording import Lens, write_annotations, write_lens
from warpgrasp.data.recording.files import Recording
from warpgrasp.data.recording.footage import PictureFolder
from warpgrasp.data.recording.label_files import WRITERS, joint_of, projected_hands, read_labels
from warpgrasp.data.recording.label_files.projected import ProjectedHand
from warpgrasp.data.recording.label_files.stated import picture_frames
from warpgrasp.errors import DataError
from warpgrasp.hand.model import JOINTS, HandModel

PIXELS = {frame: np.random.default_rng(frame).uniform(2, 44, (21, 2)) for frame in (1, 4)}
TEXTS: dict[str, Callable[..., str]] = {
    "coco": coco_text,
    "cvat skeletons": cvat_text,
    "cvat points": lambda pixels, **named: cvat_text(pixels, shape="points", **named),
    "cvat shapes": lambda pixels, **named: cvat_text(pixels, shape="shape", **named),
    "label studio": label_studio_text,
}


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """Five frames of a video, two of them labelled. Read only."""
    return Recording.read(write_recording(tmp_path_factory.mktemp("labels") / "small"))


def stated(tmp_path: Path, text: str, recording: Recording, **named: int):
    path = tmp_path / "labels"
    path.write_text(text)
    return read_labels(path, recording, **named)


@pytest.mark.parametrize("kind", TEXTS)
def test_joints_of_every_program(tmp_path: Path, recording: Recording, kind: str) -> None:
    found = stated(tmp_path, TEXTS[kind](PIXELS), recording)
    assert list(found.hands) == [1, 4]
    assert not found.objects
    for frame, seen in found.hands.items():
        assert [name for name, _ in seen.joints_px] == list(JOINTS)
        np.testing.assert_allclose([pixel for _, pixel in seen.joints_px], PIXELS[frame], atol=1e-5)


@pytest.mark.parametrize("kind", TEXTS)
def test_pictures_of_another_size_are_refused(tmp_path: Path, recording: Recording, kind: str) -> None:
    with pytest.raises(DataError, match=r"expected joints in pictures of 64×48.*found 128×96"):
        stated(tmp_path, TEXTS[kind](PIXELS, size=(128, 96)), recording)


@pytest.mark.parametrize("kind", TEXTS)
def test_a_frame_that_is_not_there_is_named(tmp_path: Path, recording: Recording, kind: str) -> None:
    with pytest.raises(
        DataError, match=r"frames 0 to 4\) for .* of .*labels, found .*frame_000009.*, which is none of"
    ):
        stated(tmp_path, TEXTS[kind]({9: PIXELS[1]}), recording)


def test_what_a_bent_picture_shows_is_straightened(tmp_path: Path) -> None:
    """Joints are labelled in the pictures as they are; the hand is fitted in those of the pinhole."""
    folder = write_recording(tmp_path / "bent")
    for lens in (
        Lens(np.array([[60.0, 0, 31.5], [0, 60.0, 23.5], [0, 0, 1]]), 64, 48, (-0.2, 0.03, 0.002, -0.001)),
        Lens(np.array([[60.0, 0, 31.5], [0, 60.0, 23.5], [0, 0, 1]]), 64, 48, (0.02, 0.0, 0.0, 0.0), "fisheye"),
    ):
        write_lens(folder, lens)
        found = stated(tmp_path, coco_text(PIXELS), Recording.read(folder)).hands[1]
        straight = np.array([pixel for _, pixel in found.joints_px])
        assert np.abs(straight - PIXELS[1]).max() > 0.5
        np.testing.assert_allclose(lens.bent_px(straight), PIXELS[1], atol=1e-4)


def test_names_of_joints() -> None:
    for names in (JOINTS, MEDIAPIPE, WHOLE_BODY, [f"right_{name}" for name in WHOLE_BODY]):
        assert [found.joint for name in names if (found := joint_of(name))] == list(JOINTS)
    sides = [found.side for name in ("left thumb 4", "R_Wrist", "indexTip") if (found := joint_of(name))]
    assert sides == ["left", "right", None]
    assert [joint_of(name) for name in ("", "thumb", "index_5", "elbow", "thumb_pip", "thumb_index_1")] == [None] * 6


def test_the_other_hands_joints_are_passed_over(tmp_path: Path, recording: Recording) -> None:
    text = cvat_text(PIXELS)
    both = text.replace(
        "</image>", re.findall("<skeleton.*?</skeleton>", text)[0].replace("right", "left") + "</image>"
    )
    assert list(stated(tmp_path, both, recording).hands) == [1, 4]
    with pytest.raises(
        DataError, match=r"expected joints of a right hand in .*found those of left hands alone; say --si"
    ):
        stated(tmp_path, text.replace("right", "left"), recording)


def test_attributes_say_which_hand_it_is(tmp_path: Path, recording: Recording) -> None:
    """As people set them in CVAT, and as it writes them into COCO's annotations."""
    text = cvat_text(PIXELS).replace('"right hand"', '"hand"')
    for attribute in (
        '<attribute name="hand_side">Left</attribute>',
        '<attribute name="left">true</attribute><attribute name="seen from">right</attribute>',
    ):
        of_one = text.replace('z_order="0">', f'z_order="0">{attribute}', 1)
        assert list(stated(tmp_path, of_one, recording).hands) == [4]
    whole = cvat_text(PIXELS, shape="shape").replace(
        "></points>", '><attribute name="side">left</attribute></points>', 1
    )
    assert list(stated(tmp_path, whole, recording).hands) == [4]
    content = json.loads(coco_text(PIXELS))
    content["annotations"][0]["attributes"] = {"occluded": False, "Handedness": "left"}
    assert list(stated(tmp_path, json.dumps(content), recording).hands) == [4]


def test_sizes_that_are_not_known_are_null(tmp_path: Path, recording: Recording) -> None:
    text = re.sub(r'"original_(width|height)": [0-9]+', r'"original_\1": null', label_studio_text(PIXELS))
    assert list(stated(tmp_path, text, recording).hands) == [1, 4]


def category(change: Callable[[dict], object]) -> str:
    content = json.loads(coco_text(PIXELS))
    change(content["categories"][0])
    return json.dumps(content)


def twice(text: str) -> str:
    return text.replace('"frame_000004.PNG"', '"frame_000001.PNG"')


def studio(**of_region: object) -> str:
    content = json.loads(label_studio_text(PIXELS))
    content[0]["annotations"][1]["result"][5].update(of_region)
    return json.dumps(content)


def flagged(flag: float) -> str:
    content = json.loads(coco_text(PIXELS))
    content["annotations"][0]["keypoints"][2] = flag
    return json.dumps(content)


SEVERAL = r"expected pictures of one recording in .*labels, found folder .* and, for .*; keep those of this recording"
REFUSED = {
    "a turned picture": (
        studio(image_rotation=90),
        r"pictures that are not turned for tasks\[0\]\.annotations\[1\]\.result\[5\]\.image_rotation .*found 90",
    ),
    "one point of another size": (studio(original_width=32), "expected joints in pictures of 64×48.*found 32×48"),
    "pictures of several folders": (coco_text(PIXELS).replace("frame_000001", "a/frame_000001"), SEVERAL),
    "pictures of several tasks": (cvat_text(PIXELS).replace('id="1"', 'id="1" task_id="7"'), SEVERAL),
    "confidences": (flagged(0.3), r"expected 0, 1 or 2 as the third number .* for annotations\[0\]\.keypoints"),
    "results of COCO": ('[{"image_id": 1, "keypoints": []}]', "keypoints with images and categories.* results alone"),
    "shares of the picture": (coco_text({1: PIXELS[1] / 64}), r"found numbers that are all below 2, as shares"),
    "pixels of a larger picture": (
        cvat_text({1: 8 * PIXELS[1]}),
        r"expected joints in a picture of 64×48, or near it, in image 1 of .*labels, found wrist at .*another size\?",
    ),
    "an unknown picture by a hash": (
        coco_text({1: PIXELS[1]}).replace("frame_000001.PNG", "c0ffee12-1234-4abc-9def-1234567890a2.jpg"),
        "found c0ffee12-1234.*, which is none of them",
    ),
    "no names": (category(lambda one: one.pop("keypoints")), r"names of the joints for categories\[0\]\.keypoints in"),
    "a name that is none": (
        category(lambda one: one["keypoints"].__setitem__(3, "elbow")),
        r"names of joints \(wrist, thumb_1.*COCO-WholeBody.*categories\[0\]\.keypoints in .*labels, found elbow",
    ),
    "a name twice": (
        category(lambda one: one["keypoints"].__setitem__(3, "WRIST")),
        r"each joint once in annotations\[0\] of .*labels, found wrist twice",
    ),
    "one frame twice": (twice(coco_text(PIXELS)), r"one right hand for each frame in .*frame 1: annotations\[0\] and"),
    "an image's id twice": (
        coco_text(PIXELS).replace('"id": 74', '"id": 71'),
        r"another id for each of images in .*labels, found 71 twice",
    ),
    "too few numbers": (
        category(lambda one: one["keypoints"].pop()),
        r"a list of 60 for annotations\[0\]\.keypoints in .*found a list of 63",
    ),
    "entities": (cvat_text(PIXELS).replace("<annotations>", '<!DOCTYPE a [<!ENTITY b "c">]><annotations>'), "entity"),
    "depth": (f"{'<a>' * 30}{'</a>' * 30}", "elements in each other, more than 20 deep"),
    "tracks": (
        "<annotations><track id='0'/></annotations>",
        "found tracks; export the task as CVAT for images 1.1",
    ),
    "no numbers": (
        cvat_text(PIXELS).replace('points="', 'points="x,'),
        r"expected 2 numbers for image 1 in .*labels, found x,",
    ),
    "an unknown label": (cvat_text(PIXELS).replace("thumb1", "knee"), "names of joints .* found knee"),
    "JSON-MIN": (json.dumps([{"img": "1.png", "kp": []}]), r"export JSON \(not JSON-MIN\) has them, for tasks\[0\]"),
    "no hand": ("[]", "expected joints of a right hand in .*labels, found none"),
    "another object": ('{"a": 1}', "found another JSON object"),
    "another text": ("a,b\n1,2\n", "found another text"),
    "no text": ("\udcff", "invalid"),
    "no rotation": (
        '{"1": [{"obj_id": 1, "cam_R_m2c": [1,0,0,0,1,0,0,0,-1], "cam_t_m2c": [0,0,500]}]}',
        "a rotation, row",
    ),
    "metres": (
        '{"1": [{"obj_id": 1, "cam_R_m2c": [1,0,0,0,1,0,0,0,1], "cam_t_m2c": [0,0,0.5]}]}',
        r"millimetres, in front of the camera, for t of 1\[0\] in .*found \[0\.0, 0\.0, 0\.5\]; are these metres\?",
    ),
    "two objects": (
        scene_gt_text({1: (np.eye(3), np.array([0, 0, 0.5]))}),
        "one object in .*found 2; say which by --object-id: 1, 5",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_wrong_is_named(tmp_path: Path, recording: Recording, what: str) -> None:
    text, sentence = REFUSED[what]
    path = tmp_path / "labels"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(DataError, match=sentence) as caught:
        read_labels(path, recording)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_xml_is_read_within_bounds() -> None:
    assert parse_xml(f"{'<a>' * DEEPEST_XML}{'</a>' * DEEPEST_XML}").tag == "a"
    with pytest.raises(ValueError, match="more than 3 tags"):
        parse_xml("<a><b/><b/></a>", most_tags=3)
    with pytest.raises(ValueError, match="4 times as many attributes"):
        parse_xml("<a " + " ".join(f"b{number}='1'" for number in range(9)) + "/>", most_tags=2)


def test_pictures_of_a_video_by_the_numbers_at_the_end(tmp_path: Path, recording: Recording) -> None:
    """What an address asks besides is no frame's number, nor is the end of a longer number."""
    for name in (
        "https://a.org/b/frame_000001.png?v=3&Signature=a4",
        "/data/?d=b/frame_000001.png",
        "x-0000000000001",
        "frame_000001_png.rf.3f2a9be1b7aa4.jpg",  # Roboflow's
    ):
        text = coco_text({1: PIXELS[1]}).replace("frame_000001.PNG", name)
        assert list(stated(tmp_path, text, recording).hands) == [1], name
    text = coco_text({1: PIXELS[1]}).replace("frame_000001.PNG", "1700000000001.png")
    with pytest.raises(DataError, match=r"found 1700000000001\.png, which is none of them"):
        stated(tmp_path, text, recording)


def test_pictures_named_by_times_are_not_known_by_numbers(tmp_path: Path, recording: Recording) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for time_ms in (0, 33, 66, 100):
        Image.new("RGB", (64, 48)).save(folder / f"{1_700_000_000_000 + time_ms}.png")
    footage = PictureFolder(folder)
    assert footage.times_s is not None
    named = picture_frames(replace(recording, footage=footage), tmp_path / "labels")
    assert named.frame("1700000000066.png", "task 1") == footage.numbers[2]
    with pytest.raises(DataError, match=r"frame_2\.png, which is none of them"):
        named.frame("frame_2.png", "task 1")


def test_pictures_by_their_names(tmp_path: Path, exported: Path) -> None:
    """A folder's pictures are known by their names, by the stems of those, and by their numbers."""
    recording = Recording.read(exported / "A1")
    size = recording.lens.width, recording.lens.height
    names = ("000002.png", "000002.jpg", "images/000002", "0123abcd-000002.png", "a/b?d=c/000002.png", "shot 2.png")
    for name in names:
        text = coco_text({2: PIXELS[1]}, size=size).replace("frame_000002.PNG", name)
        assert list(stated(tmp_path, text, recording).hands) == [2], name


@pytest.mark.parametrize("axes", ["opencv", "opengl"])
def test_poses_make_the_round_trip(tmp_path: Path, hand: HandModel, axes: str) -> None:
    """Out as BOP's scene_gt.json and in again: the mesh file's own vertices are where they were, to a micrometre."""
    folder = write_recording(tmp_path / "small", labels=())
    edit(folder / "object.json", lambda content: content.update(axes=axes))
    random = np.random.default_rng(0)
    labels = [simple_label(frame) for frame in range(3)]
    for label in labels:
        label.object_rotation[:] = Rotation.random(random_state=label.frame).as_rotvec()
        label.object_translation[:] = random.uniform([-0.1, -0.1, 0.5], [0.1, 0.1, 0.7])
    write_annotations(folder, labels, hand_model="open-hand right")
    recording = Recording.read(folder)
    found = stated(tmp_path, WRITERS["bop"].text(recording, hand, 5), recording, object_id=5)
    signs = np.array([1, 1, 1] if axes == "opencv" else [1, -1, -1])
    in_file = recording.object.model.vertices.double().numpy() + recording.object.model.centre_m.double().numpy()
    for label in labels:
        expected = in_file @ Rotation.from_rotvec(label.object_rotation).as_matrix().T + label.object_translation
        pose = found.objects[label.frame]
        np.testing.assert_allclose((in_file * signs) @ pose.rotation.T + pose.translation, expected, atol=1e-6)


def test_bop_results_are_read(tmp_path: Path, recording: Recording) -> None:
    """As `warpgrasp export --bop` writes them."""
    turn = Rotation.from_rotvec([0.1, 2, 0.3]).as_matrix()
    row = f"7,3,5,1,{' '.join(f'{v:.9g}' for v in turn.ravel())},10 -20.5 500.25,-1\n"
    head = "scene_id,im_id,obj_id,score,R,t,time\n"
    found = stated(tmp_path, head + row, recording)
    np.testing.assert_allclose(found.objects[3].translation, [0.01, -0.0205, 0.50025], atol=1e-12)
    np.testing.assert_allclose(found.objects[3].rotation, turn, atol=1e-8)
    for text, sentence in (
        (head + row + row, "once in each image of .*twice in image 3: line 2 and line 3"),
        (head + row + row.replace("7,3", "8,2"), "results of one scene in .*found 2"),
        (head + row.replace("500.25", "x"), "expected numbers in line 2"),
        (head + "7,3\n", "expected the columns scene_id, im_id"),
        (head.replace("R,", "") + row, "expected the columns .* found scene_id, im_id"),
        (head + ",".join(map(str, range(50))) + "\n", "expected the columns"),
        (head.strip() + "".join(f",{number}" for number in range(50)) + "\n" + row, "expected the columns"),
    ):
        with pytest.raises(DataError, match=sentence):
            stated(tmp_path, text, recording)
    with pytest.raises(DataError, match=r"expected poses of object 9 in .*found those of 5"):
        stated(tmp_path, head + row, recording, object_id=9)


@pytest.mark.parametrize("name", ["coco", "cvat", "label-studio"])
def test_joints_make_the_round_trip(tmp_path: Path, recording: Recording, hand: HandModel, name: str) -> None:
    found = stated(tmp_path, WRITERS[name].text(recording, hand, 1), recording)
    projected = projected_hands(recording, hand)
    assert list(found.hands) == [one.frame for one in projected] == [0, 3]
    for one in projected:
        seen = dict(found.hands[one.frame].joints_px)
        inside = [joint for joint, state in zip(JOINTS, one.states, strict=True) if state != "outside"]
        assert list(seen) == inside
        wanted = [one.pixels[JOINTS.index(joint)] for joint in inside]
        np.testing.assert_allclose([seen[joint] for joint in inside], wanted, atol=1e-3)


def states_with(folder: Path, hand: HandModel, place: tuple[float, float, float]) -> ProjectedHand:
    """The joints of the open hand half a metre away with the wedge at a place."""
    label = simple_label(0)
    label.object_translation[:] = place
    write_annotations(folder, [label], hand_model="open-hand right")
    return projected_hands(Recording.read(folder), hand)[0]


def test_flags_say_what_can_be_seen(tmp_path: Path, hand: HandModel) -> None:
    """A wedge before a joint hides it, behind the hand it hides nothing, and joints beside the picture are outside."""
    folder = write_recording(tmp_path / "small", labels=())
    camera = Recording.read(folder).lens.camera
    with torch.no_grad():
        joints = hand(torch.zeros(1, 3), torch.zeros(1, 45), torch.zeros(1, 10)).joints[0] + torch.tensor([0, 0, 0.5])
    pixels = camera.project(joints)
    inside = ((pixels >= -0.5) & (pixels <= torch.tensor([63.5, 47.5]))).all(dim=1).tolist()
    behind = states_with(folder, hand, (0.5, 0.5, 0.9))
    assert [state != "outside" for state in behind.states] == inside
    np.testing.assert_allclose(behind.pixels, pixels, atol=1e-3)
    tip = JOINTS.index("middle_tip")
    assert (inside[tip], behind.states[tip]) == (True, "visible")
    before = (joints[tip] * 0.6).tolist()
    hidden = states_with(folder, hand, (before[0] + 0.025, before[1] - 0.015, before[2]))
    assert hidden.states[tip] == "hidden"
    coco = json.loads(WRITERS["coco"].text(Recording.read(folder), hand, 1))
    flags = np.array(coco["annotations"][0]["keypoints"]).reshape(21, 3)
    assert flags[tip, 2] == 1
    assert coco["annotations"][0]["num_keypoints"] == sum(inside) == (flags[:, 2] > 0).sum()
    assert (flags[~np.array(inside)] == 0).all()
