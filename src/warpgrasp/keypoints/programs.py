"""Reads keypoints of hands that other programs have found, so that a stronger detector can be brought along.

Every reader gives hands in the order of our joints, derived from the names of theirs. Which hand belongs to which
picture is told by the picture's name, its file's stem or the number at the end of it, as in labels; lists and arrays
without names have one entry for each picture, in order.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from warpgrasp.bounded import read_json
from warpgrasp.checked import LARGEST_ID, Entry, are_shares
from warpgrasp.errors import DataError
from warpgrasp.keypoints.file import LARGEST_NUMBER, floats, keypoints_of_arrays, read_arrays
from warpgrasp.keypoints.hands import (
    BASES,
    OURS_FROM_DETECTORS,
    WRIST,
    HandBox,
    HandKeypoints,
    check_unit,
    shares_for_pixels,
)
from warpgrasp.named_pictures import OnePicture, PictureFrames, number_at_end

LARGEST_JSON_BYTES, MOST_MARKS = 2**27, 8_000_000  # ten thousand pictures' whole bodies, and some
FARTHEST_PX, LONGEST_NAME = 1e6, 4096
WHOLE_BODY = 133  # keypoints of COCO-WholeBody: 17 of the body, 6 of the feet, 68 of the face, then the hands
WHOLE_BODY_HANDS = {"left": slice(91, 112), "right": slice(112, 133)}
LANDMARK_KEYS = ("multi_hand_landmarks", "hand_landmarks", "handLandmarks", "landmarks")
SIDE_KEYS = ("multi_handedness", "handedness", "handednesses")
MIRRORED_KEY = "multi_handedness"  # this interface takes pictures to be mirrored, so its sides are the other ones

PIXEL_KEYS = ("array", "keypoints_2d", "pred_keypoints_2d")  # of arrays that hold joints in the whole picture's pixels
NAME_KEYS = ("picture", "names", "img_name", "frame")
EMPTY = np.zeros(0)

Hands = list[list[HandKeypoints]]
Arrays = Mapping[str, Shaped[np.ndarray, "..."]]


def read_keypoints(
    path: Path,
    pictures: Sequence[str],
    size: tuple[int, int],
    *,
    numbers: Sequence[int] | None = None,
    numbered: bool = True,
) -> Hands:
    """The hands of each of the named pictures, which are of one size (width, height), from another program's file.

    Told by content: a folder of OpenPose's JSON files, or one; COCO-WholeBody's annotations or results; MediaPipe's
    results (a list, or an object by picture); an `.npz` of ours, of HaMeR or of WiLoR; an `.npy` of shape (n, 21, 2)
    or (n, 21, 3) in pixels, the third number a confidence. Coordinates are pixels as those programs write them, taken
    to be counted from the centre of the top left pixel; MediaPipe's are shares of the width and height.
    `numbers` are the frames' where they are not those at the ends of the names; `numbered` is whether a number in
    another name is a frame's. Raises `DataError` when the file is none of these, is broken, has shares for pixels or
    pixels for shares, speaks of pictures that are not named, or of several for one.
    """
    hands = _hands(_Places(path, pictures, numbers, numbered), size)
    check_unit(path, hands, size)
    return hands


def _hands(places: "_Places", size: tuple[int, int]) -> Hands:
    path = places.path
    if path.is_dir():
        return _openpose_folder(places)
    if path.suffix in (".npz", ".npy"):
        return _arrays(places, read_arrays(path), size)
    content = _json(path)
    entries = content.get("annotations") if isinstance(content, dict) else content
    if isinstance(content, dict) and "people" in content:
        return places.in_order([_openpose_hands(path, content)])
    if (
        isinstance(entries, list)
        and entries
        and all(isinstance(entry, dict) and "image_id" in entry for entry in entries)
    ):
        return _coco(places, content)
    return _mediapipe(places, content, size)


@dataclass(frozen=True)
class _Places:
    """Which picture an entry of a file speaks of."""

    path: Path
    pictures: Sequence[str]
    numbers: Sequence[int] | None
    numbered: bool

    def in_order(self, hands: Hands) -> Hands:
        """The hands, when there is one entry for each picture."""
        if len(hands) != len(self.pictures):
            count = len(self.pictures)
            raise DataError(
                f"expected keypoints of each of {count} pictures in {self.path}, found {len(hands)} entries"
            )
        return hands

    def by_key(self, entries: Sequence[tuple[str | int, Sequence[HandKeypoints]]]) -> Hands:
        """The hands of entries that say which picture they speak of."""
        ends = [number_at_end(Path(name).stem) for name in self.pictures] if self.numbers is None else self.numbers
        frames = range(len(self.pictures)) if self.numbers is None else self.numbers
        known = PictureFrames.of(
            self.path,
            f"{self.pictures[0]} to {self.pictures[-1]}" if self.pictures else "no pictures",
            zip(self.pictures, frames, strict=True),
            [(number, frame) for number, frame in zip(ends, frames, strict=True) if number is not None],
            numbered=self.numbered,
        )
        only, hands = OnePicture(self.path), {frame: list[HandKeypoints]() for frame in frames}
        for key, picture_hands in entries:
            hands[only.of(known.frame(key, "a hand"), str(key))] += picture_hands
        return list(hands.values())


def _json(path: Path) -> Any:
    try:
        return read_json(path, largest_bytes=LARGEST_JSON_BYTES, most_marks=MOST_MARKS)
    except FileNotFoundError as error:
        raise DataError(f"expected a file of keypoints, found no file {path}") from error
    except DataError as error:
        raise DataError(f"expected keypoints in {path}, but it cannot be read: {error}") from error


def _hand(
    path: Path,
    joints: Float[np.ndarray, "21 2"],
    confidence: Float[np.ndarray, " 21"],
    right_probability: float,
    depth: Float[np.ndarray, " 21"] | None = None,
) -> HandKeypoints | None:
    """A hand from numbers in the programs' order; None when no joint was seen."""
    if not np.isfinite(confidence).all() or (confidence < 0).any():
        raise DataError(f"expected confidences of at least 0 in {path}")
    seen = confidence > 0
    if not seen.any():
        return None
    far = depth is not None and not (np.abs(depth) <= FARTHEST_PX).all()
    if far or not (np.abs(joints[seen]) <= FARTHEST_PX).all():
        raise DataError(f"expected joints in pixels in {path}, found NaN or numbers beyond {FARTHEST_PX:.0f}")
    placed = np.where(seen[:, None], joints, joints[seen].mean(axis=0))[OURS_FROM_DETECTORS]
    sure = confidence[OURS_FROM_DETECTORS].clip(0, 1)
    box = HandBox.around(_tensor(placed))
    turn_known = all(sure[row] > 0 for row in (WRIST, *BASES))
    relative = np.zeros(21) if depth is None else depth[OURS_FROM_DETECTORS]
    return HandKeypoints(
        _tensor(placed),
        _tensor(sure),
        float(sure.mean()),
        right_probability,
        _tensor(relative - relative[WRIST]),
        box if turn_known else HandBox(box.centre_px, box.side_px, None),
    )


