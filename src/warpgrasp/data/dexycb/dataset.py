"""DexYCB (Chao et al. 2021): raw folders to frames, and what is missing in them.

One sequence of the data set is one camera's view of a capture, named SUBJECT/SEQUENCE/SERIAL. The object of a frame is
the grasped one among those in view. The network knows a right hand, so a view of a left hand is read as its mirror
image (data/augment.py): picture, camera, hand and pose, and the object becomes its own mirror image, `NAME (mirrored)`.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from warpgrasp.data.augment import mirrored_annotation, mirrored_camera, mirrored_frame, mirrored_name
from warpgrasp.data.dataset import LARGEST_DISTANCE_M, SPLITS, Split, Truth, check_agreement, chosen_protocol
from warpgrasp.data.dexycb.files import HEIGHT_PX, WIDTH_PX, CameraView, DexYcbFolder, FrameLabels
from warpgrasp.data.dexycb.splits import (
    PARTS,
    PROTOCOLS,
    RIGHT_HANDS,
    S0_TRAIN_FRAMES,
    SUBJECTS,
    LeftHands,
    SideChoice,
    Sides,
)
from warpgrasp.data.pictures import read_picture
from warpgrasp.errors import DataError
from warpgrasp.frame import Annotation, Frame, FrameName, ObjectModel
from warpgrasp.geometry import matrix_from_axis_angle
from warpgrasp.hand import HandModel

ROTATION_TOLERANCE = 1e-2  # of RᵀR from the identity, in float32
SOURCES = (
    "DexYCB: https://dex-ycb.github.io, licence CC BY-NC 4.0 (research only)",
    f"the folder holds {SUBJECTS[0]}/ … {SUBJECTS[-1]}/, each with all of its sequences, calibration/ and models/; "
    f"labels need MANO (--hand mano --mano-folder DIR, docs/datasets.md#mano)",
)


@dataclass(frozen=True)
class DexYcb:
    """A folder in DexYCB's layout. Frames are read at `size` (width, height), or at their own."""

    folder: DexYcbFolder
    hand: HandModel
    size: tuple[int, int] | None = None
    setup: str = PROTOCOLS[0]
    sides: Sides = RIGHT_HANDS
    left: LeftHands | None = None

    @staticmethod
    def recognises(root: Path) -> bool:
        """Whether a folder looks like DexYCB's."""
        return any((root / subject).is_dir() for subject in SUBJECTS)

    @classmethod
    def open(
        cls,
        root: Path,
        hand: HandModel,
        *,
        size: tuple[int, int] | None = None,
        protocol: str | None = None,
        sides: Sides = RIGHT_HANDS,
    ) -> "DexYcb":
        """The data set in a folder.

        Raises `DataError` when the protocol is none of DexYCB's setups, or the left hand is missing or another one.
        """
        setup = chosen_protocol("DexYCB", PROTOCOLS, protocol)
        return cls(DexYcbFolder(root), hand, size, setup, sides, LeftHands.of(sides, hand.template))

    @property
    def root(self) -> Path:
        """The folder."""
        return self.folder.root

    @property
    def protocol(self) -> str:
        """The setup and the hands, for example `dexycb/s0 right`; the official splits hold both hands."""
        return f"{self.setup} {self.sides}"

    def at_size(self, size: tuple[int, int] | None) -> "DexYcb":
        """The same data set, read at another size."""
        return replace(self, size=size)

    @property
    def sequences(self) -> dict[Split, dict[str, list[int]]]:
        """The frames of each view of each split, as many as `meta.yml` says."""
        return self._sequences

    @cached_property
    def _sequences(self) -> dict[Split, dict[str, list[int]]]:
        return {split: {view.name: list(view.frames) for view in views} for split, views in self._split_views.items()}

    @cached_property
    def _split_views(self) -> dict[Split, list[CameraView]]:
        return {
            split: [view for view in self.folder.views(part) if self.sides.choice in ("both", view.capture.side)]
            for split, part in PARTS[self.setup].items()
        }

    @cached_property
    def _views(self) -> dict[str, CameraView]:
        return {view.name: view for views in self._split_views.values() for view in views}

    def _view(self, name: FrameName) -> CameraView:
        view = self._views.get(name.sequence)
        if view is None or not 0 <= name.index < len(view.frames):
            raise DataError(
                f"expected a frame of {self.protocol} in {self.root}, got {name.sequence[:80]}/{name.index:06d}"
            )
        return view

    def names(self, split: Split) -> list[FrameName]:
        """Every frame of a split, in the official order: by subject, sequence, camera, time."""
        return [FrameName(view, index) for view, frames in self.sequences[split].items() for index in frames]

    def image_ids(self, split: Split) -> dict[FrameName, int]:
        """The official number of each frame of a split, which counts both hands."""
        ids, count = {}, 0
        for view in self.folder.views(PARTS[self.setup][split]):
            if view.name in self._views:
                ids |= {FrameName(view.name, index): count + index for index in view.frames}
            count += view.capture.frames
        return ids

    def is_mirrored(self, name: FrameName) -> bool:
        """Whether a frame shows a left hand and is therefore read as its mirror image."""
        return self._view(name).capture.side == "left"

    def object_model(self, name: str) -> ObjectModel:
        """The object of that name (`models/NAME/textured_simple.obj`), or the mirror image `NAME (mirrored)`."""
        return self.folder.object_model(name)

    def objects(self, split: Split) -> list[ObjectModel]:
        """The objects that a split's hands grasp."""
        names = {_object_name(view) for view in self._split_views[split]}
        return [self.object_model(name) for name in sorted(names)]

    def picture_file(self, name: FrameName) -> Path:
        """The file that holds a frame's picture."""
        return self._view(name).picture(name.index)

    def annotation_files(self, name: FrameName) -> tuple[Path, ...]:
        """The files that hold a frame's annotation: labels, which object, camera and shape of the hand."""
        view = self._view(name)
        calibration = self.folder.intrinsics_file(view.serial), self.folder.shape_file(view.capture)
        return view.labels(name.index), view.capture.folder / "meta.yml", *calibration

    def is_annotated(self, name: FrameName) -> bool:
        """Whether the hand and the grasped object are given (DexYCB leaves frames with few keypoints without).

        The first question about a split reads all its labels, unless they were read in an earlier start.
        """
        view = self._view(name)
        if not self.folder.is_indexed(view):
            self.folder.index_labels(next(views for views in self._split_views.values() if view in views))
        return self.folder.is_annotated(view, name.index)

    def frame(self, name: FrameName, *, annotated: bool) -> Frame:
        """Read a frame; of its annotation only the camera and the object's name unless `annotated`.

        Raises `DataError` naming the file and the fact when it cannot be read as documented.
        """
        view = self._view(name)
        path = view.picture(name.index)
        image, original_size = read_picture(path, self.size)
        if original_size != (WIDTH_PX, HEIGHT_PX):
            raise DataError(
                f"expected a picture of {WIDTH_PX}×{HEIGHT_PX} pixels in {path}, as its camera was calibrated, found "
                f"{original_size[0]}×{original_size[1]}"
            )
        camera = self.folder.camera(view.serial).resized(image.shape[2], image.shape[1])
        model = self.object_model(view.capture.grasped_object)
        annotation = self._annotation(name, model) if annotated else None
        frame = Frame(name, image, camera, model, annotation)
        return mirrored_frame(frame) if view.capture.side == "left" else frame

    def truth(self, name: FrameName) -> Truth:
        """A frame's annotation with the camera of the picture as it is on disk, without reading the picture."""
        view = self._view(name)
        camera = self.folder.camera(view.serial)
        annotation = self._annotation(name, self.object_model(view.capture.grasped_object))
        if view.capture.side == "left":
            camera, annotation = mirrored_camera(camera), mirrored_annotation(annotation)
        return Truth(camera.intrinsics, self.object_model(_object_name(view)), annotation)

    def _annotation(self, name: FrameName, model: ObjectModel) -> Annotation:
        """The annotation as the files have it, of whichever hand."""
        view = self._view(name)
        labels, path = self.folder.labels(view, name.index), view.labels(name.index)
        if not labels.has_hand or not labels.has_object[view.capture.grasped]:
            raise DataError(f"expected a frame whose hand and object are annotated in {path}, found one without")
        rotation, position = labels.object_poses[view.capture.grasped].split([3, 1], dim=1)
        if not _is_rotation(rotation):
            raise DataError(f"expected a rotation in pose_y of {path}, found a matrix that is none")
        translation = rotation @ model.centre_m + position[:, 0]
        joints, vertices = self._posed(view, labels, path)
        farthest = torch.cat([joints, translation[None]]).norm(dim=-1).max()
        if farthest > LARGEST_DISTANCE_M:
            raise DataError(f"expected hand and object near the camera in {path}, found one {farthest:g} m away")
        return Annotation(vertices, joints, rotation, translation, matrix_from_axis_angle(labels.hand[:3]))

    def _posed(self, view: CameraView, labels: FrameLabels, path: Path) -> tuple[Tensor, Tensor]:
        """Joints and vertices of the hand, once it is known to be the one that was labelled."""
        if view.capture.side == "right" or self.left is None:
            labelled = shown = self.hand
        else:
            labelled, shown = self.left.labelled, self.left.shown
        joints, vertices = self._hand_of(labelled, view, labels)
        check_agreement(joints, labels.joints, labelled, path)
        return (joints, vertices) if shown is labelled else self._hand_of(shown, view, labels)

    def _hand_of(self, model: HandModel, view: CameraView, labels: FrameLabels) -> tuple[Tensor, Tensor]:
        rotation, coefficients, translation = labels.hand[None].split([3, 45, 3], dim=1)
        betas = self.folder.betas(view.capture, model.shape_count)
        with torch.no_grad():
            posed = model(rotation, model.pose_from_coefficients(coefficients), betas[None])
        return posed.joints[0] + translation, posed.vertices[0] + translation


