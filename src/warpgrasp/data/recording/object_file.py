"""`object.json`: which object a recording shows, its mesh file, and the units that this is in."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Float

from warpgrasp.data.errors import DataError
from warpgrasp.data.recording.document import Entry, file_inside, read_document, write_document
from warpgrasp.frame import ObjectModel

FORMAT = "warpgrasp-object-1"
FILE = "object.json"
Units = Literal["m", "cm", "mm", "inch"]
UNITS: tuple[Units, ...] = get_args(Units)
# Signs of the mesh file's axes. HO-3D's loader turns its meshes so; a network trained there knows them by these.
Axes = Literal["opencv", "opengl"]
AXES: dict[Axes, tuple[float, float, float]] = {"opencv": (1.0, 1.0, 1.0), "opengl": (1.0, -1.0, -1.0)}
METRES_OF = {"m": 1.0, "cm": 0.01, "mm": 0.001, "inch": 0.0254}
MESH_ENDINGS = (".obj", ".ply", ".glb")
# What a hand holds: a box longer than a metre, or none longer than 5 mm, is in other units than declared.
SMALLEST_M, LARGEST_M = 0.005, 1.0
LARGEST_MESH_BYTES = 512_000_000
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
    entry = read_document(folder / FILE, FORMAT)
    entry.only("format", "name", "mesh", "units", "axes", "symmetry")
    name = entry.text("name")
    mesh_file = file_inside(folder, entry.text("mesh"), entry.where("mesh"))
    if mesh_file.suffix.lower() not in MESH_ENDINGS:
        raise DataError(
            f"expected a mesh file ({', '.join(MESH_ENDINGS)}) for {entry.where('mesh')}, found {mesh_file.name}"
        )
    units = entry.choice("units", UNITS)
    axes = entry.choice("axes", tuple(AXES)) if entry.has("axes") else "opencv"
    model = load_mesh_in(mesh_file, name, units, axes=axes)
    return DeclaredObject(model, mesh_file, units, _symmetry(entry))


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
    """Read a mesh file in declared units; the vertices are the file's distinct positions, in metres.

    Nothing but this one file is opened: no materials, no textures, no buffers beside it. Raises `DataError` when it is
    no mesh, or when what it holds cannot be a hand-held object in these units.
    """
    vertices, faces = _surface(path)
    distinct, index = np.unique(vertices, axis=0, return_inverse=True)
    length = float(np.ptp(distinct, axis=0).max())
    _check_length(length, units, path)
    metres = torch.as_tensor(distinct * METRES_OF[units] * np.array(AXES[axes]), dtype=torch.float32)
    return ObjectModel.centred(name, metres, torch.as_tensor(index.reshape(-1)[faces], dtype=torch.int64))


def _surface(path: Path) -> tuple[Float[np.ndarray, "v 3"], np.ndarray]:
    import trimesh  # half a second

    if path.stat().st_size > LARGEST_MESH_BYTES:
        raise DataError(f"expected a mesh of at most {LARGEST_MESH_BYTES / 1e6:.0f} MB in {path}")
    try:
        # From memory, so that the parsers have no folder in which to look for what the file names.
        content, ending = io.BytesIO(path.read_bytes()), path.suffix.lower()[1:]
        mesh = trimesh.load_mesh(content, file_type=ending, process=False, skip_materials=True)
        vertices = np.array(mesh.vertices, dtype=np.float64)
        faces = np.array(mesh.faces, dtype=np.int64)
    except OSError:
        raise
    except Exception as error:  # a broken file makes the parsers of three formats raise anything
        raise DataError(f"expected a mesh in {path}: {type(error).__name__} {str(error)[:120]}") from error
    if faces.ndim != 2 or faces.shape[1:] != (3,) or vertices.ndim != 2 or vertices.shape[1:] != (3,) or not len(faces):
        raise DataError(f"expected a triangle mesh in {path}, found no triangles")
    if not np.isfinite(vertices).all():
        raise DataError(f"expected finite vertices in {path}, found NaN or infinity")
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise DataError(f"expected faces of the {len(vertices)} vertices of {path}, found vertex {faces.max()}")
    return vertices, faces


def _check_length(length: float, units: Units, path: Path) -> None:
    if SMALLEST_M < length * METRES_OF[units] < LARGEST_M:
        return
    fitting = [one for one in UNITS if SMALLEST_M < length * METRES_OF[one] < LARGEST_M]
    likely = " or ".join(f'"units": "{one}" ({1000 * length * METRES_OF[one]:.0f} mm)' for one in fitting)
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
    write_document(folder / FILE, content)
