"""From a label as it is written to hand and object in camera space."""

import torch
from jaxtyping import Float
from torch import Tensor

from warpgrasp.data.recording.annotations import ANNOTATIONS_FILE as FILE
from warpgrasp.data.recording.annotations import LARGEST_DISTANCE_M, HandJoints, HandParameters, Label
from warpgrasp.data.recording.files import Recording
from warpgrasp.errors import DataError
from warpgrasp.frame import Annotation
from warpgrasp.geometry import matrix_from_axis_angle
from warpgrasp.hand import HandFit, HandModel, fit_hand, refusal, same_hand

LARGEST_HAND_M = 0.5  # from the wrist to a joint: twice a large hand


def annotation_of(recording: Recording, label: Label, hand: HandModel) -> Annotation:
    """Hand and object of a label, in camera space.

    Raises `DataError` when the label was made with another hand model, or is of nothing that a camera sees.
    """
    where = f"frame {label.frame} of {recording.folder / FILE}"
    match label.hand:
        case HandParameters():
            vertices, joints, hand_rotation = _posed(recording, label.hand, hand, where)
        case HandJoints():
            vertices, joints, hand_rotation = _fitted(label.hand, hand, where)
    rotation = matrix_from_axis_angle(torch.from_numpy(label.object_rotation))
    centre = rotation @ recording.object.model.centre_m.double() + torch.from_numpy(label.object_translation)
    _check(joints, centre, where)
    return Annotation(vertices, joints, rotation.float(), centre.float(), hand_rotation)


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
    stated: HandJoints, hand: HandModel, where: str
) -> tuple[Float[Tensor, "v 3"], Float[Tensor, "21 3"], Float[Tensor, "3 3"]]:
    """The hand model fitted to the joints of one label, alone: no other label, held out perhaps, has a part in it.

    The joints stay the stated ones; surface and rotation are the fit's.
    """
    fit = fitted_hand(stated, hand)
    found = refusal(fit.residual_m[0], fit.shape)
    if found is not None:
        raise DataError(
            f"expected 21 joints of a hand, by name and in metres, in {where}, found {found}; "
            f"does each joint carry its own name?"
        )
    return fit.vertices[0], torch.from_numpy(stated.joints).float(), matrix_from_axis_angle(fit.rotation[0])


def fitted_hand(stated: HandJoints, hand: HandModel) -> HandFit:
    """The hand model fitted to one label's joints."""
    return fit_hand(hand, torch.from_numpy(stated.joints).float()[None])


def _check(joints: Float[Tensor, "21 3"], object_centre: Float[Tensor, " 3"], where: str) -> None:
    reach = (joints - joints[0]).norm(dim=-1).max()
    if not reach < LARGEST_HAND_M:
        raise DataError(f"expected a hand in metres in {where}, found one that reaches {reach:g} m")
    if not (0 < object_centre[2] < LARGEST_DISTANCE_M and 0 < joints[:, 2].mean() < LARGEST_DISTANCE_M):
        raise DataError(
            f"expected hand and object in front of the camera, in metres, in {where}, found them at depths of "
            f"{joints[:, 2].mean():g} and {object_centre[2]:g}"
        )
