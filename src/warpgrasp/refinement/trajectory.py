"""Hand and object over the frames of a recording, by what moves: rotations, places, and the angles of the joints."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.spatial.transform import Rotation, Slerp
from torch import Tensor

from warpgrasp.data.recording import HandJoints, HandParameters, Label, fitted_hand
from warpgrasp.frame import ObjectModel, pose_points
from warpgrasp.geometry import axis_angle_from_matrix, matrix_from_axis_angle
from warpgrasp.hand import HandModel


@dataclass(frozen=True)
class Trajectory:
    """n frames, in camera space and metres: the object about its box's centre, the hand about its wrist."""

    object_rotation: Float[Tensor, "n 3 3"]
    object_centre: Float[Tensor, "n 3"]
    hand_rotation: Float[Tensor, "n 3 3"]
    wrist: Float[Tensor, "n 3"]
    angles: Float[Tensor, "n 45"]  # axis-angle, of the joints in the order of MANO_JOINTS
    shape: Float[Tensor, "n s"]

    def __len__(self) -> int:
        """How many frames these are."""
        return len(self.wrist)

    def rows(self, rows: slice | Int[Tensor, " m"]) -> "Trajectory":
        """Some of the frames."""
        return Trajectory(**{name: value[rows] for name, value in self.arrays.items()})

    @property
    def arrays(self) -> dict[str, Tensor]:
        """The fields by their names."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    @staticmethod
    def joined(parts: Sequence["Trajectory"]) -> "Trajectory":
        """One after the other."""
        names = [one.name for one in fields(Trajectory)]
        return Trajectory(**{name: torch.cat([getattr(part, name) for part in parts]) for name in names})

    def hand(self, model: HandModel) -> tuple[Float[Tensor, "n v 3"], Float[Tensor, "n 21 3"]]:
        """Surface and joints."""
        posed = model(torch.zeros_like(self.wrist), self.angles, self.shape)
        origin = posed.joints[:, :1]
        surface, joints = (
            pose_points(self.hand_rotation, self.wrist, points - origin) for points in (posed.vertices, posed.joints)
        )
        return surface, joints

    def object(self, model: ObjectModel) -> Float[Tensor, "n w 3"]:
        """The object's vertices."""
        return pose_points(self.object_rotation, self.object_centre, model.vertices.expand(len(self), -1, -1))


def of_label(label: Label, hand: HandModel, model: ObjectModel) -> Trajectory:
    """One frame, as its label says; a hand of which it names the joints is the one that is fitted to them."""
    match label.hand:
        case HandParameters(pose, shape, translation):
            arrays = pose[:3], pose[3:], shape, translation
            rotation, angles, betas, moved = (torch.from_numpy(array).float() for array in arrays)
        case HandJoints():
            fit = fitted_hand(label.hand, hand)
            rotation, angles, betas, moved = fit.rotation[0], fit.pose[0], fit.shape, fit.translation[0]
    with torch.no_grad():
        wrist = hand(rotation[None], angles[None], betas[None]).joints[0, 0] + moved
    turn = matrix_from_axis_angle(torch.from_numpy(label.object_rotation))
    centre = turn @ model.centre_m.double() + torch.from_numpy(label.object_translation)
    parts = turn.float(), centre.float(), matrix_from_axis_angle(rotation), wrist, angles, betas
    return Trajectory(*(part[None] for part in parts))


def label_of(frame: int, one: Trajectory, hand: HandModel, model: ObjectModel) -> Label:
    """The label of a frame, which is the one of `one`."""
    rotation = axis_angle_from_matrix(one.hand_rotation[0])
    with torch.no_grad():
        rest = hand(rotation[None], one.angles, one.shape).joints[0, 0]
    turn = one.object_rotation[0].double()
    return Label(
        frame,
        HandParameters(
            torch.cat([rotation, one.angles[0]]).double().numpy(),
            one.shape[0].double().numpy(),
            (one.wrist[0] - rest).double().numpy(),
        ),
        axis_angle_from_matrix(turn).numpy(),
        (one.object_centre[0].double() - turn @ model.centre_m.double()).numpy(),
    )


def between_labels(known: Mapping[int, Trajectory], count: int) -> Trajectory:
    """All of `count` frames, from some by their positions: between two of them evenly, beyond the last as the last.

    The hand has one shape in all frames that are not known: the mean of those that are.
    """
    positions = sorted(known)
    labels = Trajectory.joined([known[position] for position in positions])
    every = np.arange(count)
    inside = np.clip(every, positions[0], positions[-1])

    def numbers(values: Tensor) -> Tensor:
        flat = values.double().numpy()
        columns = [np.interp(every, positions, column) for column in flat.T]
        return torch.from_numpy(np.stack(columns, axis=-1)).float()

    def rotations(values: Float[Tensor, "k 3 3"]) -> Float[Tensor, "n 3 3"]:
        if len(positions) == 1:
            return values.expand(count, -1, -1).clone()
        turns = Rotation.from_matrix(values.double().numpy())
        return torch.from_numpy(Slerp(positions, turns)(inside).as_matrix()).float()

    shape = labels.shape.mean(dim=0).expand(count, -1).clone()
    shape[positions] = labels.shape
    return Trajectory(
        rotations(labels.object_rotation),
        numbers(labels.object_centre),
        rotations(labels.hand_rotation),
        numbers(labels.wrist),
        numbers(labels.angles),
        shape,
    )