def _tensor(values: Float[np.ndarray, "..."]) -> Float[Tensor, "..."]:
    return torch.from_numpy(np.asarray(values, np.float32))


def _numbers(path: Path, values: Any, shape: tuple[int, ...], name: str) -> Float[np.ndarray, "..."]:
    """Finite numbers of a shape, from a flat or nested list."""
    if not isinstance(values, list) or len(values) not in (shape[0], shape[0] * shape[-1]):
        raise DataError(f"expected {name} as a list of shape {shape} in {path}")
    flat = [number for entry in values for number in (entry if isinstance(entry, list) else [entry])]
    if len(flat) != np.prod(shape) or not all(type(number) in (int, float) for number in flat):
        raise DataError(f"expected {name} as {np.prod(shape):.0f} numbers in {path}")
    if not all(abs(number) <= LARGEST_NUMBER for number in flat):
        raise DataError(f"expected {name} as finite numbers in {path}, found NaN, infinity or one beyond all measure")
    return np.array(flat, np.float64).reshape(shape)


def _xyc_hands(path: Path, sides: Mapping[str, Any]) -> Iterator[HandKeypoints]:
    """Hands given as 21 times x, y and confidence, by side."""
    for side, values in sides.items():
        if values:
            numbers = _numbers(path, values, (21, 3), f"the {side} hand")
            hand = _hand(path, numbers[:, :2], numbers[:, 2], float(side == "right"))
            if hand is not None:
                yield hand


def _openpose_folder(places: _Places) -> Hands:
    files = sorted(places.path.glob("*.json"))
    if not files:
        raise DataError(f"expected OpenPose's files *_keypoints.json in {places.path}, found none")
    entries = [(file.stem.removesuffix("_keypoints"), _openpose_hands(file, _json(file))) for file in files]
    return places.by_key(entries)


