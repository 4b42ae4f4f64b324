"""The nouns: a frame, a pair of frames, and the reconstruction of what a frame shows (docs/conventions.md).

Everything is in the OpenCV camera frame, in metres. `Frames` are what collation makes of `Frame`s: every field has a
leading batch dimension.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from warpgrasp.files import YOUNGER
from warpgrasp.geometry import (
    Camera,
    Mesh,
    Symmetry,
    bounding_box_corners,
    mirrored_axis_angle,
    mirrored_points,
    mirrored_rotation,
    pad,
)


@dataclass(frozen=True)
class ObjectModel:
    """A known rigid object, its origin in the centre of its bounding box.

    `centre_m` is where that origin lies in the coordinates of the mesh file, in metres and with its axes changed by the
    signs `axes_from_file`: a pose (R, t) of these coordinates places the origin at R·centre + t.
    """

    name: str
    vertices: Float[Tensor, "v 3"]  # the file's distinct vertices that a face uses
    faces: Int[Tensor, "f 3"]
    centre_m: Float[Tensor, " 3"]
    axes_from_file: tuple[float, float, float] = (1.0, 1.0, 1.0)  # signs by which the mesh file's axes were changed
    symmetry: Symmetry | None = field(default=None, metadata=YOUNGER)
    """The turns that leave its look as it is, where they are declared."""

    @property
    def corners(self) -> Float[Tensor, "8 3"]:
        """The corners of the bounding box."""
        return bounding_box_corners(self.vertices)

    @staticmethod
    def centred(
        name: str,
        vertices: Float[Tensor, "v 3"],
        faces: Int[Tensor, "f 3"],
        axes_from_file: tuple[float, float, float] = (1.0, 1.0, 1.0),
    ) -> "ObjectModel":
        """The object whose mesh file holds these vertices, in metres and after its axes were changed by these signs."""
        centre = (vertices.amin(dim=0) + vertices.amax(dim=0)) / 2
        return ObjectModel(name, vertices - centre, faces, centre, axes_from_file)

    def pose_of_file(
        self, rotation: Float[Tensor, "*b 3 3"], translation: Float[Tensor, "*b 3"]
    ) -> tuple[Float[Tensor, "*b 3 3"], Float[Tensor, "*b 3"]]:
        """The pose of the mesh file's own coordinates, in metres, from the pose of the object's centred ones.

        With x the file's coordinates and F its change of axes: R (F x - centre) + t = (R F) x + (t - R centre).
        """
        rotation_of_file = rotation * rotation.new_tensor(self.axes_from_file)
        return rotation_of_file, translation - rotation @ self.centre_m.to(rotation)

    def pose_from_file(
        self, rotation: Float[Tensor, "*b 3 3"], translation: Float[Tensor, "*b 3"]
    ) -> tuple[Float[Tensor, "*b 3 3"], Float[Tensor, "*b 3"]]:
        """The inverse of `pose_of_file`: the pose of the centred coordinates, from that of the mesh file's own."""
        rotation = rotation * rotation.new_tensor(self.axes_from_file)
        return rotation, translation + rotation @ self.centre_m.to(rotation)


@dataclass(frozen=True)
class Objects:
    """The objects of a batch, padded to one size."""

    names: tuple[str, ...]
    vertices: Float[Tensor, "b v 3"]
    real: Bool[Tensor, "b v"]  # False in padding
    faces: Int[Tensor, "b f 3"]
    corners: Float[Tensor, "b 8 3"]
    symmetries: tuple[Symmetry | None, ...] = ()  # empty where nobody says

    @staticmethod
    def of(models: Sequence[ObjectModel]) -> "Objects":
        """Collate object models."""
        vertices, real = pad([model.vertices for model in models])
        faces, _ = pad([model.faces for model in models])
        corners = torch.stack([model.corners for model in models])
        symmetries = tuple(model.symmetry for model in models)
        return Objects(tuple(model.name for model in models), vertices, real, faces, corners, symmetries)