def _object_name(view: CameraView) -> str:
    name = view.capture.grasped_object
    return mirrored_name(name) if view.capture.side == "left" else name


def _is_rotation(matrix: Tensor) -> bool:
    error = (matrix.T @ matrix - torch.eye(3)).abs().max()
    return bool(error < ROTATION_TOLERANCE and torch.linalg.det(matrix) > 0)


def examine_dexycb(dataset: DexYcb) -> Iterator[str]:
    """Lines about the folder. Raises `DataError` with a count of everything missing, each kind named once."""
    folder = dataset.folder
    yield from SOURCES
    yield f"{len(folder.subjects)} of {len(SUBJECTS)} subjects, {len(folder.captures)} recordings"
    yield f"{dataset.protocol}, in brackets both hands, as the official splits count:"
    yield from _splits(dataset)
    every = {view.name: view for part in PARTS[dataset.setup].values() for view in folder.views(part)}
    chosen = [view for view in every.values() if dataset.sides.choice in ("both", view.capture.side)]
    problems = list(_missing_files(dataset, chosen))
    if not problems:
        yield from _read_some(dataset, chosen)
    absent = [subject for number, subject in enumerate(SUBJECTS) if number not in folder.subjects]
    if absent:
        problems.insert(0, f"{len(absent)} subjects ({', '.join(absent)})")
    if problems:
        raise DataError(f"expected a complete data set in {dataset.root}, missing " + "; ".join(problems))
    yield "nothing is missing"


