"""DexYCB (Chao et al. 2021): raw folders to frames.

One sequence of the data set is one camera's view of a capture, named SUBJECT/SEQUENCE/SERIAL. The object of a frame is
the grasped one among those in view. The network knows a right hand, so a view of a left hand is read as its mirror
image (data/augment.py): picture, camera, hand and pose, and the object becomes its own mirror image, `NAME (mirrored)`.

In MANO's own left-hand file the shape directions are wrong along x: they are those of the right hand, where they should
be its mirror image (smplx, issue 48). A hand with shape parameters other than 0 is therefore another one on the left
than on the right. DexYCB was annotated with that file (dex-ycb-toolkit, issue 28), so there are two ways to read it:

`as-labelled`: the hand that the annotators fitted to the pictures, with the wrong directions. Its surface and joints
    are those of the labels. Mirrored, it is a right hand whose shape the right model can only approximate: the x parts
    of its shape directions have the opposite sign.
`corrected`: the mirrored hand is the right model with the labels' pose and shape parameters. It lies in the right
    model's space, but it is not the hand that was fitted: it leaves the labels' joints, the more the larger the betas.

The right hand's file tells which sign the user's file has, so a file that was corrected already reads the same.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from warpgrasp.data.augment import mirrored_annotation, mirrored_camera, mirrored_frame, mirrored_name
from warpgrasp.data.dataset import LARGEST_DISTANCE_M, Split, Truth, check_agreement, chosen_protocol
from warpgrasp.data.dexycb.files import HEIGHT_PX, WIDTH_PX, CameraView, DexYcbFolder, FrameLabels
from warpgrasp.data.dexycb.splits import PARTS, PROTOCOLS, SUBJECTS
from warpgrasp.data.pictures import read_picture
from warpgrasp.errors import DataError
from warpgrasp.frame import Annotation, Frame, FrameName, ObjectModel
from warpgrasp.geometry import matrix_from_axis_angle
from warpgrasp.hand import HandModel, HandTemplate

ROTATION_TOLERANCE = 1e-2  # of RᵀR from the identity, in float32

SideChoice = Literal["right", "left", "both"]
LeftShapedirs = Literal["as-labelled", "corrected"]


@dataclass(frozen=True)
class Sides:
    """Which hands are read; `left_hand` is needed for all but the right ones."""

    choice: SideChoice = "right"
    left_hand: HandModel | None = None
    left_shapedirs: LeftShapedirs = "as-labelled"

    @property
    def are_usual(self) -> bool:
        """Whether nothing but what every layout offers is asked for: right hands."""
        return self.choice == "right" and self.left_shapedirs == "as-labelled"

    def __str__(self) -> str:
        return self.choice if self.choice == "right" else f"{self.choice} {self.left_shapedirs}"


RIGHT_HANDS = Sides()


@dataclass(frozen=True)
class LeftHands:
    """The left hand that labels were made with, and the one that is shown."""

    labelled: HandModel
    shown: HandModel

    @staticmethod
    def of(sides: Sides, right: HandTemplate) -> "LeftHands | None":
        """The left hands beside a right one, or None where only right hands are read.

        Raises `DataError` when there is no left one, or they do not belong together.
        """
        if sides.choice == "right":
            return None
        if sides.left_hand is None:
            raise DataError(f"expected a left hand model beside {right.name} to read {sides.choice} hands, got none")
        left = sides.left_hand.template
        if left.shape_directions.shape != right.shape_directions.shape or left.faces.shape != right.faces.shape:
            raise DataError(
                f"expected a left hand model that mirrors the right one, found {left.name} with "
                f"{len(left.vertices)} vertices and {right.name} with {len(right.vertices)}"
            )
        labelled = HandModel(with_x_sign(left, right, 1))
        shown = labelled if sides.left_shapedirs == "as-labelled" else HandModel(with_x_sign(left, right, -1))
        return LeftHands(labelled, shown)


def with_x_sign(left: HandTemplate, right: HandTemplate, sign: Literal[1, -1]) -> HandTemplate:
    """The left hand whose shape directions along x are those of the right hand (1), or their mirror image (-1)."""
    same = float(np.sum(left.shape_directions[:, 0] * right.shape_directions[:, 0]))
    if same * sign > 0:
        return left
    directions = left.shape_directions * np.array([-1.0, 1.0, 1.0])[:, None]
    return replace(left, shape_directions=directions)


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
