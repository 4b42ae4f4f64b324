"""What somebody who annotates a frame changes: hand and object by where they are held, and the points clicked on.

Poses are kept as the handles on the page move them: the object about the centre of its bounding box, the hand about its
wrist. Every conversion to a label and back is exact to rounding.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from warpgrasp.data.recording import HandJoints, HandParameters, Label, Use
from warpgrasp.errors import UserError
from warpgrasp.geometry import Camera
from warpgrasp.hand import JOINTS, HandTemplate

FEWEST_PAIRS = 4
# A pose that misses its own points by more than this share of the picture's width is no start.
LARGEST_MISS_SHARE = 0.05


@dataclass(frozen=True)
class ObjectPose:
    """The object's rotation (axis-angle) and the centre of its bounding box, in camera space."""

    rotation: Float[np.ndarray, " 3"]
    centre: Float[np.ndarray, " 3"]


@dataclass(frozen=True)
class HandPose:
    """The hand's rotation about its wrist (axis-angle), the wrist in camera space, the joints' angles and the shape."""

    rotation: Float[np.ndarray, " 3"]
    wrist: Float[np.ndarray, " 3"]
    joints: Float[np.ndarray, " 45"]
    shape: Float[np.ndarray, " s"]


@dataclass(frozen=True)
class PointPair:
    """A point of the object (its centred coordinates, metres) and the pixel in which it is seen."""

    point: Float[np.ndarray, " 3"]
    pixel: Float[np.ndarray, " 2"]


@dataclass(frozen=True)
class FrameState:
    """All that is known of a frame while it is annotated."""

    object: ObjectPose
    hand: HandPose
    pairs: tuple[PointPair, ...] = ()
    joints_px: tuple[tuple[str, Float[np.ndarray, " 2"]], ...] = ()  # by the joints' names
    done: bool = False  # a label, not a draft
    use: Use = "train"
    # The hand as the label states it, for as long as nobody moves it: it is written again as it was.
    stated_hand: HandParameters | HandJoints | None = field(default=None, repr=False)

    def with_hand(self, **changes: Any) -> "FrameState":
        """The same frame with another hand."""
        return replace(self, hand=replace(self.hand, **changes), stated_hand=None)

    def with_object(self, **changes: Any) -> "FrameState":
        """The same frame with another object pose."""
        return replace(self, object=replace(self.object, **changes))

    def with_joint(self, joint: str, pixel: Float[np.ndarray, " 2"] | None) -> "FrameState":
        """The same frame with a joint's pixel set, or taken away; in the order of `JOINTS`."""
        named = {name: px for name, px in self.joints_px if name != joint}
        named |= {} if pixel is None else {joint: pixel}
        return replace(self, joints_px=tuple((name, named[name]) for name in JOINTS if name in named))


def label_of(frame: int, state: FrameState, template: HandTemplate, object_centre_m: Float[np.ndarray, " 3"]) -> Label:
    """The label of a frame. `object_centre_m` is the box's centre in the mesh file's coordinates."""
    hand, thing = state.hand, state.object
    stated = state.stated_hand or HandParameters(
        np.concatenate([hand.rotation, hand.joints]), hand.shape, hand.wrist - template.rest_wrist(hand.shape)
    )
    turned_centre = Rotation.from_rotvec(thing.rotation).apply(object_centre_m)
    return Label(frame, stated, thing.rotation, thing.centre - turned_centre, state.use)


def state_of(
    label: Label, hand: HandPose, object_centre_m: Float[np.ndarray, " 3"], *, done: bool = True
) -> FrameState:
    """The frame that a label describes; `hand` is its hand (`hand_of_parameters`, or a fit to its joints)."""
    centre = Rotation.from_rotvec(label.object_rotation).apply(object_centre_m) + label.object_translation
    return FrameState(ObjectPose(label.object_rotation, centre), hand, (), (), done, label.use, label.hand)


def hand_of_parameters(parameters: HandParameters, template: HandTemplate) -> HandPose:
    """A hand that a label gives by the model's parameters."""
    wrist = template.rest_wrist(parameters.shape) + parameters.translation
    return HandPose(parameters.pose[:3], wrist, parameters.pose[3:], parameters.shape)


def pose_from_pairs(pairs: tuple[PointPair, ...], camera: Camera) -> ObjectPose:
    """The object's pose from points of it and their pixels: perspective-n-point, refined (OpenCV).

    Raises `UserError` when there are fewer than four, or when no pose fits them.
    """
    if len(pairs) < FEWEST_PAIRS:
        raise UserError(f"expected at least {FEWEST_PAIRS} points of the object with their pixels, got {len(pairs)}")
    points, pixels = np.stack([pair.point for pair in pairs]), np.stack([pair.pixel for pair in pairs])
    matrix = camera.intrinsics.double().numpy()
    try:
        found, turn, place = cv2.solvePnP(points, pixels, matrix, None, flags=cv2.SOLVEPNP_SQPNP)
        if found:
            turn, place = cv2.solvePnPRefineLM(points, pixels, matrix, None, turn, place)
    except cv2.error as error:
        raise UserError(f"expected points that fix a pose: {str(error.err)[:100]}; choose others") from error
    projected, _ = cv2.projectPoints(points, turn, place, matrix, None)
    miss = float(np.linalg.norm(projected.reshape(-1, 2) - pixels, axis=1).mean())
    if not found or not place[2, 0] > 0 or not miss < LARGEST_MISS_SHARE * camera.width:
        raise UserError(
            f"expected points of one pose in front of the camera, found none that fits ({miss:.0f} px away on "
            f"average); is a pair wrong, or are all points in a line?"
        )
    return ObjectPose(turn[:, 0], place[:, 0])
