"""What a label means (hand and object in camera space, its `Pose`), the label of a `Pose`, and doubts about labels.

A doubtful label can be read but looks like something else: the other hand, degrees, coefficients, or another point.
Numbers alone seldom prove such a mistake, so a doubt is a warning that says what the numbers look like.
"""

import math
import multiprocessing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial import KDTree
from torch import Tensor

from warpgrasp.data.recording.annotations import ANNOTATIONS_FILE as FILE
from warpgrasp.data.recording.annotations import LARGEST_DISTANCE_M, HandJoints, HandParameters, Label, Use
from warpgrasp.data.recording.files import Recording
from warpgrasp.errors import DataError
from warpgrasp.frame import Annotation, ObjectModel, Pose, pose_points
from warpgrasp.geometry import axis_angle_from_matrix, matrix_from_axis_angle, mirrored_axis_angle, mirrored_points
from warpgrasp.hand import HandFit, HandModel, Side, fit_cost, fit_hand, other_side, pose_cost, refusal, same_hand
from warpgrasp.progress import notice

LARGEST_HAND_M = 0.5  # from the wrist to a joint: twice a large hand


def pose_of_label(label: Label, hand: HandModel, model: ObjectModel, *, dtype: torch.dtype = torch.float32) -> Pose:
    """The pose of a label: one frame, in the precision of `dtype`.

    A hand given by its joints has the pose of the model that is fitted to them.
    """
    match label.hand:
        case HandParameters(pose, shape, translation):
            angles, shape, translation = (torch.from_numpy(array).to(dtype) for array in (pose, shape, translation))
            rotation, joint_angles = angles[:3], angles[3:]
            wrist = _rest_wrist(hand, shape) + translation
        case HandJoints():
            fit = fitted_hand(label.hand, hand)
            parts = fit.rotation[0], fit.pose[0], fit.shape, fit.joints[0, 0]
            rotation, joint_angles, shape, wrist = (part.to(dtype) for part in parts)
    hand_rotation = matrix_from_axis_angle(rotation)
    object_rotation, object_centre = object_pose(label, model)
    parts = object_rotation, object_centre, hand_rotation, wrist, joint_angles, shape
    return Pose(*(part.to(dtype)[None] for part in parts))


def label_of_pose(frame: int, pose: Pose, hand: HandModel, model: ObjectModel, *, use: Use = "train") -> Label:
    """The label of the frame of this number that has this pose, one frame: the inverse of `pose_of_label`."""
    hand_rotation = axis_angle_from_matrix(pose.hand_rotation[0])
    translation = pose.wrist[0] - _rest_wrist(hand, pose.shape[0])
    angles = torch.cat([hand_rotation, pose.joint_angles[0]])
    parameters = HandParameters(*(part.double().numpy() for part in (angles, pose.shape[0], translation)))
    object_rotation, object_centre = pose.object_rotation[0].double(), pose.object_centre[0].double()
    return Label(
        frame,
        parameters,
        axis_angle_from_matrix(object_rotation).numpy(),
        (object_centre - object_rotation @ model.centre_m.double()).numpy(),
        use,
    )


def object_pose(label: Label, model: ObjectModel) -> tuple[Float[Tensor, "3 3"], Float[Tensor, " 3"]]:
    """The object's rotation and the centre of its bounding box, in float64."""
    rotation = matrix_from_axis_angle(torch.from_numpy(label.object_rotation))
    return rotation, rotation @ model.centre_m.double() + torch.from_numpy(label.object_translation)


def annotation_of(recording: Recording, label: Label, hand: HandModel) -> Annotation:
    """Hand and object of a label, in camera space.

    Raises `DataError` when the label was made with another hand model, or shows nothing that the camera could see.
    """
    where = f"frame {label.frame} of {recording.folder / FILE}"
    match label.hand:
        case HandParameters():
            vertices, joints, hand_rotation = _posed(recording, label.hand, hand, where)
        case HandJoints():
            vertices, joints, hand_rotation = _fitted(label.hand, hand, recording.side, where)
    object_rotation, object_centre = object_pose(label, recording.object.model)
    _check(joints, object_centre, where)
    return Annotation(vertices, joints, object_rotation.float(), object_centre.float(), hand_rotation)


def check_labels(recording: Recording, labels: Sequence[Label], hand: HandModel) -> None:
    """Check labels of a recording, and print on the error stream what is doubtful about the first of them.

    Raises `DataError` as `annotation_of` does.
    """
    model, side = recording.object.model, recording.side
    of_both = recording.annotations.other is not None
    in_camera = [
        LabelInCamera(label, annotation_of(recording, label, hand), model, hand, side, of_both) for label in labels
    ]
    say_doubts(recording.folder / FILE, in_camera[:EXAMINED])


