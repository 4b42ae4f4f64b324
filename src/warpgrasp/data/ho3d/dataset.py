"""HO-3D (Hampali et al. 2020), versions 2 (png) and 3 (jpg): raw folders to frames.

The files are in OpenGL camera axes: X_cv = F X with F = diag(1, -1, -1). Object poses act on the mesh file's own
coordinates; here R_cv = F R F acts on F·v, so that a mesh and its pose are turned together (docs/conventions.md).
Frames that HO-3D leaves without annotation stay, as unannotated frames.
"""

import re
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from warpgrasp.checked import Entry
from warpgrasp.data.dataset import LARGEST_DISTANCE_M, Split, Truth, check_agreement, chosen_protocol, with_caches
from warpgrasp.data.ho3d.annotations import CV_FROM_GL, read_meta, read_number_list
from warpgrasp.data.ho3d.files import Ho3dFolder
from warpgrasp.data.ho3d.splits import PLANS, PROTOCOLS
from warpgrasp.data.meshes import load_object
from warpgrasp.data.pictures import read_picture
from warpgrasp.errors import DataError
from warpgrasp.frame import Annotation, Frame, FrameName, ObjectModel
from warpgrasp.geometry import Camera, matrix_from_axis_angle
from warpgrasp.hand import HO3D_JOINTS, JOINTS, HandModel, permutation, with_fingertips

LONGEST_FOCAL_PX = 1e5
EVALUATION_TRUTH = ("evaluation_xyz.json", "evaluation_verts.json")


