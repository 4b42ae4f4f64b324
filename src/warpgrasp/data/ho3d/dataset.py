"""HO-3D (Hampali et al. 2020), versions 2 (png) and 3 (jpg): raw folders to frames, and what is missing in them.

The files are in OpenGL camera axes: X_cv = F X with F = diag(1, -1, -1). Object poses act on the mesh file's own
coordinates; here R_cv = F R F acts on F·v, so that a mesh and its pose are turned together (docs/conventions.md).
Frames that HO-3D leaves without annotation stay, as unannotated frames.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from warpgrasp.checked import Entry
from warpgrasp.data.dataset import (
    LARGEST_DISTANCE_M,
    SPLITS,
    Split,
    Truth,
    check_agreement,
    chosen_protocol,
    with_caches,
)
from warpgrasp.data.ho3d.annotations import CV_FROM_GL, read_meta, read_number_list
from warpgrasp.data.ho3d.files import PLACES, PLANS, PROTOCOLS, Ho3dFolder, expected_frames
from warpgrasp.data.meshes import load_object
from warpgrasp.data.pictures import read_picture
from warpgrasp.errors import DataError
from warpgrasp.frame import Annotation, Frame, FrameName, ObjectModel
from warpgrasp.geometry import Camera, matrix_from_axis_angle
from warpgrasp.hand import HO3D_JOINTS, JOINTS, HandModel, permutation, with_fingertips

LONGEST_FOCAL_PX = 1e5
EVALUATION_TRUTH = ("evaluation_xyz.json", "evaluation_verts.json")
WHERE = (
    "HO-3D is free for academic, non-commercial use, from the page that https://github.com/shreyashampali/ho3d links: "
    "unpack it so that train/, evaluation/, train.txt and evaluation.txt lie in this folder; models/ is that of the "
    "YCB-Video 3D models (https://rse-lab.cs.washington.edu/projects/posecnn/), copied or linked here; more in "
    "docs/datasets.md#ho-3d"
)
SHOWN_NAMES = 12


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


def examine_ho3d(dataset: Ho3d) -> Iterator[str]:
    """Lines about a folder in HO-3D's layout. Raises `DataError` with everything missing, each thing named once."""
    yield f"HO-3D, protocol {dataset.protocol}: {PLANS[dataset.protocol].source}"
    problems = _missing_parts(dataset.root)
    if all((dataset.root / f"{place}.txt").is_file() for place in PLACES):
        absent = dataset.folder.missing_sequences()
        if absent and all((dataset.root / place).is_dir() for place in PLACES):
            problems.append(f"{len(absent)} sequences under train/ or evaluation/ ({_some(absent)})")
        if not absent or dataset.protocol in ("ho3d/official", "ho3d/trainval"):
            version = yield from _examine_pictures(dataset, absent, problems)
            for split in SPLITS:
                if dataset.names(split):
                    yield from _examine_split(dataset, split, version, problems)
    if problems:
        raise DataError(f"expected a complete data set in {dataset.root}, missing {'; '.join(problems)}. {WHERE}")
    yield "nothing is missing" if dataset.has_evaluation_truth else "nothing else is missing"


def _missing_parts(root: Path) -> list[str]:
    if not root.is_dir():
        raise DataError(f"expected a data set in HO-3D's layout, found no folder {root}. {WHERE}")
    parts = [f"{place}.txt" for place in PLACES if not (root / f"{place}.txt").is_file()]
    parts += [f"{place}/" for place in PLACES if not (root / place).is_dir()]
    return parts + ([] if (root / "models").is_dir() else ["models/"])


def _examine_pictures(dataset: Ho3d, absent: Sequence[str], problems: list[str]) -> Iterator[str]:
    """Yield a line about the pictures; the version that they tell is returned."""
    folder, gone = dataset.folder, set(absent)
    counts = {"jpg": 0, "png": 0}
    missing: list[FrameName] = []
    for name in {name for split in SPLITS for name in folder.names[split] if name.sequence not in gone}:
        ending = folder.picture_ending(name)
        if ending is None:
            missing.append(name)
        else:
            counts[ending] += 1
    if missing:
        first = min(missing, key=lambda name: (name.sequence, name.index))
        problems.append(f"{len(missing)} pictures, the first {folder.picture(first)}")
    version = "v2" if counts["png"] > counts["jpg"] else "v3"
    yield f"pictures: {counts['png']} png (as in v2), {counts['jpg']} jpg (as in v3)"
    for place in PLACES:
        if unlisted := folder.unlisted(place):
            noted = sum(folder.meta(name).is_file() for name in unlisted)
            yield (
                f"{place}/: {len(unlisted)} pictures that neither list names, {noted} of them with an annotation file, "
                f"the first {folder.picture(unlisted[0])}; they are not read, unless the protocol names their sequence "
                f"and no list does"
            )
    return version


def _examine_split(dataset: Ho3d, split: Split, version: str, problems: list[str]) -> Iterator[str]:
    names, facts = dataset.names(split), dataset.folder.facts(split)
    expected = expected_frames(dataset.protocol, split, version)
    beside = "" if expected is None else f" (HO-3D {version} has {expected})"
    yield f"{split}: {len(dataset.sequences[split])} sequences, {len(names)} frames{beside}"
    unread = sum(len(frames) for frames in dataset.sequences[split].values()) - sum(map(len, facts.values()))
    annotated = [name for name in names if dataset.is_annotated(name)]
    if len(annotated) < len(names):
        yield (
            f"{split}: {len(names) - len(annotated)} frames without annotation, {unread} of them without file; "
            f"they are kept as unannotated frames"
        )
    if not dataset.has_evaluation_truth and any(dataset.folder.place(sequence) == "evaluation" for sequence in facts):
        absent = [file for file in EVALUATION_TRUTH if not (dataset.root / file).is_file()]
        yield (
            f"{split}: {' and '.join(absent)} missing, so the frames under evaluation/ can be predicted, not scored "
            f"(released apart in 2024: see the page of HO-3D's scripts)"
        )
    used = {name for frames in facts.values() for name, *_ in frames.values() if name is not None}
    unknown = sorted(name for name in used if not dataset.has_model(name))
    if not (dataset.root / "models").is_dir():  # one of the missing parts
        return
    if unknown:
        problems.append(f"{len(unknown)} models of {split} under models/ ({_some([repr(name) for name in unknown])})")
    elif used:
        yield f"{split}: objects " + ", ".join(model.name for model in dataset.objects(split))
        _read_one_of_each_sequence(dataset, annotated)


def _read_one_of_each_sequence(dataset: Ho3d, annotated: Sequence[FrameName]) -> None:
    """So that wrong units, another hand and broken pictures are found before a training."""
    first: dict[str, FrameName] = {}
    for name in annotated:
        first.setdefault(name.sequence, name)
    for name in first.values():
        if dataset.folder.picture_ending(name) is None:
            dataset.truth(name)
        else:
            dataset.frame(name, annotated=True)


def _some(names: Sequence[str]) -> str:
    more = len(names) - SHOWN_NAMES
    return ", ".join(names[:SHOWN_NAMES]) + (f" and {more} more" if more > 0 else "")