def _openpose_hands(path: Path, content: Any) -> list[HandKeypoints]:
    people = content.get("people") if isinstance(content, dict) else None
    if not isinstance(people, list) or not all(isinstance(person, dict) for person in people):
        raise DataError(f"expected OpenPose's list `people` in {path}")
    return [
        hand
        for person in people
        for hand in _xyc_hands(path, {side: person.get(f"hand_{side}_keypoints_2d") for side in ("left", "right")})
    ]


def _coco(places: _Places, content: Any) -> Hands:
    """COCO-WholeBody: annotations with their images, or a list of results."""
    file = Entry.of(content if isinstance(content, dict) else {"annotations": content}, places.path)
    names = {number: image.text("file_name", longest=LONGEST_NAME) for number, image in file.by_id("images").items()}
    keyed: list[tuple[str | int, list[HandKeypoints]]] = []
    for entry in file.each("annotations"):
        if isinstance(entry.value("image_id"), str):
            key: str | int = entry.text("image_id", longest=LONGEST_NAME)
        else:
            number = entry.whole("image_id", least=0, most=LARGEST_ID)
            key = names.get(number, number)
        keyed.append((key, list(_xyc_hands(places.path, _whole_body_hands(places.path, entry.values)))))
    return places.by_key(keyed)


def _whole_body_hands(path: Path, entry: Mapping[str, Any]) -> dict[str, Any]:
    if "lefthand_kpts" in entry or "righthand_kpts" in entry:
        sides = {side: entry.get(f"{side}hand_kpts") for side in ("left", "right")}
        return {side: values for side, values in sides.items() if entry.get(f"{side}hand_valid", True)}
    body = _numbers(path, entry.get("keypoints"), (WHOLE_BODY, 3), "COCO-WholeBody's keypoints")
    return {side: body[rows].tolist() for side, rows in WHOLE_BODY_HANDS.items()}


def _mediapipe(places: _Places, content: Any, size: tuple[int, int]) -> Hands:
    """MediaPipe's results: a list with one for each picture, or an object with one for each picture's name."""
    if isinstance(content, list):
        return places.in_order([_mediapipe_hands(places.path, result, size) for result in content])
    if isinstance(content, dict) and any(key in content for key in LANDMARK_KEYS):
        return places.in_order([_mediapipe_hands(places.path, content, size)])
    if isinstance(content, dict):
        return places.by_key([(name, _mediapipe_hands(places.path, result, size)) for name, result in content.items()])
    raise DataError(f"expected keypoints of MediaPipe, OpenPose or COCO-WholeBody in {places.path}")


def _mediapipe_hands(path: Path, result: Any, size: tuple[int, int]) -> list[HandKeypoints]:
    expected = f"expected MediaPipe's landmarks and handedness of each hand in {path}"
    if result is None:
        return []
    if not isinstance(result, dict) or not any(key in result for key in LANDMARK_KEYS):
        raise DataError(expected)
    landmarks = next(result[key] for key in LANDMARK_KEYS if key in result)
    side_key = next((key for key in SIDE_KEYS if key in result), None)
    sides = result[side_key] if side_key else None
    if landmarks is None:
        return []
    if not isinstance(landmarks, list) or not isinstance(sides, list) or len(sides) != len(landmarks):
        raise DataError(expected)
    hands = []
    for points, side in zip(landmarks, sides, strict=True):
        shares, right = _mediapipe_points(path, points), _mediapipe_right(path, side)
        probability = 1 - right if side_key == MIRRORED_KEY else right
        hands.append(_hand(path, shares[:, :2] * size, np.ones(21), probability, shares[:, 2] * size[0]))
    return [hand for hand in hands if hand is not None]


def _mediapipe_points(path: Path, points: Any) -> Float[np.ndarray, "21 3"]:
    listed = points.get("landmark") if isinstance(points, dict) else points
    if not isinstance(listed, list) or not all(isinstance(point, dict) for point in listed):
        raise DataError(f"expected MediaPipe's 21 landmarks with x, y and z in {path}")
    rows = [[point.get(axis, 0 if axis == "z" else None) for axis in "xyz"] for point in listed]
    return _numbers(path, rows, (21, 3), "MediaPipe's landmarks")


