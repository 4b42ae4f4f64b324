"""A frame while it is annotated: its pose, the points clicked on, and what is to become of it."""

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial.transform import Rotation
from torch import Tensor

from warpgrasp.annotate.masks import Mask
from warpgrasp.data.recording import LARGEST_DISTANCE_M, LARGEST_SHAPE, HandJoints, HandParameters, Recording, Use
from warpgrasp.errors import UserError
from warpgrasp.frame import Pose
from warpgrasp.hand import JOINTS, MANO_JOINTS, HandModel, HandTemplate

NEAREST_M = 0.05  # no hand is held nearer to a camera
FIRST_DEPTH_M = 0.5  # where hand and object lie before anybody moves them
BESIDE_M = np.array([0.1, 0.06, 0.0])  # from the middle of the picture, right and down: the first wrist
# The first hand: fingers up, its back to the camera, as people see their own.
FIRST_HAND_UP, FIRST_HAND_BACK = np.array([0.0, -1.0, 0.0]), np.array([0.0, 0.0, -1.0])
Part = Literal["object", "hand"]
PLACE_OF = {"object": "object_centre", "hand": "wrist"}  # the fields of `Pose`
FIELDS_OF = {
    "object": {"object_rotation", "object_centre"},
    "hand": {"hand_rotation", "wrist", "joint_angles", "shape"},
}
PALM = ("middle", "index", "little")  # fingers whose bases say how the palm lies


@dataclass(frozen=True)
class PointPair:
    """A point of the object (its centred coordinates, metres) and the pixel in which it is seen."""

    point: Float[np.ndarray, " 3"]
    pixel: Float[np.ndarray, " 2"]


@dataclass(frozen=True)
class EditedFrame:
    """All that is known of a frame while it is annotated.

    `stated_hand` and `stated_object` (rotation and translation) are what its label states, for as long as nobody moves
    that part: it is written again as it was. `missing` is the part that another program's labels, from which the frame
    was begun, said nothing of, for as long as nobody moves it. `mask` is what each pixel shows, where
    somebody has said so.
    """

    pose: Pose  # of this frame alone, in float64
    pairs: tuple[PointPair, ...] = ()
    joints_px: tuple[tuple[str, Float[np.ndarray, " 2"]], ...] = ()  # by the joints' names
    done: bool = False  # a label, not a draft
    use: Use = "train"
    stated_hand: HandParameters | HandJoints | None = field(default=None, repr=False)
    stated_object: tuple[Float[np.ndarray, " 3"], Float[np.ndarray, " 3"]] | None = field(default=None, repr=False)
    missing: Part | None = None
    mask: Mask | None = field(default=None, repr=False)

    @property
    def object_rotation(self) -> Float[np.ndarray, "3 3"]:
        """The object's rotation, camera_from_object."""
        return self.pose.object_rotation[0].numpy()

    @property
    def object_centre(self) -> Float[np.ndarray, " 3"]:
        """The centre of the object's bounding box, in camera space."""
        return self.pose.object_centre[0].numpy()

    @property
    def hand_rotation(self) -> Float[np.ndarray, "3 3"]:
        """The hand's rotation about its wrist."""
        return self.pose.hand_rotation[0].numpy()

    @property
    def wrist(self) -> Float[np.ndarray, " 3"]:
        """The wrist, in camera space."""
        return self.pose.wrist[0].numpy()

    @property
    def joint_angles(self) -> Float[np.ndarray, " 45"]:
        """The axis-angle vectors of the hand's joints."""
        return self.pose.joint_angles[0].numpy()

    @property
    def shape(self) -> Float[np.ndarray, " s"]:
        """The hand's shape parameters."""
        return self.pose.shape[0].numpy()

    def moved(self, **parts: Float[np.ndarray, "..."]) -> "EditedFrame":
        """The same frame with other values of some of the fields of its pose."""
        pose = replace(self.pose, **{name: float64_rows(values) for name, values in parts.items()})
        of_object = FIELDS_OF["object"] & parts.keys()
        return replace(
            self,
            pose=pose,
            stated_hand=self.stated_hand if parts.keys() == of_object else None,
            stated_object=None if of_object else self.stated_object,
            missing=None if self.missing is not None and FIELDS_OF[self.missing] & parts.keys() else self.missing,
        )

    def placed(self, part: Part) -> tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, " 3"]]:
        """How a part is turned, and where it is."""
        return getattr(self, f"{part}_rotation"), getattr(self, PLACE_OF[part])

    def carried(
        self, part: Part, rotation: Float[np.ndarray, "3 3"], place: Float[np.ndarray, " 3"], *, coupled: bool
    ) -> "EditedFrame":
        """The same frame with a part elsewhere; the other one goes along, as one body, where they are `coupled`."""
        other: Part = "hand" if part == "object" else "object"
        parts = {f"{part}_rotation": rotation, PLACE_OF[part]: place}
        if coupled:
            (own_rotation, own_place), (other_rotation, other_place) = self.placed(part), self.placed(other)
            turn = rotation @ own_rotation.T
            parts[f"{other}_rotation"] = turn @ other_rotation
            parts[PLACE_OF[other]] = place + turn @ (other_place - own_place)
        moved = self.moved(**parts)
        return replace(moved, missing=other) if coupled and self.missing == other else moved

    def posed(self, pose: Pose) -> "EditedFrame":
        """The same frame with another pose; what a label states of a part stays where the part does."""
        still = {
            part: all(torch.equal(pose.arrays[name], self.pose.arrays[name]) for name in names)
            for part, names in FIELDS_OF.items()
        }
        stated_hand = self.stated_hand if still["hand"] else None
        stated_object = self.stated_object if still["object"] else None
        return replace(self, pose=pose, stated_hand=stated_hand, stated_object=stated_object, missing=None)

    def with_joint(self, joint: str, pixel: Float[np.ndarray, " 2"] | None) -> "EditedFrame":
        """The same frame with a joint's pixel set, or taken away; in the order of `JOINTS`."""
        pixels = {name: known for name, known in self.joints_px if name != joint}
        pixels |= {} if pixel is None else {joint: pixel}
        return replace(self, joints_px=tuple((name, pixels[name]) for name in JOINTS if name in pixels))


