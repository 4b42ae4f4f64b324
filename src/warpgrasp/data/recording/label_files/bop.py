"""Poses of objects in the formats of the BOP challenge: `scene_gt.json`, and the CSV file of results.

https://github.com/thodan/bop_toolkit/blob/master/docs/bop_datasets_format.md: `cam_R_m2c` row by row and `cam_t_m2c` in
millimetres place the mesh file's own coordinates in the camera's, which are OpenCV's. Images are numbered by frames.
"""

import csv
import io
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from warpgrasp.bounded import shown
from warpgrasp.checked import Entry
from warpgrasp.data.recording.annotations import LARGEST_DISTANCE_M, LARGEST_FRAME
from warpgrasp.data.recording.files import Recording
from warpgrasp.data.recording.label_files.stated import FilePose, StatedLabels, picture_frames
from warpgrasp.data.recording.labels import pose_of_label
from warpgrasp.errors import DataError
from warpgrasp.geometry import nearest_rotation
from warpgrasp.hand import HandModel

KIND = "BOP"
MM_PER_M = 1000.0
LARGEST_ID = 10**9
NO_ROTATION = 1e-3  # how far R times its transpose may be from 1: real files are rounded to six digits
NEAREST_MM = 20.0  # from the camera: nearer ones are of other units
MOST_ROWS, MOST_COLUMNS = 200_000, 32
CSV_COLUMNS = ("scene_id", "im_id", "obj_id", "score", "R", "t")
Placed = tuple[int, int, str, np.ndarray, np.ndarray]  # image, object, where it stands, rotation, translation in mm


def read_bop(entry: Entry, recording: Recording, object_id: int | None) -> StatedLabels:
    """The poses of a `scene_gt.json`. Raises `DataError` naming the file, the member and the fact."""
    placed: list[Placed] = []
    for key in entry.values:
        if not (key.isascii() and key.isdigit() and int(key) <= LARGEST_FRAME):
            raise DataError(f"expected numbers of images as keys in {entry.path}, found {shown([key])}")
        for one in entry.entries(key):
            number = one.whole("obj_id", least=0, most=LARGEST_ID)
            rotation, translation = one.numbers("cam_R_m2c", (9,)), one.numbers("cam_t_m2c", (3,))
            placed.append((int(key), number, one.place, rotation, translation))
    return _stated(placed, recording, object_id, entry.path)


def read_bop_results(text: str, path: Path, recording: Recording, object_id: int | None) -> StatedLabels:
    """The poses of a CSV file of results, of one scene. Raises `DataError` naming the file, the line and the fact."""
    placed: list[Placed] = []
    scenes = set()
    for number, row in _rows(text, path):
        place = f"line {number}"
        if None in row.values() or None in row:
            raise DataError(f"expected the columns {', '.join(CSV_COLUMNS)} in {place} of {path}")
        try:
            scene, image, found = (int(row[key]) for key in CSV_COLUMNS[:3])
            rotation, translation = (np.array(row[key].split(), dtype=np.float64) for key in "Rt")
        except (ValueError, OverflowError) as error:
            raise DataError(f"expected numbers in {place} of {path}, found {shown(map(str, row.values()))}") from error
        if (rotation.shape, translation.shape) != ((9,), (3,)) or not np.isfinite([*rotation, *translation]).all():
            raise DataError(f"expected nine finite numbers for R and three for t in {place} of {path}")
        scenes.add(scene)
        placed.append((image, found, place, rotation, translation))
    if len(scenes) > 1:
        raise DataError(f"expected the results of one scene in {path}, found {len(scenes)}: {sorted(scenes)[:8]}")
    return _stated(placed, recording, object_id, path)


def _rows(text: str, path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a table, with the numbers of their lines."""
    try:
        reader = csv.DictReader(io.StringIO(text), strict=True)
        columns = reader.fieldnames or []
        if len(columns) > MOST_COLUMNS or not set(CSV_COLUMNS) <= set(columns):
            raise DataError(f"expected the columns {', '.join(CSV_COLUMNS)} in {path}, found {shown(columns[:8])}")
        for number, row in enumerate(reader, start=2):
            if number > MOST_ROWS + 1:
                raise DataError(f"expected at most {MOST_ROWS} rows in {path}, found more")
            yield number, row
    except csv.Error as error:
        raise DataError(f"expected a table of BOP results in {path}: {error}") from error


def _pose(rotation: np.ndarray, translation_mm: np.ndarray, place: str, path: Path) -> FilePose:
    matrix = rotation.reshape(3, 3)
    if (
        np.abs(matrix).max() > 2
        or np.abs(matrix @ matrix.T - np.eye(3)).max() > NO_ROTATION
        or np.linalg.det(matrix) < 0
    ):
        raise DataError(f"expected a rotation, row by row, for R of {place} in {path}, found another matrix")
    if not (translation_mm[2] > NEAREST_MM and (np.abs(translation_mm) < MM_PER_M * LARGEST_DISTANCE_M).all()):
        likely = "; are these metres?" if 0 < translation_mm[2] <= NEAREST_MM else ""
        raise DataError(
            f"expected millimetres, in front of the camera, for t of {place} in {path}, found "
            f"{[float(f'{number:.4g}') for number in translation_mm.tolist()]}{likely}"
        )
    return FilePose(nearest_rotation(torch.from_numpy(matrix)).numpy(), translation_mm / MM_PER_M)


def _stated(placed: list[Placed], recording: Recording, object_id: int | None, path: Path) -> StatedLabels:
    """The poses of the one object, by frame."""
    numbers = sorted({one[1] for one in placed})
    if object_id is None and len(numbers) > 1:
        listed = ", ".join(map(str, numbers[:20]))
        raise DataError(
            f"expected poses of one object in {path}, found {len(numbers)}; say which by --object-id: {listed}"
        )
    wanted = [one for one in placed if object_id in (None, one[1])]
    if not wanted:
        found = f"those of {', '.join(map(str, numbers[:20]))}" if numbers else "none"
        named = "an object" if object_id is None else f"object {object_id}"
        raise DataError(f"expected poses of {named} in {path}, found {found}")
    frames, objects, places = picture_frames(recording, path), {}, {}
    for image, _, place, rotation, translation in wanted:
        frame = frames.frame(image, place)
        if frame in objects:
            raise DataError(
                f"expected the object once in each image of {path}, found it twice in image {frame}: {places[frame]} "
                f"and {place}"
            )
        objects[frame], places[frame] = _pose(rotation, translation, place, path), place
    return StatedLabels(path, KIND, objects=dict(sorted(objects.items())))


def scene_gt_of(recording: Recording, hand: HandModel, object_id: int) -> Mapping[str, Any]:
    """The content of a `scene_gt.json`: the object's pose in each labelled frame."""
    content: dict[str, Any] = defaultdict(list)
    for frame, label in sorted(recording.labels.items()):
        pose = pose_of_label(label, hand, recording.object.model, dtype=torch.float64)
        rotation, translation = recording.object.model.pose_of_file(pose.object_rotation, pose.object_centre)
        content[str(frame)].append(
            {
                "cam_R_m2c": rotation[0].flatten().tolist(),
                "cam_t_m2c": (MM_PER_M * translation[0]).tolist(),
                "obj_id": object_id,
            }
        )
    return dict(content)
