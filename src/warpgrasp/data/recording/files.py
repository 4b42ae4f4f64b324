"""A recording's files, read together and checked against each other; and `object.json`, which names the mesh file."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import UInt8

from warpgrasp.checked import Entry, read_json_object
from warpgrasp.data.meshes import LARGEST_M, SMALLEST_M, read_surface
from warpgrasp.data.recording import annotations as annotation_file
from warpgrasp.data.recording import files as object_file
from warpgrasp.data.recording.annotations import AnnotationFile, Label, read_annotations
from warpgrasp.data.recording.camera import CAMERA_FILE, RECORDING_PAGE, read_lens
from warpgrasp.data.recording.footage import VIDEO_STEM, Clip, Footage, open_footage
from warpgrasp.data.recording.lens import Lens
from warpgrasp.data.recording.video import FORMAT_OF
from warpgrasp.errors import DataError
from warpgrasp.files import write_document
from warpgrasp.frame import ObjectModel
from warpgrasp.hand import HandModel, Side, left_hand

FORMAT = "warpgrasp-object-1"
OBJECT_FILE = "object.json"
Units = Literal["m", "cm", "mm", "inch"]
UNITS: tuple[Units, ...] = get_args(Units)
# Signs of the mesh file's axes. HO-3D's loader changes its meshes by the second; a network trained there expects that.
Axes = Literal["opencv", "opengl"]
AXES: dict[Axes, tuple[float, float, float]] = {"opencv": (1.0, 1.0, 1.0), "opengl": (1.0, -1.0, -1.0)}
METRES_OF: dict[Units, float] = {"m": 1.0, "cm": 0.01, "mm": 0.001, "inch": 0.0254}
MESH_ENDINGS = (".obj", ".ply", ".glb")
LARGEST_FOLD = 360


Axis = Literal["x", "y", "z"]
AXIS_NAMES: tuple[Axis, ...] = get_args(Axis)


@dataclass(frozen=True)
class Symmetry:
    """The turns about an axis, in the mesh file's coordinates, that leave the object's look as it is."""

    axis: Axis
    fold: int | None  # how many turns make a full one; None for any angle


@dataclass(frozen=True)
class DeclaredObject:
    """An object as its file declares it."""

    model: ObjectModel
    mesh_file: Path
    units: Units
    symmetry: Symmetry | None


def read_object(folder: Path) -> DeclaredObject:
    """Read a recording's `object.json` and the mesh that it names. Raises `DataError` naming the file and the fact."""
    entry = read_json_object(folder / OBJECT_FILE, FORMAT, see=RECORDING_PAGE)
    entry.only("format", "name", "mesh", "units", "axes", "symmetry")
    name = entry.text("name")
    mesh_file = _file_inside(folder, entry.text("mesh"), entry.where("mesh"))
    if mesh_file.suffix.lower() not in MESH_ENDINGS:
        raise DataError(
            f"expected a mesh file ({', '.join(MESH_ENDINGS)}) for {entry.where('mesh')}, found {mesh_file.name}"
        )
    units = entry.choice("units", UNITS)
    axes = entry.choice("axes", tuple(AXES)) if entry.has("axes") else "opencv"
    model = load_mesh_in(mesh_file, name, units, axes=axes)
    return DeclaredObject(model, mesh_file, units, _symmetry(entry))


def _file_inside(folder: Path, name: str, where: str) -> Path:
    """The file of that name, which must lie in the folder itself.

    Raises `DataError` for a path that leaves the folder (by `..`, a root or a link), or when there is no such file.
    """
    path = folder / name
    try:
        inside = not Path(name).is_absolute() and path.resolve().is_relative_to(folder.resolve())
        present = inside and path.is_file()
    except (OSError, ValueError) as error:  # a name too long, or with a zero byte
        raise DataError(f"expected the name of a file for {where}, found {name[:60]!r}") from error
    if not inside:
        raise DataError(f"expected a file inside the recording's folder for {where}, found {name[:100]!r}")
    if not present:
        raise DataError(f"expected the file {name[:100]!r} that {where} names in {folder}, found no such file")
    return path


def _symmetry(entry: Entry) -> Symmetry | None:
    if not entry.has("symmetry") or entry.value("symmetry") == "none":
        return None
    if not isinstance(entry.value("symmetry"), dict):
        raise DataError(
            f'expected "none" or an object of axis and fold for {entry.where("symmetry")}, for example '
            f'{{"axis": "z", "fold": 2}}'
        )
    inner = entry.entry("symmetry")
    inner.only("axis", "fold")
    axis = inner.choice("axis", AXIS_NAMES)
    fold = None if inner.value("fold") == "any" else inner.whole("fold", least=2, most=LARGEST_FOLD)
    return Symmetry(axis, fold)


def load_mesh_in(path: Path, name: str, units: Units, *, axes: Axes = "opencv") -> ObjectModel:
    """Read a mesh file in declared units; the vertices are the distinct places of the corners of its faces.

    Raises `DataError` when it is no mesh, or when what it holds cannot be a hand-held object in these units.
    """
    surface = read_surface(path)
    _check_length(_length(surface), units, path)
    return _model(name, surface, units, axes)