def _splits(dataset: DexYcb) -> Iterator[str]:
    """The size of each split beside that of a complete data set."""
    for split in SPLITS:
        part = PARTS[dataset.setup][split]
        views = dataset.folder.views(part)
        frames = sum(view.capture.frames for view in views)
        left = sum(view.capture.frames for view in views if view.capture.side == "left")
        expected = f" of {S0_TRAIN_FRAMES:,}" if (dataset.setup, split) == ("dexycb/s0", "train") else ""
        yield (
            f"{split}: {len(dataset.names(split)):,} frames in {len(dataset.sequences[split]):,} views "
            f"(both hands: {frames:,}{expected} frames, {left:,} of them of left hands, in {len(views):,} of "
            f"{part.view_count:,} views)"
        )


def _missing_files(dataset: DexYcb, views: list[CameraView]) -> Iterator[str]:
    folder = dataset.folder
    wanted = {
        "intrinsics files": {folder.intrinsics_file(view.serial) for view in views},
        "mano.yml files": {folder.shape_file(view.capture) for view in views},
        "object meshes": {folder.mesh_file(view.capture.grasped_object) for view in views},
    }
    for kind, paths in wanted.items():
        missing = sorted(path for path in paths if not path.is_file())
        if missing:
            yield f"{len(missing)} {kind}, the first {missing[0]}"
    pictures, labels = [], []
    for view in views:  # folders are listed, since asking for each of a million files takes minutes
        present = _listed(view.picture(0).parent)
        pictures += [path for path in map(view.picture, view.frames) if path.name not in present]
        labels += [path for path in map(view.labels, view.frames) if path.name not in present]
    for kind, missing in (("pictures", pictures), ("labels files", labels)):
        if missing:
            yield f"{len(missing)} {kind}, the first {missing[0]}"


def _listed(folder: Path) -> set[str]:
    try:
        return set(os.listdir(folder))
    except OSError:
        return set()


def _read_some(dataset: DexYcb, views: list[CameraView]) -> Iterator[str]:
    """Read the first annotated frame of each subject's first view of either hand, and every object."""
    folder = dataset.folder
    seen: set[tuple[str, SideChoice]] = set()
    for view in views:
        key = view.name.split("/")[0], view.capture.side
        if key in seen:
            continue
        annotated = (
            index
            for index in view.frames
            if (labels := folder.labels(view, index)).has_hand and labels.has_object[view.capture.grasped]
        )
        index = next(annotated, None)
        if index is not None:
            seen.add(key)
            dataset.frame(FrameName(view.name, index), annotated=True)
    objects = sorted({view.capture.grasped_object for view in views})
    for name in objects:
        folder.object_model(name)
    yield f"read a frame of {len(seen)} subjects' right or left hands; objects {', '.join(objects)}"
