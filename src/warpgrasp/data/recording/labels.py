"""Labels and poses: hand and object of a label in camera space, its `Pose`, and the label of a `Pose`."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from warpgrasp.data.recording.annotations import ANNOTATIONS_FILE as FILE
from warpgrasp.data.recording.annotations import LARGEST_DISTANCE_M, HandJoints, HandParameters, Label, Use
from warpgrasp.data.recording.doubts import EXAMINED, LabelInCamera, fits_other_hand, other_side, say_doubts
from warpgrasp.data.recording.files import Recording
from warpgrasp.errors import DataError
from warpgrasp.frame import Annotation, ObjectModel, Pose
from warpgrasp.geometry import axis_angle_from_matrix, matrix_from_axis_angle
from warpgrasp.hand import HandFit, HandModel, Side, fit_hand, refusal, same_hand

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
    object_rotation, object_centre = _object_pose(label, model)
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


def annotation_of(recording: Recording, label: Label, hand: HandModel) -> Annotation:
    """Hand and object of a label, in camera space.

    Raises `DataError` when the label was made with another hand model, or is of nothing that a camera sees.
    """
    where = f"frame {label.frame} of {recording.folder / FILE}"
    match label.hand:
        case HandParameters():
            vertices, joints, hand_rotation = _posed(recording, label.hand, hand, where)
        case HandJoints():
            vertices, joints, hand_rotation = _fitted(label.hand, hand, recording.side, where)
    object_rotation, object_centre = _object_pose(label, recording.object.model)
    _check(joints, object_centre, where)
    return Annotation(vertices, joints, object_rotation.float(), object_centre.float(), hand_rotation)


def check_labels(recording: Recording, labels: Sequence[Label], hand: HandModel) -> None:
    """Check labels of a recording, and say on the error stream what is doubtful about the first of them.

    Raises `DataError` as `annotation_of` does.
    """
    model, side = recording.object.model, recording.side
    in_camera = [LabelInCamera(label, annotation_of(recording, label, hand), model, hand, side) for label in labels]
    say_doubts(recording.folder / FILE, in_camera[:EXAMINED])


def fitted_hand(stated: HandJoints, hand: HandModel) -> HandFit:
    """The hand model fitted to one label's joints."""
    return fit_hand(hand, torch.from_numpy(stated.joints).float()[None])


def _object_pose(label: Label, model: ObjectModel) -> tuple[Float[Tensor, "3 3"], Float[Tensor, " 3"]]:
    """The object's rotation and the centre of its bounding box, in float64."""
    rotation = matrix_from_axis_angle(torch.from_numpy(label.object_rotation))
    return rotation, rotation @ model.centre_m.double() + torch.from_numpy(label.object_translation)


def _rest_wrist(hand: HandModel, shape: Float[Tensor, " s"]) -> Float[Tensor, " 3"]:
    """The wrist of a hand that is not moved; in float32 exactly where the model puts it."""
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
    """The hand model fitted to the joints of one label, alone: no other label, held out perhaps, has a part in it.

    The joints stay the stated ones; surface and rotation are the fit's.
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
        return f'they are those of a {other} hand: write "side": "{other}" in {FILE}'
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
