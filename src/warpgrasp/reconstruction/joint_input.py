"""What a detector says of the hand as an input of the network, beside the picture. It is no part of the paper.

A network learns from a few labels where hands are in *their* pictures; a detector that has seen photographs knows it in
any. Its joints go into the branches of the hand, twice: the hand is placed from where it is seen, instead of from the
middle of the picture, and the layout of the joints, in the camera's angles, joins the encoder's features. In a picture
without a seen hand it is placed from the middle, by the encoder's features alone. The object's branch is not told: that
was tried, and on new sequences it put objects farther off.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from warpgrasp.frame import Detections
from warpgrasp.geometry import Camera
from warpgrasp.hand import JOINTS

FEATURES, HIDDEN = 64, 128
JOINT_RAD = 0.1  # about how far a joint is seen from the middle of the hand: one unit of the input
NUMBERS = 3 * len(JOINTS) + 4  # of a hand: angles and confidence of each joint, direction, size, whether it is seen


class JointInput(nn.Module):
    """Detections to features, and to the pixel from which the hand is placed."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(NUMBERS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, FEATURES), nn.ReLU())

    def forward(self, detections: Detections, camera: Camera) -> tuple[Float[Tensor, "b f"], Float[Tensor, "b 2"]]:
        """The features, and the middle of the seen joints, or of the picture."""
        weights = detections.confidence[..., None]
        seen = (weights.sum(dim=1) > 0).to(weights)
        middle_px = (weights * detections.joints_px).sum(dim=1) / weights.sum(dim=1).clamp_min(1e-6)
        origin_px = torch.where(seen > 0, middle_px, camera.image_centre_px.to(middle_px))
        focal_px = camera.focal_px[..., None, :]
        angles = (weights > 0) * (detections.joints_px - origin_px[:, None]) / focal_px / JOINT_RAD
        size = angles.square().sum(dim=2).mean(dim=1, keepdim=True).sqrt()
        direction = (origin_px - camera.principal_point_px) / camera.focal_px
        log_size = torch.where(seen > 0, size.clamp_min(1e-3).log(), 0)
        numbers = [angles.flatten(1), weights[..., 0], seen * direction, log_size, seen]
        return self.layers(torch.cat(numbers, dim=1)), origin_px


def nothing_seen(like: Float[Tensor, "b _"]) -> Detections:
    """The detections of pictures of which nobody says where the hand is, on the device of a tensor of b rows."""
    count = len(JOINTS)
    return Detections(like.new_zeros(len(like), count, 2), like.new_zeros(len(like), count))
