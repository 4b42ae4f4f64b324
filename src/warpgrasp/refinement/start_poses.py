"""The poses from which the refinement of a recording starts: those of its labels, and between them."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial.transform import Rotation, Slerp
from torch import Tensor

from warpgrasp.data.recording import (
    Recording,
    check_labels,
    pose_of_label,
)
from warpgrasp.errors import UserError
from warpgrasp.frame import Pose
from warpgrasp.hand import HandModel, same_hand
from warpgrasp.predictions import (
    Predictions,
    pose_of_predictions,
)


class DensifyError(UserError):
    """A recording's labels cannot be carried to its other frames."""


def labelled_poses(recording: Recording, hand: HandModel) -> dict[int, Pose]:
    """The poses of the labels that may be used, by their positions."""
    stated = recording.annotations.hand_model
    usable = {
        position: recording.labels[number]
        for position, number in enumerate(recording.footage.numbers)
        if number in recording.labels and recording.labels[number].use == "train"
    }
    if not usable:
        raise DensifyError(
            f"expected labels to start from in {recording.folder}, found none; label a few frames by "
            f"`warpgrasp annotate {recording.folder}`"
        )
    if stated is not None and not same_hand(stated, hand.template.name):
        raise DensifyError(
            f"expected the hand model that the labels name ({stated}), got {hand.template.name}; choose it by --hand"
        )
    check_labels(recording, list(usable.values()), hand)
    return {position: pose_of_label(label, hand, recording.object.model) for position, label in usable.items()}


def between_labels(labels: Mapping[int, Pose], times: Float[np.ndarray, " n"]) -> Pose:
    """The poses of all frames, which are taken at `times` of any unit, from the labelled ones, by their positions.

    Between two labels the motion is even in time, before the first and beyond the last there is none. The hand has one
    shape in all frames without a label: the mean of the labels'.
    """
    positions = sorted(labels)
    labelled, labelled_times = Pose.joined([labels[position] for position in positions]), times[positions]
    inside = np.clip(times, labelled_times[0], labelled_times[-1])

    def numbers(values: Float[Tensor, "k c"]) -> Float[Tensor, "n c"]:
        columns = [np.interp(times, labelled_times, column) for column in values.double().numpy().T]
        return torch.from_numpy(np.stack(columns, axis=-1)).float()

    def rotations(values: Float[Tensor, "k 3 3"]) -> Float[Tensor, "n 3 3"]:
        if len(positions) == 1:
            return values.expand(len(times), -1, -1).clone()
        turns = Rotation.from_matrix(values.double().numpy())
        return torch.from_numpy(Slerp(labelled_times, turns)(inside).as_matrix()).float()

    shape = labelled.shape.mean(dim=0).expand(len(times), -1).clone()
    shape[positions] = labelled.shape
    return Pose(
        rotations(labelled.object_rotation),
        numbers(labelled.object_centre),
        rotations(labelled.hand_rotation),
        numbers(labelled.wrist),
        numbers(labelled.joint_angles),
        shape,
    )


def poses_of_predictions(
    predictions: Predictions, labels: Mapping[int, Pose], numbers: Sequence[int], hand: HandModel
) -> Pose:
    """The poses of predictions in the recording's order, the labelled frames' replaced by their labels'.

    The hand has one shape in all other frames: the mean of the labels', which say more of it.
    """
    row_of = {int(index): row for row, index in enumerate(predictions.index)}
    missing = [number for number in numbers if number not in row_of]
    if missing:
        raise DensifyError(
            f"expected predictions of every frame to start from, missing {len(missing)}, the first frame {missing[0]}; "
            f"predict them by `warpgrasp predict --split all`"
        )
    pose = pose_of_predictions(predictions.rows(np.array([row_of[number] for number in numbers])), hand)
    pose.shape[:] = torch.cat([label.shape for label in labels.values()]).mean(dim=0)
    for position, label in labels.items():
        for name, values in pose.arrays.items():
            values[position] = label.arrays[name][0]
    return pose
