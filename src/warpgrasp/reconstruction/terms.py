"""What a reconstruction is compared with, frame by frame: terms without weights, which live in the recipes.

Those of Eq. 3 compare with an annotation and keep pose and shape near the mean. Two are not in the paper.
`grasp_change`: while a hand holds an object, its palm stays nearly where it was in the object's own frame, which ties
the hand's depth to the object's. `reprojection`: what an annotation says in the picture alone.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from warpgrasp.frame import Annotation, Objects, Reconstruction, pose_points
from warpgrasp.hand import JOINTS
from warpgrasp.reconstruction.network import DEPTH_OFFSET_M

PALM = [JOINTS.index(name) for name in ("wrist", "thumb_1", "index_1", "middle_1", "ring_1", "little_1")]
NEAREST_M = 0.05  # of points that are projected
HUBER_M = 0.01  # beyond, the loss grows as the distance does: a hold may change


def supervision(
    reconstruction: Reconstruction, annotation: Annotation, objects: Objects
) -> dict[str, Float[Tensor, " b"]]:
    """Squared errors against an annotation, in m², mean over points *and coordinates* as in the released code."""
    hand_error = (reconstruction.hand.joints - annotation.hand_joints).square().mean(dim=(1, 2))
    object_error = _of_vertices(reconstruction.object.vertices - _vertices(annotation, objects), objects)
    return {"hand_joints": hand_error, "object_vertices": object_error}


def reprojection(reconstruction: Reconstruction, annotation: Annotation, objects: Objects) -> Float[Tensor, " b"]:
    """Squared errors across the line of sight as the picture shows them, of joints and object vertices, in m² at 0.4 m.

    Means over points and coordinates, hand plus object. Not in the paper: a baseline without any second picture.
    """
    hand = _in_picture(reconstruction.hand.joints) - _in_picture(annotation.hand_joints)
    vertices = _in_picture(reconstruction.object.vertices) - _in_picture(_vertices(annotation, objects))
    return hand.square().mean(dim=(1, 2)) + _of_vertices(vertices, objects)


def _vertices(annotation: Annotation, objects: Objects) -> Float[Tensor, "b n 3"]:
    """The objects' vertices where an annotation has them."""
    return pose_points(annotation.object_rotation, annotation.object_translation, objects.vertices)


def _of_vertices(errors: Float[Tensor, "b n k"], objects: Objects) -> Float[Tensor, " b"]:
    """The mean square over coordinates and the vertices that are no padding."""
    squared = errors.square().mean(dim=2) * objects.real
    return squared.sum(dim=1) / objects.real.sum(dim=1)


def _in_picture(points: Float[Tensor, "b n 3"]) -> Float[Tensor, "b n 2"]:
    """Where points are seen, in metres at the usual distance; points at the camera count as 5 cm away."""
    return DEPTH_OFFSET_M * points[..., :2] / points[..., 2:].clamp_min(NEAREST_M)


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