@dataclass(frozen=True)
class Ho3d:
    """A folder in HO-3D's layout. Frames are read at `size` (width, height), or at their own."""

    root: Path
    hand: HandModel
    size: tuple[int, int] | None = None
    protocol: str = PROTOCOLS[0]

    @classmethod
    def open(
        cls, root: Path, hand: HandModel, *, size: tuple[int, int] | None = None, protocol: str | None = None
    ) -> "Ho3d":
        """The data set in a folder; MANO's fingertips are those of HO-3D's own tools, of which its joints are.

        Raises `DataError` when HO-3D has no such protocol.
        """
        return cls(root, with_fingertips(hand, "ho3d"), size, chosen_protocol("HO-3D", PROTOCOLS, protocol))

    @staticmethod
    def recognises(root: Path) -> bool:
        """Whether a folder looks like HO-3D's."""
        return (root / "train.txt").is_file() or (root / "evaluation.txt").is_file()

    @cached_property
    def folder(self) -> Ho3dFolder:
        """The lists and files."""
        return Ho3dFolder(self.root, PLANS[self.protocol])

    def at_size(self, size: tuple[int, int] | None) -> "Ho3d":
        """The same data set, read at another size."""
        return with_caches(replace(self, size=size), of=self, names=("folder", "_models", "_evaluation_truth"))

    @property
    def sequences(self) -> dict[Split, dict[str, list[int]]]:
        """The frames of each sequence of each split, as the protocol has them."""
        return self.folder.sequences

    def names(self, split: Split) -> list[FrameName]:
        """Every frame of a split, in the order of its list."""
        return list(self.folder.names[split])

    @cached_property
    def _models(self) -> dict[str, ObjectModel]:
        return {}

    def has_model(self, name: str) -> bool:
        """Whether there is a folder of an object of that name: it comes from a file, and may try to lead elsewhere."""
        return re.fullmatch(r"\w[\w.-]*", name, re.ASCII) is not None and (self.root / "models" / name).is_dir()

    def object_model(self, name: str) -> ObjectModel:
        """The object of that name (`models/NAME/textured_simple.obj`)."""
        if name not in self._models:
            folder = self.root / "models"
            if not self.has_model(name):
                known = ", ".join(sorted(path.name for path in folder.glob("*"))) or "none"
                raise DataError(f"expected an object of {folder} ({known}), got the unknown object name {name!r}")
            self._models[name] = load_object(folder / name / "textured_simple.obj", name, axes=CV_FROM_GL)
        return self._models[name]

    def objects(self, split: Split) -> list[ObjectModel]:
        """The objects that a split's frames show."""
        facts = self.folder.facts(split)
        names = {name for frames in facts.values() for name, *_ in frames.values() if name is not None}
        return [self.object_model(name) for name in sorted(names)]

    def path(self, name: FrameName, kind: Literal["rgb", "meta"]) -> Path:
        """Where a frame's picture or annotation lies."""
        return self.folder.picture(name) if kind == "rgb" else self.folder.meta(name)

    def picture_file(self, name: FrameName) -> Path:
        """The file that holds a frame's picture."""
        return self.folder.picture(name)

    def annotation_files(self, name: FrameName) -> tuple[Path, ...]:
        """The files that hold a frame's annotation."""
        meta = self.folder.meta(name)
        if self.folder.place(name.sequence) == "train":
            return (meta,)
        return (meta, *(self.root / file for file in EVALUATION_TRUTH))

    def is_annotated(self, name: FrameName) -> bool:
        """Whether the frame's hand and object are given at all (HO-3D leaves some frames without)."""
        facts = self.folder.facts_of(name)
        if self.folder.place(name.sequence) == "train":
            return facts.has_object and facts.has_hand
        return facts.has_object and self.has_evaluation_truth and name in self._evaluation_rows

    def frame(self, name: FrameName, *, annotated: bool) -> Frame:
        """Read a frame; of its annotation only the camera and the object's name unless `annotated`.

        Raises `DataError` naming the file and the fact when it cannot be read as documented.
        """
        picture, original_size = read_picture(self.folder.picture(name), self.size)
        camera = Camera(self._intrinsics(name), *original_size).resized(picture.shape[2], picture.shape[1])
        model = self._object_of(name)
        annotation = self._annotation(name, model) if annotated else None
        return Frame(name, picture, camera, model, annotation)

    def truth(self, name: FrameName) -> Truth:
        """A frame's annotation with the camera of the picture as it is on disk, without reading the picture."""
        model = self._object_of(name)
        return Truth(self._intrinsics(name), model, self._annotation(name, model))

    def _intrinsics(self, name: FrameName) -> Float[Tensor, "3 3"]:
        """A frame's camera; where it has none, that of the nearest frame of its sequence that has one."""
        source = name if self.folder.facts_of(name).has_camera else self.folder.nearest(name, "camera")
        if source is None:
            raise DataError(
                f"expected a camera (camMat) in {self.folder.meta(name)} or in another frame of "
                f"{name.sequence}, found none"
            )
        path = self.folder.meta(source)
        matrix = read_meta(path).numbers("camMat", (3, 3))
        focal = (matrix[0, 0], matrix[1, 1])
        upper = matrix[0, 1] == matrix[1, 0] == 0 and (matrix[2] == (0, 0, 1)).all()
        if not upper or not all(0 < length < LONGEST_FOCAL_PX for length in focal):
            raise DataError(f"expected camMat of {path} as [[fx 0 cx] [0 fy cy] [0 0 1]], found {matrix.tolist()}")
        return torch.from_numpy(matrix).float()

    def _object_of(self, name: FrameName) -> ObjectModel:
        """A frame's object; where it names none, that of the nearest frame of its sequence that does."""
        facts = self.folder.facts_of(name)
        path = self.folder.meta(name)
        if facts.object_name is None:
            source = self.folder.nearest(name, "object_name")
            if source is None:
                raise DataError(
                    f"expected an object (objName) in {path} or in another frame of {name.sequence}, found none"
                )
            facts, path = self.folder.facts_of(source), self.folder.meta(source)
        try:
            return self.object_model(str(facts.object_name))
        except DataError as error:
            raise DataError(f"{error} (objName of {path})") from error

    def _annotation(self, name: FrameName, model: ObjectModel) -> Annotation:
        path = self.folder.meta(name)
        if not self.is_annotated(name):
            raise DataError(f"expected an annotated frame, but {path} gives no hand or no object{self._why(name)}")
        meta = read_meta(path)
        flip = torch.tensor(CV_FROM_GL)
        rotation_gl = matrix_from_axis_angle(meta.tensor("objRot", (3,)))
        rotation = flip[:, None] * rotation_gl * flip
        translation = flip * meta.tensor("objTrans", (3,))
        centre = rotation @ model.centre_m + translation
        if self.folder.place(name.sequence) == "evaluation":
            joints, vertices, hand_rotation = self._evaluation_hand(name)
        else:
            joints, vertices, hand_rotation = self._training_hand(meta)
        self._check_distances(name, centre, joints, vertices)
        return Annotation(vertices, joints, rotation, centre, hand_rotation)

    def _check_distances(self, name: FrameName, centre: Tensor, joints: Tensor, vertices: Tensor) -> None:
        farthest = max(float(points.abs().max()) for points in (centre, joints, vertices))
        if not (centre[2] > 0 and joints[:, 2].mean() > 0 and farthest < LARGEST_DISTANCE_M):
            files = " and ".join(str(file) for file in self.annotation_files(name))
            raise DataError(
                f"expected hand and object in front of the camera in {files}, found depths {joints[0, 2]:g} and "
                f"{centre[2]:g} m and something {farthest:g} m away"
            )

    def _why(self, name: FrameName) -> str:
        """Evaluation frames have their hand elsewhere."""
        if self.folder.place(name.sequence) == "train":
            return ""
        missing = [file for file in EVALUATION_TRUTH if not (self.root / file).is_file()]
        return "".join(f"; expected the numbers of {self.root / file}, found no such file" for file in missing)

    def _training_hand(self, meta: Entry) -> tuple[Tensor, Tensor, Tensor]:
        flip = torch.tensor(CV_FROM_GL)
        pose = meta.tensor("handPose", (48,))[None]
        shape = meta.tensor("handBeta", (self.hand.shape_count,))[None]
        translation = meta.tensor("handTrans", (3,))
        with torch.no_grad():
            posed = self.hand(pose[:, :3], pose[:, 3:], shape)
        joints, vertices = (flip * (points[0] + translation) for points in (posed.joints, posed.vertices))
        stated = flip * meta.tensor("handJoints3D", (21, 3))[permutation(JOINTS, from_=HO3D_JOINTS)]
        check_agreement(joints, stated, self.hand, meta.path)
        rotation = flip[:, None] * matrix_from_axis_angle(pose[0, :3])
        return joints, vertices, rotation

    def _evaluation_hand(self, name: FrameName) -> tuple[Tensor, Tensor, None]:
        """Truth of the evaluation sequences: two lists in the order of `evaluation.txt`."""
        row = self._evaluation_rows[name]
        order = permutation(JOINTS, from_=HO3D_JOINTS)
        joints, vertices = self._evaluation_truth
        return joints[row][order], vertices[row], None

    @cached_property
    def has_evaluation_truth(self) -> bool:
        """Whether the hand of the evaluation sequences is given (its files were released in 2024, apart)."""
        return all((self.root / file).is_file() for file in EVALUATION_TRUTH)

    @cached_property
    def _evaluation_rows(self) -> dict[FrameName, int]:
        return {name: row for row, name in enumerate(self.folder.lists["evaluation"])}

    @cached_property
    def _evaluation_truth(self) -> tuple[Float[Tensor, "n 21 3"], Float[Tensor, "n v 3"]]:
        flip = torch.tensor(CV_FROM_GL)
        count, vertices = len(self._evaluation_rows), len(self.hand.template.vertices)
        joints_file, vertices_file = (self.root / file for file in EVALUATION_TRUTH)
        joints = torch.from_numpy(read_number_list(joints_file, (count, 21, 3))).float()
        return joints * flip, torch.from_numpy(read_number_list(vertices_file, (count, vertices, 3))).float() * flip