def fitted_hand(stated: HandJoints, hand: HandModel) -> HandFit:
    """The hand model fitted to one label's joints."""
    return fit_hand(hand, torch.from_numpy(stated.joints).float()[None])


def _rest_wrist(hand: HandModel, shape: Float[Tensor, " s"]) -> Float[Tensor, " 3"]:
    """The wrist in the rest pose; in float32 it is exactly what the model computes."""
    if shape.dtype == torch.float64:
        return torch.from_numpy(hand.template.rest_wrist(shape.numpy()))
    with torch.no_grad():
        return hand(shape.new_zeros(1, 3), shape.new_zeros(1, 45), shape[None]).joints[0, 0]


def _posed(
    recording: Recording, parameters: HandParameters, hand: HandModel, where: str
) -> tuple[Float[Tensor, "v 3"], Float[Tensor, "21 3"], Float[Tensor, "3 3"]]:
    stated = recording.annotations.hand_model
    if not same_hand(str(stated), hand.template.name):
        raise DataError(
            f"expected the hand model that {recording.folder / FILE} names ({stated}), got {hand.template.name}; "
            f"choose it by --hand open|mano"
        )
    if len(parameters.shape) != hand.shape_count:
        raise DataError(
            f"expected {hand.shape_count} shape parameters of {hand.template.name} in {where}, "
            f"found {len(parameters.shape)}"
        )
    pose, shape, translation = (
        torch.from_numpy(array).float() for array in (parameters.pose, parameters.shape, parameters.translation)
    )
    with torch.no_grad():
        posed = hand(pose[None, :3], pose[None, 3:], shape[None])
    return posed.vertices[0] + translation, posed.joints[0] + translation, matrix_from_axis_angle(pose[:3])


def _fitted(
    stated: HandJoints, hand: HandModel, side: Side, where: str
) -> tuple[Float[Tensor, "v 3"], Float[Tensor, "21 3"], Float[Tensor, "3 3"]]:
    """The hand model fitted to the joints of one label. No other label has a part in it, since some may be held out.

    The joints are the stated ones; surface and rotation are the fit's.
    """
    fit = fitted_hand(stated, hand)
    reason = refusal(fit.residual_m[0], fit.shape)
    if reason is not None:
        raise DataError(
            f"expected 21 joints of a hand, by name and in metres, in {where}, found {reason}; "
            f"{_likely_reason(stated, hand, side)}"
        )
    return fit.vertices[0], torch.from_numpy(stated.joints).float(), matrix_from_axis_angle(fit.rotation[0])


def _likely_reason(stated: HandJoints, hand: HandModel, side: Side) -> str:
    if fits_other_hand(torch.from_numpy(stated.joints), hand):
        other = other_side(side)
        return f"they are those of a {other} hand: {_as_of(other)}"
    return "does each joint carry its own name?"


def _check(joints: Float[Tensor, "21 3"], object_centre: Float[Tensor, " 3"], where: str) -> None:
    reach = (joints - joints[0]).norm(dim=-1).max()
    if not reach < LARGEST_HAND_M:
        raise DataError(f"expected a hand in metres in {where}, found one that reaches {reach:g} m")
    if not (0 < object_centre[2] < LARGEST_DISTANCE_M and 0 < joints[:, 2].mean() < LARGEST_DISTANCE_M):
        raise DataError(
            f"expected hand and object in front of the camera, in metres, in {where}, found them at depths of "
            f"{joints[:, 2].mean():g} and {object_centre[2]:g}"
        )


# The other hand is named when it explains the numbers this much better (natural logarithm of the probability). Measured
# with the open hand: for poses drawn from its own distribution, with 0 to 6 mm of noise on the joints, the hand that is
# stated is better by 28 and more; a flat hand of the other side, the hardest to tell, worse by 29.
LEAST_EVIDENCE = 10.0
# Improbabilities of 45 joint angles: drawn from the open hand's own distribution at most 12 (twice as wide 32), all
# joints bent by 1.5 rad 369, coefficients of principal components taken for angles 920 and more.
LARGEST_POSE_COST = 600.0
LARGEST_BEND_RAD = math.pi  # of a finger's joint
LARGEST_TURN_RAD = 3.5  # of a whole hand or object: beyond a half turn a shorter rotation is the same
APART_M, NEAR_M = 0.3, 0.02  # from a hand to the object that it is about to hold, or holds
SUSPECT_M = 0.1
EXAMINED = 8  # labels of a recording that are looked at when it is read; hands may have to be fitted for each
POINTS = 5000  # of the object, by which the distance is measured


@dataclass(frozen=True)
class LabelInCamera:
    """A label with what it means: hand and object in camera space, and their models."""

    label: Label
    annotation: Annotation
    object: ObjectModel
    hand: HandModel
    side: Side
    of_both: bool = False  # whether the recording shows both hands, of which one may rest far from the object


