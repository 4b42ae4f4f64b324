"""The terms of Eq. 3, per frame and unweighted; their weights live in the recipes.

What a hand's hold on an object says of where the hand is, beyond what pictures do.

Colours hardly tell how far away a hand is, and it has less texture than most objects. But while it holds the object,
its palm stays nearly where it was in the object's own frame.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from warpgrasp.frame import Annotation, Objects, Reconstruction, pose_points
from warpgrasp.hand import JOINTS


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


PALM = tuple(JOINTS.index(name) for name in ("wrist", "thumb_1", "index_1", "middle_1", "ring_1", "little_1"))
HUBER_M = 0.01  # beyond, the loss grows as the distance does: a hold may change


def grasp_change(reconstruction: Reconstruction, known: Annotation) -> Float[Tensor, " b"]:
    """The Huber loss, in m², of how far the palm is from where a known grasp has it, both in the object's frame.

    Mean over the wrist and the fingers' bases. `known` is the annotation of another frame, in which the same hand holds
    the same object. Hand and object draw each other, so that neither runs away with what they share of the network.
    """
    palm = list(PALM)

    def held(joints: Tensor, rotation: Tensor, translation: Tensor) -> Float[Tensor, "b 6 3"]:
        return (joints[:, palm] - translation[:, None]) @ rotation

    thing = reconstruction.object
    found = held(reconstruction.hand.joints, thing.rotation, thing.translation)
    expected = held(known.hand_joints, known.object_rotation, known.object_translation)
    squared = (found - expected).square().sum(dim=-1)
    beyond = 2 * HUBER_M * squared.clamp_min(HUBER_M**2).sqrt() - HUBER_M**2
    return torch.where(squared <= HUBER_M**2, squared, beyond).mean(dim=1)