def _mediapipe_right(path: Path, side: Any) -> float:
    """The probability of a right hand, by the label and its score."""
    classes = side.get("classification") if isinstance(side, dict) else side
    first = classes[0] if isinstance(classes, list) and classes else None
    if not isinstance(first, dict):
        raise DataError(f"expected MediaPipe's handedness as Left or Right in {path}")
    label = next((first[key] for key in ("label", "categoryName", "category_name") if key in first), None)
    score = first.get("score", 1.0)
    if label not in ("Left", "Right") or type(score) not in (int, float) or not 0 <= score <= 1:
        raise DataError(f"expected MediaPipe's handedness as Left or Right with a score from 0 to 1 in {path}")
    return float(score if label == "Right" else 1 - score)


def _arrays(places: _Places, arrays: Arrays, size: tuple[int, int]) -> Hands:
    """Ours, or one hand in each row: HaMeR's, WiLoR's, or joints in pixels."""
    path = places.path
    if "header" in arrays:
        return places.in_order(keypoints_of_arrays(path, arrays).hands)
    if set(arrays) == {"array"} and _in_crops(arrays["array"]):  # before a large file becomes hands
        raise shares_for_pixels(path)
    projected = "pred_keypoints_3d"
    given = [key for key in PIXEL_KEYS if key in arrays and not (projected in arrays and _in_crops(arrays[key]))]
    key = next(iter(given), projected)
    stored = floats(path, arrays, key, (-1, 21, 3 if arrays.get(key, EMPTY).shape[-1:] == (3,) else 2))
    sides = _sides(path, arrays, len(stored))
    joints, depth = _projected(path, arrays, stored, sides, size) if key == projected else (stored, None)
    confidence = joints[..., 2] if joints.shape[2] == 3 else np.where(np.isfinite(joints).all(axis=2), 1.0, 0.0)
    hands = [
        _hand(path, joints[row, :, :2], confidence[row], side, None if depth is None else depth[row])
        for row, side in enumerate(sides.tolist())
    ]
    entries = [[] if hand is None else [hand] for hand in hands]
    names = next((arrays[key] for key in NAME_KEYS if key in arrays), None)
    if names is None:
        return places.in_order(entries)
    if names.shape != (len(joints),) or names.dtype.kind not in "iuU":
        raise DataError(f"expected the name or number of a picture for each of {len(joints)} hands in {path}")
    return places.by_key(list(zip(names.tolist(), entries, strict=True)))


def _in_crops(array: Shaped[np.ndarray, "..."]) -> bool:
    """Whether points are shares of the crop around the hand, not pixels, as HaMeR's are."""
    return array.dtype.kind == "f" and are_shares(array)


def _sides(path: Path, arrays: Arrays, count: int) -> Float[np.ndarray, " n"]:
    """1 for right hands, 0 for left ones; right where nothing is said."""
    right = next((arrays[key] for key in ("right", "is_right") if key in arrays), np.ones(count))
    if right.size != count or right.dtype.kind not in "biuf" or not np.isin(right, (0, 1)).all():
        raise DataError(f"expected 0 or 1 for each of {count} hands in `right` of {path}")
    return right.reshape(count).astype(np.float64)


def _projected(
    path: Path,
    arrays: Arrays,
    joints: Float[np.ndarray, "n 21 c"],
    sides: Float[np.ndarray, " n"],
    size: tuple[int, int],
) -> tuple[Float[np.ndarray, "n 21 2"], Float[np.ndarray, "n 21"]]:
    """Joints in pixels and their depths, in pixels, from what HaMeR's and WiLoR's networks say.

    They give every hand as a right one, so left ones are mirrored here. Their camera looks through the centre.
    """
    shift = floats(path, arrays, "pred_cam_t_full", (len(joints), 1, 3))
    focal = floats(path, arrays, "scaled_focal_length", (-1, 1, 1))
    if len(focal) not in (1, len(joints)) or joints.shape[2] != 3:
        raise DataError(f"expected one scaled_focal_length, or one for each of {len(joints)} hands, in {path}")
    points = joints * np.stack([2 * sides - 1, sides**0, sides**0], axis=1)[:, None] + shift
    if not (np.isfinite(points).all() and (points[..., 2] > 0).all() and (focal > 0).all()):
        raise DataError(f"expected hands in front of the camera in {path}: pred_keypoints_3d + pred_cam_t_full")
    pixels = focal * points[..., :2] / points[..., 2:] + np.array(size) / 2
    wrist = points[:, :1, 2]
    return pixels, (points[..., 2] - wrist) * focal[..., 0] / wrist
