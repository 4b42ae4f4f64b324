"""The hand of a take as a skinned mesh: linear blend skinning is exactly what the hand model does.

Its shape, which the network says for each frame anew, and MANO's pose correctives are blended into the mesh before it
is skinned: the model is linear in them too. So nothing is lost: every frame is the prediction itself.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from warpgrasp.geometry import matrix_from_axis_angle
from warpgrasp.hand import HandModel
from warpgrasp.inference import Predictions
from warpgrasp.viewer.predicted import TakeError
from warpgrasp.viewer.take import Take

FITS_M = 1e-4  # as near as predicted vertices lie to those of their parameters, by the same hand model


@dataclass(frozen=True)
class HandMotion:
    """The skinned hand in each of n frames: global transforms of its joints, and how far its mesh is blended.

    A joint's transform moves its place in the mean shape, as `rest` has it, to its place in camera space.
    """

    rest: Float[np.ndarray, "16 3"]
    base: Float[np.ndarray, "v 3"]
    """The mean shape of the frames, unposed."""
    targets: Float[np.ndarray, "t v 3"]
    """What one unit of each blend weight adds to it."""
    weights: Float[np.ndarray, "n t"]
    rotations: Float[np.ndarray, "n 16 3 3"]
    translations: Float[np.ndarray, "n 16 3"]

    @staticmethod
    def of(take: Take) -> "HandMotion":
        """The motion of a take. Raises `TakeError` when its vertices are not those of its parameters."""
        shapes = take.predictions.hand_shape[take.rows].astype(np.float64)
        mean = shapes.mean(axis=0)
        hand = HandModel(take.hand.template).double()
        base = hand.template_vertices + hand.shape_directions @ torch.from_numpy(mean)
        rest = hand.joint_regressor @ base
        parts = [_posed(hand, part, rest) for part in take.chunks()]
        rotations, translations, correctives = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        targets = [hand.shape_directions.permute(2, 0, 1).numpy()]
        if hand.pose_directions is not None:
            targets.append(hand.pose_directions.permute(2, 0, 1).numpy())
        return HandMotion(
            rest.numpy(),
            base.numpy(),
            np.concatenate(targets),
            np.concatenate([shapes - mean, correctives], axis=1),
            rotations,
            translations,
        )


def _posed(
    hand: HandModel, part: Predictions, rest: Float[Tensor, "16 3"]
) -> tuple[Float[np.ndarray, "n 16 3 3"], Float[np.ndarray, "n 16 3"], Float[np.ndarray, "n c"]]:
    """Rotations and translations of the joints in camera space, and the weights of the pose correctives."""
    pose, shape, turn, vertices = (
        torch.from_numpy(array).double()
        for array in (part.hand_pose, part.hand_shape, part.hand_rotation, part.hand_vertices)
    )
    angles = hand.pose_from_coefficients(pose)
    upright = torch.zeros(len(pose), 3).double()
    rotations = matrix_from_axis_angle(torch.cat([upright, angles], dim=1).unflatten(1, (-1, 3)))
    shaped = hand.template_vertices + torch.einsum("vks,bs->bvk", hand.shape_directions, shape)
    own_rest = torch.einsum("jv,bvk->bjk", hand.joint_regressor, shaped)
    composed, places = hand.chain(rotations, own_rest)
    # The hand in camera space is its upright self turned, then moved: by how much is seen from the vertices.
    turned = hand(upright, angles, shape).vertices @ turn.mT
    offset = (vertices - turned).mean(dim=1)
    apart = (turned + offset[:, None] - vertices).abs().max().item()
    if apart > FITS_M:
        raise TakeError(
            f"expected vertices of the hand {hand.template.name} in these predictions, found some {1000 * apart:.2g} "
            f"mm beside those of their parameters; were they made with another hand model?"
        )
    turned_joints = turn[:, None] @ composed
    moved = places + (composed @ (rest - own_rest)[..., None])[..., 0]
    in_camera = moved @ turn.mT + offset[:, None]
    correctives = (rotations[:, 1:] - torch.eye(3).double()).flatten(1)
    if hand.pose_directions is None:
        correctives = correctives[:, :0]
    return turned_joints.numpy(), in_camera.numpy(), correctives.numpy()
