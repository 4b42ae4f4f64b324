import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.keypoints.hands_at import hand_at
from warpgrasp.errors import DataError
from warpgrasp.keypoints import HandKeypoints, read_keypoints, write_keypoints

SIZE = (640, 480)
PICTURES = ["0000.jpg", "0001.jpg", "0002.jpg"]
JOINTS = hand_at(300, 400).joints_px.double().numpy()
NOWHERE = {"pred_keypoints_3d": np.zeros((3, 21, 3))}
HANDS = {"right": JOINTS, "left": JOINTS - [200, 0]}


def xyc(side: str, confidence: float = 0.5) -> list[float]:
    return np.column_stack([HANDS[side], np.full(21, confidence)]).ravel().tolist()


def written(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path


def assert_hand(hand: HandKeypoints, side: str, confidence: float = 0.5) -> None:
    assert hand.side == side
    torch.testing.assert_close(hand.joints_px, torch.from_numpy(HANDS[side]).float(), atol=1e-3, rtol=0)
    torch.testing.assert_close(hand.confidence, torch.full((21,), confidence))
    assert hand.box.turn == pytest.approx(0, abs=1e-5)


def openpose(**sides: list[float]) -> dict[str, Any]:
    return {"version": 1.3, "people": [{f"hand_{side}_keypoints_2d": values for side, values in sides.items()}]}


def test_a_folder_of_openpose(tmp_path: Path) -> None:
    written(tmp_path / "0000_keypoints.json", openpose(left=xyc("left"), right=xyc("right")))
    written(tmp_path / "0001_keypoints.json", openpose(left=[0.0] * 63, right=[]))
    written(tmp_path / "video_000000000002_keypoints.json", openpose(right=xyc("right")))
    first, second, third = read_keypoints(tmp_path, PICTURES, SIZE)
    assert_hand(first[0], "left")
    assert_hand(first[1], "right")
    assert second == []
    assert_hand(third[0], "right")


def test_one_file_of_openpose_for_one_picture(tmp_path: Path) -> None:
    path = written(tmp_path / "a.json", openpose(right=xyc("right")))
    assert_hand(read_keypoints(path, ["x.jpg"], SIZE)[0][0], "right")
    with pytest.raises(DataError, match=r"expected keypoints of each of 3 pictures in .*a\.json, found 1 entries"):
        read_keypoints(path, PICTURES, SIZE)


def test_unseen_joints_have_no_confidence_and_no_say_in_the_turn(tmp_path: Path) -> None:
    """OpenPose writes zeros for joints that it does not see, here the wrist."""
    path = written(tmp_path / "a.json", openpose(right=[0.0, 0.0, 0.0, *xyc("right")[3:]]))
    hand = read_keypoints(path, ["x.jpg"], SIZE)[0][0]
    assert hand.confidence[0] == 0
    assert hand.joints_px[0].tolist() == pytest.approx(JOINTS[1:].mean(axis=0).tolist())
    assert hand.box.turn is None
    assert hand.presence == pytest.approx(0.5 * 20 / 21)


def test_annotations_of_coco_wholebody(tmp_path: Path) -> None:
    person = {"lefthand_kpts": xyc("left", 2.0), "righthand_kpts": xyc("right"), "righthand_valid": False}
    content = {
        "images": [{"id": 17, "file_name": "0001.jpg"}],
        "annotations": [{"image_id": 17, "keypoints": [0.0] * 51, **person}],
    }
    first, second, third = read_keypoints(written(tmp_path / "a.json", content), PICTURES, SIZE)
    assert (first, third, len(second)) == ([], [], 1)
    assert_hand(second[0], "left", 1.0)  # "labelled and visible" is 2


def test_results_of_coco_wholebody(tmp_path: Path) -> None:
    """133 keypoints: 17 + 6 + 68 others, the left hand, the right hand."""
    keypoints = [0.0] * 3 * 91 + xyc("left") + xyc("right")
    path = written(tmp_path / "a.json", [{"image_id": 2, "category_id": 1, "keypoints": keypoints, "score": 0.9}])
    _, _, third = read_keypoints(path, PICTURES, SIZE)
    assert_hand(third[0], "left")
    assert_hand(third[1], "right")


def landmarks(side: str) -> list[dict[str, float]]:
    return [{"x": x / 640, "y": y / 480, "z": 0.01 * row} for row, (x, y) in enumerate(HANDS[side].tolist())]


def test_a_list_of_mediapipe_tasks(tmp_path: Path) -> None:
    result = {"landmarks": [landmarks("left")], "handedness": [[{"categoryName": "Left", "score": 0.75, "index": 0}]]}
    empty = {"hand_landmarks": [], "handedness": []}
    first, second, third = read_keypoints(written(tmp_path / "a.json", [result, empty, None]), PICTURES, SIZE)
    assert_hand(first[0], "left", 1.0)
    assert first[0].right_probability == 0.25
    torch.testing.assert_close(first[0].relative_depth_px, 6.4 * torch.arange(21.0))
    assert (second, third) == ([], [])


def test_mediapipe_solutions_speak_of_mirrored_pictures(tmp_path: Path) -> None:
    result = {
        "multi_hand_landmarks": [{"landmark": landmarks("right")}],
        "multi_handedness": [{"classification": [{"index": 0, "score": 0.9, "label": "Left"}]}],
    }
    hands = read_keypoints(written(tmp_path / "a.json", {"0002.jpg": result}), PICTURES, SIZE)
    assert [len(picture) for picture in hands] == [0, 0, 1]
    assert_hand(hands[2][0], "right", 1.0)
    assert hands[2][0].right_probability == pytest.approx(0.9)


def test_arrays_in_pixels(tmp_path: Path) -> None:
    missing = np.full((21, 2), np.nan)
    np.save(tmp_path / "a.npy", np.stack([HANDS["right"], missing, HANDS["left"]]))
    first, second, third = read_keypoints(tmp_path / "a.npy", PICTURES, SIZE)
    assert_hand(first[0], "right", 1.0)
    assert second == []
    np.savez(
        tmp_path / "b.npz",
        keypoints_2d=np.array(xyc("left") + xyc("right")).reshape(2, 21, 3),
        right=[0, 1],
        names=["0001", "0001"],
    )
    first, second, third = read_keypoints(tmp_path / "b.npz", PICTURES, SIZE)
    assert (first, third) == ([], [])
    assert_hand(second[0], "left")
    assert_hand(second[1], "right")


def hamer(side: str) -> tuple[np.ndarray, np.ndarray]:
    """Joints about the wrist and its place for a camera of focal length 5000, as HaMeR gives them: right hands."""
    depth = 20 + 0.1 * np.arange(21)
    points = np.column_stack([(HANDS[side] - [320, 240]) * depth[:, None] / 5000, depth])
    shift = points[0]
    return (points - shift) * [1 if side == "right" else -1, 1, 1], shift


@pytest.mark.parametrize("focal", [np.array(5000.0), np.array([5000.0, 5000.0])])
def test_hands_of_hamer(tmp_path: Path, focal: np.ndarray) -> None:
    (right, right_shift), (left, left_shift) = hamer("right"), hamer("left")
    np.savez(
        tmp_path / "a.npz",
        pred_keypoints_3d=[right, left],
        pred_keypoints_2d=np.full((2, 21, 2), 0.3),  # of the crops
        pred_cam_t_full=[right_shift, left_shift],
        scaled_focal_length=focal,
        right=[1.0, 0.0],
        img_name=["0002.jpg", "0000.jpg"],
    )
    first, second, third = read_keypoints(tmp_path / "a.npz", PICTURES, SIZE)
    assert second == []
    assert_hand(third[0], "right", 1.0)
    assert_hand(first[0], "left", 1.0)
    torch.testing.assert_close(first[0].relative_depth_px, 0.1 * torch.arange(21.0) * 5000 / 20)


def test_hands_of_wilor_with_pixels(tmp_path: Path) -> None:
    """With joints in the whole picture's pixels, and an axis of length 1 that its results have."""
    np.savez(tmp_path / "a.npz", pred_keypoints_2d=HANDS["left"][None, None], is_right=[0], frame=[1])
    _, second, _ = read_keypoints(tmp_path / "a.npz", PICTURES, SIZE)
    assert_hand(second[0], "left", 1.0)


def test_our_own_file(tmp_path: Path) -> None:
    write_keypoints(tmp_path / "a.npz", [[hand_at(1, 2)], [], []], "eagle-1")
    hands = read_keypoints(tmp_path / "a.npz", PICTURES, SIZE)
    torch.testing.assert_close(hands[0][0].joints_px, hand_at(1, 2).joints_px)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "expected JSON in .*property name"),
        ("7", "expected keypoints of MediaPipe, OpenPose or COCO-WholeBody"),
        ("[]", "expected keypoints of each of 3 pictures"),
        ("[" * 100_000, "in each other, more than"),
        ({"people": 3}, "OpenPose's list `people`"),
        (openpose(right=[1.0] * 62), "expected the right hand as a list of shape"),
        (openpose(right=["a"] * 63), "expected the right hand as 63 numbers"),
        (openpose(right=[10**400] * 63), "beyond all measure"),
        (openpose(right=[float("nan")] * 63), "found NaN"),
        (openpose(right=[1e9, 1.0, 1.0] * 21), "numbers beyond 1000000"),
        (openpose(right=[1.0, 1.0, -1.0] * 21), "confidences of at least 0"),
        ([{"image_id": 7, "keypoints": [0.0] * 399}], "0000.jpg to 0002.jpg for a hand of .*, found 7, which is none"),
        ([{"image_id": [], "keypoints": [0.0] * 399}], r"a whole number .* for annotations\[0\]\.image_id in"),
        ([{"image_id": 1, "keypoints": [0.0] * 51}], "COCO-WholeBody's keypoints as a list"),
        ({"images": [{}], "annotations": [{"image_id": 1}]}, r"the key id of images\[0\] in"),
        ({"0000.jpg": {"a": 1}}, "MediaPipe's landmarks and handedness"),
        ([{"landmarks": [landmarks("left")]}] * 3, "MediaPipe's landmarks and handedness"),
        ([{"landmarks": [landmarks("left")], "handedness": [[{"label": "Both"}]]}] * 3, "as Left or Right"),
        ([{"landmarks": [landmarks("left")[1:]], "handedness": [[{"label": "Left"}]]}] * 3, "MediaPipe's landmarks as"),
    ],
)  # fmt: skip
def test_spoilt_json_is_refused(tmp_path: Path, content: Any, sentence: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    pictures = ["0000.jpg"] if "people" in str(content) else PICTURES
    with pytest.raises(DataError, match=sentence) as refusal:
        read_keypoints(path, pictures, SIZE)
    assert str(path) in str(refusal.value)


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"a": np.zeros(3)}, "expected the array pred_keypoints_3d in .*, found a"),
        ({"keypoints_2d": np.full((21, 3, 2), 9.0)}, "expected numbers of shape"),
        ({"keypoints_2d": np.full((3, 20, 2), 9.0)}, "expected numbers of shape"),
        ({"keypoints_2d": np.full((3, 21, 2), 9.0), "right": [1, 0]}, "expected 0 or 1 for each of 3 hands"),
        ({"keypoints_2d": np.full((3, 21, 2), 9.0), "right": [1, 0, 0.5]}, "expected 0 or 1 for each of 3 hands"),
        ({"keypoints_2d": np.full((2, 21, 2), 9.0)}, "expected keypoints of each of 3 pictures"),
        ({"keypoints_2d": np.full((1, 21, 2), 9.0), "names": ["0009"]}, "found 0009, which is none of them"),
        ({"keypoints_2d": np.full((1, 21, 2), 9.0), "names": [["0001"]]}, "expected the name or number"),
        (NOWHERE, "expected the array pred_cam_t_full"),
        (
            {**NOWHERE, "pred_cam_t_full": np.zeros((3, 3)), "scaled_focal_length": 1.0},
            "hands in front of the camera",
        ),
        (
            {**NOWHERE, "pred_cam_t_full": np.ones((3, 3)), "scaled_focal_length": [1, 1]},
            "one scaled_focal_length",
        ),
    ],
)  # fmt: skip
def test_spoilt_arrays_are_refused(tmp_path: Path, arrays: dict[str, Any], sentence: str) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, **arrays)
    with pytest.raises(DataError, match=sentence) as refusal:
        read_keypoints(path, PICTURES, SIZE)
    assert str(path) in str(refusal.value)