def float64_rows(values: Float[np.ndarray, "..."]) -> Tensor:
    """A field of a `Pose` of one frame, copied."""
    return torch.from_numpy(np.array(values, dtype=np.float64))[None]


def check_pose(frame: EditedFrame) -> None:
    """Raise `UserError` for a pose that no label can have."""
    for part, place in (("the object's centre", frame.object_centre), ("the wrist", frame.wrist)):
        if not (place[2] >= NEAREST_M and (np.abs(place) < LARGEST_DISTANCE_M).all()):
            raise UserError(
                f"expected {part} in front of the camera, {NEAREST_M:g} to {LARGEST_DISTANCE_M:g} m away, got a depth "
                f"of {place[2]:.2f} m"
            )
    if (np.abs(frame.shape) > LARGEST_SHAPE).any():
        raise UserError(f"expected shape parameters within ±{LARGEST_SHAPE:g}")


def first_pose(recording: Recording, hand: HandModel) -> Pose:
    """Hand and object side by side in the middle of the picture."""
    lens, template = recording.lens, hand.template
    middle = np.linalg.inv(lens.intrinsics) @ np.array([(lens.width - 1) / 2, (lens.height - 1) / 2, 1.0])
    centre = FIRST_DEPTH_M * middle
    parts = (
        np.eye(3),
        centre - BESIDE_M * [1, 0, 0],
        _first_hand_rotation(template, left=recording.side == "left"),
        centre + BESIDE_M,
        template.mean_pose,
        np.zeros(hand.shape_count),
    )
    return Pose(*map(float64_rows, parts))


def _first_hand_rotation(template: HandTemplate, *, left: bool) -> Float[np.ndarray, "3 3"]:
    wrist = template.rest_wrist(np.zeros(template.shape_directions.shape[-1]))
    joints = np.asarray(template.joint_regressor, dtype=np.float64) @ template.vertices
    middle_base, index_base, little_base = (joints[MANO_JOINTS.index(f"{finger}_1")] for finger in PALM)
    up = middle_base - wrist
    back = np.cross(little_base - index_base, up) * (-1 if left else 1)
    directions = np.stack([up, back]) / np.linalg.norm([up, back], axis=1)[:, None]
    return Rotation.align_vectors(np.stack([FIRST_HAND_UP, FIRST_HAND_BACK]), directions)[0].as_matrix()
