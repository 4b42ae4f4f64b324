"""What a recording's labels say of all other frames. Between labels there are poses, and what is held goes along."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.spatial.transform import Rotation, Slerp
from torch import Tensor

from warpgrasp.data.recording import Recording, check_labels, pose_of_label
from warpgrasp.errors import UserError
from warpgrasp.frame import ObjectModel, Pose
from warpgrasp.geometry import Solid, Surface, Symmetry
from warpgrasp.hand import HandModel, same_hand
from warpgrasp.predictions import Predictions, pose_of_predictions
from warpgrasp.scene import posed_hand

TOUCH_M = 0.005  # a hand nearer than this to the object holds it: labels are not truer
SLID_M, ROLLED_RAD = 0.01, 0.1  # of the object in the hand: costs 1, and farther away as the logarithm does


class DensifyError(UserError):
    """A recording's labels cannot be carried to its other frames."""


def labelled_poses(recording: Recording, hand: HandModel) -> dict[int, Pose]:
    """The poses of the labels that may be used, by their positions.

    Where the object looks the same turned, each label is the pose that looks alike and is nearest to the label before.
    """
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
    model = recording.object.model
    poses = {position: pose_of_label(label, hand, model) for position, label in sorted(usable.items())}
    if model.symmetry is None:
        return poses
    rotations = model.symmetry.continuous(torch.cat([pose.object_rotation for pose in poses.values()]))
    return {
        position: replace(pose, object_rotation=rotation[None])
        for (position, pose), rotation in zip(poses.items(), rotations, strict=True)
    }


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
    predictions: Predictions,
    labels: Mapping[int, Pose],
    numbers: Sequence[int],
    hand: HandModel,
    *,
    symmetry: Symmetry | None = None,
) -> Pose:
    """The poses of predictions in the recording's order, the labelled frames' replaced by their labels'.

    The hand has one shape in all other frames: the mean of the labels', which say more of it. An object that looks the
    same turned is turned as is nearest to the nearest label.
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
    if symmetry is not None:
        positions = np.array(sorted(labels))
        nearest = positions[np.abs(np.arange(len(numbers))[:, None] - positions).argmin(axis=1)]
        of_labels = torch.cat([labels[position].object_rotation for position in nearest.tolist()])
        pose = replace(pose, object_rotation=symmetry.nearest(pose.object_rotation, of_labels.to(pose.wrist)))
    for position, label in labels.items():
        for name, values in pose.arrays.items():
            values[position] = label.arrays[name][0]
    return pose


@dataclass(frozen=True)
class HeldObject:
    """How the object lies in the hand in n frames, as the labels nearest to them say."""

    rotation: Float[Tensor, "n 3 3"]  # hand_from_object
    centre: Float[Tensor, "n 3"]  # of the object, from the wrist, in the axes of the hand
    held: Bool[Tensor, " n"]  # False where the nearest label shows no touch: nothing is known then
    labelled: Bool[Tensor, " n"]

    @staticmethod
    def of(
        labels: Mapping[int, Pose], times: Float[np.ndarray, " n"], hand: HandModel, model: ObjectModel
    ) -> "HeldObject":
        """The grasps of labels by their positions; between two in a row that hold, one passes evenly into the other."""
        positions = sorted(labels)
        nearest = np.abs(times[:, None] - times[positions]).argmin(axis=1)
        solid = solid_of(model)
        touches = [distance_to_hand_m(labels[position], hand, solid) < TOUCH_M for position in positions]
        in_hand = between_labels({position: _in_hand(labels[position]) for position in positions}, times)
        rotation, centre = in_hand.object_rotation, in_hand.object_centre
        for holds, rows in groupby(range(len(positions)), key=lambda row: touches[row]):
            together = list(rows)
            if holds and len(together) < len(positions):
                some = between_labels({positions[row]: _in_hand(labels[positions[row]]) for row in together}, times)
                frames = torch.from_numpy(np.isin(nearest, together))
                rotation[frames], centre[frames] = some.object_rotation[frames], some.object_centre[frames]
        labelled = torch.zeros(len(times), dtype=torch.bool)
        labelled[positions] = True
        return HeldObject(rotation, centre, torch.tensor(touches)[nearest], labelled)

    def rows(self, rows: slice) -> "HeldObject":
        """Some of the frames."""
        return HeldObject(self.rotation[rows], self.centre[rows], self.held[rows], self.labelled[rows])

    def carried(self, poses: Pose) -> Pose:
        """The poses with the object in the hand where it is held; labels stay, to the last digit."""
        moved = self.held & ~self.labelled
        in_hand = _with_object(poses, self.rotation.to(poses.wrist), self.centre.to(poses.wrist))
        return replace(
            poses,
            object_rotation=torch.where(moved[:, None, None], in_hand.object_rotation, poses.object_rotation),
            object_centre=torch.where(moved[:, None], in_hand.object_centre, poses.object_centre),
        )

    def cost(self, poses: Pose) -> Float[Tensor, " n"]:
        """What it costs that the object has slid and rolled in the hand; 0 where it is not held."""
        found = _in_hand(poses)
        slid = (found.object_centre - self.centre.to(poses.wrist)).square().sum(dim=1) / SLID_M**2
        # A small turn shows twice in the nine numbers of its matrix.
        rolled = (found.object_rotation - self.rotation.to(poses.wrist)).square().sum(dim=(1, 2)) / 2 / ROLLED_RAD**2
        return torch.where(self.held, torch.log1p(slid + rolled), 0)


def _in_hand(pose: Pose) -> Pose:
    """The same pose with that of the object about the wrist, in the axes of the hand."""
    hand_from_camera = pose.hand_rotation.transpose(-1, -2)
    centre = (hand_from_camera @ (pose.object_centre - pose.wrist)[..., None])[..., 0]
    return replace(pose, object_rotation=hand_from_camera @ pose.object_rotation, object_centre=centre)


def _with_object(hands: Pose, rotation: Float[Tensor, "n 3 3"], centre: Float[Tensor, "n 3"]) -> Pose:
    """The poses with the object where it lies in the hands: the inverse of `_in_hand`."""
    placed = hands.wrist + (hands.hand_rotation @ centre[..., None])[..., 0]
    return replace(hands, object_rotation=hands.hand_rotation @ rotation, object_centre=placed)


def carried(held: Pose, hand: Pose) -> Pose:
    """The pose of a hand with the object in it as in another pose."""
    lying = _in_hand(held)
    return _with_object(hand, lying.object_rotation, lying.object_centre)


def solid_of(model: ObjectModel) -> Solid:
    """An object's surface, to measure distances from."""
    return Solid(Surface(model.vertices.double().numpy(), model.faces.numpy()))


@torch.no_grad()
def distance_to_hand_m(pose: Pose, hand: HandModel, solid: Solid) -> float:
    """How far the nearest vertex of the hand of one pose is from the surface of the object."""
    vertices, _ = posed_hand(pose, hand)
    of_object = (vertices[0] - pose.object_centre) @ pose.object_rotation[0]
    return float(solid.distance(of_object.double().numpy()).min())
