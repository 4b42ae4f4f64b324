"""A recording's files, read together and checked against each other; and `object.json`, which names the mesh file.

An object may look the same turned about an axis: what the file declares, and what the mesh's own shape tells.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, UInt8
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from warpgrasp.checked import Entry, read_json_object
from warpgrasp.data.meshes import LARGEST_M, SMALLEST_M, read_surface
from warpgrasp.data.recording.annotations import ANNOTATIONS_FILE, AnnotationFile, Label, read_annotations
from warpgrasp.data.recording.camera import CAMERA_FILE, RECORDING_PAGE, read_lens
from warpgrasp.data.recording.footage import VIDEO_STEM, Clip, Footage, open_footage
from warpgrasp.data.recording.lens import Lens
from warpgrasp.data.recording.video import FORMAT_OF
from warpgrasp.errors import DataError
from warpgrasp.files import write_document
from warpgrasp.frame import ObjectModel
from warpgrasp.geometry import AXIS_NAMES, Axis, Symmetry
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
# Turned about an axis of its mesh, a shape is taken for the same when it lies within this share of its diagonal: in
# pictures, where the object is some hundred pixels long, this is the accuracy of an outline.
ALIKE_SHARE = 0.02
FOLDS = (2, 4, 6, 8)  # that are looked for: the axis of an odd one does not pass through the centre of the box
TURNS_DEG = (*(360 / fold for fold in FOLDS), 37.0)  # the last stands for any
SAMPLED_POINTS = (2000, 20000)  # turned, and compared with


@dataclass(frozen=True)
class DeclaredObject:
    """An object as its file declares it."""

    model: ObjectModel
    mesh_file: Path
    units: Units
    symmetry: Symmetry | None  # about an axis of the mesh file


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
    symmetry = _symmetry(entry)
    if symmetry is not None and symmetry.keeps_the_centre:
        model = replace(model, symmetry=symmetry)
    return DeclaredObject(model, mesh_file, units, symmetry)


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
    _check_area(surface, path)
    _check_length(_length(surface), units, path)
    return _model(name, surface, units, axes)


def models_in_any_units(path: Path) -> Iterator[tuple[Units, Axes, ObjectModel]]:
    """A mesh file's object, without a name, in each unit that makes it hand-sized and in both readings of its axes.

    Raises `DataError` when it is no mesh, or when there is no such unit.
    """
    surface = read_surface(path)
    _check_area(surface, path)
    length = _length(surface)
    if not _fitting(length):
        _check_length(length, "m", path)
    for units in _fitting(length):
        for axes in AXES:
            yield units, axes, _model("", surface, units, axes)


def _check_area(surface: tuple[np.ndarray, np.ndarray], path: Path) -> None:
    corners = surface[0][surface[1]]
    edges = corners[:, 1:] - corners[:, :1]
    if not np.cross(edges[:, 0], edges[:, 1]).any():
        raise DataError(f"expected an object with a surface in {path}, found faces without any area")


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


@dataclass(frozen=True)
class LikeTurn:
    """A turn about an axis of the mesh after which the shape is nearly the same."""

    axis: Axis
    turn_deg: float | None  # None for any

    @property
    def fold(self) -> int | str:
        """How many turns make a full one, or `any`, as `object.json` has it."""
        return "any" if self.turn_deg is None else round(360 / self.turn_deg)


def near_symmetries(model: ObjectModel, *, alike_share: float = ALIKE_SHARE) -> list[LikeTurn]:
    """The turns about the mesh's axes (through the box's centre) that leave its outline alike: at most one per axis.

    Alike are surfaces whose root mean square distance is below a share of the diagonal.
    """
    random = np.random.default_rng(0)
    few, many = (_sampled(model, count, random) for count in SAMPLED_POINTS)
    tree, largest_m = KDTree(many), alike_share * float(np.linalg.norm(np.ptp(many, axis=0)))
    turns = []
    for number, axis in enumerate(AXIS_NAMES):
        like = []
        for turn in TURNS_DEG:
            turned = Rotation.from_rotvec(np.radians(turn) * np.eye(3)[number]).apply(few)
            if np.sqrt((tree.query(turned)[0] ** 2).mean()) < largest_m:
                like.append(turn)
        if TURNS_DEG[-1] in like:
            turns.append(LikeTurn(axis, None))
        elif like:
            turns.append(LikeTurn(axis, min(like)))
    return turns


def mirror_symmetry(model: ObjectModel) -> tuple[Axis, float]:
    """The axis of the mesh along which mirroring (in the plane through the box's centre) changes the shape least.

    The second value is by how much: the root mean square distance as a share of the diagonal, to be compared with
    `ALIKE_SHARE`.
    """
    random = np.random.default_rng(0)
    few, many = (_sampled(model, count, random) for count in SAMPLED_POINTS)
    tree, diagonal_m = KDTree(many), float(np.linalg.norm(np.ptp(many, axis=0)))
    unlike: dict[Axis, float] = {}
    for number, axis in enumerate(AXIS_NAMES):
        mirrored = few * (1 - 2 * np.eye(3)[number])
        unlike[axis] = float(np.sqrt((tree.query(mirrored)[0] ** 2).mean())) / diagonal_m
    best = min(AXIS_NAMES, key=lambda axis: unlike[axis])
    return best, unlike[best]


def _sampled(model: ObjectModel, count: int, random: np.random.Generator) -> Float[np.ndarray, "n 3"]:
    """Points spread evenly over the surface."""
    corners = model.vertices.double().numpy()[model.faces.numpy()]
    edges = corners[:, 1:] - corners[:, :1]
    area = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1)
    face = random.choice(len(area), count, p=area / area.sum())
    along = random.random((count, 2))
    along = np.where(along.sum(axis=1, keepdims=True) > 1, 1 - along, along)
    return corners[face, 0] + (along[..., None] * edges[face]).sum(axis=1)


def is_recording(folder: Path) -> bool:
    """Whether a folder has a file that only recordings have."""
    names = (CAMERA_FILE, OBJECT_FILE, *(f"{VIDEO_STEM}{ending}" for ending in FORMAT_OF))
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
        others = () if annotations.other is None else annotations.other.labels
        for label in (*annotations.labels, *others):
            if label.frame not in known:
                raise DataError(
                    f"expected labels of the frames {numbers[0]} to {numbers[-1]} of "
                    f"{footage.file_of(numbers[0])} in {folder / ANNOTATIONS_FILE}, "
                    f"found one of frame {label.frame}"
                )
        return Recording(folder, lens, declared, annotations, footage)

    @property
    def side(self) -> Side:
        """Which hand the labels are of; of a recording of both, the hand that is meant: the right one at first."""
        return self.annotations.side

    def of_side(self, side: Side | None) -> "Recording":
        """The recording taken as one of that hand; None leaves the hand that the labels are of.

        Raises `DataError` when there are labels, and they are of the other hand alone.
        """
        if side in (None, self.side):
            return self
        if self.annotations.other is not None:
            return replace(self, annotations=self.annotations.of_side(side))
        if self.annotations.labels:
            raise DataError(
                f"expected --side {self.side}, as {self.folder / ANNOTATIONS_FILE} says of its labels, got {side}; "
                f"label the {side} hand too by `warpgrasp annotate {self.folder} --hands both --side {side}`"
            )
        return replace(self, annotations=replace(self.annotations, side=side))

    def of_both(self, side: Side | None) -> "Recording":
        """The recording taken as one of both hands, `side` meant; None leaves the hand that is meant as it is."""
        return replace(self, annotations=self.annotations.of_both(side or self.side))

    def hand(self, right: HandModel) -> HandModel:
        """The model of the hand that it shows: the right one's, or its mirror image."""
        return left_hand(right) if self.side == "left" else right

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that decide what a label means: labels, camera, object and mesh."""
        names = (ANNOTATIONS_FILE, CAMERA_FILE, OBJECT_FILE)
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