def models_in_any_units(path: Path) -> Iterator[tuple[Units, Axes, ObjectModel]]:
    """A mesh file's object, without a name, in each unit that makes it hand-sized and in both readings of its axes.

    Raises `DataError` when it is no mesh, or when there is no such unit.
    """
    surface = read_surface(path)
    length = _length(surface)
    if not _fitting(length):
        _check_length(length, "m", path)
    for units in _fitting(length):
        for axes in AXES:
            yield units, axes, _model("", surface, units, axes)


def _length(surface: tuple[np.ndarray, np.ndarray]) -> float:
    return float(np.ptp(surface[0], axis=0).max())


def _model(name: str, surface: tuple[np.ndarray, np.ndarray], units: Units, axes: Axes) -> ObjectModel:
    vertices, faces = surface
    metres = torch.as_tensor(vertices * METRES_OF[units] * np.array(AXES[axes]), dtype=torch.float32)
    return ObjectModel.centred(name, metres, torch.as_tensor(faces, dtype=torch.int64), AXES[axes])


def _fitting(length: float) -> list[Units]:
    return [unit for unit in UNITS if SMALLEST_M < length * METRES_OF[unit] < LARGEST_M]


def _check_length(length: float, units: Units, path: Path) -> None:
    if SMALLEST_M < length * METRES_OF[units] < LARGEST_M:
        return
    fitting = _fitting(length)
    likely = " or ".join(f'"units": "{unit}" ({1000 * length * METRES_OF[unit]:.0f} mm)' for unit in fitting)
    raise DataError(
        f"expected a hand-held object, {1000 * SMALLEST_M:.0f} mm to {LARGEST_M:g} m long, in {path}, found one of "
        f"{length * METRES_OF[units]:g} m ({length:g} in the declared units, {units}); "
        + (f"is it {likely}?" if likely else "no unit that is known fits it")
    )


def write_object(folder: Path, name: str, mesh: str, *, units: Units = "m", symmetry: Symmetry | None = None) -> None:
    """Write a recording's `object.json`, whole or not at all. `mesh` is the name of the mesh file in the folder."""
    content: dict[str, Any] = {"format": FORMAT, "name": name, "mesh": mesh, "units": units, "symmetry": "none"}
    if symmetry is not None:
        content["symmetry"] = {"axis": symmetry.axis, "fold": "any" if symmetry.fold is None else symmetry.fold}
    write_document(folder / OBJECT_FILE, content)


def is_recording(folder: Path) -> bool:
    """Whether a folder has a file that only recordings have."""
    names = (CAMERA_FILE, object_file.OBJECT_FILE, *(f"{VIDEO_STEM}{ending}" for ending in FORMAT_OF))
    return any((folder / name).is_file() for name in names)


@dataclass(frozen=True)
class Recording:
    """A folder with pictures, `camera.json`, `object.json` and, where frames are labelled, `annotations.json`."""

    folder: Path
    lens: Lens
    object: DeclaredObject
    annotations: AnnotationFile
    footage: Footage

    @staticmethod
    def read(folder: Path) -> "Recording":
        """Read a recording's files. Of the pictures, only a video's first is read.

        Raises `DataError` when one is missing or broken, or when labels are of frames that are not there.
        """
        lens, declared, annotations = read_lens(folder), read_object(folder), read_annotations(folder)
        footage = open_footage(folder)
        numbers = footage.numbers
        known = numbers if isinstance(numbers, range) else set(numbers)
        for label in annotations.labels:
            if label.frame not in known:
                raise DataError(
                    f"expected labels of the frames {numbers[0]} to {numbers[-1]} of "
                    f"{footage.file_of(numbers[0])} in {folder / annotation_file.ANNOTATIONS_FILE}, "
                    f"found one of frame {label.frame}"
                )
        return Recording(folder, lens, declared, annotations, footage)

    @property
    def side(self) -> Side:
        """Which hand the labels are of."""
        return self.annotations.side

    def of_side(self, side: Side | None) -> "Recording":
        """The recording taken as one of that hand; None leaves the hand that the labels are of.

        Raises `DataError` when there are labels, and they are of the other hand.
        """
        if side in (None, self.side):
            return self
        if self.annotations.labels:
            raise DataError(
                f"expected --side {self.side}, as {self.folder / annotation_file.ANNOTATIONS_FILE} says of its labels, "
                f"got {side}"
            )
        return replace(self, annotations=replace(self.annotations, side=side))

    def hand(self, right: HandModel) -> HandModel:
        """The model of the hand that it shows: the right one's, or its mirror image."""
        return left_hand(right) if self.side == "left" else right

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that decide what a label means: labels, camera, object and mesh."""
        names = (annotation_file.ANNOTATIONS_FILE, CAMERA_FILE, object_file.OBJECT_FILE)
        return (*(self.folder / name for name in names), self.object.mesh_file)

    @cached_property
    def labels(self) -> dict[int, Label]:
        """The labels by their frames."""
        return {label.frame: label for label in self.annotations.labels}

    def picture(self, number: int) -> UInt8[np.ndarray, "h w 3"]:
        """A frame's picture as the pinhole camera would have taken it, from 0 to 255.

        Raises `DataError` when its size is not the camera's.
        """
        return self.clip.picture(number)

    @cached_property
    def clip(self) -> Clip:
        """The pictures with their camera."""
        return Clip(self.lens, self.footage, self.folder / CAMERA_FILE)
