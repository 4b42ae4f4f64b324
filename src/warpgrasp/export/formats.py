"""The registry of export formats, the writing of a sequence in some of them, each whole or not at all, and its tables.

A table holds the parameters of a sequence as CSV or JSON, a line for each frame, written one by one as they are read.
Every number says what it is, in the file itself: its unit, the axes that it is given in, and what it refers to
(docs/own_video.md#the-numbers). The hand's parameters are those of `annotations.json`: they pose the named hand model
again. The object's pose is that of the mesh file's own coordinates, in metres.
"""

import csv
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from warpgrasp.data.recording import HandParameters, label_of_pose
from warpgrasp.errors import UserError
from warpgrasp.export.datasets import check_frames_folder, check_ho3d, write_bop, write_ho3d, write_obj, write_ply
from warpgrasp.export.gltf import write_glb
from warpgrasp.export.rrd import check_rrd, write_rrd
from warpgrasp.export.sequence import PredictedSequence
from warpgrasp.export.usd import check_usd, write_usd
from warpgrasp.export.video import check_video, write_video
from warpgrasp.files import fingerprint_of_files, remove_leftovers, replacing, replacing_folder
from warpgrasp.geometry import axis_angle_from_matrix
from warpgrasp.hand import JOINTS, MANO_JOINTS
from warpgrasp.predictions import Flag
from warpgrasp.registry import Registry
from warpgrasp.signals import Waiting

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
    """Write a row for each frame below a head of `NAME [UNIT; AXES; REFERENCE]`.

    Vectors have a column for x, y and z, joints one for each by their names, shapes a numbered one for each parameter.
    """
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        for number, row in enumerate(parameter_rows(sequence)):
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
        "hand_model": sequence.hand.template.name,
        "hand": "vertices = model(pose = hand_rotation then hand_pose, shape = hand_shape) + hand_translation",
        "object": "vertices = R(object_rotation) x + object_translation, x the mesh file's own coordinates in metres",
        "joints": list(JOINTS),
        "pose_joints": list(POSE_JOINTS),
        "columns": {name: vars(column) for name, column in _columns(sequence).items()},
    }
    stated = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in about.items())
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(f'{{\n{stated},\n"frames": [')
        for number, row in enumerate(parameter_rows(sequence)):
            file.write((",\n" if number else "\n") + json.dumps(row, allow_nan=False))
        file.write("\n]\n}\n")


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


class ExportTargetError(UserError):
    """No target is given, or a target cannot be written."""


@dataclass(frozen=True)
class ExportOptions:
    """What formats want to know besides the sequence."""

    bop_scene: int = 1
    """The number of the scene in a BOP data set."""
    bop_object: int = 1
    """The number of the object in a BOP data set."""


def _accept(sequence: PredictedSequence, path: Path, options: ExportOptions) -> None:
    """Every sequence can be written."""


@dataclass(frozen=True)
class ExportFormat:
    """A format in which a sequence of predictions can be written, as one file or one folder.

    A package adds a format by an entry point of the group `warpgrasp.exports` that names an `ExportFormat`; the command
    line then takes it as `--to NAME=PATH`.
    """

    description: str
    """What is written, for lists of the formats."""
    write: Callable[[PredictedSequence, Path, ExportOptions], None]
    """Write a sequence to a path: a new name, which becomes the target's when the function returns.

    With `is_folder` an empty folder is there. The name of the path is that of the target.
    """
    check: Callable[[PredictedSequence, Path, ExportOptions], None] = _accept
    """Raise a `UserError` when a sequence cannot be written to this target; called before any target is written."""
    is_folder: bool = False
    """Whether a folder is written, not a file."""
    overwrites: bool = True
    """Whether `--force` may replace what is there."""


def _format(
    description: str,
    write: Callable[[PredictedSequence, Path], None],
    *,
    check: Callable[[PredictedSequence, Path], None] = lambda sequence, path: None,
    is_folder: bool = False,
    overwrites: bool = True,
) -> ExportFormat:
    """A format that has no options."""
    return ExportFormat(
        description,
        write=lambda sequence, path, _: write(sequence, path),
        check=lambda sequence, path, _: check(sequence, path),
        is_folder=is_folder,
        overwrites=overwrites,
    )


