"""`annotation_drafts.json`: the frames of a recording that are not finished, and the points clicked on.

It holds the drafts of one hand, whose model it names. In a recording of both hands those of the other one are in a file
of their own, `annotation_drafts_left.json` or `annotation_drafts_right.json`.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, get_args

from warpgrasp.annotate.edited_frame import EditedFrame, Part, PointPair, float64_rows
from warpgrasp.checked import Entry, read_json_object
from warpgrasp.data.recording import LARGEST_FRAME, LARGEST_LABELS_BYTES, USES
from warpgrasp.errors import DataError
from warpgrasp.files import write_document
from warpgrasp.frame import Pose
from warpgrasp.geometry import axis_angle_from_matrix, matrix_from_axis_angle
from warpgrasp.hand import JOINTS, HandModel, side_of_hand

FORMAT = "warpgrasp-drafts-1"
DRAFTS_FILE = "annotation_drafts.json"
PARTS: tuple[Part, ...] = get_args(Part)
OTHERS = "other hand"  # whose label places the object of a draft, as long as nobody moves it there


def drafts_file(folder: Path, hand_model: str, *, of_both: bool) -> Path:
    """The file of a hand's drafts, in a recording of that hand or `of_both`. Raises `DataError` for a broken one."""
    side = side_of_hand(hand_model)
    first, own = folder / DRAFTS_FILE, folder / f"annotation_drafts_{side}.json"
    if own.exists():
        return own
    if not of_both or (first.exists() and side_of_hand(_document(first).text("hand_model")) == side):
        return first
    return own


def _document(path: Path) -> Entry:
    return read_json_object(path, FORMAT, largest_bytes=LARGEST_LABELS_BYTES)


class Drafts:
    """The drafts of one hand: frames as they were read, and as their file holds them now."""

    def __init__(self, path: Path, hand_model: str, frames: Mapping[int, EditedFrame], entries: Mapping[int, Any]):
        self.frames = frames
        self.placed_by_other = {number for number, entry in entries.items() if "placed_by" in entry}
        self._path, self._hand_model, self._entries = path, hand_model, entries
        self._on_disk = [entries[number] for number in sorted(entries)]

    @staticmethod
    def read(folder: Path, hand: HandModel, *, of_both: bool = False) -> "Drafts":
        """Read the drafts of a hand in a recording of it alone, or `of_both`; none where there is no file.

        Raises `DataError` naming the file and the fact, also when they were made with another hand model.
        """
        hand_model = hand.template.name
        path = drafts_file(folder, hand_model, of_both=of_both)
        if not path.exists():
            return Drafts(path, hand_model, {}, {})
        document = _document(path)
        document.only("format", "hand_model", "frames")
        found = document.text("hand_model")
        if found != hand_model:
            both = ", annotate both hands by --hands both" * (side_of_hand(found) != side_of_hand(hand_model))
            raise DataError(
                f"expected drafts made with {hand_model} in {path}, found {found}; choose it by "
                f"--hand open|mano and --side right|left{both}, or delete the file"
            )
        frames, entries = {}, {}
        for entry in document.entries("frames"):
            entry.only("frame", "use", "hand", "object", "object_points", "hand_joints", "missing", "placed_by")
            if entry.has("placed_by"):
                entry.choice("placed_by", (OTHERS,))
            number = entry.whole("frame", least=0, most=LARGEST_FRAME)
            frames[number], entries[number] = _frame_of(entry, hand.shape_count), dict(entry.values)
        return Drafts(path, hand_model, frames, entries)

    def write(self, drafts: Mapping[int, EditedFrame], placed_by_other: Collection[int] = ()) -> None:
        """Write drafts, whole or not at all; without any, no file. Nothing is written when nothing has changed.

        `placed_by_other` are those whose object lies where the other hand's label has it.
        """
        entries = [
            self._entries[number]
            if frame is self.frames.get(number)
            else _entry_of(number, frame, placed_by_other=number in placed_by_other)
            for number, frame in sorted(drafts.items())
        ]
        if entries == self._on_disk:
            return
        if entries or self._path.exists():
            write_document(self._path, {"format": FORMAT, "hand_model": self._hand_model, "frames": entries})
        self._on_disk = entries


def _frame_of(entry: Entry, shape_count: int) -> EditedFrame:
    hand, target, joints = entry.entry("hand"), entry.entry("object"), entry.entry("hand_joints")
    joints.only(*JOINTS)
    pose = Pose(
        matrix_from_axis_angle(float64_rows(target.numbers("rotation", (3,)))),
        float64_rows(target.numbers("centre", (3,))),
        matrix_from_axis_angle(float64_rows(hand.numbers("rotation", (3,)))),
        float64_rows(hand.numbers("wrist", (3,))),
        float64_rows(hand.numbers("joints", (45,))),
        float64_rows(hand.numbers("shape", (shape_count,))),
    )
    pairs = (
        PointPair(pair.numbers("point", (3,)), pair.numbers("pixel", (2,))) for pair in entry.entries("object_points")
    )
    joints_px = tuple((name, joints.numbers(name, (2,))) for name in JOINTS if joints.has(name))
    missing = entry.choice("missing", PARTS) if entry.has("missing") else None
    return EditedFrame(pose, tuple(pairs), joints_px, use=entry.choice("use", USES), missing=missing)


def _entry_of(number: int, frame: EditedFrame, *, placed_by_other: bool) -> dict[str, Any]:
    pose = frame.pose
    hand_rotation, object_rotation = (
        axis_angle_from_matrix(matrix)[0].tolist() for matrix in (pose.hand_rotation, pose.object_rotation)
    )
    return {
        "frame": number,
        "use": frame.use,
        "hand": {
            "rotation": hand_rotation,
            "wrist": frame.wrist.tolist(),
            "joints": frame.joint_angles.tolist(),
            "shape": frame.shape.tolist(),
        },
        "object": {"rotation": object_rotation, "centre": frame.object_centre.tolist()},
        "object_points": [{"point": pair.point.tolist(), "pixel": pair.pixel.tolist()} for pair in frame.pairs],
        "hand_joints": {name: pixel.tolist() for name, pixel in frame.joints_px},
        **({} if frame.missing is None or frame.done else {"missing": frame.missing}),
        **({"placed_by": OTHERS} if placed_by_other else {}),
    }
