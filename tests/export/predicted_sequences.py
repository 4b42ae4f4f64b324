"""Sequences of known poses, without a network."""

import numpy as np
import torch
from torch import Tensor

from tests.footage_files import BOX_FACES, BOX_M
from warpgrasp.export.sequence import Pictures, PredictedSequence
from warpgrasp.frame import ObjectModel
from warpgrasp.geometry.camera import Camera
from warpgrasp.geometry.rotation import matrix_from_axis_angle
from warpgrasp.hand.model import PLACEMENT_JOINT, HandModel
from warpgrasp.predictions.file import Predictions


def sequence_of(
    hand: HandModel, predictions: Predictions, *, pictures: Pictures | None = None, camera: Camera | None = None
) -> PredictedSequence:
    """The predictions as a sequence that shows the box."""
    model = ObjectModel.centred("box", torch.tensor(BOX_M).float(), torch.tensor(BOX_FACES))
    return PredictedSequence("A", predictions, np.arange(len(predictions)), hand, model, pictures, camera)


def predictions_by(hand: HandModel, *, count: int = 3) -> Predictions:
    """Random poses and shapes of a hand model, in camera space."""
    generator = torch.Generator().manual_seed(4)

    def random(*shape: int) -> Tensor:
        return torch.randn(count, *shape, generator=generator)

    coefficients = 0.6 * random(min(15, len(hand.pose_components)))
    shape, turns, places = random(hand.shape_count), random(2, 3), 0.1 * random(2, 3) + torch.tensor([0, 0, 0.6])
    with torch.no_grad():
        posed = hand(torch.zeros(count, 3), hand.pose_from_coefficients(coefficients), shape)
    rotations = matrix_from_axis_angle(turns)
    origin = posed.joints[:, PLACEMENT_JOINT, None]
    vertices, joints = (
        (points - origin) @ rotations[:, 0].mT + places[:, :1] for points in (posed.vertices, posed.joints)
    )
    arrays = {
        "hand_vertices": vertices,
        "hand_joints": joints,
        "hand_rotation": rotations[:, 0],
        "hand_translation": places[:, 0],
        "hand_pose": coefficients,
        "hand_shape": shape,
        "object_rotation": rotations[:, 1],
        "object_translation": places[:, 1],
    }
    names = {"sequence": np.array(["A"] * count), "object_name": np.array(["box"] * count)}
    return Predictions(index=np.arange(count), **names, **{name: one.numpy() for name, one in arrays.items()})