def doubts(labels: Sequence[LabelInCamera]) -> Iterator[str]:
    """A line for each kind of doubt about some labels: how many it concerns, and the reason at the first of them."""
    for doubt in (_side_doubt, _bend_doubt, _turn_doubt, _distance_doubt):
        doubted = [(label.label.frame, text) for label in labels if (text := doubt(label)) is not None]
        if doubted:
            frame, text = doubted[0]
            yield f"{len(doubted)} of {len(labels)} labels look wrong, the first frame {frame}: {text}"


def say_doubts(path: Path, labels: Sequence[LabelInCamera]) -> bool:
    """Print the doubts about some labels of the file `path` to the error stream, and return whether there are any.

    Nothing is printed, and False returned, in the worker processes that read data.
    """
    lines = [] if multiprocessing.parent_process() is not None else list(doubts(labels))
    for line in lines:
        notice(f"warning: {path}: {line}; `warpgrasp doctor` checks all labels")
    return bool(lines)


def _as_of(side: Side) -> str:
    """How the file says whose hand a label is."""
    return f'write "side": "{side}" in {FILE} or, where that is of both hands, "{side}" in the frame\'s "hands"'


def fits_other_hand(joints: Float[Tensor, "21 3"], hand: HandModel) -> bool:
    """Whether 21 joints (metres) fit the other hand clearly better than this one."""
    stated, mirrored = joints[None].float(), mirrored_points(joints[None].float())
    fit = fit_hand(hand, mirrored)
    if refusal(fit.residual_m[0], fit.shape) is not None:
        return False
    evidence = fit_cost(hand, fit_hand(hand, stated), stated) - fit_cost(hand, fit, mirrored)
    return evidence > LEAST_EVIDENCE


def _side_doubt(label: LabelInCamera) -> str | None:
    match label.label.hand:
        case HandJoints(joints):
            is_other, numbers = fits_other_hand(torch.from_numpy(joints), label.hand), "its 21 joints are"
        case HandParameters(pose):
            angles = torch.from_numpy(pose[3:]).double()
            mirrored = mirrored_axis_angle(angles.unflatten(0, (-1, 3))).flatten()
            evidence = pose_cost(label.hand, angles) - pose_cost(label.hand, mirrored)
            is_other, numbers = evidence > LEAST_EVIDENCE, "its fingers bend like"
    other = other_side(label.side)
    if not is_other:
        return None
    return f"{numbers} those of a {other} hand; for a {other} hand {_as_of(other)}"


def _bend_doubt(label: LabelInCamera) -> str | None:
    if not isinstance(label.label.hand, HandParameters):
        return None
    angles = label.label.hand.pose[3:]
    bend_rad = float(np.linalg.norm(angles.reshape(-1, 3), axis=1).max())
    if bend_rad < LARGEST_BEND_RAD and pose_cost(label.hand, torch.from_numpy(angles).double()) < LARGEST_POSE_COST:
        return None
    return (
        f"no hand bends its fingers so (by up to {bend_rad:.1f} rad); are the 45 numbers after the first three of its "
        f"pose degrees, or coefficients of principal components? Axis-angle vectors in radians are wanted"
    )


def _turn_doubt(label: LabelInCamera) -> str | None:
    rotations = {"object": label.label.object_rotation}
    if isinstance(label.label.hand, HandParameters):
        rotations["hand"] = label.label.hand.pose[:3]
    for name, rotation in rotations.items():
        turn_rad = float(np.linalg.norm(rotation))
        if turn_rad > LARGEST_TURN_RAD:
            return f"its {name} is turned by {turn_rad:.2f} rad, more than a half turn; are these degrees?"
    return None


def _distance_doubt(label: LabelInCamera) -> str | None:
    annotation, model = label.annotation, label.object
    step = -(-len(model.vertices) // POINTS)
    vertices = pose_points(annotation.object_rotation, annotation.object_translation, model.vertices[::step])
    hand = KDTree(annotation.hand_vertices.numpy())

    def gap_m(points: Float[Tensor, "n 3"]) -> float:
        return float(hand.query(points.numpy())[0].min())

    apart_m = gap_m(vertices)
    # With the translation taken for the place of the box's centre instead of the mesh file's origin.
    centred_m = gap_m(vertices - annotation.object_rotation @ model.centre_m)
    if apart_m > SUSPECT_M and centred_m < NEAR_M:
        return (
            f"its object lies {1000 * apart_m:.0f} mm from the hand, but {1000 * centred_m:.0f} mm if the translation "
            f"were that of the centre of the mesh; it is that of the mesh file's own origin"
        )
    if apart_m > APART_M and not label.of_both:
        return (
            f"its object lies {1000 * apart_m:.0f} mm from the hand; are both in metres, in the same camera, and the "
            f"object's translation that of the mesh file's own origin?"
        )
    return None
