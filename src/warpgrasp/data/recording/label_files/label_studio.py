"""Label Studio's JSON: a list of tasks, each a picture with results of the kind `keypointlabels`.

https://labelstud.io/guide/export, https://labelstud.io/tags/keypointlabels. Places are per cent of the picture's width
and height from the corner of its top-left pixel. Only joints that were labelled are there, hidden or not.
"""

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from warpgrasp.bounded import shown
from warpgrasp.checked import Entry
from warpgrasp.data.pictures import PICTURE_ENDINGS
from warpgrasp.data.recording.camera import LARGEST_SIDE_PX
from warpgrasp.data.recording.files import Recording
from warpgrasp.data.recording.label_files.projected import OUTSIDE, ProjectedHand
from warpgrasp.data.recording.label_files.stated import (
    CORNER_PX,
    HandsOfFile,
    PlacedJoint,
    StatedLabels,
    joint_of,
    picture_name,
    unknown_joint,
)
from warpgrasp.errors import DataError
from warpgrasp.hand import JOINTS

KIND = "Label Studio"
PER_CENT = 100.0
KEYPOINTS = "keypointlabels"
MOST_PER_CENT = 1e4


def read_label_studio(entry: Entry, recording: Recording) -> StatedLabels:
    """The hands of a file, whose list is `entry`'s `tasks`. Raises `DataError` naming file, member and fact."""
    hands = HandsOfFile(recording, entry.path)
    size = np.array([recording.lens.width, recording.lens.height])
    for task in entry.entries("tasks"):
        if not (task.has("annotations") and task.has("data")):
            raise DataError(
                f"expected tasks with data and annotations, as Label Studio's export JSON (not JSON-MIN) has them, for "
                f"{task.place} in {task.path}"
            )
        for annotation in task.entries("annotations"):
            if annotation.values.get("was_cancelled") is True:
                continue
            regions = [one for one in annotation.entries("result") if one.values.get("type") == KEYPOINTS]
            joints = [joint for region in regions for joint in _joints(region, size)]
            if joints:
                others = [one for one in map(_size, regions) if one not in (None, tuple(size.tolist()))]
                hands.add(_picture(task), annotation.place, joints, others[0] if others else None)
    return hands.stated(KIND)


def _joints(region: Entry, size: np.ndarray) -> Iterator[PlacedJoint]:
    if region.values.get("image_rotation") not in (None, 0):
        raise DataError(
            f"expected joints in pictures that are not turned for {region.where('image_rotation')}, found "
            f"{shown([str(region.values['image_rotation'])])}; turn the picture back in Label Studio"
        )
    value = region.entry("value")
    labels = value.items(KEYPOINTS, str)
    if not labels:  # a point that nobody named
        return
    name = joint_of(labels[0]) if len(labels) == 1 else None
    if name is None:
        raise unknown_joint(", ".join(labels[:3]), value.where(KEYPOINTS), value.path)
    share = np.array([value.number(axis, most=MOST_PER_CENT) for axis in "xy"]) / PER_CENT
    yield PlacedJoint(name, share * size - CORNER_PX)


def _picture(task: Entry) -> str:
    """The picture that a task shows: the one text among its data that ends like a picture's name."""
    data = task.entry("data")
    texts = [value for value in data.values.values() if isinstance(value, str)]
    named = [
        text
        for text in texts
        if any(PurePosixPath(part).suffix.lower() in PICTURE_ENDINGS for part in (text, text.split("?")[0]))
    ]
    if len(named) != 1:
        raise DataError(
            f"expected the name of one picture ({', '.join(PICTURE_ENDINGS)}) for {task.where('data')}, found "
            f"{len(named) or 'none'}"
        )
    return named[0]


def _size(region: Entry) -> tuple[int, int] | None:
    if None in (region.values.get("original_width"), region.values.get("original_height")):
        return None
    width, height = (region.whole(f"original_{side}", least=1, most=LARGEST_SIDE_PX) for side in ("width", "height"))
    return width, height


def label_studio_of(hands: Sequence[ProjectedHand], recording: Recording) -> list[dict[str, Any]]:
    """A file's content: a task for each frame, its joints in the picture as finished annotations."""
    size = np.array([recording.lens.width, recording.lens.height])
    about = {"original_width": recording.lens.width, "original_height": recording.lens.height, "image_rotation": 0}
    about |= {"type": KEYPOINTS, "from_name": "joints", "to_name": "image"}
    tasks = []
    for number, hand in enumerate(hands):
        places = zip(JOINTS, (hand.pixels + CORNER_PX) / size * PER_CENT, hand.states, strict=True)
        result = [
            {"id": f"{number}_{name}", **about, "value": {"x": x, "y": y, "width": 0.5, KEYPOINTS: [name]}}
            for name, (x, y), state in places
            if state != OUTSIDE
        ]
        picture = {"image": picture_name(recording, hand.frame)}
        tasks.append({"id": number + 1, "data": picture, "annotations": [{"result": result}]})
    return tasks