@dataclass(frozen=True)
class Annotation:
    """What is known of a frame, in camera space: hand surface and joints, object pose.

    The object's rotation and translation act on its centred coordinates (`ObjectModel`).
    """

    hand_vertices: Float[Tensor, "*b v 3"]
    hand_joints: Float[Tensor, "*b 21 3"]
    object_rotation: Float[Tensor, "*b 3 3"]
    object_translation: Float[Tensor, "*b 3"]
    hand_rotation: Float[Tensor, "*b 3 3"] | None  # of the whole hand, from its rest pose, where it is known

    def turned(self, destination_from_source: Float[Tensor, "*b 3 3"]) -> "Annotation":
        """The same annotation seen by a camera at the same place that is turned by a rotation."""
        turn = destination_from_source
        return Annotation(
            self.hand_vertices @ turn.transpose(-1, -2),
            self.hand_joints @ turn.transpose(-1, -2),
            turn @ self.object_rotation,
            (turn @ self.object_translation[..., None])[..., 0],
            None if self.hand_rotation is None else turn @ self.hand_rotation,
        )


@dataclass(frozen=True)
class Pose:
    """Hand and object of n frames by what moves them, in camera space: metres and radians.

    The object turns about the centre of its bounding box, the hand about its wrist. A label, a state of the annotation
    page and a row of a predictions file convert to and from it in one place each.
    """

    object_rotation: Float[Tensor, "n 3 3"]  # camera_from_object
    object_centre: Float[Tensor, "n 3"]
    hand_rotation: Float[Tensor, "n 3 3"]  # from the hand model's rest pose
    wrist: Float[Tensor, "n 3"]
    joint_angles: Float[Tensor, "n 45"]  # axis-angle, of the joints in the order of MANO_JOINTS
    shape: Float[Tensor, "n s"]

    def __len__(self) -> int:
        """How many frames these are."""
        return len(self.wrist)

    @property
    def arrays(self) -> dict[str, Tensor]:
        """The fields by their names."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def rows(self, rows: slice | Int[Tensor, " m"]) -> "Pose":
        """Some of the frames."""
        return Pose(**{name: values[rows] for name, values in self.arrays.items()})

    def to(self, dtype: torch.dtype) -> "Pose":
        """The same numbers in another precision."""
        return Pose(**{name: values.to(dtype) for name, values in self.arrays.items()})

    @staticmethod
    def joined(parts: Sequence["Pose"]) -> "Pose":
        """The frames of several poses, in order."""
        names = [field.name for field in fields(Pose)]
        return Pose(**{name: torch.cat([part.arrays[name] for part in parts]) for name in names})

    @property
    def mirrored(self) -> "Pose":
        """The pose of the mirrored hand and the mirrored object in the mirrored pictures (`data/augment.py`)."""
        return Pose(
            mirrored_rotation(self.object_rotation),
            mirrored_points(self.object_centre),
            mirrored_rotation(self.hand_rotation),
            mirrored_points(self.wrist),
            mirrored_axis_angle(self.joint_angles.unflatten(-1, (15, 3))).flatten(-2),
            self.shape,
        )


@dataclass(frozen=True)
class FrameName:
    """Which frame of which sequence."""

    sequence: str
    index: int

    def __str__(self) -> str:
        """The name as it is printed: SEQUENCE/NUMBER."""
        return f"{self.sequence}/{self.index:04d}"


@dataclass(frozen=True)
class Frame:
    """One picture, its camera and object, and its annotation where there is one."""

    name: FrameName
    picture: UInt8[Tensor, "3 h w"]  # as stored: a quarter of the memory of `image`
    camera: Camera
    object: ObjectModel
    annotation: Annotation | None

    @property
    def image(self) -> Float[Tensor, "3 h w"]:
        """The picture's colours in [0, 1]."""
        return colours(self.picture)


@dataclass(frozen=True)
class Detections:
    """The hand of one side in each of n pictures, as a detector sees it."""

    joints_px: Float[Tensor, "n 21 2"]
    confidence: Float[Tensor, "n 21"]  # 0 to 1; 0 in pictures without a hand

    @staticmethod
    def joined(parts: Sequence["Detections"]) -> "Detections":
        """Those of several lists of pictures, one after the other."""
        return Detections(torch.cat([part.joints_px for part in parts]), torch.cat([part.confidence for part in parts]))

    def rows(self, rows: slice | Int[Tensor, " m"]) -> "Detections":
        """Those of some pictures."""
        return Detections(self.joints_px[rows], self.confidence[rows])

    def resized(self, old: tuple[int, int], new: tuple[int, int]) -> "Detections":
        """Those of the pictures of size `old` (width, height) resized to `new`, as `Camera.resized` moves pixels."""
        scale = self.joints_px.new_tensor([new[0] / old[0], new[1] / old[1]])
        return Detections((self.joints_px + 0.5) * scale - 0.5, self.confidence)


