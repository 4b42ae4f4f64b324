"""The parameters of a sequence as CSV or JSON, a line for each frame, written one by one as they are read.

Every number says what it is, in the file itself: its unit, the axes that it is given in, and what it refers to
(docs/own_video.md#the-numbers). The hand's parameters are those of `annotations.json`: they pose the named hand model
again. The object's pose is that of the mesh file's own coordinates, in metres. Of both hands each has a line.
"""

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from warpgrasp.data.recording import HandParameters, label_of_pose
from warpgrasp.export.sequence import PredictedSequence
from warpgrasp.geometry import axis_angle_from_matrix
from warpgrasp.hand import JOINTS, MANO_JOINTS
from warpgrasp.predictions import Flag

TABLE_FORMAT = "warpgrasp-parameters-2"
POSE_JOINTS = MANO_JOINTS[1:]  # of `hand_pose`, without the wrist


@dataclass(frozen=True)
class Column:
    """What numbers of one name are."""

    unit: str
    axes: str
    """The axes that they are given in."""
    reference: str
    """What they refer to."""

    @property
    def note(self) -> str:
        """All of that, for the head of a CSV column."""
        return "; ".join(text for text in (self.unit, self.axes, self.reference) if text)


CAMERA = "camera axes"
COLUMNS: Mapping[str, Column] = {
    "time_s": Column("s", "", "since the first frame"),
    "hand_rotation": Column("rad", CAMERA, "axis-angle of the whole hand about its wrist from the rest pose"),
    "hand_translation": Column("m", CAMERA, "added to the vertices of the posed hand model"),
    "hand_pose": Column("rad", "axes of the rest pose", "axis-angle of each joint from the rest pose"),
    "hand_shape": Column("standard deviations", "", "weights of the hand model's shape components"),
    "hand_joints": Column("m", CAMERA, "positions of the joints as predicted"),
    "object_rotation": Column("rad", CAMERA, "axis-angle that turns the mesh file's own coordinates"),
    "object_translation": Column("m", CAMERA, "position of the mesh file's own origin"),
}
# Only where it was measured: in files of a detector's check, in frames that it looked at and saw a hand in.
MEASURED: Mapping[str, Column] = {
    "keypoint_distance_px": Column("px", "", "mean distance of the projected joints from those that a detector sees"),
}


def write_csv(sequence: PredictedSequence, path: Path) -> None:
    """Write a row for each frame, or for each of its hands, below a head of `NAME [UNIT; AXES; REFERENCE]`.

    Vectors have a column for x, y and z, joints one for each by their names, shapes a numbered one for each parameter.
    """
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        for number, row in enumerate(rows_of_hands(sequence)):
            cells = list(_cells(row))
            if number == 0:
                writer.writerow(head for head, _ in cells)
            writer.writerow(value for _, value in cells)


def write_json(sequence: PredictedSequence, path: Path) -> None:
    """Write one object: what the numbers are, then the frames, one on a line."""
    about = {
        "format": TABLE_FORMAT,
        "units": "metres, radians, seconds",
        "axes": "OpenCV camera: x right, y down, z forward",
        "hand_model": sequence.hand.template.name if sequence.other_hand is None else _hand_models(sequence),
        "hand": "vertices = model(pose = hand_rotation then hand_pose, shape = hand_shape) + hand_translation",
        "object": "vertices = R(object_rotation) x + object_translation, x the mesh file's own coordinates in metres",
        "joints": list(JOINTS),
        "pose_joints": list(POSE_JOINTS),
        "columns": {name: vars(column) for name, column in _columns(sequence).items()},
    }
    stated = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in about.items())
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(f'{{\n{stated},\n"frames": [')
        for number, row in enumerate(rows_of_hands(sequence)):
            file.write((",\n" if number else "\n") + json.dumps(row, allow_nan=False))
        file.write("\n]\n}\n")


def rows_of_hands(sequence: PredictedSequence) -> Iterator[dict[str, Any]]:
    """The `parameter_rows`; of both hands those of each frame one after the other, with the hand's `side`."""
    if sequence.other_hand is None:
        yield from parameter_rows(sequence)
        return
    for of_frame in zip(*(parameter_rows(one) for one in sequence.hands.values()), strict=True):
        for one, row in zip(sequence.hands.values(), of_frame, strict=True):
            yield {"sequence": row["sequence"], "frame": row["frame"], "side": one.side, **row}


def _hand_models(sequence: PredictedSequence) -> dict[str, str]:
    return {one.side: one.hand.template.name for one in sequence.hands.values()}


def parameter_rows(sequence: PredictedSequence) -> Iterator[dict[str, Any]]:
    """Each frame's numbers by name: texts, numbers, and lists of numbers. `COLUMNS` says what they are.

    Raises `SequenceError` when the predicted vertices are not those of the parameters.
    """
    position = 0
    for part in sequence.chunks():
        pose, _ = sequence.posed(part)
        rotation, translation = sequence.model.pose_of_file(pose.object_rotation, pose.object_centre)
        axis_angle = axis_angle_from_matrix(rotation)
        for row, index in enumerate(part.index.tolist()):
            hand = label_of_pose(index, pose.rows(slice(row, row + 1)), sequence.hand, sequence.model).hand
            assert isinstance(hand, HandParameters)
            yield {
                "sequence": sequence.name,
                "frame": index,
                "time_s": float(sequence.times_s[position]),
                "flags": Flag(int(sequence.flags[position])).words,
                "hand_rotation": hand.pose[:3].tolist(),
                "hand_translation": hand.translation.tolist(),
                "hand_pose": hand.pose[3:].tolist(),
                "hand_shape": hand.shape.tolist(),
                "hand_joints": part.hand_joints[row].tolist(),
                "object": sequence.model.name,
                "object_rotation": axis_angle[row].tolist(),
                "object_translation": translation[row].tolist(),
                **{name: _number(part.arrays[name][row]) for name in MEASURED if name in part.arrays},
            }
            position += 1


def _columns(sequence: PredictedSequence) -> dict[str, Column]:
    """The columns of a sequence."""
    measured = sequence.predictions.arrays
    return {**COLUMNS, **{name: column for name, column in MEASURED.items() if name in measured}}


def _number(value: Any) -> float | None:
    """A number; None where it was not measured."""
    return None if np.isnan(value) else float(value)


def _cells(row: dict[str, Any]) -> Iterator[tuple[str, str | int | float | None]]:
    """The cells of a CSV row with the heads of their columns."""
    for key, value in row.items():
        column = COLUMNS.get(key) or MEASURED.get(key)
        # A name that ends with its unit is read by programs as it is; docs/own_video.md says what it refers to.
        note = "" if column is None or key.endswith(f"_{column.unit}") else f" [{column.note}]"
        for name, number in _named(key, value):
            yield name + note, number


def _named(key: str, value: Any) -> Iterator[tuple[str, str | int | float | None]]:
    """The numbers of a cell of `parameter_rows`, each with a name of its own."""
    if key == "hand_joints":
        named = zip(JOINTS, value, strict=True)
    elif key == "hand_pose":
        points = [value[start : start + 3] for start in range(0, len(value), 3)]
        named = zip((f"{key}_{joint}" for joint in POSE_JOINTS), points, strict=True)
    elif key == "hand_shape":
        yield from ((f"{key}_{number}", parameter) for number, parameter in enumerate(value))
        return
    elif isinstance(value, list):
        named = [(key, value)]
    else:
        yield key, value
        return
    for name, point in named:
        yield from ((f"{name}_{axis}", number) for axis, number in zip("xyz", point, strict=True))
