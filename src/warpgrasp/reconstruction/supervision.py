"""Supervision of a reconstruction, per frame and unweighted: by an annotation, by priors, and by a known grasp.

The terms of Eq. 3 compare with an annotation and keep pose and shape near the mean. `grasp_change` is not in the paper:
colours hardly tell how far away a hand is, but while it holds an object, its palm stays nearly where it was in the
object's own frame. The weights of all terms live in the recipes.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from warpgrasp.frame import Annotation, Objects, Reconstruction, pose_points
from warpgrasp.hand import JOINTS

PALM = [JOINTS.index(name) for name in ("wrist", "thumb_1", "index_1", "middle_1", "ring_1", "little_1")]
HUBER_M = 0.01  # beyond, the loss grows as the distance does: a hold may change


def supervision(
    reconstruction: Reconstruction, annotation: Annotation, objects: Objects
) -> dict[str, Float[Tensor, " b"]]:
    """Squared errors against an annotation, in m², mean over points *and coordinates* as in the released code."""
    hand_error = (reconstruction.hand.joints - annotation.hand_joints).square().mean(dim=(1, 2))
    expected = pose_points(annotation.object_rotation, annotation.object_translation, objects.vertices)
    squared = (reconstruction.object.vertices - expected).square().mean(dim=2) * objects.real
    object_error = squared.sum(dim=1) / objects.real.sum(dim=1)
    return {"hand_joints": hand_error, "object_vertices": object_error}


def regularisation(reconstruction: Reconstruction) -> dict[str, Float[Tensor, " b"]]:
    """Mean squared pose coefficients and shape parameters (their unit is one standard deviation)."""
    return {
        "hand_pose": reconstruction.hand.pose_coefficients.square().mean(dim=1),
        "hand_shape": reconstruction.hand.shape.square().mean(dim=1),
    }


def grasp_change(reconstruction: Reconstruction, grasp: Annotation) -> Float[Tensor, " b"]:
    """The Huber loss, in m², of how far the palm is from where a known grasp has it, both in the object's frame.

    Mean over the wrist and the fingers' bases. `grasp` is the annotation of another frame, in which the same hand holds
    the same object. Hand and object draw each other, so that neither runs away with what they share of the network.
    """
    posed = reconstruction.object
    palm = _palm_in_object(reconstruction.hand.joints, posed.rotation, posed.translation)
    expected = _palm_in_object(grasp.hand_joints, grasp.object_rotation, grasp.object_translation)
    squared = (palm - expected).square().sum(dim=-1)
    beyond = 2 * HUBER_M * squared.clamp_min(HUBER_M**2).sqrt() - HUBER_M**2
    return torch.where(squared <= HUBER_M**2, squared, beyond).mean(dim=1)


def _palm_in_object(
    joints: Float[Tensor, "b 21 3"], rotation: Float[Tensor, "b 3 3"], translation: Float[Tensor, "b 3"]
) -> Float[Tensor, "b 6 3"]:
    return (joints[:, PALM] - translation[:, None]) @ rotation