@dataclass(frozen=True)
class Frames:
    """A batch of frames."""

    names: tuple[FrameName, ...]
    image: Float[Tensor, "b 3 h w"]
    camera: Camera
    objects: Objects
    annotation: Annotation | None
    detections: Detections | None = None  # of the hand, where a network is told of them

    @staticmethod
    def of(frames: Sequence[Frame]) -> "Frames":
        """Collate frames of one size. The batch is annotated when all of its frames are."""
        first = frames[0].camera
        camera = Camera(torch.stack([frame.camera.intrinsics for frame in frames]), first.width, first.height)
        annotations = [frame.annotation for frame in frames if frame.annotation is not None]
        return Frames(
            tuple(frame.name for frame in frames),
            colours(torch.stack([frame.picture for frame in frames])),
            camera,
            Objects.of([frame.object for frame in frames]),
            stack_annotations(annotations) if len(annotations) == len(frames) else None,
        )


def colours(pictures: UInt8[Tensor, "*b 3 h w"]) -> Float[Tensor, "*b 3 h w"]:
    """Colours in [0, 1] of stored pictures."""
    return pictures.float().div_(255)


def move_to(value: Any, device: torch.device) -> Any:
    """Move every tensor of a (nested) dataclass to a device. A GPU is not waited for."""
    if isinstance(value, Tensor):
        if device.type == "cuda" and not value.is_cuda:
            return value.pin_memory().to(device, non_blocking=True)
        return value.to(device)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{one.name: move_to(getattr(value, one.name), device) for one in fields(value)})
    return value


def stack_annotations(annotations: Sequence[Annotation]) -> Annotation:
    """Collate annotations."""
    rotations = [one.hand_rotation for one in annotations if one.hand_rotation is not None]
    return Annotation(
        torch.stack([one.hand_vertices for one in annotations]),
        torch.stack([one.hand_joints for one in annotations]),
        torch.stack([one.object_rotation for one in annotations]),
        torch.stack([one.object_translation for one in annotations]),
        torch.stack(rotations) if len(rotations) == len(annotations) else None,
    )


@dataclass(frozen=True)
class FramePair:
    """Target frames and, for each, a reference whose surface is given (annotated, or predicted).

    `reference_surface` is hand and object as one mesh; the target's surface, wherever it comes from, has its faces.
    The channels of the images are what is compared: colours, or more (`photometric.appearance`).
    """

    target_image: Float[Tensor, "b c h w"]
    target_camera: Camera
    reference_image: Float[Tensor, "b c h w"]
    reference_camera: Camera
    reference_surface: Mesh
    target_valid: Bool[Tensor, "b h w"] | None = None  # False in the padding of augmented pictures
    reference_valid: Bool[Tensor, "b h w"] | None = None

    def reversed(self, target_surface: Mesh) -> "FramePair":
        """The pair with its roles exchanged: what was the target, with its surface, is what is compared with."""
        return FramePair(
            self.reference_image,
            self.reference_camera,
            self.target_image,
            self.target_camera,
            target_surface,
            self.reference_valid,
            self.target_valid,
        )


@dataclass(frozen=True)
class HandReconstruction:
    """The hand of a frame: parameters, surface and joints."""

    rotation: Float[Tensor, "b 3 3"]
    translation: Float[Tensor, "b 3"]  # of the placement joint, the base of the middle finger
    pose_coefficients: Float[Tensor, "b p"]
    shape: Float[Tensor, "b s"]
    vertices: Float[Tensor, "b v 3"]
    joints: Float[Tensor, "b 21 3"]


@dataclass(frozen=True)
class ObjectReconstruction:
    """The object of a frame: its pose, surface and bounding box; padding as in `Objects`."""

    rotation: Float[Tensor, "b 3 3"]
    translation: Float[Tensor, "b 3"]  # of the centre of the bounding box
    vertices: Float[Tensor, "b v 3"]
    corners: Float[Tensor, "b 8 3"]


@dataclass(frozen=True)
class Reconstruction:
    """Hand and object of a frame, in camera space."""

    hand: HandReconstruction
    object: ObjectReconstruction


def pose_points(
    rotation: Float[Tensor, "*b 3 3"], translation: Float[Tensor, "*b 3"], points: Float[Tensor, "*b n 3"]
) -> Float[Tensor, "*b n 3"]:
    """Rigidly move points: R·p + t."""
    return points @ rotation.transpose(-1, -2) + translation[..., None, :]