OWN_EXPORTS: Mapping[str, ExportFormat] = {
    "glb": _format("an animated GLB file", write_glb),
    "usd": _format("an animated USD file, for Blender, Omniverse or Unreal", write_usd, check=check_usd),
    "rrd": _format("a recording of Rerun, with pictures where --data has them", write_rrd, check=check_rrd),
    "obj": _format("a folder of OBJ files", write_obj, check=check_frames_folder, is_folder=True),
    "ply": _format("a folder of PLY files", write_ply, check=check_frames_folder, is_folder=True),
    "mp4": _format("a video, predictions over pictures", write_video, check=check_video),
    "csv": _format("a table of parameters", write_csv),
    "json": _format("the parameters as JSON", write_json),
    "bop": ExportFormat(
        "the object's poses as results of the BOP challenge",
        lambda sequence, path, options: write_bop(
            sequence, path, scene=options.bop_scene, object_number=options.bop_object
        ),
    ),
    # Never overwritten: HO-3D itself looks the same.
    "ho3d": _format("a data set in HO-3D's layout", write_ho3d, check=check_ho3d, is_folder=True, overwrites=False),
}
EXPORTS: Registry[ExportFormat] = Registry("export format", "warpgrasp.exports", OWN_EXPORTS)


def export_sequence(
    sequence: PredictedSequence,
    targets: Mapping[str, Path],
    options: ExportOptions | None = None,
    *,
    appeared: Collection[str] = (),
) -> Iterator[str]:
    """Write a sequence to targets, paths by the names of formats, and yield a line about each.

    They appear together when all are written, and no signal comes in between. What is there is replaced
    (`check_targets` refuses that), but for those that `appeared` of an export that was killed while they did: they must
    be the same again, else `ExportTargetError` is raised and nothing is written. Nothing is written either when one of
    the formats cannot hold the sequence: then its `check` raises a `UserError`.
    """
    options = options or ExportOptions()
    for name, path in targets.items():
        EXPORTS[name].check(sequence, path, options)
    with Waiting() as waiting, ExitStack() as until_all_are_written, waiting.interrupted:
        for name, path in targets.items():
            export = EXPORTS[name]
            replaced = replacing_folder(path, overwrite=True) if export.is_folder else replacing(path)
            temporary = until_all_are_written.enter_context(replaced)
            export.write(sequence, temporary, options)
            if name in appeared and _content(temporary) != _content(path):
                raise _exists_already(path)
    for path in targets.values():
        yield f"wrote {len(sequence)} frames to {path}"


def _content(path: Path) -> dict[Path, str]:
    """A file's hash, or those of all files in a folder."""
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    return {file.relative_to(path): fingerprint_of_files([file]) for file in files}


def _exists_already(path: Path) -> ExportTargetError:
    return ExportTargetError(f"expected to write anew, but {path} exists already; overwrite it by --force")


def check_targets(targets: Mapping[str, Path], *, force: bool) -> set[str]:
    """Check the targets before predictions are read.

    Returns the names of those that an export was killed at which would have written all of them: they are there, of
    another one its private folder. Raises `ExportTargetError` when there is none, one cannot be written or, unless
    `force`, is there already; and `RegistryError` when there is no format of a name.
    """
    if not targets:
        others = [name for name in EXPORTS if name not in OWN_EXPORTS]
        names = [f"--{name}" for name in OWN_EXPORTS] + [f"--to {name}=PATH" for name in others]
        raise ExportTargetError(f"expected at least one of {', '.join(names)} with a path to write, got none")
    left = {name for name, path in targets.items() if remove_leftovers(path.parent, path.name)}
    there = {name for name, path in targets.items() if path.exists()}
    appeared = there if left - there else set()
    for name, path in targets.items():
        _check_target(name, path, force=force, appeared=name in appeared)
    if len({path.absolute() for path in targets.values()}) < len(targets):
        raise ExportTargetError(f"expected another path for each of {', '.join(targets)}, got one twice")
    return set() if force else appeared


def _check_target(name: str, path: Path, *, force: bool, appeared: bool) -> None:
    export = EXPORTS[name]
    if not isinstance(export, ExportFormat):
        raise ExportTargetError(
            f"expected an ExportFormat for {name} of the entry points {EXPORTS.group}, found {type(export).__name__}"
        )
    kind = "folder" if export.is_folder else "file"
    if path.exists():
        if not (export.overwrites or appeared):
            raise ExportTargetError(f"expected a new {kind} for --{name}, but {path} exists already; choose another")
        if not (force or appeared):
            raise _exists_already(path)
        if path.is_dir() != export.is_folder:
            found = "folder" if path.is_dir() else "file"
            raise ExportTargetError(f"expected a {kind} to overwrite for {name}, but {path} is a {found}")
    if not path.absolute().parent.is_dir():
        raise ExportTargetError(f"expected a folder {path.absolute().parent} to write {path.name} to, found none")
