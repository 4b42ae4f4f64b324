"""`annotation_drafts.json`: frames that are not finished, and the points clicked on, so that a restart loses nothing.

Only `warpgrasp annotate` reads this file; deleting it deletes unfinished work and no label.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from warpgrasp.data import DataError
from warpgrasp.data.recording.annotation_file import LARGEST_FRAME, USES
from warpgrasp.data.recording.document import Entry, read_document, write_document
from warpgrasp.hand import JOINTS
from warpgrasp.viewer.poses import FrameState, HandPose, ObjectPose, PointPair

FORMAT = "warpgrasp-drafts-1"
FILE = "annotation_drafts.json"


def read_drafts(folder: Path, *, hand_model: str, shape_count: int) -> dict[int, FrameState]:
    """The drafts of a recording by frame; none where there is no file.

    Raises `DataError` naming the file and the fact, also when they were made with another hand model.
    """
    path = folder / FILE
    if not path.exists():
        return {}
    entry = read_document(path, FORMAT)
    entry.only("format", "hand_model", "frames")
    if entry.text("hand_model") != hand_model:
        raise DataError(
            f"expected drafts made with {hand_model} in {path}, found {entry.text('hand_model')}; choose it by --hand "
            f"open|mano and --side right|left, or delete the file"
        )
    drafts = {}
    for one in entry.entries("frames"):
        one.only("frame", "use", "hand", "object", "object_points", "hand_joints")
        drafts[one.whole("frame", least=0, most=LARGEST_FRAME)] = _state(one, shape_count)
    return drafts


def _state(entry: Entry, shape_count: int) -> FrameState:
    hand, thing, joints = entry.entry("hand"), entry.entry("object"), entry.entry("hand_joints")
    joints.only(*JOINTS)
    pairs = entry.entries("object_points")
    return FrameState(
        ObjectPose(thing.numbers("rotation", (3,)), thing.numbers("centre", (3,))),
        HandPose(
            hand.numbers("rotation", (3,)),
            hand.numbers("wrist", (3,)),
            hand.numbers("joints", (45,)),
            hand.numbers("shape", (shape_count,)),
        ),
        tuple(PointPair(one.numbers("point", (3,)), one.numbers("pixel", (2,))) for one in pairs),
        tuple((name, joints.numbers(name, (2,))) for name in JOINTS if joints.has(name)),
        use=entry.choice("use", USES),
    )


def drafts_document(drafts: Mapping[int, FrameState], *, hand_model: str) -> dict[str, Any]:
    """The file's content for these frames."""
    return {
        "format": FORMAT,
        "hand_model": hand_model,
        "frames": [_written(frame, drafts[frame]) for frame in sorted(drafts)],
    }


def _written(frame: int, state: FrameState) -> dict[str, Any]:
    hand = {name: np.asarray(value).tolist() for name, value in vars(state.hand).items()}
    return {
        "frame": frame,
        "use": state.use,
        "hand": hand,
        "object": {"rotation": state.object.rotation.tolist(), "centre": state.object.centre.tolist()},
        "object_points": [{"point": pair.point.tolist(), "pixel": pair.pixel.tolist()} for pair in state.pairs],
        "hand_joints": {name: pixel.tolist() for name, pixel in state.joints_px},
    }


def write_drafts(folder: Path, content: dict[str, Any]) -> None:
    """Write the drafts, whole or not at all; without any, no file."""
    path = folder / FILE
    if content["frames"] or path.exists():
        write_document(path, content)
