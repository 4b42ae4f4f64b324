"""The parameters of a sequence as CSV or JSON, a line for each frame, written one by one as they are read.

The object's pose is that of the mesh file's own coordinates, in metres (docs/own_video.md).
"""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from warpgrasp.export.sequence import PredictedSequence
from warpgrasp.geometry import axis_angle_from_matrix
from warpgrasp.hand import JOINTS
from warpgrasp.predictions import Flag

FORMAT = "warpgrasp-parameters-1"


def write_csv(sequence: PredictedSequence, path: Path) -> None:
    """Write a row for each frame; a list becomes numbered columns, joints become named ones."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        for number, row in enumerate(parameter_rows(sequence)):
            cells = dict(_cells(row))
            if number == 0:
                writer.writerow(cells)
            writer.writerow(cells.values())


def write_json(sequence: PredictedSequence, path: Path) -> None:
    """Write one object: what the numbers are, then the frames, one on a line."""
    about = {
        "format": FORMAT,
        "units": "metres, radians, seconds",
        "axes": "OpenCV camera: x right, y down, z forward",
        "hand_model": sequence.hand.template.name,
        "joints": list(JOINTS),
    }
    stated = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in about.items())
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(f'{{\n{stated},\n"frames": [')
        for number, row in enumerate(parameter_rows(sequence)):
            file.write((",\n" if number else "\n") + json.dumps(row, allow_nan=False))
        file.write("\n]\n}\n")


def parameter_rows(sequence: PredictedSequence) -> Iterator[dict[str, Any]]:
    """Each frame's numbers by name: texts, numbers, and lists of numbers."""
    position = 0
    centre = sequence.model.centre_m.double().numpy()
    for part in sequence.chunks():
        hand_rotation, object_rotation = (
            axis_angle_from_matrix(torch.from_numpy(array).double()).numpy()
            for array in (part.hand_rotation, part.object_rotation)
        )
        # R (x - centre) + t with the file's own x.
        translation = part.object_translation - part.object_rotation @ centre
        for row, index in enumerate(part.index.tolist()):
            yield {
                "sequence": sequence.name,
                "frame": index,
                "time_s": float(sequence.times_s[position]),
                "flags": Flag(int(sequence.flags[position])).words,
                "hand_rotation": hand_rotation[row].tolist(),
                "hand_translation": part.hand_translation[row].tolist(),
                "hand_pose": part.hand_pose[row].tolist(),
                "hand_shape": part.hand_shape[row].tolist(),
                "hand_joints": part.hand_joints[row].tolist(),
                "object": sequence.model.name,
                "object_rotation": object_rotation[row].tolist(),
                "object_translation": translation[row].tolist(),
            }
            position += 1


def _cells(row: dict[str, Any]) -> Iterator[tuple[str, str | int | float]]:
    """The cells of a CSV row, by the names of their columns."""
    for key, value in row.items():
        if key == "hand_joints":
            for joint, point in zip(JOINTS, value, strict=True):
                yield from ((f"{joint}_{axis}", number) for axis, number in zip("xyz", point, strict=True))
        elif isinstance(value, list):
            names = "xyz" if len(value) == 3 else map(str, range(len(value)))
            yield from ((f"{key}_{name}", number) for name, number in zip(names, value, strict=True))
        else:
            yield key, value
