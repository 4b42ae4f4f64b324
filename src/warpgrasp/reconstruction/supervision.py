"""The terms of Eq. 3, per frame and unweighted; their weights live in the recipes."""

from jaxtyping import Float
from torch import Tensor

from warpgrasp.frame import Annotation, Objects, Reconstruction, pose_points


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
