"""COCO's keypoints: `images`, `annotations` of 21 joints, and `categories` whose `keypoints` name them in their order.

https://cocodataset.org/#format-data, "Keypoint Detection". A joint is x, y and v: 0 not labelled, 1 labelled and
hidden, 2 labelled and visible. The centre of the top-left pixel is (0, 0), as here.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from warpgrasp.checked import LARGEST_ID, Entry
from warpgrasp.data.recording.camera import LARGEST_SIDE_PX
from warpgrasp.data.recording.files import Recording
from warpgrasp.data.recording.label_files.projected import HIDDEN, OUTSIDE, ProjectedHand
from warpgrasp.data.recording.label_files.stated import (
    LARGEST_PX,
    HandsOfFile,
    JointName,
    PlacedJoint,
    StatedLabels,
    joint_of,
    known_names,
    picture_name,
    sides_of,
    unknown_joint,
)
from warpgrasp.errors import DataError
from warpgrasp.hand import FINGERS, JOINTS

KIND = "COCO keypoints"
FLAGS = (0, 1, 2)
LIKE_COCO = {OUTSIDE: 0, HIDDEN: 1}  # else 2


def read_coco(entry: Entry, recording: Recording) -> StatedLabels:
    """The hands of a file. Raises `DataError` naming the file, the member and the fact."""
    images, categories = entry.by_id("images"), entry.by_id("categories")
    names: dict[tuple[int, str], list[JointName]] = {}
    hands = HandsOfFile(recording, entry.path)
    for annotation in entry.each("annotations"):
        if not annotation.values.get("keypoints"):
            continue
        chosen = _id(annotation, "category_id")
        if chosen not in categories:
            raise DataError(f"expected a category for {annotation.where('category_id')}, found none of id {chosen}")
        attributes = annotation.values.get("attributes")
        sides = sides_of(attributes.items()) if isinstance(attributes, dict) else ""
        if (chosen, sides) not in names:
            names[chosen, sides] = _names(categories[chosen], sides)
        stated = names[chosen, sides]
        numbers = annotation.numbers("keypoints", (3 * len(stated),), most=LARGEST_PX).reshape(-1, 3)
        if not np.isin(numbers[:, 2], FLAGS).all():
            raise DataError(
                f"expected 0, 1 or 2 as the third number of each joint (not labelled, hidden, visible) for "
                f"{annotation.where('keypoints')}, found another; confidences are no labels"
            )
        joints = [PlacedJoint(name, row[:2]) for name, row in zip(stated, numbers, strict=True) if row[2] > 0]
        if joints:
            hands.add(*_picture(annotation, images), joints=joints, size=_size(annotation, images))
    return hands.stated(KIND)


def _id(entry: Entry, key: str) -> int:
    return entry.whole(key, least=0, most=LARGEST_ID)


def _names(category: Entry, sides: str) -> list[JointName]:
    """The joints in their order; `sides` are words that say which hand it is."""
    if not category.values.get("keypoints"):
        raise DataError(
            f"expected the names of the joints for {category.where('keypoints')}, found none: they say in which order "
            f"the numbers stand; write them there ({known_names()})"
        )
    stated = category.items("keypoints", str)
    of = f"{category.text('name') if category.has('name') else ''} {sides}"
    found = [joint_of(name, of=of) for name in stated]
    names = [name for name in found if name is not None]
    if len(names) != len(found):
        raise unknown_joint(stated[found.index(None)], category.where("keypoints"), category.path)
    return names


def _picture(annotation: Entry, images: dict[int, Entry]) -> tuple[str | int, str]:
    number = _id(annotation, "image_id")
    if number not in images:
        raise DataError(f"expected an image for {annotation.where('image_id')}, found none of id {number}")
    image = images[number]
    return (image.text("file_name", longest=1000) if image.has("file_name") else number), annotation.place


def _size(annotation: Entry, images: dict[int, Entry]) -> tuple[int, int] | None:
    image = images[_id(annotation, "image_id")]
    if not (image.has("width") and image.has("height")):
        return None
    width, height = (image.whole(key, least=1, most=LARGEST_SIDE_PX) for key in ("width", "height"))
    return width, height


def coco_of(hands: Sequence[ProjectedHand], recording: Recording) -> dict[str, Any]:
    """A file's content: joints outside the picture are 0, 0, 0, those that something hides have v = 1."""
    lens = recording.lens
    images, annotations = [], []
    for number, hand in enumerate(hands):
        images.append(
            {
                "id": number,
                "file_name": picture_name(recording, hand.frame),
                "width": lens.width,
                "height": lens.height,
            }
        )
        seen = np.array([LIKE_COCO.get(state, 2) for state in hand.states])
        keypoints = np.concatenate([np.where(seen[:, None] > 0, hand.pixels, 0), seen[:, None]], axis=1)
        inside = hand.pixels[seen > 0] if seen.any() else np.zeros((1, 2))
        corner, extent = inside.min(axis=0), np.ptp(inside, axis=0)
        annotations.append(
            {
                "id": number,
                "image_id": number,
                "category_id": 1,
                "keypoints": [int(value) if value == int(value) else float(value) for value in keypoints.ravel()],
                "num_keypoints": int((seen > 0).sum()),
                "bbox": [*corner.tolist(), *extent.tolist()],
                "area": float(extent.prod()),
                "iscrowd": 0,
            }
        )
    rows = [
        [JOINTS.index(name) + 1 for name in ("wrist", *(f"{f}_{p}" for p in ("1", "2", "3", "tip")))] for f in FINGERS
    ]
    bones = [[first, second] for row in rows for first, second in pairwise(row)]
    category = {"id": 1, "name": f"{recording.side}_hand", "supercategory": "hand", "keypoints": list(JOINTS)}
    return {"images": images, "annotations": annotations, "categories": [{**category, "skeleton": bones}]}
