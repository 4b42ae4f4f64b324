"""Rows of a predictions file as poses, and poses as rows of a predictions file."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from warpgrasp.frame import ObjectModel, Pose
from warpgrasp.geometry import Camera
from warpgrasp.hand import JOINTS, PLACEMENT_JOINT, HandModel
from warpgrasp.predictions.file import Predictions, PredictionsError
from warpgrasp.predictions.postprocessing import finite, share_in_view
from warpgrasp.scene import posed_hand, posed_object

WRIST = JOINTS.index("wrist")
FARTHEST_M = 1e6  # that anything lies from the camera
ROUNDED_M = 1e-6  # as far as stored vertices lie beside those of their own parameters, for their digits


def pose_of_predictions(predictions: Predictions, hand: HandModel) -> Pose:
    """The poses of predicted frames, in float32; `hand` is the model of the predicted hand, right or left.

    The wrist is the predicted joint where that poses the hand model's vertices where the predicted ones are. The joints
    of a network that has learned another skeleton are not the model's: then it is the wrist that does. Raises
    `PredictionsError` when they are of a hand of other sizes.
    """
    check_hand_sizes(predictions, hand)

    def tensor(values: np.ndarray) -> Tensor:
        return torch.from_numpy(np.array(values)).float()

    pose = Pose(
        tensor(predictions.object_rotation),
        tensor(predictions.object_translation),
        tensor(predictions.hand_rotation),
        tensor(predictions.hand_joints[:, WRIST]),
        hand.pose_from_coefficients(tensor(predictions.hand_pose)),
        tensor(predictions.hand_shape),
    )
    with torch.no_grad():
        vertices, _ = posed_hand(pose, hand)
    beside = (tensor(predictions.hand_vertices) - vertices).mean(dim=1)
    # What float32 rounds stays as it is stored, to the last digit.
    is_beside = beside.norm(dim=-1, keepdim=True) > ROUNDED_M
    return replace(pose, wrist=torch.where(is_beside, pose.wrist + beside, pose.wrist))


def check_hand_sizes(predictions: Predictions, hand: HandModel) -> None:
    """Raise `PredictionsError` unless predictions have as many vertices and parameters as a hand model has."""
    sizes = [values.shape[1] for values in (predictions.hand_vertices, predictions.hand_pose, predictions.hand_shape)]
    vertices, components, shape = len(hand.template_vertices), len(hand.pose_components), hand.shape_count
    if sizes[0] != vertices or sizes[1] > components or sizes[2] != shape:
        raise PredictionsError(
            f"expected predictions of the hand {hand.template.name} ({vertices} vertices, up to {components} pose "
            f"coefficients, {shape} shape parameters), found {sizes[0]}, {sizes[1]} and {sizes[2]}"
        )


def check_frames(predictions: Predictions, rows: Int[np.ndarray, " n"], path: Path) -> None:
    """Raise `PredictionsError` unless frames that no flag calls not finite are so, near, and one after the other.

    `rows` are those of one sequence, by ascending number. Vertices, which are the most, are looked at when they are
    read (`check_places`).
    """
    if not finite(predictions)[rows].all():
        raise PredictionsError(f"expected finite numbers in the frames of {path} that are not flagged, found others")
    for points in (predictions.hand_joints, predictions.hand_translation, predictions.object_translation):
        check_places(points[rows])
    times_s = predictions.time_s
    if times_s is not None and (np.diff(times_s[rows]) <= 0).any():  # unknown ones are NaN
        raise PredictionsError(f"expected each frame in {path} after the one before it, found times that do not ascend")


def check_places(points: Float[Tensor | np.ndarray, "*n 3"]) -> None:
    """Raise `PredictionsError` when points of a frame that is shown are not finite, or far from everything."""
    if not (abs(points) <= FARTHEST_M).all():
        raise PredictionsError(
            f"expected predictions within {FARTHEST_M / 1000:g} km of the camera, found some beyond, or that are not "
            f"finite, in frames that are not flagged so"
        )


def coefficients_of_angles(joint_angles: Float[Tensor, "n 45"], hand: HandModel) -> Float[Tensor, "n c"]:
    """The coefficients of all components of the pose space: the inverse of `pose_from_coefficients`."""
    components = torch.linalg.pinv(hand.pose_components.double())
    return ((joint_angles - hand.mean_pose).double() @ components).to(joint_angles)


def predictions_of_pose(
    pose: Pose,
    *,
    sequence: str,
    indices: Sequence[int],
    times_s: Float[np.ndarray, " n"],
    hand: HandModel,
    model: ObjectModel,
    camera: Camera,
) -> Predictions:
    """The predictions of n frames of one sequence that have these poses: the inverse of `pose_of_predictions`.

    `hand` and `model` are the hand and the object that are posed, `camera` is the camera of one frame.
    """
    with torch.no_grad():
        hand_vertices, hand_joints = posed_hand(pose, hand)
        object_vertices = posed_object(pose, model)
    cameras = Camera(camera.intrinsics.float().expand(len(pose), 3, 3), camera.width, camera.height)

    def array(values: Tensor) -> np.ndarray:
        return values.float().numpy()

    return Predictions(
        sequence=np.array([sequence] * len(pose)),
        index=np.array(indices),
        object_name=np.array([model.name] * len(pose)),
        hand_vertices=array(hand_vertices),
        hand_joints=array(hand_joints),
        hand_rotation=array(pose.hand_rotation),
        hand_translation=array(hand_joints[:, PLACEMENT_JOINT]),
        hand_pose=array(coefficients_of_angles(pose.joint_angles, hand)),
        hand_shape=array(pose.shape),
        object_rotation=array(pose.object_rotation),
        object_translation=array(pose.object_centre),
        time_s=times_s,
        hand_in_view=array(share_in_view(hand_vertices, cameras)),
        object_in_view=array(share_in_view(object_vertices, cameras)),
    )
