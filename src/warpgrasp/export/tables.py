"""Parameters of a take as CSV or JSON, a line for each frame, written as they are read; and as BOP results.

The object's pose is that of the mesh file's own coordinates, in metres (docs/own_video.md).
"""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TextIO

import torch

from warpgrasp.export.sequence import Take
from warpgrasp.geometry import axis_angle_from_matrix, matrix_from_axis_angle
from warpgrasp.hand import JOINTS
from warpgrasp.predictions import Flag

FORMAT = "warpgrasp-parameters-1"


def rows_of(take: Take) -> Iterator[dict[str, Any]]:
    """Each frame's numbers by name: texts, numbers, and lists of numbers."""
    place = 0
    centre = take.model.centre_m.double().numpy()
    for part in take.chunks():
        hand_rotation, object_rotation = (
            axis_angle_from_matrix(torch.from_numpy(array).double()).numpy()
            for array in (part.hand_rotation, part.object_rotation)
        )
        # R (x - centre) + t with the file's own x.
        translation = part.object_translation - part.object_rotation @ centre
        for row, index in enumerate(part.index.tolist()):
            yield {
                "sequence": take.sequence,
                "frame": index,
                "time_s": float(take.times_s[place]),
                "flags": Flag(int(take.flags[place])).words,
                "hand_rotation": hand_rotation[row].tolist(),
                "hand_translation": part.hand_translation[row].tolist(),
                "hand_pose": part.hand_pose[row].tolist(),
                "hand_shape": part.hand_shape[row].tolist(),
                "hand_joints": part.hand_joints[row].tolist(),
                "object": take.model.name,
                "object_rotation": object_rotation[row].tolist(),
                "object_translation": translation[row].tolist(),
            }
            place += 1


def write_csv(take: Take, file: TextIO) -> None:
    """One row for each frame; a list becomes numbered columns, joints named ones."""
    writer = csv.writer(file, lineterminator="\n")
    for number, row in enumerate(rows_of(take)):
        flat = dict(_flat(row))
        if number == 0:
            writer.writerow(flat)
        writer.writerow(flat.values())


@dataclass(frozen=True)
class BopNumbers:
    """How a BOP data set calls the scene and the object of a sequence."""

    scene: int = 1
    object: int = 1


def write_bop(take: Take, numbers: BopNumbers, file: TextIO) -> None:
    """The object's poses as the BOP challenge takes them: model to camera, R row by row, t in millimetres.

    Poses are those of the mesh file's own coordinates; a score is 1 and a time -1, not measured.
    """
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["scene_id", "im_id", "obj_id", "score", "R", "t", "time"])
    for row in rows_of(take):
        rotation = matrix_from_axis_angle(torch.tensor(row["object_rotation"], dtype=torch.float64)).flatten().tolist()
        translation_mm = [1000 * value for value in row["object_translation"]]
        texts = [" ".join(f"{value:.9g}" for value in values) for values in (rotation, translation_mm)]
        writer.writerow([numbers.scene, row["frame"], numbers.object, 1, *texts, -1])


def _flat(row: dict[str, Any]) -> Iterator[tuple[str, str | int | float]]:
    for key, value in row.items():
        if key == "hand_joints":
            for joint, place in zip(JOINTS, value, strict=True):
                yield from ((f"{joint}_{axis}", number) for axis, number in zip("xyz", place, strict=True))
        elif isinstance(value, list):
            names = "xyz" if len(value) == 3 else map(str, range(len(value)))
            yield from ((f"{key}_{name}", number) for name, number in zip(names, value, strict=True))
        else:
            yield key, value


def write_json(take: Take, file: TextIO) -> None:
    """One object: what the numbers are, then the frames, one on a line."""
    about = {
        "format": FORMAT,
        "units": "metres, radians, seconds",
        "axes": "OpenCV camera: x right, y down, z forward",
        "hand_model": take.hand.template.name,
        "joints": list(JOINTS),
    }
    stated = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in about.items())
    file.write(f'{{\n{stated},\n"frames": [')
    for number, row in enumerate(rows_of(take)):
        file.write((",\n" if number else "\n") + json.dumps(row, allow_nan=False))
    file.write("\n]\n}\n")
