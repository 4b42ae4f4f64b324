"""HO-3D (Hampali et al. 2020), versions 2 (png) and 3 (jpg): raw folders to frames.

The files are in OpenGL camera axes: X_cv = F X with F = diag(1, -1, -1). Object poses act on the mesh file's own
coordinates; here R_cv = F R F acts on F·v, so that a mesh and its pose are turned together (docs/conventions.md).
"""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from warpgrasp.data.dataset import Split, Truth
from warpgrasp.data.errors import DataError
from warpgrasp.data.fields import json_numbers, numbers, tensor, value_of
from warpgrasp.data.objects import load_object
from warpgrasp.data.pictures import read_picture
from warpgrasp.frame import Annotation, Frame, FrameName, ObjectModel
from warpgrasp.geometry import Camera, matrix_from_axis_angle
from warpgrasp.hand import HO3D_JOINTS, JOINTS, HandModel, permutation
from warpgrasp.pickled import PickleError, load_pickle

CV_FROM_GL = (1.0, -1.0, -1.0)
JOINT_AGREEMENT_M = 0.005  # annotations farther than this from the hand model were made with another one
LARGEST_DISTANCE_M = 10.0


@dataclass(frozen=True)
class Ho3d:
    """A folder in HO-3D's layout. Frames are read at `size` (width, height), or at their own."""

    root: Path
    hand: HandModel
    size: tuple[int, int] | None = None
    protocol: str = "official"

    @staticmethod
    def recognises(root: Path) -> bool:
        """Whether a folder looks like HO-3D's."""
        return (root / "train.txt").is_file() or (root / "evaluation.txt").is_file()

    def at_size(self, size: tuple[int, int] | None) -> "Ho3d":
        """The same data set, read at another size."""
        return replace(self, size=size)

    @property
    def sequences(self) -> dict[Split, dict[str, list[int]]]:
        """The frames of each sequence of each split, as `train.txt` and `evaluation.txt` list them."""
        return self._sequences

    @cached_property
    def _sequences(self) -> dict[Split, dict[str, list[int]]]:
        sequences: dict[Split, dict[str, list[int]]] = {"train": {}, "validation": {}, "evaluation": {}}
        for split, names in self._lists.items():
            for name in names:
                sequences[split].setdefault(name.sequence, []).append(name.index)
        return sequences

    def names(self, split: Split) -> list[FrameName]:
        """Every frame of a split, in the order of its list."""
        return list(self._lists[split])

    @cached_property
    def _lists(self) -> dict[Split, list[FrameName]]:
        return {"train": self._listed("train"), "validation": [], "evaluation": self._listed("evaluation")}

    def _listed(self, split: Split) -> list[FrameName]:
        path = self.root / f"{split}.txt"
        if not self.root.is_dir():
            raise DataError(f"expected a data set in HO-3D's layout, found no folder {self.root}")
        if not path.is_file():
            raise DataError(
                f"expected HO-3D's list {path.name} in {self.root}, found none; is this the folder of HO-3D?"
            )
        names: list[FrameName] = []
        for number, line in enumerate(path.read_text().split(), start=1):
            sequence, _, index = line.partition("/")
            if not index.isdigit() or sequence in ("", ".", ".."):
                raise DataError(f"expected SEQUENCE/NUMBER in line {number} of {path}, found {line[:40]!r}")
            names.append(FrameName(sequence, int(index)))
        return names

    @cached_property
    def _split_of(self) -> dict[str, Split]:
        return {sequence: split for split, sequences in self.sequences.items() for sequence in sequences}

    @cached_property
    def _models(self) -> dict[str, ObjectModel]:
        return {}

    def object_model(self, name: str) -> ObjectModel:
        """The object of that name (`models/NAME/textured_simple.obj`)."""
        if name not in self._models:
            folder = self.root / "models"
            if not name or Path(name).name != name or not (folder / name).is_dir():
                known = ", ".join(sorted(path.name for path in folder.glob("*"))) or "none"
                raise DataError(f"expected an object of {folder} ({known}), got the unknown object name {name!r}")
            self._models[name] = load_object(folder / name / "textured_simple.obj", name, axes=CV_FROM_GL)
        return self._models[name]

    def objects(self, split: Split) -> list[ObjectModel]:
        """The objects of a split, one frame of each sequence being looked at."""
        names = {self._object_name(FrameName(seq, frames[0])) for seq, frames in self.sequences[split].items()}
        return [self.object_model(name) for name in sorted(names)]

    def _object_name(self, name: FrameName) -> str:
        meta, path = self._meta(name)
        return str(value_of(meta, "objName", path))

    def path(self, name: FrameName, kind: Literal["rgb", "meta"]) -> Path:
        """Where a frame's picture or annotation lies."""
        folder = self.root / self._split_of[name.sequence] / name.sequence / kind
        if kind == "meta":
            return folder / f"{name.index:04d}.pkl"
        pictures = (folder / f"{name.index:04d}{ending}" for ending in (".jpg", ".png"))
        return next((path for path in pictures if path.is_file()), folder / f"{name.index:04d}.jpg")

    def picture_file(self, name: FrameName) -> Path:
        """The file that holds a frame's picture."""
        return self.path(name, "rgb")

    def annotation_files(self, name: FrameName) -> tuple[Path, ...]:
        """The files that hold a frame's annotation."""
        return (self.path(name, "meta"),)

    def _meta(self, name: FrameName) -> tuple[dict[str, Any], Path]:
        path = self.path(name, "meta")
        try:
            meta = load_pickle(path)
        except FileNotFoundError as error:
            raise DataError(f"expected the annotation {path}, found no such file") from error
        except PickleError as error:
            raise DataError(str(error)) from error
        if not isinstance(meta, dict):
            raise DataError(f"expected a dictionary in {path}, found a {type(meta).__name__}")
        return meta, path

    def is_annotated(self, name: FrameName) -> bool:
        """Whether the frame's hand and object are given at all (HO-3D leaves some frames without)."""
        meta, _ = self._meta(name)
        return meta.get("handJoints3D") is not None and meta.get("objRot") is not None

    def frame(self, name: FrameName, *, annotated: bool) -> Frame:
        """Read a frame; of its annotation only the camera and the object's name unless `annotated`.

        Raises `DataError` naming the file and the fact when it cannot be read as documented.
        """
        meta, path = self._meta(name)
        picture, original_size = read_picture(self.path(name, "rgb"), self.size)
        intrinsics = torch.from_numpy(numbers(meta, "camMat", (3, 3), path)).float()
        camera = Camera(intrinsics, *original_size).resized(picture.shape[2], picture.shape[1])
        model = self.object_model(str(value_of(meta, "objName", path)))
        annotation = self._annotation(name, meta, model, path) if annotated else None
        return Frame(name, picture, camera, model, annotation)

    def truth(self, name: FrameName) -> Truth:
        """A frame's annotation with the camera of the picture as it is on disk, without reading the picture."""
        meta, path = self._meta(name)
        intrinsics = torch.from_numpy(numbers(meta, "camMat", (3, 3), path)).float()
        model = self.object_model(str(value_of(meta, "objName", path)))
        return Truth(intrinsics, model, self._annotation(name, meta, model, path))

    def _annotation(self, name: FrameName, meta: dict[str, Any], model: ObjectModel, path: Path) -> Annotation:
        flip = torch.tensor(CV_FROM_GL)
        rotation_gl = matrix_from_axis_angle(tensor(meta, "objRot", (3,), path))
        rotation = flip[:, None] * rotation_gl * flip
        translation = flip * tensor(meta, "objTrans", (3,), path)
        centre = rotation @ model.centre_m + translation
        if self._split_of[name.sequence] == "evaluation":
            joints, vertices, hand_rotation = self._evaluation_hand(name)
        else:
            joints, vertices, hand_rotation = self._training_hand(meta, path)
        if not (0 < centre[2] < LARGEST_DISTANCE_M and 0 < joints[:, 2].mean() < LARGEST_DISTANCE_M):
            raise DataError(
                f"expected hand and object in front of the camera in {path}, "
                f"found depths {joints[0, 2]:g} and {centre[2]:g} m"
            )
        return Annotation(vertices, joints, rotation, centre, hand_rotation)

    def _training_hand(self, meta: dict[str, Any], path: Path) -> tuple[Tensor, Tensor, Tensor]:
        flip = torch.tensor(CV_FROM_GL)
        pose = tensor(meta, "handPose", (48,), path)[None]
        shape = tensor(meta, "handBeta", (self.hand.shape_count,), path)[None]
        translation = tensor(meta, "handTrans", (3,), path)
        with torch.no_grad():
            posed = self.hand(pose[:, :3], pose[:, 3:], shape)
        joints, vertices = (flip * (points[0] + translation) for points in (posed.joints, posed.vertices))
        stated = flip * tensor(meta, "handJoints3D", (21, 3), path)[permutation(JOINTS, from_=HO3D_JOINTS)]
        inner = [i for i, joint in enumerate(JOINTS) if not joint.endswith("tip")]
        worst = (joints - stated)[inner].norm(dim=-1).max()
        if worst > JOINT_AGREEMENT_M:
            raise DataError(
                f"expected the joints of {path} where the hand model {self.hand.template.name} puts them, found one "
                f"{1000 * worst:.0f} mm away: the annotations were made with another hand (--hand open|mano)"
            )
        rotation = flip[:, None] * matrix_from_axis_angle(pose[0, :3])
        return joints, vertices, rotation

    def _evaluation_hand(self, name: FrameName) -> tuple[Tensor, Tensor, None]:
        """Truth of the evaluation sequences: two lists in the order of `evaluation.txt`."""
        row = self._evaluation_rows[name]
        order = permutation(JOINTS, from_=HO3D_JOINTS)
        joints, vertices = self._evaluation_truth
        return joints[row][order], vertices[row], None

    @cached_property
    def _evaluation_rows(self) -> dict[FrameName, int]:
        return {name: row for row, name in enumerate(self.names("evaluation"))}

    @cached_property
    def _evaluation_truth(self) -> tuple[Float[Tensor, "n 21 3"], Float[Tensor, "n v 3"]]:
        flip = torch.tensor(CV_FROM_GL)
        count, vertices = len(self.names("evaluation")), len(self.hand.template.vertices)
        joints = json_numbers(self.root / "evaluation_xyz.json", (count, 21, 3))
        return joints * flip, json_numbers(self.root / "evaluation_verts.json", (count, vertices, 3)) * flip
