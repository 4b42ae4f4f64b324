"""Left hands from a network of right ones: the picture is mirrored, and what is predicted of it is mirrored back."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float
from torch import Tensor

from warpgrasp.data.mirror import MIRROR, mirrored_points, mirrored_rotation
from warpgrasp.inference.finishing import PosedHand
from warpgrasp.inference.predictions import Predictions


def as_left_hands(predictions: Predictions, reflections: Float[np.ndarray, "n 3"]) -> Predictions:
    """What the pictures show of which these are the predictions of the mirror images.

    `reflections` are the signs S of each frame's object: the rotation R of what the network was shown becomes M R S,
    that of the object itself (see `objects.SeenObject`). Pose coefficients and shape stay: they are those of the
    mirrored hand model.
    """
    mirror = np.array(MIRROR, np.float32)
    return replace(
        predictions,
        hand_vertices=predictions.hand_vertices * mirror,
        hand_joints=predictions.hand_joints * mirror,
        hand_rotation=mirror[:, None] * predictions.hand_rotation * mirror,
        hand_translation=predictions.hand_translation * mirror,
        object_rotation=mirror[:, None] * predictions.object_rotation * reflections[:, None].astype(np.float32),
        object_translation=predictions.object_translation * mirror,
    )


def left_posed_hand(right: PosedHand) -> PosedHand:
    """The left hand of parameters, by the right hand's model."""

    def posed(rotation: Tensor, translation: Tensor, pose: Tensor, shape: Tensor) -> tuple[Tensor, Tensor]:
        vertices, joints = right(mirrored_rotation(rotation), mirrored_points(translation), pose, shape)
        return mirrored_points(vertices), mirrored_points(joints)

    return posed
