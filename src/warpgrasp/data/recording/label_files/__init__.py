"""Labels as other programs write them: 2D joints of CVAT, Label Studio and COCO, and poses of objects as BOP has them.

The program that wrote a file is told from the file's content. Everything is brought to our conventions: pixels whose
top-left centre is (0, 0), of the picture that the pinhole sees; metres; the recording's own frames.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from warpgrasp.bounded import MOST_MARKS, parse_json, parse_xml, read_regular
from warpgrasp.checked import Entry
from warpgrasp.data.recording.files import Recording
from warpgrasp.data.recording.label_files.bop import CSV_COLUMNS, read_bop, read_bop_results, scene_gt_of
from warpgrasp.data.recording.label_files.coco import coco_of, read_coco
from warpgrasp.data.recording.label_files.cvat import cvat_of, read_cvat
from warpgrasp.data.recording.label_files.label_studio import label_studio_of, read_label_studio
from warpgrasp.data.recording.label_files.projected import ProjectedHand, projected_hands
from warpgrasp.data.recording.label_files.stated import FilePose, SeenPixels, StatedLabels, joint_of
from warpgrasp.errors import DataError
from warpgrasp.hand import HandModel

__all__ = [
    "WRITERS",
    "FilePose",
    "LabelWriter",
    "ProjectedHand",
    "SeenPixels",
    "StatedLabels",
    "joint_of",
    "projected_hands",
    "read_labels",
]

LARGEST_BYTES = 64_000_000  # some thousand frames; Label Studio takes ten thousand bytes for a frame
KNOWN = "CVAT (for images 1.1), Label Studio (JSON), COCO keypoints, or BOP (scene_gt.json, results as CSV)"


def read_labels(path: Path, recording: Recording, *, object_id: int | None = None) -> StatedLabels:
    """What a file of another program states of a recording's frames; `object_id` is the object's number in BOP's files.

    Joints (n ≤ 21 for each frame) are in pixels of the undistorted picture; rotations 3×3 and translations in metres
    are of the mesh file's own coordinates. Raises `DataError` naming the file, the member and the fact when it is
    broken, of a kind that is not read, or speaks of pictures or joints that are not known here.
    """
    try:
        text = read_regular(path, LARGEST_BYTES).decode("utf-8-sig")
        start = text.lstrip()[:1]
        if start == "<":
            return read_cvat(parse_xml(text), path, recording)
        if start in ("{", "["):
            return _of_json(parse_json(text.encode(), most_marks=MOST_MARKS), path, recording, object_id)
    except (ValueError, OSError, RecursionError) as error:
        if isinstance(error, DataError):
            raise
        reason = (error.strerror or "") if isinstance(error, OSError) else " ".join(str(error).split())[:200]
        raise DataError(f"expected labels of {KNOWN} in {path}: {reason}") from error
    if text.lstrip().startswith(CSV_COLUMNS[0]):
        return read_bop_results(text, path, recording, object_id)
    raise DataError(f"expected labels of {KNOWN} in {path}, found another text")


def _of_json(content: Any, path: Path, recording: Recording, object_id: int | None) -> StatedLabels:
    if isinstance(content, list):
        if content and isinstance(content[0], dict) and "image_id" in content[0]:
            raise DataError(
                f"expected COCO's keypoints with images and categories, which name the joints, in {path}, found a list "
                f"of results alone"
            )
        return read_label_studio(Entry({"tasks": content}, path), recording)
    entry = Entry.of(content, path)
    if entry.has("annotations") and entry.has("images"):
        return read_coco(entry, recording)
    if entry.values and all(isinstance(value, list) for value in entry.values.values()):
        return read_bop(entry, recording, object_id)
    raise DataError(f"expected labels of {KNOWN} in {path}, found another JSON object")


@dataclass(frozen=True)
class LabelWriter:
    """A format that a recording's labels are written in."""

    description: str
    text: Callable[[Recording, HandModel, int], str]
    """The file's text, of a recording, the model of its hand, and the object's number in BOP's files."""


def _json(content: Any) -> str:
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


WRITERS: Mapping[str, LabelWriter] = {
    "coco": LabelWriter("COCO keypoints", lambda r, hand, _: _json(coco_of(projected_hands(r, hand), r))),
    "cvat": LabelWriter("CVAT for images 1.1", lambda r, hand, _: cvat_of(projected_hands(r, hand), r)),
    "label-studio": LabelWriter(
        "Label Studio's tasks", lambda r, hand, _: _json(label_studio_of(projected_hands(r, hand), r))
    ),
    "bop": LabelWriter("BOP's scene_gt.json", lambda r, hand, number: _json(scene_gt_of(r, hand, number))),
}
