"""Skeleton adaptation: a learned linear map from the hand's surface to a data set's joints (paper Sec. 3.2, D)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from warpgrasp.hand import FINGERTIPS, HO3D_JOINTS, JOINTS, HandModel, permutation


class SkeletonAdaptation(nn.Module):
    """Regress the joints from the surface, starting at the hand model's own regressor.

    Wrist and fingertips stay as the hand model has them. The map acts on vertices relative to the wrist: a row whose
    sum drifted by 0.04 would move a joint by 16 mm at 0.4 m from the camera, had it acted on camera-space vertices.
    """

    learned_joints: Tensor

    def __init__(self, hand: HandModel):
        super().__init__()
        tips = torch.zeros(len(FINGERTIPS), hand.joint_regressor.shape[1])
        tips[torch.arange(len(FINGERTIPS)), hand.fingertip_vertices] = 1
        regressor = torch.cat([hand.joint_regressor, tips])[permutation(JOINTS, from_=HO3D_JOINTS)]
        learned = [i for i, name in enumerate(JOINTS) if name != "wrist" and name not in FINGERTIPS]
        self.register_buffer("learned_joints", torch.tensor(learned), persistent=False)
        self.regressor = nn.Parameter(regressor[learned])

    def forward(self, vertices: Float[Tensor, "b v 3"], joints: Float[Tensor, "b 21 3"]) -> Float[Tensor, "b 21 3"]:
        """The adapted joints, from the surface and from the hand model's own joints."""
        wrist = joints[:, :1]
        learned = torch.einsum("jv,bvk->bjk", self.regressor, vertices - wrist) + wrist
        return joints.index_copy(1, self.learned_joints, learned)