def test_names_that_may_be_several_pictures_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", keypoints_2d=HANDS["left"][None], frame=[1])
    with pytest.raises(DataError, match="which is any of the frames 0, 1"):
        read_keypoints(tmp_path / "a.npz", ["left_1.jpg", "right_1.jpg"], SIZE)


def results(*pictures: str | int | bool, values: list[float] | None = None) -> list[dict[str, Any]]:
    return [{"image_id": picture, "righthand_kpts": values or xyc("right")} for picture in pictures]


@pytest.mark.parametrize("name", ["c0ffee12-aaaa-4bbb-8ccc-d4dddddd0001.jpg", "00c0ffee00c0ffe2", "1234567890002.jpg"])
def test_ends_of_hashes_and_times_number_no_picture(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=f"found {name}, which is none of them"):
        read_keypoints(written(tmp_path / "a.json", results(name)), PICTURES, SIZE)


def test_the_number_before_roboflows_hash_is_the_pictures(tmp_path: Path) -> None:
    path = written(tmp_path / "a.json", results("0001_jpg.rf.00c0ffee00c0ffee2.jpg"))
    assert [len(hands) for hands in read_keypoints(path, PICTURES, SIZE)] == [0, 1, 0]


def test_numbers_are_the_frames_where_names_tell_times(tmp_path: Path) -> None:
    pictures, timed = ["0.1.png", "0.2.png"], {"numbers": [0, 1], "numbered": False}
    path = written(tmp_path / "a.json", results(1))
    assert [len(hands) for hands in read_keypoints(path, pictures, SIZE, **timed)] == [0, 1]
    written(path, results("frame_1.png"))
    with pytest.raises(DataError, match=r"found frame_1\.png, which is none of them"):
        read_keypoints(path, pictures, SIZE, **timed)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (results("a/0001.jpg", "b/0001.jpg"), "one picture for each frame in .*, found a/0001.jpg, b/0001.jpg of"),
        (results("a/0001.jpg", "b/0002.jpg"), "pictures of one recording in .*, found a/0001.jpg, b/0002.jpg"),
        (results("0001.jpg", "0001.png"), "one picture for each frame in .*, found 0001.jpg, 0001.png of"),
        ({"0001.jpg": None, "0001.png": None}, "one picture for each frame in .*, found 0001.jpg, 0001.png of"),
        (
            {"images": [{"id": 3, "file_name": name} for name in PICTURES], "annotations": results(3)},
            "expected another id for each of images in .*, found 3 twice",
        ),
        (results(True), "a whole number .* for .*image_id in .*, found True"),
    ],
)
def test_pictures_that_would_merge_are_refused(tmp_path: Path, content: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        read_keypoints(written(tmp_path / "a.json", content), PICTURES, SIZE)


def test_two_hands_of_one_picture_are_not_two_pictures(tmp_path: Path) -> None:
    path = written(tmp_path / "a.json", results("a/0001.jpg", "a/0001.jpg", "a/0002.jpg"))
    assert [len(hands) for hands in read_keypoints(path, PICTURES, SIZE)] == [0, 2, 1]


SHARES = (np.array(xyc("right")).reshape(21, 3) / [*SIZE, 1]).ravel().tolist()
IN_PIXELS = [{"x": x, "y": y, "z": 0.0} for x, y in HANDS["right"].tolist()]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (results("0001.jpg", values=SHARES), "expected joints in pixels .*, found numbers that are all below 2"),
        (
            {"people": openpose(right=SHARES)["people"]},
            "expected joints in pixels .*, found numbers that are all below 2",
        ),
        (
            {"landmarks": [IN_PIXELS], "handedness": [[{"label": "Right"}]]},
            r"joints in pictures of 640×480, .* far away, one at \[192000\.0, 192000\.0\]; .* MediaPipe has shares",
        ),
        (results("0001.jpg", values=[3 * value for value in xyc("right")]), "of pictures of another size"),
    ],
)
def test_shares_for_pixels_and_pixels_for_shares_are_refused(tmp_path: Path, content: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        read_keypoints(written(tmp_path / "a.json", content), ["0001.jpg"], SIZE)


def test_shares_in_arrays_are_refused(tmp_path: Path) -> None:
    """Also where a hand is missing, which is NaN."""
    np.save(tmp_path / "a.npy", np.stack([HANDS["right"] / SIZE, np.full((21, 2), np.nan), HANDS["left"] / SIZE]))
    with pytest.raises(DataError, match="found numbers that are all below 2"):
        read_keypoints(tmp_path / "a.npy", PICTURES, SIZE)


def test_missing_files_are_refused(tmp_path: Path) -> None:
    for name in ("a.json", "a.npz", "a.npy"):
        with pytest.raises(DataError, match="found no file"):
            read_keypoints(tmp_path / name, PICTURES, SIZE)
    with pytest.raises(DataError, match="OpenPose's files"):
        read_keypoints(tmp_path, PICTURES, SIZE)
